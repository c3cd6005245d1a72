"""A world in a file, and with what it logs in a folder, which appears whole or not at all."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from fractalrs.errors import InputError, OutputError
from fractalrs.tools import (
    FileReport,
    ProgressCallback,
    as_path,
    digest_of_json,
    new_folder,
    new_place,
    require_disk,
    row_groups,
    write_labelled,
    write_text,
)

WORLD, MANIFEST = "world.json", "manifest.json"
NUMBER = 1
"""Of what `docs/simulation.md` defines; changing it makes other worlds of the same file."""
_BEGINS = b'{"simulation": '
_PART = 1 << 24
"""A part has about so many exposures."""
_ROW_GROUP = 1 << 20
_ROW_BYTES = 18
"""A row takes about so many, at most."""
_CARD = """---
configs:
  - config_name: default
    data_files: "round=*/*.parquet"
---

# A simulated log with known truth

{rows:,} rows of {users:,} made-up users and {items:,} made-up items, shown by the policy `{policy}`{kept}.
No real person is in it.

| column | what |
|---|---|
| `user_id`, `item_id` | from 0 on |
| `timestamp` | when the item was shown |
| `position` | in the slate, from 0 on |
| `propensity` | the probability that the policy shows the user this item in a round: exact |
| `response` | whether the user looked at the item and liked it |
| `rating` | 1 to 5 where there is a response: 1 + a binomial number of 4 with the preference |

`world.json` has all that the log was made of: `fractalrs.World.open` of this folder gives the true preference and the
propensity of any user and item. What preferences are assumed to be is on the page "Simulation" of the documentation of
fractalrs. Such a log tells whether a method finds what is there; it tells nothing about people.
"""


class Log(Protocol):
    """What is logged of some users in a round."""

    @property
    def schema(self) -> pa.Schema: ...  # noqa: D102

    @property
    def users(self) -> tuple[int, int]: ...  # noqa: D102

    @property
    def only_responses(self) -> bool: ...  # noqa: D102

    @property
    def round(self) -> int: ...  # noqa: D102

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...


def require_saved(policy: object | None, name: str) -> None:
    """Refuse a world whose policy is a function."""
    if policy is not None:
        raise InputError(
            f"the policy {name} is a function, which no file can hold",
            hint="keep the program that makes it, and write what it logs: pyarrow takes world.observations()",
        )


def write_world(path: str | os.PathLike[str], text: str) -> None:
    """Write the text of a world to a new file."""
    target = new_place(path)
    if not target.parent.is_dir():
        raise OutputError(f"the folder of {target} does not exist", hint="create it first")
    write_text(target, text)


def require_log(path: str | os.PathLike[str], rows: float) -> None:
    """Refuse a place where something is, or with too little room for about so many rows."""
    require_disk(new_place(path), rows * _ROW_BYTES, "free some, choose another disk, or write fewer rounds")


def write_log(
    path: str | os.PathLike[str],
    spec: Mapping[str, Any],
    policy: str,
    logs: Iterable[Log],
    parts: int,
    progress: ProgressCallback,
) -> int:
    """Write a world, and logs of rounds, each of so many ranges of users, to a new folder; return their rows."""
    only_responses, rows = False, 0
    files: dict[str, FileReport] = {}
    with new_folder(new_place(path)) as folder:
        for number, log in enumerate(logs):
            name = f"round={log.round:04}/part-{number % parts:05}-of-{parts:05}.parquet"
            files[name] = _write_part(folder / name, log, rows, number, progress)
            rows, only_responses = rows + files[name]["rows"], log.only_responses
        _describe(folder, spec, policy, files, only_responses)
    return rows


def ranges_of(users: int, exposures: int) -> list[tuple[int, int]]:
    """Return the users of each part of a round.

    Examples
    --------
    >>> ranges_of(10, 20_000_000)
    [(0, 5), (5, 10)]
    """
    parts = min(users, max(1, -(-exposures // _PART)))
    return list(pairwise(users * part // parts for part in range(parts + 1)))


def read_world(path: str | os.PathLike[str]) -> tuple[dict[str, Any], str]:
    """Return what is saved of a world, and the name of its policy."""
    file = as_path("path", path)
    file = file / WORLD if file.is_dir() else file
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
        spec, policy, number = saved["spec"], saved["policy"], saved["simulation"]
        whole = digest_of_json(spec) == saved["blake3"]
        if not isinstance(spec, dict) or not isinstance(policy, str):
            raise TypeError
    except FileNotFoundError:
        raise InputError(f"{file} is not there: there is no world", hint="fractalrs simulate writes one") from None
    except (ValueError, KeyError, TypeError, OSError):
        raise InputError(f"{file} is no saved world, or is damaged", hint="write it again") from None
    if number != NUMBER:
        message = f"{file} is a world of number {number}, and this version makes those of number {NUMBER}"
        raise InputError(message, hint="read it with the version that wrote it, or simulate it again")
    if not whole:
        raise InputError(f"{file} is damaged: it is not what was written", hint="write it again")
    return spec, policy


def rounds_logged(path: str | os.PathLike[str]) -> int:
    """Return how many rounds are in a folder that ``fractalrs simulate`` wrote, by its manifest; 0 where it is none.

    Examples
    --------
    >>> import tempfile
    >>> import fractalrs as fr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = fr.simulate(60, 40, 600).write(f"{folder}/log", rounds=2)
    ...     rounds_logged(f"{folder}/log"), rounds_logged(folder)
    (2, 0)
    """
    folder = Path(path)
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        rounds = {name.partition("/")[0] for name in manifest["files"]}
        return len(rounds) if "simulation" in manifest and (folder / WORLD).is_file() else 0
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0


def is_saved_world(file: Path) -> bool:
    """Return whether a file is a saved world, by how it begins.

    Examples
    --------
    >>> import tempfile
    >>> import fractalrs as fr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fr.simulate(60, 40, 600).save(f"{folder}/mine.json")
    ...     is_saved_world(Path(folder, "mine.json")), is_saved_world(Path(folder))
    (True, False)
    """
    # To open a pipe is to wait for whoever writes to it.
    if not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            return stream.read(len(_BEGINS)) == _BEGINS
    except OSError:
        return False


def world_text(spec: Mapping[str, Any], policy: str) -> str:
    """Return a world as its file has it."""
    whole = {"simulation": NUMBER, "policy": policy, "spec": dict(spec), "blake3": digest_of_json(dict(spec))}
    return json.dumps(whole) + "\n"


def _write_part(file: Path, log: Log, before: int, number: int, progress: ProgressCallback) -> FileReport:
    file.parent.mkdir(exist_ok=True)
    labels = {"fractalrs.simulation": str(NUMBER)}

    def report(rows: int, _: int) -> None:
        progress(before + rows, number)

    with file.open("wb") as stream:
        return write_labelled(stream, row_groups(log, _ROW_GROUP), log.schema, "zstd(1)", _ROW_GROUP, labels, report)


def _describe(
    folder: Path, spec: Mapping[str, Any], policy: str, files: Mapping[str, FileReport], only_responses: bool
) -> None:
    rows = sum(file["rows"] for file in files.values())
    facts = {"rows": rows, "users": spec["users"], "items": spec["items"], "policy": policy}
    kept = "; exposures without a response are left out" if only_responses else ""
    more = {"simulation": NUMBER, "seed": spec["seed"], "only_responses": only_responses, "files": dict(files)}
    (folder / WORLD).write_text(world_text(spec, policy), encoding="utf-8")
    (folder / "README.md").write_text(_CARD.format(**facts, kept=kept), encoding="utf-8")
    (folder / MANIFEST).write_text(json.dumps({**facts, **more}, indent=2) + "\n", encoding="utf-8")
