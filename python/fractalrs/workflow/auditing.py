"""Audits of what a recipe leads to, and of data sets that were written: who is in them, and who was held out."""

from typing import TYPE_CHECKING, Any

from fractalrs import privacy
from fractalrs.base import hold_users_out
from fractalrs.dataset import Dataset, Folder
from fractalrs.errors import InputError
from fractalrs.reading import Interactions
from fractalrs.tools import Place, Progress
from fractalrs.workflow.recipe import Recipe
from fractalrs.workflow.run import expansion_of
from fractalrs.workflow.sources import base_of, log_notes, private_base_of, read_source, uses_of

if TYPE_CHECKING:
    from fractalrs.privacy import AuditReport

HELD_OUT = 0.5
"""Share of users who are controls, where a recipe does not say it: so both intervals are about as wide."""


def audit_source(source: Any, recipe: Recipe, *, progress: bool | Progress = False, **how: Any) -> "AuditReport":
    """Audit what a recipe makes of a source, without some of its users: nothing is written."""
    share = HELD_OUT if recipe.hold_out_users is None else recipe.hold_out_users
    members, controls = _people(source, recipe, share)
    base = base_of(members, recipe)
    log_notes(base.notes)
    made_of = base if recipe.epsilon is None else private_base_of(members, recipe)
    expansion = expansion_of(made_of, recipe, progress)
    return privacy.audit(expansion, base, base_of(controls, recipe), progress=progress, **how)


def audit_output(output: Place, source: Any, *, progress: bool | Progress = False, **how: Any) -> "AuditReport":
    """Audit a data set, with the source that it was made of in part."""
    plan = Folder.read(output).plan
    recipe = None if plan is None or plan.recipe is None else Recipe.of_plan(plan)
    if recipe is None:
        raise InputError(
            f"{output} has no plan that says how its source was read", hint="audit it in Python: fractalrs.audit"
        )
    if recipe.hold_out_users is None:
        raise InputError(
            f"{output} was made of all users of its source: there is nobody to compare them with",
            hint="make it with --hold-out-users 0.2, or audit the source itself: fractalrs audit SOURCE",
        )
    bases = (base_of(half, recipe) for half in _people(source, recipe, recipe.hold_out_users))
    return privacy.audit(Dataset(output), *bases, progress=progress, **how)


def _people(source: Any, recipe: Recipe, share: float) -> tuple[Interactions, Interactions]:
    """Read who is in the data and who is held out, as a recipe reads and divides."""
    return hold_users_out(read_source(source, recipe, uses_of(recipe)), share, recipe.options.seed)
