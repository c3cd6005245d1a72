"""The backcast: does an expansion of a sub-sample look like the data it is of?"""

import logging
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from fractalrs.base import Base, leave_last_out
from fractalrs.errors import InputError
from fractalrs.evaluation.baselines import BASELINES
from fractalrs.evaluation.halves import Halves
from fractalrs.evaluation.report import CEILING, EXPANSION, BackcastReport, Row, Score
from fractalrs.evaluation.traits import Measure, Traits, measures_of, traits_of
from fractalrs.expansion import DEFAULT_PROFILE, Expansion, fit, profile_named, reduce
from fractalrs.models import MODELS, Recommender
from fractalrs.reading import Interactions, read_interactions
from fractalrs.tools import Progress, allowed_threads, as_progress, check_count, resolve_threads, suggests
from fractalrs.words import SIDES

TRUTH = "truth"
_CANDIDATES = 3 + len(BASELINES)
"""How many are measured for each sub-sample: the truth, the ceiling, the expansion and its rivals."""
MOST_USERS = 5_000
"""How many users' held-out items are ranked at the most."""

logger = logging.getLogger(__name__)


@suggests
def backcast(
    interactions: Any,
    user_share: float = 1 / 4,
    item_share: float = 1 / 4,
    *,
    repeats: int = 3,
    seed: int = 0,
    profile: str = DEFAULT_PROFILE,
    models: Mapping[str, Recommender] = MODELS,
    most_users: int = MOST_USERS,
    threads: int | None = None,
    progress: bool | Progress = False,
) -> BackcastReport:
    """Expand sub-samples of real data back to its size, and compare what comes out with the data itself.

    It says whether expansion predicts what more data would look like, on your data. Users and items are drawn
    uniformly; the interactions between them are split, reduced and expanded as always, to the size of the real data.
    The truth is the real data, thinned to the density of the expansion. Beside the expansion stand the truth thinned
    once more (the ceiling) and its rivals, of its shape and density: `duplication`, `block` (profile ``paper``),
    `configuration` (degrees alone) and `uniform`.

    Parameters
    ----------
    interactions
        `Interactions`, or anything that `read_interactions` takes.
    user_share, item_share
        Shares of users and of items in a sub-sample, above 0 and at most 1; multipliers are such that the expansion has
        as many of both as there are really.
    repeats
        How many sub-samples.
    seed
        The same seed, data, machine and libraries give the same report.
    profile
        Of the expansion.
    models
        Recommenders whose held-out rankings are compared, by name. One that does not take the size is left out.
    most_users
        Of more users a sample is ranked.
    threads
        By default as many as this process may use.
    progress
        Show progress on stderr when that is a terminal, or by a `Progress` of your own.

    Returns
    -------
    BackcastReport

    Raises
    ------
    InputError
        Before anything is expanded: if an argument cannot be used, or too little is left of the data in a sub-sample.

    Examples
    --------
    >>> import fractalrs as fr
    >>> report = fr.backcast(fr.sample_interactions(80, 60, 1_200), 1 / 2, 1 / 2, repeats=1)
    >>> report.subject["multipliers"]
    ['2 × 2']
    >>> report.nearer["uniform"] < 5
    True
    """
    for name, share in (("user_share", user_share), ("item_share", item_share)):
        _check_share(name, share)
    check_count("repeats", repeats, 1)
    check_count("seed", seed)
    check_count("most_users", most_users, 1)
    profile_named(profile)
    threads, shown = resolve_threads(threads), as_progress(progress)
    started = time.monotonic()
    if not isinstance(interactions, Interactions):
        interactions = read_interactions(interactions)
    whole = leave_last_out(interactions)
    with allowed_threads(threads):
        trials = _trials(interactions, whole.shape, (user_share, item_share), repeats, seed, profile)
        prepared = time.monotonic()
        found = _measured(trials, whole, models, most_users, seed, threads, shown)
    subject = _subject(whole, trials, found) | {"profile": profile, "repeats": repeats, "seed": seed}
    seconds = {"preparing": prepared - started, "comparing": time.monotonic() - prepared}
    return BackcastReport(subject, tuple(_row(measure, found) for measure in measures_of(models)), seconds)


def _expand(base: Base, multipliers: tuple[int, int], profile: str, seed: int) -> Expansion:
    """Expand as anybody would who has no more than the sub-sample: the prediction that is judged."""
    wanted = profile_named(profile)
    made = fit(base, multipliers) if wanted.fits else reduce(base, multipliers, variant=wanted.variant)
    return Expansion(base, made, profile=profile, seed=seed)


@dataclass(frozen=True)
class _Trial:
    """A sub-sample that was expanded; how many pairs of users and items it has, over those of the truth."""

    repeat: int
    expansion: Expansion
    coverage: float

    @property
    def base(self) -> Base:
        return self.expansion.base

    def candidates(self, whole: Halves, seed: int, threads: int) -> Iterator[tuple[str, Halves]]:
        """Yield the truth, the ceiling, the expansion and its rivals, one after the other, all of one density."""

        def chance(purpose: int) -> np.random.Generator:
            return np.random.default_rng([seed, self.repeat, purpose])

        expanded = Halves.of_expansion(self.expansion, threads)
        keep = expanded.train.nnz / (self.coverage * whole.train.nnz)
        if keep > 1:
            # Nobody can make the truth denser than it is.
            expanded, keep = expanded.thinned(1 / keep, chance(2)), 1.0
        yield TRUTH, whole.thinned(keep, chance(3)).one_test_item(chance(4))
        yield CEILING, whole.thinned(keep, chance(5)).one_test_item(chance(6))
        yield EXPANSION, expanded.one_test_item(chance(7))
        for number, (name, make) in enumerate(BASELINES.items()):
            made = make(
                self.base, self.expansion.reduced.shape, expanded.train.nnz, _number(seed, self.repeat, 8 + number)
            )
            yield name, made.one_test_item(chance(9 + len(BASELINES) + number))


def _trials(
    interactions: Interactions,
    whole: tuple[int, int],
    shares: tuple[float, float],
    repeats: int,
    seed: int,
    profile: str,
) -> list[_Trial]:
    """Draw all sub-samples and expand them: what is wrong with any is known before the long part begins."""
    bases = [sub_sample(interactions, shares, repeat, seed) for repeat in range(repeats)]
    trials = []
    for repeat, base in enumerate(bases):
        logger.info(f"sub-sample {repeat + 1} of {repeats}: {base}")
        # Ids that were drawn and have no interaction there are not in the base: its size counts, not the share.
        m, n = (max(1, round(real / size)) for real, size in zip(whole, base.shape, strict=True))
        expansion = _expand(base, (m, n), profile, _number(seed, repeat, 1))
        trials.append(_Trial(repeat, expansion, math.prod(expansion.shape) / math.prod(whole)))
    return trials


def _measured(
    trials: list[_Trial],
    whole: Base,
    models: Mapping[str, Recommender],
    most_users: int,
    seed: int,
    threads: int,
    progress: Progress,
) -> list[dict[str, Traits]]:
    """Measure the truth and all candidates of each sub-sample, by name."""
    found: list[dict[str, Traits]] = []
    expected, compared = sum(trial.expansion.expected.train.mean for trial in trials), 0
    with progress.task("comparing", _CANDIDATES * expected, _CANDIDATES * len(trials)) as report:
        for trial in trials:
            measured: dict[str, Traits] = {}
            for name, halves in trial.candidates(Halves.of_base(whole), seed, threads):
                measured[name] = traits_of(halves, models, most_users=most_users, seed=seed)
                compared += halves.train.nnz
                report(compared, len(found) * _CANDIDATES + len(measured))
            found.append(measured)
    return found


def _subject(whole: Base, trials: list[_Trial], found: list[dict[str, Traits]]) -> dict[str, Any]:
    return {
        "real": {"shape": list(whole.shape), "train": whole.train_count, "test": whole.test_count},
        "sub_samples": [_size(trial.base.shape) for trial in trials],
        "multipliers": ["{} × {}".format(*trial.expansion.reduced.shape) for trial in trials],
        "expanded": [_size(trial.expansion.shape) for trial in trials],
        "train_interactions_of_each": [int(one[EXPANSION].user_degrees.sum()) for one in found],
    }


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[0]:,} × {shape[1]:,}"


def _number(seed: int, repeat: int, purpose: int) -> int:
    """Return a seed of its own for each purpose."""
    return int(np.random.default_rng([seed, repeat, purpose]).integers(1 << 63))


def _check_share(name: str, share: Any) -> None:
    good = isinstance(share, int | float | np.number) and not isinstance(share, bool) and 0 < share <= 1
    if not good:
        raise InputError(f"{name} is {share!r}; it must be above 0 and at most 1", hint="a quarter is 0.25")


def sub_sample(interactions: Interactions, shares: tuple[float, float], repeat: int, seed: int) -> Base:
    """Draw shares of the users and of the items uniformly, and return the base of the interactions between them.

    Raises
    ------
    InputError
        If too little is left.

    Examples
    --------
    >>> import fractalrs as fr
    >>> sub_sample(fr.sample_interactions(80, 60, 1_200), (1 / 2, 1 / 3), 0, 0).shape
    (36, 18)
    """
    sizes = _sizes(interactions, shares)
    rng, kept = np.random.default_rng([seed, repeat, 0]), np.ones(len(interactions), dtype=bool)
    for side, size in zip(SIDES, sizes, strict=True):
        codes, ids = interactions.codes(side.id_column)
        chosen = np.zeros(len(ids), dtype=bool)
        chosen[rng.choice(len(ids), size, replace=False)] = True
        kept &= chosen[codes]
    hint = "raise user_share or item_share, or give more data"
    if not kept.any():
        raise InputError(f"sub-sample {repeat + 1} has no interactions", hint=hint)
    names = [name for name in ("user_id", "item_id", "timestamp") if name in interactions.columns]
    try:
        return leave_last_out(Interactions(interactions.table.select(names).filter(pa.array(kept))))
    except InputError as error:
        raise InputError(f"sub-sample {repeat + 1} is too small: {error.message}", hint=hint) from error


def _sizes(interactions: Interactions, shares: tuple[float, float]) -> tuple[int, int]:
    """Return how many users and items a sub-sample has; refuse too few."""
    sizes = []
    for side, share in zip(SIDES, shares, strict=True):
        there = len(interactions.codes(side.id_column)[1])
        size = round(share * there)
        if size < 2:
            raise InputError(
                f"a share of {share:g} of {there:,} {side} is {size}; a sub-sample needs at least 2",
                hint=f"raise {side.singular}_share, or give more data",
            )
        sizes.append(size)
    return sizes[0], sizes[1]


def _row(measure: Measure, found: list[dict[str, Traits]]) -> Row:
    """Compare all candidates with the truth by one measure."""
    value, scores = measure.value or (lambda _: None), {}
    for name in found[0]:
        if name != TRUTH:
            distances = _known([measure.distance(one[TRUTH], one[name]) for one in found])
            score = Score(_mean([value(one[name]) for one in found]), _mean(distances), None, None)
            scores[name] = replace(score, least=min(distances), most=max(distances)) if distances else score
    real = _mean([value(one[TRUTH]) for one in found])
    return Row(measure.name, measure.section, measure.how, real, scores, measure.summary)


def _known(values: list[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _mean(values: "list[float | None] | list[float]") -> float | None:
    known = _known(list(values))
    return float(np.mean(known)) if known else None
