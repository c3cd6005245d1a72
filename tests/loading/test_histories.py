"""Histories of any users, whichever are asked for."""

from typing import Any

import numpy as np
import pytest

from fractalrs.errors import InputError
from fractalrs.expansion import Expansion
from fractalrs.loading import Histories
from helpers.folders import small_expansion


@pytest.fixture(scope="module")
def expansion() -> Expansion:
    return small_expansion()


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("max_length", [None, 1, 7, 10**6])
@pytest.mark.parametrize("threads", [1, 3])
def test_histories_are_the_last_items_of_the_table(
    expansion: Expansion, split: Any, max_length: int | None, threads: int
) -> None:
    histories = Histories(expansion, split, max_length=max_length, threads=threads)
    users = np.random.default_rng(0).integers(0, 600, 300)
    values, lengths, offsets = histories.__getitems__(users)
    assert lengths.dtype == offsets.dtype == np.int64
    assert offsets.tolist() == [0, *np.cumsum(lengths)]
    for user, start, end in zip(users.tolist(), offsets, offsets[1:], strict=False):
        items = expansion.table(user, user + 1, split)["item_id"].to_numpy()
        wanted = items if max_length is None else items[-max_length:]
        assert np.array_equal(values[start:end], wanted)
        assert np.array_equal(histories[user], wanted)


def test_histories_are_a_sequence(expansion: Expansion) -> None:
    histories = Histories(expansion)
    assert len(histories) == 600
    assert np.array_equal(histories[-1], histories[599])
    with pytest.raises(IndexError, match="600"):
        histories[600]
    values, lengths, offsets = histories.__getitems__([])
    assert (len(values), len(lengths), offsets.tolist()) == (0, 0, [0])


def test_what_cannot_be_is_refused(expansion: Expansion) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"source": "out"}, "load_csr"),
        ({"split": "validation"}, "unknown split"),
        ({"max_length": 0}, "max_length must be"),
    ]
    for named, message in wrong:
        with pytest.raises(InputError, match=message):
            Histories(**{"source": expansion, **named})
    with pytest.raises(InputError, match="users 600"):
        Histories(expansion).__getitems__([600])
