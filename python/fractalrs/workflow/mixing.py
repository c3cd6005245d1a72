"""Mixtures of a source and of what a recipe makes of it."""

from typing import Any

from fractalrs.loading import Mixture, check_mixing, mix
from fractalrs.tools import Progress
from fractalrs.workflow.recipe import Recipe
from fractalrs.workflow.run import expansion_of
from fractalrs.workflow.sources import read_base


def mix_source(
    source: Any,
    recipe: Recipe,
    ratio: float,
    *,
    weight: float = 1.0,
    epoch: int = 0,
    threads: int | None = None,
    progress: bool | Progress = False,
) -> Mixture:
    """Mix the interactions of a source with those of what a recipe makes of it: nothing is written."""
    check_mixing(ratio, weight, epoch)
    base = read_base(source, recipe)
    expansion = expansion_of(base, recipe, progress)
    return mix(base, expansion, ratio, weight=weight, epoch=epoch, threads=threads)
