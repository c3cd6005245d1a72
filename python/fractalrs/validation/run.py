"""Validate a data set, or an expansion: integrity, fidelity, and the report of both."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from fractalrs.base import Base
from fractalrs.dataset import Dataset, open_dataset
from fractalrs.errors import InputError, OutputError
from fractalrs.expansion import Expansion
from fractalrs.statistics import Curve, Floats
from fractalrs.tools import (
    Place,
    Progress,
    Stages,
    Store,
    allowed_threads,
    as_progress,
    blas_threads,
    check_kind,
    resolve_threads,
    suggests,
)
from fractalrs.validation import metrics
from fractalrs.validation.checks import blocks, files, regeneration, rows, times
from fractalrs.validation.checks.attributes import check_attributes
from fractalrs.validation.checks.files import Footers
from fractalrs.validation.findings import Check, Findings, Metric
from fractalrs.validation.measure.measured import Measured
from fractalrs.validation.measure.spectrum import DEFAULT_COUNT, check_count
from fractalrs.validation.metrics.spec import NEEDS_SOURCE
from fractalrs.validation.planned import Planned, read_planned
from fractalrs.validation.report.report import Report
from fractalrs.validation.thresholds import checked, defaults
from fractalrs.validation.wording import first_few
from fractalrs.words import SPLITS

logger = logging.getLogger(__name__)

Only = Literal["integrity", "fidelity"]
NEEDS_PRIVATE = "needs private/ beside the data"
NO_BLOCKS = "the operator has no keep rates"
NOT_EMPTY = "there are train interactions"
REST = "what else is checked and measured"
BY_FUNCTION = "what a function made cannot be made again"


@suggests
def validate(
    dataset: Dataset | Expansion | Place,
    base: Base | None = None,
    *,
    only: Only | None = None,
    singular_values: int = DEFAULT_COUNT,
    digests: bool = False,
    thresholds: Mapping[str, float] | None = None,
    false_alarms: float = blocks.FALSE_ALARMS,
    threads: int | None = None,
    progress: bool | Progress = False,
) -> Report:
    """Check that a data set is exactly what was planned, and measure whether it keeps the statistics of the real data.

    Parameters
    ----------
    dataset
        A data set, its folder or URL; or an expansion, which is generated. What is in an object store is fetched into a
        temporary folder; where ``TMPDIR`` has too little room for it, every pass reads the store again.
    base
        What it was expanded from. Without it, what needs the real interactions themselves is left out: users generated
        again, singular vectors, real neighbours, copies.
    only
        ``"integrity"`` or ``"fidelity"``: that alone.
    singular_values
        How many are compared.
    digests
        Take the BLAKE3 digest of every file too.
    thresholds
        By metric, over the defaults (`fractalrs.validation.thresholds`).
    false_alarms
        Probability with which the check of all blocks fails though all is right.
    threads
        By default as many as this process may use.
    progress
        Show progress on stderr when that is a terminal, or by a `Progress` of your own.

    Returns
    -------
    Report
        `Report.holds` is the verdict.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    InputError
        If an argument cannot be used, the folder holds no complete data set of ours, a file is damaged (names file and
        row group), the base is not that of the data set, or the singular values do not exist or fit into memory.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> print(fr.validate(fr.Expansion(base, fr.reduce(base, (2, 3))), only="integrity").verdict)
    All 6 checks hold
    """
    _check(only, singular_values, false_alarms)
    subject = _opened(dataset)
    own = checked({} if thresholds is None else thresholds)
    if singular_values == DEFAULT_COUNT:
        singular_values = min(DEFAULT_COUNT, *subject.shape)
    if only != "integrity":
        check_count(subject.shape, singular_values)
    threads, shown = resolve_threads(threads), as_progress(progress)
    # On several threads of linear algebra the last bits of singular values would depend on how many.
    with allowed_threads(threads), blas_threads(1), _here(subject) as subject:
        planned, base, expansion = _known(subject, base)
        if only == "fidelity" and planned is None:
            raise InputError(f"fidelity {NEEDS_PRIVATE}: it holds the real statistics", hint="use --only integrity")
        stages = Stages(shown)
        run = _Run(Measured(subject, planned, base, expansion, singular_values, only != "integrity", threads, stages))
        work = run.measured.work(only != "fidelity", only != "integrity")
        with stages.together("validating", work), run.readable():
            if only != "fidelity":
                run.check(digests, false_alarms)
            if only != "integrity":
                run.measure(own)
    return Report(run.findings())


def _opened(dataset: Dataset | Expansion | Place) -> Dataset | Expansion:
    """Return what is to be validated; a data set is looked at first, since it may lie where there are no paths."""
    if isinstance(dataset, Dataset | Expansion):
        return dataset
    check_kind("dataset", dataset, (str, os.PathLike, Store), "a Dataset, its folder, or an Expansion")
    return open_dataset(dataset)


@contextmanager
def _here(subject: Dataset | Expansion) -> Iterator[Dataset | Expansion]:
    """Return what is validated, on this machine if there is room: every file is read several times."""
    if isinstance(subject, Expansion) or isinstance(subject.place, Path):
        yield subject
        return
    names = subject.store.list()
    with ExitStack() as stack:
        try:
            here = Dataset(stack.enter_context(subject.store.local(names)), subject.manifest)
        except OutputError as error:
            logger.warning(f"{error.message}; so every pass reads {subject.place} again")
            here = subject
        yield here


def _check(only: object, singular_values: object, false_alarms: object) -> None:
    if only is not None and only not in get_args(Only):
        raise InputError(f"only is {only!r}; it must be 'integrity' or 'fidelity'")
    if isinstance(singular_values, bool) or not isinstance(singular_values, int | np.integer):
        raise InputError(f"singular_values is {singular_values!r}; it must be a whole number")
    if not (isinstance(false_alarms, int | float | np.floating) and 0 < false_alarms < 1):
        raise InputError(f"false_alarms is {false_alarms!r}; it must be a number between 0 and 1")


def _known(subject: Dataset | Expansion, base: Base | None) -> tuple[Planned | None, Base | None, Expansion | None]:
    """Find out what is known beside the interactions themselves."""
    if base is not None and not isinstance(base, Base):
        raise InputError(f"base is {type(base).__name__}, not a Base", hint="make one: leave_last_out(source)")
    if isinstance(subject, Dataset):
        planned, expansion = read_planned(subject, base)
        return planned, base, expansion
    if base is not None and base.fingerprint != subject.base.fingerprint:
        raise InputError("this base is not the expansion's", hint="leave it out: an expansion has its own")
    return Planned.of(subject), subject.base, subject


class _Run:
    """One validation: what is looked at, and what was found so far."""

    def __init__(self, measured: Measured) -> None:
        self.measured = measured
        self.footers = Footers(measured.subject) if isinstance(measured.subject, Dataset) else None
        self.checks: list[Check] = []
        self.metrics: tuple[Metric, ...] = ()
        self.figures: tuple[dict[str, dict[str, Curve]], dict[str, Floats]] = ({}, {})

    @contextmanager
    def readable(self) -> Iterator[None]:
        """Make a failed check of pages that are damaged; it ends what is done within this context."""
        try:
            yield
        except InputError as error:
            damaged = [] if self.footers is None else self.footers.damaged_pages(self.measured.threads)
            if not damaged:
                raise
            what = f"{first_few(damaged)}: other bytes than were written ({error.message})"
            self.checks.append(Check(files.PAGES, "integrity", False, what))
            self._leave_out("needs pages that can be read", REST)

    def check(self, digests: bool, false_alarms: float) -> None:
        """Check everything exact."""
        measured, footers = self.measured, self.footers
        if footers is not None:
            with measured.stages("looking for the files"):
                self.checks += files.check_files(footers, digests)
                self.checks += check_attributes(footers.dataset, measured.expansion, digests)
            if footers.lack_some:
                names = (rows.IN_RANGE, rows.ORDER, rows.DUPLICATES, rows.DISJOINT, blocks.BLOCKS, blocks.TEST_BLOCKS)
                self._leave_out("needs all files", *names, regeneration.REGENERATION)
                return
            if not any(check.name == files.COUNTS for check in self.checks):
                self.checks.append(files.check_counts(footers.dataset, measured.degrees))
        self.checks += rows.check_rows(measured.degrees, measured.matrix.order)
        if measured.has_known_blocks and measured.planned is not None:
            self.checks += blocks.check_blocks(measured.degrees, measured.planned, false_alarms)
            self.figures = metrics.draw(measured, [metrics.BLOCK_DEVIATION])
        else:
            planned = measured.planned
            why = NEEDS_PRIVATE if planned is None else NEEDS_SOURCE if planned.has_blocks else NO_BLOCKS
            self._leave_out(why, blocks.BLOCKS, blocks.TEST_BLOCKS)
        if footers is not None:
            self._check_carried(footers)

    def _check_carried(self, footers: Footers) -> None:
        """Check what interactions carry, and generate a sample of users again."""
        measured, carries, dataset = self.measured, self.measured.columns, footers.dataset
        readable, how = not measured.is_out_of_range, (measured.threads, measured.progress)
        if carries:
            self.checks.append(footers.columns)
        if "timestamp" in carries:
            planned = measured.planned
            late = planned is not None and planned.test_is_last
            cuts = () if planned is None else planned.cuts
            if footers.columns.holds and readable:
                with measured.stages("following times"):
                    is_cold = planned is not None and planned.is_cold
                    self.checks += times.check_times(dataset, late, cuts, is_cold, *how)
                    if dataset.partition is not None:
                        self.checks.append(times.check_periods(dataset, measured.threads))
            if planned is None:
                self._leave_out(NEEDS_PRIVATE, times.TEST_IS_LAST)
        if measured.expansion is None or not readable:
            against_source = regeneration.AGAINST_SOURCE if "timestamp" in carries else ()
            self._leave_out(self._no_expansion, regeneration.REGENERATION, *against_source)
            return
        with measured.stages("generating users again"):
            users = regeneration.sample_users(measured.matrix, measured.expansion)
            same = regeneration.check_regenerated(measured.matrix, measured.expansion, users)
            checks: list[Check] = []
            if carries and footers.columns.holds:
                compare, chosen = bool(same.holds), users.astype("int64")
                differing, checks = regeneration.check_sources(dataset, measured.expansion, chosen, compare, *how)
                same = same if differing is None else regeneration.differs(differing, "carried values")
            self.checks += [same, *checks]

    @property
    def _no_expansion(self) -> str:
        """Why nothing can be generated again."""
        if self.measured.expansion is not None:
            return "needs ids in range"
        if self.measured.planned is None:
            return NEEDS_PRIVATE
        return BY_FUNCTION if self.measured.planned.operator.is_function else NEEDS_SOURCE

    def _leave_out(self, why: str, *names: str) -> None:
        self.checks += [Check(name, "integrity", None, why) for name in names]

    def measure(self, own: dict[str, float]) -> None:
        """Measure all statistics."""
        measured, footers, alone = self.measured, self.footers, not self.checks
        if footers is not None and footers.lack_some:
            self.checks += files.check_files(footers, digests=False) if alone else []
            return
        if measured.planned is None:
            self.checks.append(Check("fidelity", "fidelity", None, f"{NEEDS_PRIVATE}: it holds the real statistics"))
            return
        if not measured.interactions:
            self.checks.append(Check(NOT_EMPTY, "fidelity", False, "none was written"))
            return
        if footers is not None and measured.is_out_of_range:
            self.checks += rows.check_rows(measured.degrees, measured.matrix.order) if alone else []
            return
        families = metrics.FAMILIES
        if footers is not None and measured.columns and not footers.columns.holds:
            families = tuple(family for family in families if not family.of_columns)
            self.checks += [footers.columns] if alone else []
        thresholds = defaults(measured.planned.one_source) | own
        self.metrics = tuple(metrics.measure(measured, thresholds, families))
        drawn = (spec for family in families if family.applies(measured) for spec in family.figures)
        self.figures = metrics.draw(measured, drawn)

    def findings(self) -> Findings:
        """Return what was found."""
        of = self.measured.subject
        if isinstance(of, Dataset):
            place = of.place if isinstance(of.place, Path) else Path(of.place.url)
            subject: dict[str, Any] = {"data set": place.name}
            subject |= {name: getattr(of, name) for name in ("profile", "shuffle", "operator")}
            subject |= {split: of.totals[split] for split in SPLITS if split in of.totals}
            subject |= {"multipliers": "{} × {}".format(*of.multipliers)}
            subject |= {name: getattr(of.manifest, name) for name in ("fractalrs", "generator")}
        else:
            subject = {"expansion": "generated, not written"}
            subject |= {name: getattr(of.options, name) for name in ("shuffle", "operator")}
        subject |= dict(zip(("users", "items"), self.measured.matrix.shape, strict=True))
        warnings = of.manifest.warnings if isinstance(of, Dataset) else of.base.warnings
        subject |= {"dropped from the source": " ".join(warnings)} if warnings else {}
        return Findings(subject, tuple(self.checks), self.metrics, *self.figures, self.measured.stages.seconds)
