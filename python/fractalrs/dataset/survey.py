"""What a run finds where it is to write, and what it will take: everything that can be refused is refused here."""

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

from fractalrs._core import VERSION
from fractalrs.dataset.folder import Folder, units
from fractalrs.dataset.layout import FILES, PLAN, Part
from fractalrs.dataset.manifest import ELSEWHERE
from fractalrs.dataset.plans import Plan
from fractalrs.errors import InputError, OutputError
from fractalrs.expansion import operator_named
from fractalrs.tools import (
    DAMAGE,
    FileReport,
    Place,
    Store,
    busy,
    check_kind,
    free_addresses,
    free_memory,
    readable,
    resolve_threads,
    store_of,
)

Finished = Mapping[str, FileReport]
"""Files that are whole and of a plan, by name."""
State = Literal["new", "begun", "complete", "other"]
"""Nothing; files of the same plan, all of them or not; or a data set of another plan, to be overwritten."""

logger = logging.getLogger(__name__)

_THREAD_BYTES = 100 << 20
"""Column tables and a tile of one thread at most, or its addresses; what it holds of interactions comes on top."""
_TABULATED_ITEMS = 2**23
"""Of more, numbers are not tabulated; the core has the same bound."""
_RUN_BYTES = 28
"""Of items of one column block that are alike popular: where they begin, and what sorts them."""
_SOURCE_BYTES = 4
"""Of an entry: where it stands in the base, if anything is carried."""
_TIMELINE_BYTES = 12
"""Of an entry: its time, and where it may go."""
_LARGE_HOURS, _LARGE_BYTES = 1.0, 100e9
"""From so many hours of one core, or bytes, on more than one machine is advisable."""
_SURELY = 0.25
"""Of what a thread may hold of interactions; measured were 0.3 and more, and 8 MB and less with little of them."""
_PROCESS_BYTES = 200 << 20
"""The interpreter and its libraries."""


@dataclass(frozen=True)
class Survey:
    """What is there, compared with a plan: the plan that goes on, and what is finished of it."""

    folder: Folder
    state: State
    plan: Plan
    finished: Finished


@dataclass(frozen=True)
class Forecast:
    """What writing a plan will take.

    Attributes
    ----------
    parts, bytes
        Number of parts, and about how many bytes the files of all will have.
    attributes
        For each file of attributes, by ``"items"`` and ``"users"``: its bytes, and what was matched.
    memory_bytes, free_disk_bytes
        About how much memory it takes, and how much disk is free.
    core_hours
        About how long one core of this machine takes to make all of it, by a sample that was made just now.
    """

    parts: int
    bytes: int
    attributes: Mapping[str, Mapping[str, int]]
    memory_bytes: int
    free_disk_bytes: int
    core_hours: float

    @property
    def advice(self) -> str | None:
        """What to do about a size that is for several machines."""
        if self.core_hours < _LARGE_HOURS and self.bytes < _LARGE_BYTES:
            return None
        return (
            f"large: {readable(self.bytes)} in {self.core_hours:.3g} hours of one core, and a disk or a network that "
            f"takes them; several machines can each make a range of the {self.parts:,} parts (--part-range), and "
            "`fractalrs finish` comes last"
        )


def forecast(plan: Plan, path: Place, *, threads: int | None = None, overwrite: bool = False) -> Forecast:
    """Return what writing a plan will take; refuse what writing would refuse, and write nothing.

    Parameters
    ----------
    plan, path, threads, overwrite
        As for `fractalrs.write`.

    Raises
    ------
    OutputError
        If the folder cannot be used for this plan, or its disk has too little room.

    Examples
    --------
    >>> import fractalrs as fr
    >>> from fractalrs.dataset import forecast
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> forecast(fr.plan(fr.Expansion(base, [[0.5]]), parts=3), "not-there-yet").parts
    3
    """
    check_kind("plan", plan, Plan, "a Plan")
    threads, store = resolve_threads(threads), store_of(path)
    if store.is_locked():
        raise busy(store)
    survey(store, plan, threads, overwrite)
    sizes = plan.expected_attribute_bytes
    return Forecast(
        plan.part_count,
        plan.expected_bytes,
        {table.side.plural: {"bytes": sizes[table.name], **table.counts} for table in plan.attributes},
        _memory_needed(plan, threads),
        store.free(),
        float(f"{plan.core_hours:.2g}"),
    )


def survey(store: Store, plan: Plan, threads: int, overwrite: bool = False) -> Survey:
    """Find out what is there and what is finished of it; refuse what cannot be written to or has too little room."""
    folder = Folder.ours(store)
    state = compare(folder, plan, overwrite)
    finished: Finished = {}
    if state == "begun":
        try:
            finished = find_finished(folder, plan, plan.files, threads)
        except OutputError:
            if not overwrite:
                raise
            state = "other"
    if state == "begun" and folder.plan is not None:
        # Another profile may have begun the same.
        plan = replace(folder.plan, made_of=plan.made_of, attributes=plan.attributes, divided=plan.divided)
    if state != "complete":
        _check_disk(folder, plan, finished, threads)
        if plan.made_of is not None:
            threads_in_memory(plan, 1, missing_parts(plan, plan.parts, finished))
    return Survey(folder, state, plan, finished)


def compare(folder: Folder, plan: Plan, overwrite: bool = False) -> State:
    """Compare what is in a folder with a plan; refuse what may not be overwritten."""
    there, manifest = folder.plan, folder.manifest
    if there is not None:
        same, why = there.fingerprint == plan.fingerprint, there.differences(plan)
        if same and there.settled != plan.settled:
            damaged = f"{folder.store.path / PLAN} is damaged, its fingerprint is of other values"
            raise OutputError(f"{damaged}: {why}", ELSEWHERE)
    elif manifest is not None:
        same, why = manifest.fingerprints["plan"] == plan.fingerprint, "its plan has been taken away"
    elif folder.is_half_deleted:
        same, why = False, "an interrupted overwrite has left some of its files"
    else:
        return "new"
    if same:
        return "complete" if folder.is_complete else "begun"
    if not overwrite:
        raise other_plan(folder.store, why, there)
    return "other"


def require_ours(store: Store, plan: Plan) -> None:
    """Refuse to go on where another plan has taken a folder over; only where there are no locks can it."""
    try:
        with store.open(PLAN) as file:
            there = Plan.from_json(file.read(), store.path / PLAN)
    except (FileNotFoundError, InputError):
        raise other_plan(store, "another run has deleted what there was") from None
    if there.fingerprint != plan.fingerprint:
        raise other_plan(store, there.differences(plan), there)


def other_plan(store: Store, why: str, there: Plan | None = None) -> OutputError:
    """Return the refusal of a folder that holds a data set that is not the one asked for, maybe another version's."""
    hint = "choose another folder, give the options it was made with, or replace it by overwrite=True"
    if there is not None and there.fractalrs != VERSION:
        hint = f"go on with fractalrs {there.fractalrs}, or choose another folder"
    return OutputError(f"{store.path} holds a data set that was made otherwise: {why}", hint)


def find_finished(folder: Folder, plan: Plan, names: Iterable[str], threads: int) -> Finished:
    """Read every one of these files that is there, once; refuse one that is not whole, or not of this plan."""
    there = units(folder.files)
    found = [(unit, name) for unit in names if unit in there for name in there[unit]]
    with ThreadPoolExecutor(threads) as pool:
        reports = [*pool.map(lambda one: _inspect(folder.store, one[0], one[1], plan), found)]
    # Of the files of some periods others may be missing.
    whole = {unit: count for (unit, _), (count, _) in zip(found, reports, strict=True)}
    return {
        name: report
        for (unit, name), (_, report) in zip(found, reports, strict=True)
        if plan.partition is None or whole[unit] in (None, len(there[unit]))
    }


def _inspect(store: Store, unit: str, name: str, plan: Plan) -> tuple[int | None, FileReport]:
    """Read a file; return of how many it is one, where its part's are divided by periods, and what is known of it."""
    hint = "delete it and run the same command again"
    try:
        labels, report = store.known(name)
    except PermissionError as error:
        message = f"{store.path / name} cannot be read: {error.strerror}"
        raise OutputError(message, "change its permissions: it may be whole") from None
    except DAMAGE:
        raise OutputError(f"{store.path / name} is damaged", hint) from None
    if any(labels.get(label) != value for label, value in plan.files[unit]):
        hint += ", or replace the whole data set by overwrite=True"
        raise OutputError(f"{store.path / name} is a part of a data set that was made otherwise", hint)
    return int(labels[FILES]) if FILES in labels else None, report


def _check_disk(folder: Folder, plan: Plan, finished: Finished, threads: int) -> None:
    """Refuse too little room for what is missing; unfinished files, and those of another plan, make room."""
    sizes = plan.expected_attribute_bytes
    parts = plan.files.keys() - sizes.keys()
    missing = 1 - len(parts & units(finished).keys()) / len(parts)
    more = sum(size for name, size in sizes.items() if name not in finished)
    freed = sum(folder.files.values()) - sum(file["bytes"] for file in finished.values())
    hint = "free some, choose another disk, or lower the target, keep_scale or the multipliers"
    # What was read from a folder to finish it writes no part.
    of_parts = 0 if plan.divided else plan.expected_bytes
    piece = max(of_parts / plan.part_count, *sizes.values(), 0)
    folder.store.require_room(of_parts * missing + more, freed, piece, threads, hint)


def _memory_needed(plan: Plan, threads: int) -> int:
    """Return about how much memory generating and writing takes at most, in bytes.

    The base's arrays, the core's copy of them in the order of cells, and what each thread holds.
    """
    expansion, base = plan.expansion, plan.expansion.base
    arrays = base.indptr.nbytes + base.entries.nbytes + (0 if base.payload is None else base.payload.nbytes)
    if operator_named(expansion.options.operator).keeps_entries:
        code_bytes = 2 if base.shape[1] <= 2**15 else 4
        arrays += base.indptr.nbytes + code_bytes * base.count
    if expansion.payload.fields:
        arrays += _SOURCE_BYTES * base.count
    if expansion.options.timestamps:
        arrays += _TIMELINE_BYTES * base.count
    arrays += _numbering_bytes(plan)
    return arrays + threads * _thread_memory(plan) + _PROCESS_BYTES


def _numbering_bytes(plan: Plan) -> int:
    """Return how many bytes items' numbers take at most where they do not go by blocks: tables both ways, and runs."""
    expansion, order = plan.expansion, plan.expansion.options.id_order
    if order == "block":
        return 0
    items, (p, q) = expansion.shape[1], expansion.base.shape
    tables = 2 * 4 * items if items <= _TABULATED_ITEMS else 0
    if order == "scrambled":
        return tables
    # Mean degrees lie between 1 / q and p, at 32 levels from any number to twice that, beside 0.
    levels = min(q, 32 * (p.bit_length() + q.bit_length()) + 1)
    return tables + 4 * 4 * q + _RUN_BYTES * levels * (items // q)


def _thread_memory(plan: Plan) -> int:
    """Return about how many bytes a thread that writes parts holds at most, and takes of addresses."""
    return _THREAD_BYTES + _held_memory(plan)


def _held_memory(plan: Plan) -> int:
    """Return about how many bytes of interactions a thread that writes parts holds at most."""
    # What is carried is held beside the ids, with its source.
    carried = 12 * len(plan.expansion.payload.fields)
    held = min(plan.parquet.row_group_size, 2 * round(plan.expansion.expected_interactions / plan.part_count))
    if plan.partition is not None:
        # All of a part, in vectors that may be twice as long.
        held += 2 * round(plan.expansion.expected_interactions / plan.part_count)
    return (16 + carried) * held


def missing_parts(plan: Plan, parts: Iterable[Part], finished: Finished) -> int:
    """Return of how many of these parts a file is not finished."""
    there = units(finished)
    return sum(any(part.file(split) not in there for split in plan.splits) for part in parts)


def threads_in_memory(plan: Plan, threads: int, missing: int) -> int:
    """Return how many of so many threads can write what is missing, of so many parts, in the memory that is free.

    What a thread takes at most says how many; one is refused only where what it surely takes is not free.
    """
    threads, most = min(threads, max(1, missing)), _thread_memory(plan)
    free, addresses = free_memory(), free_addresses()
    if not missing or free is None:
        return threads
    least, room = _SURELY * _held_memory(plan), free
    if addresses is not None and addresses < most:
        # Of addresses a thread reserves all that it may come to take.
        least, room = most, addresses
    if least > room:
        what = f"a thread that writes parts takes about {readable(least)} of memory, and {readable(room)} are free"
        hint = "free some, or allow more"
        if room > least - _held_memory(plan):
            hint += f", or make it anew with {_smaller(plan)}"
        raise InputError(what, hint)
    fitting = max(1, min(threads, free // most))
    if fitting < threads:
        advice = f"; with {_smaller(plan)} more can" if free // _THREAD_BYTES > fitting else ""
        warning = f"{fitting} of {threads} threads write parts: more would take more memory than is free"
        logger.warning(f"warning: {warning}{advice} (--threads {fitting} asks for no more)")
    return fitting


def _smaller(plan: Plan) -> str:
    """Return what makes a thread hold fewer interactions."""
    return "more --parts" if plan.partition is not None else "a smaller --row-group-size or more --parts"
