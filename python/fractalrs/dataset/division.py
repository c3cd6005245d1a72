"""Where the parts of a data set that was begun are cut: with it whoever has the folder alone can finish it."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

from fractalrs._core import VERSION
from fractalrs.dataset.layout import Division
from fractalrs.dataset.manifest import described_schema, schema_of
from fractalrs.dataset.plans import Plan
from fractalrs.errors import InputError
from fractalrs.tools import DAMAGE, digest_of_json

DIVISION = "private/division.json"


def division_text(plan: Plan) -> str:
    """Return the text of ``division.json``, with a digest that ties it to the plan."""
    known = plan.division
    content = {"cuts": list(known.cuts), "schema": described_schema(known.schema), "made_up": known.made_up}
    digest = digest_of_json({**content, "plan": plan.fingerprint})
    return json.dumps({**content, "digest": digest}, ensure_ascii=False) + "\n"


def divided(plan: Plan, text: bytes, place: str) -> Plan:
    """Return a plan that was read from a folder with its division, as far as finishing needs it.

    Raises
    ------
    InputError
        If another version began it, its attributes have to be read, or the text is not the plan's.
    """
    again = "give the command that began it again, without --part-range: it writes nothing twice"
    if plan.fractalrs != VERSION:
        message = f"{place} was begun by fractalrs {plan.fractalrs}, this is fractalrs {VERSION}"
        raise InputError(message, hint=f"finish it with fractalrs {plan.fractalrs}")
    if plan.attribute_fingerprints:
        kinds = " and ".join(sorted(plan.attribute_fingerprints))
        raise InputError(f"{place} gets attributes of {kinds}, which are read from their source", hint=again)
    return check_division(plan, text, f"{place}/{DIVISION}", again)


def check_division(plan: Plan, text: bytes, file: Any, hint: str | None = None) -> Plan:
    """Return a plan with what a ``division.json`` says; refuse one that is not what was written for it."""
    try:
        content = json.loads(text)
        made = Division(tuple(content["cuts"]), schema_of(content["schema"]), content["made_up"])
        known = replace(plan, divided=made)
        whole = division_text(known).encode() == text and _covers(known)
    except DAMAGE:
        whole = False
    if not whole:
        raise InputError(f"{file} is damaged, or of another plan", hint=hint)
    return known


def _covers(plan: Plan) -> bool:
    cuts, users = plan.division.cuts, plan.user_multiplier * plan.base.users
    rise = all(first <= last for first, last in pairwise(cuts))
    return rise and len(cuts) == plan.part_count + 1 and (cuts[0], cuts[-1]) == (0, users)
