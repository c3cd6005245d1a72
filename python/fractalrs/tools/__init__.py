"""What knows nothing of recommenders: stores, files and folders that appear whole, the machine, progress."""

from fractalrs.tools.arguments import (
    as_path,
    check_count,
    check_kind,
    check_word,
    checked_columns,
    checked_ids,
    checked_pairs,
    checked_texts,
    resolve_threads,
    suggests,
    url_scheme,
)
from fractalrs.tools.atomic import new_folder, unwritten, whole_file, whole_folder, write_text
from fractalrs.tools.checked import (
    BYTES,
    DAMAGE,
    load_array,
    load_arrays,
    read_object,
    read_toml,
    untrusted,
    whole_arrow,
)
from fractalrs.tools.digest import Digest, digest_of_json
from fractalrs.tools.machine import (
    allowed_threads,
    blas_threads,
    drawing,
    free_addresses,
    free_memory,
    installed,
    new_place,
    peak_memory,
    readable,
    require_disk,
    require_memory,
    require_place,
)
from fractalrs.tools.object_store import SCHEMES, ObjectStore, Place, store_of
from fractalrs.tools.ordered import in_order
from fractalrs.tools.progress import SILENT, Progress, ProgressCallback, Stages, as_progress, notes_on_stderr
from fractalrs.tools.sealed import (
    DigestingFile,
    FileReport,
    has_seal,
    is_sealed,
    parquet_writer,
    read_labelled,
    row_groups,
    sealed_json,
    write_labelled,
    write_sealed,
)
from fractalrs.tools.shown import Shown, html_table, one_line, printable
from fractalrs.tools.store import LocalStaging, LocalStore, RemotePath, Store, busy, is_litter, visible

__all__ = [
    "as_path",
    "check_count",
    "check_kind",
    "check_word",
    "checked_columns",
    "checked_ids",
    "checked_pairs",
    "checked_texts",
    "resolve_threads",
    "suggests",
    "url_scheme",
]
__all__ += [
    "allowed_threads",
    "blas_threads",
    "drawing",
    "free_addresses",
    "free_memory",
    "in_order",
    "new_folder",
    "new_place",
    "peak_memory",
    "readable",
    "require_disk",
    "require_memory",
    "require_place",
]
__all__ += [
    "SILENT",
    "Progress",
    "ProgressCallback",
    "Stages",
    "as_progress",
    "notes_on_stderr",
    "unwritten",
    "whole_file",
    "whole_folder",
    "write_text",
]
__all__ += [
    "Digest",
    "DigestingFile",
    "FileReport",
    "digest_of_json",
    "has_seal",
    "is_sealed",
    "parquet_writer",
    "read_labelled",
    "row_groups",
    "sealed_json",
    "write_labelled",
    "write_sealed",
]
__all__ += ["SCHEMES", "LocalStaging", "LocalStore", "ObjectStore", "Place", "RemotePath", "Store"]
__all__ += ["BYTES", "DAMAGE", "load_array", "load_arrays", "read_object", "read_toml", "untrusted", "whole_arrow"]
__all__ += ["busy", "is_litter", "store_of", "visible"]
__all__ += ["Shown", "html_table", "installed", "one_line", "printable", "suggests"]
