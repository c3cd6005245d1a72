"""What ``--help`` shows: the common options and examples; ``--help-all`` shows all options.

Errors of a command name its options as they are typed: Python's ``user_column`` is ``--user-column``.
"""

import re
import sys
from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from fractalrs.cli.codes import INTERRUPTED
from fractalrs.errors import FractalrsError

_ALL = "--help-all"
_PYTHON = re.compile(r"\b(\w+)=(?:True\b|(?P<quote>['\"]?)([\w.]+)(?P=quote))")


class Shown(TyperCommand):
    """A command whose help is short unless all of it is asked for, and whose errors speak of its options."""

    common: tuple[str, ...] = ()
    """The options that ``--help`` shows; none given: all."""
    examples: tuple[str, ...] = ()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take ``--help-all`` for a longer ``--help``."""
        if _ALL in args[: args.index("--") if "--" in args else None]:
            ctx.meta[_ALL], args = True, ["--help"]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Name the arguments as they are explained."""
        return ["[OPTIONS]", *(_argument(one) for one in self.params if one.param_type_name == "argument")]

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Print usage, what the command does, its arguments, options and examples."""
        options: list[Any] = [one for one in self.params if one.param_type_name == "option"]
        shown = (
            options if ctx.meta.get(_ALL) or not self.common else [one for one in options if one.name in self.common]
        )
        shown = sorted(shown, key=lambda one: self.common.index(one.name)) if len(shown) < len(options) else shown
        panels: dict[str, list[tuple[str, str]]] = {}
        arguments: list[Any] = [one for one in self.params if one.param_type_name == "argument"]
        panels |= {"Arguments": [(_argument(one), one.help or "") for one in arguments]} if arguments else {}
        for one in shown:
            group = (one.rich_help_panel or "Options") if len(shown) == len(options) else "Common options"
            panels.setdefault(group, []).append((_names(one, ctx), _help(one)))
        more = ([(_ALL, f"Show all {len(options)} options.")] if len(shown) < len(options) else []) + [
            ("--help", "Show this and stop.")
        ]
        panels.setdefault("Help", []).extend(more)
        _show(ctx, self.help or "", panels, self.examples)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error names its options as they are typed."""
        try:
            return super().invoke(ctx)
        except FractalrsError as error:
            error.message = _as_typed(self.params, error.message)
            error.hint = error.hint and _as_typed(self.params, error.hint)
            raise


class ShownGroup(TyperGroup):
    """The program: its commands, what they do, and the options of all."""

    examples: tuple[str, ...] = ()

    def invoke(self, ctx: Any) -> Any:
        """Run a command; Ctrl-C ends one that does not answer it itself, while it is loaded too."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Print usage, what the program does, its commands and options."""
        panels = {"Commands": [(name, command.help or "") for name, command in self.commands.items()]}
        options = [(_names(one, ctx), _help(one)) for one in self.params if one.param_type_name == "option"]
        panels["Options"] = [*options, ("--help", "Show this and stop; `fractalrs COMMAND --help` explains a command.")]
        _show(ctx, self.help or "", panels, self.examples)


def _argument(one: Any) -> str:
    name: str = one.metavar or one.name.upper()
    return f"{name}…" if one.nargs == -1 else name


def _names(one: Any, ctx: Any) -> str:
    """Return the names of an option, and what stands for its value."""
    value = one.metavar or ("" if one.is_flag else one.display_type_rich(ctx) or "")
    names = ",\n".join((*one.opts, *one.secondary_opts))
    return f"{names} {value}".strip()


def _help(one: Any) -> str:
    default = one.show_default if isinstance(one.show_default, str) else None
    if one.show_default is True and not one.is_flag and one.default not in (None, (), [], ""):
        default = f"{one.default:g}" if isinstance(one.default, float) else str(one.default)
    return f"{one.help or ''}" + (f" \\[default: {default}]" if default not in (None, "none") else "")


def _show(ctx: Any, help: str, panels: dict[str, list[tuple[str, str]]], examples: Iterable[str]) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    console.print(Text(f"Usage: {ctx.command_path} {' '.join(ctx.command.collect_usage_pieces(ctx))}", style="bold"))
    console.print(f"\n{help}\n")
    widest = max(len(line) for rows in panels.values() for names, _ in rows for line in names.splitlines())
    for title, rows in panels.items():
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=widest, no_wrap=True)
        table.add_column(ratio=1)
        for names, text in rows:
            table.add_row(Text(names, style="cyan"), Text.from_markup(text))
        console.print(Panel(table, title=title, title_align="left", border_style="dim"))
    if examples:
        lines = Text("\n".join(examples), overflow="fold")
        console.print(Panel(lines, title="Examples", title_align="left", border_style="dim"))


def _as_typed(parameters: Iterable[Any], text: str) -> str:
    """Write Python's names of options as they are typed: ``user_column`` as ``--user-column``."""
    typed = {one.name: one.opts[0] for one in parameters if one.param_type_name == "option"}

    def assigned(match: re.Match[str]) -> str:
        if match[1] not in typed:
            return match[0]
        return f"{typed[match[1]]} {match[3] or ''}".rstrip()

    text = _PYTHON.sub(assigned, text)
    for name, option in typed.items():
        # One word may be meant as such, unless the sentence begins with it.
        where = rf"(?<![\w.-]){name}(?![\w.(-])" if "_" in name else rf"(?:^|(?<=; )|(?<=: )){name}(?= (?:is|must be) )"
        text = re.sub(where, option, text)
    # Hints that name both ways would say the same twice.
    return re.sub(r"(--[a-z-]+ \S+) \(\1\)", r"\1", text)
