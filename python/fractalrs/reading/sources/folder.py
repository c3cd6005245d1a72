"""Folders: Parquet files, parts of a table, or one table beside others; and our own output."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from fractalrs.errors import InputError
from fractalrs.reading.picking import picked
from fractalrs.reading.source import Asked, Source, SourceFormat, open_path, register, starts_with
from fractalrs.reading.sources import parquet, text
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
    if len(files) == 1:
        source = open_path(files[0], replace(asked, name=called[0]))
    elif starts_with(files[0], b"PAR1"):
        source = parquet.open_files(files, folder, _only_parquet(where, asked), f"{len(files)} Parquet files")
    else:
        parts = [open_path(file, replace(asked, name=name)) for name, file in zip(called, files, strict=True)]
        if all(isinstance(part, text.TextSource) for part in parts):
            source = text.open_parts(files, called, asked)
        else:
            source = _joined(parts, where)
    return replace(source, notes=(said, *source.notes))


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
    """Several sources with the same columns, one after the other."""

    parts: tuple[Source, ...]

    def read(self, positions: Mapping[str, int]) -> pa.Table:
        """Read all of them; where their ids are of two types, all are text."""
        tables = [part.read(positions) for part in self.parts]
        columns = {}
        for role in positions:
            chunks = [chunk for table in tables for chunk in table.column(role).chunks]
            kinds = {chunk.type for chunk in chunks}
            if len(kinds) > 1 and role in ("user_id", "item_id"):
                chunks = [_as_text(chunk) for chunk in chunks]
            columns[role] = pa.concat_tables(
                [pa.table({role: chunk}) for chunk in chunks], promote_options="permissive"
            ).column(0)
        return pa.table(columns)

    def explain(self, positions: Mapping[str, int]) -> None:
        """Raise an error that says where one of them cannot be used."""
        for part in self.parts:
            part.explain(positions)


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
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and all(key in manifest for key in _OURS)


register(SourceFormat((), "a folder", lambda path: path.is_dir(), _open, holds=True))
