"""What a feedback loop was and what it came to: its numbers, round by round."""

import os
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from fractalrs.errors import InputError
from fractalrs.models import Floats
from fractalrs.rounds.stored import read_metrics
from fractalrs.rounds.tally import METRICS
from fractalrs.tools import Shown, check_word


@dataclass(frozen=True, repr=False)
class Feedback(Shown):
    """A feedback loop: what was asked for, and the numbers of its rounds.

    Attributes
    ----------
    plan
        Policy, options and the digest of the world.
    rounds
        By round: ``utility``, ``regret``, ``coverage``, ``gini``, ``popularity``, ``repetition``, ``drift`` and
        ``users``; None where there is none.

    Examples
    --------
    >>> import fractalrs as fr
    >>> loop = fr.feedback(fr.simulate(60, 40, 600), "random", rounds=3, slate=5)
    >>> loop.values("coverage").tolist()
    [1.0, 1.0, 1.0]
    """

    plan: dict[str, Any]
    rounds: tuple[dict[str, Any], ...]

    @property
    def last(self) -> dict[str, Any]:
        """The numbers of the last round."""
        if not self.rounds:
            raise InputError("the loop has no round that is complete", hint="give the command again: it goes on")
        return self.rounds[-1]

    @property
    def name(self) -> str:
        """The policy, and ε where it tries others."""
        tries = f", ε {self.plan['epsilon']:g}" if self.plan["epsilon"] else ""
        return f"{self.plan['policy']}{tries}"

    def values(self, metric: str) -> Floats:
        """Return a number by round: float64, shape (rounds,); NaN where there is none.

        Examples
        --------
        >>> import fractalrs as fr
        >>> fr.feedback(fr.simulate(60, 40, 600), rounds=2, slate=5).values("utility").shape
        (2,)
        """
        check_word("metric", metric, tuple(METRICS))
        return np.array([np.nan if one[metric] is None else one[metric] for one in self.rounds], np.float64)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Return the loop of a folder, as far as its rounds are complete.

        Examples
        --------
        >>> import tempfile
        >>> import fractalrs as fr
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     loop = fr.feedback(fr.simulate(60, 40, 600), rounds=2, slate=5, path=folder)
        ...     fr.Feedback.open(folder) == loop
        True
        """
        plan, rounds = read_metrics(path)
        return cls(plan, tuple({name: value for name, value in one.items() if name != "files"} for one in rounds))

    def _facts(self) -> dict[str, Any]:
        shown = ("utility", "coverage", "gini")
        last = {name: one[name] for one in self.rounds[-1:] for name in shown}
        return {"policy": self.name, "rounds": len(self.rounds), **last}
