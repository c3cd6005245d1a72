"""`fractalrs simulate`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fractalrs.cli import INTERRUPTED
from fractalrs.cli.output import NoProgress, Quiet, flag, option, print_note
from fractalrs.expansion import Group
from fractalrs.simulation import simulate as run
from fractalrs.tools import check_count, new_place, notes_on_stderr, resolve_threads

SIZE, SHOWN, LIKED = "Size", "What is shown", "What is liked"


def simulate(
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder to write, which must not exist.")],
    users: Annotated[
        int | None, option(SIZE, "Users; with --fit, those who respond.", value="INT", default="943, or as --fit has")
    ] = None,
    items: Annotated[
        int | None, option(SIZE, "Items; with --fit, those seen.", value="INT", default="1682, or as --fit has")
    ] = None,
    interactions: Annotated[
        int | None, option(SIZE, "About so many responses a round.", value="INT", default="100000, or as --fit has")
    ] = None,
    rounds: Annotated[int, option(SIZE, "Rounds that are logged.", value="INT")] = 1,
    only_responses: Annotated[bool, flag(SIZE, "--only-responses", "Leave out exposures without a response.")] = False,
    policy: Annotated[
        str, option(SHOWN, "uniform, popularity, or a power such as popularity^0.5.", value="TEXT")
    ] = "popularity",
    slate: Annotated[int, option(SHOWN, "Items shown together.", value="INT")] = 1,
    position_bias: Annotated[
        float, option(SHOWN, "How attention falls with the position s in a slate: (s + 1)^-BIAS.", value="BIAS")
    ] = 0.0,
    fit: Annotated[
        str | None,
        option(LIKED, "Real interactions that the log is to resemble, as `expand` reads them.", value="SOURCE"),
    ] = None,
    taste: Annotated[float, option(LIKED, "How much tastes count, as a factor.", value="FLOAT")] = 1.0,
    seed: Annotated[int, option(Group.RUNNING, "The same seed gives the same world.", value="INT")] = 0,
    threads: Annotated[
        int | None, option(Group.RUNNING, "Threads for writing.", value="INT", default="all this process may use")
    ] = None,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> None:
    """Run the command."""
    check_count("rounds", rounds, least=1)
    resolve_threads(threads)
    new_place(output)
    how: dict[str, Any] = {"policy": policy, "slate": slate, "position_bias": position_bias, "taste": taste}
    with notes_on_stderr(not quiet):
        try:
            made = run(*(users, items, interactions, seed), fit=fit, **how)
            rows = made.write(
                output,
                only_responses=only_responses,
                rounds=rounds,
                threads=threads,
                progress=not (quiet or no_progress),
            )
        except KeyboardInterrupt:
            print_note("interrupted")
            raise typer.Exit(INTERRUPTED) from None
    if not quiet:
        what = "responses" if only_responses else "exposures"
        print_note(f"{rows:,} {what} written to {output}")
