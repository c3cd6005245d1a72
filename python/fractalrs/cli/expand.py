"""`fractalrs expand`: its options are those of a recipe, from where they are declared."""

import inspect
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from fractalrs.cli import INTERRUPTED
from fractalrs.cli.output import (
    Json,
    NoProgress,
    Quiet,
    Source,
    StorageOption,
    attributes_of,
    flag,
    is_typed,
    option,
    parameter,
    place_of,
    print_content,
    print_note,
    print_summary,
    warnings_of,
)
from fractalrs.dataset import Dataset, Folder, PartEntry, Plan, expected_truth, forecast, write_parts, write_plan
from fractalrs.errors import InputError
from fractalrs.expansion import DEFAULT_PROFILE, PROFILES, USER_CELL_SIZE, Expansion, Group
from fractalrs.simulation import World
from fractalrs.tools import Place, notes_on_stderr, peak_memory, resolve_threads, store_of
from fractalrs.words import SIDES, SPLITS
from fractalrs.workflow import ALL, RECIPE, Page, Recipe, forecast_private_base, prepare, require_world, truth_of

_LOW_RATE, _GINI, _RATIOS = 0.02, 0.02, 0.10
"""From where fidelity is at risk: a mean keep rate below, a Gini coefficient or singular ratios off by more."""

logger = logging.getLogger(__name__)

DryRun = Annotated[
    bool,
    flag(
        Group.RUNNING,
        "--dry-run",
        "Print what would come out (counts, bytes, memory, free disk), or why nothing would; write nothing.",
    ),
]
TruthOption = Annotated[
    Literal["written", "all"] | None,
    option(
        Group.FILES,
        "Of a SOURCE that `fractalrs simulate` wrote, what is true, in truth/. written: of the interactions there are. "
        "all: of what dropout left out too, the answer key.",
        value="NAME",
        default="none",
    ),
]


def expand(
    *,
    context: typer.Context,
    source: Source,
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUTPUT", help="Folder or URL (s3://, gs://, az://) of the data set. An unfinished one is finished."
        ),
    ],
    overwrite: Annotated[
        bool,
        flag(Group.FILES, "--overwrite", "Replace a data set in OUTPUT made with other options, and its truth."),
    ] = False,
    config: Annotated[
        Path | None,
        option(
            Group.RUNNING,
            "Options in a file, in lines such as user_multiplier = 4; those given here win. Or a recipe that "
            "`fractalrs info --recipe` printed: the same data set again, bit for bit, from the same source.",
            *("--config", "--recipe"),
            value="FILE.toml",
        ),
    ] = None,
    threads: Annotated[
        int | None, option(Group.RUNNING, "Generating threads.", value="INT", default="all this process may use")
    ] = None,
    part_range: Annotated[
        str | None,
        option(
            Group.RUNNING,
            "Write the parts from FIRST to LAST (not included) alone: other machines write the others into the same "
            "OUTPUT, and `fractalrs finish OUTPUT` comes last. 0:0 begins a data set and writes none.",
            value="FIRST:LAST",
            default="all parts, and finish",
        ),
    ] = None,
    truth: TruthOption = None,
    dry_run: DryRun = False,
    storage_option: StorageOption = None,
    as_json: Json = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
    **options: Any,
) -> None:
    """Run the command."""
    started, page = time.monotonic(), None if config is None else Page.read(config)
    if page is not None:
        options = page.with_options({name: options[name] for name in options if is_typed(context, name)})
    recipe, threads, shown = Recipe(**options), resolve_threads(threads), not (quiet or no_progress)
    parts = None if part_range is None else _range_of(part_range, recipe.parts, overwrite)
    world = None if truth is None else _world_of(source, recipe, parts)
    place = place_of(output, storage_option)
    page = page if page is not None and page.made else None
    with notes_on_stderr(not quiet):
        try:
            if dry_run and recipe.epsilon is not None and (overwrite or Folder.ours(place).plan is None):
                print_content(_private_forecast(source, recipe, place), as_json)
                return
            _check_shared(recipe, parts, place)
            plan = _warned(prepare(source, recipe, place, overwrite=overwrite, progress=shown, page=page))
            parts = None if part_range is None else _range_of(part_range, plan.part_count, overwrite)
            known = None if world is None or truth is None else truth_of(world, plan, place, truth)
            if dry_run:
                print_content(_forecast(plan, place, threads, overwrite, truth), as_json)
                return
            if parts is not None:
                written = write_parts(plan, parts, place, threads=threads, progress=shown)
                print_summary(_part_summary(plan, place, parts, written, time.monotonic() - started), as_json, quiet)
                return
            finished = _is_finished(plan, place)
            dataset = write_plan(plan, place, threads=threads, overwrite=overwrite, progress=shown)
            rows = known and known.write(place, unobserved=truth == ALL, threads=threads, progress=shown)
        except KeyboardInterrupt:
            _say_interrupted(not dry_run and Folder.read(place).plan is not None)
            raise typer.Exit(INTERRUPTED) from None
    if as_json or not finished or rows:
        summary = _summary(dataset, plan, recipe, time.monotonic() - started)
        print_summary(summary | ({"truth": rows} if rows else {}), as_json, quiet)


def _world_of(source: str, recipe: Recipe, parts: range | None) -> World:
    """Return the world that a source is; refuse truth of some parts."""
    if parts is not None:
        hint = "give the command without --part-range when all parts are there: it writes truth alone"
        raise InputError("--truth is asked for some of the parts", hint)
    return require_world(source, recipe)


def _say_interrupted(begun: bool) -> None:
    stays = "what is finished stays, the same command goes on from there"
    print_note(f"interrupted: {stays if begun else 'nothing was written'}")


def _range_of(text: str, count: int | None, overwrite: bool) -> range:
    """Return the parts that are asked for; refuse those that the plan does not have, as far as it is known."""
    match = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*", text)
    if match is None or int(match[1]) > int(match[2]):
        raise InputError(f"--part-range is {text!r}", hint="give two numbers of parts, such as 0:64 for the first 64")
    if overwrite:
        hint = "delete OUTPUT before the machines start, or choose another"
        raise InputError("--overwrite with --part-range would delete what other machines write", hint)
    if count is not None and int(match[2]) > count:
        raise InputError(f"--part-range is {text}, but the plan has {count} parts", f"give a range within 0:{count}")
    return range(int(match[1]), int(match[2]))


def _check_shared(recipe: Recipe, parts: range | None, place: Place) -> None:
    """Refuse to let machines that start at once draw a seed each, and a private base."""
    if parts and recipe.draws_seed and Folder.ours(place).plan is None:
        hint = "begin the data set with --part-range 0:0, or give all machines the same --seed"
        raise InputError("each machine would draw a seed of its own", hint)


def _warned(plan: Plan) -> Plan:
    """Return the plan; say where more of each person is written than by default."""
    bound = PROFILES[DEFAULT_PROFILE].max_keep
    thins = plan.expansion.operator.has_keep_rates and plan.base.privacy is None
    if thins and plan.options.max_keep > max(bound, PROFILES[plan.profile].max_keep):
        logger.warning(
            f"warning: blocks keep up to {plan.options.max_keep:.0%} of a person's interactions, the default "
            f"{bound:.0%}: the more they keep, the more people can be found in them; fractalrs audit SOURCE with these "
            "options tells"
        )
    return plan


def _risks(plan: Plan) -> list[str]:
    """Say where the data set will be unlike its source."""
    expansion, found = plan.expansion, []
    if plan.options.shuffle == "block":
        found.append("the shuffle block flattens activity and popularity; --profile realistic keeps them")
    if plan.options.shuffle in ("none", "aligned") and plan.user_multiplier > 1:
        found.append("the nearest neighbours of an item will mostly be copies of it; --profile realistic has few")
    if plan.options.mixes and (alone := expansion.cells.users_alone):
        fitted_alike = "fit" in plan.reduced and expansion.cells.user_cell_size == USER_CELL_SIZE
        remedy = f"; --no-fit makes all cells of about {USER_CELL_SIZE}" if fitted_alike else ""
        found.append(f"users alone in their cells, who are not mixed with anybody: {alone:,}{remedy}")
    if (mean := float(expansion.keep_rates.mean())) < _LOW_RATE:
        found.append(f"blocks keep {mean:.2%} of the interactions: ids of few will have none; lower the multipliers")
    fitted = plan.reduced.get("fit")
    if fitted:
        for side in SIDES:
            real, made = fitted[f"gini_of_{side}"].get("real"), fitted[f"gini_of_{side}"]["expected"]
            # A recipe that was given away does not tell it.
            if real is not None and abs(made - real) > _GINI:
                found.append(f"the Gini coefficient of {side} will be about {made:.2f}, the real one is {real:.2f}")
        median = fitted["singular_ratios"]["median of 16"]
        if median > _RATIOS:
            found.append(f"the leading singular values will be off by {median:.0%} in the median")
    return found


def _is_finished(plan: Plan, output: Place) -> bool:
    """Whether there is nothing to do."""
    there = Folder.read(output)
    return there.is_complete and there.manifest is not None and there.manifest.fingerprints["plan"] == plan.fingerprint


def _signature() -> inspect.Signature:
    context, source, output, *others = inspect.signature(expand).parameters.values()
    own = [one for one in others if one.kind is not inspect.Parameter.VAR_KEYWORD]
    return inspect.Signature([context, source, output, *map(parameter, RECIPE.values()), *own])


expand.__signature__ = _signature()  # type: ignore[attr-defined]


def _expected(expansion: Expansion) -> dict[str, Any]:
    counts = expansion.expected
    return {
        "users": {"ids": counts.user_ids, "expected": round(counts.users)},
        "items": {"ids": counts.item_ids, "expected": round(counts.items)},
        **{
            split: {"expected": round(count.mean), "std": round(count.std)}
            for split, count in (("train", counts.train), ("valid", counts.valid), ("test", counts.test))
            if split != "valid" or split in expansion.splits
        },
    }


def _private_forecast(source: str, recipe: Recipe, output: Place) -> dict[str, Any]:
    found = forecast_private_base(source, recipe)
    logger.info(found.words)
    return {"output": str(store_of(output).path), "private_base": asdict(found)}


def _forecast(plan: Plan, output: Place, threads: int, overwrite: bool, truth: str | None) -> dict[str, Any]:
    expansion, found = plan.expansion, forecast(plan, output, threads=threads, overwrite=overwrite)
    if found.advice is not None:
        logger.info(found.advice)
    for risk in _risks(plan):
        logger.warning(f"warning: {risk}")
    return {
        "output": str(store_of(output).path),
        **warnings_of(plan.base.warnings),
        **_expected(expansion),
        "multipliers": dict(zip(("user", "item"), expansion.reduced.shape, strict=True)),
        "keep_scale": expansion.options.keep_scale,
        "mean_keep_rate": float(expansion.keep_rates.mean()),
        "largest_keep_rate": float(expansion.keep_rates.max()),
        **({"fit": plan.reduced["fit"]} if "fit" in plan.reduced else {}),
        **{name: value for name, value in vars(found).items() if name != "attributes" or value},
        **({"truth": expected_truth(expansion, unobserved=truth == ALL)} if truth else {}),
    }


def _part_summary(
    plan: Plan, place: Place, parts: range, written: Sequence[PartEntry], seconds: float
) -> dict[str, Any]:
    files = [(split, file) for part in written for split, some in part.files.items() for file in some]
    return {
        "output": str(store_of(place).path),
        "seconds": round(seconds, 2),
        "parts": {"first": parts.start, "last": parts.stop, "of": plan.part_count},
        **{split: {"written": sum(file.rows for of, file in files if of == split)} for split in plan.splits},
        "bytes": sum(file.bytes for _, file in files),
        "files": len(files),
        "peak_memory_bytes": peak_memory(),
    }


def _summary(dataset: Dataset, plan: Plan, recipe: Recipe, seconds: float) -> dict[str, Any]:
    totals, counts = dataset.totals, _expected(plan.expansion)
    for split in (split for split in SPLITS if split in totals):
        counts[split]["written"] = totals[split]
    return {
        "output": str(dataset.place),
        "seconds": round(seconds, 2),
        **warnings_of(dataset.manifest.warnings),
        **counts,
        "bytes": totals["bytes"],
        "files": totals["files"],
        **attributes_of(dataset),
        **({"seed": str(plan.options.seed)} if recipe.draws_seed else {}),
        "peak_memory_bytes": peak_memory(),
    }
