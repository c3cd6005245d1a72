"""All of it in one call: read, split, reduce, group into cells, expand, write."""

import dataclasses
import inspect
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fractalrs.base import Base, leave_last_out, needed
from fractalrs.columns import OPTIONAL
from fractalrs.dataset import (
    OTHER_SOURCE,
    Dataset,
    Folder,
    Plan,
    Private,
    differences,
    match,
    other_plan,
    plan,
    write_plan,
)
from fractalrs.errors import InputError
from fractalrs.expansion import (
    Cells,
    Expansion,
    Options,
    ReducedMatrix,
    accepts,
    fit,
    group_cells,
    reduce,
    reduce_to_target,
    refuse_unknown,
    shuffle_named,
    solve_keep_scale,
)
from fractalrs.reading import Interactions, located, read_attributes, read_interactions, sample_interactions
from fractalrs.tools import Progress, notes_on_stderr, resolve_threads
from fractalrs.words import WARNING
from fractalrs.workflow.recipe import RECIPE, Recipe

SAMPLE = "sample"
"""The source that stands for the built-in sample."""

logger = logging.getLogger(__name__)


@accepts(RECIPE.values())
def expand(
    source: Any,
    output: str | os.PathLike[str],
    *,
    threads: int | None = None,
    overwrite: bool = False,
    progress: bool | Progress = False,
    **options: Any,
) -> Dataset:
    """Expand real interactions into a data set of industrial size.

    Parameters
    ----------
    source
        Whatever `read_interactions` takes, or ``"sample"``.
    output
        Folder of the data set. An unfinished one is finished.
    threads
        Generating threads; by default as many as this process may use.
    overwrite
        Delete another plan's data set first. Only files of ours are deleted.
    progress
        Show progress, and what is chosen, on stderr.
    {options}

    Returns
    -------
    Dataset

    Raises
    ------
    InputError, OutputError, FileNotFoundError
        Before anything is written.
    WriteError
        When writing fails; the same call resumes.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> interactions = sample_interactions(60, 40, 600)
    >>> dataset = expand(interactions, f"{folder.name}/out", user_multiplier=2, item_multiplier=3)
    >>> dataset.shape
    (120, 120)
    >>> folder.cleanup()
    """
    refuse_unknown(options, inspect.signature(expand).parameters)
    with notes_on_stderr(progress is True):
        recipe, threads = Recipe(**options), resolve_threads(threads)
        made = prepare(source, recipe, output, overwrite=overwrite)
        return write_plan(made, output, threads=threads, overwrite=overwrite, progress=progress)


def prepare(source: Any, recipe: Recipe, output: str | os.PathLike[str], *, overwrite: bool = False) -> Plan:
    """Take a recipe through all steps before writing: return the plan for `output`.

    A data set that was begun there keeps its reduced matrix, its cells and the keep scale chosen for its target: they
    come from floating-point decompositions, which another machine may round otherwise.
    """
    folder = Folder.ours(output)
    for given in (source, recipe.reduced_matrix):
        if isinstance(given, str | os.PathLike) and given != SAMPLE:
            _check_apart(Path(given), Path(output))
    # The short ones first: what is wrong with them is known before the source is read.
    given_matrix = None if recipe.reduced_matrix is None else ReducedMatrix.load(recipe.reduced_matrix)
    tables = read_attributes(recipe.item_attributes, recipe.user_attributes)
    description = recipe.describe(given_matrix)
    begun = _begun(folder, description, overwrite)
    base = read_base(source, recipe)
    attributes: dict[str, Any] = {}
    for table in tables:
        attributes[f"{table.side.singular}_attributes"] = matched = match(table, base)
        logger.info(table.note)
        logger.info(matched.note)
    if begun is not None and begun.plan.base.fingerprint != base.fingerprint:
        raise other_plan(folder.store, OTHER_SOURCE)
    takes_cells, cells = shuffle_named(recipe.options.shuffle).takes_cells, None
    options = recipe.options
    if begun is not None:
        logger.info("the reduced matrix and the cells are those of the data set that was begun")
        reduced = begun.reduced
        if recipe.target_interactions is not None:
            options = dataclasses.replace(options, keep_scale=begun.plan.options.keep_scale)
        cells = begun.cells if takes_cells else None
    else:
        logger.info("reducing")
        reduced = _reduced(base, recipe, given_matrix)
        if takes_cells and not recipe.is_fitted:
            logger.info("grouping users and items into cells")
            cells = group_cells(base, *recipe.cell_sizes)
        if recipe.target_interactions is not None:
            scale = solve_keep_scale(base, reduced, recipe.target_interactions, options, cells)
            options = dataclasses.replace(options, keep_scale=scale)
        if recipe.is_fitted:
            logger.info("fitting keep rates and cells")
            fitted = fit(base, reduced, **recipe.fitting, **options.rates)
            logger.info(fitted.words)
            reduced, cells = fitted.reduced, fitted.cells
    expansion = _expansion(base, reduced, cells, recipe, options)
    return plan(
        expansion,
        parts=recipe.parts,
        parquet=recipe.parquet,
        source_licence=recipe.source_licence,
        recipe=description,
        **attributes,
    )


def read_source(source: Any, recipe: Recipe, uses: Sequence[str] = OPTIONAL) -> Interactions:
    """Read the source as a recipe says, of ratings and timestamps those that are used."""
    logger.info("reading")
    if isinstance(source, str) and source == SAMPLE:
        if recipe.reading:
            raise InputError(f"{', '.join(recipe.reading)}: the built-in sample is not read from a file")
        interactions = sample_interactions()
    else:
        interactions = read_interactions(located(source), carry=recipe.options.carry, uses=uses, **recipe.reading)
    _log(interactions.notes)
    return interactions


def read_base(source: Any, recipe: Recipe) -> Base:
    """Read and split the source as a recipe says."""
    uses = needed(recipe.split, recipe.least_timestamps, recipe.options.payload)
    interactions = read_source(source, recipe, uses)
    base = leave_last_out(
        interactions,
        split=recipe.split,
        ties=recipe.ties or recipe.defaults.ties,
        # A profile's minimum is for sources that have timestamps.
        min_timestamps=recipe.min_timestamps if interactions.timestamps is None else recipe.least_timestamps,
        seed=recipe.options.seed,
        payload=recipe.options.payload,
    )
    _log([note for note in base.notes if note not in interactions.notes])
    return base


def _log(notes: Iterable[str]) -> None:
    for note in notes:
        logger.log(logging.WARNING if note.startswith(WARNING) else logging.INFO, note)


def read_planned_base(source: Any, output: str | os.PathLike[str]) -> Base:
    """Read and split the source of a data set again, with the options that its plan remembers."""
    plan = Folder.read(output).plan
    if plan is None:
        raise InputError(f"{output} has no private/plan.json: how its source was read and split is not known")
    if plan.recipe is None:
        raise InputError(
            f"{output} was written from Python: how its source was read and split is not known",
            hint="validate it in Python: fractalrs.validate(dataset, base)",
        )
    return read_base(source, Recipe.of_plan(plan))


def _check_apart(given: Path, output: Path) -> None:
    """Refuse to write into what is read, or over it."""
    if given.resolve() in (output.resolve(), *output.resolve().parents):
        raise InputError(f"the output {output} is inside the source {given}", hint="choose a folder outside it")
    if output.resolve() in given.resolve().parents:
        raise InputError(f"{given} lies in the output {output}", hint="choose another folder")


def _reduced(base: Base, recipe: Recipe, given: ReducedMatrix | None) -> ReducedMatrix:
    m, n = recipe.user_multiplier, recipe.item_multiplier
    if given is not None:
        m, n = m or given.shape[0], n or given.shape[1]
        if given.shape != (m, n):
            raise InputError(
                f"{recipe.reduced_matrix} has shape {given.shape[0]} × {given.shape[1]}, but the user and item "
                f"multipliers are {m} and {n}",
                hint="give multipliers that fit the matrix",
            )
        return given

    def by(base: Base, shape: tuple[int, int]) -> ReducedMatrix:
        return reduce(base, shape, **recipe.reducing)

    if recipe.target_interactions is None:
        assert m is not None
        assert n is not None
        return by(base, (m, n))
    ids = {"users": recipe.target_users, "items": recipe.target_items}
    wanted = ids | {"user_multiplier": m, "item_multiplier": n}
    return reduce_to_target(base, recipe.target_interactions, recipe.options, by, **wanted)


def _expansion(base: Base, reduced: ReducedMatrix, cells: Cells | None, recipe: Recipe, options: Options) -> Expansion:
    settings = dataclasses.asdict(options) | {"operator": recipe.operator}
    expansion = Expansion(base, reduced, profile=recipe.profile, cells=cells, **settings)
    if recipe.target_interactions is not None:
        m, n = reduced.shape
        logger.info(
            f"target of {recipe.target_interactions:,} interactions: × ({m}, {n}), keep_scale {options.keep_scale}; "
            f"{expansion.expected_interactions:,.0f} expected"
        )
    return expansion


def _begun(folder: Folder, description: dict[str, Any], overwrite: bool) -> Private | None:
    """Return what is known of a data set that the same recipe began; refuse another's unless it may be overwritten."""
    if folder.plan is None or folder.plan.recipe is None:
        return None
    found = differences(folder.plan.recipe, description)
    if found and not overwrite:
        raise other_plan(folder.store, "; ".join(found))
    # Overwriting makes everything anew: the matrix and the cells may be another version's.
    return None if found or overwrite or not folder.has_private else Private.read(folder.store.path)
