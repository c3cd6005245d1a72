"""Are ids in range, rows in order, and is no interaction there twice, or in train and test?"""

from dataclasses import replace

from fractalrs.passes import Degrees
from fractalrs.validation.findings import Check

IN_RANGE = "ids are in range"
ORDER = "rows are in order"
DUPLICATES = "no interaction is there twice"
DISJOINT = "train and test are disjoint"


def check_rows(degrees: Degrees, order: str) -> list[Check]:
    """Check what the pass over all rows found against the promises, one of which is the order of a user's rows."""
    return [
        _check(IN_RANGE, degrees, "interactions have an id of no user or item of their part", "out_of_range"),
        _order(degrees, order),
        _check(DUPLICATES, degrees, "interactions are there more than once in a split", "duplicates"),
        _check(DISJOINT, degrees, "interactions are in two splits", "overlaps"),
    ]


def _order(degrees: Degrees, order: str) -> Check:
    """Check the order of users, and of items where it is known: with times they come in any."""
    of_items = () if order in ("time", "unknown") else ("item_order",)
    found = _check(
        ORDER, degrees, "users, or items of a user, come after one they belong before", "user_order", *of_items
    )
    if found.holds and order == "unknown":
        return replace(
            found, detail="of users; the order of items inside a user needs --source, which tells their blocks"
        )
    return found


def _check(name: str, degrees: Degrees, what: str, *kinds: str) -> Check:
    found = [degrees.violations[kind] for kind in kinds]
    count = sum(violations.count for violations in found)
    if not count:
        return Check(name, "integrity", True, "everywhere")
    user, item = min(violations.first for violations in found if violations.first is not None)
    return Check(name, "integrity", False, f"{count:,} {what}, the first at user {user}, item {item}")
