"""How far a metric may be from real data, and how a user changes that."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from fractalrs.errors import InputError
from fractalrs.validation import ratings, times

SPARSE = 20.0
"""Users of fewer interactions on average leave a spectrum that is mostly noise: its threshold is wider."""

GINI = "gini of {}"
RATIOS = "singular ratios 2 to 16, median error"
PREDICTION = "first 16 singular values against the prediction"
PREDICTION_ALL = "singular values against the prediction"
COPIES = "copies among the ten nearest items"
STORED = "repetition as stored"
RELINKED = "repetition relinked"

DEFAULTS: dict[str, float] = {
    GINI.format("users"): 0.05,
    GINI.format("items"): 0.05,
    RATIOS: 0.10,
    PREDICTION: 0.03,
    PREDICTION_ALL: 0.08,
    COPIES: 0.05,
    STORED: 1.5,
    RELINKED: 3.0,
    times.GAPS: 0.1,
    times.HOURS: 0.02,
    times.WEEKDAYS: 0.02,
    times.GROWTH: 0.1,
    times.MEMORY: 0.05,
    times.COPIES: 1.5,
    ratings.RATINGS: 0.02,
    ratings.OF_USERS: 0.05,
}
"""By metric, argued in ``docs/fidelity.md``: the largest distance that holds."""

SPARSE_RATIOS = 0.15

_OF_USERS_AND_ITEMS = (
    GINI,
    "share of the top 1 % of {}",
    "share of the top 10 % of {}",
    "KS distance of {}",
    "Wasserstein distance of {}",
    "tail exponent of {}",
    "log-log rank slope of {}",
    "decay at the end of {}",
    "coverage of {}",
    "network values of {}",
)
METRICS = frozenset(
    {name.format(who) for name in _OF_USERS_AND_ITEMS for who in ("users", "items")}
    | DEFAULTS.keys()
    | {
        "singular ratios 2 to 16, largest error",
        "log-log slope of singular values",
        "effective rank of the leading singular values",
        "degree assortativity",
        "cosine with the nearest item, rank 1",
        "cosine with the nearest item, rank 5",
        "cosine with the nearest item, rank 20",
        "repetition sorted by degree",
        "mutual nearest users across row blocks",
        times.TIES_ON_ONE_CLOCK,
        ratings.MEAN,
    }
)
"""The names of all metrics that have a distance, so that a name that is none is refused before hours of work."""


def defaults(interactions_per_user: float, one_source: bool = True) -> dict[str, float]:
    """Thresholds for real data of that activity, and written users of one source user each or of several."""
    limits = DEFAULTS | ({RATIOS: SPARSE_RATIOS} if interactions_per_user < SPARSE else {})
    if not one_source:
        # Users of several sources have no generosity of one of them.
        del limits[ratings.OF_USERS]
    return limits


def read(path: str | os.PathLike[str]) -> dict[str, float]:
    """Read thresholds from a TOML file: metric = number, for any metric of a report; ``inf`` takes a threshold away.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If it is no TOML, or a value is not a number from 0.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"thresholds {path} do not exist or are not a file")
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from None
    return checked(content, str(path))


def checked(thresholds: Mapping[str, object], where: str = "thresholds") -> dict[str, float]:
    """Check the names and values of thresholds."""
    for name, value in thresholds.items():
        if name not in METRICS:
            raise InputError(f"{where}: no metric is named {name!r}", hint="there are: " + ", ".join(sorted(METRICS)))
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise InputError(f"{where}: {name} is {value!r}; it must be a number from 0, or inf")
    return {name: float(value) for name, value in thresholds.items()}  # type: ignore[arg-type]
