"""What commands print, and the options by which that is chosen."""

import importlib
import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import typer

from fractalrs.cli.codes import UNTRUE
from fractalrs.dataset import Dataset
from fractalrs.errors import InputError
from fractalrs.expansion import Group, Option
from fractalrs.tools import SCHEMES, ObjectStore, Place, drawing, printable, readable, url_scheme
from fractalrs.workflow import SAMPLE


def option(group: str, help: str, *names: str, value: str | None = None, default: str | None = None) -> Any:
    """Declare an option; `value` stands for what it takes, `default` for a default that the data or a profile give."""
    return typer.Option(*names, help=help, rich_help_panel=group, metavar=value, show_default=default or True)


def flag(group: str | None, name: str, help: str) -> Any:
    """Declare an option without a value."""
    # A blank keeps "<bool>" out of the help.
    return typer.Option(name, help=help, rich_help_panel=group, metavar=" ", show_default=False)


def parameter(declared: Option) -> inspect.Parameter:
    """Return an option of a recipe as a parameter of the command."""
    kind = declared.command or (Literal[tuple(declared.choices)] if declared.choices else declared.kind)
    kind = list[str] if kind == tuple[str, ...] else kind
    name = f"--{declared.name.replace('_', '-')}"
    if kind is bool and not declared.spelling:
        info = flag(declared.group, name, declared.help)
    else:
        names = declared.spelling or (name,)
        info = option(declared.group, declared.help, *names, value=declared.value, default=declared.unset)
    default = declared.argument.default
    annotation = Annotated[kind | None if default is None else kind, info]  # type: ignore[valid-type]
    return inspect.Parameter(declared.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="Interactions: CSV, TSV, JSON, RecBole .inter, Parquet, SciPy .npz, one user per line, compressed or in a "
        "zip or tar archive; a folder of them; a log of `fractalrs simulate`, or its world.json; a URL such as s3://; "
        f"ml-20m and the like; or {SAMPLE!r}, built in.",
    ),
]
Complete = Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder or URL of a complete data set.")]
StorageOption = Annotated[
    list[str] | None,
    option(
        Group.RUNNING,
        "Of the object store that OUTPUT is in, where the environment does not say it: endpoint=http://127.0.0.1:9000. "
        "May be repeated.",
        "--storage-option",
        value="KEY=VALUE",
    ),
]
Json = Annotated[bool, flag(Group.RUNNING, "--json", "Print one JSON object on stdout.")]
Quiet = Annotated[bool, flag(Group.RUNNING, "--quiet", "Say nothing but errors.")]
NoProgress = Annotated[bool, flag(Group.RUNNING, "--no-progress", "Show no progress bar.")]


def place_of(output: Path, storage_option: list[str] | None) -> Place:
    """Return the folder or object store that an argument names; refuse options that are none, without their values."""
    # A path has fewer slashes than a URL.
    if url_scheme(f"{output}/") not in SCHEMES:
        if storage_option:
            raise InputError(f"storage_option is given, but {output} is in no object store", "leave it out")
        return output
    pairs = [each.partition("=") for each in storage_option or ()]
    if not all(key and equals for key, equals, _ in pairs):
        # It may be the credentials: they are not shown.
        raise InputError("a storage_option is no KEY=VALUE", hint="give endpoint=http://127.0.0.1:9000, and the like")
    return ObjectStore(str(output), {key: value for key, _, value in pairs})


def check_report(report: Path | None) -> None:
    """Refuse a report that could not be drawn or written: work of minutes or hours would be lost."""
    if report is None:
        return
    if report.is_dir():
        raise InputError(f"the report {report} is a folder", hint="name a file, such as report.html")
    if not report.absolute().parent.is_dir():
        raise InputError(f"the folder of the report {report} does not exist", hint="create it first")
    with drawing():
        importlib.import_module("fractalrs.plot")


def is_typed(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line."""
    place = context.get_parameter_source(name)
    return place is not None and place.name == "COMMANDLINE"


def print_note(message: str) -> None:
    """Print a message on stderr."""
    print(printable(message), file=sys.stderr)


def json_text(content: Any) -> str:
    """Return a value as one line of JSON; of what it says a terminal sees no control characters."""
    text = json.dumps(content, ensure_ascii=False)
    return (
        "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text) if not text.isprintable() else text
    )


def print_summary(content: dict[str, Any], as_json: bool, quiet: bool) -> None:
    """Print what was done: one JSON object on stdout, or lines on stderr unless all is to be quiet."""
    if as_json or not quiet:
        print_content(content, as_json, None if as_json else sys.stderr)


def print_content(content: dict[str, Any], as_json: bool, file: Any = None) -> None:
    """Print names and values: one JSON object, or a line each."""
    if as_json:
        print(json_text(content))
        return
    width = max(len(name) for name in content)
    for name, value in content.items():
        shown = printable(_readable(name, value), also="")
        print(f"{name.replace('_', ' '):<{width}}  {shown}", file=file or sys.stdout)


class Judged(Protocol):
    """What was found, and whether it is as it must be."""

    @property
    def holds(self) -> bool:
        """Whether it is."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        ...


def print_judgement(found: Judged, as_json: bool, quiet: bool) -> None:
    """Print what was found, as text or JSON; end with its exit code where something does not hold."""
    if as_json:
        print(json_text(found.to_dict()))
    elif not quiet:
        print(printable(str(found)))
    if not found.holds:
        raise typer.Exit(UNTRUE)


def attributes_of(dataset: Dataset) -> dict[str, Any]:
    """Return what is known of the files of attributes, where there are any."""
    known = ("path", "rows", "bytes", "matched", "missing", "ignored")
    found = {kind: {name: getattr(file, name) for name in known} for kind, file in dataset.attributes.items()}
    return {"attributes": found} if found else {}


def warnings_of(warnings: Sequence[str]) -> dict[str, Any]:
    """Return what is to be shown of warnings, where there are any."""
    return {"warnings": list(warnings)} if warnings else {}


def _readable(name: str, value: Any) -> str:
    if isinstance(value, dict):
        between = "; " if any(isinstance(inner, dict) for inner in value.values()) else ", "
        return between.join(f"{inner} {_readable(inner, number)}" for inner, number in value.items())
    if isinstance(value, list):
        return " ".join(map(str, value))
    if name.endswith("bytes") and isinstance(value, int):
        return readable(value)
    return f"{value:.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
