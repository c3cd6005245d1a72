"""A data set in the formats of other programs: streamed, and whole under its final name or not there at all."""

import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from fractalrs.dataset import Dataset
from fractalrs.errors import InputError, OutputError
from fractalrs.expansion import operator_named
from fractalrs.formats.format import BATCH, FORMATS, Format, SplitReader
from fractalrs.formats.gathered import in_order_of_users
from fractalrs.tools import (
    Progress,
    ProgressCallback,
    as_path,
    as_progress,
    check_count,
    check_kind,
    require_disk,
    require_place,
    resolve_threads,
    suggests,
    unwritten,
    whole_folder,
)


@suggests
def export(
    dataset: Dataset,
    path: str | os.PathLike[str],
    *,
    format: str,
    progress: bool | Progress = False,
    threads: int | None = None,
    batch_size: int = BATCH,
) -> Path:
    """Write a data set in another program's format.

    Memory does not grow with the data set. The folder appears when all of it is written, or not at all; only a run
    that is killed leaves a hidden folder ``.NAME.….tmp`` beside it, which can be deleted.

    Parameters
    ----------
    dataset
        From `open_dataset` or `write`.
    path
        A folder that does not exist yet.
    format
        ``"reference-npz"``: the files of the program published with the paper, a compressed (user, item) array for
        each row block; ``"csv"``; ``"recbole"``: atomic files for ``benchmark_filename``; ``"csr"``: arrays for
        `load_csr`; ``"sequences"``: Parquet with one row per user, and lists.
    progress
        Show progress with time left on stderr when that is a terminal, or by a `Progress` of your own.
    threads
        By default as many as this process may use; the files do not depend on how many.
    batch_size
        About how many interactions each thread has in memory at a time.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    InputError
        If an argument cannot be used, the format cannot hold a column, or a file of the data set is damaged.
    OutputError
        If the folder exists, cannot be created, or its disk has too little room.
    WriteError
        If writing failed; nothing is left of it.

    Examples
    --------
    >>> import tempfile
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     dataset = fr.write(fr.Expansion(base, fr.reduce(base, shape=(4, 8))), f"{folder}/out")
    ...     sorted(file.name for file in fr.export(dataset, f"{folder}/csv", format="csv").iterdir())
    ['test.csv', 'train.csv']
    """
    check_kind("dataset", dataset, Dataset, "a Dataset, as from open_dataset")
    check_count("batch_size", batch_size, 1)
    threads = resolve_threads(threads)
    if not isinstance(format, str) or format not in FORMATS:
        raise InputError(f"format is {format!r}; it must be one of {', '.join(FORMATS)}")
    chosen = FORMATS[format]
    if chosen.needs_row_blocks and not operator_named(dataset.operator).has_row_blocks:
        raise InputError(
            f"a data set of the operator {dataset.operator!r} has no row blocks", hint="choose another format"
        )
    target = as_path("path", path)
    _check_place(dataset, target)
    with in_order_of_users(dataset, target.resolve().parent) as dataset:
        return _written(dataset, chosen, target, batch_size, threads, as_progress(progress))


def _written(dataset: Dataset, chosen: Format, target: Path, batch_size: int, threads: int, progress: Progress) -> Path:
    files = sum(len(dataset.files(split)) for split in dataset.splits)
    with progress.task("exporting", dataset.totals["interactions"], files) as report:
        passed = _counted(report)
        readers = [SplitReader(dataset, split, passed, batch_size, threads) for split in dataset.splits]
        require_disk(target, sum(map(chosen.size, readers)), "free some, or choose another disk")
        try:
            with whole_folder(target.resolve()) as folder:
                for reader in readers:
                    chosen.write(reader, folder)
        except OSError as error:
            raise unwritten(target, error, True) from error
    return target


def _counted(report: ProgressCallback) -> Callable[[int, int], None]:
    """Return what several threads may tell of interactions and files that they have gone through."""
    done, lock = [0, 0], Lock()

    def passed(interactions: int, files: int) -> None:
        with lock:
            done[:] = done[0] + interactions, done[1] + files
            report(*done)

    return passed


def _check_place(dataset: Dataset, target: Path) -> None:
    try:
        source, final = isinstance(dataset.place, Path) and dataset.place.resolve(), target.resolve()
        exists = target.exists() or target.is_symlink()
    except (OSError, ValueError, RuntimeError) as error:
        raise OutputError(
            f"cannot create {target}: {getattr(error, 'strerror', None) or error}", "choose another place"
        ) from None
    if source and (final == source or final in source.parents or source in final.parents):
        raise OutputError(
            f"{target} and the data set {dataset.place} lie one inside the other",
            hint="name a folder beside the data set",
        )
    if exists:
        raise OutputError(f"{target} exists already", hint="name a folder that does not exist yet")
    require_place(final)
