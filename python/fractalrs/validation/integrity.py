"""Integrity: is what is on disk exactly what was planned?"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import stats

from fractalrs import _core
from fractalrs.dataset.attributes import source_codes
from fractalrs.dataset.dataset import Dataset
from fractalrs.dataset.manifest import AttributesEntry, FileEntry
from fractalrs.expansion.expansion import Expansion
from fractalrs.expansion.operators import operator_named
from fractalrs.passes.matrix import Degrees, StreamedMatrix
from fractalrs.tools.store import is_litter
from fractalrs.validation import carried
from fractalrs.validation.findings import Check
from fractalrs.words import SIDES, Side, Split

FALSE_ALARMS = 1e-6
"""Probability that a check fails though all is right; each of its many p-values is allowed its share of it."""

REGENERATED = 10_000
"""Expanded users that are generated again and compared, when the source is at hand."""

REGENERATED_INTERACTIONS = 10_000_000
"""Fewer users where they hold more interactions than this."""

FILES = "the files are those of the manifest"
DIGESTS = "the files have their SHA-256"
COUNTS = "the counts are those of the manifest"
IN_RANGE = "ids are in range"
ORDER = "rows are in order"
DUPLICATES = "no interaction is there twice"
DISJOINT = "train and test are disjoint"
BLOCKS = "blocks keep what their keep rates say"
TEST_BLOCKS = "test interactions are spread as they should be"
USERS = "users have the test interactions they should"
REGENERATION = "a sample of users is generated again bit for bit"

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
# Of ∫₀¹ f(u) du with u = ((1 + x) / 2)⁴: 1e-9 off for exp(−λ u) up to λ = 10⁴, where plain nodes miss the end at 0.
_U, _DU = ((_NODES + 1) / 2) ** 4, 2 * ((_NODES + 1) / 2) ** 3 * _WEIGHTS
_ATTRIBUTE_ROWS = 1 << 20
"""Rows looked at together: a block's permutation is made once for so many."""
_TINY = 1e-300
"""Keeps quotients of zeros defined."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Planned:
    """What the plan says of the blocks.

    Attributes
    ----------
    keep_rates
        K, (m, n).
    options
        Options of the expansion, as in ``private/plan.json``.
    statistics
        Arrays of ``private/base_statistics.npz``.
    split
        How the base's test interactions were chosen.
    """

    keep_rates: Floats
    options: dict[str, Any]
    statistics: dict[str, npt.NDArray[Any]]
    split: str = "given"

    @cached_property
    def rates(self) -> Floats:
        """Keep rates, 0 where a block does not exist."""
        exists = _core.existing_blocks(self.options["seed"], self.options["block_keep"], self.keep_rates.shape)
        return np.where(exists, self.keep_rates, 0.0)

    @property
    def has_blocks(self) -> bool:
        """Whether blocks are copies of R, of which entries are kept at a rate."""
        return self.options["operator"] in ("dropout", "kronecker")

    @property
    def by_function(self) -> bool:
        """Whether a function made the blocks."""
        return operator_named(self.options["operator"]).is_function

    @property
    def test_is_last(self) -> bool:
        """Whether no test interaction of a user may come before a train interaction."""
        return self.split == "last" and self.options.get("cold_items", 0) == 0


def check_files(dataset: Dataset, digests: bool) -> list[Check]:
    """Look for every file of the manifest, its size and its rows; take its SHA-256 where that is asked for."""
    wrong, changed, counted = [], [], []
    for split, file in _files(dataset):
        path = dataset.path / file.path
        if not path.is_file():
            wrong.append(f"{file.path} is missing")
            continue
        if path.stat().st_size != file.bytes:
            wrong.append(f"{file.path} has {path.stat().st_size:,} bytes instead of {file.bytes:,}")
        rows = _rows(path)
        if rows is None:
            wrong.append(f"{file.path} cannot be read")
        elif rows != file.rows:
            counted.append(f"{file.path} has {rows:,} {split} interactions instead of {file.rows:,}")
        if digests:
            with path.open("rb") as opened:
                if hashlib.file_digest(opened, "sha256").hexdigest() != file.sha256:
                    changed.append(file.path)
    known = {file.path for _, file in _files(dataset)}
    for split in ("train", "test"):
        there = (f"{split}/{found.name}" for found in sorted((dataset.path / split).glob("[!._]*")))
        wrong += [f"{name} is none of them" for name in there if name not in known and not is_litter(name)]
    count = dataset.totals["files"]
    checks = [
        Check(FILES, "integrity", not wrong, _some(wrong) or f"all {count} files have their size"),
        Check(
            DIGESTS,
            "integrity",
            not changed if digests else None,
            (f"changed: {_some(changed)}" if changed else f"all {count} files") if digests else "needs --sha256",
        ),
    ]
    if counted:
        checks.append(Check(COUNTS, "integrity", False, _some(counted)))
    return checks


def lacks_files(dataset: Dataset) -> bool:
    """Tell whether a file of the manifest is missing or, without its end, unreadable."""
    return any(_rows(dataset.path / file.path) is None for _, file in _files(dataset))


def check_attributes(dataset: Dataset, expansion: Expansion | None, digests: bool) -> list[Check]:
    """Check that files of attributes have every expanded id in order, with its block and, if that is known, its source.

    Attributes themselves are checked by `digests` alone: nothing else knows them.
    """
    checks = []
    for side in reversed(SIDES):
        file = dataset.attributes.get(side.plural)
        if file is not None:
            wrong = _wrong_attributes(dataset, side, file, expansion, digests)
            told = f"all {file.rows:,}, {'and' if expansion is not None else 'but not'} their sources"
            checks.append(Check(f"{file.path} has the expanded {side}", "integrity", wrong is None, wrong or told))
    return checks


def _wrong_attributes(
    dataset: Dataset, side: Side, file: AttributesEntry, expansion: Expansion | None, digests: bool
) -> str | None:
    path, one = dataset.path / file.path, side.singular
    count, size = dataset.shape[side.axis], dataset.block_shape[side.axis]
    known = None if expansion is None else getattr(expansion.base, f"{one}_ids")
    if not path.is_file():
        return "it is missing"
    if digests:
        with path.open("rb") as opened:
            if hashlib.file_digest(opened, "sha256").hexdigest() != file.sha256:
                return "its SHA-256 is not that of the manifest"
    start = 0
    try:
        with pq.ParquetFile(path) as opened:
            columns = [f"{one}_id", f"{one}_block", f"source_{one}_id"]
            for batch in opened.iter_batches(_ATTRIBUTE_ROWS, columns=columns):
                stop = start + len(batch)
                ids = np.arange(start, stop)
                right = (batch[f"{one}_id"].to_numpy() == ids) & (batch[f"{one}_block"].to_numpy() == ids // size)
                if expansion is not None and known is not None and stop <= count:
                    blocks = range(start // size, -(-stop // size))
                    codes = np.concatenate([source_codes(expansion, side, block) for block in blocks])
                    sources = known.take(pa.array(codes[ids - blocks.start * size]))
                    right &= (
                        pc.equal(batch[f"source_{one}_id"], sources).fill_null(False).to_numpy(zero_copy_only=False)
                    )
                if not right.all():
                    return f"row {start + int(np.argmin(right)):,} is not that {one}'s, or has another block or source"
                start = stop
    except (OSError, KeyError, pa.ArrowException) as error:
        return f"it cannot be read: {error}"
    if start != count:
        return f"it has {start:,} rows instead of {count:,}"
    there = path.stat().st_size
    return None if there == file.bytes else f"it has {there:,} bytes instead of {file.bytes:,}"


def _files(dataset: Dataset) -> list[tuple[Split, FileEntry]]:
    return [(split, file) for part in dataset.parts for split, file in part.files.items()]


def _rows(path: Any) -> int | None:
    """Rows by a file's own footer; None where it cannot be read."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, ValueError):
        return None


def _some(points: Sequence[str]) -> str:
    return "; ".join(points[:4]) + (f"; and {len(points) - 4} more" if len(points) > 4 else "")


def check_counts(dataset: Dataset, sums: Degrees) -> Check:
    """Check the interactions that the pass over all rows found against the manifest."""
    found = {"train": int(sums.user_train.sum()), "test": int(sums.user_test.sum())}
    wrong = [
        f"{count:,} {split} interactions instead of {dataset.totals[split]:,}"
        for split, count in found.items()
        if count != dataset.totals[split]
    ]
    told = f"{found['train']:,} train and {found['test']:,} test interactions"
    return Check(COUNTS, "integrity", not wrong, _some(wrong) or told)


def check_rows(sums: Degrees, order: str) -> list[Check]:
    """Check what the pass over all rows found against the promises, one of which is the order of a user's rows."""
    # In the order of time, items come in any order.
    of_items = None if order == "time" else "item_order"
    return [
        _violation(IN_RANGE, sums, "out_of_range", "interactions have an id of no user or item of their part"),
        _violation(ORDER, sums, "user_order", "users, or items of a user, come after one they belong before", of_items),
        _violation(DUPLICATES, sums, "duplicates", "interactions are there more than once in a split"),
        _violation(DISJOINT, sums, "overlaps", "test interactions are in train too"),
    ]


def _violation(name: str, sums: Degrees, kind: str, what: str, other: str | None = None) -> Check:
    kinds = [sums.violations[kind] for kind in (kind, other) if kind is not None]
    count = sum(violation.count for violation in kinds)
    places = [violation.first for violation in kinds if violation.first is not None]
    if not count:
        return Check(name, "integrity", True, "everywhere")
    user, item = min(places)
    return Check(name, "integrity", False, f"{count:,} {what}, the first at user {user}, item {item}")


def check_blocks(sums: Degrees, planned: Planned) -> list[Check]:
    """Test the train and test interactions of every block against what the keep rates make likely.

    Exact binomial p-values, two-sided, with Bonferroni's correction. Which blocks exist follows from the seed. Under
    ``test_items="one"`` an expanded user's test item falls into column block j with probability E[X_j / Σ X], X_j
    binomial: how many of its test items block j keeps (Poisson-binomial; exact where every user has one). Where
    incomplete users are dropped, counts are compared within their row block, given its total (`_among_complete`).
    """
    rates, options, statistics = planned.rates, planned.options, planned.statistics
    train_sums, test_sums = (statistics[f"{split}_user_sums"].astype(np.float64) for split in ("train", "test"))
    if options["cold_users"] or options["cold_items"]:
        # What cold users and items have is test, whatever it was: together they are as without.
        both = sums.block_train + sums.block_test
        kept = _binomial(both, (train_sums + test_sums).sum(), [rates])
        why = "cold users and items have test interactions wherever they are"
        return [_verdict(BLOCKS, kept, both, rates, "train and test"), Check(TEST_BLOCKS, "integrity", None, why)]
    complete = ((sums.user_train > 0) & (sums.user_test > 0)).reshape(len(rates), -1).mean(axis=1)
    lost, shuffle = 1 - complete, options["shuffle"]
    if options["drop_incomplete"]:
        selection = _Selection(rates, train_sums, test_sums, lost, shuffle)
        train = _among_complete(sums.block_train, [rates], train_sums, selection)
    else:
        train = _binomial(sums.block_train, train_sums.sum(), [rates])
    checks = [_verdict(BLOCKS, train, sums.block_train, rates, "train")]
    if test_sums.sum() == 0:
        return [*checks, Check(TEST_BLOCKS, "integrity", None, "nothing is held out")]
    one = options["test_items"] == "one"
    checks += _check_users(sums, one, options["drop_incomplete"])
    chances = chosen_chances(rates, test_sums, shuffle) if one else [rates]
    drawn = np.ones_like(test_sums) if one else test_sums
    if options["drop_incomplete"]:
        selection = _Selection(rates, test_sums, train_sums, lost, shuffle)
        test = _among_complete(sums.block_test, chances, drawn, selection)
    else:
        test = _binomial(sums.block_test, drawn.sum(), chances)
        if one:
            # Totals over row blocks: a bias too small to show in one block. A sum of binomials varies less than one.
            means = [chance.mean(axis=0) for chance in chances]
            whole = _binomial(sums.block_test.sum(axis=0), drawn.sum() * len(rates), means)
            # Each of the two families is allowed half of the false alarms.
            test = np.minimum(1.0, 2 * np.minimum(test, whole / len(rates)))
    checks.append(_verdict(TEST_BLOCKS, test, sums.block_test, rates, "test"))
    return checks


def _check_users(sums: Degrees, one: bool, complete: bool) -> list[Check]:
    """Check what options promise of every user."""
    if not one and not complete:
        return []
    several = np.flatnonzero(sums.user_test > 1) if one else np.empty(0, dtype=np.int64)
    lacking = np.flatnonzero((sums.user_train > 0) != (sums.user_test > 0)) if complete else np.empty(0, dtype=np.int64)
    wrong = []
    if len(several):
        wrong.append(f"{len(several):,} users have more than one test interaction, the first is user {several[0]}")
    if len(lacking):
        wrong.append(f"{len(lacking):,} users lack train or test interactions, the first is user {lacking[0]}")
    return [Check(USERS, "integrity", not wrong, _some(wrong) or "all users")]


def chosen_chances(rates: Floats, test_sums: npt.NDArray[Any], shuffle: str) -> list[Floats]:
    """Probability that the one test item of an expanded user comes from block (i, j), per expanded user.

    E[X_j / Σ X] = ∫₀¹ G_j′(z) Π_{k≠j} G_k(z) dz with G the probability generating function of the X. With `aligned` and
    `none` a user's blocks share one source user, with `block` they are independent; `cells` lie in between.

    Returns
    -------
    list of (m, n)
        The probability, or two between which it lies.
    """
    degrees, counts = np.unique(test_sums, return_counts=True)
    weights = counts / counts.sum()
    shared, independent = np.zeros(rates.shape), np.zeros(rates.shape)
    for i, row in enumerate(rates):
        base = 1 - row[:, None] * _U
        mixed, slope = np.zeros(base.shape), np.zeros(base.shape)
        for degree, weight in zip(degrees.astype(np.float64), weights, strict=True):
            powers = base**degree
            steep = degree * row[:, None] / base
            mixed += weight * powers
            slope += weight * steep * powers
            shared[i] += weight * (steep * powers.prod(axis=0)) @ _DU
        independent[i] = (slope / np.maximum(mixed, _TINY) * mixed.prod(axis=0)) @ _DU
    return {"block": [independent], "cells": [shared, independent]}.get(shuffle, [shared])


def _binomial(counts: npt.NDArray[Any], trials: Floats | float, chances: list[Floats]) -> Floats:
    """Two-sided p-values where the chance lies between the given ones."""
    # Degrees of probabilities may be above 1 by rounding.
    low, high = np.min(chances, axis=0), np.minimum(np.max(chances, axis=0), 1)
    low = np.minimum(low, high)
    below = stats.binom.cdf(counts, trials, low)
    above = stats.binom.sf(counts.astype(np.float64) - 1, trials, high)
    return np.asarray(np.minimum(1.0, 2 * np.minimum(below, above)))


@dataclass(frozen=True)
class _Selection:
    """Which source users every block loses where incomplete expanded users are dropped.

    Attributes
    ----------
    rates
        Keep rates of the blocks that exist, (m, n).
    own, other
        Degrees of source users: of the split that is looked at, and of the one that a complete user must have too; each in
        descending order, so which belong to the same user is not known.
    lost
        Share of expanded users that are not complete, (m).
    shuffle
        With `aligned` and `none` the blocks of a row block all lose the same source users; otherwise each its own.
    """

    rates: Floats
    own: Floats
    other: Floats
    lost: Floats
    shuffle: str

    @property
    def alike(self) -> bool:
        """Whether all blocks of a row block lose the same source users."""
        return self.shuffle in ("aligned", "none")

    def biases(self) -> tuple[Floats, Floats]:
        """Least and most that a block (i, j) may lose beyond the average, as a share of all its interactions.

        A user with much of the other split in block j itself is seldom lost: of independent blocks, block j loses
        Π_{k≠j} v_k · Σ_r own_r (1 − K_j)^other_r, with v_k the mean of (1 − K_k)^other. How the two sums of a user go
        together is not known, but the least and the most are reached where both rise, and where one falls
        (rearrangement inequality). Cells lie between those and blocks that are alike, which lose the average.
        """
        values, starts, counts = np.unique(self.other[::-1], return_index=True, return_counts=True)
        weights, total = counts / counts.sum(), max(1.0, self.own.sum())
        rising, falling = (np.add.reduceat(own, starts) / total for own in (self.own[::-1], self.own))
        least, most = np.empty(self.rates.shape), np.empty(self.rates.shape)
        for i, row in enumerate(self.rates):
            void = (1 - row) ** values[:, None]
            mean = weights @ void
            elsewhere = mean.prod() / np.maximum(mean, _TINY)
            least[i], most[i] = elsewhere * (rising @ void - mean), elsewhere * (falling @ void - mean)
        return least, most


def _among_complete(counts: npt.NDArray[Any], chances: list[Floats], drawn: Floats, selection: _Selection) -> Floats:
    """Two-sided p-values of the counts of a row block where incomplete users are dropped, given their sum.

    Every source user draws a number of times, each with the chance of the block. Binomial where the blocks of a row
    block all lose the same number of draws; otherwise a count varies with the users that its block loses: Bernstein's
    inequality, which bounds the tails of a sum of terms none of which is large.
    """
    totals = counts.sum(axis=1, keepdims=True).astype(np.float64)
    if selection.alike:
        return _binomial(counts, totals, [_shares(chance) for chance in chances])
    shares = []
    for chance in chances:
        kept = totals / np.maximum(drawn.sum() * chance.sum(axis=1, keepdims=True), _TINY)
        for bias in selection.biases():
            average = (_shares(chance) * bias).sum(axis=1, keepdims=True)
            shares.append(_shares(chance * np.maximum(0, kept + average - bias)))
    low, high, squares = np.min(shares, axis=0), np.max(shares, axis=0), np.square(chances).max(axis=0)
    lost = np.minimum(selection.lost, 0.5)[:, None]
    # A count's difference from its share of the total, in which all blocks of the row have a part.
    spread = (1 - low) ** 2 * squares + high**2 * (squares.sum(axis=1, keepdims=True) - squares)
    spread *= lost * (1 - lost) * np.square(drawn - drawn.mean()).sum()
    beyond = np.maximum(0, np.maximum(counts - totals * high, totals * low - counts))
    largest = np.maximum(1, np.sqrt(squares) * drawn.max())
    scale = 2 * (totals * high * (1 - low) + spread + largest * beyond / 3)
    bernstein = np.minimum(1, 2 * np.exp(-(beyond**2) / np.maximum(scale, _TINY)))
    return np.where(spread > 0, bernstein, _binomial(counts, totals, shares))


def _shares(weights: Floats) -> Floats:
    return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), _TINY))


def _verdict(name: str, values: Floats, counts: npt.NDArray[Any], rates: Floats, split: str) -> Check:
    least = float(values.min())
    bound = FALSE_ALARMS / values.size
    i, j = np.unravel_index(int(values.argmin()), values.shape)
    where = f"block ({i}, {j}) with {int(counts[i, j]):,} {split} interactions"
    where += "" if rates[i, j] else ", planned to be empty"
    if least < bound:
        wrong = int((values < bound).sum())
        detail = f"{wrong:,} of {values.size:,} blocks cannot be chance, most of all {where}: p = {least:.1e}"
        return Check(name, "integrity", False, detail)
    return Check(name, "integrity", True, f"least of {values.size:,} p-values {least:.1e}, allowed {bound:.1e}")


def regenerated_sample(rows: StreamedMatrix, expansion: Expansion) -> npt.NDArray[np.uint64]:
    """Draw the users that are generated again; their ids rise."""
    users = expansion.shape[0]
    # Keyed by the seed, which the plan alone holds: who does not have it cannot know the sample.
    rng = np.random.default_rng([expansion.seed, users])
    fitting = int(REGENERATED_INTERACTIONS * users / max(1.0, rows.interactions))
    count = max(1, min(users, REGENERATED, fitting))
    return np.sort(rng.choice(users, size=count, replace=False)).astype(np.uint64)


def check_regenerated(rows: StreamedMatrix, expansion: Expansion, chosen: npt.NDArray[np.uint64]) -> Check:
    """Generate users again and compare train and test interactions, in their order."""
    again = StreamedMatrix(expansion, threads=rows.threads, users=chosen)
    for test in (False, True):
        there, here = rows.collect(chosen, test=test), again.collect(chosen, test=test)
        lengths = np.diff(there.indptr) != np.diff(here.indptr)
        if lengths.any():
            return _differs(chosen[np.flatnonzero(lengths)[0]], "test interactions" if test else "train interactions")
        differing = np.flatnonzero(there.indices != here.indices)
        if len(differing):
            return _differs(
                chosen[np.searchsorted(there.indptr, differing[0], side="right") - 1],
                "test interactions" if test else "train interactions",
            )
    return Check(REGENERATION, "integrity", True, f"{len(chosen):,} of {expansion.shape[0]:,} users are the same")


def check_carried(
    rows: StreamedMatrix, dataset: Dataset, expansion: Expansion, users: npt.NDArray[np.uint64], found: Check
) -> list[Check]:
    """Compare what the interactions of those users carry too, and their times with the source.

    `found` is what comparing ids gave.
    """
    differing, checks = carried.check_sources(
        dataset, expansion, users.astype(np.int64), bool(found.holds), rows.threads, rows.progress
    )
    return [found if differing is None else _differs(differing, "carried values"), *checks]


def _differs(user: int, what: str) -> Check:
    return Check(REGENERATION, "integrity", False, f"user {user} has other {what} than the plan generates")
