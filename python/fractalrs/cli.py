"""The command line: `fractalrs expand`, `validate`, `export`, `info`, `sample`."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, get_args

import typer

from fractalrs import _core
from fractalrs.base.hold_out import SplitOption, TiesOption
from fractalrs.dataset.dataset import Dataset
from fractalrs.dataset.folder import Folder
from fractalrs.dataset.plan import Plan
from fractalrs.dataset.write import check, expected_bytes, fingerprints, memory_needed
from fractalrs.errors import FractalrsError, InputError, WriteError
from fractalrs.expansion.cells import CELL_SIZE
from fractalrs.expansion.expansion import Expansion
from fractalrs.expansion.operators import Operator
from fractalrs.expansion.options import Options, Order, Ratings, TestItems
from fractalrs.expansion.profiles import DEFAULT_PROFILE, PROFILES, Shuffle
from fractalrs.expansion.reduction import Rescale
from fractalrs.formats.export import FORMATS
from fractalrs.formats.export import export as write_export
from fractalrs.reading.interactions import write_interactions
from fractalrs.reading.sample import sample_interactions
from fractalrs.tools.machine import free_disk, peak_memory, readable, resolve_threads
from fractalrs.workflow import SAMPLE, Request, make_expansion, read_planned_base, write_expansion

FAILED, REFUSED, UNTRUE, INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    help="Expand real user/item interactions into a realistic data set of industrial size.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line.

    Exits with 0 done, 2 refused (bad arguments or input), 1 failed while running, 3 validated and something does not
    hold, 130 interrupted.
    """
    try:
        app(prog_name="fractalrs")
    except WriteError as error:
        _fail(error, FAILED)
    except (FractalrsError, FileNotFoundError, PermissionError) as error:
        _fail(error, REFUSED)
    except (OSError, MemoryError) as error:
        _fail(error, FAILED)


def _fail(error: Exception, code: int) -> NoReturn:
    message = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        message = error.strerror if error.filename is None else f"{error.strerror}: {error.filename}"
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def _say(message: str) -> None:
    print(message, file=sys.stderr)


@contextmanager
def _log_to(say: Callable[[str], None]) -> Iterator[None]:
    """Let what is logged be said."""
    handler, logger = logging.Handler(), logging.getLogger("fractalrs")
    handler.emit = lambda record: say(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _quiet(_: str) -> None:
    pass


def _version(wanted: bool) -> None:
    if wanted:
        print(f"fractalrs {_core.VERSION} (generator {_core.GENERATOR})")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, metavar=" ", help="Print the version and stop."),
    ] = False,
) -> None:
    """Take the options of all commands."""


SIZE, SPLIT, MATRIX, KEEP, CARRIED, FILES, READING, RUNNING, CHECKS = (
    "Size and shuffle",
    "Train and test",
    "Reduced matrix",
    "What is kept",
    "What interactions carry",
    "Output files",
    "Reading the source",
    "Running",
    "What is checked",
)
Profiles = Literal["realistic", "paper", "traceable", "reference"]
Encoding = Literal["default", "fast"]
InputFormat = Literal["auto", "csv", "inter", "parquet", "npz", "lines"]
ExportFormat = Literal["reference-npz", "csv", "recbole", "csr", "sequences"]
assert get_args(Profiles) == tuple(PROFILES)
assert get_args(ExportFormat) == tuple(FORMATS)


def _option(group: str, help: str, *names: str, value: str | None = None, default: str | None = None) -> Any:
    """Declare an option; `value` stands for what it takes, `default` for a default that the data or a profile give."""
    return typer.Option(*names, help=help, rich_help_panel=group, metavar=value, show_default=default or True)


def _flag(group: str, name: str, help: str) -> Any:
    # A blank keeps "<bool>" out of the help.
    return typer.Option(name, help=help, rich_help_panel=group, metavar=" ", show_default=False)


@app.command()
def expand(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Interactions: CSV/TSV, RecBole .inter, Parquet file or folder, SciPy .npz, one user per line; gzip, "
            f"zstd and bz2 of text. Or {SAMPLE!r}: the built-in sample.",
        ),
    ],
    output: Annotated[
        Path, typer.Argument(metavar="OUTPUT", help="Folder of the data set. An unfinished one is finished.")
    ],
    user_multiplier: Annotated[
        int | None, _option(SIZE, "Row blocks m: m times the source's users.", value="M", default="by target or matrix")
    ] = None,
    item_multiplier: Annotated[
        int | None,
        _option(SIZE, "Column blocks n: n times the source's items.", value="N", default="by target or matrix"),
    ] = None,
    target_interactions: Annotated[
        str | None,
        _option(
            SIZE,
            "Instead of multipliers: choose those that are not given, and the keep scale, so that about so many "
            "interactions come out, train and test together, such as 1e9.",
            value="COUNT",
            default="none",
        ),
    ] = None,
    target_users: Annotated[
        str | None,
        _option(
            SIZE,
            "With it: so many user ids, to the nearest multiple of the source's.",
            value="COUNT",
            default="grow alike",
        ),
    ] = None,
    target_items: Annotated[
        str | None, _option(SIZE, "With it: so many item ids, likewise.", value="COUNT", default="grow alike")
    ] = None,
    profile: Annotated[
        Profiles,
        _option(
            SIZE,
            "realistic (shuffle cells), paper (shuffle block, ties all), traceable (shuffle aligned), or reference: as "
            "the program published with the paper (docs/reference.md).",
            value="NAME",
        ),
    ] = DEFAULT_PROFILE,  # type: ignore[assignment]
    shuffle: Annotated[
        Shuffle | None,
        _option(
            SIZE,
            "none: nothing moves. aligned: users and items are renamed. cells: besides, alike ones change places "
            "between blocks. block: each block is shuffled on its own.",
            value="NAME",
            default="by profile; none for other operators than dropout",
        ),
    ] = None,
    seed: Annotated[int, _option(SIZE, "The same seed gives the same data set, bit for bit.", value="INT")] = 0,
    user_cell_size: Annotated[
        int | None, _option(SIZE, "Most users in a cell (shuffle cells).", value="INT", default=str(CELL_SIZE))
    ] = None,
    item_cell_size: Annotated[
        int | None, _option(SIZE, "Most items in a cell (shuffle cells).", value="INT", default=str(CELL_SIZE))
    ] = None,
    split: Annotated[
        SplitOption,
        _option(
            SPLIT,
            "Of each user, the last interaction is test, a random one, or none is. auto: as the source allows.",
            value="NAME",
        ),
    ] = "auto",
    ties: Annotated[
        TiesOption | None,
        _option(
            SPLIT,
            "Of several latest interactions at one time, the last is test, or all are.",
            value="last|all",
            default="by profile",
        ),
    ] = None,
    min_timestamps: Annotated[
        int | None,
        _option(
            SPLIT,
            "Drop users with fewer distinct timestamps.",
            value="INT",
            default="2 where split is last, 3 by profile reference",
        ),
    ] = None,
    test_items: Annotated[
        TestItems | None,
        _option(
            SPLIT,
            "Test interactions of an expanded user: all, or one of them at random.",
            value="all|one",
            default="all; one by profile reference",
        ),
    ] = None,
    drop_incomplete: Annotated[
        bool | None,
        _option(
            SPLIT,
            "Leave out expanded users without train or test interactions, or keep them.",
            "--drop-incomplete/--keep-incomplete",
            default="keep; drop by profile reference",
        ),
    ] = None,
    cold_users: Annotated[
        float, _option(SPLIT, "Share of expanded users whose interactions are all test (cold start).", value="SHARE")
    ] = 0.0,
    cold_items: Annotated[
        float, _option(SPLIT, "Share of expanded items whose interactions are all test (cold start).", value="SHARE")
    ] = 0.0,
    rescale: Annotated[
        Rescale,
        _option(
            MATRIX,
            "How its entries get into 0 to 1: absolute values over the largest (absolute), or from minimum to maximum "
            "(minmax).",
            value="NAME",
        ),
    ] = "absolute",
    order_by_degree: Annotated[
        bool, _flag(MATRIX, "--order-by-degree", "Average over users and items in order of their activity.")
    ] = False,
    reduced_matrix: Annotated[
        Path | None,
        _option(MATRIX, "Take this one, of any shape m × n: numbers from 0 to 1, saved by NumPy.", value="FILE.npy"),
    ] = None,
    min_keep: Annotated[float, _option(KEEP, "Least keep rate of a block.", value="RATE")] = Options.min_keep,
    max_keep: Annotated[float, _option(KEEP, "Largest keep rate of a block.", value="RATE")] = Options.max_keep,
    keep_scale: Annotated[
        float, _option(KEEP, "Factor on all keep rates: more or fewer interactions.", value="FACTOR")
    ] = Options.keep_scale,
    block_keep: Annotated[
        float, _option(KEEP, "Probability that a block exists at all.", value="RATE")
    ] = Options.block_keep,
    operator: Annotated[
        Operator,
        _option(
            KEEP,
            "dropout: each block keeps a share of the interactions. kronecker: each block keeps all, rated by "
            "the reduced matrix. sketch: every interaction becomes a sample of the source.",
            value="NAME",
        ),
    ] = "dropout",
    timestamps: Annotated[
        bool,
        _flag(
            CARRIED,
            "--timestamps",
            "Every interaction has a time on its source user's time line (user cells of size 1: profile traceable).",
        ),
    ] = False,
    ratings: Annotated[
        Ratings | None,
        _option(
            CARRIED,
            "carry: every interaction has its source's rating. kronecker: that times the entry of the reduced matrix.",
            value="carry|kronecker",
            default="none",
        ),
    ] = None,
    carry: Annotated[
        list[str] | None,
        _option(CARRIED, "A further column of SOURCE to carry; can be given again.", value="COLUMN", default="none"),
    ] = None,
    order: Annotated[
        Order | None,
        _option(
            FILES,
            "A user's interactions by column block (quick), by item id, or by time.",
            value="block|item|time",
            default="time with --timestamps, item by profile reference, else block",
        ),
    ] = None,
    parts: Annotated[
        int | None,
        _option(FILES, "Parts, of one train and one test file each.", value="INT", default="16 M interactions each"),
    ] = None,
    encoding: Annotated[
        Encoding,
        _option(
            FILES,
            "default: every reader. fast: quicker, but not for Spark before 4.3.",
            value="NAME",
        ),
    ] = "default",
    compression: Annotated[
        str, _option(FILES, "none, lz4, snappy, zstd, or zstd(1) to zstd(22).", value="NAME")
    ] = "lz4",
    row_group_size: Annotated[int, _option(FILES, "Interactions in a row group.", value="INT")] = 1 << 20,
    source_licence: Annotated[
        str | None, _option(FILES, "The source's licence, which the data card names: 'CC BY 4.0'.", value="TEXT")
    ] = None,
    items: Annotated[
        Path | None,
        _option(
            FILES,
            "Attributes of the source's items, a file (not a count, as in sample): CSV/TSV with a header, or Parquet. "
            "Written for every expanded item to items.parquet; needs the profile traceable, or item cells of size 1.",
            value="FILE",
        ),
    ] = None,
    users: Annotated[
        Path | None,
        _option(
            FILES,
            "Attributes of the source's users, likewise, to users.parquet; needs the profile traceable, or user cells "
            "of size 1.",
            value="FILE",
        ),
    ] = None,
    overwrite: Annotated[bool, _flag(FILES, "--overwrite", "Delete another plan's data set in OUTPUT first.")] = False,
    format: Annotated[InputFormat, _option(READING, "auto, csv, inter, parquet, npz or lines.", value="NAME")] = "auto",
    delimiter: Annotated[
        str | None, _option(READING, "Between the cells of a line, such as '::' or '\\t'.", value="TEXT")
    ] = None,
    no_header: Annotated[bool, _flag(READING, "--no-header", "The first line is data.")] = False,
    user_column: Annotated[
        str | None, _option(READING, "Column of user ids: its name, or its position from 1.", value="COLUMN")
    ] = None,
    item_column: Annotated[str | None, _option(READING, "Column of item ids.", value="COLUMN")] = None,
    rating_column: Annotated[str | None, _option(READING, "Column of ratings.", value="COLUMN")] = None,
    timestamp_column: Annotated[str | None, _option(READING, "Column of timestamps.", value="COLUMN")] = None,
    threads: Annotated[
        int | None, _option(RUNNING, "Generating threads.", value="INT", default="all this process may use")
    ] = None,
    dry_run: Annotated[
        bool,
        _flag(
            RUNNING,
            "--dry-run",
            "Print what would come out (counts, bytes, memory, free disk), or why nothing would; write nothing.",
        ),
    ] = False,
    as_json: Annotated[bool, _flag(RUNNING, "--json", "Print one JSON object on stdout.")] = False,
    quiet: Annotated[bool, _flag(RUNNING, "--quiet", "Say nothing but errors.")] = False,
    no_progress: Annotated[bool, _flag(RUNNING, "--no-progress", "Show no progress bar.")] = False,
) -> None:
    """Expand SOURCE into a Parquet data set in OUTPUT, by multipliers of users and items or to a target."""
    started = time.monotonic()
    reading: dict[str, Any] = {
        "format": format,
        "delimiter": delimiter,
        "header": False if no_header else None,
        "user_column": user_column,
        "item_column": item_column,
        "rating_column": rating_column,
        "timestamp_column": timestamp_column,
    }
    # Numbers such as 1e9, which the request reads.
    targets: dict[str, Any] = {
        "target_interactions": target_interactions,
        "target_users": target_users,
        "target_items": target_items,
    }
    request = Request(
        **targets,
        user_multiplier=user_multiplier,
        item_multiplier=item_multiplier,
        profile=profile,
        shuffle=shuffle,
        seed=seed,
        split=split,
        ties=ties,
        min_timestamps=min_timestamps,
        rescale=rescale,
        order_by_degree=order_by_degree,
        reduced_matrix=reduced_matrix,
        user_cell_size=user_cell_size,
        item_cell_size=item_cell_size,
        min_keep=min_keep,
        max_keep=max_keep,
        keep_scale=keep_scale,
        block_keep=block_keep,
        operator=operator,
        test_items=test_items,
        drop_incomplete=drop_incomplete,
        cold_users=cold_users,
        cold_items=cold_items,
        timestamps=timestamps,
        ratings=ratings,
        carry=tuple(carry or ()),
        order=order,
        encoding=encoding,
        compression=compression,
        row_group_size=row_group_size,
        parts=parts,
        source_licence=source_licence,
        items=items,
        users=users,
        reading={name: value for name, value in reading.items() if value not in (None, "auto")},
    )
    say = _quiet if quiet else _say
    threads = resolve_threads(threads)
    try:
        expansion = make_expansion(source, request, output, overwrite, say)
        if dry_run:
            _print(_forecast(expansion, request, output, threads, overwrite), as_json)
            return
        dataset = write_expansion(expansion, output, request, threads, overwrite, not (quiet or no_progress), say)
    except KeyboardInterrupt:
        begun = not dry_run and Folder(output).plan() is not None
        stays = "what is finished stays, the same command goes on from there"
        _say(f"interrupted: {stays if begun else 'nothing was written'}")
        raise typer.Exit(INTERRUPTED) from None
    summary = _summary(dataset, expansion, time.monotonic() - started)
    if as_json:
        _print(summary, as_json)
    elif not quiet:
        _print(summary, as_json, sys.stderr)


def _expected(expansion: Expansion) -> dict[str, Any]:
    counts = expansion.expected
    return {
        "users": {"ids": counts.user_ids, "expected": round(counts.users)},
        "items": {"ids": counts.item_ids, "expected": round(counts.items)},
        "train": {"expected": round(counts.train.mean), "std": round(counts.train.std)},
        "test": {"expected": round(counts.test.mean), "std": round(counts.test.std)},
    }


def _forecast(expansion: Expansion, request: Request, output: Path, threads: int, overwrite: bool) -> dict[str, Any]:
    tables = [table.match(expansion.base) for table in request.attributes]
    prints = fingerprints(tables)
    plan = Plan.of(expansion, request.parts, request.format, request.recipe, request.source_licence, prints)
    check(expansion, output, plan, request.format, threads, overwrite, tables)
    attributes = {
        table.kind: {"bytes": table.expected_bytes(expansion, request.format), **table.counts} for table in tables
    }
    return {
        "output": str(output),
        **_expected(expansion),
        "multipliers": dict(zip(("user", "item"), expansion.reduced.shape, strict=True)),
        "keep_scale": expansion.options.keep_scale,
        "mean_keep_rate": float(expansion.keep_rates.mean()),
        "parts": plan.part_count,
        "bytes": expected_bytes(expansion, request.format),
        **({"attributes": attributes} if attributes else {}),
        "memory_bytes": memory_needed(expansion, request.format, threads),
        "free_disk_bytes": free_disk(output),
    }


def _summary(dataset: Dataset, expansion: Expansion, seconds: float) -> dict[str, Any]:
    totals, counts = dataset.totals, _expected(expansion)
    for split in ("train", "test"):
        counts[split]["written"] = totals[split]
    return {
        "output": str(dataset.path),
        "seconds": round(seconds, 2),
        **counts,
        "bytes": totals["bytes"],
        "files": totals["files"],
        **_attributes(dataset),
        "peak_memory_bytes": peak_memory(),
    }


def _attributes(dataset: Dataset) -> dict[str, Any]:
    """Tell of the files of attributes, where there are any."""
    files = dataset.manifest.get("attributes", {})
    told = ("path", "rows", "bytes", "matched", "missing", "ignored")
    return {"attributes": {kind: {name: file[name] for name in told} for kind, file in files.items()}} if files else {}


def _print(content: dict[str, Any], as_json: bool, file: Any = None) -> None:
    file = file or sys.stdout
    if as_json:
        print(json.dumps(content, ensure_ascii=False), file=file)
        return
    width = max(len(name) for name in content)
    for name, value in content.items():
        print(f"{name.replace('_', ' '):<{width}}  {_readable(name, value)}", file=file)


def _readable(name: str, value: Any) -> str:
    if isinstance(value, dict):
        between = "; " if any(isinstance(inner, dict) for inner in value.values()) else ", "
        return between.join(f"{inner} {_readable(inner, number)}" for inner, number in value.items())
    if name.endswith("bytes") and isinstance(value, int):
        return readable(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


@app.command()
def validate(
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder of a complete data set.")],
    report: Annotated[
        Path | None, _option(FILES, "Write the report here: one HTML file.", value="FILE.html", default="none")
    ] = None,
    source: Annotated[
        str | None,
        _option(
            CHECKS,
            "What it was expanded from, for checks that need the real interactions; it is read and split again with "
            "the options that expand was given.",
            value="SOURCE",
        ),
    ] = None,
    only: Annotated[
        Literal["integrity", "fidelity"] | None,
        _option(
            CHECKS,
            "integrity: is it exactly what was planned? fidelity: does it keep the real statistics?",
            value="integrity|fidelity",
            default="both",
        ),
    ] = None,
    sha256: Annotated[bool, _flag(CHECKS, "--sha256", "Take the SHA-256 of every file too.")] = False,
    singular_values: Annotated[int, _option(CHECKS, "How many singular values are compared.", value="INT")] = 64,
    limits: Annotated[
        Path | None,
        _option(
            CHECKS,
            "Thresholds of your own, in lines such as 'gini of users' = 0.02 (inf: none).",
            "--thresholds",
            value="FILE.toml",
        ),
    ] = None,
    threads: Annotated[
        int | None, _option(RUNNING, "Threads.", value="INT", default="all this process may use")
    ] = None,
    as_json: Annotated[bool, _flag(RUNNING, "--json", "Print one JSON object on stdout.")] = False,
    quiet: Annotated[bool, _flag(RUNNING, "--quiet", "Say nothing but errors: the exit code tells.")] = False,
    no_progress: Annotated[bool, _flag(RUNNING, "--no-progress", "Show no progress bar.")] = False,
) -> None:
    """Check OUTPUT, all of it, against its plan and the real statistics; exit with 3 when something does not hold."""
    # Loaded here: it takes a while.
    from fractalrs.validation import read_thresholds
    from fractalrs.validation import validate as run

    say = _quiet if quiet else _say
    if report is not None and report.is_dir():
        raise InputError(f"the report {report} is a folder", hint="name a file, such as report.html")
    if report is not None and not report.absolute().parent.is_dir():
        raise InputError(f"the folder of the report {report} does not exist")
    own = None if limits is None else read_thresholds(limits)
    threads = resolve_threads(threads)
    try:
        dataset = Dataset(output)
        base = None if source is None else read_planned_base(source, output, say)
        with _log_to(say):
            found = run(
                dataset,
                base,
                only=only,
                singular_values=singular_values,
                sha256=sha256,
                thresholds=own,
                threads=threads,
                progress=not (quiet or no_progress),
            )
        if report is not None:
            say("drawing the report")
            found.to_html(report)
            say(f"report written to {report}")
    except KeyboardInterrupt:
        _say("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print(json.dumps(found.to_dict(), ensure_ascii=False))
    elif not quiet:
        print(found)
    if not found.holds:
        raise typer.Exit(UNTRUE)


@app.command()
def export(
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder of a complete data set.")],
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="Folder to make; it must not exist yet.")],
    format: Annotated[
        ExportFormat,
        _option(
            FILES,
            "reference-npz: the published program's files, an array of (user, item) for each row block. csv: train.csv "
            "and test.csv. recbole: atomic files. csr: arrays that SciPy maps into memory. sequences: Parquet, one row "
            "per user with lists.",
            value="NAME",
        ),
    ],
    as_json: Annotated[bool, _flag(RUNNING, "--json", "Print one JSON object on stdout.")] = False,
    quiet: Annotated[bool, _flag(RUNNING, "--quiet", "Say nothing but errors.")] = False,
    no_progress: Annotated[bool, _flag(RUNNING, "--no-progress", "Show no progress bar.")] = False,
) -> None:
    """Write OUTPUT in another program's format into DEST, which appears when all of it is written."""
    started = time.monotonic()
    dataset = Dataset(output)
    try:
        write_export(dataset, destination, format=format, progress=not (quiet or no_progress))
    except KeyboardInterrupt:
        _say(f"interrupted: nothing is left of {destination}")
        raise typer.Exit(INTERRUPTED) from None
    files = [file for file in destination.rglob("*") if file.is_file()]
    summary = {
        "destination": str(destination),
        "format": format,
        "seconds": round(time.monotonic() - started, 2),
        "train": dataset.totals["train"],
        "test": dataset.totals["test"],
        "bytes": sum(file.stat().st_size for file in files),
        "files": len(files),
        "peak_memory_bytes": peak_memory(),
    }
    if as_json:
        _print(summary, as_json)
    elif not quiet:
        _print(summary, as_json, sys.stderr)


@app.command()
def info(
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder of a data set.")],
    as_json: Annotated[bool, typer.Option("--json", metavar=" ", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Tell what is in OUTPUT."""
    dataset = Dataset(output)
    manifest = dataset.manifest
    content = {
        "output": str(output),
        "users": {"ids": dataset.shape[0]},
        "items": {"ids": dataset.shape[1]},
        "base": {"users": manifest["base_users"], "items": manifest["base_items"]},
        "multipliers": {"user": manifest["user_multiplier"], "item": manifest["item_multiplier"]},
        "profile": manifest["profile"],
        "shuffle": manifest["shuffle"],
        "operator": manifest["operator"],
        "order": manifest["order"],
        **dataset.totals,
        "parts": len(manifest["parts"]),
        "schema": {column["name"]: column["type"] for column in manifest["schema"]},
        **_attributes(dataset),
        "made_by": {"fractalrs": manifest["fractalrs"], "generator": manifest["generator"]},
        "private": "there: keep it at home" if Folder(output).plan() is not None else "not there",
    }
    _print(content, as_json)


@app.command()
def sample(
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="File to write: .csv or .parquet.")],
    users: Annotated[int, typer.Option(metavar="INT", help="Number of users: a count, not a file as in expand.")] = 943,
    items: Annotated[
        int, typer.Option(metavar="INT", help="Number of items: a count, not a file as in expand.")
    ] = 1682,
    interactions: Annotated[int, typer.Option(metavar="INT", help="Number of interactions.")] = 100_000,
    seed: Annotated[int, typer.Option(metavar="INT", help="The same seed gives the same sample.")] = 0,
) -> None:
    """Write the built-in sample: interactions of users with known tastes."""
    made = sample_interactions(users, items, interactions, seed)
    write_interactions(made, output)
    _say(f"{len(made):,} interactions written to {output}")
