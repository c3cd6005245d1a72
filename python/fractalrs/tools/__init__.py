"""What knows nothing of recommenders: stores, files and folders that appear whole, the machine, progress."""

from fractalrs.tools.arguments import as_path, check_count, check_word, checked_columns
from fractalrs.tools.atomic import flush, temporary_path, whole_file, whole_folder, write_text
from fractalrs.tools.machine import (
    blas_threads,
    free_disk,
    peak_memory,
    readable,
    require_disk,
    require_place,
    require_room,
    resolve_threads,
)
from fractalrs.tools.notes import notes_on_stderr
from fractalrs.tools.optional import drawing
from fractalrs.tools.progress import SILENT, Bars, Progress, Report, as_progress
from fractalrs.tools.sealed import Digest, FileReport, parquet_writer, read_labelled, write_labelled
from fractalrs.tools.store import LocalStaging, LocalStore, Staging, Store, busy, is_litter, visible

__all__ = [
    "SILENT",
    "Bars",
    "Digest",
    "FileReport",
    "LocalStaging",
    "LocalStore",
    "Progress",
    "Report",
    "Staging",
    "Store",
    "as_path",
    "as_progress",
    "blas_threads",
    "busy",
    "check_count",
    "check_word",
    "checked_columns",
    "drawing",
    "flush",
    "free_disk",
    "is_litter",
    "notes_on_stderr",
    "parquet_writer",
    "peak_memory",
    "read_labelled",
    "readable",
    "require_disk",
    "require_place",
    "require_room",
    "resolve_threads",
    "temporary_path",
    "visible",
    "whole_file",
    "whole_folder",
    "write_labelled",
    "write_text",
]
