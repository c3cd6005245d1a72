"""The fit: bend the reduced matrix, and choose cells, so that the expansion meets the real tails and spectrum.

Proposition 1 of the paper multiplies the spread of degrees by that of R̂'s margins, and Theorem 1 gives the expansion
all products of both spectra: what comes out is as R̂ happens to be. Both can be steered. Keep rates are

    K = margins ∘ (1 + strength · rest),    rest = R̂ / (its own margins) − 1

where balance moves the margins from R̂'s own (0) to flat ones (1), of users and of items, and strength scales what is
beside them. The expected Gini coefficients say which balance, the predicted singular values which strength and cells
(`docs/theory.md`). The mean keep rate stays R̂'s.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fractalrs.base import Base, Canonical, canonical
from fractalrs.errors import InputError
from fractalrs.expansion.cells import ITEM_CELL_SIZE, USER_CELL_SIZE, Cells, group_canonical
from fractalrs.expansion.declared import whole
from fractalrs.expansion.options import DEFAULT_PROFILE, PROFILES, Options
from fractalrs.expansion.reduction import ReducedMatrix, reduce
from fractalrs.expansion.spectrum import Spectrum
from fractalrs.expansion.tails import expected_gini
from fractalrs.statistics import gini, ratio_error
from fractalrs.tools import Shown, blas_threads, check_kind, suggests
from fractalrs.words import ITEMS, SIDES, USERS, Side

REPEATS = 0.02
"""An expanded item shows one source in half of its blocks or more with at most this chance, which decides cells up
to `ITEM_CELL_SIZE`. Few blocks repeat oftener; but at keep rates of at most a half two copies of one source have few
interactions in common, so that other items are nearer (docs/cells.md)."""

MOST_USERS, LEAST_CELLS = 24, 128
"""Items of many interactions tell columns apart, by which people are found. So a cell has half as many users as an
item has interactions in the mean, at most `MOST_USERS`, as long as `LEAST_CELLS` cells are left (docs/privacy.md)."""

NEAR = 0.01
"""Margins are made as flat as the tails let them be: expected Gini coefficients may be so much below the real ones.
Margins that differ mix the activity of blocks, which knows nothing of items, into that of users: they cost
assortativity."""

LOST = 0.05
"""Cells may lose so much of the ranking by degree, half of what the validator allows beyond thinning. Where a few have
many times what their neighbours in the ranking have, these are apart: no cell at the top moves more than a tenth of
that, as a share of all interactions. Where one has a fifth of all, it is alone."""

TARGETS = (0.05, 0.12, 0.08)
"""Errors of singular ratios that are good enough: median and largest of the first 16, median of 64."""

STRENGTHS = (0.0, 0.4, 0.7, 1.0, 1.4, 2.0, 3.0, 4.5, 6.5)
"""Tried in this order while they get better, …"""

REFINEMENTS = 2
"""… then so many times between the best and its neighbours."""

COORDINATES = (6, 16)
"""By how many singular coordinates cells may be made: a few keep the first ratios, more keep the later ones."""

_STEPS = 12
_ROUNDS = 60
_LEAST = 1e-3

_Floats = npt.NDArray[np.float64]
_Errors = tuple[float, float, float]


@dataclass(frozen=True, eq=False, repr=False)
class Fit(Shown):
    """A reduced matrix and cells that were fitted to a base, and what is expected of their expansion.

    `Expansion` takes it in place of a reduced matrix.

    Attributes
    ----------
    reduced
        Keep rates over the keep scale, (m, n), with how they were fitted in its description.
    cells
        Cells of the base's users and items.
    user_balance, item_balance, strength
        What was solved for, or given.
    coordinates
        Leading singular coordinates that the cells were made by.
    rates
        ``min_keep``, ``max_keep`` and ``keep_scale`` that it was made for: `Expansion` takes them with it.
    gini
        By side: the Gini coefficient of the real degrees, and the expected one, ids without interactions included.
    real, expected : float64, shape (k,), k up to 64
        Singular values of the train part, and those expected of the expansion.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> fr.fit(base, (2, 3)).reduced.shape
    (2, 3)
    """

    reduced: ReducedMatrix
    cells: Cells
    user_balance: float
    item_balance: float
    strength: float
    coordinates: int
    rates: dict[str, float]
    gini: dict[Side, tuple[float, float]]
    real: _Floats
    expected: _Floats

    def _facts(self) -> dict[str, Any]:
        made = {name: getattr(self, name) for name in ("user_balance", "item_balance", "strength", "coordinates")}
        return {"shape": self.reduced.shape, **made, "expected": self.words.removeprefix("expected: ")}

    @property
    def errors(self) -> _Errors:
        """Expected errors of singular ratios: median and largest of the first 16, median of all."""
        return _errors(self.real, self.expected)

    @property
    def words(self) -> str:
        """What is expected, in a sentence."""
        tails = ", ".join(f"{side} {made:.3f} (real {real:.3f})" for side, (real, made) in self.gini.items())
        median, largest, all_median = self.errors
        return (
            f"expected: Gini of {tails}; first 16 singular ratios within {median:.0%} in the median and {largest:.0%} "
            f"at most, {len(self.expected)} within {all_median:.0%}"
        )


@suggests
def fit(
    base: Base,
    shape: tuple[int, int] | ReducedMatrix,
    *,
    user_balance: float | None = None,
    item_balance: float | None = None,
    strength: float | None = None,
    user_cell_size: int | None = None,
    item_cell_size: int | None = None,
    min_keep: float = 0.01,
    max_keep: float = PROFILES[DEFAULT_PROFILE].max_keep,
    keep_scale: float = 1.0,
) -> Fit:
    """Fit keep rates and cells to a base, so that its expansion has the real tails and the real spectrum.

    Solved for are the balance of users and of items, so that the expected Gini coefficients of degrees are the real
    ones, and strength and cells, so that the first 64 singular values, over the first, are. What thinning does cannot
    be undone: equal users become unequal by chance, and few blocks at low keep rates have a noisy spectrum. Of
    strengths that meet all targets (`TARGETS`) the one with the lowest largest keep rate is taken. Nothing depends on
    the names of ids, the threads or the machine beyond rounding.

    Parameters
    ----------
    base
        p users × q items. Test interactions have no influence.
    shape
        (m, n), which is reduced in the order of content (`reduce`); or a reduced matrix.
    user_balance, item_balance
        0: the margins of R̂; 1: flat ones. Solved for by default.
    strength
        How much of R̂ beside its margins stays: 0 nothing, 1 all. Solved for by default.
    user_cell_size, item_cell_size
        By default a cell has 7 users, among whom the shuffle `mixed` deals interactions out, and up to 24 where data
        are dense: half as many as an item has train interactions in the mean, as long as that leaves 128 cells. Of
        items it has so many that repetition is rare: an expanded item shows one source item in half of its m blocks or
        more with a chance of at most 2 %, as far as cells of 5 can.
    min_keep, max_keep, keep_scale
        Those of the expansion, `Options`. The mean keep rate is what they make of R̂.

    Raises
    ------
    InputError
        If an argument is out of its range, or the base cannot be reduced to that shape.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> fr.Expansion(base, fr.fit(base, (2, 3))).shape
    (120, 120)
    """
    check_kind("base", base, Base, "a Base: leave_last_out makes one")
    for name, value, most in (
        ("user_balance", user_balance, 1.0),
        ("item_balance", item_balance, 1.0),
        ("strength", strength, math.inf),
    ):
        fits = isinstance(value, int | float | np.integer | np.floating) and 0 <= value <= most and value < math.inf
        if value is not None and not fits:
            raise InputError(
                f"{name} is {value!r}; it must be a number from 0{f' to {most:g}' if most == 1 else ' up'}"
            )
    options = Options(shuffle="cells", min_keep=min_keep, max_keep=max_keep, keep_scale=keep_scale)
    with blas_threads(1):
        reduced = shape if isinstance(shape, ReducedMatrix) else reduce(base, shape, order_by="content")
        if "fit" in reduced.description:
            raise InputError("this reduced matrix is fitted already", hint="give the shape, or one from reduce")
        known = canonical(base)
        sizes = (
            user_cells(base) if user_cell_size is None else whole("user_cell_size", user_cell_size),
            item_cells(reduced.shape[0]) if item_cell_size is None else whole("item_cell_size", item_cell_size),
        )
        low, high, scale = options.min_keep, options.max_keep, options.keep_scale
        bounds, start = (scale * low, min(high, scale * high)), options.keep_rates(reduced.values)
        search = _Search(known, start, bounds, sizes, (user_balance, item_balance), strength)
        return search.result(reduced, options.rates)


def fitted_cells(
    base: Base, user_cell_size: int, item_cell_size: int, coordinates: int, multipliers: tuple[int, int]
) -> Cells:
    """Return the cells of a fit that found these sizes and coordinates, for so many blocks."""
    known = canonical(base)
    return Cells.of_places(
        group_canonical(known, user_cell_size, item_cell_size, coordinates, LOST, multipliers), known
    )


def user_cells(base: Base) -> int:
    """Return among how many users interactions are dealt out by default, see `MOST_USERS` and `fit`.

    Examples
    --------
    >>> import fractalrs as fr
    >>> user_cells(fr.leave_last_out(fr.sample_interactions(60, 40, 600)))
    7
    """
    p, q = base.shape
    return max(USER_CELL_SIZE, min(base.train_count // (2 * q), p // LEAST_CELLS, MOST_USERS))


def item_cells(blocks: int) -> int:
    """Return the least size of cells with which an item of so many blocks hardly repeats one source: see `fit`.

    Examples
    --------
    >>> [item_cells(blocks) for blocks in (4, 16, 64)]
    [5, 5, 3]
    """
    import scipy.special

    half = -(-blocks // 2)
    chances = ((size, scipy.special.bdtrc(half - 1, blocks, 1 / size)) for size in range(2, ITEM_CELL_SIZE))
    return next((size for size, chance in chances if chance <= REPEATS), ITEM_CELL_SIZE)


def bend(start: _Floats, balance: tuple[float, float], strength: float, bounds: tuple[float, float]) -> _Floats:
    """Return keep rates with margins between those of `start` and flat ones, what is beside them scaled, and its mean.

    Margins are met by alternate scaling (Sinkhorn 1967) and clipping to `bounds`, as far as these let them; then rates
    inside of them are scaled until the mean is that of `start`.

    Examples
    --------
    >>> bend(np.array([[0.1, 0.2], [0.2, 0.4]]), (1.0, 1.0), 1.0, (0.01, 0.5)).round(3).tolist()
    [[0.225, 0.225], [0.225, 0.225]]
    """
    mean, rows, columns = start.mean(), start.mean(axis=1), start.mean(axis=0)
    if mean == 0:
        return start
    rest = start * mean / np.maximum(np.outer(rows, columns), 1e-300) - 1
    # Blocks that are to keep nothing go on keeping nothing, unless the bounds forbid it.
    rates = np.where(start > 0, np.maximum(1 + strength * rest, _LEAST), 0.0)
    wanted_rows, wanted_columns = rows ** (1 - balance[0]), columns ** (1 - balance[1])
    wanted_rows, wanted_columns = wanted_rows / wanted_rows.mean() * mean, wanted_columns / wanted_columns.mean() * mean
    rates *= np.outer(wanted_rows, wanted_columns) / mean
    for _ in range(_ROUNDS):
        # A row of zeros stays one.
        rates *= (wanted_rows / np.maximum(rates.mean(axis=1), 1e-300))[:, None]
        rates *= wanted_columns / np.maximum(rates.mean(axis=0), 1e-300)
        rates = np.clip(rates, *bounds)
    for _ in range(_ROUNDS):
        rates = np.clip(rates, *bounds)
        missing = (mean - rates.mean()) * rates.size
        free = rates < bounds[1] if missing > 0 else rates > bounds[0]
        if abs(missing) < 1e-9 * mean * rates.size or not free.any():
            break
        rates[free] *= 1 + missing / rates[free].sum()
    return np.asarray(np.clip(rates, *bounds))


@dataclass(frozen=True)
class _Trial:
    """A strength that was tried, and what it gives."""

    strength: float
    rates: _Floats
    expected: _Floats
    real: _Floats

    @cached_property
    def errors(self) -> _Errors:
        return _errors(self.real, self.expected)

    @property
    def cost(self) -> float:
        """Errors in units of what is good enough: the largest counts most, but none that is out of reach."""
        units = np.divide(self.errors, TARGETS)
        return float(np.where(units < 2, units**3, 6 + units).sum())

    def rank(self) -> tuple[bool, float]:
        """What is good enough comes first, in order of its largest keep rate."""
        good = all(error <= target for error, target in zip(self.errors, TARGETS, strict=True))
        return not good, float(self.rates.max()) if good else self.cost


@dataclass(frozen=True)
class _Found:
    """The best strength for cells."""

    coordinates: int
    cells: Cells
    balance: tuple[float, float]
    trial: _Trial


class _Search:
    """The search for balance, strength and cells."""

    def __init__(
        self,
        base: Canonical,
        start: _Floats,
        bounds: tuple[float, float],
        sizes: tuple[int, int],
        balance: tuple[float | None, float | None],
        strength: float | None,
    ) -> None:
        self.base, self.start, self.bounds, self.sizes = base, start, bounds, sizes
        self.balance, self.strength = balance, strength
        self.real = base.svd().s
        base.images(max(COORDINATES))  # Once, for all cells.
        self.degrees = {USERS: base.user_degrees, ITEMS: base.item_degrees}
        self.ginis = {side: gini(self.degrees[side]) or 0.0 for side in SIDES}

    def result(self, reduced: ReducedMatrix, of: dict[str, float]) -> Fit:
        """Search, and return what was found."""
        # Side by side: each has much that keeps one processor busy.
        with ThreadPoolExecutor() as pool:
            found = min(pool.map(self._with_cells, self._coordinates), key=lambda one: one.trial.rank())
        cells, rates = found.cells, found.trial.rates
        fitted = Fit(
            reduced,
            Cells.of_places(cells, self.base),
            *found.balance,
            found.trial.strength,
            found.coordinates,
            of,
            {side: (self.ginis[side], self._gini(side, rates, cells)) for side in SIDES},
            self.real,
            found.trial.expected,
        )
        values, description = rates / of["keep_scale"], reduced.description | {"fit": _described(fitted)}
        return replace(fitted, reduced=ReducedMatrix(values, values, reduced.singular_values, description))

    @property
    def _coordinates(self) -> tuple[int, ...]:
        # Where nobody exchanges, and where everybody does, cells are what they are.
        return (
            COORDINATES
            if any(1 < size < count for size, count in zip(self.sizes, self.base.shape, strict=True))
            else COORDINATES[:1]
        )

    def _with_cells(self, coordinates: int) -> "_Found":
        cells = group_canonical(self.base, *self.sizes, coordinates, LOST, self.start.shape)
        spectrum = Spectrum.of(self.base, cells)
        # The strength has next to no influence on margins.
        balance = self._balance(cells)
        tried: dict[float, _Trial] = {}

        def attempt(strength: float) -> _Trial:
            rates = bend(self.start, balance, strength, self.bounds)
            tried[strength] = _Trial(strength, rates, spectrum.predict(rates, len(self.real)), self.real)
            return tried[strength]

        if self.strength is not None:
            attempt(self.strength)
        else:
            for strength in STRENGTHS:
                if attempt(strength).cost > 1.5 * min(trial.cost for trial in tried.values()):
                    break
            for _ in range(REFINEMENTS):
                best, known = min(tried.values(), key=_Trial.rank).strength, sorted(tried)
                place = known.index(best)
                for other in {*known[max(place - 1, 0) : place], *known[place + 1 : place + 2]}:
                    attempt((best + other) / 2)
        best_trial = min(tried.values(), key=_Trial.rank)
        return _Found(coordinates, cells, balance, best_trial)

    def _balance(self, cells: Cells) -> tuple[float, float]:
        users, items = self.balance
        users = self._solved(USERS, cells, 1.0 if items is None else items) if users is None else users
        items = self._solved(ITEMS, cells, users) if items is None else items
        return users, items

    def _solved(self, side: Side, cells: Cells, other: float) -> float:
        """Find the most balance of one side with which its expected Gini coefficient is near the real one."""

        def excess(balance: float) -> float:
            pair = (balance, other) if side is USERS else (other, balance)
            return self._gini(side, bend(self.start, pair, 1.0, self.bounds), cells) - self.ginis[side] + NEAR

        # The flatter the margins, the lower.
        if excess(0.0) <= 0:
            return 0.0
        if excess(1.0) >= 0:
            return 1.0
        low, high = 0.0, 1.0
        for _ in range(_STEPS):
            middle = (low + high) / 2
            if excess(middle) > 0:
                low = middle
            else:
                high = middle
        return (low + high) / 2

    def _gini(self, side: Side, rates: _Floats, cells: Cells) -> float:
        if side is USERS:
            return expected_gini(rates, self.degrees[side], cells.user_order, cells.user_starts)
        return expected_gini(rates.T, self.degrees[side], cells.item_order, cells.item_starts)


def _errors(real: _Floats, expected: _Floats) -> _Errors:
    first, everything = ratio_error(real, expected), ratio_error(real, expected, len(real))
    return (*(first or (0.0, 0.0)), (everything or (0.0, 0.0))[0])


def _described(fitted: Fit) -> dict[str, Any]:
    """Return the fit in plain JSON values, for plans and cards."""
    median, largest, all_median = fitted.errors
    return {
        "user_balance": fitted.user_balance,
        "item_balance": fitted.item_balance,
        "strength": fitted.strength,
        "user_cell_size": fitted.cells.user_cell_size,
        "item_cell_size": fitted.cells.item_cell_size,
        "coordinates": fitted.coordinates,
        **{f"gini_of_{side}": {"real": real, "expected": made} for side, (real, made) in fitted.gini.items()},
        "singular_ratios": {"median of 16": median, "largest of 16": largest, "median of 64": all_median},
    }
