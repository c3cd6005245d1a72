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

from fractalrs.base import Base
from fractalrs.columns import numbers
from fractalrs.dataset import Dataset
from fractalrs.expansion import Expansion
from fractalrs.passes import Degrees, InteractionBatch, StreamedMatrix, UserSampler, visit
from fractalrs.statistics import (
    Activity,
    ActivityTally,
    Floats,
    InterEventTimes,
    Ratings,
    RatingsTally,
    by_time,
    compare_inter_event_times,
    null_degrees,
    null_singular_values,
)
from fractalrs.tools import SILENT, Progress
from fractalrs.validation.measure.neighbours import Neighbours, copies, neighbours, null_neighbours
from fractalrs.validation.measure.repetition import Repetition, repetition
from fractalrs.validation.measure.spectrum import DEFAULT_COUNT, TOLERANCE, VECTORS, Spectrum, spectrum
from fractalrs.validation.planned import Planned, Real
from fractalrs.words import ITEMS, USERS, Side

LOOKED_AT = 1 << 26
"""Train interactions whose times and ratings are looked at, if the catalogue growth does not ask for more."""
COPIES_LOOKED_AT = 1 << 22
"""Those whose sources are generated again to count copies."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Four:
    """One thing of the real, the reduced, the synthetic and the null data; None where there is none."""

    real: Any
    reduced: Any
    synthetic: Any
    null: Any


@dataclass(frozen=True)
class EventCopies:
    """How many of all `pairs` of consecutive train interactions of a user are copies of one source event, `in_a_row`.

    In a random order there would be `by_chance`: Σ c (c − 1) / C over users and source events, for c copies of the
    event among a user's C interactions.
    """

    in_a_row: int
    by_chance: Any
    pairs: int


class Stages:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Begin a stage, which is logged and ends with the context."""
        logger.info(name)
        started = time.monotonic()
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
    stages: Stages = field(default_factory=Stages)

    @cached_property
    def matrix(self) -> StreamedMatrix:
        """The synthetic matrix."""
        return StreamedMatrix(self.subject, threads=self.threads, progress=self.progress)

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
    def interactions(self) -> int:
        """Synthetic train interactions."""
        return int(self.degrees.user_train.sum())

    @property
    def density(self) -> float:
        """Share of all pairs that interact."""
        users, items = self.matrix.shape
        return self.interactions / (users * items)

    @cached_property
    def degrees_by_side(self) -> dict[Side, Four]:
        """Degrees of users and of items."""
        real, found, (users, items) = self.real, self.degrees, self.matrix.shape
        of_users, of_items = (None if self.keep is None else self.keep.sum(axis=axis) for axis in (1, 0))
        null = null_degrees(users, items, self.density), null_degrees(items, users, self.density)
        return {
            USERS: Four(real.user_degrees, of_users, found.user_train, null[0]),
            ITEMS: Four(real.item_degrees, of_items, found.item_train, null[1]),
        }

    @cached_property
    def spectrum(self) -> Spectrum:
        """Leading singular values and vectors of the synthetic matrix."""
        # Smaller data can afford more steps.
        tolerance = TOLERANCE if self.matrix.interactions > 1e8 else 1e-4
        with self.stages("singular values"):
            return spectrum(self.matrix, self.singular_values, tolerance=tolerance)

    @cached_property
    def values(self) -> Four:
        """Singular values."""
        keep, found = self.keep, self.spectrum.values
        reduced = None if keep is None else np.linalg.svd(keep, compute_uv=False)
        null = null_singular_values(*self.matrix.shape, self.density, len(found))
        return Four(self.real.singular_values, reduced, found, null)

    @cached_property
    def vectors(self) -> dict[Side, Four]:
        """Singular vectors in columns: left ones of users, right ones of items; real ones need the source."""
        keep, found, real = self.keep, self.spectrum, None if self.source is None else self.source[0]
        u, _, vt = (None, None, None) if keep is None else np.linalg.svd(keep, full_matrices=False)
        return {
            USERS: Four(None if real is None else real.left, u, found.left, None),
            ITEMS: Four(None if real is None else real.right, None if vt is None else vt.T, found.right, None),
        }

    @cached_property
    def source(self) -> tuple[Spectrum, Neighbours | None] | None:
        """Spectrum and neighbours of the real train part; None without the source."""
        if self.base is None:
            return None
        with self.stages("the real interactions"):
            matrix = StreamedMatrix(self.base, threads=self.threads, progress=self.progress)
            found = spectrum(matrix, min(VECTORS, *self.base.shape), tolerance=1e-6)
            return found, neighbours(matrix, self.base.item_degrees("train"))

    @cached_property
    def nearest(self) -> Four:
        """Nearest items of real, synthetic and null data; there are none of the reduced matrix."""
        source, null = self.source, null_neighbours(*self.matrix.shape, self.density)
        popularity = self.degrees.item_train
        with self.stages("neighbours"):
            found = neighbours(self.matrix, popularity)
        return Four(None if source is None else source[1], None, found, null)

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
        (users, items), (p, q) = self.matrix.shape, self.matrix.block_shape
        return UserSampler(p, users // p, items // q, float(self.interactions))

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
