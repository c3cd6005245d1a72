"""All of it in one call: read, split, reduce, group into cells, expand, write."""

import dataclasses
import inspect
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from fractalrs.base import Base
from fractalrs.dataset import (
    OTHER_SOURCE,
    Dataset,
    Folder,
    Plan,
    differences,
    match,
    matrices_of,
    other_plan,
    plan,
    saved_base,
    write_plan,
)
from fractalrs.errors import InputError, OutputError
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
from fractalrs.reading import read_attributes
from fractalrs.tools import Place, Progress, as_progress, check_word, notes_on_stderr, readable, resolve_threads
from fractalrs.workflow.page import Page
from fractalrs.workflow.recipe import RECIPE, Recipe
from fractalrs.workflow.sizes import interactions_of
from fractalrs.workflow.sources import SAMPLE, log_notes, private_base_of, read_base, read_members
from fractalrs.workflow.truths import ALL, TRUTHS, require_world, truth_of

logger = logging.getLogger(__name__)


class _Begun(NamedTuple):
    """A plan that was begun, with its reduced matrix and cells."""

    plan: Plan
    reduced: ReducedMatrix
    cells: Cells


@accepts(RECIPE.values())
def expand(
    source: Any,
    output: Place,
    *,
    threads: int | None = None,
    overwrite: bool = False,
    progress: bool | Progress = False,
    truth: str | None = None,
    **options: Any,
) -> Dataset:
    """Expand real interactions into a data set of industrial size.

    Parameters
    ----------
    source
        Whatever `read_interactions` takes, ``"sample"``, or a world: one in memory, a saved one, or the folder that
        ``fractalrs simulate`` wrote. Of a world what users respond to in round 0 is expanded.
    output
        Folder of the data set. An unfinished one is finished.
    threads
        Generating threads; by default as many as this process may use.
    overwrite
        Delete another plan's data set first, and its truth. Only files of ours are deleted.
    progress
        Show progress, and what is chosen, on stderr.
    truth
        Of a source that is a world, what is written of its truth: ``"written"``, of the interactions that are, or
        ``"all"``, of what dropout left out too. By default nothing.
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
    >>> from fractalrs.reading import sample_interactions
    >>> interactions = sample_interactions(60, 40, 600)
    >>> dataset = expand(interactions, f"{folder.name}/out", user_multiplier=2, item_multiplier=3)
    >>> dataset.shape
    (120, 120)
    >>> folder.cleanup()
    """
    refuse_unknown(options, inspect.signature(expand).parameters)
    with notes_on_stderr(progress is True):
        recipe, threads = Recipe(**options), resolve_threads(threads)
        if truth is not None:
            check_word("truth", truth, TRUTHS)
        world = None if truth is None else require_world(source, recipe)
        made = prepare(source, recipe, output, overwrite=overwrite, progress=progress)
        known = None if world is None or truth is None else truth_of(world, made, output, truth)
        dataset = write_plan(made, output, threads=threads, overwrite=overwrite, progress=progress)
        if known is not None:
            known.write(output, unobserved=truth == ALL, threads=threads, progress=progress)
        return dataset


def prepare(
    source: Any,
    recipe: Recipe,
    output: Place,
    *,
    overwrite: bool = False,
    progress: bool | Progress = False,
    page: Page | None = None,
) -> Plan:
    """Take a recipe through all steps before writing: return the plan for `output`.

    With the `page` of another data set's recipe it is the same data set, or an error.
    A data set that was begun there keeps its reduced matrix, its cells and the keep scale chosen for its target: they
    come from floating-point decompositions, which another machine may round otherwise. It keeps a seed that was drawn.
    Its private base, if it has one, is drawn once: the source is not read again.
    """
    folder = Folder.ours(output)
    for given in (source, recipe.reduced_matrix):
        if isinstance(given, str | os.PathLike) and given != SAMPLE and isinstance(folder.store.path, Path):
            _check_apart(Path(given), folder.store.path)
    # The short ones first: what is wrong with them is known before the source is read.
    given_matrix = None if recipe.reduced_matrix is None else ReducedMatrix.load(recipe.reduced_matrix)
    tables = read_attributes(recipe.item_attributes, recipe.user_attributes)
    recipe = _with_seed(recipe, given_matrix, folder, overwrite) if recipe.draws_seed else recipe
    description = recipe.describe(given_matrix)
    begun = _begun(folder, description, overwrite)
    if recipe.epsilon is not None:
        base = _private_base(source, recipe, folder, begun is not None, overwrite, progress)
    else:
        with as_progress(progress).task("reading", 0, 0):
            base = read_base(source, recipe)
    attributes: dict[str, Any] = {}
    for table in tables:
        attributes[f"{table.side.singular}_attributes"] = matched = match(table, base)
        logger.info(table.note)
        logger.info(matched.note)
    if begun is not None and begun.plan.base.fingerprint != base.fingerprint:
        raise other_plan(folder.store, OTHER_SOURCE)
    if page is not None:
        page.check_source(base)
    if begun is not None:
        logger.info("the reduced matrix and the cells are those of the data set that was begun")
        keep_scale = begun.plan.options.keep_scale if recipe.target is not None else recipe.options.keep_scale
        reduced, cells = begun.reduced, begun.cells if shuffle_named(recipe.options.shuffle).takes_cells else None
    elif page is not None:
        keep_scale, reduced = recipe.options.keep_scale, page.reduced
        with _stage("grouping users and items into cells as the recipe did", progress):
            cells = page.cells(base) if shuffle_named(recipe.options.shuffle).takes_cells else None
    else:
        keep_scale, reduced, cells = _made(base, recipe, given_matrix, progress)
    expansion = _expansion(base, reduced, cells, recipe, dataclasses.replace(recipe.options, keep_scale=keep_scale))
    if page is not None:
        page.check_expansion(expansion)
    made = plan(
        expansion,
        parts=recipe.parts,
        parquet=recipe.parquet,
        partition=recipe.partition,
        source_licence=recipe.source_licence,
        recipe=description,
        **attributes,
    )
    if page is not None and (note := page.check_plan(made)):
        logger.warning(f"warning: {note}")
    return made


def expansion_of(base: Base, recipe: Recipe, progress: bool | Progress) -> Expansion:
    """Return the expansion of a base that a recipe leads to."""
    given = None if recipe.reduced_matrix is None else ReducedMatrix.load(recipe.reduced_matrix)
    keep_scale, reduced, cells = _made(base, recipe, given, progress)
    return _expansion(base, reduced, cells, recipe, dataclasses.replace(recipe.options, keep_scale=keep_scale))


def _made(
    base: Base, recipe: Recipe, given: ReducedMatrix | None, progress: bool | Progress
) -> tuple[float, ReducedMatrix, Cells | None]:
    """Return the keep scale, the reduced matrix and the cells that a recipe leads to."""
    takes_cells, cells, options = shuffle_named(recipe.options.shuffle).takes_cells, None, recipe.options
    target = _target(base, recipe, progress)
    with _stage("reducing", progress):
        reduced = _reduced(base, recipe, given, target)
    if takes_cells and not recipe.is_fitted:
        with _stage("grouping users and items into cells", progress):
            cells = group_cells(base, *recipe.cell_sizes)
    if target is not None:
        scale = solve_keep_scale(base, reduced, target, options, cells)
        options = dataclasses.replace(options, keep_scale=scale)
    if recipe.is_fitted:
        with _stage("fitting keep rates and cells", progress):
            fitted = fit(base, reduced, **recipe.fitting, **options.rates)
        logger.info(fitted.words)
        reduced, cells = fitted.reduced, fitted.cells
    return options.keep_scale, reduced, cells


def _private_base(
    source: Any, recipe: Recipe, folder: Folder, begun: bool, overwrite: bool, progress: bool | Progress
) -> Base:
    """Return the private base of a recipe: that of the data set that was begun, so that no budget is spent twice."""
    if begun:
        logger.info("the private base is the one that was drawn: the source is not read, and no budget is spent")
        return saved_base(folder.store)
    if folder.plan is not None and not overwrite:
        raise OutputError(
            f"{folder.store.path} was begun, but its private/base is not there or not whole",
            hint="begin anew with overwrite (--overwrite): nothing of it was finished",
        )
    assert recipe.epsilon is not None
    with as_progress(progress).task("reading", 0, 0):
        interactions = read_members(source, recipe, [])
    with _stage("drawing a private base", progress):
        base = private_base_of(interactions, recipe)
    log_notes(base.notes)
    return base


def _check_apart(given: Path, output: Path) -> None:
    """Refuse to write into what is read, or over it."""
    # Links that go round in circles lead nowhere, and are refused where they are opened.
    there, here = Path(os.path.realpath(given)), Path(os.path.realpath(output))
    if there in (here, *here.parents):
        raise InputError(f"the output {output} is inside the source {given}", hint="choose a folder outside it")
    if here in there.parents:
        raise InputError(f"{given} lies in the output {output}", hint="choose another folder")


@contextmanager
def _stage(what: str, progress: bool | Progress) -> Iterator[None]:
    """Note what is being done, and show that it goes on."""
    logger.info(what)
    with as_progress(progress).task(what, 0, 0):
        yield


def _target(base: Base, recipe: Recipe, progress: bool | Progress) -> int | None:
    """Return how many interactions are wanted, if that is given, by itself or in bytes; warn of few."""
    target = recipe.target_interactions
    if recipe.target_size is not None:

        def reduce_to(interactions: int) -> ReducedMatrix:
            return _reduced(base, recipe, None, interactions)

        with _stage("finding out how many interactions have that size", progress):
            target = interactions_of(recipe.target_size, base, recipe, reduce_to)
        logger.info(f"{readable(recipe.target_size)} hold about {target:,} interactions")
    if target is not None and target < base.count:
        logger.warning(
            f"warning: the target of {target:,} interactions is below the source's {base.count:,}: this thins out "
            "instead of expanding"
        )
    return target


def _reduced(base: Base, recipe: Recipe, given: ReducedMatrix | None, target: int | None) -> ReducedMatrix:
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

    if target is None:
        assert m is not None
        assert n is not None
        return by(base, (m, n))
    ids = {"users": recipe.target_users, "items": recipe.target_items}
    wanted = ids | {"user_multiplier": m, "item_multiplier": n}
    return reduce_to_target(base, target, recipe.options, by, **wanted)


def _expansion(base: Base, reduced: ReducedMatrix, cells: Cells | None, recipe: Recipe, options: Options) -> Expansion:
    settings = dataclasses.asdict(options) | {"operator": recipe.operator}
    expansion = Expansion(base, reduced, profile=recipe.profile, cells=cells, **settings)
    if recipe.target is not None:
        m, n = reduced.shape
        wanted = (
            f"{recipe.target_interactions:,} interactions"
            if recipe.target_size is None
            else readable(recipe.target_size)
        )
        logger.info(
            f"target of {wanted}: × ({m}, {n}), keep_scale {options.keep_scale}; "
            f"{expansion.expected_interactions:,.0f} expected"
        )
    return expansion


def _with_seed(recipe: Recipe, matrix: ReducedMatrix | None, folder: Folder, overwrite: bool) -> Recipe:
    """Return a recipe with the seed of the data set that the same recipe began there, or that it may not overwrite."""
    if folder.plan is not None:
        seeded = recipe.with_seed(folder.plan.options.seed)
        if not overwrite or folder.plan.recipe == seeded.describe(matrix):
            return seeded
    return recipe.with_seed(secrets.randbits(64))


def _begun(folder: Folder, description: dict[str, Any], overwrite: bool) -> _Begun | None:
    """Return what is known of a data set that the same recipe began; refuse another's unless it may be overwritten.

    A matrix or cells that are damaged are made again; what comes out otherwise then is refused.
    """
    if folder.plan is None or folder.plan.recipe is None:
        return None
    found = differences(folder.plan.recipe, description)
    if found and not overwrite:
        raise other_plan(folder.store, "; ".join(found), folder.plan)
    # Overwriting makes everything anew: the matrix and the cells may be another version's.
    if found or overwrite or not folder.has_private:
        return None
    try:
        return _Begun(folder.plan, *matrices_of(folder.store, folder.plan))
    except InputError as error:
        logger.warning(f"warning: {error.message}; made again")
        return None
