"""Parquet files, and folders with Parquet files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from fractalrs.errors import InputError
from fractalrs.reading.source import SAMPLE_ROWS, STREAM_ROWS, Asked, Source, SourceFormat, collect, labels, register

_SUFFIXES = (".parquet", ".parq", ".pq")


@dataclass(frozen=True, kw_only=True)
class ParquetSource(Source):
    """Parquet files whose schema is known."""

    dataset: Any
    threads: int | None

    def read(self, positions: Mapping[str, int]) -> pa.Table:
        """Read the columns asked for, batch by batch."""
        columns = [self.dataset.schema.names[number] for number in positions.values()]
        try:
            batches = self.dataset.to_batches(columns=columns, batch_size=STREAM_ROWS, use_threads=self.threads != 1)
            return collect(batches, {role: place for place, role in enumerate(positions)})
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(self.name, error) from None


def open_parquet(path: Path, asked: Asked) -> Source:
    """Return a file, or all files of a folder, opened; hidden ones are left out."""
    # Loads pandas where that is installed.
    import pyarrow.dataset as pa_dataset

    files = _files(path) if path.is_dir() else [path]
    try:
        dataset = pa_dataset.dataset([str(file) for file in files], format="parquet")
        names = dataset.schema.names
        if len(set(names)) < len(names):
            raise InputError(f"{path} has two columns of the same name", hint="rename one")
        sample = dataset.head(SAMPLE_ROWS, use_threads=asked.threads != 1)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(str(path), error) from None
    many = f"{len(files)} Parquet files" if path.is_dir() else "Parquet"
    return ParquetSource(
        name=str(path),
        notes=(f"Read {path.name} as {many}.",),
        **labels(names, sample),
        dataset=dataset,
        threads=asked.threads,
    )


def _files(folder: Path) -> list[Path]:
    files = sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in _SUFFIXES
        and file.is_file()
        and not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
    )
    if not files:
        raise InputError(f"the folder {folder} holds no Parquet files", hint="name a file, or a folder with .parquet")
    return files


def _unreadable(name: str, error: Exception) -> Exception:
    if isinstance(error, FileNotFoundError | PermissionError):
        return error
    return InputError(f"{name} cannot be read as Parquet: {error}")


def _is_parquet(path: Path) -> bool:
    if path.is_dir():
        return True
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


register(SourceFormat(("parquet",), "Parquet", _is_parquet, open_parquet))
