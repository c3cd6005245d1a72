"""What a manifest says: made of a plan and of what is known of files, and compared with what stands in the folder."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from fractalrs.dataset.contrast import flat
from fractalrs.dataset.dataset import Dataset
from fractalrs.dataset.division import DIVISION, check_division
from fractalrs.dataset.folder import Folder, units
from fractalrs.dataset.layout import MANIFEST, Part
from fractalrs.dataset.manifest import AttributesEntry, FileEntry, Manifest, PartEntry
from fractalrs.dataset.plans import Plan
from fractalrs.dataset.survey import Finished
from fractalrs.tools import FileReport, read_object
from fractalrs.words import Split

_SHOWN = 4
"""So many claims that are false are named."""


def false_claims(dataset: Dataset) -> list[str]:
    """Return what ``manifest.json`` says otherwise than the plan, or where there is none, than itself: a few points.

    Rows, bytes and digests of files are those of the manifest: who reads the files compares them.
    """
    store = dataset.store
    with store.open(MANIFEST) as file:
        there = read_object(file.read(), store.path / MANIFEST)
    plan, expected = Folder.read(store).plan, dataset.manifest
    if plan is not None:
        with store.open(DIVISION) as file:
            plan = check_division(plan, file.read(), store.path / DIVISION)
        files = {one.path: report_of(one) for one in expected.files}
        try:
            made = manifest_of(plan, files, expected.attributes)
        except KeyError as error:
            return [f"{MANIFEST} lacks {error.args[0]}"]
        expected = replace(made, card=expected.card)
    said, planned = flat(there), flat(json.loads(expected.to_json()))
    wrong = [name for name in said | planned if name != "seal" and said.get(name) != planned.get(name)]
    return [f"{MANIFEST} says {name} {said.get(name)}, it is {planned.get(name)}" for name in wrong[:_SHOWN]]


def report_of(file: FileEntry) -> FileReport:
    """Return what a manifest says of a file."""
    return {"rows": file.rows, "bytes": file.bytes, "blake3": file.blake3}


def manifest_of(plan: Plan, files: Finished, attributes: Mapping[str, AttributesEntry]) -> Manifest:
    """Return what is public of a data set: enough to read and check it, nothing that undoes the shuffle."""
    return Manifest(
        fractalrs=plan.fractalrs,
        generator=plan.generator,
        base_users=plan.base.users,
        base_items=plan.base.items,
        user_multiplier=plan.user_multiplier,
        item_multiplier=plan.item_multiplier,
        profile=plan.profile,
        shuffle=plan.options.shuffle,
        order=plan.options.order,
        operator=plan.options.operator,
        id_order=plan.options.id_order,
        id_layout=plan.options.id_layout,
        schema=plan.division.schema,
        fingerprints={"expansion": plan.expansion_fingerprint, "plan": plan.fingerprint},
        parts=tuple(part_entries(plan.parts, plan.splits, files)),
        partition=plan.partition,
        attributes=attributes,
        warnings=plan.base.warnings,
        privacy=plan.base.privacy,
    )


def part_entries(parts: Sequence[Part], splits: Sequence[Split], files: Finished) -> Iterator[PartEntry]:
    """Return what a manifest says of parts, of whose files so much is known."""
    there = units(files)
    for part in parts:
        names = {split: there[part.file(split)] for split in splits}
        entries = {split: tuple(FileEntry(name, **files[name]) for name in some) for split, some in names.items()}
        yield PartEntry(part.first, part.last, entries)
