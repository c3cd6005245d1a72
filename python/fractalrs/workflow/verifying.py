"""Whether every byte of a data set is what was written; and made again, from its source, where it is not."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fractalrs.base import Base
from fractalrs.dataset import Plan, Verification, folder_of, match, matrices_of, repair_files, saved_base, verify_files
from fractalrs.errors import InputError, OutputError
from fractalrs.expansion import SAVED, Expansion, operator_named, shuffle_named
from fractalrs.reading import read_attributes
from fractalrs.tools import Place, Progress, Store, as_progress, check_kind, resolve_threads, store_of, suggests
from fractalrs.workflow.sources import base_planned


@suggests
def verify(
    path: Place,
    *,
    repair: bool = False,
    source: Any = None,
    item_attributes: Any = None,
    user_attributes: Any = None,
    threads: int | None = None,
    progress: bool | Progress = False,
) -> Verification:
    """Compare every byte of a complete data set with what was written: parts, attributes, card, manifest, ``private/``.

    Nothing is decoded: it takes as long as the disk takes to read.

    Parameters
    ----------
    path
        Its folder or URL.
    repair
        Make what is damaged or missing again, byte for byte as it was, and leave the rest as it is.
    source
        What it is made again from: the source, which is read as the plan says; a saved expansion, or its folder. A data
        set of a private base has its own.
    item_attributes, user_attributes
        Where files of attributes were written: what they were made of, to make them again.
    threads
        By default as many as this process may use.
    progress
        Show progress on stderr when that is a terminal, or by a `Progress` of your own.

    Returns
    -------
    Verification
        `Verification.holds` is the verdict; `Verification.faults` are the files with what to do about each.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    InputError
        If it holds no complete data set, or the source is not the one that it was made of.
    OutputError, WriteError
        If it cannot be repaired.

    Examples
    --------
    >>> import tempfile
    >>> import fractalrs as fr
    >>> expansion = fr.Expansion(fr.leave_last_out(fr.sample_interactions(60, 40, 600)), [[0.5, 0.9]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     part = fr.write(expansion, folder, parts=2).path / "train/part-00001-of-00002.parquet"
    ...     part.write_bytes(b"")
    ...     found = fr.verify(folder)
    ...     mended = fr.verify(folder, repair=True, source=expansion)
    0
    >>> found.holds, found.faults[0].file, mended.holds
    (False, 'train/part-00001-of-00002.parquet', True)
    """
    check_kind("repair", repair, bool, "True or False")
    threads, shown, store = resolve_threads(threads), as_progress(progress), store_of(path)
    if not repair:
        if source is not None:
            raise InputError("source is given, and nothing is to be repaired", hint="say repair=True (--repair)")
        return verify_files(store, threads, shown)
    plan = _plan(store)
    expansion = _expansion(store.path, path, plan, source)
    tables = [match(table, expansion.base) for table in read_attributes(item_attributes, user_attributes)]
    for table in tables:
        if plan.attribute_fingerprints.get(kind := table.side.plural) != table.fingerprint:
            option = f"{kind.removesuffix('s')}_attributes"
            raise InputError(
                f"the attributes of {kind} are not those that were written", hint=f"give {option}, as then"
            )
    return repair_files(replace(plan, made_of=expansion, attributes=tuple(tables)), store, threads, shown)


def _plan(store: Store) -> Plan:
    """Return the plan that is there; refuse one that is missing, damaged or another data set's."""
    folder, faults = folder_of(store)
    if folder.plan is not None and not faults:
        return folder.plan
    if faults:
        found = f"{store.path}/{faults[0].file} {faults[0].what}"
        if folder.plan is not None:
            raise OutputError(found, hint="put its own back")
        raise InputError(found, hint="take it from a copy: it cannot be made again")
    raise InputError(f"{store.path} has no private/plan.json: nothing can be made again", "repair it where it was made")


def _expansion(place: Any, path: Place, plan: Plan, source: Any) -> Expansion:
    """Return the expansion of a plan, from its source or as it was saved; refuse another."""
    if operator_named(plan.options.operator).is_function and not isinstance(source, Expansion):
        raise InputError(f"{place} was made by a function", hint="give the expansion: source=expansion")
    if isinstance(source, Expansion):
        made = source
    elif isinstance(source, str | Path) and (Path(source) / SAVED).is_file():
        made = Expansion.load(source)
    else:
        base = _base(path, plan, source)
        if base.fingerprint != plan.base.fingerprint:
            raise InputError(
                f"these interactions are not those that {place} was expanded from",
                hint="name that source; it is read and split as the plan says",
            )
        reduced, cells = matrices_of(store_of(path), plan)
        kept = cells if shuffle_named(plan.options.shuffle).takes_cells else None
        made = Expansion(base, reduced, profile=plan.profile, cells=kept, **asdict(plan.options))
    if made.fingerprint != plan.expansion_fingerprint:
        raise InputError(f"this expansion is not the one of {place}", hint="give the one that it was written of")
    return made


def _base(path: Place, plan: Plan, source: Any) -> Base:
    if plan.base.privacy is not None:
        return saved_base(store_of(path))
    if source is None:
        raise InputError(
            "no source is given, and nothing can be made again without",
            hint="give source=SOURCE (--source SOURCE): what the data set was expanded from, or a saved expansion",
        )
    return base_planned(source, plan, store_of(path).path)
