"""What is measured of a data set, or of an expansion: each thing once, when it is first asked for."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from fractalrs.base import Base, spectrum_statistics
from fractalrs.columns import numbers
from fractalrs.dataset import Dataset
from fractalrs.expansion import Expansion
from fractalrs.passes import Degrees, InteractionBatch, StreamedMatrix, UserSampler, visit
from fractalrs.statistics import (
    Activity,
    ActivityTally,
    Curve,
    Floats,
    InterEventTimes,
    LookupCounts,
    Ratings,
    RatingsTally,
    by_time,
    compare_inter_event_times,
    null_degrees,
    null_singular_values,
    random_hit_curve,
    recall_by_rank,
    thinned_degrees,
    thinned_singular_values,
    thinned_variation,
)
from fractalrs.tools import SILENT, Progress, Stages
from fractalrs.validation.measure.neighbours import Neighbours, copies, neighbours, null_neighbours
from fractalrs.validation.measure.repetition import Repetition, repetition
from fractalrs.validation.measure.spectrum import DEFAULT_COUNT, FACTORS, TOLERANCE, VECTORS, Spectrum, spectrum
from fractalrs.validation.measure.thinned import thin
from fractalrs.validation.planned import Planned, Real
from fractalrs.words import ITEMS, USERS, Side

LOOKED_AT = 1 << 26
"""Train interactions whose times and ratings are looked at, if the catalogue growth does not ask for more."""
COPIES_LOOKED_AT = 1 << 22
"""Those whose sources are generated again to count copies."""
LOOKUPS = 1 << 20
"""Lookups of items of which hit rates are computed; of more, those of sampled ids."""
RANKS = (1, 2, 4, 8, 16, 32, 64)
"""Ranks of the factorisations whose recall is measured …"""
TEST_USERS, SCORES = 2_000, 1 << 29
"""… on so many test users at most, and fewer where there would be more scores."""

logger = logging.getLogger(__name__)


WORK = {
    "adding up": (2.0, 1),
    "following times": (1.0, 2),
    "generating users again": (4.0, 2),
    "singular values": (15.0, 28),
    "the real interactions": (1.0, 35),
    "recall of a factorisation": (5.0, 4),
    "neighbours": (7.0, 5),
    "repetition": (12.0, 9),
    "times": (3.0, 2),
    "ratings": (1.0, 1),
}
"""What each stage weighs in all the work, and how many tasks it has, on 3 and 30 million interactions."""


@dataclass(frozen=True)
class Compared:
    """One thing of the real, the reduced, the synthetic, the thinned and the null data; None where there is none."""

    real: Any
    reduced: Any
    synthetic: Any
    thinned: Any
    null: Any


@dataclass(frozen=True)
class Source:
    """What is measured of the real train part, or of what thinning leaves of it."""

    spectrum: Spectrum
    neighbours: Neighbours | None
    interactions: int


@dataclass(frozen=True)
class EventCopies:
    """How many of all `pairs` of consecutive train interactions of a user are copies of one source event, `in_a_row`.

    In a random order there would be `by_chance`: Σ c (c − 1) / C over users and source events, for c copies of the
    event among a user's C interactions.
    """

    in_a_row: int
    by_chance: Any
    pairs: int


class Timed:
    """Seconds by stage; each is shown, or else noted."""

    def __init__(self, progress: Progress = SILENT) -> None:
        self.progress = progress if isinstance(progress, Stages) else Stages(progress)
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Begin a stage, which is logged and ends with the context."""
        logger.log(logging.DEBUG if self.progress.is_shown else logging.INFO, name)
        started = time.monotonic()
        with self.progress.stage(name):
            yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started


@dataclass
class Measured:
    """What is measured of a data set, or of an expansion that is generated instead of read."""

    subject: Dataset | Expansion
    planned: Planned | None = None  # Nothing but degrees can be measured without.
    base: Base | None = None  # What it was expanded from …
    expansion: Expansion | None = None  # … and what can be generated again, as far as they are known.
    singular_values: int = DEFAULT_COUNT  # How many are compared.
    each_item: bool = True  # Whether degrees of items are needed.
    threads: int = 1
    progress: Progress = SILENT
    stages: Timed = field(init=False)

    def __post_init__(self) -> None:
        self.stages = Timed(self.progress)

    @cached_property
    def matrix(self) -> StreamedMatrix:
        """The synthetic matrix."""
        how: dict[str, Any] = {"threads": self.threads, "progress": self.progress}
        return StreamedMatrix(self.subject, numbered_by=self.expansion, **how)

    @cached_property
    def degrees(self) -> Degrees:
        """Degrees of all users and items."""
        with self.stages("adding up"):
            return self.matrix.degrees(each_item=self.each_item)

    @property
    def is_out_of_range(self) -> bool:
        """Whether there are ids of nobody and nothing, at which every other pass stops."""
        return self.degrees.violations["out_of_range"].count > 0

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """What interactions carry besides users and items."""
        if isinstance(self.subject, Dataset):
            return tuple(self.subject.schema.names[2:])
        return tuple(field.name for field in self.subject.payload.fields)

    def work(self, checks: bool, measures: bool) -> dict[str, tuple[float, int]]:
        """What there is to do, of `WORK`."""
        of_checks = {"following times", "generating users again"}
        left_out = set() if checks else of_checks
        left_out |= set() if measures else WORK.keys() - of_checks - {"adding up"}
        left_out |= set() if "timestamp" in self.columns else {"following times", "times"}
        left_out |= set() if "rating" in self.columns else {"ratings"}
        left_out |= set() if self.base is not None else {"generating users again", "the real interactions"}
        return {stage: work for stage, work in WORK.items() if stage not in left_out}

    @property
    def plan(self) -> Planned:
        """What the plan says, which must be known."""
        assert self.planned is not None
        return self.planned

    @property
    def real(self) -> Real:
        """What is known of the real train part."""
        return self.plan.real

    @property
    def keep(self) -> Floats | None:
        """Keep rates; None where the operator has none."""
        return self.plan.keep_rates if self.plan.has_blocks else None

    @property
    def has_known_blocks(self) -> bool:
        """Whether interactions of blocks are counted, and how many there should be is known."""
        return self.planned is not None and self.planned.has_blocks and self.matrix.knows_blocks

    @property
    def interactions(self) -> int:
        """Synthetic train interactions."""
        return int(self.degrees.user_train.sum())

    @property
    def density(self) -> float:
        """Share of all pairs that interact."""
        users, items = self.matrix.shape
        return self.interactions / (users * items)

    @property
    def multipliers(self) -> tuple[int, int]:
        """The user and the item multiplier."""
        (users, items), (p, q) = self.matrix.shape, self.matrix.block_shape
        return users // p, items // q

    @property
    def flat_rate(self) -> float:
        """The one keep rate that thins the real data, repeated m × n times, to the synthetic density."""
        return min(1.0, self.interactions / (self.real.interactions * math.prod(self.multipliers)))

    def histogram_floor(self, real: npt.NDArray[np.integer], looked_at: int) -> float | None:
        """Return how far a histogram of so many interactions is from the real one by thinning alone."""
        return thinned_variation(real, math.prod(self.multipliers), looked_at)

    @cached_property
    def degrees_by_side(self) -> dict[Side, Compared]:
        """Degrees of users and of items."""
        real, found, (users, items) = self.real, self.degrees, self.matrix.shape
        rate, (m, n) = self.flat_rate, self.multipliers
        thinned = thinned_degrees(real.user_degrees, m, n, rate), thinned_degrees(real.item_degrees, n, m, rate)
        of_users, of_items = (None if self.keep is None else self.keep.sum(axis=axis) for axis in (1, 0))
        null = null_degrees(users, items, self.density), null_degrees(items, users, self.density)
        return {
            USERS: Compared(real.user_degrees, of_users, found.user_train, thinned[0], null[0]),
            ITEMS: Compared(real.item_degrees, of_items, found.item_train, thinned[1], null[1]),
        }

    @cached_property
    def item_hits(self) -> Compared:
        """What LRU caches hit of lookups of items in random order, as curves; of R̂ nothing."""

        def hits(degrees: npt.NDArray[np.integer] | None) -> Curve | None:
            if degrees is None:
                return None
            return random_hit_curve(LookupCounts.of_degrees(degrees), most=LOOKUPS)

        found = vars(self.degrees_by_side[ITEMS]) | {"reduced": None}
        return Compared(**{label: hits(degrees) for label, degrees in found.items()})

    @cached_property
    def spectrum(self) -> Spectrum:
        """Leading singular values and vectors of the synthetic matrix."""
        # Smaller data can afford more steps.
        tolerance = TOLERANCE if self.matrix.interactions > 1e8 else 1e-5
        with self.stages("singular values"):
            return spectrum(self.matrix, self.singular_values, tolerance=tolerance)

    @cached_property
    def real_spectrum(self) -> tuple[Floats, Floats, Floats]:
        """Singular values of the real train part and their noise terms; with the source as many as are compared."""
        real, names = self.real, ("singular_values", "user_noise", "item_noise")
        if self.base is None or min(self.singular_values, *self.base.shape) <= len(real.singular_values):
            return real.singular_values, real.user_noise, real.item_noise
        with self.stages("the real interactions"):
            found = spectrum_statistics(self.base, self.singular_values)
        return found[names[0]], found[names[1]], found[names[2]]

    @cached_property
    def values(self) -> Compared:
        """Singular values."""
        keep, found = self.keep, self.spectrum.values
        reduced = None if keep is None else np.linalg.svd(keep, compute_uv=False)
        null = null_singular_values(*self.matrix.shape, self.density, len(found))
        known = self.real_spectrum
        degrees = self.real.user_degrees, self.real.item_degrees
        thinned = thinned_singular_values(known[0], known[1:], degrees, self.multipliers, self.flat_rate)[: len(found)]
        return Compared(known[0], reduced, found, thinned, null)

    @cached_property
    def vectors(self) -> dict[Side, Compared]:
        """Singular vectors in columns: left ones of users, right ones of items; real and thinned need the source."""
        keep, found = self.keep, self.spectrum
        real, thinned = (None if each is None else each.spectrum for each in (self.source, self.thinned_source))
        u, _, vt = (None, None, None) if keep is None else np.linalg.svd(keep, full_matrices=False)
        right = None if vt is None else vt.T
        return {
            USERS: Compared(real and real.left, u, found.left, thinned and thinned.left, None),
            ITEMS: Compared(real and real.right, right, found.right, thinned and thinned.right, None),
        }

    @cached_property
    def source(self) -> Source | None:
        """Spectrum and neighbours of the real train part; None without the source."""
        if self.base is None:
            return None
        return self._of_base(self.base, min(self.singular_values, FACTORS))

    @cached_property
    def thinned_source(self) -> Source | None:
        """Those of the real train part thinned to the synthetic density, as one block: not repeated m × n times."""
        if self.base is None:
            return None
        thinned = thin(self.base, self.flat_rate)
        return self._of_base(thinned, VECTORS) if thinned.train_count else None

    def _of_base(self, base: Base, count: int) -> Source:
        with self.stages("the real interactions"):
            matrix = StreamedMatrix(base, threads=self.threads, progress=self.progress)
            found = spectrum(matrix, min(max(count, VECTORS), *base.shape), tolerance=1e-6)
            return Source(found, neighbours(matrix, base.item_degrees("train")), base.train_count)

    @cached_property
    def nearest(self) -> Compared:
        """Nearest items of real, synthetic, thinned and null data; there are none of the reduced matrix."""
        null = null_neighbours(*self.matrix.shape, self.density)
        real, thinned = (None if each is None else each.neighbours for each in (self.source, self.thinned_source))
        popularity = self.degrees.item_train
        with self.stages("neighbours"):
            found = neighbours(self.matrix, popularity)
        return Compared(real, None, found, thinned, null)

    @cached_property
    def recall(self) -> Compared:
        """Shares of test interactions that a factorisation recalls, by `RANKS`, of samples of test users."""

        def of(matrix: StreamedMatrix, test_degrees: npt.NDArray[np.integer], found: Spectrum) -> list[float | None]:
            asked, most = np.flatnonzero(test_degrees), max(1, min(TEST_USERS, SCORES // matrix.shape[1]))
            users = np.sort(np.random.default_rng(0).choice(asked, min(len(asked), most), replace=False))
            rows = matrix.collect(users), matrix.collect(users, "test")
            return recall_by_rank(found.factors, *rows, RANKS, threads=self.threads)

        found, real = self.spectrum, None
        with self.stages("recall of a factorisation"):
            if self.base is not None and self.source is not None:
                matrix = StreamedMatrix(self.base, threads=self.threads, progress=self.progress)
                real = of(matrix, self.base.user_degrees("test"), self.source.spectrum)
            return Compared(real, None, of(self.matrix, self.degrees.user_test, found), None, None)

    @cached_property
    def item_copies(self) -> tuple[float, float] | None:
        """Share of copies among nearest items, and among any."""
        found = self.nearest.synthetic
        if found is None or self.expansion is None or self.keep is None:
            return None
        with self.stages("neighbours"):
            return copies(found, self.expansion)

    @cached_property
    def repetition(self) -> Repetition | None:
        """How much blocks repeat each other."""
        degrees = self.degrees
        with self.stages("repetition"):
            return repetition(self.matrix, degrees)

    @cached_property
    def shape(self) -> UserSampler:
        """What draws users."""
        return UserSampler(self.matrix.block_shape[0], *self.multipliers, float(self.interactions))

    @cached_property
    def activity(self) -> tuple[Activity, Activity] | None:
        """Real and synthetic interactions in time; None where they have no timestamps.

        The catalogue growth is always that of a sample: of as many interactions as real ones times the item multiplier,
        so that an expanded item has as many as its source.
        """
        if (real := Activity.from_arrays(self.plan.statistics)) is None:
            return None
        growing = real.count * self.shape.item_multiplier
        tally = ActivityTally(real.clock, self.matrix.shape[1], self.shape.sample(growing))

        def add(rows: InteractionBatch) -> None:
            tally.add(rows.users, rows.items, rows.times)

        self._visit("timestamp", add, max(growing, LOOKED_AT), "times", "counting times")
        return real, tally.total()

    @cached_property
    def inter_event_times(self) -> InterEventTimes | None:
        """Real and synthetic inter-event times on one clock; None where there are none."""
        return None if self.activity is None else compare_inter_event_times(*self.activity)

    @cached_property
    def event_copies(self) -> EventCopies | None:
        """Copies among consecutive interactions of a sample of users; None where they cannot be generated again."""
        found: list[EventCopies] = []
        if self.expansion is None:
            return None
        count = self.expansion.base.count

        def add(rows: InteractionBatch) -> None:
            if not len(rows):
                return
            # Interactions nobody planned have no source, and are no copies.
            users, sources, _ = by_time(rows.users, rows.traced, rows.times)
            same = users[1:] == users[:-1]
            in_a_row = np.count_nonzero(same & (sources[1:] == sources[:-1]) & (sources[1:] >= 0))
            keys, each = np.unique((users - users.min()) * (count + 1) + sources + 1, return_counts=True)
            owners, known = keys // (count + 1), keys % (count + 1) > 0
            copied = np.bincount(owners, np.where(known, each * (each - 1), 0))
            by_chance = copied / np.maximum(np.bincount(owners, each), 1)
            found.append(EventCopies(int(in_a_row), by_chance, int(np.count_nonzero(same))))

        self._visit("timestamp", add, COPIES_LOOKED_AT, "times", "looking for copies in time", self.expansion)
        # The exact sum of all users: the same, however they were read.
        by_chance = math.fsum(chain.from_iterable(each.by_chance for each in found))
        return EventCopies(sum(each.in_a_row for each in found), by_chance, sum(each.pairs for each in found))

    @cached_property
    def ratings(self) -> tuple[Ratings, Ratings] | None:
        """Real and synthetic ratings, by the values of the real ones; None where they have none."""
        if (real := Ratings.from_arrays(self.plan.statistics)) is None:
            return None
        tally = RatingsTally(real.values, real.exact)

        def add(rows: InteractionBatch) -> None:
            tally.add(rows.users, numbers(rows.table["rating"]))

        self._visit("rating", add, LOOKED_AT, "ratings", "counting ratings")
        return real, tally.total()

    def _visit(
        self,
        column: str,
        add: Callable[[InteractionBatch], None],
        interactions: float,
        stage: str,
        what: str,
        origin: Expansion | None = None,
    ) -> None:
        """Add up train interactions: so many, of the same share of the users of every row block."""
        how: dict[str, Any] = {"threads": self.threads, "what": what, "progress": self.progress}
        with self.stages(stage):
            visit(self.subject, "train", [column], add, chosen=self.shape.sample(interactions), origin=origin, **how)
