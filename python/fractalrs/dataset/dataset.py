"""A data set on disk: two Parquet data sets, train and test, and their manifest."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset

from fractalrs.dataset.folder import MANIFEST, Folder
from fractalrs.dataset.manifest import FileEntry, PartEntry
from fractalrs.dataset.plan import Plan, attribute_file
from fractalrs.errors import InputError
from fractalrs.words import SPLITS, Split

SHOWN_RUNS = 4
"""Of an incomplete data set so many runs of missing parts are named."""


class Dataset:
    """A complete expanded data set.

    Attributes
    ----------
    path : pathlib.Path
        Its folder.
    manifest : dict
        What ``manifest.json`` says: shape, schema, generator number, files with rows, bytes and SHA-256, totals.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise FileNotFoundError(f"{self.path} does not exist or is not a folder")
        folder = Folder(self.path)
        manifest = folder.manifest()
        if manifest is None:
            plan = folder.plan()
            if plan is None:
                raise InputError(f"{self.path} is not a data set of fractalrs: it has no {MANIFEST}")
            raise InputError(
                f"the data set in {self.path} is not complete: it lacks {_missing(self.path, plan)}",
                hint="run the command that began it again",
            )
        wrong = _damage(manifest)
        if wrong is not None:
            again = "delete it, and give the command that made the data set again"
            raise InputError(
                f"{self.path / MANIFEST} is damaged: {wrong}", hint=again if folder.plan() is not None else None
            )
        self.manifest: dict[str, Any] = manifest

    @property
    def shape(self) -> tuple[int, int]:
        """Expanded user ids m·p and item ids n·q."""
        content = self.manifest
        return (
            content["user_multiplier"] * content["base_users"],
            content["item_multiplier"] * content["base_items"],
        )

    @property
    def block_shape(self) -> tuple[int, int]:
        """Users p and items q of a block: those of the base."""
        return self.manifest["base_users"], self.manifest["base_items"]

    @property
    def multipliers(self) -> tuple[int, int]:
        """User multiplier m and item multiplier n."""
        return self.manifest["user_multiplier"], self.manifest["item_multiplier"]

    @property
    def profile(self) -> str:
        """The profile that it was made with."""
        return str(self.manifest["profile"])

    @property
    def shuffle(self) -> str:
        """The name of its shuffle."""
        return str(self.manifest["shuffle"])

    @property
    def operator(self) -> str:
        """The name of its operator."""
        return str(self.manifest["operator"])

    @property
    def order(self) -> str:
        """How a user's interactions follow each other."""
        return str(self.manifest["order"])

    @property
    def schema(self) -> pa.Schema:
        """The columns of train and test files, as the manifest has them."""
        return pa.schema(
            pa.field(column["name"], _type(column["type"]), nullable=column.get("nullable", False))
            for column in self.manifest["schema"]
        )

    @property
    def parts(self) -> tuple[PartEntry, ...]:
        """The parts in order of users, each with its files."""
        return tuple(
            PartEntry(*part["users"], {split: FileEntry(**part[split]) for split in SPLITS if split in part})
            for part in self.manifest["parts"]
        )

    @property
    def splits(self) -> tuple[Split, ...]:
        """Train and test, or train alone where nothing is held out."""
        return tuple(split for split in SPLITS if split in self.manifest["parts"][0])

    def files(self, split: Split) -> list[FileEntry]:
        """Return the files of a split, in order of users."""
        return [part.files[split] for part in self.parts if split in part.files]

    @property
    def totals(self) -> dict[str, int]:
        """Counts of ``train``, ``test`` and all ``interactions``, of ``bytes`` and of ``files``."""
        return dict(self.manifest["totals"])

    @cached_property
    def train(self) -> pa.dataset.Dataset:
        """Train interactions: ``user_id``, ``item_id``, and what they carry."""
        return self._files("train")

    @cached_property
    def test(self) -> pa.dataset.Dataset:
        """Test interactions: the same columns; without rows where nothing is held out."""
        return self._files("test")

    @cached_property
    def items(self) -> pa.dataset.Dataset | None:
        """Attributes: ``item_id``, ``source_item_id``, ``item_block`` and more; None where none were given."""
        return self._attributes("items")

    @cached_property
    def users(self) -> pa.dataset.Dataset | None:
        """Attributes: ``user_id``, ``source_user_id``, ``user_block`` and more; None where none were given."""
        return self._attributes("users")

    def _attributes(self, kind: str) -> pa.dataset.Dataset | None:
        file = self.manifest.get("attributes", {}).get(kind)
        return None if file is None else pa.dataset.dataset(str(self.path / file["path"]), format="parquet")

    def _files(self, split: Split) -> pa.dataset.Dataset:
        files = [str(self.path / file.path) for file in self.files(split)]
        return pa.dataset.dataset(files, schema=self.schema, format="parquet")

    def __repr__(self) -> str:
        users, items = self.shape
        totals = self.totals
        return (
            f"Dataset({str(self.path)!r}: {users:,} users × {items:,} items, "
            f"{totals['train']:,} train and {totals['test']:,} test interactions)"
        )


def _damage(manifest: dict[str, Any]) -> str | None:
    """Say what in a manifest contradicts itself."""
    for name in ("user_multiplier", "item_multiplier", "base_users", "base_items"):
        if type(manifest.get(name)) is not int or manifest[name] < 1:
            return f"{name} is {manifest.get(name)!r}"
    for name in ("fractalrs", "generator", "profile", "shuffle", "order", "operator"):
        if name not in manifest:
            return f"it has no {name}"
    try:
        if not {"user_id", "item_id"} <= {column["name"] for column in manifest["schema"] if column["type"]}:
            return "its schema has no user_id or item_id"
        files = [part[split] for part in manifest["parts"] for split in ("train", "test") if split in part]
        for name in ("path", "rows", "bytes", "sha256"):
            if not all(name in file for file in files):
                return f"a file has no {name}"
        totals, end = manifest["totals"], 0
        for part in manifest["parts"]:
            first, last = part["users"]
            if not end == first <= last:
                return f"a part has the users from {first} after one that ends with {end}"
            end = last
        users = manifest["user_multiplier"] * manifest["base_users"]
        if end != users:
            return f"its parts have {end:,} users instead of {users:,}"
        for split in ("train", "test"):
            rows = sum(part[split]["rows"] for part in manifest["parts"] if split in part)
            if rows != totals[split]:
                return f"its parts have {rows:,} {split} interactions, its totals {totals[split]:,}"
        if totals["interactions"] != totals["train"] + totals["test"] or totals["files"] < len(files):
            return "its totals do not add up"
    except (KeyError, TypeError, ValueError):
        return "its parts are not described as they should be"
    return None


def _missing(path: Path, plan: Plan) -> str:
    """Name the files of a plan that are not there, parts by their numbers."""
    missing = []
    for split in plan.splits:
        parts = [part.index for part in plan.parts() if not (path / part.file(split)).exists()]
        if parts:
            missing.append(f"{split} {'part' if len(parts) == 1 else 'parts'} {_runs(parts)} of {plan.part_count}")
    missing += [file for file in map(attribute_file, plan.attributes) if not (path / file).exists()]
    return "; ".join(missing) or MANIFEST


def _runs(numbers: Sequence[int]) -> str:
    """Write numbers that rise as runs, the first few of them: 3, 5-9 and 12 more."""
    runs = np.split(np.asarray(numbers), np.flatnonzero(np.diff(numbers) > 1) + 1)
    shown = ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs[:SHOWN_RUNS])
    more = sum(map(len, runs[SHOWN_RUNS:]))
    return f"{shown} and {more} more" if more else shown


def _type(name: str) -> pa.DataType:
    """Read the name of an Arrow type as Arrow writes it."""
    unit, _, zone = name.removeprefix("timestamp[").removesuffix("]").partition(", tz=")
    if zone:
        return pa.timestamp(unit, zone)
    return pa.date32() if name == "date32[day]" else pa.type_for_alias(name)


def open_dataset(path: str | os.PathLike[str]) -> Dataset:
    """Open a complete data set.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    InputError
        If the folder holds no complete data set.
    """
    return Dataset(path)
