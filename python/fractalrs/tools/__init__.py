"""What knows nothing of recommenders: files and folders that appear whole, the machine, progress."""

from fractalrs.tools.atomic import flush, temporary_path, whole_file, whole_folder, write_text
from fractalrs.tools.machine import (
    blas_threads,
    free_disk,
    peak_memory,
    readable,
    require_disk,
    require_place,
    resolve_threads,
)
from fractalrs.tools.progress import SILENT, Bars, Progress, Report, as_progress

__all__ = [
    "SILENT",
    "Bars",
    "Progress",
    "Report",
    "as_progress",
    "blas_threads",
    "flush",
    "free_disk",
    "peak_memory",
    "readable",
    "require_disk",
    "require_place",
    "resolve_threads",
    "temporary_path",
    "whole_file",
    "whole_folder",
    "write_text",
]
