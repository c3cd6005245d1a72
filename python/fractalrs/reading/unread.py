"""What is not read, named for what it is by its first bytes, with what to do instead."""

import ast
import re
from pathlib import Path

from fractalrs.errors import InputError

_AS_TABLE = "write it as CSV or Parquet, or give a table in memory to read_interactions in Python"
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (
        b"SQLite format 3\0",
        "an SQLite database",
        "write the table of interactions as CSV (sqlite3: .mode csv, .output)",
    ),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", _AS_TABLE),
    (b"Obj\x01", "an Avro file", _AS_TABLE),
    (b"ORC", "an ORC file", _AS_TABLE),
    (b"ARROW1\0\0", "an Arrow (Feather) file", "give pyarrow.feather.read_table(path) to read_interactions in Python"),
    (b"\x93NUMPY", "a NumPy array (.npy)", "give numpy.load(path) to read_interactions in Python"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls)", "save the sheet as CSV"),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file", _AS_TABLE),
    (b"RDX2\n", "an R workspace", "write the data frame with write.csv(x, row.names = FALSE)"),
    (b"RDX3\n", "an R workspace", "write the data frame with write.csv(x, row.names = FALSE)"),
    (b"X\n\0\0\0", "an R object (.rds)", "write the data frame with write.csv(x, row.names = FALSE)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it first"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it first"),
    (b"\xfd7zXZ\0", "a file packed with xz", "unpack it first (unxz)"),
    (b"\x04\x22\x4d\x18", "a file packed with LZ4", "unpack it first (unlz4)"),
    (b"%PDF-", "a PDF document", "name the file with the interactions"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "fetch the file (git lfs pull)"),
)
_PICKLE = re.compile(rb"\x80[\x02-\x05](.|\n)")
_MARKUP = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml|head|body)\b", re.IGNORECASE)
_ARFF = re.compile(rb"(\s|%[^\n]*\n)*@relation\s", re.IGNORECASE)
_DICT = re.compile(rb"\s*\{\s*u?'")


def refuse_unread(name: str, head: bytes, path: Path) -> None:
    """Raise an error that names what a file is, if its first bytes tell that it is nothing that is read."""
    found = _found(head, path)
    if found is not None:
        raise InputError(f"{name} is {found[0]}, which is not read", hint=found[1])


def _found(head: bytes, path: Path) -> tuple[str, str] | None:
    for magic, what, hint in _MAGIC:
        if head.startswith(magic):
            return what, hint
    if _PICKLE.match(head):
        return (
            "a pickled Python object",
            "load it where you trust it, and give the table, array or sparse matrix to read_interactions in Python",
        )
    if _MARKUP.match(head):
        what = "XML" if b"<?xml" in head[:200].lower() and b"<html" not in head[:2000].lower() else "an HTML page"
        return what, "it may be the page that a download ended on: fetch the data file itself"
    if _ARFF.match(head):
        return "an ARFF file", "write its data as CSV: the lines below @data, under a line with the names"
    if _DICT.match(head) and _is_literal(head):
        return "text with a Python dict on each line, not JSON", (
            'turn it into JSON lines: python -c "import ast, json, sys; '
            f'[print(json.dumps(ast.literal_eval(line))) for line in sys.stdin]" < {path.name} > {path.stem}.jsonl'
        )
    return None


def _is_literal(head: bytes) -> bool:
    try:
        return isinstance(ast.literal_eval(head.lstrip().split(b"\n", 1)[0].decode()), dict)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False
