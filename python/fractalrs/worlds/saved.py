"""A world in a file: the whole numbers that it is made of."""

import json
import os
from collections.abc import Mapping
from typing import Any

from fractalrs.errors import InputError, OutputError
from fractalrs.tools import as_path, digest_of_json, whole_file

WORLD = "world.json"
NUMBER = 1
"""Of what `docs/simulation.md` defines; changing it makes other worlds of the same file."""


def write_world(path: str | os.PathLike[str], spec: Mapping[str, Any], policy: str) -> None:
    """Write a world to a new file."""
    target = as_path("path", path).absolute()
    if os.path.lexists(target):
        raise OutputError(f"{target} exists already", hint="choose another name")
    if not target.parent.is_dir():
        raise OutputError(f"the folder of {target} does not exist", hint="create it first")
    whole = {"simulation": NUMBER, "policy": policy, "spec": dict(spec), "blake3": digest_of_json(dict(spec))}
    with whole_file(target) as temporary:
        temporary.write_text(json.dumps(whole) + "\n", encoding="utf-8")


def read_world(path: str | os.PathLike[str]) -> tuple[dict[str, Any], str]:
    """Return what is saved of a world, and the name of its policy."""
    file = as_path("path", path)
    file = file / WORLD if file.is_dir() else file
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
        spec, policy, number = saved["spec"], saved["policy"], saved["simulation"]
        whole = digest_of_json(spec) == saved["blake3"]
    except FileNotFoundError:
        raise InputError(f"{file} is not there: there is no world", hint="fractalrs simulate writes one") from None
    except (ValueError, KeyError, TypeError, OSError):
        raise InputError(f"{file} is no saved world, or is damaged", hint="write it again") from None
    if number != NUMBER:
        raise InputError(f"{file} is a world of number {number}, and this version makes those of number {NUMBER}")
    if not whole:
        raise InputError(f"{file} is damaged: it is not what was written", hint="write it again")
    return spec, policy
