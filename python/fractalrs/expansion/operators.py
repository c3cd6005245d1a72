"""Operators: what a block of the expanded matrix is made of.

``"dropout"`` is Algorithm 2 of the paper, the default. ``"kronecker"`` is equation 1 and Algorithm 1: block (i, j) is
R̂ᵢⱼ·R, all of it. ``"sketch"`` is equation 3: every entry of R is replaced by a small sample of R's own rows and
columns. A function is equation 2: whatever it makes of a block, in Python.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fractalrs.base import Base
from fractalrs.expansion.cells import Cells
from fractalrs.expansion.declared import one_of
from fractalrs.expansion.expected import Chances, Expected, expected, expected_of_some, expected_sketch
from fractalrs.expansion.expected_groups import Array
from fractalrs.tools import Shown

BY_BLOCK = "user = i * base_users + row, item = j * base_items + column, for block (i, j)"
NUMBERED = {
    "scrambled": "user = i * base_users + row, items in an order of the seed: Expansion.places tells the rest",
    "popularity": "user = i * base_users + row, items by falling expected popularity: Expansion.places tells the rest",
}
"""What ids by block mean where items are numbered another way."""
BY_SAMPLE = "user = row * user_multiplier + r, item = column * item_multiplier + s, for sampled row r and column s"


@dataclass(frozen=True, repr=False)
class Operator(Shown):
    """What makes the blocks of an expansion."""

    name: str
    """What it is called in options, plans and manifests."""
    does: str
    """What it does, for the help."""
    method: str
    """How a data set is made with it, for the data card."""
    expect: Callable[[Base, Array, Cells, Chances, Any], Expected]
    """Computes what will come out, of a base, keep rates, cells, options and the generator."""
    has_keep_rates: bool = False
    """Whether a block keeps a share of the interactions only, of users and items that may change places."""
    has_row_blocks: bool = True
    """Whether the p users of an expanded row block are those of the base."""
    keeps_entries: bool = False
    """Whether every interaction is one of the base's."""
    multiplies: bool = False
    """Whether interactions are rated by the signed reduced matrix."""
    is_function: bool = False
    """Whether a function of the user's makes the blocks."""
    id_layout: str = BY_BLOCK
    """What ids mean."""


_ALL = (
    Operator(
        "dropout",
        "each block keeps a share of the interactions",
        "by stochastic Kronecker expansion, Algorithm 2",
        lambda base, rates, cells, options, made: expected(
            base, rates, cells, options, made.degrees() if options.mixes else None
        ),
        has_keep_rates=True,
        keeps_entries=True,
    ),
    Operator(
        "kronecker",
        "each block keeps all, rated by the reduced matrix",
        "by the Kronecker product with a reduced matrix, Algorithm 1: `rating` is the product",
        lambda base, rates, cells, options, _: expected(base, rates, cells, options),
        keeps_entries=True,
        multiplies=True,
    ),
    Operator(
        "sketch",
        "every interaction becomes a sample of the source",
        "by sketching, equation 3",
        lambda base, keep_rates, *_: expected_sketch(base, keep_rates.shape),
        has_row_blocks=False,
        id_layout=BY_SAMPLE,
    ),
)
OPERATORS = {operator.name: operator for operator in _ALL}
"""Those that have a name; `FUNCTION` stands for all functions."""

FUNCTION = Operator(
    "function",
    "a function makes each block",
    "block by block with a function of its maker's, equation 2",
    lambda base, rates, _, options, made: expected_of_some(base, rates.shape, made.count_some(), options),
    is_function=True,
)


def operator_named(name: str) -> Operator:
    """Return the operator of a name, which for a function begins with ``"function "``; refuse what is none.

    Examples
    --------
    >>> operator_named("sketch").has_row_blocks
    False
    """
    if isinstance(name, str) and name.startswith(f"{FUNCTION.name} "):
        return FUNCTION
    one_of("operator", name, OPERATORS)
    return OPERATORS[name]
