"""`fractalrs feedback`."""

from pathlib import Path
from typing import Annotated

import typer

from fractalrs.cli import INTERRUPTED
from fractalrs.cli.output import Json, NoProgress, check_report, flag, json_text, option, print_note
from fractalrs.errors import InputError
from fractalrs.expansion import Group
from fractalrs.rounds import POLICIES, Feedback, FeedbackReport, side_by_side
from fractalrs.rounds import feedback as run
from fractalrs.simulation import World
from fractalrs.tools import notes_on_stderr, printable

SHOWN, HEARD = "What is shown", "What is heard"


def feedback(
    world: Annotated[
        Path, typer.Argument(metavar="WORLD", help="A world.json, or a folder of `fractalrs simulate` or of a loop.")
    ],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder to write, or to go on in.")],
    policy: Annotated[str, option(SHOWN, f"One of {', '.join(POLICIES)}.", value="TEXT")] = "SVD",
    rounds: Annotated[int, option(SHOWN, "Rounds; more than there are go on.", value="INT")] = 10,
    slate: Annotated[
        int | None, option(SHOWN, "Items that each user is shown in a round.", value="INT", default="as the world has")
    ] = None,
    epsilon: Annotated[
        float,
        option(
            SHOWN, "Probability that in a place of a slate any item that is not kept is tried.", value="PROBABILITY"
        ),
    ] = 0.0,
    once: Annotated[
        bool, flag(SHOWN, "--once", "Show no item again that a user is known to have responded to.")
    ] = False,
    missing: Annotated[
        float, option(HEARD, "Probability that the policy never hears of a response.", value="PROBABILITY")
    ] = 0.0,
    late: Annotated[
        float, option(HEARD, "… that it hears of one a round later, again and again.", value="PROBABILITY")
    ] = 0.0,
    leave: Annotated[
        float, option(HEARD, "… that a user without a response in a round leaves for good.", value="PROBABILITY")
    ] = 0.0,
    report: Annotated[
        Path | None,
        option(Group.FILES, "Write figures by round here: one HTML file.", value="FILE.html", default="none"),
    ] = None,
    beside: Annotated[
        list[Path] | None,
        option(
            Group.FILES,
            "Other loops for the report, those that differ in seed or world as a band. May be repeated.",
            value="DIR",
        ),
    ] = None,
    parts: Annotated[
        int | None, option(Group.RUNNING, "Files of a round.", value="INT", default="4 M exposures each")
    ] = None,
    seed: Annotated[int, option(Group.RUNNING, "The same seed gives the same loop.", value="INT")] = 0,
    threads: Annotated[
        int | None, option(Group.RUNNING, "Threads.", value="INT", default="all this process may use")
    ] = None,
    as_json: Json = False,
    quiet: Annotated[bool, flag(Group.RUNNING, "--quiet", "Print the table, or JSON, and nothing else.")] = False,
    no_progress: NoProgress = False,
) -> None:
    """Run the command."""
    check_report(report)
    others = _others(output, beside or [], rounds)
    with notes_on_stderr(not quiet):
        try:
            made = run(
                World.open(world),
                policy,
                rounds,
                slate,
                path=output,
                epsilon=epsilon,
                seed=seed,
                once=once,
                missing=missing,
                late=late,
                leave=leave,
                parts=parts,
                threads=threads,
                progress=not (quiet or no_progress),
            )
        except KeyboardInterrupt:
            print_note(f"interrupted: the same command goes on in {output}")
            raise typer.Exit(INTERRUPTED) from None
    found = FeedbackReport(side_by_side((made, *others)))
    if report is not None:
        found.to_html(report)
    print(json_text(found.to_dict()) if as_json else printable(str(found)))


def _others(output: Path, beside: list[Path], rounds: int) -> list[Feedback]:
    """Return the loops of other folders; refuse one that is given twice, or has another number of rounds."""
    found, places = [], {output.resolve()}
    for path in beside:
        if path.resolve() in places:
            raise InputError(f"{path} is given twice", hint="name each folder once; OUTPUT is in the report anyway")
        places.add(path.resolve())
        loop = Feedback.open(path)
        if len(loop.rounds) != rounds:
            what = f"{path} has {len(loop.rounds)} rounds that are complete, and rounds is {rounds}"
            raise InputError(what, hint=f"give --rounds {len(loop.rounds)}, or another folder" if loop.rounds else None)
        found.append(loop)
    return found
