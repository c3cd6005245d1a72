"""Parquet files, and folders with Parquet files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from fractalrs.errors import InputError
from fractalrs.reading.source import (
    SAMPLE_ROWS,
    Asked,
    BatchSource,
    Source,
    SourceFormat,
    labels,
    register,
    starts_with,
)

_ROWS = 1 << 20
_SUFFIXES = (".parquet", ".parq", ".pq")


def _open(path: Path, asked: Asked) -> Source:
    # Loads pandas where that is installed.
    import pyarrow.dataset as pa_dataset

    files = _files(path) if path.is_dir() else [path]
    threaded = asked.threads != 1
    with _understood(path):
        dataset = pa_dataset.dataset([str(file) for file in files], format="parquet")
        names = dataset.schema.names
        if len(set(names)) < len(names):
            raise InputError(f"{path} has two columns of the same name", hint="rename one")
        sample = labels(names, dataset.head(SAMPLE_ROWS, use_threads=threaded))

    def chosen(numbers: list[int]) -> Iterator[pa.RecordBatch]:
        columns = [names[number] for number in numbers]
        with _understood(path):
            yield from dataset.to_batches(columns=columns, batch_size=_ROWS, use_threads=threaded)

    many = f"{len(files)} Parquet files" if path.is_dir() else "Parquet"
    return BatchSource(name=str(path), notes=(f"Read {path.name} as {many}.",), **sample, batches=chosen)


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


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} cannot be read as Parquet: {error}") from None


register(SourceFormat(("parquet",), "Parquet", lambda path: path.is_dir() or starts_with(path, b"PAR1"), _open))
