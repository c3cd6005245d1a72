"""The loop: a policy learns from what is logged, shows slates, users respond, and that is logged."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.errors import InputError
from fractalrs.models import Floats, Integers, Recommender
from fractalrs.rounds.chances import UNIT, chances_of
from fractalrs.rounds.past import History, Past, pieces_of, seen_by
from fractalrs.rounds.policies import (
    RANDOM,
    THOMPSON,
    OfPast,
    Ordering,
    Place,
    Policy,
    Recommends,
    Showing,
    any_items,
    policy_of,
)
from fractalrs.rounds.result import Feedback
from fractalrs.rounds.stored import ELSE, NUMBER, OTHERWISE, SCHEMA, Stored, stored_at
from fractalrs.rounds.tally import Tally
from fractalrs.simulation import World
from fractalrs.tools import (
    FileReport,
    Progress,
    ProgressCallback,
    allowed_threads,
    as_progress,
    blas_threads,
    check_count,
    check_kind,
    digest_of_json,
    in_order,
    resolve_threads,
    suggests,
)

_CELLS = 1 << 22
"""So many pairs of users and items are scored at a time."""
_PART = 1 << 22
"""A part has about so many exposures."""
_MOST_LATE = 0.99


@suggests
def feedback(
    world: World,
    policy: str | Recommender | Recommends | OfPast = "SVD",
    rounds: int = 10,
    slate: int | None = None,
    *,
    path: str | os.PathLike[str] | None = None,
    epsilon: float = 0.0,
    seed: int = 0,
    once: bool = False,
    missing: float = 0.0,
    late: float = 0.0,
    leave: float = 0.0,
    parts: int | None = None,
    threads: int | None = None,
    progress: bool | Progress = False,
) -> Feedback:
    """Let a policy learn from what it has shown itself: round after round, in a world whose truth is known.

    Parameters
    ----------
    policy
        ``"random"``; ``"Thompson"``, which believes of each item Beta(1 + responses, 1 + exposures without one); a
        model of `fractalrs.models`, or its name; a model of others with ``fit`` and ``recommend``; or a function of
        the `Past`, which returns a function of ids of users that returns their slates. As long as no response is known
        models show random slates.
    rounds, slate
        How many rounds, and how many items each user is shown in a round: by default those of a slate of the world.
    path
        A folder for the log, which has ``round=0000/part-00000-of-00001.parquet`` and so on. What is there of the same
        loop is kept: it goes on where it ended, and goes further with more rounds.
    epsilon
        The probability that in a place of a slate another item is tried: any that is not kept, which the item
        whose place it was may be too.
    once
        Whether items are not shown again that a user is known to have responded to. (A function decides that itself.)
    missing, late
        The probability that the policy never hears of a response, and that it hears of one a round later, again and
        again.
    leave
        The probability that a user who responded to nothing in a round leaves for good.
    parts
        Files of a round; by default one for four million exposures.

    Returns
    -------
    Feedback
        The numbers of each round. ``docs/feedback.md`` says what they are.

    Raises
    ------
    InputError
        If an argument is out of range, the policy returns what are no slates or no scores, or `path` has a loop of
        another world, policy or options.
    OutputError, WriteError
        If `path` cannot be written to.

    Examples
    --------
    >>> import fractalrs as fr
    >>> world = fr.simulate(60, 40, 600, seed=7)
    >>> loop = fr.feedback(world, "SVD", rounds=4, slate=5, epsilon=0.1)
    >>> loop.last["coverage"] <= fr.feedback(world, "random", rounds=4, slate=5).last["coverage"]
    True
    """
    given = {"rounds": rounds, "epsilon": epsilon, "seed": seed, "once": once}
    how = _checked(world, policy, slate, {**given, "missing": missing, "late": late, "leave": leave}, parts)
    threads, rows = resolve_threads(threads), rounds * how.place.slate * world.shape[0]
    folder: AbstractContextManager[Stored | None] = nullcontext()
    if path is not None:
        folder = stored_at(path, how.plan, world, rounds)
    shown = as_progress(progress).task("giving feedback", rows, rounds * len(how.ranges))
    with folder as stored, allowed_threads(threads), blas_threads(1), shown as report:
        run = _Run(how, stored, rounds, threads, report)
        values = tuple(run.round(number) for number in range(rounds))
    return Feedback(how.plan, values)


@dataclass(frozen=True)
class _How:
    """Checked arguments; `place` has round 0."""

    policy: Policy
    place: Place
    once: bool
    examination: tuple[int, ...]
    ranges: tuple[tuple[int, int], ...]
    plan: dict[str, Any]
    epsilon: int
    missing: int
    late: int
    leave: int


class _Run:
    """A loop that runs: what happened so far, and where it is written."""

    def __init__(self, how: _How, stored: Stored | None, rounds: int, threads: int, report: ProgressCallback) -> None:
        self._how, self._stored, self._report = how, stored, report
        self._threads = threads
        self._history = History(how.place.world.shape, how.place.slate)
        self._rows = self._done = 0
        self._newest = None if stored is None else stored.newest(rounds)

    def round(self, number: int) -> dict[str, Any]:
        """Make a round, or what of it is not there yet, and return its numbers."""
        how, history, stored = self._how, self._history, self._stored
        past = history.past(number)
        learning = _Learning(how, past, replace(how.place, round=number))
        known = None if stored is None else stored.metrics(number)
        if stored is not None and self._newest is not None and self._newest[0] == number:
            self._compare(stored, learning, self._newest[1])
        tally = Tally(learning.place.world, past, np.array(how.examination) / UNIT, learning.forgets, self._threads)
        files: dict[str, FileReport] = {}

        def taken(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
            for table in tables:
                before = history.last
                users, slates = history.take(table)
                if known is None:
                    tally.add(users, slates, before[users])
                self._rows += len(table)
                self._report(self._rows, self._done)
                yield table

        for part, (first, last) in enumerate(how.ranges):
            there = None if stored is None else stored.read(number, part, known and known["files"])
            if there is not None:
                files[there.name] = there.report
                deque(taken(there.tables), maxlen=0)
            elif stored is None:
                deque(taken(learning.tables(first, last, history.present, self._threads)), maxlen=0)
            else:
                made = learning.tables(first, last, history.present, self._threads)
                files |= stored.write(number, part, taken(made), known and known["files"])
            self._done += 1
            self._report(self._rows, self._done)
        history.end(learning.leaves())
        if known is None:
            known = {"round": number, **tally.values(learning.showing)}
            if stored is not None:
                stored.end(number, known, files)
        return {name: value for name, value in known.items() if name != "files"}

    def _compare(self, stored: Stored, learning: "_Learning", part: int) -> None:
        """Refuse to go on where the newest part with rows is not what this policy makes of the rounds before."""
        number, (first, last) = learning.place.round, self._how.ranges[part]
        there = stored.read(number, part)
        assert there is not None
        made = learning.tables(first, last, self._history.present, self._threads)
        if not pa.concat_tables([SCHEMA.empty_table(), *made]).equals(
            pa.concat_tables([SCHEMA.empty_table(), *there.tables])
        ):
            raise InputError(f"{there.place} is not what this policy shows after the rounds before it{OTHERWISE}", ELSE)


@dataclass
class _Learning:
    """A round and its policy, which learns when it is first asked for."""

    how: _How
    past: Past
    place: Place

    @property
    def forgets(self) -> bool:
        """Whether what users responded to may be shown again."""
        return not self.how.once or self.how.policy.lists

    @cached_property
    def _learnt(self) -> tuple[Showing, int]:
        policy = self.how.policy
        knows = self.past.responses.nnz > 0 or policy.lists or policy.name == THOMPSON
        if policy.name == RANDOM or not knows:
            return any_items(self.place), UNIT
        return policy.learn(self.past, self.place), self.how.epsilon

    @property
    def showing(self) -> Showing:
        """What the policy shows."""
        return self._learnt[0]

    @cached_property
    def _chances(self) -> tuple[Floats, Floats]:
        most = 0 if self.forgets else int(np.diff(self.past.responses.indptr).max(initial=0))
        return chances_of(self._learnt[1], self.place.slate, self.place.world.shape[1], most)

    def leaves(self) -> npt.NDArray[np.bool_]:
        """Return for each user whether no response makes them leave."""
        everyone = np.arange(self.place.world.shape[0], dtype=np.uint32)
        return self.place.world.core.leaves(everyone, self.place.seed, self.place.round, self.how.leave)

    def tables(self, first: int, last: int, present: npt.NDArray[np.bool_], threads: int) -> Iterator[pa.Table]:
        """Make the log of some users who have not left, a piece of the grid at a time."""
        users, items = self.place.world.shape
        at_once = max(1, _CELLS // items)
        (_, epsilon), chances = self._learnt, self._chances

        def made(start: int) -> pa.Table:
            together = np.arange(start, min(start + at_once, users))
            here = together[max(first - start, 0) : last - start]
            return self._table(together, here[present[here]], epsilon, chances)

        # Functions of others may not be called by several threads at once.
        alone = not isinstance(self.showing, Ordering) and self.how.policy.foreign
        yield from in_order(made, pieces_of(first, last, at_once), 1 if alone else threads)

    def _table(self, together: Integers, users: Integers, epsilon: int, chances: tuple[Floats, Floats]) -> pa.Table:
        how, place = self.how, self.place
        seen = seen_by(self.past, users, self.forgets)
        slates, own = self.showing.slates(place, together, users, seen)
        made = place.world.core.answer(
            users.astype(np.uint32),
            slates,
            own if epsilon == 0 else None,
            chances,
            seen,
            seed=place.seed,
            round=place.round,
            epsilon=epsilon,
            missing=how.missing,
            late=how.late,
            examination=how.examination,
        )
        item, propensity, response, heard = made
        columns = (
            np.repeat(users.astype(np.int32), place.slate),
            item,
            np.tile(np.arange(place.slate, dtype=np.int32), len(users)),
            propensity,
            response,
            pa.array(heard, mask=heard < 0),
        )
        return pa.Table.from_arrays([pa.array(column) for column in columns], schema=SCHEMA)


def _checked(
    world: World,
    policy: Any,
    slate: int | None,
    given: dict[str, Any],
    parts: int | None,
) -> _How:
    """Return arguments of a loop, checked, and its plan."""
    check_kind("world", world, World, "a World, which fr.simulate makes")
    users, items = world.shape
    size = world.slate if slate is None else slate
    check_count("slate", size, least=1)
    check_count("seed", given["seed"])
    check_count("rounds", given["rounds"], least=1)
    check_kind("once", given["once"], bool, "True or False")
    examination = examination_of(world, int(size))
    learns = policy_of(policy, world, int(size))
    if given["once"] and not learns.lists and given["rounds"] * size > items:
        raise InputError(
            f"in {given['rounds']} rounds of {size} items a user may have responded to all but too few of {items}",
            hint="give fewer rounds, or once=False",
        )
    if learns.name in (RANDOM, THOMPSON) and given["epsilon"]:
        message = f"the policy {learns.name!r} explores by itself, and epsilon is {given['epsilon']}"
        raise InputError(message, hint="leave epsilon out, or choose a policy that learns tastes, such as SVD")
    shares = {name: _share(name, given[name]) for name in ("epsilon", "missing", "late", "leave")}
    if given["late"] > _MOST_LATE:
        message = f"late is {given['late']}; it must be at most {_MOST_LATE}"
        raise InputError(message, hint="missing is the share of responses that never come")
    count = max(1, -(-users * size // _PART)) if parts is None else parts
    check_count("parts", count, least=1)
    if count > users:
        raise InputError(f"parts is {count}; there are {users} users", hint=f"give at most {users} parts")
    plan = {"feedback": NUMBER, "world": digest_of_json(world.spec), "policy": learns.name, "settings": learns.settings}
    options = {name: float(given[name]) for name in ("epsilon", "missing", "late", "leave")}
    plan |= {**options, "once": given["once"], "slate": int(size), "seed": int(given["seed"]), "parts": int(count)}
    ranges = tuple(pairwise(users * part // count for part in range(count + 1)))
    place = Place(world, int(given["seed"]) % 2**64, 0, int(size))
    return _How(learns, place, given["once"], examination, ranges, plan, **shares)


def examination_of(world: World, slate: int) -> tuple[int, ...]:
    """Return how likely users look at each position, in units of 2⁻³²; refuse slates that the world knows nothing of.

    Examples
    --------
    >>> import fractalrs as fr
    >>> [chance / 2**32 for chance in examination_of(fr.simulate(60, 40, 250, slate=2, position_bias=1.0), 2)]
    [1.0, 0.5]
    """
    if slate > world.shape[1]:
        message = f"a slate of {slate} items is larger than the catalogue of {world.shape[1]}"
        raise InputError(message, hint=f"show at most {world.shape[1]} at a time")
    known = tuple(world.spec["examination"])
    if slate > len(known) and any(chance != UNIT for chance in known):
        raise InputError(
            f"a slate has {slate} items, and the world says of {len(known)} positions how likely users look there",
            hint=f"simulate the world with slate={slate}",
        )
    return known[:slate] + (UNIT,) * (slate - len(known))


def _share(name: str, value: Any) -> int:
    """Return a probability in units of 2⁻³²; refuse what is none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:
        raise InputError(f"{name} is {value!r}; it must be a probability", hint="give a number from 0 to 1")
    return round(float(value) * UNIT)
