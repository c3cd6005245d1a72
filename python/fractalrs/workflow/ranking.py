"""Rankings of models on what a recipe leads to, beside those on its source."""

from typing import TYPE_CHECKING, Any

from fractalrs.tools import Progress
from fractalrs.workflow.recipe import Recipe
from fractalrs.workflow.run import expansion_of
from fractalrs.workflow.sources import read_base

if TYPE_CHECKING:
    from fractalrs.evaluation import RankReport

_CHECKED = ("models", "k", "repeats", "most_users", "most_items")
"""Arguments of a ranking that need no data to be refused."""


def rank_source(source: Any, recipe: Recipe, *, progress: bool | Progress = False, **how: Any) -> "RankReport":
    """Rank models on a source and on what a recipe makes of it: nothing is written."""
    # Linear algebra is loaded by those who rank.
    from fractalrs.evaluation import check_ranking, rank_agreement

    seed = recipe.options.seed
    check_ranking(seed=seed, **{name: how[name] for name in _CHECKED if name in how})
    base = read_base(source, recipe)
    return rank_agreement(base, expansion_of(base, recipe, progress), seed=seed, progress=progress, **how)
