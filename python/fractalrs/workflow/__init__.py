"""All of it in one call: a recipe, and `expand`."""

from fractalrs.workflow.recipe import RECIPE, Recipe
from fractalrs.workflow.run import SAMPLE, Prepared, expand, prepare, read_planned_base, write_prepared

__all__ = ["RECIPE", "SAMPLE", "Prepared", "Recipe", "expand", "prepare", "read_planned_base", "write_prepared"]
