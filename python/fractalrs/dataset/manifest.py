"""The manifest: what is there, file by file, and what is public of a data set."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self, get_args

import pyarrow as pa

from fractalrs.base import Privacy
from fractalrs.dataset.layout import ATTRIBUTE_FILES, part_file, part_of
from fractalrs.errors import InputError
from fractalrs.tools import DAMAGE, RemotePath, Shown, sealed_json, untrusted
from fractalrs.words import SPLITS, Partition, Split

ELSEWHERE = "move the folder away, or choose another"
MIXTURE = "mixture"
"""What the manifest of a mixture says it is."""
FORMAT = 3
"""Number of what a data set's folder holds: 2 since digests are BLAKE3, 3 since all of it is sealed."""
_OURS = {"base_users", "user_multiplier", "parts", "totals", "fingerprints"}


@dataclass(frozen=True, repr=False)
class FileEntry(Shown):
    """A finished file: its path in the data set's folder, its rows and bytes, and their BLAKE3 digest in hex."""

    path: str
    rows: int
    bytes: int
    blake3: str


@dataclass(frozen=True, repr=False)
class AttributesEntry(FileEntry):
    """A file of attributes: ids of the base with and without attributes, and rows of the table that were of no use."""

    matched: int
    missing: int
    ignored: int


@dataclass(frozen=True, repr=False)
class PartEntry(Shown):
    """A part: the expanded users ``first`` to ``last`` (not included), and its files by split: one, or one a period."""

    first: int
    last: int
    files: Mapping[Split, tuple[FileEntry, ...]]


@dataclass(frozen=True, repr=False)
class Manifest(Shown):
    """What ``manifest.json`` says: enough to read and check a data set, nothing that undoes its shuffle.

    Attributes
    ----------
    fractalrs, generator
        Version of the program, number of the algorithm.
    base_users, base_items, user_multiplier, item_multiplier
        Shape of a block, and how many blocks there are.
    profile, shuffle, order, operator, id_order, id_layout
        What was expanded how, and what ids mean.
    partition
        By what periods of time files are divided; empty where they are not.
    schema
        The columns of train and test files.
    fingerprints
        That of the ``expansion`` and that of the ``plan``.
    parts
        In order of users.
    attributes
        Files of attributes by ``"items"`` and ``"users"``.
    warnings
        How much of the source was dropped before it was expanded, and why, where that is much.
    privacy
        What a private base promises of the source's people; None where the base was the real one.
    card
        The BLAKE3 digest, in hex, of the data card that was written beside it.
    """

    fractalrs: str
    generator: int
    base_users: int
    base_items: int
    user_multiplier: int
    item_multiplier: int
    profile: str
    shuffle: str
    order: str
    operator: str
    id_order: str
    id_layout: str
    schema: pa.Schema
    fingerprints: Mapping[str, str]
    parts: tuple[PartEntry, ...]
    attributes: Mapping[str, AttributesEntry]
    warnings: tuple[str, ...] = ()
    partition: Partition | None = None
    privacy: Privacy | None = None
    card: str | None = None

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """All files, those of attributes last."""
        of_parts = (file for part in self.parts for files in part.files.values() for file in files)
        return (*of_parts, *self.attributes.values())

    @property
    def totals(self) -> dict[str, int]:
        """Counts of each split and of all ``interactions``, of ``bytes`` and of ``files`` of interactions.

        ``train`` and ``test`` are there in any case, ``valid`` where there are files of it.
        """
        files = [(split, file) for part in self.parts for split, some in part.files.items() for file in some]
        splits = [split for split in SPLITS if split != "valid" or any(of == split for of, _ in files)]
        rows: dict[str, int] = {split: sum(file.rows for of, file in files if of == split) for split in splits}
        more = {"bytes": sum(file.bytes for _, file in files), "files": len(files)}
        return {**rows, "interactions": sum(rows.values()), **more}

    def to_json(self) -> str:
        """Return the text of ``manifest.json``."""
        content: dict[str, Any] = {"format": FORMAT} | {name: getattr(self, name) for name in _HEAD}
        content["schema"] = described_schema(self.schema)
        content |= {"totals": self.totals, "fingerprints": dict(self.fingerprints)}
        content["parts"] = [
            {"users": [part.first, part.last], **{split: self._described(of) for split, of in part.files.items()}}
            for part in self.parts
        ]
        if self.attributes:
            content["attributes"] = {name: asdict(file) for name, file in self.attributes.items()}
        if self.warnings:
            content["warnings"] = list(self.warnings)
        if self.partition:
            content["partition"] = self.partition
        if self.privacy:
            content["privacy"] = self.privacy.described()
        return sealed_json(content | ({"card": self.card} if self.card else {}))

    def _described(self, files: tuple[FileEntry, ...]) -> Any:
        """Return one file, or of a partition a list of them, as JSON has it."""
        described = [asdict(file) for file in files]
        return described if self.partition else described[0]

    @classmethod
    def from_json(cls, text: bytes, file: Path | RemotePath, hint: str | None = None) -> Self:
        """Read the text of a manifest; refuse one that is damaged or contradicts itself, with what is wrong in it."""
        content = json_object(text, file, _OURS, hint)
        check_format(content, file)
        try:
            manifest = cls._of(content)
            wrong = manifest.contradiction({name: plain(content["totals"], name, int, 0) for name in content["totals"]})
        except WrongError as error:
            wrong = str(error)
        except DAMAGE:
            wrong = "its parts are not described as they should be"
        if wrong is not None:
            raise InputError(f"{file} is damaged: {wrong}", hint=hint)
        return manifest

    @classmethod
    def _of(cls, content: dict[str, Any]) -> Self:
        head = {name: plain(content, name, kind) for name, kind in _HEAD.items()}
        partition = content.get("partition")
        if partition is not None and partition not in get_args(Partition):
            raise WrongError(f"partition is {partition!r}")

        count = len(content["parts"])

        def entries(files: Any, number: int, split: Split) -> tuple[FileEntry, ...]:
            found = tuple(_entry(FileEntry, file) for file in (files if partition else [files]))
            for file in found:
                # No path leads out of the folder.
                if part_of(file.path) != (part_file(number, count, split), partition or "", number, count):
                    raise WrongError(f"the path {file.path!r} is not that of a file of part {number}")
            return found

        parts = tuple(
            PartEntry(first, last, {split: entries(part[split], number, split) for split in SPLITS if split in part})
            for number, part in enumerate(content["parts"])
            for first, last in [part["users"]]
        )
        attributes = {name: _entry(AttributesEntry, file) for name, file in content.get("attributes", {}).items()}
        for name, file in attributes.items():
            if file.path != ATTRIBUTE_FILES.get(name):
                raise WrongError(f"the path {file.path!r} is not that of attributes of {name}")
        schema = schema_of(content["schema"])
        prints = {name: str(content["fingerprints"][name]) for name in ("expansion", "plan")}
        warnings = texts("warnings", content.get("warnings", ()))
        found: dict[str, Any] = {"parts": parts, "attributes": attributes}
        promised = content.get("privacy")
        found |= {"warnings": warnings, "partition": partition}
        found |= {"privacy": None if promised is None else Privacy.read(promised)}
        found |= {"card": plain(content, "card", str) if "card" in content else None}
        return cls(**head, schema=schema, fingerprints=prints, **found)

    def contradiction(self, totals: dict[str, int]) -> str | None:
        """Return what contradicts itself, if anything does."""
        if not {"user_id", "item_id"} <= set(self.schema.names):
            return "its schema has no user_id or item_id"
        end = 0
        for part in self.parts:
            if not end == part.first <= part.last:
                return f"a part has the users from {part.first} after one that ends with {end}"
            if (
                part.files.keys() != self.parts[0].files.keys()
                or "train" not in part.files
                or not all(part.files.values())
            ):
                return f"the part from user {part.first} lacks a file"
            end = part.last
        users = self.user_multiplier * self.base_users
        if end != users:
            return f"its parts have {end:,} users instead of {users:,}"
        found = self.totals
        for split in (split for split in SPLITS if split in found):
            if found[split] != totals[split]:
                return f"its parts have {found[split]:,} {split} interactions, its totals {totals[split]:,}"
        adds_up = found["interactions"] == totals["interactions"] and found["files"] <= totals["files"]
        return None if adds_up else "its totals do not add up"


_HEAD: dict[str, Any] = {field.name: field.type for field in fields(Manifest) if field.type in (int, str)}
"""The plain values, in the order of the file."""


class WrongError(ValueError):
    """What is wrong with a value, in the user's words."""


def json_object(text: bytes, file: Path | RemotePath, names: set[str], hint: str | None) -> dict[str, Any]:
    """Read a JSON object; refuse what is none by a hint of the caller's, and one that lacks names as not ours."""
    with untrusted(file, hint, "cannot be read"):
        content = json.loads(text)
    if isinstance(content, dict) and content.get("kind") == MIXTURE:
        raise InputError(f"{file} is that of a mixture of real and synthetic interactions", "read its train/*.parquet")
    if isinstance(content, dict) and "simulation" in content:
        raise InputError(
            f"{file} is that of a log of fractalrs simulate", "fractalrs expand takes such a log as SOURCE"
        )
    if not isinstance(content, dict) or not content.keys() >= names:
        raise InputError(f"{file} is not one of ours", ELSEWHERE)
    return content


def check_format(content: Mapping[str, Any], file: Path | RemotePath) -> None:
    """Refuse what another version wrote in another format."""
    if (there := content.get("format", 1)) != FORMAT:
        raise InputError(
            f"{file} is of format {there!r}, this version reads and writes format {FORMAT}",
            hint="read it with the version that wrote it, or move the folder away and write the data set again",
        )


def plain(content: Mapping[str, Any], name: str, kind: Any, least: int = 1) -> Any:
    """Return a value of a JSON object; refuse one of another type, or too small a number."""
    if name not in content:
        raise WrongError(f"it has no {name}")
    if type(content[name]) is not kind or (kind is int and content[name] < least):
        raise WrongError(f"{name} is {content[name]!r}")
    return content[name]


def texts(name: str, value: Any) -> tuple[str, ...]:
    """Return a list of texts of a JSON object as a tuple; refuse anything else."""
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise WrongError(f"{name} is {value!r}")
    return tuple(value)


def _entry(kind: type[Any], content: dict[str, Any]) -> Any:
    for field in fields(kind):
        if field.name not in content:
            raise WrongError(f"a file has no {field.name}")
        if type(content[field.name]) is not field.type:
            raise ValueError(field.name)
    return kind(**content)


def type_of(name: str) -> pa.DataType:
    """Return the Arrow type that Arrow writes so."""
    unit, _, zone = name.removeprefix("timestamp[").removesuffix("]").partition(", tz=")
    if zone:
        return pa.timestamp(unit, zone)
    return pa.date32() if name == "date32[day]" else pa.type_for_alias(name)


def described_schema(schema: pa.Schema) -> list[dict[str, Any]]:
    """Return the columns of a schema as plain JSON values."""
    return [
        {"name": field.name, "type": str(field.type)} | ({"nullable": True} if field.nullable else {})
        for field in schema
    ]


def schema_of(columns: list[dict[str, Any]]) -> pa.Schema:
    """Return the schema of what `described_schema` made."""
    return pa.schema(
        pa.field(column["name"], type_of(column["type"]), nullable=column.get("nullable", False)) for column in columns
    )
