"""The trade-off: what a private base keeps at each ε, and what an audit finds in it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fractalrs.base import Base, hold_users_out
from fractalrs.errors import InputError
from fractalrs.evaluation import Halves, measures_of, traits_of
from fractalrs.expansion import Expansion, fit
from fractalrs.models import MODELS, Recommender
from fractalrs.privacy.attacks import as_base
from fractalrs.privacy.rates import Advantage
from fractalrs.privacy.release import DELTA, private_base
from fractalrs.privacy.run import audit
from fractalrs.tools import Progress, Shown, as_progress, drawing, suggests
from fractalrs.validation import aligned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EPSILONS = (0.5, 1.0, 2.0, 4.0, 8.0, math.inf)
METRICS = (
    "gini of users, all ids",
    "gini of items, all ids",
    "singular ratios 2 to 16",
    "degree assortativity",
    "HR@10 of item kNN, SVD, EASE: mean",
)
"""What is kept, of all that a backcast measures."""
MOST_USERS = 2_000


@dataclass(frozen=True, repr=False)
class Kept(Shown):
    """What one candidate keeps of the real data, and what is found in it.

    Attributes
    ----------
    name
        ``"ε = 4"`` and the like; ``"no ε"``, the real base; or ``"half of the real"``, of whose interactions each is
        kept with probability one half: what is lost without any noise.
    distances
        Of the base from the real one by metric; None for one that has no meaning.
    advantage
        Of the strongest attack on what the default profile makes of the base; None where nothing was attacked.
    refused
        Why there is no such base; empty where there is.
    """

    name: str
    distances: dict[str, float | None]
    advantage: Advantage | None
    refused: str = ""

    @property
    def found(self) -> tuple[float, float, float] | None:
        """The advantage and both ends of its interval."""
        return None if (one := self.advantage) is None else (one.value, one.low, one.high)


@dataclass(frozen=True, repr=False)
class PrivacyCurve(Shown):
    """Fidelity against privacy: bases from the most private to the real one, and half of it."""

    kept: tuple[Kept, ...]

    def to_dict(self) -> list[dict[str, Any]]:
        """Return all of it as values that JSON takes."""
        return [
            {
                "name": one.name,
                "refused": one.refused,
                "distances": one.distances,
                "advantage": None if one.found is None else list(one.found),
            }
            for one in self.kept
        ]

    def draw(self) -> "tuple[Axes, Axes]":
        """Draw distances above what was found; the Axes' figure can be saved."""
        with drawing():
            from fractalrs.plot import trade_off
        there = [one for one in self.kept if not one.refused]
        distances = {metric: [one.distances.get(metric) for one in there] for metric in METRICS}
        return trade_off([one.name for one in there], distances, [one.found for one in there])

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("", *METRICS, "members found, beyond others")]
        for one in self.kept:
            cells = ["–" if one.refused else _short(one.distances.get(metric)) for metric in METRICS]
            found = one.refused
            if one.found is not None:
                found = "{:+.3f} [{:+.3f}, {:+.3f}]".format(*one.found)
            rows.append((one.name, *cells, found or "–"))
        return "\n".join(aligned(rows, "<" + ">" * len(METRICS) + "<"))


@suggests
def privacy_curve(
    interactions: Any,
    epsilons: Sequence[float] = EPSILONS,
    *,
    delta: float = DELTA,
    multipliers: tuple[int, int] = (4, 4),
    models: Mapping[str, Recommender] = MODELS,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | Progress = False,
) -> PrivacyCurve:
    """Measure what private bases keep at each ε, and what an audit finds in their expansions.

    Half of the users are members. Bases are made of them and compared with the real one; what the default profile
    expands them to is attacked by whoever has that alone, and whole histories.

    Parameters
    ----------
    interactions
        `Interactions`, or anything that `read_interactions` takes.
    epsilons, delta
        Of the private bases, for whole users. Each is a release of its own: what is drawn here costs as much as bases
        that are given away, and stays at home.
    multipliers
        Of the expansions.
    models
        Recommenders whose held-out rankings are compared.
    seed
        Of all that is drawn but the noise, which comes from the operating system.

    Returns
    -------
    PrivacyCurve

    Raises
    ------
    InputError
        If there are too few users for an audit. A base that is refused at its ε is one in the curve.
    """
    members, controls = hold_users_out(interactions, seed=seed)
    base = as_base("members", members)
    others = as_base("controls", controls, base.split)
    halves = Halves.of_base(base)
    truth = traits_of(halves, models, most_users=MOST_USERS, seed=seed)

    def compared(candidate: Halves) -> dict[str, float | None]:
        traits = traits_of(candidate, models, most_users=MOST_USERS, seed=seed)
        return {one.name: one.distance(truth, traits) for one in measures_of(models) if one.name in METRICS}

    def attacked(made_of: Base) -> Advantage | None:
        expansion = Expansion(made_of, fit(made_of, multipliers), seed=seed)
        found = audit(expansion, base, others, attackers=["output"], known=[1.0], seed=seed, threads=threads)
        return found.strongest.advantage if found.strongest and all(one.holds for one in found.controls) else None

    kept, wanted = list[Kept](), sorted(epsilons)
    with as_progress(progress).task("comparing", len(wanted) + 2, len(wanted) + 2) as report:
        for number, epsilon in enumerate(wanted):
            report(number, number)
            name = f"ε = {epsilon:g}" if epsilon < math.inf else "ε = ∞"
            try:
                private = private_base(members, epsilon, delta, seed=seed)
            except InputError as error:
                if "opendp" in error.message:
                    raise
                kept.append(Kept(name, {}, None, error.message))
                continue
            kept.append(Kept(name, compared(Halves.of_base(private)), attacked(private)))
        report(len(wanted), len(wanted))
        kept.append(Kept("no ε", dict.fromkeys(METRICS, 0.0), attacked(base)))
        half = halves.thinned(0.5, np.random.default_rng([seed, 3]))
        kept.append(Kept("half of the real", compared(half), None))
    return PrivacyCurve(tuple(kept))


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
