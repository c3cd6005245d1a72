"""Parquet files, and folders with Parquet files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from fractalrs.errors import InputError
from fractalrs.reading.keys import keys_note
from fractalrs.reading.nested import leaves
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

SUFFIXES = (".parquet", ".parq", ".pq")
_ROWS = 1 << 20


def _open(path: Path, asked: Asked) -> Source:
    return open_files([path], path, asked)


def open_files(files: Sequence[Path], path: Path, asked: Asked, read_as: str = "Parquet") -> Source:
    """Return Parquet files, opened as one table; keys in the names of folders below `path` are columns too."""
    # Loads pandas where that is installed.
    import pyarrow.dataset as pa_dataset

    name, threaded = asked.name or str(path), asked.threads != 1
    with _understood(name):
        dataset = pa_dataset.dataset([str(file) for file in files], format="parquet")
        keys = {part.partition("=")[0] for file in files for part in file.relative_to(path).parts[:-1] if "=" in part}
        notes = [f"Read {path.name} as {read_as}."]
        if keys and not keys & set(dataset.schema.names):
            notes.append(keys_note(sorted(keys)))
            dataset = pa_dataset.dataset(
                [str(file) for file in files], format="parquet", partitioning="hive", partition_base_dir=str(path)
            )
        top = dataset.schema.names
        if len(set(top)) < len(top):
            raise InputError(f"{name} has two columns of the same name", hint="rename one")
        paths = leaves(dataset.schema)
        fields = [pa_dataset.field(*way) for way in paths.values()]
        leaf_columns = {str(place): field for place, field in enumerate(fields)}
        sample = labels(list(paths), dataset.head(SAMPLE_ROWS, columns=leaf_columns, use_threads=threaded))

    def chosen(numbers: list[int]) -> Iterator[pa.RecordBatch]:
        columns = {str(place): fields[number] for place, number in enumerate(numbers)}
        with _understood(name):
            yield from dataset.to_batches(columns=columns, batch_size=_ROWS, use_threads=threaded)

    return BatchSource(name=name, notes=tuple(notes), **sample, batches=chosen)


@contextmanager
def _understood(name: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{name} cannot be read as Parquet: {error}", hint="fetch or write the file again") from None


register(SourceFormat(("parquet",), "Parquet", lambda path: starts_with(path, b"PAR1"), _open))
