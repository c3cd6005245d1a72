"""Targets: multipliers and keep scale for a number of interactions that somebody wants.

The shape comes first. Users and items are multiplied alike, so that the base's proportions stay, by as many blocks as
meet the target with keep rates as they are: Algorithm 3 keeps a share of about B^(-1/4) in the mean over B blocks
(MovieLens latest-small and MovieTweetings, B from 1 to 240,000: within a factor of 1.6 where both multipliers are
equal). What is left over, the keep scale makes good; it would do so for a bad guess too, but far above 1 it flattens
the spread of the blocks.
"""

import dataclasses
import math
import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy

from fractalrs.base import Base
from fractalrs.errors import InputError
from fractalrs.expansion.cells import Cells
from fractalrs.expansion.expected import expected, user_degrees
from fractalrs.expansion.options import SMALLEST_KEEP_RATE, Options
from fractalrs.expansion.reduction import ReducedMatrix, check_multipliers

TOLERANCE = 1e-3
"""A target is met when the expected number of interactions is within this share of it."""

NEAR_ONE = 1.5
"""A shape whose keep scale is within this factor of 1 is good enough."""

REDUCTIONS = 3
"""Most shapes tried: each may need a singular value decomposition of its own."""

_LARGEST = 1 << 63
_DIGITS = 6
_COUNTS = {"k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
_SIZE = re.compile(r"(\d[\d_]*(?:\.\d+)?(?:e\d+)?) ?((?:[kmgtp]i?)?b|)", re.IGNORECASE)


def whole_number(name: str, value: Any) -> int:
    """Return a count, from 1 to 2**63 − 1, as people write it: ``1_000_000``, ``1e6``, ``1M``.

    Examples
    --------
    >>> [whole_number("target_interactions", text) for text in ("1e9", "1B", "2.5M")]
    [1000000000, 1000000000, 2500000]
    """
    text = str(value).strip()
    factor = _COUNTS.get(text[-1:].lower(), 1)
    digits = text[:-1] if factor > 1 else text
    try:
        number = Decimal(digits) * factor
        good = 1 <= number < _LARGEST and number == int(number)
    except ArithmeticError:
        good = False
    if not good:
        raise InputError(
            f"{name} is {value}; it must be a whole number of at least 1", hint="write it as 1_000_000, 1e6 or 1M"
        )
    return int(number)


def whole_bytes(name: str, value: Any) -> int:
    """Return a size in bytes as people write it: ``100GB``, ``1.5 TB``, ``64GiB``, ``5e9``.

    Examples
    --------
    >>> whole_bytes("target_size", "100GB"), whole_bytes("target_size", "1KiB")
    (100000000000, 1024)
    """
    match = _SIZE.fullmatch(str(value).strip())
    try:
        size = Decimal(match[1]) * _unit(match[2]) if match else Decimal(0)
    except ArithmeticError:
        size = Decimal(0)
    if not 1 <= size < _LARGEST:
        raise InputError(f"{name} is {value}; it must be a size of at least 1 byte", hint="write it as 100GB or 64GiB")
    return int(size)


def _unit(text: str) -> int:
    base, power = (1024, text[:-2]) if text.lower().endswith("ib") else (1000, text[:-1])
    return int(base ** (1 + "kmgtp".index(power.lower()))) if power else 1


def choose_shape(
    base_shape: tuple[int, int],
    count: int,
    interactions: float,
    *,
    users: float | None = None,
    items: float | None = None,
    user_multiplier: int | None = None,
    item_multiplier: int | None = None,
    block_keep: float = Options.block_keep,
    max_keep: float = Options.max_keep,
    density: float = 1.0,
) -> tuple[int, int]:
    """Choose multipliers (m, n), which `reduce` takes, for about so many interactions with a keep scale near 1.

    The base has p users, q items and `count` interactions. Wanted are train and test `interactions`, and ids of `users`
    and `items`, which are met to the nearest multiple of p and of q; instead of these, multipliers may be fixed. The
    mean keep rate of B blocks at keep scale 1 is taken to be `density` B^(-1/4). If no multipliers meet the targets,
    the refusal names the nearest that can be met.
    """
    p, q = base_shape
    interactions = whole_number("target_interactions", interactions)
    m = user_multiplier if users is None else _nearest("user", users, p)
    n = item_multiplier if items is None else _nearest("item", items, q)
    largest = max_keep * block_keep * count
    if largest == 0:
        raise InputError("max_keep is 0: no interaction would be kept", hint="raise max_keep")
    # So many that B^(3/4) density meets the target, and enough for it should each keep max_keep.
    blocks = max((interactions / (count * block_keep * density)) ** (4 / 3), interactions / largest)
    # Algorithm 3 has fewer directions than the base has users, and items.
    limit = max(1, min(p, q) - 1)
    if m is None and n is None:
        side = max(1, min(limit, round(math.sqrt(blocks))))
        m, n = (side, None) if p <= q else (None, side)
    if m is None and n is not None:
        m = max(1, min(math.ceil(blocks / min(n, q)), p if n <= limit else limit))
    elif n is None and m is not None:
        n = max(1, min(math.ceil(blocks / min(m, p)), q if m <= limit else limit))
    assert m is not None
    assert n is not None
    check_multipliers((m, n), base_shape)
    if interactions > largest * m * n * (1 + TOLERANCE):
        raise _unmet(interactions, "most", largest * m * n, (m, n))
    return m, n


def reduce_to_target(
    base: Base,
    interactions: float,
    options: Options,
    reduce: Callable[[Base, tuple[int, int]], ReducedMatrix],
    **wanted: Any,
) -> ReducedMatrix:
    """Choose a shape for a target, see `choose_shape`, and reduce a base to it.

    What a reduced matrix keeps in the mean is known when it is there: a bad guess is made again with it. `options` may
    have any keep scale; `wanted` are ``users``, ``items``, ``user_multiplier`` and ``item_multiplier``.
    """
    reduced, density = None, 1.0
    for _ in range(REDUCTIONS):
        shape = choose_shape(
            base.shape,
            base.count,
            interactions,
            block_keep=options.block_keep,
            max_keep=options.max_keep,
            density=density,
            **wanted,
        )
        if reduced is not None and reduced.shape == shape:
            break
        reduced = reduce(base, shape)
        mean = float(np.clip(reduced.values, options.min_keep, options.max_keep).mean())
        blocks = reduced.values.size
        kept = options.block_keep * base.count * blocks * mean
        if kept == 0 or 1 / NEAR_ONE <= interactions / kept <= NEAR_ONE:
            break
        density = mean * blocks**0.25
    assert reduced is not None
    return reduced


def solve_keep_scale(
    base: Base, reduced: ReducedMatrix, interactions: float, options: Options, cells: Cells | None = None
) -> float:
    """Find the keep scale at which an expansion is expected to hold so many train and test interactions.

    Their expected number (`Expansion.expected`) grows with the keep scale, from where the least keep rate is 1e-6 to
    where all are `max_keep` (or 0). `options` may have any keep scale. The one returned has six significant digits, so
    that it can be given as an option, unless it is the least or the largest. If the target cannot be met to 0.1 %, the
    refusal names the nearest that can be met.
    """
    interactions = whole_number("target_interactions", interactions)
    all_written = options.test_items == "all" and not options.drop_incomplete
    groups = None if all_written else options.fit(base, cells)
    degrees = None if groups is None else user_degrees(base, groups, options)
    clipped = np.clip(reduced.values, options.min_keep, options.max_keep)
    if not clipped.any():
        raise _unmet(interactions, "most", 0, reduced.shape)

    def rates(scale: float) -> npt.NDArray[np.float64]:
        return dataclasses.replace(options, keep_scale=scale).keep_rates(reduced.values)

    def kept(scale: float) -> float:
        return float(options.block_keep * base.count * rates(scale).sum())

    # Takes seconds for a large base.
    @cache
    def written(scale: float) -> float:
        if all_written:
            return kept(scale)
        assert groups is not None
        counts = expected(base, rates(scale), groups, options, degrees)
        return counts.interactions

    def meets(count: Callable[[float], float], low: float, high: float) -> float:
        """Keep scale between two at which a count meets the target."""
        close = 10.0**-_DIGITS
        root = scipy.optimize.brentq(lambda scale: count(scale) - interactions, low, high, xtol=close * low, rtol=close)
        return float(root)

    least = clipped[clipped > 0].min()
    # A trifle above: quotient and product are rounded.
    low, high = (float(rate * (1 + 1e-12) / least) for rate in (SMALLEST_KEEP_RATE, options.max_keep))
    # No more is written than kept.
    too_few = kept(low) < interactions
    if not too_few and (fewest := written(low)) >= interactions:
        if fewest > (1 + TOLERANCE) * interactions:
            raise _unmet(interactions, "least", fewest, reduced.shape)
        return low
    if (most := written(high)) <= interactions:
        if most < (1 - TOLERANCE) * interactions:
            raise _unmet(interactions, "most", most, reduced.shape)
        return high
    below, above = low, high
    if not all_written:
        # Nearly all that is kept is written, as a rule: the search begins where enough is kept.
        if too_few:
            below = max(low, meets(kept, low, high) * (1 - 1e-5))
        step = 1.01
        while (above := min(below * step, high)) < high and written(above) < interactions:
            below, step = above, step**2
    return min(max(float(f"{meets(written, below, above):.{_DIGITS}g}"), low), high)


def _nearest(kind: str, target: float, count: int) -> int:
    """Multiplier whose number of ids is nearest to the target."""
    target = whole_number(f"target_{kind}s", target)
    if not count <= target <= count**2:
        raise InputError(
            f"target_{kind}s is {target:,}; {count:,} {kind}s of the source become {count:,} to {count**2:,}, "
            f"in steps of {count:,}",
            hint=f"the nearest that can be met is {count if target < count else count**2:,}",
        )
    return (2 * target + count) // (2 * count)


def _unmet(interactions: int, which: Literal["least", "most"], count: float, shape: tuple[int, int]) -> InputError:
    if which == "least":
        nearest, needs = math.ceil(count), "fewer need fewer users or items, or a smaller source"
    else:
        nearest, needs = math.floor(count), "more need more users or items, a larger max_keep, or a larger source"
    return InputError(
        f"target_interactions is {interactions:,}, but × ({shape[0]}, {shape[1]}) gives {nearest:,} at the {which}",
        hint=f"the nearest that can be met is {nearest:,}; {needs}",
    )
