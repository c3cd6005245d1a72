"""Feedback loops as `docs/feedback.md` specifies them, user by user: slow, and written from that page alone."""

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from helpers.oracle import root, under
from helpers.world_oracle import WORLD, Oracle, scaled

FEEDBACK = 9
TRIES, TRIED, RESPONSE, HEARD, LEAVES = range(5)


class Memory:
    """What happened so far."""

    def __init__(self, users: int, items: int) -> None:
        self.known: list[set[int]] = [set() for _ in range(users)]
        self.heard_in: dict[int, list[tuple[int, int]]] = {}
        self.here = set(range(users))
        self.responses = np.zeros((users, items))


def run(
    spec: dict[str, Any],
    slates: Callable[[npt.NDArray[np.float64]], Callable[[int, set[int]], list[int]]],
    rounds: int,
    slate: int,
    *,
    epsilon: float = 0.0,
    seed: int = 0,
    missing: float = 0.0,
    late: float = 0.0,
    leave: float = 0.0,
    once: bool = False,
) -> list[list[tuple[Any, ...]]]:
    """Return the rows of each round; `slates` learns from the matrix of known responses."""
    world = Oracle(spec)
    users, items = spec["users"], spec["items"]
    memory = Memory(users, items)
    logs = []
    for number in range(rounds):
        for user, item in memory.heard_in.pop(number, []):
            memory.responses[user, item] = 1
            memory.known[user].add(item)
        nothing = not memory.responses.any()
        shows = None if nothing else slates(memory.responses)
        rows = []
        for user in sorted(memory.here):
            key = under(root(spec["seed"]), WORLD, FEEDBACK, seed, number, user)
            seen = memory.known[user] if once else set()
            chance = 1.0 if shows is None else epsilon
            first = [0] * slate if shows is None else shows(user, seen)
            shown = show(key, first, seen, chance, items)
            responded = False
            for position, item in enumerate(shown):
                word = int(under(key, RESPONSE, position))
                looks = spec["examination"][position] if position < len(spec["examination"]) else 1 << 32
                response = word >> 32 < world.likes[user, item] and word & 0xFFFFFFFF < looks
                heard = arrival(under(key, HEARD, position), number, missing, late) if response else None
                if heard is not None:
                    memory.heard_in.setdefault(heard, []).append((user, item))
                responded |= response
                rows.append((user, item, position, response, heard))
            if not responded and below(under(key, LEAVES), leave):
                memory.here.discard(user)
        logs.append(rows)
    return logs


def below(word: Any, probability: float) -> bool:
    return int(word) >> 32 < round(probability * 2**32)


def show(key: Any, first: list[int], seen: set[int], epsilon: float, items: int) -> list[int]:
    """Put other items in some places."""
    tries = [below(under(key, TRIES, position), epsilon) for position in range(len(first))]
    shown = [None if tried else item for item, tried in zip(first, tries, strict=True)]
    for position, tried in enumerate(tries):
        if tried:
            words = (int(under(key, TRIED, position, number)) for number in count())
            items_tried = (scaled(word, items) for word in words)
            shown[position] = next(item for item in items_tried if item not in shown and item not in seen)
    return shown  # type: ignore[return-value]


def arrival(key: Any, number: int, missing: float, late: float) -> int | None:
    if below(under(key, 0), missing):
        return None
    return number + next(times for times in count(1) if not below(under(key, times), late))
