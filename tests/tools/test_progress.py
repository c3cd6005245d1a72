"""Progress: what may stand for it."""

from typing import Any

import pytest

from fractalrs.errors import InputError
from fractalrs.tools import SILENT, Progress, as_progress


@pytest.mark.parametrize("progress", ["yes", 1, None, [True, False]])
def test_progress_of_another_kind_is_refused(progress: Any) -> None:
    with pytest.raises(InputError, match=r"progress is .*; it must be True, False or a Progress"):
        as_progress(progress)


def test_progress_is_silent_by_default_or_one_of_your_own() -> None:
    own = Progress()
    assert (as_progress(False), as_progress(own)) == (SILENT, own)
    assert as_progress(True) is not SILENT
