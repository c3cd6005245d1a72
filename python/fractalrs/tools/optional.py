"""What is not always installed: its absence is one clear sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

from fractalrs.errors import InputError


@contextmanager
def drawing() -> Iterator[None]:
    """Load what draws within this context, which says what to install where it is missing.

    Raises
    ------
    InputError
        If matplotlib or jinja2 is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError("drawing needs matplotlib and jinja2: pip install 'fractalrs[report]'") from error
