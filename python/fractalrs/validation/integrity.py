"""Integrity: is what is on disk exactly what was planned?"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from scipy import stats

from fractalrs.dataset import Dataset
from fractalrs.expansion import Expansion
from fractalrs.rows import Rows, Sums
from fractalrs.validation.findings import Check

FALSE_ALARMS = 1e-6
"""Probability that a check fails though all is right; each of its many p-values is allowed its share of it."""

REGENERATED = 10_000
"""Expanded users that are generated again and compared, when the source is at hand."""

FILES = "the files are those of the manifest"
DIGESTS = "the files have their SHA-256"
COUNTS = "the counts are those of the manifest"
IN_RANGE = "ids are in range"
ORDER = "rows are in order"
DUPLICATES = "no interaction is there twice"
DISJOINT = "train and test are disjoint"
BLOCKS = "blocks keep what their keep rates say"
TEST_BLOCKS = "test interactions are spread as they should be"
REGENERATION = "a sample of users is generated again bit for bit"

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)

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
    """

    keep_rates: Floats
    options: dict[str, Any]
    statistics: dict[str, npt.NDArray[Any]]


def check_files(dataset: Dataset, digests: bool) -> list[Check]:
    """Look for every file of the manifest, its size and its rows; take its SHA-256 where that is asked for."""
    wrong, changed, counted = [], [], []
    for split, file in _files(dataset):
        path = dataset.path / file["path"]
        if not path.is_file():
            wrong.append(f"{file['path']} is missing")
            continue
        if path.stat().st_size != file["bytes"]:
            wrong.append(f"{file['path']} has {path.stat().st_size:,} bytes instead of {file['bytes']:,}")
        rows = _rows(path)
        if rows is not None and rows != file["rows"]:
            counted.append(f"{file['path']} has {rows:,} {split} interactions instead of {file['rows']:,}")
        if digests:
            with path.open("rb") as opened:
                if hashlib.file_digest(opened, "sha256").hexdigest() != file["sha256"]:
                    changed.append(file["path"])
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


def missing_files(dataset: Dataset) -> bool:
    """Tell whether a file of the manifest is missing."""
    return any(not (dataset.path / file["path"]).is_file() for _, file in _files(dataset))


def _files(dataset: Dataset) -> list[tuple[str, dict[str, Any]]]:
    return [(split, part[split]) for part in dataset.manifest["parts"] for split in ("train", "test") if split in part]


def _rows(path: Any) -> int | None:
    """Rows by a file's own footer; None where it cannot be read, which the pass over all rows reports better."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, ValueError):
        return None


def _some(points: Sequence[str]) -> str:
    return "; ".join(points[:4]) + (f"; and {len(points) - 4} more" if len(points) > 4 else "")


def check_rows(dataset: Dataset, sums: Sums) -> list[Check]:
    """Check what the pass over all rows found against the manifest and the promises."""
    found = {"train": int(sums.user_train.sum()), "test": int(sums.user_test.sum())}
    wrong = [
        f"{count:,} {split} interactions instead of {dataset.totals[split]:,}"
        for split, count in found.items()
        if count != dataset.totals[split]
    ]
    told = f"{found['train']:,} train and {found['test']:,} test interactions"
    return [
        Check(COUNTS, "integrity", not wrong, _some(wrong) or told),
        _violation(IN_RANGE, sums, "out_of_range", "interactions have an id of no user or item of their part"),
        _violation(
            ORDER, sums, "user_order", "users, or items of a user, come after one they belong before", "item_order"
        ),
        _violation(DUPLICATES, sums, "duplicates", "interactions are there more than once in a split"),
        _violation(DISJOINT, sums, "overlaps", "test interactions are in train too"),
    ]


def _violation(name: str, sums: Sums, kind: str, what: str, other: str | None = None) -> Check:
    kinds = [sums.violations[kind] for kind in (kind, other) if kind is not None]
    count = sum(violation.count for violation in kinds)
    places = [violation.first for violation in kinds if violation.first is not None]
    if not count:
        return Check(name, "integrity", True, "everywhere")
    user, item = min(places)
    return Check(name, "integrity", False, f"{count:,} {what}, the first at user {user}, item {item}")


def check_blocks(sums: Sums, planned: Planned) -> list[Check]:
    """Test the train and test interactions of every block against what the keep rates make likely.

    Exact binomial p-values, two-sided, with Bonferroni's correction. Under ``test_items="one"`` an expanded user's test
    item falls into column block j with probability E[X_j / Σ X], X_j binomial: how many of its test items block j keeps
    (Poisson-binomial; exact where every user has one). Where incomplete users are dropped, counts are compared within
    their row block, given its total.
    """
    keep, options, statistics = planned.keep_rates, planned.options, planned.statistics
    exists = np.ones(keep.shape, dtype=bool)
    if options["block_keep"] < 1:
        exists = (sums.block_train + sums.block_test) > 0
    rates = np.where(exists, keep, 0.0)
    of_train, of_test = (int(count) for count in statistics["counts"])
    drops = options["drop_incomplete"]
    train_sums = statistics["train_user_sums"].astype(np.float64)
    if drops:
        train = _given_total(sums.block_train, rates, _selection_spread(sums, rates, train_sums))
    else:
        train = _binomial(sums.block_train, of_train, rates, 0.0)
    checks = [_verdict(BLOCKS, train, sums.block_train, "train")]
    if of_test == 0:
        return checks
    if options["test_items"] == "one":
        chances, slack = chosen_chances(rates, statistics["test_user_sums"], options["shuffle"])
        trials = len(train_sums)
    else:
        chances, slack, trials = rates, np.zeros(keep.shape), of_test
    if drops:
        test = _given_total(sums.block_test, chances, (slack * trials) ** 2)
    else:
        test = _binomial(sums.block_test, trials, chances, slack)
        whole = _binomial(sums.block_test.sum(axis=0), trials * len(rates), chances.mean(axis=0), slack.mean(axis=0))
        if options["test_items"] == "one" or len(rates) == 1:
            # Totals over row blocks: a bias too small to show in one block. A sum of binomials varies less than one.
            test = np.minimum(test, whole * test.size / max(1, whole.size))
    checks.append(_verdict(TEST_BLOCKS, test, sums.block_test, "test"))
    return checks


def chosen_chances(rates: Floats, test_sums: npt.NDArray[Any], shuffle: str) -> tuple[Floats, Floats]:
    """Probability that the one test item of an expanded user comes from block (i, j), per expanded user.

    E[X_j / Σ X] = ∫₀¹ G_j′(z) Π_{k≠j} G_k(z) dz with G the probability generating function of the X. With `aligned` and
    `none` a user's blocks share one source user, with `block` they are independent; `cells` lie in between.

    Returns
    -------
    tuple of (m, n)
        The probability, and by how much it may be off.
    """
    degrees, counts = np.unique(test_sums, return_counts=True)
    weights = counts / counts.sum()
    z, dz = (_NODES + 1) / 2, _WEIGHTS / 2
    base = 1 - rates[..., None] * (1 - z)
    shared = np.zeros(rates.shape)
    mixed, slope = np.zeros(base.shape), np.zeros(base.shape)
    for degree, weight in zip(degrees, weights, strict=True):
        powers = base ** float(degree)
        mixed += weight * powers
        if degree > 0:
            steep = degree * rates[..., None] * powers / base
            slope += weight * steep
            shared += weight * ((steep / powers) * powers.prod(axis=1, keepdims=True)) @ dz
    independent = (slope / mixed * mixed.prod(axis=1, keepdims=True)) @ dz
    if shuffle == "block":
        return independent, np.zeros(rates.shape)
    if shuffle == "cells":
        return (shared + independent) / 2, np.abs(shared - independent) / 2
    return shared, np.zeros(rates.shape)


def _binomial(counts: npt.NDArray[Any], trials: int, chances: Floats, slack: Floats | float) -> Floats:
    low = stats.binom.cdf(counts, trials, np.clip(chances - slack, 0, 1))
    high = stats.binom.sf(counts.astype(np.int64) - 1, trials, np.clip(chances + slack, 0, 1))
    return np.asarray(np.minimum(1.0, 2 * np.minimum(low, high)))


def _given_total(counts: npt.NDArray[Any], rates: Floats, extra: Floats) -> Floats:
    """Two-sided p-values of the counts of a row block, given their sum: binomial, or wider by an extra variance."""
    totals = counts.sum(axis=1, keepdims=True).astype(np.float64)
    share = rates / np.maximum(rates.sum(axis=1, keepdims=True), 1e-300)
    mean = totals * share
    variance = np.maximum(mean * (1 - share) + extra, mean * (1 + 1e-9))
    wide = extra > 0
    # A negative binomial of that mean and variance: heavier tails than a normal one where counts are small.
    chance = mean / np.maximum(variance, 1e-300)
    size = mean * chance / np.maximum(1 - chance, 1e-12)
    size, chance = np.where(mean > 0, size, 1.0), np.where(mean > 0, chance, 1.0)
    whole = counts.astype(np.int64)
    low = np.where(wide, stats.nbinom.cdf(whole, size, chance), stats.binom.cdf(whole, totals, share))
    high = np.where(wide, stats.nbinom.sf(whole - 1, size, chance), stats.binom.sf(whole - 1, totals, share))
    return np.asarray(np.minimum(1.0, 2 * np.minimum(low, high)))


def _selection_spread(sums: Sums, rates: Floats, train_sums: Floats) -> Floats:
    """Variance that dropping some users adds to a block's train interactions: every block drops other source users."""
    complete = ((sums.user_train > 0) & (sums.user_test > 0)).reshape(len(rates), -1).mean(axis=1)
    spread = complete * (1 - complete) * np.square(train_sums).sum()
    return np.asarray(np.square(rates) * np.maximum(spread, 1.0)[:, None])


def _verdict(name: str, values: Floats, counts: npt.NDArray[Any], split: str) -> Check:
    least = float(values.min())
    bound = FALSE_ALARMS / values.size
    i, j = np.unravel_index(int(values.argmin()), values.shape)
    where = f"block ({i}, {j}) with {int(counts[i, j]):,} {split} interactions"
    if least < bound:
        wrong = int((values < bound).sum())
        detail = f"{wrong:,} of {values.size:,} blocks cannot be chance, most of all {where}: p = {least:.1e}"
        return Check(name, "integrity", False, detail)
    return Check(name, "integrity", True, f"least of {values.size:,} p-values {least:.1e}, allowed {bound:.1e}")


def check_regenerated(rows: Rows, expansion: Expansion) -> Check:
    """Generate a sample of users again and compare train and test interactions, in their order."""
    users = expansion.shape[0]
    # Keyed by the data set, so that nobody who makes one can know the sample without its plan.
    rng = np.random.default_rng(int(expansion.fingerprint[:16], 16))
    chosen = np.sort(rng.choice(users, size=min(users, REGENERATED), replace=False)).astype(np.uint64)
    again = Rows(expansion, threads=rows.threads, users=chosen)
    for test in (False, True):
        there, here = rows.collect(chosen, test=test), again.collect(chosen, test=test)
        lengths = np.diff(there.indptr) != np.diff(here.indptr)
        if lengths.any():
            return _differs(chosen[np.flatnonzero(lengths)[0]], test)
        differing = np.flatnonzero(there.indices != here.indices)
        if len(differing):
            return _differs(chosen[np.searchsorted(there.indptr, differing[0], side="right") - 1], test)
    return Check(REGENERATION, "integrity", True, f"{len(chosen):,} of {users:,} users are the same")


def _differs(user: int, test: bool) -> Check:
    split = "test" if test else "train"
    return Check(
        REGENERATION, "integrity", False, f"user {user} has other {split} interactions than the plan generates"
    )
