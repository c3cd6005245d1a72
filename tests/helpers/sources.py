"""Sources as people have them: a small one, where made-up cases lie, and what was read of one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from fractalrs.reading import Interactions

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
Write = Callable[..., Path]
"""The fixture `write`: takes a text, or bytes, and a name."""
FOUR = [(2, 10, 4.5, 900_000_001), (1, 7, 3.0, 900_000_002), (2, 7, 1.0, 900_000_003)]
NAMES = "userId,movieId,rating,timestamp\n"
CELLS = "2,10,4.5,900000001\n1,7,3,900000002\n2,7,1,900000003\n"


def rows(interactions: Interactions) -> list[tuple[Any, ...]]:
    """Return the rows of interactions, as they were read."""
    return list(zip(*pa.table(interactions).to_pydict().values(), strict=True))


def said(interactions: Interactions, words: str) -> bool:
    """Return whether a note has these words."""
    return any(words in note for note in interactions.notes)


def ids(interactions: Interactions, column: str) -> list[Any]:
    """Return the ids of a column, one for each interaction."""
    codes, distinct = interactions.codes(column)
    return [distinct[int(code)].as_py() for code in codes]
