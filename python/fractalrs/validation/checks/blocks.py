"""Do blocks have the interactions that their keep rates make likely?

Exact binomial p-values, two-sided, with Bonferroni's correction. Which blocks exist follows from the seed.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from fractalrs.passes import Degrees
from fractalrs.statistics import Floats
from fractalrs.validation.findings import Check
from fractalrs.validation.planned import Planned
from fractalrs.validation.wording import first_few

FALSE_ALARMS = 1e-6
"""Probability that a check fails though all is right; each of its many p-values is allowed its share of it."""

BLOCKS = "blocks keep what their keep rates say"
TEST_BLOCKS = "test interactions are spread as they should be"
VALID_BLOCKS = "validation interactions are spread as they should be"
USERS = "users have the test interactions they should"

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
# Of ∫₀¹ f(u) du with u = ((1 + x) / 2)⁴: 1e-9 off for exp(−λ u) up to λ = 10⁴, where plain nodes miss the end at 0.
_U, _DU = ((_NODES + 1) / 2) ** 4, 2 * ((_NODES + 1) / 2) ** 3 * _WEIGHTS
_TINY = 1e-300
"""Keeps quotients of zeros defined."""


def check_blocks(degrees: Degrees, planned: Planned, false_alarms: float = FALSE_ALARMS) -> list[Check]:
    """Test the train and test interactions of every block against what the keep rates make likely.

    Under ``test_items="one"`` an expanded user's test item falls into column block j with probability E[X_j / Σ X], X_j
    binomial: how many of its test items block j keeps (Poisson-binomial; exact where every user has one). Where
    incomplete users are dropped, counts are compared within their row block, given its total (`_among_complete`).
    """
    rates, options = planned.rates, planned.options
    of_train, of_test = (planned.statistics[f"{split}_user_degrees"].astype(np.float64) for split in ("train", "test"))
    of_valid = planned.statistics.get("valid_user_degrees")

    verdict = partial(_verdict, rates=rates, false_alarms=false_alarms)
    if planned.is_cold:
        # What cold users and items have is test, whatever it was: together they are as without.
        both = degrees.block_train + degrees.block_valid + degrees.block_test
        of_all = (of_train + of_test).sum() + (0 if of_valid is None else of_valid.sum())
        kept = _binomial(both, of_all, [rates])
        why = "cold users and items have test interactions wherever they are"
        return [verdict(BLOCKS, kept, both, "train and test"), Check(TEST_BLOCKS, "integrity", None, why)]
    drops, one = options["drop_incomplete"], options["test_items"] == "one"
    if planned.shuffle.mixes and (drops or one):
        # Known are the degrees of real users, and those that count here are of mixed ones.
        why = "how many test interactions each user has is settled by mixing"
        kept = _binomial(degrees.block_train, of_train.sum(), [rates])
        blocks = Check(BLOCKS, "integrity", None, why) if drops else verdict(BLOCKS, kept, degrees.block_train, "train")
        return [blocks, Check(TEST_BLOCKS, "integrity", None, why), *_check_users(degrees, one, drops)]
    complete = ((degrees.user_train > 0) & (degrees.user_test > 0)).reshape(len(rates), -1).mean(axis=1)
    how = 1 - complete, planned.shuffle.one_source
    if drops:
        train = _among_complete(degrees.block_train, [rates], of_train, _Selection(rates, of_train, of_test, *how))
    else:
        train = _binomial(degrees.block_train, of_train.sum(), [rates])
    checks = [verdict(BLOCKS, train, degrees.block_train, "train")]
    if of_valid is not None:
        valid = _binomial(degrees.block_valid, float(of_valid.sum()), [rates])
        checks.append(verdict(VALID_BLOCKS, valid, degrees.block_valid, "validation"))
    if of_test.sum() == 0:
        return [*checks, Check(TEST_BLOCKS, "integrity", None, "nothing is held out")]
    checks += _check_users(degrees, one, drops)
    chances = chosen_chances(planned, of_test) if one else [rates]
    drawn = np.ones_like(of_test) if one else of_test
    if drops:
        test = _among_complete(degrees.block_test, chances, drawn, _Selection(rates, of_test, of_train, *how))
    else:
        test = _binomial(degrees.block_test, drawn.sum(), chances)
        if one:
            # Totals over row blocks: a bias too small to show in one block. A sum of binomials varies less than one.
            means = [chance.mean(axis=0) for chance in chances]
            whole = _binomial(degrees.block_test.sum(axis=0), drawn.sum() * len(rates), means)
            # Each of the two families is allowed half of the false alarms.
            test = np.minimum(1.0, 2 * np.minimum(test, whole / len(rates)))
    checks.append(verdict(TEST_BLOCKS, test, degrees.block_test, "test"))
    return checks


def _check_users(degrees: Degrees, one: bool, complete: bool) -> list[Check]:
    """Check what options promise of every user."""
    offenders = {}
    if one:
        offenders["have more than one test interaction"] = degrees.user_test > 1
    if complete:
        offenders["lack train or test interactions"] = (degrees.user_train > 0) != (degrees.user_test > 0)
    found = {what: np.flatnonzero(those) for what, those in offenders.items()}
    wrong = [f"{len(ids):,} users {what}, the first is user {ids[0]}" for what, ids in found.items() if len(ids)]
    return [Check(USERS, "integrity", not wrong, first_few(wrong) or "all users")] if offenders else []


def chosen_chances(planned: Planned, test_degrees: npt.NDArray[Any]) -> list[Floats]:
    """Compute the probability that the one test item of an expanded user comes from block (i, j), per expanded user.

    E[X_j / Σ X] = ∫₀¹ G_j′(z) Π_{k≠j} G_k(z) dz with G the probability generating function of the X. A user's blocks
    may all show one source user, or be independent; cells lie in between: two probabilities, (m, n), enclose theirs.
    """
    rates = planned.rates
    degrees, counts = np.unique(test_degrees, return_counts=True)
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
    if planned.shuffle.one_source:
        return [shared]
    return [independent] if planned.shuffle.independent_blocks else [shared, independent]


def _binomial(counts: npt.NDArray[Any], trials: Floats | float, chances: list[Floats]) -> Floats:
    """Return two-sided p-values where the chance lies between the given ones."""
    # Sums of probabilities may be above 1 by rounding.
    high = np.minimum(np.max(chances, axis=0), 1)
    low = np.minimum(np.min(chances, axis=0), high)
    below = scipy.stats.binom.cdf(counts, trials, low)
    above = scipy.stats.binom.sf(counts.astype(np.float64) - 1, trials, high)
    return np.asarray(np.minimum(1.0, 2 * np.minimum(below, above)))


@dataclass(frozen=True)
class _Selection:
    """Which source users every block loses where incomplete expanded users are dropped.

    Degrees of source users are in descending order, so which belong to the same user is not known.
    """

    rates: Floats  # Keep rates of the blocks that exist, (m, n).
    own: Floats  # Degrees in the split that is looked at …
    other: Floats  # … and in the one that a complete user must have too.
    lost: Floats  # Share of expanded users that are not complete, (m).
    alike: bool  # Whether all blocks of a row block lose the same source users, or each its own.

    def biases(self) -> tuple[Floats, Floats]:
        """Compute the least and most that a block (i, j) may lose beyond the average, as a share of its interactions.

        A user with much of the other split in block j itself is seldom lost: of independent blocks, block j loses
        Π_{k≠j} v_k · Σ_r own_r (1 − K_j)^other_r, with v_k the mean of (1 − K_k)^other. How the two degrees of a user
        go together is not known, but the least and the most are reached where both rise, and where one falls
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
    """Compute two-sided p-values of the counts of a row block where incomplete users are dropped, given their sum.

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


def _verdict(
    name: str, values: Floats, counts: npt.NDArray[Any], split: str, rates: Floats, false_alarms: float
) -> Check:
    """Return whether the p-values of all blocks can be chance."""
    least = float(values.min())
    bound = false_alarms / values.size
    i, j = np.unravel_index(int(values.argmin()), values.shape)
    where = f"block ({i}, {j}) with {int(counts[i, j]):,} {split} interactions"
    where += "" if rates[i, j] else ", planned to be empty"
    detail = f"least of {values.size:,} p-values {least:.1e}, allowed {bound:.1e}"
    if least < bound:
        wrong = int((values < bound).sum())
        detail = f"{wrong:,} of {values.size:,} blocks cannot be chance, most of all {where}: p = {least:.1e}"
    return Check(name, "integrity", not least < bound, detail)
