"""Gymnasium: a user of a world as an environment, who is shown slates by whatever learns."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fractalrs.errors import InputError
from fractalrs.rounds import examination_of
from fractalrs.simulation import World
from fractalrs.tools import check_count, check_kind, installed

with installed("gymnasium"):
    from gymnasium import Env, spaces

Observation = npt.NDArray[np.int8]
Action = npt.NDArray[np.int64]
Info = dict[str, Any]
_NONE = np.zeros(2, np.uint64), np.empty(0, np.uint32)


class Environment(Env[Observation, Action]):
    """A user of a world, any one in each episode, who is shown a slate a step and responds as the world says.

    An action is a slate: items, of which one named twice is shown in its first place only. The observation is what is
    known of the user, int8 (items,): 1 for an item that the user responded to, −1 for one shown in vain, else 0. The
    reward is the number of responses to items not responded to before. Episodes are truncated after `rounds` steps.
    ``info`` has the user, and ``regret``: how many more responses, expected, the best slate would have had.

    Parameters
    ----------
    world, slate, rounds
        The world; how many items are shown together, by default those of a slate of the world; steps of an episode.

    Raises
    ------
    InputError
        If a slate is larger than the catalogue, or than the world's where users look less at lower positions.

    Examples
    --------
    >>> import fractalrs as fr
    >>> environment = Environment(fr.simulate(60, 40, 600, slate=5), rounds=3)
    >>> observation, info = environment.reset(seed=7)
    >>> observation, reward, terminated, truncated, info = environment.step(np.arange(5))
    >>> observation.shape, terminated, truncated
    ((40,), False, False)
    """

    def __init__(self, world: World, slate: int | None = None, rounds: int = 20) -> None:
        check_kind("world", world, World, "a World, which fr.simulate makes")
        self.size, items = world.slate if slate is None else slate, world.shape[1]
        check_count("slate", self.size, least=1)
        check_count("rounds", rounds, least=1)
        self._chances = examination_of(world, self.size)
        self.world, self.rounds = world, rounds
        self.action_space = spaces.MultiDiscrete([items] * self.size)
        self.observation_space = spaces.Box(-1, 1, (items,), np.int8)
        self._examination = np.array(self._chances) / 2.0**32
        self._begin(0, 0)

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Observation, Info]:
        """Begin an episode with any user, or with the one whose id ``options["user"]`` is."""
        super().reset(seed=seed)
        user, chance = int(self.np_random.integers(self.world.shape[0])), int(self.np_random.integers(1 << 62))
        self._begin((options or {}).get("user", user), chance)
        return self._known.copy(), {"user": self._user}

    def _begin(self, user: int, chance: int) -> None:
        self._user, self._chance, self._round = user, chance, 0
        self._known = np.zeros(self.world.shape[1], np.int8)
        self._likes = self.world.preferences([user])[0]

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, Info]:
        """Show a slate."""
        items = np.asarray(action)
        whole = items.dtype.kind in "iu" and items.shape == (self.size,)
        if not whole or not self.action_space.contains(items.astype(np.int64)):
            raise InputError(
                f"the action {action!r} is no slate", hint=f"{self.size} whole numbers from 0 to {len(self._known) - 1}"
            )
        able = np.where(self._known > 0, 0.0, self._likes)
        fresh = np.isin(np.arange(self.size), np.unique(items, return_index=True)[1])
        best = -np.sort(-able)[: self.size] @ -np.sort(-self._examination)
        regret = best - (able[items] * fresh) @ self._examination
        response = self.world.core.answer(
            np.array([self._user], np.uint32),
            items.astype(np.uint32),
            None,
            (np.ones(1), np.zeros(1)),
            _NONE,
            **{"seed": self._chance, "round": self._round, "epsilon": 0, "missing": 0, "late": 0},
            examination=self._chances,
        )[2]
        liked = items[response & fresh]
        reward = float(np.count_nonzero(self._known[liked] <= 0))
        self._known[items] = np.where(self._known[items] > 0, 1, -1)
        self._known[liked] = 1
        self._round += 1
        return self._known.copy(), reward, False, self._round >= self.rounds, {"user": self._user, "regret": regret}
