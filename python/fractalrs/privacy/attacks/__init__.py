"""Attacks: what somebody who has an output finds out about people whose histories are known.

Each room imports only rooms above it::

    annealing                    rows with people, and columns with items, in turn, as probabilities
    matching · mixtures          whose a row is; whether somebody is among those of a row
    rows                         how alike they are
    people · output              members and controls; blocks as an attacker has them
    claims                       what an attack says
    blind · informed · seeded    with the output alone, with the column map, with ``private/``
    attacks                      all of them
"""

from fractalrs.privacy.attacks.attacks import ATTACKERS, ATTACKS, Attack, Attacker, Kind, attacks_on
from fractalrs.privacy.attacks.blind import dealt_out, densest_block
from fractalrs.privacy.attacks.output import Output
from fractalrs.privacy.attacks.people import FEWEST, MOST, People, as_base, check_enough

__all__ = ["ATTACKERS", "ATTACKS", "FEWEST", "MOST", "Attack", "Attacker", "Kind", "Output", "People"]
__all__ += ["as_base", "attacks_on", "check_enough", "dealt_out", "densest_block"]
