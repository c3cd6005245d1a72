"""The commands, of which each is loaded when it is asked for: `fractalrs.cli.NAME` has the function `NAME`."""

from importlib import import_module
from typing import Annotated, Any

import typer

from fractalrs._core import GENERATOR, VERSION
from fractalrs.cli.help import Shown, ShownGroup

COMMANDS = {
    "expand": "Expand SOURCE into a Parquet data set in OUTPUT, by multipliers of users and items or to a target.",
    "finish": "Complete OUTPUT, whose parts were written by `fractalrs expand --part-range`: check that all are there "
    "and whole, and write the manifest.",
    "validate": "Check OUTPUT, all of it, against its plan and the real statistics; exit with 3 when something does "
    "not hold.",
    "verify": "Compare every byte of OUTPUT with what was written, name each file that is damaged, and exit with 3 "
    "then; --repair makes it again.",
    "backcast": "Expand sub-samples of SOURCE back to its size, and compare with SOURCE itself and with simple rivals: "
    "does expansion predict what more data would look like?",
    "rank": "Rank models on SOURCE and on what it would be expanded to: is the better one there the better one here, "
    "and how far can that be known?",
    "audit": "Attack what SOURCE would be expanded to, or OUTPUT with --source: are the people found that it was made "
    "of? Exit with 3 when they are.",
    "mix": "Write the train interactions of SOURCE to OUTPUT, and synthetic ones on the same catalogue beside them, to "
    "train on both.",
    "export": "Write OUTPUT in another program's format into DEST, which appears when all of it is written.",
    "publish": "Make the folder DEST that may be given away: OUTPUT checked, without what must stay at home, with a "
    "card for others.",
    "info": "Show what is in OUTPUT.",
    "download": "Download a public data set from its publisher, once: ml-100k, ml-1m, ml-20m, ml-25m, ml-32m or "
    "ml-latest-small; its name then stands for it as SOURCE.",
    "head": "Show the first interactions of OUTPUT.",
    "compare": "Show data sets, or their validation reports, side by side.",
    "sample": "Write the built-in sample: interactions of users with known tastes.",
    "simulate": "Write to OUTPUT what a logging policy shows to users of known preferences, with exact "
    "propensities, and how they respond.",
    "feedback": "Let a policy learn from what it shows itself, round after round in the world WORLD, and write the log "
    "to OUTPUT.",
}
"""Their names, and what they do."""

COMMON = {
    "expand": (
        *("user_multiplier", "item_multiplier", "target_interactions", "target_size", "profile"),
        *("timestamps", "seed", "config", "dry_run", "overwrite"),
    ),
    "validate": ("report", "source", "only", "json", "quiet"),
    "rank": (
        *("models", "k", "repeats", "most_users", "user_multiplier", "item_multiplier", "profile", "max_keep"),
        *("seed", "json", "quiet"),
    ),
    "mix": (
        *("ratio", "weight", "epoch", "user_multiplier", "item_multiplier", "profile", "timestamps", "seed", "quiet"),
    ),
    "audit": (
        *("source", "report", "attackers", "known", "most_advantage", "hold_out_users"),
        *("user_multiplier", "item_multiplier", "profile", "max_keep", "epsilon", "seed", "json", "quiet"),
    ),
}
"""The options that ``--help`` shows of commands that have many."""

EXAMPLES = {
    "expand": (
        "fractalrs expand ratings.csv out --user-multiplier 4 --item-multiplier 8",
        "fractalrs expand ratings.csv out --target-interactions 1B --dry-run",
    ),
    "finish": (
        "fractalrs expand ratings.csv out --target-interactions 1B --parts 64 --part-range 0:8",
        "fractalrs finish out",
    ),
    "validate": (
        "fractalrs validate out --report report.html",
        "fractalrs validate out --source ratings.csv --only integrity",
    ),
    "verify": ("fractalrs verify out", "fractalrs verify out --repair --source ratings.csv"),
    "backcast": ("fractalrs backcast ratings.csv --report backcast.html",),
    "rank": ("fractalrs rank ratings.csv --user-multiplier 4 --item-multiplier 4",),
    "mix": ("fractalrs mix ratings.csv both --ratio 0.2 --user-multiplier 4 --item-multiplier 4",),
    "audit": (
        "fractalrs audit ratings.csv --user-multiplier 16 --item-multiplier 32 --report audit.html",
        "fractalrs audit out --source ratings.csv",
    ),
    "export": ("fractalrs export out npz --format csr",),
    "publish": ('fractalrs publish out public --source-name "MovieLens 1M"',),
    "download": ("fractalrs download ml-1m", "fractalrs expand ml-1m out --user-multiplier 4 --item-multiplier 8"),
    "info": ("fractalrs info out", "fractalrs info out --recipe > recipe.toml"),
    "head": ("fractalrs head out", "fractalrs head out --split test --rows 20"),
    "compare": ("fractalrs compare small large",),
    "sample": ("fractalrs sample ratings.csv",),
    "simulate": (
        "fractalrs simulate log --users 10000 --items 2000 --interactions 1000000",
        "fractalrs simulate log --fit ratings.csv --policy popularity --rounds 2",
    ),
    "feedback": ("fractalrs feedback log loop --policy SVD --slate 10 --rounds 15 --report loop.html",),
}
"""One or two command lines of each."""

_SETTINGS: dict[str, Any] = {"rich_markup_mode": "rich", "pretty_exceptions_enable": False}


class _Later(Shown):
    """A command that is loaded when it gets its arguments."""

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **settings: Any) -> Any:
        """Parse arguments as the command itself does."""
        assert self.name is not None
        alone = typer.Typer(add_completion=False, **_SETTINGS)
        run = getattr(import_module(f"fractalrs.cli.{self.name}"), self.name)
        alone.command(self.name, cls=Shown, help=self.help)(run)
        loaded = typer.main.get_command(alone)
        assert isinstance(loaded, Shown)
        loaded.common, loaded.examples = COMMON.get(self.name, ()), EXAMPLES.get(self.name, ())
        return loaded.make_context(info_name, args, *more, **settings)


class _Commands(ShownGroup):
    """All of them."""

    examples = (EXAMPLES["expand"][0], EXAMPLES["validate"][0])

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, help in COMMANDS.items():
            self.add_command(_Later(name, callback=None, help=help, rich_markup_mode="rich"))


app = typer.Typer(
    cls=_Commands,
    help="Expand real user/item interactions into a realistic data set of industrial size.",
    no_args_is_help=True,
    **_SETTINGS,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"fractalrs {VERSION} (generator {GENERATOR})")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, metavar=" ", help="Print the version and stop."),
    ] = False,
) -> None:
    """Take the options of all commands."""
