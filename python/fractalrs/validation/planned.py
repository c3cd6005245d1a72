"""What the plan says of a data set, read from ``private/`` or taken from an expansion."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fractalrs._core import existing_blocks
from fractalrs.base import Base, base_statistics
from fractalrs.dataset import Dataset, Private
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion, Operator, Shuffle, operator_named, shuffle_named
from fractalrs.statistics import Floats
from fractalrs.words import LATEST


@dataclass(frozen=True)
class Planned:
    """What the plan says of the blocks."""

    keep_rates: Floats  # K, (m, n).
    options: dict[str, Any]  # Of the expansion, as in ``private/plan.json``.
    statistics: Mapping[str, npt.NDArray[Any]]  # Of ``private/base_statistics.npz``.
    split: str = "given"  # How the base's test interactions were chosen.
    cuts: tuple[int, ...] = ()  # From which tick on everything is test, and nothing before.

    @classmethod
    def of(cls, expansion: Expansion) -> "Planned":
        """Return what an expansion plans."""
        options = expansion.options
        statistics = base_statistics(expansion.base, timestamps=options.timestamps, rated=options.ratings is not None)
        base = expansion.base
        return cls(expansion.keep_rates, dataclasses.asdict(options), statistics, base.split, base.cuts)

    @cached_property
    def rates(self) -> Floats:
        """Keep rates, 0 where a block does not exist."""
        exists = existing_blocks(self.options["seed"], self.options["block_keep"], self.keep_rates.shape)
        return np.where(exists, self.keep_rates, 0.0)

    @cached_property
    def real(self) -> "Real":
        """What is known of the real train part."""
        return Real.of(self.statistics)

    @property
    def shuffle(self) -> Shuffle:
        """The shuffle."""
        return shuffle_named(self.options["shuffle"])

    @property
    def operator(self) -> Operator:
        """The operator."""
        return operator_named(self.options["operator"])

    @property
    def has_blocks(self) -> bool:
        """Whether blocks are copies of R, of which entries are kept at a rate."""
        return self.operator.keeps_entries

    @property
    def one_source(self) -> bool:
        """Whether a user has one source: with times, user cells have one member."""
        return self.shuffle.one_source or bool(self.options.get("timestamps", False))

    @property
    def is_cold(self) -> bool:
        """Whether what some users or items have is test, whatever it was."""
        return bool(self.options["cold_users"] or self.options["cold_items"])

    @property
    def is_predictable(self) -> bool:
        """Whether singular values follow from R's: its blocks are alike, and what is train in R is train in them."""
        return self.has_blocks and self.shuffle.one_source and not self.is_cold

    @property
    def test_is_last(self) -> bool:
        """Whether no test interaction of a user may come before a train interaction."""
        return self.split in LATEST and self.options.get("cold_items", 0) == 0


@dataclass(frozen=True)
class Real:
    """What is known of the real train part: all of it from ``private/base_statistics.npz``."""

    user_degrees: npt.NDArray[np.int64]
    item_degrees: npt.NDArray[np.int64]
    singular_values: Floats
    user_noise: Floats
    item_noise: Floats
    assortativity: float | None

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "Real":
        """Return what the arrays of `fractalrs.base.summary.base_statistics` say."""
        of_users, of_items = arrays["train_user_degrees"], arrays["train_item_degrees"]
        values, user_noise, item_noise = (arrays[name] for name in ("singular_values", "user_noise", "item_noise"))
        assortativity = None if np.isnan(arrays["assortativity"]) else float(arrays["assortativity"])
        return cls(of_users, of_items, values, user_noise, item_noise, assortativity)

    @property
    def interactions(self) -> int:
        """Train interactions."""
        return int(self.user_degrees.sum())


def read_planned(dataset: Dataset, base: Base | None) -> tuple[Planned | None, Expansion | None]:
    """Read ``private/`` of a data set; with the base, return the expansion too, where it can be generated again.

    Raises
    ------
    InputError
        If ``private/`` does not belong to the data set, or the base does not, or a file is damaged.
    """
    private = Private.of_store(dataset.store)
    if private is None:
        if base is not None:
            raise InputError(
                f"{dataset.place} has no private/plan.json: there is nothing to compare the source with",
                hint="leave the source out (--source), or validate it where it was made",
            )
        return None, None
    plan, statistics = private.plan, private.statistics
    options, fingerprints = plan.options, dataset.manifest.fingerprints
    named = ("shuffle", "order", "operator", "id_order")
    agree = all(getattr(dataset, name) == getattr(options, name) for name in named)
    agree &= private.reduced.shape == dataset.multipliers
    agree &= tuple(statistics["shape"].tolist()) == dataset.block_shape
    agree &= fingerprints == {"expansion": plan.expansion_fingerprint, "plan": plan.fingerprint}
    if not agree:
        raise InputError(
            f"private/ and manifest.json of {dataset.place} are of different data sets",
            hint="put its own private/ back, or take this one away",
        )
    keep_rates = options.keep_rates(private.reduced.values)
    planned = Planned(keep_rates, dataclasses.asdict(options), statistics, plan.base.split, plan.base.cuts)
    if base is None:
        return planned, None
    if base.fingerprint != plan.base.fingerprint:
        raise InputError(
            f"these interactions are not those that {dataset.place} was expanded from",
            hint="name that source; it is read and split as the plan says",
        )
    if planned.operator.is_function:
        return planned, None
    cells = private.cells if planned.shuffle.takes_cells else None
    expansion = Expansion(base, private.reduced, profile=plan.profile, cells=cells, **dataclasses.asdict(options))
    if expansion.fingerprint != plan.expansion_fingerprint:
        raise InputError(
            f"private/ of {dataset.place} does not belong to its data: it makes other interactions",
            hint="put its own private/ back, or leave the source out",
        )
    return planned, expansion
