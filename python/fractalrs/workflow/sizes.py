"""Targets in bytes: how many interactions about so many bytes of files hold."""

import dataclasses
from collections.abc import Callable

from fractalrs.base import Base
from fractalrs.dataset import expected_bytes
from fractalrs.expansion import Expansion, ReducedMatrix, group_cells, shuffle_named, solve_keep_scale
from fractalrs.workflow.recipe import Recipe

_GUESS = 4
"""Bytes an interaction, until a sample is encoded."""
_TRIALS = 3


def interactions_of(size: int, base: Base, recipe: Recipe, reduce_to: Callable[[int], ReducedMatrix]) -> int:
    """Return how many interactions so many bytes hold, as a sample of an expansion of that size is encoded.

    Bytes an interaction depend on how many ids there are, and so on the size: a trial or two come near.
    """
    takes_cells = shuffle_named(recipe.options.shuffle).takes_cells
    cells = group_cells(base, *recipe.cell_sizes) if takes_cells else None
    target = max(1, size // _GUESS)
    for _ in range(_TRIALS):
        reduced = reduce_to(target)
        scale = solve_keep_scale(base, reduced, target, recipe.options, cells)
        options = dataclasses.asdict(dataclasses.replace(recipe.options, keep_scale=scale))
        trial = Expansion(base, reduced, profile=recipe.profile, cells=cells, **options)
        bytes_each = expected_bytes(trial, recipe.parquet) / trial.expected_interactions
        # Three digits, so that the note can say it.
        known, target = target, max(1, int(float(f"{size / bytes_each:.3g}")))
        if abs(target / known - 1) < 0.02:
            break
    return target
