"""All of it in one call: a recipe, and `expand`."""

from fractalrs.workflow.auditing import audit_output, audit_source
from fractalrs.workflow.mixing import mix_source
from fractalrs.workflow.page import Page, command_text, recipe_text
from fractalrs.workflow.publishing import publish
from fractalrs.workflow.ranking import rank_source
from fractalrs.workflow.recipe import RECIPE, Recipe
from fractalrs.workflow.run import expand, prepare
from fractalrs.workflow.sources import SAMPLE, forecast_private_base, read_planned_base, read_source
from fractalrs.workflow.truths import ALL, TRUTHS, require_world, truth_of
from fractalrs.workflow.verifying import verify

__all__ = [
    "ALL",
    "RECIPE",
    "SAMPLE",
    "TRUTHS",
    "Page",
    "Recipe",
    "audit_output",
    "audit_source",
    "command_text",
    "expand",
    "forecast_private_base",
    "mix_source",
    "prepare",
    "publish",
    "rank_source",
    "read_planned_base",
    "read_source",
    "recipe_text",
    "require_world",
    "truth_of",
    "verify",
]
