"""A data set in the formats of other programs: streamed, and whole under its final name or not there at all."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from fractalrs.dataset.dataset import Dataset
from fractalrs.dataset.folder import Folder, publish_folder
from fractalrs.errors import InputError, OutputError, WriteError
from fractalrs.formats import csr, reference_npz, sequences, text
from fractalrs.formats.split import Split
from fractalrs.tools.machine import require_disk
from fractalrs.tools.progress import progress_bar


class _Format(NamedTuple):
    """How one split is written into a folder that has its final name, and about how many bytes that will be."""

    write: Callable[[Split, Path], None]
    size: Callable[[Split], float]


FORMATS = {
    "reference-npz": _Format(reference_npz.write, reference_npz.size),
    "csv": _Format(text.write_csv, text.csv_size),
    "recbole": _Format(text.write_recbole, text.recbole_size),
    "csr": _Format(csr.write, csr.size),
    "sequences": _Format(sequences.write, sequences.size),
}


def export(dataset: Dataset, path: str | os.PathLike[str], *, format: str, progress: bool = False) -> Path:
    """Write the data set in another program's format.

    Memory does not grow with the data set. The folder appears when all of it is written, or not at all; only a run
    that is killed leaves a hidden folder ``.NAME.tmp-…`` beside it, which can be deleted.

    Parameters
    ----------
    path
        A folder that does not exist yet.
    format
        ``"reference-npz"``: the files of the program published with the paper, a compressed (user, item) array for
        each row block; ``"csv"``; ``"recbole"``: atomic files for ``benchmark_filename``; ``"csr"``: arrays for
        `load_csr`; ``"sequences"``: Parquet with one row per user, and lists.
    progress
        Show progress with time left on stderr when that is a terminal.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    InputError
        If there is no such format, it cannot hold a column, or a file of the data set is damaged.
    OutputError
        If the folder exists, cannot be created, or its disk has too little room.
    WriteError
        If writing failed; nothing is left of it.
    """
    if format not in FORMATS:
        raise InputError(f"format is {format!r}; it must be one of {', '.join(FORMATS)}")
    if format == "reference-npz" and dataset.manifest.get("operator") == "sketch":
        raise InputError("a data set of the operator 'sketch' has no row blocks", hint="choose another format")
    target = Path(path)
    _check_place(dataset, target)
    made = finished = 0
    with progress_bar(progress, dataset.totals["interactions"], dataset.totals["files"], "exporting") as report:

        def passed(rows: int, files: int) -> None:
            nonlocal made, finished
            made, finished = made + rows, finished + files
            if report is not None:
                report(made, finished)

        splits = [Split(dataset, name, passed) for name in ("train", "test") if name in dataset.manifest["parts"][0]]
        size = sum(FORMATS[format].size(split) for split in splits)
        require_disk(target, size, "free some, or choose another disk")
        try:
            with _appearing_whole(target.resolve()) as folder:
                for split in splits:
                    FORMATS[format].write(split, folder)
        except OSError as error:
            raise WriteError(f"cannot write {target}: {error.strerror or error}", "nothing of it is left") from error
    return target


def _check_place(dataset: Dataset, target: Path) -> None:
    source, final = dataset.path.resolve(), target.resolve()
    if final == source or final in source.parents or source in final.parents:
        raise OutputError(
            f"{target} and the data set {dataset.path} lie one inside the other",
            hint="name a folder beside the data set",
        )
    if target.exists() or target.is_symlink():
        raise OutputError(f"{target} exists already", hint="name a folder that does not exist yet")
    Folder(final).check_ours()


@contextmanager
def _appearing_whole(final: Path) -> Iterator[Path]:
    """Yield a folder to fill, already with its final name but inside a hidden one; move it to its place at the end."""
    # Folders that lead to the place are made at the end too, so what is interrupted leaves nothing.
    there = next(parent for parent in final.parents if parent.exists())
    hidden = there / f".{final.name}.tmp-{secrets.token_hex(4)}"
    folder = hidden / final.name
    try:
        folder.mkdir(parents=True)
        yield folder
        final.parent.mkdir(parents=True, exist_ok=True)
        publish_folder(folder, final)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
