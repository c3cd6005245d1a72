"""What attacks find, in numbers that tests compare."""

from fractalrs.privacy.attacks import People
from fractalrs.privacy.attacks.claims import Claims
from fractalrs.privacy.rates import Advantage, area


def found(claims: Claims, people: People) -> Advantage:
    claimed, counts = claims.judged(people.is_member)
    return Advantage.counted(claimed[counts], people.is_member[counts])


def told(claims: Claims, people: People) -> float:
    """Return the area under the curve of the scores."""
    assert claims.scores is not None
    between = area(claims.scores, people.is_member)
    assert between is not None
    return between[0]
