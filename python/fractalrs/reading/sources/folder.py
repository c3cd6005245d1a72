"""Folders: Parquet files, parts of a table, or one table beside others; and our own output."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from fractalrs.errors import InputError
from fractalrs.reading.keys import keys_note, partition_keys
from fractalrs.reading.layout import NoRowsError
from fractalrs.reading.picking import picked
from fractalrs.reading.source import Asked, Source, SourceFormat, open_path, register, starts_with
from fractalrs.reading.sources import parquet, text
from fractalrs.tools import DAMAGE
from fractalrs.words import SPLITS

_OURS = ("base_users", "user_multiplier", "totals", "fingerprints")


def _open(path: Path, asked: Asked) -> Source:
    name = asked.name or str(path)
    files = sorted(file for file in path.rglob("*") if file.is_file() and not _is_hidden(file, path))
    tables = [file for file in files if file.suffix.lower() in parquet.SUFFIXES]
    if _is_ours(path):
        parts = [file for split in SPLITS for file in tables if path / split in file.parents]
        said = f"the train and test interactions of a data set of fractalrs, {len(parts)} Parquet files"
        return parquet.open_files(parts, path, _only_parquet(name, asked), said)
    if (path / "private" / "plan.json").is_file():
        raise InputError(
            f"{name} is a data set of fractalrs that is not finished", hint="run the command that writes it again"
        )
    if tables:
        return parquet.open_files(tables, path, _only_parquet(name, asked), f"{len(tables)} Parquet files")
    if not files:
        raise InputError(f"the folder {name} holds no files", hint="name a file, or a folder that holds a table")
    full = {file.relative_to(path).as_posix(): file for file in files if file.stat().st_size}
    chosen, others = picked(list(full), f"the folder {name}")
    return open_tables([full[one] for one in chosen], chosen, others, name, path, asked)


def open_tables(
    files: Sequence[Path], names: Sequence[str], others: Sequence[str], where: str, folder: Path, asked: Asked
) -> Source:
    """Return what was picked of an archive or a folder, opened: a file, or the parts of one table."""
    beside = f" beside {', '.join(others[:5])}{' and more' if len(others) > 5 else ''}" if others else ""
    said = f"Picked {names[0]}{f' and {len(names) - 1} like it' if len(names) > 1 else ''} in {where}{beside}."
    called = [
        f"{where}: {name}" if not asked.name and file.is_relative_to(folder) else str(file)
        for name, file in zip(names, files, strict=True)
    ]
    if starts_with(files[0], b"PAR1") and len(files) > 1:
        source = parquet.open_files(files, folder, _only_parquet(where, asked), f"{len(files)} Parquet files")
        return replace(source, notes=(said, *source.notes))
    parts: list[Source] = []
    lines: list[tuple[str, Path]] = []
    empty: NoRowsError | None = None
    for name, file in zip(called, files, strict=True):
        try:
            parts.append(open_path(file, replace(asked, name=name)))
            lines.append((name, file))
        except NoRowsError as error:
            empty = error
    if not parts and empty is not None:
        raise empty
    if len(parts) == 1:
        source = parts[0]
    elif all(isinstance(part, text.TextSource) for part in parts):
        source = text.open_parts([file for _, file in lines], [name for name, _ in lines], asked)
    else:
        source = _joined(parts, where)
    source = _keyed(source, parts, [file for _, file in lines], folder)
    return replace(source, notes=(said, *source.notes))


def _keyed(source: Source, parts: Sequence[Source], files: Sequence[Path], folder: Path) -> Source:
    """Return a source that has the keys in the names of folders, such as ``dt=2024-01-31``, as further columns."""
    keys = partition_keys([file.relative_to(folder).parts[:-1] for file in files])
    if not keys or set(keys) & set(source.names or ()):
        return source
    if source.names is None or source.fixed is not None:
        said = f"Keys in the names of folders are not used, as columns have no names: {', '.join(keys)}."
        return replace(source, notes=(*source.notes, said))
    if isinstance(source, text.TextSource):
        # All as the first is written.
        parts = [replace(source, parts=(part,)) for part in source.parts]
    first, width = [str(values[0].as_py() or "") for values in keys.values()], len(source.names)
    return Parts(
        name=source.name,
        notes=(*source.notes, keys_note(keys)),
        names=[*source.names, *keys],
        sample=[[*row[:width], *[""] * (width - len(row)), *first] for row in source.sample],
        blanks_are_layout=source.blanks_are_layout,
        held=source.held,
        parts=tuple(parts),
        keys=keys,
    )


def _joined(parts: Sequence[Source], where: str) -> Source:
    first = parts[0]
    for part in parts:
        if (part.names, part.fixed) != (first.names, first.fixed):
            raise InputError(f"{part.name} and {first.name} are not parts of one table", hint="name one of them")
    return Parts(
        name=where,
        notes=first.notes,
        names=first.names,
        sample=first.sample,
        fixed=first.fixed,
        blanks_are_layout=first.blanks_are_layout,
        parts=tuple(parts),
    )


@dataclass(frozen=True, kw_only=True)
class Parts(Source):
    """Several sources with the same columns, one after the other; behind these come `keys`, one value a part each."""

    parts: tuple[Source, ...]
    keys: Mapping[str, pa.Array] = field(default_factory=dict)

    def read(self, positions: Mapping[str, int]) -> pa.Table:
        """Read all of them; where their ids are of two types, all are text."""
        inside = self._inside(positions)
        tables = [
            part.read_text(inside) if isinstance(part, text.TextSource) else part.read(inside or {"user_id": 0})
            for part in self.parts
        ]
        columns = {role: _one([table.column(role) for table in tables], role) for role in inside}
        lengths = [len(table) for table in tables]
        for role in positions.keys() - inside.keys():
            values = list(self.keys.values())[positions[role] - self._width]
            columns[role] = pa.chunked_array([values]).take(pa.array(np.repeat(np.arange(len(lengths)), lengths)))
        return text.infer_others(pa.table({role: columns[role] for role in positions}))

    def explain(self, positions: Mapping[str, int]) -> None:
        """Raise an error that says where one of them cannot be used."""
        for part in self.parts:
            part.explain(self._inside(positions))

    @property
    def _width(self) -> int:
        return len(self.names or ()) - len(self.keys)

    def _inside(self, positions: Mapping[str, int]) -> dict[str, int]:
        """Return the columns that stand in the files."""
        return {role: place for role, place in positions.items() if not self.keys or place < self._width}


def _one(columns: Sequence[pa.ChunkedArray], role: str) -> pa.ChunkedArray:
    chunks = [chunk for column in columns for chunk in column.chunks]
    if len({chunk.type for chunk in chunks}) > 1 and role in ("user_id", "item_id"):
        chunks = [_as_text(chunk) for chunk in chunks]
    return pa.concat_tables([pa.table({role: chunk}) for chunk in chunks], promote_options="permissive").column(0)


def _as_text(ids: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(ids.type):
        return pa.DictionaryArray.from_arrays(ids.indices, ids.dictionary.cast(pa.string()))
    return ids.cast(pa.string()).dictionary_encode()


def _only_parquet(name: str, asked: Asked) -> Asked:
    if asked.format not in ("auto", "parquet"):
        raise InputError(f"{name} is Parquet, not {asked.format}", hint="leave format out, or say format='parquet'")
    if asked.delimiter is not None or asked.header is not None or asked.text_encoding is not None:
        raise InputError(f"delimiter, header and text_encoding are for text, not for {name}", hint="leave them out")
    return replace(asked, name=name)


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)


def _is_ours(path: Path) -> bool:
    try:
        manifest = json.loads((path / "manifest.json").read_bytes())
    except DAMAGE:
        return False
    return isinstance(manifest, dict) and all(key in manifest for key in _OURS)


register(SourceFormat((), "a folder", lambda path: path.is_dir(), _open, holds=True))
