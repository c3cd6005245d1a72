"""Rankings of models on what a recipe leads to, beside those on its source."""

from typing import TYPE_CHECKING, Any

from fractalrs.tools import Progress
from fractalrs.workflow.recipe import Recipe
from fractalrs.workflow.run import expansion_of
from fractalrs.workflow.sources import read_base

if TYPE_CHECKING:
    from fractalrs.evaluation import RankReport


def rank_source(source: Any, recipe: Recipe, *, progress: bool | Progress = False, **how: Any) -> "RankReport":
    """Rank models on a source and on what a recipe makes of it: nothing is written."""
    # Linear algebra is loaded by those who rank.
    from fractalrs.evaluation import rank_agreement

    base = read_base(source, recipe)
    seed = recipe.options.seed
    return rank_agreement(base, expansion_of(base, recipe, progress), seed=seed, progress=progress, **how)
