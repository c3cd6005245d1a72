"""Giving a data set away: the folder with everything that others need, and nothing that must stay at home."""

import logging
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from fractalrs._core import digest_file
from fractalrs.dataset import (
    CARD,
    MANIFEST,
    Dataset,
    FileEntry,
    Manifest,
    Private,
    Published,
    checked_licence,
    data_card,
)
from fractalrs.errors import InputError, OutputError, WriteError
from fractalrs.reading import MADE_UP
from fractalrs.tools import (
    Digest,
    Place,
    Progress,
    ProgressCallback,
    RemotePath,
    Store,
    as_path,
    as_progress,
    read_object,
    require_disk,
    require_place,
    suggests,
    unwritten,
    whole_folder,
)
from fractalrs.words import SPLITS
from fractalrs.workflow.page import page_text

logger = logging.getLogger(__name__)

GUESSED = 1 << 32
"""Smaller seeds are tried out in hours."""


@suggests
def publish(
    dataset: Dataset | Place,
    destination: str | os.PathLike[str],
    *,
    source_name: str | None = None,
    source_licence: str | None = None,
    licence_link: str | None = None,
    report: Any = None,
    audit: Any = None,
    with_seed: bool = False,
    with_attributes: bool = False,
    progress: bool | Progress = False,
) -> Dataset:
    """Make the folder of a data set that may be given away: without ``private/``, checked, with a card for others.

    Parameters
    ----------
    dataset
        A complete data set, its folder or URL, where it was made: with ``private/``.
    destination
        Folder to make. Files are hard links where that can be, else copies: leave them as they are. What is in an
        object store is fetched into a temporary folder first.
    source_name, source_licence, licence_link
        What the card says of the source: ``"MovieLens 20M"``; its licence, by default the one given when the data set
        was made; and the address of that.
    report
        A report of `fractalrs.validate`, or the JSON file that ``fractalrs validate --json`` printed: the card shows
        its numbers, those of the real data too.
    audit
        A report of `fractalrs.audit` of this data set, or the JSON file that ``fractalrs audit --json`` printed: the
        card says what was found.
    with_seed
        Tell the seed. With it and the source anybody can make the data set again, and undo its shuffles.
    with_attributes
        Give files of attributes away too: they name the source's own ids.
    progress
        Show progress.

    Raises
    ------
    InputError
        If the data set is not complete, is damaged, or the report is not of it.
    OutputError
        If `destination` exists, or cannot be made.
    WriteError
        If it fails midway; nothing is left.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     dataset = fr.write(fr.Expansion(base, [[0.5, 0.9]], seed=2**60 + 7), f"{folder}/out")
    ...     given = fr.publish(dataset, f"{folder}/public", source_name="A sample")
    ...     sorted(file.name for file in given.path.iterdir())
    ['README.md', 'manifest.json', 'test', 'train']
    """
    made = dataset if isinstance(dataset, Dataset) else Dataset(dataset)
    target = as_path("destination", destination).absolute()
    _check_place(made.place, target)
    private = _private_of(made, with_seed)
    told = Published(
        source_name=_line("source_name", source_name),
        licence=private.plan.source_licence if source_licence is None else checked_licence(source_licence),
        licence_link=_line("licence_link", licence_link),
        made_up=_says_made_up(made.store),
        recipe=page_text(private, with_seed=with_seed),
        report=_report_of(report, made),
        audit=_audit_of(audit, made),
    )
    manifest = made.manifest if with_attributes else replace(made.manifest, attributes={})
    if made.attributes and not with_attributes:
        logger.info(f"left out: {', '.join(file.path for file in made.attributes.values())}, which name source ids")
    with made.store.local([file.path for file in manifest.files]) as here:
        card = data_card(private.plan, manifest, told)
        manifest = replace(manifest, card=Digest([card.encode()]).hex())
        _write(here, made, target, manifest, card, as_progress(progress))
    return Dataset(target)


def _write(here: Path, made: Dataset, target: Path, manifest: Manifest, card: str, progress: Progress) -> None:
    """Make the folder, all of it or nothing."""
    size = _require_room(here, target, manifest)
    task = progress.task("publishing", size, len(manifest.files))
    try:
        with whole_folder(target) as staged, task as done:
            _take(here, made.place, staged, manifest.files, done)
            (staged / CARD).write_bytes(card.encode())
            (staged / MANIFEST).write_bytes(manifest.to_json().encode())
    except OSError as error:
        raise unwritten(target, error, True) from error


def _private_of(dataset: Dataset, with_seed: bool) -> Private:
    """Return ``private/``; warn of a seed that whoever has the source can try out."""
    private = Private.of_store(dataset.store)
    if private is None:
        raise InputError(f"{dataset.place} has no private/plan.json", hint="publish it where it was made; else copy it")
    plan = private.plan
    # Shuffles of a private base hide nothing.
    if plan.options.seed < GUESSED and not with_seed and plan.base.privacy is None:
        logger.warning(
            f"the seed is {plan.options.seed}: whoever has the source can guess it and undo the shuffles; "
            "a random 64-bit seed cannot be guessed"
        )
    return private


def _check_place(source: Path | RemotePath, target: Path) -> None:
    if os.path.lexists(target):
        raise OutputError(f"{target} exists already", hint="choose a new folder")
    if isinstance(source, Path) and source.resolve() in (target.resolve(), *target.resolve().parents):
        raise OutputError(f"{target} is inside the data set {source.absolute()}", hint="choose a folder outside it")
    require_place(target)


def _require_room(source: Path, target: Path, manifest: Manifest) -> int:
    """Return how many bytes there are; refuse too little room, where they are to be copied."""
    size = sum(file.bytes for file in manifest.files)
    beside = next(parent for parent in target.parents if parent.exists())
    if source.stat().st_dev != beside.stat().st_dev:
        # On one disk they are links, which take no room.
        require_disk(target, size, "free some, or choose another folder")
    return size


def _line(name: str, text: str | None) -> str | None:
    """Return a text as one line that a card can show."""
    if text is None:
        return None
    line = " ".join(text.split()) if isinstance(text, str) else ""
    if not line or not line.isprintable():
        raise InputError(f"{name} is {text!r}; it must be readable text", hint="leave it out, or write it in words")
    return line


def _says_made_up(store: Store) -> bool:
    if not store.sizes([CARD]):
        return False
    with store.open(CARD) as card:
        return MADE_UP in card.read().decode(errors="replace")


def _take(
    source: Path, place: Path | RemotePath, target: Path, files: tuple[FileEntry, ...], done: ProgressCallback
) -> None:
    """Link or copy files, each checked against its size and digest in the manifest; `place` is where they are from."""
    taken = 0
    for number, file in enumerate(files, 1):
        there, here = source / file.path, target / file.path
        if not there.is_file() or there.stat().st_size != file.bytes or digest_file(there) != file.blake3:
            raise InputError(
                f"{place / file.path} is not what the manifest says",
                hint="delete the file and run the command that made the data set again",
            )
        here.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):
            # Across file systems, and on those that know none, there are no links.
            os.link(there, here, follow_symlinks=True)
        if not here.exists():
            shutil.copyfile(there, here)
            if digest_file(here) != file.blake3:
                raise WriteError(f"{here} was not copied as it is", "nothing is left of it")
        taken += file.bytes
        done(taken, number)


def _report_of(report: Any, dataset: Dataset) -> Mapping[str, Any] | None:
    """Return what a report says; refuse one of another data set."""
    if report is None:
        return None
    told = _content_of("report", report, _PRINTED)
    if not {"subject", "failures", "metrics"} <= told.keys():
        raise InputError("the report has no subject, failures and metrics", hint=_PRINTED)
    there = {split: dataset.totals[split] for split in SPLITS if split in dataset.totals}
    found = {split: told["subject"].get(split) for split in there}
    if found != there:
        raise InputError(f"the report is of another data set: it has {found}, this one {there}", hint=_PRINTED)
    return told


def _audit_of(audit: Any, dataset: Dataset) -> Mapping[str, Any] | None:
    """Return what an audit says; refuse one of another data set."""
    if audit is None:
        return None
    told = _content_of("audit", audit, _AUDITED)
    if dataset.manifest.privacy is not None:
        raise InputError(
            "an audit of a private base tells of the real data beyond its epsilon",
            hint="leave the audit out: it stays home",
        )
    if not {"expansion", "verdict", "findings", "not_tried"} <= told.keys():
        raise InputError("the audit has no expansion, verdict, findings and not_tried", hint=_AUDITED)
    if told["expansion"] != dataset.manifest.fingerprints["expansion"]:
        raise InputError("the audit is of another data set", hint=_AUDITED)
    return told


def _content_of(name: str, given: Any, hint: str) -> Mapping[str, Any]:
    """Return the values of a report, from itself or from a file."""
    content = given.to_dict() if hasattr(given, "to_dict") else given
    if isinstance(content, Mapping):
        return content
    file = as_path(name, given)
    return read_object(file.read_bytes(), file, hint, f"is no {name}")


_AUDITED = "make it: fractalrs audit OUTPUT --source SOURCE --json > audit.json"
_PRINTED = "make it: fractalrs validate OUTPUT --json > report.json"
