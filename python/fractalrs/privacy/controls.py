"""Controls: what an audit must find, and what it must not; without them "nothing found" says nothing."""

from dataclasses import dataclass

import numpy as np

from fractalrs.base import Base
from fractalrs.expansion import Expansion, group_cells
from fractalrs.privacy.attacks import Output, People, dealt_out, densest_block
from fractalrs.privacy.rates import Advantage, Rate
from fractalrs.tools import Shown

COPY = 0.95
"""What the copy keeps."""
FOUND = 0.5
"""So many members must be found in the copy."""
PHANTOMS = 0.01
"""And so many may be of people who are not in it."""


@dataclass(frozen=True, repr=False)
class Control(Shown):
    """An attack whose outcome is known beforehand.

    Attributes
    ----------
    name, wanted
        What was attacked, and what must come out.
    advantage
        What came out.
    holds
        Whether it is that.
    """

    name: str
    wanted: str
    advantage: Advantage
    holds: bool


def controls_of(members: Base, people: People, seed: int, *, mixes: bool) -> tuple[Control, ...]:
    """Attack a copy of the members with shuffled rows and columns: with members, and with nobody who is in it.

    Where the output mixes the interactions of several users, a copy that mixes those of two is attacked too.
    """
    return (*_of_a_copy(members, people, seed), *([_of_pairs(members, people, seed)] if mixes else []))


def _of_pairs(members: Base, people: People, seed: int) -> Control:
    """Attack a copy whose rows are two people's."""
    cells = group_cells(members, 2, 1)
    copy = Output(Expansion(members, [[COPY]], max_keep=COPY, shuffle="mixed", cells=cells, seed=seed), True)
    claimed, counts = dealt_out(copy, people, 1.0).judged(people.is_member)
    found = Advantage.counted(claimed[counts], people.is_member[counts])
    return Control(
        f"a copy that keeps {COPY:g}, dealt out in pairs",
        "more members claimed than controls, by more than chance",
        found,
        found.low > 0,
    )


def _of_a_copy(members: Base, people: People, seed: int) -> tuple[Control, Control]:
    copy = Output(Expansion(members, [[COPY]], max_keep=COPY, profile="traceable", seed=seed), True)
    found = Advantage.counted(densest_block(copy, people, 1.0).judged(people.is_member)[0], people.is_member)
    there = Control(
        f"a copy that keeps {COPY:g}",
        f"at least {FOUND:.0%} of members claimed, at most {PHANTOMS:.0%} of controls",
        found,
        found.members.value >= FOUND and found.controls.low <= PHANTOMS,
    )
    strangers = people.only(~people.is_member)
    claimed, _ = densest_block(copy, strangers, 1.0).judged(strangers.is_member)
    half = np.arange(len(claimed)) % 2 == 0
    phantoms = Rate.counted(int(claimed.sum()), len(claimed))
    absent = Control(
        "the same copy, and people who are all not in it",
        f"at most {PHANTOMS:.0%} claimed, of one half of them and of the other",
        Advantage.counted(claimed, half),
        phantoms.low <= PHANTOMS,
    )
    return there, absent
