"""The pages of the documentation that are made from the program: the API and the command line."""

import inspect
from importlib import import_module

import typer
from typer.cli import get_docs_for_click

import fractalrs
from fractalrs import plot
from fractalrs.cli.commands import COMMANDS

GROUPS = {
    "Everything in one call": ("fractalrs.workflow",),
    "Reading": ("fractalrs.reading",),
    "The base": ("fractalrs.base",),
    "The expansion": ("fractalrs.expansion",),
    "The data set": ("fractalrs.dataset",),
    "Streams": ("fractalrs.passes", "fractalrs.loading"),
    "Exports": ("fractalrs.formats",),
    "Validation": ("fractalrs.validation", "fractalrs.evaluation"),
    "Privacy": ("fractalrs.privacy",),
    "Worlds of known truth": ("fractalrs.simulation", "fractalrs.rounds"),
}
"""Headings, and the packages whose names stand below each; any other package comes last."""

ADAPTERS = (
    "fractalrs.loading.Batches",
    "fractalrs.loading.Histories",
    "fractalrs.polars.scan",
    "fractalrs.hub.iterable",
    "fractalrs.torch.ExpansionDataset",
    "fractalrs.torch.HistoryDataset",
    "fractalrs.gym.Environment",
    "fractalrs.engines.spark.ExpansionSource",
    "fractalrs.engines.spark.write",
    "fractalrs.engines.ray.read",
    "fractalrs.engines.ray.write",
)
"""What is imported from modules of its own, each of which needs a library of the user's."""


MODELS = tuple(
    f"fractalrs.models.{name}"
    for name in (
        "Popularity",
        "ItemKNN",
        "UserKNN",
        "TruncatedSVD",
        "EASE",
        "RP3beta",
        "IALS",
        "BPR",
        "BM25",
        "Recommender",
    )
)
"""Recommenders, which are imported from their own package."""


def plots() -> list[str]:
    """Name what draws."""
    functions = inspect.getmembers(plot, inspect.isfunction)
    own = [name for name, function in functions if function.__module__.startswith(plot.__name__)]
    return [f"fractalrs.plot.{name}" for name in own if not name.startswith("_")]


def public_names() -> list[str]:
    """Name all that is public, from the package's own face."""
    return [*(f"fractalrs.{name}" for name in fractalrs.__all__), *plots(), *MODELS, *ADAPTERS]


def api_page() -> str:
    """List every public name below the heading of its package, each with a page of its own."""
    below: dict[str, list[str]] = {heading: [] for heading in (*GROUPS, "Figures", "Errors and progress")}
    for name in fractalrs.__all__:
        value = getattr(fractalrs, name)
        package = ".".join(value.__module__.split(".")[:2])
        heading = next((heading for heading, packages in GROUPS.items() if package in packages), "Errors and progress")
        below[heading].append(f"fractalrs.{name}")
    below["Figures"] = plots()
    below["Recommenders"] = [*MODELS]
    below["Trainers and readers"] = [*ADAPTERS]
    lines = [
        "Python",
        "======",
        "",
        "``import fractalrs as fr``. What is named here is public; all else may change.",
        "",
    ]
    for heading, names in below.items():
        lines += [heading, "-" * len(heading), "", ".. autosummary::", "   :toctree: api", "   :nosignatures:", ""]
        lines += [*(f"   {name}" for name in names), ""]
    return "\n".join(lines)


def command_page() -> str:
    """Write down what `fractalrs COMMAND --help` says, all options of all commands."""
    pages = ["# Command line\n\nPrinted by the program itself: `fractalrs COMMAND --help`.\n"]
    for name, purpose in COMMANDS.items():
        alone = typer.Typer(add_completion=False)
        alone.command(name, help=purpose)(getattr(import_module(f"fractalrs.cli.{name}"), name))
        command = typer.main.get_command(alone)
        for parameter in command.params:
            # Help may show the common options alone; this page has all.
            vars(parameter)["hidden"] = False
        title = f"fractalrs {name}"
        text = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name=title), name=title)
        pages.append(f"#{text}")
    return "\n".join(pages)
