"""Writing a data set: private values first, parts in any order, the manifest last; resumable at every point."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.base.summary import expansion_statistics
from fractalrs.dataset.attributes import Attributes, match
from fractalrs.dataset.card import checked_licence, data_card
from fractalrs.dataset.dataset import Dataset
from fractalrs.dataset.folder import CARD, MANIFEST, Folder
from fractalrs.dataset.plan import DEFAULT_PARQUET, ParquetOptions, Part, Plan, attribute_file
from fractalrs.errors import InputError, OutputError, WriteError
from fractalrs.expansion import Cells, ReducedMatrix
from fractalrs.reading import read_attributes
from fractalrs.tools import require_disk, resolve_threads
from fractalrs.tools.progress import progress_bar
from fractalrs.tools.sealed import read_labelled

if TYPE_CHECKING:
    from fractalrs.expansion import Expansion


LAYOUTS = {
    "dropout": "user = i * base_users + row, item = j * base_items + column, for block (i, j)",
    "sketch": "user = row * user_multiplier + r, item = column * item_multiplier + s, for sampled row r and column s",
}
"""What ids mean, by operator; all but sketch are as dropout."""


class FileReport(TypedDict):
    """What is known of a finished file."""

    rows: int
    bytes: int
    sha256: str


_Files = dict[tuple[int, str], FileReport]
_State = Literal["new", "begun", "complete", "other"]

_SAMPLE_INTERACTIONS = 500_000
_THREAD_BYTES = 100 << 20
"""Column tables and a tile of one thread; a row group, and the copies the encoder makes of it, come on top."""
_SOURCE_BYTES = 4
"""Of an entry: where it stands in the base, if anything is carried."""
_TIMELINE_BYTES = 12
"""Of an entry: its time, and where it may go."""
_PROCESS_BYTES = 200 << 20
"""The interpreter and its libraries."""


def write(
    expansion: "Expansion",
    path: str | os.PathLike[str],
    *,
    parts: int | None = None,
    threads: int | None = None,
    format: ParquetOptions = DEFAULT_PARQUET,
    overwrite: bool = False,
    progress: bool = False,
    source_licence: str | None = None,
    items: Any = None,
    users: Any = None,
) -> Dataset:
    """Write the expanded data set; the same call on an unfinished one writes what is missing.

    Parameters
    ----------
    expansion
        What to write.
    path
        Folder of the data set. It may not hold anything else.
    parts
        Number of parts; by default about 16 million expected interactions each.
    threads
        Generating threads; by default as many as this process may use.
    format
        How Parquet files are encoded.
    overwrite
        Delete a data set of another plan first. Only files of ours are deleted.
    progress
        Show progress on stderr when that is a terminal.
    source_licence
        What the data card says of the source's licence.
    items, users
        Attributes of the source's items and users, which are written for every expanded id too: a path or a table
        in memory, as `fractalrs.reading.AttributeTable.read` takes it. They need cells of one member.

    Raises
    ------
    InputError, OutputError
        Before anything is written.
    WriteError
        When the run fails; what is finished stays.
    """
    return write_planned(
        expansion,
        path,
        parts=parts,
        threads=threads,
        format=format,
        overwrite=overwrite,
        progress=progress,
        source_licence=None if source_licence is None else checked_licence(source_licence),
        attributes=[match(table, expansion.base) for table in read_attributes(items, users)],
    )


def write_planned(
    expansion: "Expansion",
    path: str | os.PathLike[str],
    *,
    parts: int | None = None,
    threads: int | None = None,
    format: ParquetOptions = DEFAULT_PARQUET,
    overwrite: bool = False,
    progress: bool = False,
    recipe: dict[str, Any] | None = None,
    source_licence: str | None = None,
    attributes: Sequence[Attributes] = (),
    say: Callable[[str], None] = lambda _: None,
) -> Dataset:
    """Write an expansion; see `write`.

    `recipe` says how its base, reduced matrix and cells were made, for the plan; `source_licence` is for the data card;
    `attributes` are those of its base; `say` is told what was found.
    """
    threads = resolve_threads(threads)
    cells = expansion.cells
    expansion.options.check_sources(cells.user_cell_size, cells.item_cell_size, [table.kind for table in attributes])
    plan = Plan.of(expansion, parts, format, recipe, source_licence, fingerprints(attributes))
    folder = Folder(Path(path))
    with ExitStack() as stack:
        existed = folder.path.is_dir()
        if existed:
            stack.enter_context(folder.locked())
        state, found, finished = _survey(folder, expansion, plan, format, threads, overwrite, attributes)
        if state == "complete":
            say(f"{folder.path} is complete already: nothing to do")
            return Dataset(path)
        # Another profile may ask for the same: what was begun is what is finished.
        kept = folder.plan() if state == "begun" else None
        private = _Private.of(expansion, plan) if kept is None else None
        # From here on something is written: what fails now is no refusal.
        try:
            if not existed:
                folder.path.mkdir(parents=True)
                stack.enter_context(folder.locked())
            if state == "other":
                folder.clear()
            folder.remove_unfinished()
            if found:
                say(f"{len(found)} of {plan.part_count * len(plan.splits)} files are finished already")
            if private is not None:
                private.write(folder)
            (folder.path / MANIFEST).unlink(missing_ok=True)
            plan = kept or plan
            for split in plan.splits:
                (folder.path / split).mkdir(exist_ok=True)
            made = _make_missing(folder, expansion, plan, format, found, threads, progress)
            folder.flush_names(plan.splits)
            manifest = _manifest(expansion, plan, found | made)
            if attributes:
                manifest["attributes"] = _make_attributes(
                    folder, expansion, plan, format, attributes, finished, progress, say
                )
            folder.write_text(CARD, data_card(plan, manifest))
            folder.write_json(MANIFEST, manifest)
        except OSError as error:
            raise WriteError(
                f"cannot write {error.filename or folder.path}: {error.strerror or error}",
                hint="what is finished stays; when the cause is gone, the same command goes on",
            ) from error
    return Dataset(path)


def check(
    expansion: "Expansion",
    path: str | os.PathLike[str],
    plan: Plan,
    format: ParquetOptions,
    threads: int,
    overwrite: bool,
    attributes: Sequence[Attributes] = (),
) -> None:
    """Refuse an output that `write` would refuse, and write nothing.

    Raises
    ------
    OutputError
        If the folder cannot be used for this plan, or its disk has too little room.
    """
    folder = Folder(Path(path))
    with folder.locked() if folder.path.is_dir() else nullcontext():
        _survey(folder, expansion, plan, format, threads, overwrite, attributes)


def fingerprints(attributes: Sequence[Attributes]) -> dict[str, str]:
    """Tell the plan what attributes there are."""
    return {table.kind: table.fingerprint for table in attributes}


def _survey(
    folder: Folder,
    expansion: "Expansion",
    plan: Plan,
    format: ParquetOptions,
    threads: int,
    overwrite: bool,
    attributes: Sequence[Attributes],
) -> tuple[_State, _Files, dict[str, FileReport]]:
    """Find out what is there and what is finished of it; refuse what cannot be written to or has too little room."""
    state = _compare(folder, plan, overwrite)
    found: _Files = {}
    finished: dict[str, FileReport] = {}
    if state == "begun":
        try:
            found = _find_finished(folder, plan, threads)
            finished = _find_attributes(folder, plan)
        except OutputError:
            if not overwrite:
                raise
            state, found = "other", {}
    if state != "complete":
        missing = [table for table in attributes if table.kind not in finished]
        more = sum(table.expected_bytes(expansion, format) for table in missing)
        kept = sum(file["bytes"] for file in (*found.values(), *finished.values()))
        _check_disk(folder, expansion, plan, format, found, more, kept)
    return state, found, finished


def _compare(folder: Folder, plan: Plan, overwrite: bool) -> _State:
    """Compare what is in the folder with the plan; refuse what is not ours, or may not be overwritten."""
    folder.check_ours()
    there, manifest = folder.plan(), folder.manifest()
    if there is not None:
        same, why = there.fingerprint == plan.fingerprint, "; ".join(there.differences(plan))
    elif manifest is not None:
        same, why = manifest["fingerprints"]["plan"] == plan.fingerprint, "its plan has been taken away"
    elif folder.is_half_deleted():
        same, why = False, "an interrupted overwrite has left some of its files"
    else:
        return "new"
    if not same:
        if not overwrite:
            raise other_plan(folder, why)
        return "other"
    complete = manifest is not None and all(
        _has_size(folder.path / part[split]["path"], part[split]["bytes"])
        for part in manifest["parts"]
        for split in plan.splits
    )
    complete = complete and all(
        _has_size(folder.path / file["path"], file["bytes"]) for file in (manifest or {}).get("attributes", {}).values()
    )
    return "complete" if complete else "begun"


def other_plan(folder: Folder, why: str) -> OutputError:
    """Say that a folder holds a data set that is not the one asked for."""
    return OutputError(
        f"{folder.path} holds a data set of another plan: {why}",
        hint="choose another folder, give the options of the first run, or overwrite it",
    )


def _has_size(file: Path, size: int) -> bool:
    return file.is_file() and file.stat().st_size == size


def _find_finished(folder: Folder, plan: Plan, threads: int) -> _Files:
    """Read every file that is there under its final name, once, and check that it is whole and of this plan."""
    there = [
        (part, split) for part in plan.parts() for split in plan.splits if (folder.path / part.file(split)).exists()
    ]
    with ThreadPoolExecutor(threads) as pool:
        reports = pool.map(lambda item: _inspect(folder.path / item[0].file(item[1]), _labels(plan, *item)), there)
        return {(part.index, split): report for (part, split), report in zip(there, reports, strict=True)}


def _find_attributes(folder: Folder, plan: Plan) -> dict[str, FileReport]:
    """Look for finished files of attributes as `_find_finished` does for parts."""
    files = {kind: folder.path / attribute_file(kind) for kind in plan.attributes}
    return {kind: _inspect(file, _attribute_labels(plan, kind)) for kind, file in files.items() if file.exists()}


def _inspect(file: Path, expected: Sequence[tuple[str, str]]) -> FileReport:
    try:
        labels, report = read_labelled(file)
    except (pa.ArrowException, OSError, KeyError, ValueError):
        raise _damaged(file) from None
    if any(labels.get(name) != value for name, value in expected):
        raise OutputError(
            f"{file} is a part of another plan",
            hint="delete it and run the same command again, or overwrite the whole data set",
        )
    return report


def _damaged(file: Path) -> OutputError:
    return OutputError(f"{file} is damaged", hint="delete it and run the same command again")


def _labels(plan: Plan, part: Part, split: str) -> Sequence[tuple[str, str]]:
    """What a part's file says of itself."""
    return (
        ("fractalrs.plan", plan.fingerprint),
        ("fractalrs.part", f"{part.index} of {part.of}"),
        ("fractalrs.split", split),
    )


def _attribute_labels(plan: Plan, kind: str) -> Sequence[tuple[str, str]]:
    return (("fractalrs.plan", plan.fingerprint), ("fractalrs.attributes", kind))


def expected_bytes(expansion: "Expansion", format: ParquetOptions) -> int:
    """Return how many bytes all files will have, from encoding a sample of the interactions."""
    users, interactions = expansion.shape[0], expansion.expected_interactions
    wanted = min(users, max(1, int(users * _SAMPLE_INTERACTIONS / max(1.0, interactions))))
    first = (users - wanted) // 2
    target: tuple[str, list[tuple[str, str]]] = ("sample", [])
    report = expansion.generator.run(
        [(0, first, first + wanted, target, target)],
        encoding=format.encoding,
        compression=format.compression,
        row_group_size=format.row_group_size,
        stage="encode",
        threads=1,
    )
    files = [file for part in report["parts"] for file in (part["train"], part["test"]) if file is not None]
    rows = sum(file["rows"] for file in files)
    return round(interactions * sum(file["bytes"] for file in files) / rows) if rows else 0


def _check_disk(
    folder: Folder, expansion: "Expansion", plan: Plan, format: ParquetOptions, found: _Files, more: int, kept: int
) -> None:
    """Refuse too little room for the missing parts and `more` bytes, where files of `kept` bytes stay."""
    total = expected_bytes(expansion, format)
    missing = 1 - len(found) / (plan.part_count * len(plan.splits))
    # Unfinished files, and those of another plan, make room.
    freed = folder.size() - kept
    hint = "free some, choose another disk, or lower the target, keep_scale or the multipliers"
    require_disk(folder.path, total * missing + more, hint, freed)


def memory_needed(expansion: "Expansion", format: ParquetOptions, threads: int) -> int:
    """Estimate the peak memory of generating and writing, in bytes.

    The base's arrays, the core's copy of them in the order of cells, and what each thread holds.
    """
    base = expansion.base
    arrays = base.indptr.nbytes + base.entries.nbytes + (0 if base.payload is None else base.payload.nbytes)
    if expansion.options.operator in ("dropout", "kronecker"):
        code_bytes = 2 if base.shape[1] <= 2**15 else 4
        arrays += base.indptr.nbytes + code_bytes * base.count
    if expansion.payload.fields:
        arrays += _SOURCE_BYTES * base.count
    if expansion.options.timestamps:
        arrays += _TIMELINE_BYTES * base.count
    # What is carried is held beside the ids, with its source.
    carried = 12 * len(expansion.payload.fields)
    return arrays + threads * (_THREAD_BYTES + (16 + carried) * format.row_group_size) + _PROCESS_BYTES


@dataclass(frozen=True)
class _Private:
    """What goes into ``private/``, all of it made before the first byte is written."""

    plan: str
    reduced: npt.NDArray[np.float64]
    signed: npt.NDArray[np.float64] | None
    cells: Cells
    statistics: dict[str, npt.NDArray[Any]]

    @classmethod
    def of(cls, expansion: "Expansion", plan: Plan) -> "_Private":
        signed = expansion.reduced.signed if expansion.options.operator == "kronecker" else None
        return cls(plan.to_json(), expansion.reduced.values, signed, expansion.cells, expansion_statistics(expansion))

    def write(self, folder: Folder) -> None:
        private = folder.begin_private()
        np.save(private / "reduced_matrix.npy", self.reduced)
        if self.signed is not None:
            np.save(private / "signed_matrix.npy", self.signed)
        self.cells.save(private / "cells.npz")
        np.savez(private / "base_statistics.npz", allow_pickle=False, **self.statistics)
        (private / "plan.json").write_bytes(self.plan.encode())
        folder.publish_private()


def read_reduced(private: Path) -> ReducedMatrix:
    """Read the reduced matrix from ``private/``: with its signed entries where the operator needed those.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    InputError
        If a file is damaged.
    """
    reduced, signed = ReducedMatrix.load(private / "reduced_matrix.npy"), private / "signed_matrix.npy"
    if not signed.exists():
        return reduced
    try:
        return replace(reduced, signed=np.load(signed, allow_pickle=False))
    except (ValueError, EOFError) as error:
        raise InputError(f"{signed} cannot be read: {error}") from None


def _make_missing(
    folder: Folder,
    expansion: "Expansion",
    plan: Plan,
    format: ParquetOptions,
    found: _Files,
    threads: int,
    progress: bool,
) -> _Files:
    missing = []
    for part in plan.parts():
        wanted = [split for split in plan.splits if (part.index, split) not in found]
        if wanted:
            train, test = (
                (folder.path / part.file(split), _labels(plan, part, split)) if split in wanted else None
                for split in ("train", "test")
            )
            missing.append((part.index, part.first, part.last, train, test))
    interactions = expansion.expected_interactions * len(missing) / plan.part_count
    with progress_bar(progress and bool(missing), interactions, len(missing)) as report:
        result = expansion.generator.run(
            missing,
            encoding=format.encoding,
            compression=format.compression,
            row_group_size=format.row_group_size,
            stage="flush",
            # A thread without a part would only take memory.
            threads=min(threads, max(1, len(missing))),
            progress=report,
        )
    return {
        (made["index"], split): file
        for made in result["parts"]
        for split, file in (("train", made["train"]), ("test", made["test"]))
        if file is not None
    }


def _make_attributes(
    folder: Folder,
    expansion: "Expansion",
    plan: Plan,
    format: ParquetOptions,
    attributes: Sequence[Attributes],
    finished: dict[str, FileReport],
    progress: bool,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Write the files of attributes that are missing; give what the manifest says of all of them."""
    described: dict[str, Any] = {}
    for table in attributes:
        name = attribute_file(table.kind)
        report = finished.get(table.kind)
        if report is None:
            say(f"writing {name}")
            with folder.whole(name) as temporary:
                labels = dict(_attribute_labels(plan, table.kind))
                report = table.write(temporary, expansion, format, labels, progress)
        described[table.kind] = {"path": name, **report, **table.counts}
    return described


def _manifest(expansion: "Expansion", plan: Plan, files: _Files) -> dict[str, Any]:
    """What is public of a data set: enough to read and check it, nothing that undoes the shuffle."""
    rows = {split: sum(files[part.index, split]["rows"] for part in plan.parts()) for split in plan.splits}
    base = plan.content["base"]
    return {
        "fractalrs": plan.content["fractalrs"],
        "generator": plan.content["generator"],
        "base_users": base["users"],
        "base_items": base["items"],
        "user_multiplier": plan.content["user_multiplier"],
        "item_multiplier": plan.content["item_multiplier"],
        "profile": plan.content["profile"],
        "shuffle": expansion.shuffle,
        "order": expansion.options.order,
        "operator": expansion.options.operator,
        "id_layout": LAYOUTS.get(expansion.options.operator, LAYOUTS["dropout"]),
        "schema": [
            {"name": field.name, "type": str(field.type)} | ({"nullable": True} if field.nullable else {})
            for field in expansion.schema
        ],
        "totals": {
            "train": rows["train"],
            "test": rows.get("test", 0),
            "interactions": sum(rows.values()),
            "bytes": sum(file["bytes"] for file in files.values()),
            "files": len(files),
        },
        "fingerprints": plan.content["fingerprints"],
        "parts": [
            {
                "users": [part.first, part.last],
                **{split: {"path": part.file(split), **files[part.index, split]} for split in plan.splits},
            }
            for part in plan.parts()
        ],
    }
