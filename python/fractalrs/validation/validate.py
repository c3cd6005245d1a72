"""Validate a data set, or an expansion: integrity, fidelity, and the report of both."""

import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from fractalrs.base.base import Base
from fractalrs.dataset import Dataset, Private, expansion_statistics, open_dataset
from fractalrs.errors import InputError
from fractalrs.expansion.expansion import Expansion
from fractalrs.passes import batches
from fractalrs.passes.matrix import Degrees, StreamedMatrix
from fractalrs.statistics.ratings import Ratings
from fractalrs.statistics.times import Activity
from fractalrs.tools.machine import resolve_threads
from fractalrs.validation import carried, fidelity, integrity, ratings, thresholds, times
from fractalrs.validation.findings import Check, Curve, Findings, Metric
from fractalrs.validation.integrity import Planned
from fractalrs.validation.neighbours import copies, neighbours, sample
from fractalrs.validation.repetition import repetition
from fractalrs.validation.report import Report
from fractalrs.validation.spectrum import DEFAULT_COUNT, TOLERANCE, spectrum
from fractalrs.validation.spectrum import check as check_count

Only = Literal["integrity", "fidelity"]
NEEDS_PRIVATE = "needs private/ beside the data"
NO_BLOCKS = "the operator has no keep rates"
NOT_EMPTY = "there are train interactions"
BY_FUNCTION = "what a function made cannot be made again"


def validate(
    dataset: "Dataset | Expansion | str | os.PathLike[str]",
    base: Base | None = None,
    *,
    only: Only | None = None,
    singular_values: int = DEFAULT_COUNT,
    sha256: bool = False,
    limits: Mapping[str, float] | None = None,
    threads: int | None = None,
    progress: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Measure all that is on disk: is it exactly what was planned, and does it keep the statistics of the real data?

    Parameters
    ----------
    dataset
        A data set, or its folder; or an expansion, which is generated instead of read.
    base
        What it was expanded from. Without it, what needs the real interactions themselves is left out: users generated
        again, singular vectors, real neighbours, copies.
    only
        ``"integrity"`` or ``"fidelity"``: that alone.
    singular_values
        How many are compared.
    sha256
        Take the SHA-256 of every file too.
    limits
        Thresholds by metric, over the defaults (`fractalrs.validation.thresholds`).
    threads
        By default as many as this process may use.
    progress
        Show progress on stderr when that is a terminal.
    say
        Is told what is being done.

    Returns
    -------
    Report
        `Report.holds` is the verdict.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    InputError
        If the folder holds no complete data set of ours, a file is damaged (names file and row group), the base is not
        that of the data set, or the singular values asked for do not exist or fit into memory.
    """
    if only is not None and only not in get_args(Only):
        raise InputError(f"only is {only!r}; it must be 'integrity' or 'fidelity'")
    if isinstance(dataset, str | os.PathLike):
        dataset = open_dataset(dataset)
    own = thresholds.checked(limits or {})
    if singular_values == DEFAULT_COUNT:
        singular_values = min(DEFAULT_COUNT, *dataset.shape)
    if only != "integrity":
        check_count(dataset.shape, singular_values)
    run = _Run(dataset, base, only, resolve_threads(threads), progress, say)
    if only == "fidelity" and run.planned is None:
        raise InputError(
            "fidelity needs private/ beside the data: it holds the real statistics", hint="use --only integrity"
        )
    if only != "fidelity":
        run.check(sha256)
    if only != "integrity":
        run.measure(singular_values, own)
    return Report(run.findings())


@dataclass
class _Run:
    """One validation: what is looked at, and what was found so far."""

    dataset: "Dataset | Expansion"
    base: Base | None
    only: Only | None
    threads: int
    progress: bool
    say: Callable[[str], None]
    checks: list[Check] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    curves: dict[str, dict[str, Curve]] = field(default_factory=dict)
    maps: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    _sums: Degrees | None = None

    def __post_init__(self) -> None:
        """Find out what is known beside the interactions themselves."""
        self.expansion: Expansion | None = None
        self.planned: Planned | None = None
        if self.base is not None and not isinstance(self.base, Base):
            raise InputError(f"base is {type(self.base).__name__}, not a Base", hint="make one: leave_last_out(source)")
        if isinstance(self.dataset, Expansion):
            if self.base is not None and self.base.fingerprint != self.dataset.base.fingerprint:
                raise InputError("this base is not the expansion's", hint="leave it out: an expansion has its own")
            self.expansion, self.base = self.dataset, self.dataset.base
            options = dataclasses.asdict(self.dataset.options)
            statistics = expansion_statistics(self.dataset)
            self.planned = Planned(self.dataset.keep_rates, options, statistics, self.base.split)
        else:
            self._read_private(self.dataset)
        self.rows = StreamedMatrix(self.dataset, threads=self.threads, progress=self.progress)

    def _read_private(self, dataset: Dataset) -> None:
        private = Private.read(dataset.path)
        if private is None:
            if self.base is not None:
                raise InputError(
                    f"{dataset.path} has no private/plan.json: there is nothing to compare the source with"
                )
            return
        plan, reduced, options = private.plan, private.reduced, private.plan.options
        statistics = private.statistics
        if "assortativity" not in statistics:
            name = dataset.path / "private/base_statistics.npz"
            raise InputError(f"{name} is of an older version", hint="expand again, or use the version that made it")
        agree = all(getattr(dataset, name) == getattr(options, name) for name in ("shuffle", "order", "operator"))
        agree &= reduced.shape == dataset.multipliers
        agree &= tuple(statistics["shape"]) == dataset.block_shape
        prints = {"expansion": plan.expansion_fingerprint, "plan": plan.fingerprint}
        if prints != dataset.manifest.fingerprints or not agree:
            raise InputError(f"private/ and manifest.json of {dataset.path} are of different data sets")
        content = dataclasses.asdict(options)
        self.planned = Planned(options.keep_rates(reduced.values), content, dict(statistics), plan.base.split)
        if self.base is not None:
            in_cells = options.shuffle == "cells"
            if self.base.fingerprint != plan.base.fingerprint:
                raise InputError(
                    f"these interactions are not those that {dataset.path} was expanded from",
                    hint="name that source; it is read and split as the plan says",
                )
            if self.planned.by_function:
                return
            cells = private.cells if in_cells else None
            self.expansion = Expansion(self.base, reduced, profile=plan.profile, cells=cells, **content)
            if self.expansion.fingerprint != plan.expansion_fingerprint:
                raise InputError(f"private/ of {dataset.path} does not belong to its data: it makes other interactions")

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self.say(name)
        started = time.monotonic()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started

    @cached_property
    def _lacks_files(self) -> bool:
        return isinstance(self.dataset, Dataset) and integrity.lacks_files(self.dataset)

    @property
    def sums(self) -> Degrees:
        """Degrees of all rows, added up once."""
        if self._sums is None:
            with self._stage("adding up"):
                self._sums = self.rows.degrees(each_item=self.only != "integrity")
        return self._sums

    def check(self, sha256: bool) -> None:
        """Check everything exact."""
        if isinstance(self.dataset, Dataset):
            with self._stage("looking for the files"):
                self.checks += integrity.check_files(self.dataset, sha256)
                self.checks += integrity.check_attributes(self.dataset, self.expansion, sha256)
            if self._lacks_files:
                names = (integrity.IN_RANGE, integrity.ORDER, integrity.DUPLICATES, integrity.DISJOINT)
                later = (*names, integrity.BLOCKS, integrity.TEST_BLOCKS, integrity.REGENERATION)
                self.checks += [Check(name, "integrity", None, "needs all files") for name in later]
                return
            counted = any(check.name == integrity.COUNTS for check in self.checks)
            if not counted:
                self.checks.append(integrity.check_counts(self.dataset, self.sums))
        self.checks += integrity.check_rows(self.sums, self.rows.order)
        if self.planned is not None and self.planned.has_blocks:
            self.checks += integrity.check_blocks(self.sums, self.planned)
            self._draw_deviation(self.planned)
        else:
            both, note = (integrity.BLOCKS, integrity.TEST_BLOCKS), NO_BLOCKS if self.planned else NEEDS_PRIVATE
            self.checks += [Check(name, "integrity", None, note) for name in both]
        if isinstance(self.dataset, Dataset):
            usable = self._check_columns(self.dataset)
            if self.expansion is None or self._is_out_of_range():
                note = self._no_expansion or "needs ids in range"
                names = (integrity.REGENERATION, *(carried.AGAINST_SOURCE if "timestamp" in self._columns else ()))
                self.checks += [Check(name, "integrity", None, note) for name in names]
            else:
                with self._stage("generating users again"):
                    users = integrity.regenerated_sample(self.rows, self.expansion)
                    found = integrity.check_regenerated(self.rows, self.expansion, users)
                    carries = self._columns and usable
                    self.checks += (
                        integrity.check_carried(self.rows, self.dataset, self.expansion, users, found)
                        if carries
                        else [found]
                    )

    @property
    def _columns(self) -> tuple[str, ...]:
        """What interactions carry besides users and items."""
        if isinstance(self.dataset, Dataset):
            return tuple(self.dataset.schema.names)[2:]
        return tuple(field.name for field in self.dataset.payload.fields)

    @property
    def _no_expansion(self) -> str | None:
        """Why nothing can be generated again; None where it can."""
        if self.expansion is not None:
            return None
        if self.planned is None:
            return NEEDS_PRIVATE
        return BY_FUNCTION if self.planned.by_function else fidelity.NEEDS_SOURCE

    def _check_columns(self, dataset: Dataset) -> bool:
        """Check what interactions carry, and that times are in order; tell whether it can be read."""
        if not self._columns:
            return True
        found = carried.check_columns(dataset)
        self.checks.append(found)
        if "timestamp" in self._columns:
            late = self.planned is not None and self.planned.test_is_last
            if found.holds and not self._is_out_of_range():
                with self._stage("following times"):
                    self.checks += carried.check_times(dataset, late, self.threads, self.progress)
            if self.planned is None:
                self.checks.append(Check(carried.TEST_IS_LAST, "integrity", None, NEEDS_PRIVATE))
        return bool(found.holds)

    def _is_out_of_range(self) -> bool:
        """Tell whether there are ids of nobody and nothing, at which every other pass stops."""
        return self.sums.violations["out_of_range"].count > 0

    def _draw_deviation(self, planned: Planned) -> None:
        expected = float(planned.statistics["counts"][0]) * planned.rates
        if planned.options["drop_incomplete"]:
            # Dropped users are missing from all blocks of a row block alike, or nearly so.
            totals = self.sums.block_train.sum(axis=1, keepdims=True)
            expected *= totals / np.maximum(expected.sum(axis=1, keepdims=True), 1e-12)
        spread = np.sqrt(np.maximum(expected * (1 - planned.rates), 1e-12))
        self.maps["block_deviation"] = (self.sums.block_train - expected) / spread

    def measure(self, count: int, own: dict[str, float]) -> None:
        """Measure all statistics."""
        if isinstance(self.dataset, Dataset) and self._lacks_files:
            if not self.checks:
                self.checks += integrity.check_files(self.dataset, digests=False)
            return
        if self.planned is None:
            self.checks.append(Check("fidelity", "fidelity", None, f"{NEEDS_PRIVATE}: it holds the real statistics"))
            return
        real = fidelity.Real.of(self.planned.statistics)
        keep, shuffle = self.planned.keep_rates if self.planned.has_blocks else None, self.planned.options["shuffle"]
        # With times, user cells have one member.
        one_source = shuffle in ("aligned", "none") or self.planned.options.get("timestamps", False)
        limits = thresholds.defaults(real.per_user, one_source) | own
        sums = self.sums
        if not sums.user_train.any():
            self.checks.append(Check(NOT_EMPTY, "fidelity", False, "none was written"))
            return
        if isinstance(self.dataset, Dataset) and self._is_out_of_range():
            if not self.checks:
                self.checks += integrity.check_rows(sums, self.rows.order)
            return
        with self._stage("singular values"):
            found = spectrum(self.rows, count, tolerance=_tolerance(self.rows.interactions))
        with self._stage("neighbours"):
            near = neighbours(self.rows, sums.item_train, sample(sums.item_train))
            copied = None
            if near is not None and self.expansion is not None and keep is not None:
                copied = copies(near, self.expansion)
        with self._stage("repetition"):
            repeated = repetition(self.rows, sums)
        written = fidelity.Written(sums, found, near, copied, repeated)
        vectors = None
        if self.base is not None:
            with self._stage("the real interactions"):
                rows = StreamedMatrix(self.base, threads=self.threads, progress=self.progress)
                item_sums = self.base.item_degrees("train")
                vectors = fidelity.Vectors(
                    spectrum(rows, min(8, *self.base.shape), tolerance=1e-6),
                    neighbours(rows, item_sums, sample(item_sums)),
                )
        self.metrics += fidelity.sums_metrics(real, keep, sums, limits)
        self.metrics += fidelity.spectrum_metrics(real, keep, written, self._predictable, limits)
        self.metrics += fidelity.vector_metrics(vectors, keep, found, limits)
        self.metrics += fidelity.graph_metrics(real, keep, sums, limits)
        self.metrics += fidelity.neighbour_metrics(vectors, written, limits)
        self.metrics += fidelity.repetition_metrics(written, limits)
        self.curves = fidelity.curves(real, keep, written, vectors)
        if self._columns:
            self._measure_carried(self.planned, limits)
        self.maps["density"] = sums.density.astype(np.float64)
        if keep is not None:
            self.maps["keep_rates"] = keep
            if "block_deviation" not in self.maps:
                self._draw_deviation(self.planned)

    @property
    def _predictable(self) -> bool:
        """Whether singular values follow from R's: its blocks are alike, and what is train in R is train in them."""
        assert self.planned is not None
        options = self.planned.options
        cold = options["cold_users"] or options["cold_items"]
        return options["shuffle"] in ("aligned", "none") and not cold

    def _measure_carried(self, planned: Planned, limits: dict[str, float]) -> None:
        """Measure times and ratings."""
        if isinstance(self.dataset, Dataset) and not carried.check_columns(self.dataset).holds:
            if not self.checks:
                self.checks.append(carried.check_columns(self.dataset))
            return
        keep = planned.keep_rates
        (m, n), users = keep.shape, len(planned.statistics["train_user_sums"])
        shape = batches.UserSampler(users, m, n, float(self.sums.user_train.sum()))
        active = Activity.from_arrays(planned.statistics)
        if active is not None:
            with self._stage("times"):
                found, curves = times.compare(
                    self.dataset, shape, active, self.expansion, limits, self.threads, self.progress
                )
            self.metrics += found
            self.curves |= curves
        rated = Ratings.from_arrays(planned.statistics)
        if rated is not None:
            with self._stage("ratings"):
                kronecker = planned.options["ratings"] == "kronecker"
                self.metrics += ratings.compare(
                    self.dataset, shape, rated, keep, kronecker, limits, self.threads, self.progress
                )

    def findings(self) -> Findings:
        """Put together what was found."""
        users, items = self.rows.shape
        subject: dict[str, Any] = {}
        if isinstance(self.dataset, Dataset):
            data = self.dataset
            subject = {"data set": self.dataset.path.name}
            subject |= {name: getattr(data, name) for name in ("profile", "shuffle", "operator")}
            subject |= {split: self.dataset.totals[split] for split in ("train", "test")}
            subject |= {"multipliers": "{} × {}".format(*data.multipliers)}
            subject |= {"fractalrs": data.manifest.fractalrs, "generator": data.manifest.generator}
        elif self.expansion is not None:
            options = self.expansion.options
            subject = {"expansion": "generated, not written", "shuffle": options.shuffle, "operator": options.operator}
        subject |= {"users": users, "items": items}
        return Findings(subject, tuple(self.checks), tuple(self.metrics), self.curves, self.maps, self.seconds)


def _tolerance(interactions: float) -> float:
    """Smaller data can afford more steps."""
    return TOLERANCE if interactions > 1e8 else 1e-4
