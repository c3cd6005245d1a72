"""Writing a data set: private files first, parts in any order, the manifest last; resumable at every point."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fractalrs._core import VERSION, digest_file
from fractalrs.dataset.beginning import begin, failures, missing_private
from fractalrs.dataset.card import data_card
from fractalrs.dataset.claims import manifest_of, part_entries
from fractalrs.dataset.dataset import Dataset
from fractalrs.dataset.folder import Folder, missing_files, units
from fractalrs.dataset.layout import CARD, DEFAULT_PARQUET, MANIFEST, ParquetOptions, Part, part_file
from fractalrs.dataset.manifest import AttributesEntry, Manifest, PartEntry
from fractalrs.dataset.plans import Plan, plan, whole_index
from fractalrs.dataset.survey import (
    Finished,
    Survey,
    compare,
    find_finished,
    missing_parts,
    require_ours,
    survey,
    threads_in_memory,
)
from fractalrs.errors import InputError, OutputError, WriteError
from fractalrs.expansion import Expansion
from fractalrs.tools import (
    SILENT,
    Digest,
    Place,
    Progress,
    Store,
    as_progress,
    check_kind,
    resolve_threads,
    store_of,
    suggests,
)
from fractalrs.words import SPLITS, Partition, Split

logger = logging.getLogger(__name__)

_Target = tuple[Path, list[tuple[str, str]]] | None


@suggests
def write(
    expansion: Expansion,
    path: Place,
    *,
    parts: int | None = None,
    threads: int | None = None,
    parquet: ParquetOptions = DEFAULT_PARQUET,
    partition: Partition | None = None,
    overwrite: bool = False,
    progress: bool | Progress = False,
    source_licence: str | None = None,
    item_attributes: Any = None,
    user_attributes: Any = None,
) -> Dataset:
    """Write the expanded data set; the same call on an unfinished one writes what is missing.

    It is `plan`, `write_part` of every part on threads, and `finish`.

    Parameters
    ----------
    expansion
        What to write.
    path
        Folder of the data set. It may not hold anything else.
    parts
        Number of parts, of equally many expected interactions; by default 128 of 1 to 16 million, as far as they go.
    threads
        Generating threads; by default as many as this process may use.
    parquet
        How Parquet files are encoded.
    partition
        ``"week"``, ``"month"`` or ``"day"``: a file of each such period of time, in a folder like
        ``train/week=2015-W03``; it needs timestamps. By default files are not divided.
    overwrite
        Delete a data set of another plan first. Only files of ours are deleted.
    progress
        Show progress on stderr when that is a terminal.
    source_licence
        What the data card says of the source's licence.
    item_attributes, user_attributes
        Attributes of the source's items and users, which are written for every expanded id too: a path or a table
        in memory. They need cells of one member.

    Raises
    ------
    InputError, OutputError
        Before anything is written.
    WriteError
        When the run fails; what is finished stays.

    Examples
    --------
    >>> import tempfile
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fr.write(fr.Expansion(base, [[0.5, 0.9]]), folder, parts=2).shape
    (60, 80)
    """
    attributes = {"item_attributes": item_attributes, "user_attributes": user_attributes}
    made = plan(
        expansion, parts=parts, parquet=parquet, partition=partition, source_licence=source_licence, **attributes
    )
    return write_plan(made, path, threads=threads, overwrite=overwrite, progress=progress)


def write_plan(
    plan: Plan, path: Place, *, threads: int | None = None, overwrite: bool = False, progress: bool | Progress = False
) -> Dataset:
    """Write all parts of a plan that are missing, and finish it; see `write`."""
    check_kind("plan", plan, Plan, "a Plan")
    threads, store, progress = resolve_threads(threads), store_of(path), as_progress(progress)
    store.check()
    if not store.list():
        # What can be refused is refused before there is a folder.
        survey(store, plan, threads, overwrite)
    with store.locked():
        found = survey(store, plan, threads, overwrite)
        if found.state == "complete":
            # It may have been taken away.
            private = None if found.folder.plan is None else missing_private(found.folder, found.plan)
            with failures(store):
                mended = private is not None and begin(store, found.plan, private, begun=True)
            store.clear()
            logger.info(
                "%s is complete already: %s", store.path, "private/ is whole again" if mended else "nothing to do"
            )
            return Dataset(store, found.folder.manifest)
        missing = missing_parts(found.plan, found.plan.parts, found.finished)
        makers = threads_in_memory(found.plan, threads, missing)
        private = missing_private(found.folder, found.plan, anew=found.state == "other")
        with failures(store):
            if found.state == "other":
                found.folder.clear()
            store.clear()
            if found.finished:
                logger.info("%s of %s files are finished already", len(found.finished), len(found.plan.files))
            begin(store, found.plan, private, found.state == "begun" and found.folder.plan is not None)
            store.delete([MANIFEST])
            made = make_parts(store, found.plan, found.plan.parts, found.finished, makers, progress)
            return complete(store, found.plan, {**found.finished, **made}, makers if missing else threads, progress)


def write_part(plan: Plan, part: int, path: Place) -> PartEntry:
    """Write one part of a plan, if it is not there yet; any processes at once may write any parts.

    Parameters
    ----------
    plan
        From `plan`. To send it to another process save its expansion first.
    part
        Number of the part, from 0.
    path
        Folder of the data set, the same for all parts.

    Returns
    -------
    PartEntry
        The part's users and files.

    Raises
    ------
    InputError, OutputError
        Before anything is written.
    WriteError
        When it fails; calling again is all it takes.

    Examples
    --------
    >>> import tempfile
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> plan = fr.plan(fr.Expansion(base, [[0.5, 0.9]]), parts=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for part in plan.parts:
    ...         entry = fr.write_part(plan, part.index, folder)
    ...     dataset = fr.finish(plan, folder)
    >>> entry.first, entry.last
    (30, 60)
    """
    check_kind("plan", plan, Plan, "a Plan")
    number = whole_index("part", part)
    if not 0 <= number < plan.part_count:
        raise InputError(f"part is {part}; it must be one of the plan's, 0 to {plan.part_count - 1}")
    return write_parts(plan, range(number, number + 1), path, threads=1)[0]


def write_parts(
    plan: Plan, parts: range, path: Place, *, threads: int | None = None, progress: bool | Progress = False
) -> tuple[PartEntry, ...]:
    """Write some parts of a plan as `write_part` does each, on threads; the empty range claims the folder for the plan.

    Examples
    --------
    >>> import tempfile
    >>> import fractalrs as fr
    >>> from fractalrs.dataset import write_parts
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> plan = fr.plan(fr.Expansion(base, [[0.5, 0.9]]), parts=4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [part.last for part in write_parts(plan, range(1, 3), folder)]
    [30, 45]
    """
    check_kind("plan", plan, Plan, "a Plan")
    threads, store, progress = resolve_threads(threads), store_of(path), as_progress(progress)
    if parts and not 0 <= parts.start <= parts[-1] < plan.part_count:
        asked = f"the parts {parts.start} to {parts[-1]} are asked for"
        raise InputError(f"{asked}; they must be the plan's, 0 to {plan.part_count - 1}")
    wanted = plan.parts[parts.start : parts.stop]
    names = [part.file(split) for part in wanted for split in plan.splits]
    store.check()
    folder = Folder.glance(store, plan, names)
    if compare(folder, plan) == "complete" and folder.manifest is not None:
        return folder.manifest.parts[parts.start : parts.stop]
    finished = find_finished(folder, plan, names, threads)
    if missing := len({*names} - units(finished).keys()):
        size = plan.expected_bytes * missing / (plan.part_count * len(plan.splits))
        piece = plan.expected_bytes / plan.part_count
        store.require_room(size, 0, piece, threads, "free some; what is finished stays")
    makers = threads_in_memory(plan, threads, missing_parts(plan, wanted, finished))
    private = missing_private(folder, plan, look=not parts)
    with failures(store), store.locked(shared=True):
        if (now := Folder.glance(store, plan, names)) != folder:
            compare(now, plan)
            folder, finished = now, find_finished(now, plan, names, threads)
            private = missing_private(folder, plan, look=not parts)
        store.clear()
        begin(store, plan, private, folder.plan is not None)
        made = make_parts(store, plan, wanted, finished, makers, progress)
    return tuple(part_entries(wanted, plan.splits, {**finished, **made}))


@suggests
def finish(plan: Plan, path: Place, *, threads: int | None = None, progress: bool | Progress = False) -> Dataset:
    """Complete a data set whose parts are written: read them, write attributes and the card, and last the manifest.

    Parameters
    ----------
    plan, path
        As for `write_part`.
    threads, progress
        As for `write`.

    Raises
    ------
    OutputError
        If parts are missing (names them) or damaged.
    WriteError
        When it fails; calling again is all it takes.

    Examples
    --------
    See `write_part`.
    """
    check_kind("plan", plan, Plan, "a Plan")
    threads, store, progress = resolve_threads(threads), store_of(path), as_progress(progress)
    found = _survey_whole(store, plan, threads)
    if found.state == "complete":
        store.clear()
        return Dataset(store, found.folder.manifest)
    with failures(store), store.locked(shared=True):
        if Folder.ours(store) != found.folder:
            found = _survey_whole(store, plan, threads)
            if found.state == "complete":
                return Dataset(store, found.folder.manifest)
        private = missing_private(found.folder, found.plan)
        store.clear()
        begin(store, found.plan, private, found.folder.plan is not None)
        return complete(store, found.plan, found.finished, threads, progress)


def _survey_whole(store: Store, plan: Plan, threads: int) -> Survey:
    """Look at all files of a plan; refuse a folder that lacks parts."""
    found = survey(store, plan, threads)
    if missing := missing_files(plan, found.finished, attributes=False) if found.state != "complete" else "":
        hint = "write them: fractalrs expand with --part-range FIRST:LAST, or fractalrs.write_part(plan, part, path)"
        raise OutputError(f"the data set in {store.path} cannot be finished: it lacks {missing}", hint)
    return found


def make_parts(
    store: Store,
    plan: Plan,
    parts: Sequence[Part],
    finished: Finished,
    threads: int,
    progress: Progress,
    expected: Manifest | None = None,
) -> Finished:
    """Write the files of parts that are not finished, and return what is known of them.

    Where a manifest is expected, what comes out otherwise is refused before it is seen.
    """
    expansion, periods, there = plan.expansion, plan.periods, units(finished)
    known = {file.path: file.blake3 for file in expected.files} if expected is not None else {}
    with store.staging() as staging:

        def target(part: Part, split: Split) -> _Target:
            name = part.file(split)
            wanted = split in plan.splits and name not in there
            return (staging.path(name), plan.files[name]) if wanted else None

        def publish() -> None:
            # The core flushes files before it takes them out of hiding.
            if names := staging.finished():
                require_ours(store, plan)
            for name in names:
                if expected is not None:
                    made = digest_file(staging.path(name))
                    _require_same(store, expected, name, known.get(name, "nothing"), made)
                staging.publish(name, flushed=True)

        def job(part: Part) -> tuple[int, int, int, _Target, _Target, _Target]:
            train, valid, test = (target(part, split) for split in SPLITS)
            return part.index, part.first, part.last, train, valid, test

        jobs = [wanted for part in parts if any((wanted := job(part))[3:])]
        interactions = expansion.expected_interactions * len(jobs) / plan.part_count
        encoding: dict[str, Any] = asdict(plan.parquet)
        if periods is not None:
            encoding["periods"] = periods.starts.tolist(), [*periods.folders]
        made, done = list[Any](), 0
        with (progress if jobs else SILENT).task("expanding", interactions, len(jobs)) as report:

            def passed(interactions: int, parts: int) -> None:
                publish()
                report(done + interactions, len(made) + parts)

            for some in staging.rounds(jobs, threads):
                try:
                    result = expansion.generator.run(some, stage="flush", threads=threads, progress=passed, **encoding)
                finally:
                    publish()
                made += result["parts"]
                done += sum(_rows(part[split]) for part in result["parts"] for split in SPLITS)
    found: dict[str, Any] = {}
    for part in made:
        for split in SPLITS:
            files: Any = part[split] or {}
            of_folders = {"": files} if files and periods is None else files
            found |= {part_file(part["index"], plan.part_count, split, name): one for name, one in of_folders.items()}
    return found


def _rows(files: Any) -> int:
    """Return how many interactions a file, or the files of a part's periods, have."""
    return sum(one["rows"] for one in ([files] if "rows" in files else files.values())) if files else 0


def complete(
    store: Store, plan: Plan, files: Finished, threads: int, progress: Progress, expected: Manifest | None = None
) -> Dataset:
    """Write what comes after the parts: attributes, the card, and the manifest.

    Where a manifest is expected, attributes that are not at hand are those of it, and what comes out otherwise is
    refused before it is seen.
    """
    attributes = {} if expected is None else {**expected.attributes}
    for table in plan.attributes:
        report = files.get(table.name)
        if report is None:
            logger.info("writing %s", table.name)
            with store.staging() as staging:
                path, labels = staging.path(table.name), dict(plan.files[table.name])
                report = table.write(path, plan.expansion, plan.parquet, labels, progress, threads)
                if expected is not None:
                    _require_same(store, expected, table.name, attributes[table.side.plural].blake3, report["blake3"])
                require_ours(store, plan)
                staging.publish(table.name)
        attributes[table.side.plural] = AttributesEntry(table.name, **report, **table.counts)
    manifest = manifest_of(plan, files, attributes)
    require_ours(store, plan)
    card = data_card(plan, manifest).encode()
    manifest = replace(manifest, card=Digest([card]).hex())
    if expected is not None:
        _require_same(store, expected, CARD, expected.card, manifest.card)
    store.put(CARD, card)
    require_ours(store, plan)
    store.put(MANIFEST, manifest.to_json().encode())
    return Dataset(store, manifest)


def _require_same(store: Store, expected: Manifest, name: str, wanted: str | None, made: str | None) -> None:
    if wanted not in (None, made):
        hint = "expand it anew into another folder"
        if expected.fractalrs != VERSION:
            hint = f"repair it with fractalrs {expected.fractalrs}, or {hint}"
        raise WriteError(f"{store.path / name} came out otherwise than fractalrs {expected.fractalrs} wrote it", hint)
