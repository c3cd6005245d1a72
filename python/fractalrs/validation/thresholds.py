"""How far a metric may be from real data, and how a user changes that; the metrics themselves say it."""

import errno
import os
from collections.abc import Mapping

from fractalrs.errors import InputError
from fractalrs.tools import as_path, check_kind, read_toml
from fractalrs.validation import metrics

METRICS = frozenset(name for spec in metrics.METRICS if spec.has_distance for name in spec.names)
"""The names of all metrics that have a distance, so that a name that is none is refused before hours of work."""


def defaults(one_source: bool = True) -> dict[str, float]:
    """Return the thresholds of expanded users of one source user each, or of several."""
    thresholds: dict[str, float] = {}
    for spec in metrics.METRICS:
        if spec.threshold is not None and (one_source or not spec.of_one_source):
            thresholds |= dict.fromkeys(spec.names, spec.threshold)
    return thresholds


def read(path: str | os.PathLike[str]) -> dict[str, float]:
    """Read thresholds from a TOML file: metric = number, for any metric of a report; ``inf`` takes a threshold away.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If it is no TOML, or a value is not a number from 0.

    Examples
    --------
    >>> from tempfile import NamedTemporaryFile
    >>> with NamedTemporaryFile("w+") as file:
    ...     print("'gini of users' = 0.02", file=file, flush=True)
    ...     read(file.name)
    {'gini of users': 0.02}
    """
    file = as_path("path", path)
    if not file.is_file():
        raise FileNotFoundError(errno.ENOENT, "thresholds do not exist or are not a file", str(path))
    return checked(read_toml(file), str(path))


def checked(thresholds: Mapping[str, object], where: str = "thresholds") -> dict[str, float]:
    """Return thresholds whose names and values are right; refuse others."""
    check_kind(where, thresholds, Mapping, "a mapping of metrics to numbers")
    for name, value in thresholds.items():
        if name not in METRICS:
            raise InputError(f"{where}: no metric is named {name!r}", hint="there are: " + ", ".join(sorted(METRICS)))
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise InputError(f"{where}: {name} is {value!r}; it must be a number from 0, or inf")
    return {name: float(value) for name, value in thresholds.items()}  # type: ignore[arg-type]
