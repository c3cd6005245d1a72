"""Beginning a data set: the private files come first, once and whole, whoever begins and however often."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fractalrs.dataset.division import DIVISION, divided
from fractalrs.dataset.folder import Folder
from fractalrs.dataset.plans import Plan
from fractalrs.dataset.private import GUARDS, Private, files_beside, lost_files
from fractalrs.dataset.survey import require_ours
from fractalrs.errors import InputError, WriteError
from fractalrs.tools import Place, Store, visible

logger = logging.getLogger(__name__)

Begun = tuple[Private, list[str]] | None
"""Private files to be written, and which of those that are there are damaged."""


@contextmanager
def failures(store: Store) -> Iterator[None]:
    """From here on something is written: what fails now is no refusal."""
    try:
        yield
    except (OSError, WriteError) as error:
        if isinstance(error, OSError):
            message = f"cannot write {error.filename or store.path}: {error.strerror or error}"
        else:
            # The core says it in its own words.
            message = error.message
        hint = "what is finished stays; when the cause is gone, the same command goes on"
        if isinstance(error, WriteError) and error.hint is not None:
            hint = error.hint
        raise WriteError(visible(message), hint) from error


def missing_private(folder: Folder, plan: Plan, *, anew: bool = False, look: bool = True) -> Begun:
    """Return the private files where any of them is missing or, to whoever looks, damaged, and what those are called.

    `anew` they are all written.
    """
    if anew or folder.plan is None:
        return Private.of(plan), []
    # What is put into an object store is checked there; to look at it would be to fetch it.
    if folder.has_private and not (look and isinstance(folder.store.path, Path)):
        return None
    lost = lost_files(folder.store, plan)
    if lost and folder.files.keys() & {*lost}:
        logger.warning(f"warning: made again, as it was missing or damaged: {', '.join(lost)}")
    return (Private.of(plan), lost) if lost else None


def begin(store: Store, plan: Plan, private: Begun, begun: bool) -> bool:
    """Write the private files, before any part; another process may do the same at this moment."""
    if begun:
        require_ours(store, plan)
    if private is None:
        return False
    made, lost = private
    try:
        made.write(store, begun, lost)
    except FileExistsError:
        require_ours(store, plan)
        made.write(store, begun=True)
    return True


def begun_plan(path: Place) -> Plan:
    """Return the plan of a data set that was begun, as far as `finish` needs it: the source is not.

    Raises
    ------
    InputError
        If nothing was begun there, another version began it, or attributes of the source have still to be written.

    Examples
    --------
    >>> import tempfile
    >>> import fractalrs as fr
    >>> from fractalrs.dataset import begun_plan
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> plan = fr.plan(fr.Expansion(base, [[0.5, 0.9]]), parts=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for part in plan.parts:
    ...         entry = fr.write_part(plan, part.index, folder)
    ...     dataset = fr.finish(begun_plan(folder), folder)
    """
    folder = Folder.read(path)
    place = folder.store.path
    if folder.plan is None:
        hint = "begin one there: fractalrs expand SOURCE OUTPUT --part-range 0:0"
        raise InputError(f"{place} holds no data set that was begun", hint)
    hint = "give the command that began it again, with --part-range 0:0"
    if lacking := sorted({*GUARDS, *files_beside(folder.plan)} - folder.files.keys()):
        raise InputError(f"{place} lacks {', '.join(lacking)}", hint)
    if lost := [name for name in lost_files(folder.store, folder.plan) if name != DIVISION]:
        raise InputError(f"{place}/{lost[0]} is damaged", hint)
    with folder.store.open(DIVISION) as file:
        return divided(folder.plan, file.read(), str(place))
