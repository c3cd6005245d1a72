"""Shared fixtures: the real data sets that lie beside the project, when they do."""

import os
import signal
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest

collect_ignore = [] if find_spec("torch") is not None else ["loading/test_torch.py"]
"""PyTorch takes gigabytes: its tests are collected where it is installed."""
if threading.current_thread() is threading.main_thread():
    # Children of a shell's background job would inherit that Ctrl-C is ignored, and not answer it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def _shared(relative: str) -> Path:
    path = SHARED_DATA / relative
    if not path.exists():
        message = f"real data set {relative} is not beside the project"
        # Continuous integration must not pass for want of data.
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(scope="session")
def movietweetings() -> Path:
    """`user::item::rating::timestamp`, no header, item ids with leading zeros."""
    return _shared("movietweetings/ratings-100K.dat")


@pytest.fixture(scope="session")
def ml_latest_small() -> Path:
    """CSV with header `userId,movieId,rating,timestamp`."""
    return _shared("ml-latest-small/ratings.csv")
