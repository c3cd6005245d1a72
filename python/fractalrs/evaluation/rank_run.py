"""Do models rank on an expansion as they rank on the data it was made of?"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fractalrs.base import Base, leave_last_out
from fractalrs.errors import InputError
from fractalrs.evaluation.agreement import Draws, agreement, pairs_of, signs, values_of
from fractalrs.evaluation.baselines import rewired
from fractalrs.evaluation.halves import Halves
from fractalrs.evaluation.rank_report import Column, RankReport
from fractalrs.evaluation.rankings import by_user, places, rankable
from fractalrs.evaluation.samples import Sample, reseeded
from fractalrs.evaluation.tuning import tune
from fractalrs.expansion import Expansion
from fractalrs.models import CHUNK, Family, Matrix, Recommender, as_recommender, installed_families
from fractalrs.reading import Interactions, read_interactions
from fractalrs.tools import (
    Progress,
    ProgressCallback,
    allowed_threads,
    as_progress,
    check_count,
    check_kind,
    readable,
    require_memory,
    resolve_threads,
    suggests,
)

MOST_USERS, MOST_ITEMS = 5_000, 100_000
"""How many users, and items, a matrix has at the most: of more a sample is taken."""
FEWEST_USERS = 60
"""With fewer that can be ranked halves of them have no interval worth the name."""
FEWEST_MODELS = 3
"""With fewer there are fewer than `FEWEST_PAIRS` pairs, of which nothing is said."""
SHARE = "of the catalogue"
"""Stands behind a metric whose cut-off is the same share of the catalogue, not the same number."""

logger = logging.getLogger(__name__)

_Values = dict[str, Draws]
"""Of one table, by metric."""


@suggests
def rank_agreement(
    interactions: Any,
    expansion: Expansion,
    *,
    models: Mapping[str, Any] | None = None,
    k: int = 10,
    repeats: int = 3,
    most_users: int = MOST_USERS,
    most_items: int = MOST_ITEMS,
    mask_dropped: bool = False,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | Progress = False,
) -> RankReport:
    """Say whether the better model on synthetic data is the better one on the real data, and how far that can be known.

    Each family of models is tuned and fitted on each table by itself, on a validation part of its train interactions.
    Held-out items are ranked among all items that a user does not have. Beside the expansion stand halves of the real
    users against each other (the ceiling), the real data at the density of the expansion, and a table that has the
    degrees of the expansion and nothing else.

    Parameters
    ----------
    interactions
        The real data: a `Base`, `Interactions`, or anything that `read_interactions` takes.
    expansion
        Of these data.
    models
        By name: a recommender, several settings of one among which it is tuned, or anything with `fit(csr)` and
        `recommend(users, k)`; at least three. By default all families of `fractalrs.models` whose libraries are
        installed.
    k
        The cut-off; the same share of the catalogue is taken too.
    repeats
        Halves of users, thinnings, and seeds of the expansion.
    most_users, most_items
        Of more users, and of column blocks with more items together, a sample is trained on and ranked.
    mask_dropped
        Do not count as negatives what the expansion dropped.
    seed
        The same seed, data, machine and libraries give the same report.
    threads
        By default as many as this process may use.
    progress
        Show progress on stderr when that is a terminal, or by a `Progress` of your own.

    Returns
    -------
    RankReport

    Raises
    ------
    InputError
        Before anything is fitted: if an argument cannot be used, users are too few, nothing is held out for test, the
        expansion is of other data, or memory is too small. Later, if a model of yours does not do what it must.

    Examples
    --------
    >>> import fractalrs as fr
    >>> from fractalrs.models import FAMILIES
    >>> base = fr.leave_last_out(fr.sample_interactions(120, 60, 1_800))
    >>> few = {name: FAMILIES[name] for name in ("popularity", "item kNN", "SVD")}
    >>> report = fr.rank_agreement(base, fr.Expansion(base, fr.fit(base, (2, 2))), models=few, repeats=1)
    >>> report.columns["synthetic"].agreement["HR@10"].tau.value <= 1
    True
    """
    judge = Judge(
        interactions, models=models, k=k, repeats=repeats, most_users=most_users, most_items=most_items, seed=seed
    )
    return judge.judge(expansion, mask_dropped=mask_dropped, threads=threads, progress=progress)


def check_ranking(
    *,
    models: Mapping[str, Any] | None = None,
    k: int = 10,
    repeats: int = 3,
    most_users: int = MOST_USERS,
    most_items: int = MOST_ITEMS,
    seed: int = 0,
) -> None:
    """Refuse what no data are ranked with: arguments of `rank_agreement`, before any data are read.

    Examples
    --------
    >>> check_ranking(k=5, repeats=1)
    """
    check_count("k", k, 1, "of a list so many items count, such as 10")
    check_count("repeats", repeats, 1, "1 is quick, and 3 tell more")
    check_count("most_users", most_users, FEWEST_USERS, "fewer have no halves to compare")
    check_count("most_items", most_items, 1, f"such as {MOST_ITEMS}")
    check_count("seed", seed)
    if models is None:
        return
    check_kind("models", models, Mapping, "models by name, such as fractalrs.models.FAMILIES")
    for given in models.values():
        _family(given, k)
    if len(models) < FEWEST_MODELS:
        others = ", ".join(name for name in installed_families() if name not in models)
        raise InputError(
            f"there are {len(models)} models; a ranking needs at least three", hint=f"add models, such as {others}"
        )


class Judge:
    """Ranks models on real data, once, and compares expansions of these data with that.

    Examples
    --------
    >>> import fractalrs as fr
    >>> from fractalrs.models import FAMILIES
    >>> base = fr.leave_last_out(fr.sample_interactions(120, 60, 1_800))
    >>> judge = Judge(base, models={name: FAMILIES[name] for name in ("popularity", "item kNN", "SVD")}, repeats=1)
    >>> judge.judge(fr.Expansion(base, fr.fit(base, (2, 2)))).judged
    ('HR@10', 'NDCG@10')
    """

    def __init__(
        self,
        interactions: Any,
        *,
        models: Mapping[str, Any] | None = None,
        k: int = 10,
        repeats: int = 3,
        most_users: int = MOST_USERS,
        most_items: int = MOST_ITEMS,
        seed: int = 0,
    ) -> None:
        check_ranking(models=models, k=k, repeats=repeats, most_users=most_users, most_items=most_items, seed=seed)
        self.base = interactions if isinstance(interactions, Base) else _base_of(interactions)
        _check_base(self.base, k)
        self.k, self.repeats, self.most_users, self.most_items, self.seed = k, repeats, most_users, most_items, seed
        self.given = models
        self._real: _Real | None = None

    def judge(
        self,
        expansion: Expansion,
        *,
        mask_dropped: bool = False,
        threads: int | None = None,
        progress: bool | Progress = False,
    ) -> RankReport:
        """Compare one expansion: as `rank_agreement` does."""
        check_kind("expansion", expansion, Expansion, "an Expansion")
        if expansion.base.fingerprint != self.base.fingerprint:
            raise InputError(
                "the expansion is of other data than the interactions, or of the same split otherwise",
                hint="give the base that it was made of: rank_agreement(expansion.base, expansion)",
            )
        threads, started = resolve_threads(threads), time.monotonic()
        sample = Sample.of(expansion, self.most_users, self.most_items, self.seed)
        tables = Tables(self._families(sample, expansion), self.k, self.base.shape[1], self.seed)
        self._check_memory(tables, sample, expansion, mask_dropped)
        steps = 3 * self.repeats + 2 + (self.repeats if self._real is None else 0)
        with allowed_threads(threads), as_progress(progress).task("ranking", steps, steps) as report:
            steps_done = _Steps(report)
            if self._real is None or self._real.names != list(tables.families):
                self._real = self._ranked(tables, steps_done)
            found, settings, shown = self._compared(tables, expansion, sample, mask_dropped, threads, steps_done)
        real, names = self._real, list(tables.families)
        columns = {"real": _column(names, [real.values], None, self.seed)}
        columns["ceiling"] = _column(names, [b for _, b in real.halves], real.halves, self.seed)
        for name, repetitions in found.items():
            columns[name] = _column(names, repetitions, [(real.values, one) for one in repetitions], self.seed)
        subject = self._subject(expansion, sample, tables) | shown
        judged = (f"HR@{self.k}", f"NDCG@{self.k}")
        decisive = {metric: _named(names, draws) for metric, draws in real.values.items()}
        seconds = {"real": real.seconds, "all": time.monotonic() - started}
        return RankReport(subject, columns, judged, decisive, real.settings | settings, seconds)

    def _families(self, sample: Sample, expansion: Expansion) -> dict[str, Family]:
        """Return the families that take both tables."""
        given = installed_families() if self.given is None else self.given
        depth = self.k * len(sample.blocks)
        made = {name: _family(family, depth) for name, family in given.items()}
        shapes = (sample.shape(expansion), (min(self.base.shape[0], self.most_users), self.base.shape[1]))
        left = {name: family for name, family in made.items() if all(map(family[0].takes, shapes))}
        if len(left) < FEWEST_MODELS:
            raise InputError(
                f"{', '.join(made)}: fewer than three of them take {shapes[0][0]:,} users and {shapes[0][1]:,} items",
                hint="lower most_users or most_items",
            )
        for name in made.keys() - left.keys():
            logger.info(f"{name} is left out: it does not take {shapes[0][0]:,} users and {shapes[0][1]:,} items")
        return left

    def _check_memory(self, tables: "Tables", sample: Sample, expansion: Expansion, mask_dropped: bool) -> None:
        """Say how much memory this takes, and refuse more than there is."""
        shape = sample.shape(expansion)
        share = shape[0] * shape[1] / (expansion.shape[0] * expansion.shape[1])
        entries = max(int(share * expansion.expected_interactions), self.base.count)
        largest = max(model.memory(shape) for family in tables.families.values() for model in family)
        # A table, its two parts for validation, its other orientation, and what is made of it.
        needed = 16 * 6 * entries + 8 * 12 * CHUNK + largest + sample.memory(expansion, mask_dropped)
        logger.info(f"this takes up to about {readable(needed)} of memory")
        what = f"ranking {shape[0]:,} users and {shape[1]:,} items"
        require_memory(needed, what, "lower most_users or most_items")

    def _ranked(self, tables: "Tables", step: "_Steps") -> "_Real":
        """Rank on the real data, and on halves of its users."""
        started, logged = time.monotonic(), "the real data"
        logger.info(f"ranking on {logged}, then on halves of its users")
        whole = self._some(Halves.of_base(self.base), self.most_users, 0)
        settings = tables.tuned(whole)
        values = tables.ranked(whole, settings)
        step()
        halves: list[tuple[_Values, _Values]] = []
        for repeat in range(self.repeats):
            users = np.random.default_rng([self.seed, 1, repeat]).permutation(whole.shape[0])
            both = [Halves(whole.train[some], whole.test[some]) for some in np.array_split(users, 2)]
            one, other = (tables.ranked(half, tables.tuned(half)) for half in both)
            halves += [(one, other), (other, one)]
            step()
        seconds = time.monotonic() - started
        return _Real(list(tables.families), whole, values, halves, {"real": _words(settings)}, seconds)

    def _compared(
        self,
        tables: "Tables",
        expansion: Expansion,
        sample: Sample,
        mask_dropped: bool,
        threads: int,
        step: "_Steps",
    ) -> tuple[dict[str, list[_Values]], dict[str, dict[str, str]], dict[str, Any]]:
        """Rank on the expansion, on the thinned data and on the null model, which has the expansion's settings.

        Models are tuned on the first table of each.
        """
        assert self._real is not None
        logger.info("ranking on the expansion")
        synthetic, settings, densities, last = [], None, [], None
        for repeat in range(self.repeats):
            again = expansion if repeat == 0 else reseeded(expansion, _number(self.seed, repeat))
            table = last = sample.halves(again, threads)
            hidden = sample.dropped(again, table, threads) if mask_dropped else None
            table = table.one_test_item(np.random.default_rng([self.seed, 2, repeat]))
            settings = settings or tables.tuned(table)
            synthetic.append(tables.ranked(table, settings, hidden))
            densities.append(table.density)
            step()
        assert settings is not None
        assert last is not None
        real, thinned = self._real.table, []
        keep, of_thinned = min(1.0, float(np.mean(densities)) / real.density), None
        logger.info("ranking on the real data at its density, and on a null model")
        for repeat in range(self.repeats):
            table = real.thinned(keep, np.random.default_rng([self.seed, 3, repeat]))
            of_thinned = of_thinned or tables.tuned(table)
            thinned.append(tables.ranked(table, of_thinned))
            step()
        null = rewired(last, self.seed).one_test_item(np.random.default_rng([self.seed, 4]))
        found = {"thinned": thinned, "synthetic": synthetic, "null": [tables.ranked(null, settings)]}
        step()
        chosen = {"thinned": of_thinned or {}, "synthetic": settings}
        shown = {"density, real": real.density, "density, synthetic": float(np.mean(densities))}
        return found, {name: _words(one) for name, one in chosen.items()}, shown

    def _some(self, halves: Halves, most: int, purpose: int) -> Halves:
        """Return the table of a sample of users, with one held-out item each."""
        rng = np.random.default_rng([self.seed, 5, purpose])
        users = np.arange(halves.shape[0])
        if len(users) > most:
            users = np.sort(rng.choice(users, most, replace=False))
        return Halves(halves.train[users], halves.test[users]).one_test_item(rng)

    def _subject(self, expansion: Expansion, sample: Sample, tables: "Tables") -> dict[str, Any]:
        options, (users, items) = expansion.options, sample.shape(expansion)
        return {
            "real": f"{self.base.shape[0]:,} × {self.base.shape[1]:,}, {self.base.train_count:,} train interactions",
            "multipliers": "{} × {}".format(*expansion.reduced.shape),
            "expanded": "{:,} × {:,}".format(*expansion.shape),
            "ranked": f"{users:,} users, {items:,} items",
            "profile": expansion.profile,
            "shuffle": options.shuffle,
            "max_keep": options.max_keep,
            "models": list(tables.families),
            "repeats": self.repeats,
            "seed": self.seed,
        }


@dataclass(frozen=True, eq=False)
class _Real:
    """What is known of the real data."""

    names: list[str]
    table: Halves
    values: _Values
    halves: list[tuple[_Values, _Values]]
    settings: dict[str, dict[str, str]]
    seconds: float


@dataclass
class _Steps:
    """Counts what is done."""

    report: ProgressCallback
    done: int = field(default=0)

    def __call__(self) -> None:
        self.done += 1
        self.report(self.done, self.done)


@dataclass(frozen=True, eq=False)
class Tables:
    """Ranks families of models on tables: tunes them, fits them, and draws users anew."""

    families: dict[str, Family]
    k: int
    items: int
    seed: int

    def tuned(self, table: Halves) -> dict[str, Recommender]:
        """Return the best setting of each family on a validation part of train."""
        return tune(table.train, self.families, self.k, self.seed)

    def ranked(self, table: Halves, models: Mapping[str, Recommender], hidden: Matrix | None = None) -> _Values:
        """Return the draws of each metric, of models in their order."""
        users = rankable(table)
        if len(users) < FEWEST_USERS // 2:
            raise InputError(
                f"{len(users)} users can be ranked, too few for an interval: at least {FEWEST_USERS // 2} are needed",
                hint="give more users, or a denser expansion",
            )
        cuts = {"": self.k, f" {SHARE}": round(self.k * table.shape[1] / self.items)}
        rows: dict[str, list[Any]] = {}
        for name, model in models.items():
            found = places(model.fit(table.train), table, users, hidden=hidden, name=name)
            for words, k in cuts.items():
                for metric, values in by_user(found, k).items():
                    rows.setdefault(f"{metric}@{self.k}{words}", []).append(values)
        return {metric: Draws.of(np.array(values), self.seed) for metric, values in rows.items()}


def _base_of(interactions: Any) -> Base:
    read = interactions if isinstance(interactions, Interactions) else read_interactions(interactions)
    return leave_last_out(read)


def _check_base(base: Base, k: int) -> None:
    if not base.test_count:
        raise InputError(
            "nothing is held out for test, so nothing can be ranked", hint="split the data: leave_last_out"
        )
    if k >= base.shape[1]:
        raise InputError(f"k is {k}, and there are {base.shape[1]} items", hint="lower k")
    users = len(rankable(Halves.of_base(base)))
    if users < FEWEST_USERS:
        raise InputError(
            f"{users} users have train and test interactions, too few for halves of them: at least {FEWEST_USERS} are "
            "needed",
            hint="give more users",
        )


def _family(given: Any, depth: int) -> Family:
    several = given if isinstance(given, Sequence) and not isinstance(given, str) and given else [given]
    return [as_recommender(model, depth) for model in several]


def _column(
    names: list[str], repetitions: list[_Values], compared: list[tuple[_Values, _Values]] | None, seed: int
) -> Column:
    values, agreed = {}, {}
    for metric in repetitions[0]:
        values[metric] = dict(zip(names, values_of([one[metric] for one in repetitions], seed), strict=True))
        if compared is not None:
            agreed[metric] = agreement([(one[metric], other[metric]) for one, other in compared], seed)
    return Column(values, agreed)


def _named(names: list[str], draws: Draws) -> list[tuple[str, str]]:
    """Return the decisive pairs by name, the better one first."""
    pairs = zip(*pairs_of(len(names)), signs(draws.means), draws.decisive, strict=True)
    return [(names[a], names[b]) if sign > 0 else (names[b], names[a]) for a, b, sign, sure in pairs if sure]


def _words(models: Mapping[str, Recommender]) -> dict[str, str]:
    return {name: str(model) for name, model in models.items()}


def _number(seed: int, repeat: int) -> int:
    return int(np.random.default_rng([seed, 6, repeat]).integers(1 << 63))
