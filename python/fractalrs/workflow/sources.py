"""From a source to a base, as a recipe says."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from fractalrs.base import Base, hold_users_out, leave_last_out, needed
from fractalrs.columns import OPTIONAL
from fractalrs.dataset import Folder, Plan
from fractalrs.errors import InputError
from fractalrs.privacy import Forecast, Rows, check_forecast, private_base
from fractalrs.reading import Interactions, located, read_interactions, sample_interactions
from fractalrs.tools import Place
from fractalrs.words import WARNING
from fractalrs.workflow.recipe import Recipe
from fractalrs.workflow.truths import notes_of_world, world_of

SAMPLE = "sample"
"""The source that stands for the built-in sample."""

logger = logging.getLogger(__name__)


def read_source(source: Any, recipe: Recipe, uses: Sequence[str] = OPTIONAL) -> Interactions:
    """Read the source as a recipe says, of ratings and timestamps those that are used."""
    logger.info("reading")
    if isinstance(source, str) and source == SAMPLE:
        if recipe.reading:
            given = ", ".join(recipe.reading)
            raise InputError(f"{given}: the built-in sample is not read from a file", hint="leave it out")
        interactions = sample_interactions()
    else:
        if (world := world_of(source)) is not None:
            log_notes(notes_of_world(source))
        where = located(source) if world is None else world
        interactions = read_interactions(where, carry=recipe.options.carry, uses=uses, **recipe.reading)
    log_notes(interactions.notes)
    return interactions


def read_members(source: Any, recipe: Recipe, uses: Sequence[str]) -> Interactions:
    """Read the source without the users that a recipe holds out."""
    interactions = read_source(source, recipe, uses)
    if recipe.hold_out_users is None:
        return interactions
    members, controls = hold_users_out(interactions, recipe.hold_out_users, recipe.options.seed)
    held_out, there = (len(one.codes("user_id")[1]) for one in (controls, interactions))
    logger.info(f"{held_out:,} of {there:,} users are held out, for an audit")
    return members


def read_base(source: Any, recipe: Recipe) -> Base:
    """Read and split the source as a recipe says."""
    interactions = read_members(source, recipe, uses_of(recipe))
    base = base_of(interactions, recipe)
    log_notes([note for note in base.notes if note not in interactions.notes])
    return base


def uses_of(recipe: Recipe) -> list[str]:
    """Return which of ratings and timestamps a recipe's base is made with."""
    return needed(recipe.split, recipe.least_timestamps, recipe.options.payload)


def base_of(interactions: Interactions, recipe: Recipe) -> Base:
    """Split interactions as a recipe says."""
    return leave_last_out(
        interactions,
        **recipe.splitting,
        # A profile's minimum is for sources that have timestamps.
        min_timestamps=recipe.min_timestamps if interactions.timestamps is None else recipe.least_timestamps,
        payload=recipe.options.payload,
    )


def private_base_of(interactions: Interactions, recipe: Recipe) -> Base:
    """Draw the private base of interactions that a recipe asks for."""
    assert recipe.epsilon is not None
    return private_base(
        interactions,
        recipe.epsilon,
        recipe.delta,
        recipe.privacy_unit,
        catalogue=catalogue_of(recipe),
        split="random" if recipe.split == "auto" else recipe.split,
        test_share=recipe.test_share,
        validation=recipe.validation,
        seed=recipe.options.seed,
    )


def catalogue_of(recipe: Recipe) -> Literal["secret"] | None:
    """Return the catalogue of a recipe's private base: that of the source, which is public or secret."""
    return "secret" if recipe.secret_catalogue else None


def forecast_private_base(source: Any, recipe: Recipe) -> Forecast:
    """Return what a recipe's private base of a source will have, and spend nothing; refuse too small a source."""
    assert recipe.epsilon is not None
    rows = Rows.of(read_members(source, recipe, []), catalogue_of(recipe))
    found = rows.forecast(recipe.epsilon, recipe.delta, recipe.privacy_unit)
    check_forecast(found)
    return found


def read_planned_base(source: Any, output: Place) -> Base:
    """Read and split the source of a data set again, with the options that its plan remembers."""
    plan = Folder.read(output).plan
    if plan is None:
        raise InputError(
            f"{output} has no private/plan.json: how its source was read and split is not known",
            hint="leave the source out, or validate it where it was made",
        )
    return base_planned(source, plan, output)


def base_planned(source: Any, plan: Plan, output: object) -> Base:
    """Read and split the source of a plan again; `output` is where that is, for messages."""
    if plan.recipe is None:
        raise InputError(
            f"{output} was written from Python: how its source was read and split is not known",
            hint="validate it in Python: fractalrs.validate(dataset, base)",
        )
    if plan.base.privacy is not None:
        raise InputError(
            f"{output} was made of a private base, and a comparison with the real data tells of it beyond epsilon",
            hint="leave the source out: it is compared with the private base then",
        )
    return read_base(source, Recipe.of_plan(plan))


def log_notes(notes: Iterable[str]) -> None:
    """Say what was decided on the way, and warn of what warns."""
    for note in notes:
        logger.log(logging.WARNING if note.startswith(WARNING) else logging.INFO, note)
