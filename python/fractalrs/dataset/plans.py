"""The plan: what is generated and how it is written, as a value with a fingerprint."""

import dataclasses
import json
import math
import operator
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import NoneType
from typing import Any, Self, get_args

from fractalrs._core import GENERATOR, VERSION
from fractalrs.base import Base
from fractalrs.dataset.attributes import Attributes, match
from fractalrs.dataset.contrast import differences
from fractalrs.dataset.layout import ATTRIBUTE_FILES, DEFAULT_PARQUET, Division, ParquetOptions, Part, part_file
from fractalrs.dataset.manifest import ELSEWHERE, FORMAT, check_format, json_object, plain, type_of
from fractalrs.dataset.periods import Periods
from fractalrs.dataset.planned_base import PlannedBase
from fractalrs.dataset.sizes import SAMPLE_INTERACTIONS, expected_bytes
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion, Options
from fractalrs.reading import MADE_UP, AttributeTable
from fractalrs.tools import (
    RemotePath,
    Shown,
    check_count,
    check_kind,
    check_word,
    digest_of_json,
    has_seal,
    sealed_json,
    suggests,
    untrusted,
)
from fractalrs.words import ITEMS, SPLITS, USERS, Partition, Side, Split

PART_INTERACTIONS = 1_000_000, 16_000_000
"""About how many expected interactions a part has by default, at the least and at the most."""
PARTITIONED_INTERACTIONS = 8_000_000
"""So many expected interactions a part holds at most, and by default, where files are divided by periods."""
_FILE_BYTES = 1_500
"""Of a file of a period: what it takes beside its interactions."""
_PARTS = 128
"""So many parts there are by default, as far as their sizes allow it: enough for as many threads."""

OTHER_SOURCE = "the source's interactions are not the same"


@dataclass(frozen=True, repr=False)
class Plan(Shown):
    """Everything the bytes of a data set depend on: no clock, no host and no path.

    Made by `plan`, or read from ``private/plan.json``; only what `plan` made knows its expansion, and can be written.
    It can be pickled when its expansion was saved: the pickle has the path and the fingerprint of that.

    Attributes
    ----------
    fractalrs, generator
        Version of the program, number of the algorithm.
    base, splits
        What was expanded; train, and of validation and test what is held out.
    user_multiplier, item_multiplier, profile, options, user_cell_size, item_cell_size, reduced
        How it is expanded; `reduced` describes the reduced matrix.
    recipe
        How base, reduced matrix and cells were made, where that is known.
    part_count, parquet, source_licence
        How many parts, how they are encoded, and the source's licence as the data card names it, where it is known.
    partition
        By what periods of time files are divided, if they are.
    attribute_fingerprints
        Those of the attributes of ``"items"`` and ``"users"`` that are written too.
    expansion_fingerprint, fingerprint
        What the interactions depend on, and what the files depend on.
    """

    fractalrs: str
    generator: int
    base: PlannedBase
    splits: tuple[Split, ...]
    user_multiplier: int
    item_multiplier: int
    profile: str
    options: Options
    user_cell_size: int
    item_cell_size: int
    reduced: Mapping[str, Any]
    recipe: Mapping[str, Any] | None
    part_count: int
    parquet: ParquetOptions
    source_licence: str | None
    attribute_fingerprints: Mapping[str, str]
    expansion_fingerprint: str
    fingerprint: str
    partition: Partition | None = None
    made_of: Expansion | None = field(default=None, compare=False)
    attributes: tuple[Attributes, ...] = field(default=(), compare=False)
    divided: Division | None = field(default=None, compare=False)

    @property
    def expansion(self) -> Expansion:
        """What is written; a plan that was read from a file does not know it."""
        if self.made_of is None:
            raise InputError("this plan was read from a file", hint="make it of the expansion: fractalrs.plan")
        return self.made_of

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The parts: ranges of users that are cut where the expected interactions reach k/P of all."""
        count = self.part_count
        return tuple(Part(k, count, *cut) for k, cut in enumerate(pairwise(self.division.cuts)))

    @property
    def division(self) -> Division:
        """Where the parts are cut, and what else finishing needs; also of a plan that was read to be finished."""
        if self.divided is not None:
            return self.divided
        made = self.expansion
        return Division(made.cuts(self.part_count), made.schema, MADE_UP in made.base.notes)

    @cached_property
    def periods(self) -> Periods | None:
        """The periods by which files are divided."""
        return None if self.partition is None else Periods.of(self.expansion, self.partition)

    @property
    def _writing(self) -> dict[str, Any]:
        partition = {} if self.partition is None else {"partition": self.partition}
        return {"parts": self.part_count, **dataclasses.asdict(self.parquet), **partition}

    @cached_property
    def files(self) -> dict[str, list[tuple[str, str]]]:
        """Names of all files, those of attributes last, with the labels by which each is known again.

        Where files are divided by periods, a name stands for those of all periods, without their folders.
        """
        ours, count = ("fractalrs.plan", self.fingerprint), self.part_count
        files = {
            part_file(k, count, split): [ours, ("fractalrs.part", f"{k} of {count}"), ("fractalrs.split", split)]
            for k in range(count)
            for split in self.splits
        }
        kinds = self.attribute_fingerprints
        return files | {ATTRIBUTE_FILES[kind]: [ours, ("fractalrs.attributes", kind)] for kind in kinds}

    @property
    def expected_rows(self) -> dict[Split, int]:
        """About how many interactions of each split there will be."""
        expected = self.expansion.expected
        counts = {"train": expected.train, "valid": expected.valid, "test": expected.test}
        return {split: round(counts[split].mean) for split in SPLITS if split != "valid" or split in self.splits}

    @property
    def expected_bytes(self) -> int:
        """About how many bytes the files of all parts will have; a sample is encoded to tell."""
        return self._sampled[0]

    @property
    def core_hours(self) -> float:
        """About how many hours one core of this machine takes to make all parts, by the same sample."""
        return self._sampled[1] / 3600

    @cached_property
    def _sampled(self) -> tuple[int, float]:
        interactions, started = self.expansion.expected_interactions, time.process_time()
        files = 0 if self.periods is None else len(self.periods.starts) * self.part_count * len(self.splits)
        size = expected_bytes(self.expansion, self.parquet) + files * _FILE_BYTES
        return size, (time.process_time() - started) * max(1.0, interactions / SAMPLE_INTERACTIONS)

    @cached_property
    def expected_attribute_bytes(self) -> dict[str, int]:
        """About how many bytes each file of attributes will have."""
        return {table.name: table.expected_bytes(self.expansion, self.parquet) for table in self.attributes}

    @property
    def settled(self) -> tuple[Any, ...]:
        """What plans of one fingerprint have in common, whatever their profile and recipe."""
        of_base = dataclasses.replace(self.base, split="", warnings=())
        multipliers, cells = (self.user_multiplier, self.item_multiplier), (self.user_cell_size, self.item_cell_size)
        return of_base, self.splits, multipliers, self.options, cells, self.expansion_fingerprint

    def recomputed(self) -> str:
        """Return the fingerprint that follows from what is planned, that of the expansion included."""
        whole: dict[str, Any] = {"expansion": self.expansion_fingerprint, "writing": self._writing}
        whole |= {"source_licence": self.source_licence, "writer": self.fractalrs}
        whole |= {"attributes": dict(self.attribute_fingerprints)} if self.attribute_fingerprints else {}
        return digest_of_json(whole)

    def differences(self, other: Self) -> str:
        """Return how this plan, of what is there already, differs from what is asked for now: at most a few points."""
        there, asked = self._content(), other._content()
        if there["recipe"] is None or asked["recipe"] is None:
            there["recipe"] = asked["recipe"] = None
        # What follows from the rest says less than what was asked for.
        for derived in ("base", "reduced", "fingerprints"):
            del there[derived], asked[derived]
        old, new = there.pop("attributes", {}), asked.pop("attributes", {})
        found = differences(there, asked)
        for kind in sorted(kind for kind in old | new if old.get(kind) != new.get(kind)):
            how = "not given there" if kind not in old else "not given here" if kind not in new else "not the same"
            found.append(f"attributes of {kind} are {how}")
        same_base = self.base.fingerprint == other.base.fingerprint
        return "; ".join(found) or ("the reduced matrix or the cells are not the same" if same_base else OTHER_SOURCE)

    def _content(self) -> dict[str, Any]:
        names = [known.name for known in fields(self)]
        content = {
            "format": FORMAT,
            **{name: getattr(self, name) for name in names[: names.index("part_count")]},
            "base": self.base.described(),
            "writing": self._writing,
            "source_licence": self.source_licence,
            "fingerprints": {"expansion": self.expansion_fingerprint, "plan": self.fingerprint},
            **({"attributes": self.attribute_fingerprints} if self.attribute_fingerprints else {}),
        }
        # As it is read back: JSON has no tuples.
        plain_values: dict[str, Any] = json.loads(json.dumps(content, default=dataclasses.asdict))
        return plain_values

    def to_json(self) -> str:
        """Return the text of ``plan.json``, the same for the same plan, sealed."""
        return sealed_json(self._content())

    @classmethod
    def from_json(cls, text: bytes, file: Path | RemotePath) -> Self:
        """Read the text of a plan; refuse one that is damaged, with the file and what is wrong in it."""
        content = json_object(text, file, {"base", "options", "writing", "fingerprints"}, ELSEWHERE)
        check_format(content, file)
        wrong = "is damaged, or of another version"
        try:
            with untrusted(file, ELSEWHERE, wrong):
                made = cls._of(content)
                if not has_seal(content):
                    raise ValueError("its seal is of other values" if "seal" in content else "it has no seal")
                return made
        except InputError as error:
            if error.hint == ELSEWHERE:
                raise
            # An option that is none.
            raise InputError(f"{file} {wrong}: {error.message}", ELSEWHERE) from None

    @classmethod
    def _of(cls, content: dict[str, Any]) -> Self:
        writing, prints = dict(content["writing"]), content["fingerprints"]
        partition = writing.pop("partition", None)
        if partition is not None and partition not in get_args(Partition):
            raise ValueError(f"partition is {partition!r}")
        for name, kind in (("options", Options), ("writing", ParquetOptions)):
            for known in fields(kind):
                _ = content[name][known.name]
        splits = tuple(split for split in SPLITS if split in plain(content, "splits", list))
        if "train" not in splits:
            raise ValueError(f"splits is {content['splits']!r}")
        base, attributes = PlannedBase.read(content["base"]), content.get("attributes", {})
        made = cls(
            **{name: plain(content, name, str) for name in ("fractalrs", "profile")},
            **{name: plain(content, name, int) for name in ("generator", "user_multiplier", "item_multiplier")},
            base=base,
            splits=splits,
            options=Options(**content["options"]),
            **{name: plain(content, name, int) for name in ("user_cell_size", "item_cell_size")},
            reduced=plain(content, "reduced", dict),
            recipe=None if content["recipe"] is None else plain(content, "recipe", dict),
            part_count=plain({"parts": writing.pop("parts")}, "parts", int),
            parquet=ParquetOptions(**writing),
            partition=partition,
            source_licence=None if content["source_licence"] is None else plain(content, "source_licence", str),
            attribute_fingerprints={kind: print for kind, print in attributes.items() if kind in ATTRIBUTE_FILES},
            expansion_fingerprint=plain(prints, "expansion", str),
            fingerprint=plain(prints, "plan", str),
        )
        if made.fingerprint != made.recomputed():
            raise ValueError("its fingerprint is of other values")
        return made

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Refuse a pickle whose expansion is no longer what is saved at its path."""
        self.__dict__.update(state)
        if self.made_of is not None and self.made_of.fingerprint != self.expansion_fingerprint:
            raise InputError("the saved expansion of this plan is no longer the same", hint="make the plan again")

    def __repr__(self) -> str:
        m, n = self.user_multiplier, self.item_multiplier
        return f"Plan({self.part_count} parts, {len(self.files)} files, × ({m}, {n}), {self.fingerprint[:8]})"

    def _facts(self) -> dict[str, Any]:
        base, sizes = self.base, {"parts": self.part_count, "files": len(self.files)}
        ids = {"users": self.user_multiplier * base.users, "items": self.item_multiplier * base.items}
        return {**sizes, **ids, "profile": self.profile, "splits": self.splits, "fingerprint": self.fingerprint}


@suggests
def plan(
    expansion: Expansion,
    *,
    parts: int | None = None,
    parquet: ParquetOptions = DEFAULT_PARQUET,
    partition: Partition | None = None,
    source_licence: str | None = None,
    item_attributes: Any = None,
    user_attributes: Any = None,
    recipe: Mapping[str, Any] | None = None,
    part_interactions: int | None = None,
) -> Plan:
    """Return the plan of a data set: parts that can be written one by one, in any order, by any process.

    Parameters
    ----------
    expansion, parquet, partition, source_licence
        As for `write`.
    parts, part_interactions
        Number of parts; by default one for each `part_interactions` expected interactions, or 128 of 1 to 16
        million, as far as they go.
    item_attributes, user_attributes
        As for `write`, or what `match` made of a table.
    recipe
        How base, reduced matrix and cells were made, where that is known: plain JSON values.

    Raises
    ------
    InputError
        If something cannot be written.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> plan = fr.plan(fr.Expansion(base, [[0.5, 0.9]], shuffle="aligned"), parts=4)
    >>> plan.parts[1]
    Part(index=1, of=4, first=15, last=30)
    >>> len(plan.files)
    8
    """
    check_kind("expansion", expansion, Expansion, "an Expansion")
    check_kind("parquet", parquet, ParquetOptions, "ParquetOptions")
    check_kind("recipe", recipe, (Mapping, NoneType), "a mapping")
    cells, base = expansion.cells, expansion.base
    given = ((ITEMS, item_attributes), (USERS, user_attributes))
    tables = tuple(_matched(base, side, source) for side, source in given if source is not None)
    expansion.options.check_sources(cells.user_cell_size, cells.item_cell_size, [table.side for table in tables])
    _check_schema(expansion)
    parts = _number_of_parts(expansion, parts, part_interactions, partition)
    attributes = {table.side.plural: table.fingerprint for table in tables}
    licence = None if source_licence is None else checked_licence(source_licence)
    made = Plan(
        fractalrs=VERSION,
        generator=GENERATOR,
        base=PlannedBase.of(base),
        splits=expansion.splits,
        user_multiplier=expansion.reduced.shape[0],
        item_multiplier=expansion.reduced.shape[1],
        profile=expansion.profile,
        options=expansion.options,
        user_cell_size=cells.user_cell_size,
        item_cell_size=cells.item_cell_size,
        reduced=expansion.reduced.description,
        recipe=_json_values("recipe", recipe),
        part_count=parts,
        parquet=parquet,
        partition=partition,
        source_licence=licence,
        attribute_fingerprints=attributes,
        expansion_fingerprint=expansion.fingerprint,
        fingerprint="",
        made_of=expansion,
        attributes=tables,
    )
    return dataclasses.replace(made, fingerprint=made.recomputed())


def _number_of_parts(
    expansion: Expansion, parts: int | None, part_interactions: int | None, partition: Partition | None
) -> int:
    """Return how many parts there are; of those that are divided by periods none may hold too much."""
    interactions, users = expansion.expected_interactions, expansion.shape[0]
    if part_interactions is not None:
        check_count("part_interactions", part_interactions, 1)
    if partition is not None:
        check_word("partition", partition, get_args(Partition))
        _ = Periods.of(expansion, partition)
    # A part is kept in memory to be divided.
    most = part_interactions or (PARTITIONED_INTERACTIONS if partition else None)
    if parts is None:
        parts = min(users, _default_parts(interactions, most))
    if not 1 <= (parts := whole_index("parts", parts)) <= users:
        raise InputError(f"parts is {parts}; it must be from 1 to the number of expanded users, {users}")
    if partition is not None and most is not None and interactions > parts * most:
        raise InputError(
            f"parts is {parts}: a part is kept in memory to be divided by {partition}, and holds at most {most:,} "
            "expected interactions",
            hint=f"give at least {math.ceil(interactions / most)} parts",
        )
    return parts


def _default_parts(interactions: float, part_interactions: int | None) -> int:
    """Return how many parts so many interactions are cut into: it does not depend on the machine."""
    least, most = PART_INTERACTIONS
    return max(1, math.ceil(interactions / (part_interactions or min(most, max(least, interactions / _PARTS)))))


def checked_licence(text: str) -> str:
    """Return the name of a licence as one line; refuse what a card cannot show."""
    line = " ".join(text.split()) if isinstance(text, str) else ""
    if not line or not line.isprintable():
        raise InputError(f"source_licence is {text!r}; it must be readable text", hint="name it, such as CC BY 4.0")
    return line


def whole_index(name: str, value: Any) -> int:
    """Return a whole number; refuse anything else by its name."""
    with suppress(TypeError):
        if not isinstance(value, bool):
            return operator.index(value)
    raise InputError(f"{name} is {value!r}; it must be a whole number")


def _matched(base: Base, side: Side, source: Any) -> Attributes:
    if isinstance(source, Attributes):
        return source
    return match(source if isinstance(source, AttributeTable) else AttributeTable.read(source, side), base)


def _check_schema(expansion: Expansion) -> None:
    """Refuse columns whose types a manifest cannot name."""
    for column in expansion.schema:
        with suppress(ValueError):
            if type_of(str(column.type)) == column.type:
                continue
        raise InputError(f"the column {column.name!r} of type {column.type} cannot be written", "leave it out")


def _json_values(name: str, value: Mapping[str, Any] | None) -> Any:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} holds what is no plain JSON value: {error}", hint="give texts and numbers") from None
