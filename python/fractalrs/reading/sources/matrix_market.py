"""Matrix Market files (``.mtx``): a sparse matrix of users by items, a line an entry."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.errors import InputError
from fractalrs.reading.layout import Layout
from fractalrs.reading.source import Asked, Source, SourceFormat, register
from fractalrs.reading.sources.text import BLOCK_BYTES, TextSource, source_of
from fractalrs.reading.stored import HEAD_BYTES, Stored

_MAGIC = b"%%matrixmarket"
_AS_READ = "write it with scipy.io.mmwrite(path, scipy.sparse.coo_array(matrix), symmetry='general')"
_AGAIN = "fetch the file again: it is cut or damaged"


@dataclass(frozen=True, kw_only=True)
class MatrixSource(TextSource):
    """A file whose head tells its rows, columns and entries."""

    size: tuple[int, ...]

    def read(self, positions: Mapping[str, int]) -> pa.Table:
        """Read the columns asked for; refuse a file that has not the entries that its head tells."""
        table = super().read(positions)
        if table.num_rows != self.size[2]:
            raise InputError(f"{self.name} has {table.num_rows} entries, and its head tells {self.size[2]}", _AGAIN)
        for role, position in positions.items():
            if position < 2 and not _are_within(table[role].combine_chunks(), self.size[position]):
                what = f"a {role} that is not one of the {self.size[position]} of its head"
                raise InputError(f"{self.name} has {what}", _AGAIN)
        return table


def _are_within(ids: pa.Array, count: int) -> bool:
    """Return whether ids, encoded or not, numbers or text, are numbers from 1 to a count."""
    try:
        found = pc.min_max((ids.dictionary if pa.types.is_dictionary(ids.type) else ids).cast(pa.int64()))
    except pa.ArrowInvalid:
        return False
    return bool(found["min"].as_py() >= 1 and found["max"].as_py() <= count)


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
    told = lines[size].split()
    if len(told) != 3 or not all(one.isascii() and one.isdigit() for one in told):
        raise InputError(f"{stored.name}, line {size + 1}: {lines[size][:60]!r} is no size of a matrix", _AGAIN)
    return MatrixSource(**vars(source_of((layout,), asked, BLOCK_BYTES)), size=tuple(map(int, told)))


register(SourceFormat(("mtx",), "a Matrix Market file", _is_matrix_market, _open))
