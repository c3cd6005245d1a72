"""`fractalrs expand`: its options are those of a recipe, from where they are declared."""

import inspect
import logging
import time
from pathlib import Path
from typing import Annotated, Any

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
    option,
    parameter,
    place_of,
    print_content,
    print_note,
    print_summary,
    warnings_of,
)
from fractalrs.dataset import Dataset, Folder, Plan, forecast, write_plan
from fractalrs.expansion import Expansion, Group
from fractalrs.tools import Place, notes_on_stderr, peak_memory, resolve_threads, store_of
from fractalrs.words import SIDES
from fractalrs.workflow import RECIPE, Page, Recipe, prepare

_LOW_RATE, _GINI, _RATIOS = 0.02, 0.02, 0.10
"""From where fidelity is at risk: a mean keep rate below, a Gini coefficient or singular ratios off by more."""

logger = logging.getLogger(__name__)


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
        bool, flag(Group.FILES, "--overwrite", "Replace a data set in OUTPUT that was made with other options.")
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
    dry_run: Annotated[
        bool,
        flag(
            Group.RUNNING,
            "--dry-run",
            "Print what would come out (counts, bytes, memory, free disk), or why nothing would; write nothing.",
        ),
    ] = False,
    storage_option: StorageOption = None,
    as_json: Json = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
    **options: Any,
) -> None:
    """Run the command."""
    started = time.monotonic()
    page = None if config is None else Page.read(config)
    if page is not None:
        options = page.with_options({name: options[name] for name in options if _is_typed(context, name)})
    recipe, threads, shown = Recipe(**options), resolve_threads(threads), not (quiet or no_progress)
    place = place_of(output, storage_option)
    page = page if page is not None and page.made else None
    with notes_on_stderr(not quiet):
        try:
            plan = prepare(source, recipe, place, overwrite=overwrite, progress=shown, page=page)
            if dry_run:
                expected = _forecast(plan, place, threads, overwrite)
                for risk in _risks(plan):
                    logger.warning(f"warning: {risk}")
                print_content(expected, as_json)
                return
            finished = _is_finished(plan, place)
            dataset = write_plan(plan, place, threads=threads, overwrite=overwrite, progress=shown)
        except KeyboardInterrupt:
            begun = not dry_run and Folder.read(place).plan is not None
            stays = "what is finished stays, the same command goes on from there"
            print_note(f"interrupted: {stays if begun else 'nothing was written'}")
            raise typer.Exit(INTERRUPTED) from None
    if as_json or not finished:
        print_summary(_summary(dataset, plan.expansion, time.monotonic() - started), as_json, quiet)


def _risks(plan: Plan) -> list[str]:
    """Say where the data set will be unlike its source."""
    expansion, found = plan.expansion, []
    if plan.options.shuffle == "block":
        found.append("the shuffle block flattens activity and popularity; --profile realistic keeps them")
    if plan.options.shuffle in ("none", "aligned") and plan.user_multiplier > 1:
        found.append("the nearest neighbours of an item will mostly be copies of it; --profile realistic has few")
    if (mean := float(expansion.keep_rates.mean())) < _LOW_RATE:
        found.append(f"blocks keep {mean:.2%} of the interactions: ids of few will have none; lower the multipliers")
    fitted = plan.reduced.get("fit")
    if fitted:
        for side in SIDES:
            real, made = fitted[f"gini_of_{side}"]["real"], fitted[f"gini_of_{side}"]["expected"]
            if abs(made - real) > _GINI:
                found.append(f"the Gini coefficient of {side} will be about {made:.2f}, the real one is {real:.2f}")
        median = fitted["singular_ratios"]["median of 16"]
        if median > _RATIOS:
            found.append(f"the leading singular values will be off by {median:.0%} in the median")
    return found


def _is_typed(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line."""
    place = context.get_parameter_source(name)
    return place is not None and place.name == "COMMANDLINE"


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
        "train": {"expected": round(counts.train.mean), "std": round(counts.train.std)},
        "test": {"expected": round(counts.test.mean), "std": round(counts.test.std)},
    }


def _forecast(plan: Plan, output: Place, threads: int, overwrite: bool) -> dict[str, Any]:
    expansion, found = plan.expansion, forecast(plan, output, threads=threads, overwrite=overwrite)
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
    }


def _summary(dataset: Dataset, expansion: Expansion, seconds: float) -> dict[str, Any]:
    totals, counts = dataset.totals, _expected(expansion)
    for split in ("train", "test"):
        counts[split]["written"] = totals[split]
    return {
        "output": str(dataset.place),
        "seconds": round(seconds, 2),
        **warnings_of(dataset.manifest.warnings),
        **counts,
        "bytes": totals["bytes"],
        "files": totals["files"],
        **attributes_of(dataset),
        "peak_memory_bytes": peak_memory(),
    }
