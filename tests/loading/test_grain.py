"""Grain reads histories as its random access source."""

import numpy as np
import pytest

from fractalrs.loading import Histories
from helpers.folders import small_expansion

pytestmark = [pytest.mark.adapters, pytest.mark.filterwarnings("ignore")]


def test_grain_reads_and_shuffles_histories() -> None:
    import grain

    histories = Histories(small_expansion(), max_length=5)
    data = grain.MapDataset.source(histories)
    assert len(data) == 600
    assert np.array_equal(data[7], histories[7])
    shuffled = data.shuffle(seed=1)
    made = sorted(tuple(history.tolist()) for history in shuffled)
    assert made == sorted(tuple(histories[user].tolist()) for user in range(600))
