"""The plan: what is generated and how it is written, as plain values with a fingerprint."""

import dataclasses
import hashlib
import json
import math
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fractalrs import _core
from fractalrs.errors import InputError

if TYPE_CHECKING:
    from fractalrs.expansion.expansion import Expansion

PART_INTERACTIONS = 16_000_000
"""About how many expected interactions a part has by default."""

MAX_ROW_GROUP = 1 << 24
"""A row group is held in memory, and written between two looks at Ctrl-C."""


@dataclass(frozen=True)
class ParquetOptions:
    """How Parquet files are encoded.

    Parameters
    ----------
    encoding
        ``"default"``: read by everything in use, Spark 3.5 included; or ``"fast"``: item ids split by bytes, quicker
        to write, not read by Spark before 4.3 and other readers that lack BYTE_STREAM_SPLIT for integers.
    compression
        ``"none"``, ``"lz4"``, ``"snappy"``, ``"zstd"`` or ``"zstd(LEVEL)"``.
    row_group_size
        Interactions a row group.
    """

    encoding: str = "default"
    compression: str = "lz4"
    row_group_size: int = 1 << 20

    def __post_init__(self) -> None:
        """Check the values before anything is written."""
        try:
            _core.check_parquet_options(self.encoding, self.compression)
        except ValueError as error:
            raise InputError(str(error)) from None
        if not 1 <= self.row_group_size <= MAX_ROW_GROUP:
            raise InputError(f"row_group_size is {self.row_group_size}; it must be from 1 to {MAX_ROW_GROUP}")


DEFAULT_PARQUET = ParquetOptions()


@dataclass(frozen=True)
class Part:
    """The k-th of P contiguous ranges of expanded users: users ``first`` to ``last`` (not included)."""

    index: int
    of: int
    first: int
    last: int

    def file(self, split: str) -> str:
        """Name the part's file of one split, relative to the data set's folder."""
        return part_file(split, self.index, self.of)


def part_file(split: str, index: int, of: int) -> str:
    """Name the file of part `index` of `of`."""
    return f"{split}/part-{index:05d}-of-{of:05d}.parquet"


def attribute_file(kind: str) -> str:
    """Name the file of attributes of ``"items"`` or ``"users"``."""
    return f"{kind}.parquet"


def user_ranges(users: int, count: int) -> list[tuple[int, int]]:
    """Cut `users` into `count` contiguous ranges: the k-th from ⌊k·users/count⌋ to ⌊(k+1)·users/count⌋."""
    return [(k * users // count, (k + 1) * users // count) for k in range(count)]


@dataclass(frozen=True)
class Plan:
    """Everything the bytes of a data set depend on, in plain JSON values.

    `content` holds no clock, no host and no path; its fingerprint is that of the interactions (``expansion``) together
    with that of the files (parts, encoding, compression, row groups, writer version, the licence on the card).
    """

    content: dict[str, Any]

    @classmethod
    def of(
        cls,
        expansion: "Expansion",
        parts: int | None,
        format: ParquetOptions,
        recipe: dict[str, Any] | None,
        source_licence: str | None = None,
        attributes: dict[str, str] | None = None,
    ) -> "Plan":
        """Resolve what is to be written.

        Parameters
        ----------
        expansion
            What to write.
        parts
            Number of parts, or None for the default, which depends on the expansion only.
        format
            Encoding of the files.
        recipe
            How base, reduced matrix and cells were made, where that is known.
        source_licence
            The source's licence as the data card names it, where it is known.
        attributes
            Fingerprints of the attributes of ``"items"`` and ``"users"`` that are written too.
        """
        base = expansion.base
        users = expansion.shape[0]
        if parts is None:
            parts = min(users, max(1, math.ceil(expansion.expected_interactions / PART_INTERACTIONS)))
        parts = operator.index(parts)
        if not 1 <= parts <= users:
            raise InputError(f"parts is {parts}; it must be from 1 to the number of expanded users, {users}")
        writing = {"parts": parts, **dataclasses.asdict(format)}
        whole = {
            "expansion": expansion.fingerprint,
            "writing": writing,
            "source_licence": source_licence,
            "writer": _core.VERSION,
        }
        if attributes:
            whole["attributes"] = attributes
        content = {
            "fractalrs": _core.VERSION,
            "generator": _core.GENERATOR,
            "base": {
                "users": base.shape[0],
                "items": base.shape[1],
                "train": base.train_count,
                "test": base.test_count,
                "split": base.split,
                "fingerprint": base.fingerprint,
            },
            "splits": ["train", "test"] if expansion.has_test else ["train"],
            "user_multiplier": expansion.reduced.shape[0],
            "item_multiplier": expansion.reduced.shape[1],
            "profile": expansion.profile,
            "options": dataclasses.asdict(expansion.options),
            "user_cell_size": expansion.cells.user_cell_size,
            "item_cell_size": expansion.cells.item_cell_size,
            "reduced": expansion.reduced.description,
            "recipe": recipe,
            "writing": writing,
            "source_licence": source_licence,
            "fingerprints": {"expansion": expansion.fingerprint, "plan": _fingerprint(whole)},
        }
        if attributes:
            content["attributes"] = attributes
        # As it is read back: JSON has no tuples.
        return cls(json.loads(json.dumps(content)))

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of everything the files depend on."""
        return str(self.content["fingerprints"]["plan"])

    @property
    def part_count(self) -> int:
        """Number of parts P."""
        return int(self.content["writing"]["parts"])

    @property
    def attributes(self) -> dict[str, str]:
        """Fingerprints of the attributes of ``"items"`` and ``"users"``, as far as there are any."""
        return dict(self.content.get("attributes", {}))

    @property
    def splits(self) -> tuple[str, ...]:
        """``("train", "test")``, or ``("train",)`` where nothing is held out."""
        return tuple(self.content["splits"])

    def parts(self) -> Iterator[Part]:
        """List the parts: the k-th has the users from ⌊k·mp/P⌋ to ⌊(k+1)·mp/P⌋."""
        users = self.content["user_multiplier"] * self.content["base"]["users"]
        count = self.part_count
        for k, (first, last) in enumerate(user_ranges(users, count)):
            yield Part(k, count, first, last)

    def differences(self, other: "Plan") -> list[str]:
        """Say how this plan, of what is there already, differs from what is asked for now: at most a few points."""
        there, asked = dict(self.content), dict(other.content)
        if there["recipe"] is None or asked["recipe"] is None:
            there["recipe"] = asked["recipe"] = None
        same_base = there["base"]["fingerprint"] == asked["base"]["fingerprint"]
        # What follows from the rest says less than what was asked for.
        for derived in ("base", "reduced", "fingerprints"):
            del there[derived], asked[derived]
        old, new = there.pop("attributes", {}), asked.pop("attributes", {})
        found = differences(there, asked)
        for kind in sorted(kind for kind in old | new if old.get(kind) != new.get(kind)):
            how = "not given there" if kind not in old else "not given here" if kind not in new else "not the same"
            found.append(f"attributes of {kind} are {how}")
        return found or ["the reduced matrix or the cells are not the same" if same_base else OTHER_SOURCE]

    def to_json(self) -> str:
        """Write the plan down, the same bytes for the same plan."""
        return json.dumps(self.content, indent=2, ensure_ascii=False) + "\n"


OTHER_SOURCE = "the source's interactions are not the same"


def differences(there: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    """Name what differs between the options of a data set and those asked for, in the user's words: at most four."""
    old, new = _flat(there), _flat(asked)
    found = {
        name.rpartition(".")[2]: f"{name.rpartition('.')[2]} is {old.get(name)} there and {new.get(name)} here"
        for name in old | new
        if old.get(name) != new.get(name)
    }
    return list(found.values())[:4]


def _fingerprint(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {
        name: leaf for key, inner in value.items() for name, leaf in _flat(inner, f"{prefix}.{key}".strip(".")).items()
    }
