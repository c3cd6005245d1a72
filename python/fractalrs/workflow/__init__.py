"""All of it in one call: a recipe, and `expand`."""

from fractalrs.workflow.recipe import RECIPE, Recipe
from fractalrs.workflow.run import SAMPLE, expand, prepare, read_planned_base, read_source

__all__ = ["RECIPE", "SAMPLE", "Recipe", "expand", "prepare", "read_planned_base", "read_source"]
