"""The attacks that are tried, and by whom: three kinds of findings, three kinds of attackers.

Identity (whose is this row), membership (was this person in the data) and attribute (what else did this person do) are
the three that *Synthetic Data and Simulators for Recommendation Systems* names, section 2.2.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from fractalrs.privacy.attacks import blind, informed, seeded
from fractalrs.privacy.attacks.claims import Claims
from fractalrs.privacy.attacks.output import Output
from fractalrs.privacy.attacks.people import People

Attacker = Literal["output", "columns", "seed"]
Kind = Literal["identity", "membership", "attribute"]

ATTACKERS: dict[Attacker, str] = {
    "output": "has the output alone",
    "columns": "knows too which column is which item, as far as cells of items let one",
    "seed": "has private/: seed and cells",
}
"""Who attacks, and what beside the histories of people each has."""

_FEW = 1_000


@dataclass(frozen=True)
class Attack:
    """An attack: its name, what is needed for it, what it is after, and what does it."""

    name: str
    attacker: Attacker
    kind: Kind
    run: Callable[[Output, People, float], Claims]
    """Of an output, of people, and of the share of their interactions that is known."""
    most: int | None = None
    """How many people it is tried on at the most, for its memory."""
    most_users: int | None = None
    """Of more users in the data it is not tried."""


ATTACKS = (
    Attack("densest block", "output", "identity", blind.densest_block),
    Attack("several blocks", "output", "identity", blind.several_blocks),
    Attack("several blocks, test files too", "output", "identity", blind.with_test_files),
    Attack("several releases", "output", "identity", blind.several_releases),
    Attack("relinked blocks", "output", "identity", blind.relinked_blocks, most_users=blind.MOST_RELINKED),
    Attack("degree", "output", "identity", blind.degree, _FEW),
    Attack("densest block", "columns", "identity", informed.columns_known),
    *(Attack(f"{count} known items", "columns", "identity", informed.known_items(count), _FEW) for count in (2, 4, 8)),
    Attack("likelihood ratio", "columns", "membership", informed.likelihood_ratio),
    Attack("nearest row", "columns", "membership", informed.nearest_row),
    Attack("held-out item", "columns", "attribute", informed.held_out_item),
    Attack("held-out rating", "columns", "attribute", informed.held_out_rating),
    Attack("shuffles undone", "seed", "identity", seeded.undone),
)
"""All of them."""


def attacks_on(output: Output) -> tuple[Attack, ...]:
    """Return the attacks there are on an output, each by the attacker who needs to know the least.

    Files of test interactions, ratings, and other releases are looked at where there are any.

    Items that are numbered by popularity rise with the popularity of what they show in every block: whoever knows how
    popular real items are knows the columns, as far as cells let one.
    """
    nothing = [blind.with_test_files] if len(output.expansion.splits) == 1 else []
    nothing += [] if output.others else [blind.several_releases]
    nothing += [] if "rating" in output.expansion.schema.names else [informed.held_out_rating]
    there = tuple(one for one in ATTACKS if one.run not in nothing)
    if output.expansion.options.id_order != "popularity":
        return there
    return tuple(
        replace(one, attacker="output", name=f"{one.name}, items by rank") if one.attacker == "columns" else one
        for one in there
    )
