"""Matrix Market files (``.mtx``): a sparse matrix of users by items, a line an entry."""

from pathlib import Path

from fractalrs.errors import InputError
from fractalrs.reading.layout import Layout
from fractalrs.reading.source import Asked, Source, SourceFormat, register
from fractalrs.reading.sources.text import BLOCK_BYTES, source_of
from fractalrs.reading.stored import HEAD_BYTES, Stored

_MAGIC = b"%%matrixmarket"
_AS_READ = "write it with scipy.io.mmwrite(path, scipy.sparse.coo_array(matrix), symmetry='general')"


def _is_matrix_market(path: Path) -> bool:
    return path.is_file() and Stored.find(path).raw_head(len(_MAGIC)).lower() == _MAGIC


def _open(path: Path, asked: Asked) -> Source:
    stored = Stored.find(path, asked.name)
    lines = stored.raw_head(HEAD_BYTES).decode(errors="replace").splitlines()
    words = lines[0].lower().split()
    if words[1:3] != ["matrix", "coordinate"] or words[3:4] == ["complex"] or words[4:5] != ["general"]:
        raise InputError(f"{stored.name} is a Matrix Market file of the kind {' '.join(words[1:])!r}", hint=_AS_READ)
    size = next((at for at, line in enumerate(lines) if line.strip() and line[0] != "%"), len(lines))
    entries = [line for line in lines[size + 1 : size + 1001] if line.strip()]
    if not entries:
        raise InputError(f"{stored.name} holds no entries", hint="a matrix of users by items needs at least one")
    names = ["user_id", "item_id"] if words[3] == "pattern" else ["user_id", "item_id", "rating"]
    layout = Layout(
        stored=stored,
        format="csv",
        delimiter=" ",
        names=names,
        first_line=size + 1,
        sample=[line.split() for line in entries],
        width=len(names),
        comment="%",
        aligned=any(" ".join(line.split()) != line for line in entries),
        remarks=("It is a Matrix Market file: row is user_id, column is item_id, both from 1; value is rating.",),
    )
    return source_of((layout,), asked, BLOCK_BYTES)


register(SourceFormat(("mtx",), "a Matrix Market file", _is_matrix_market, _open))
