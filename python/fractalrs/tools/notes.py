"""What is chosen and done, a sentence each: modules log it, whoever wants sees it on stderr."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def notes_on_stderr(shown: bool = True) -> Iterator[None]:
    """Print what the package logs on stderr, as plain lines, until the context ends; or leave it to other handlers."""
    logger = logging.getLogger("fractalrs")
    if not shown:
        yield
        return
    handler, level = logging.StreamHandler(sys.stderr), logger.level
    logger.addHandler(handler)
    logger.setLevel(min(level or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
