"""How the options of two data sets differ, in the user's words."""

from collections.abc import Mapping
from typing import Any


def differences(there: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Return what differs between the options of a data set and those asked for, in the user's words: at most four."""
    old, new = flat(there), flat(asked)
    found = {
        name.rpartition(".")[2]: f"{name.rpartition('.')[2]} is {old.get(name)} there and {new.get(name)} here"
        for name in old | new
        if old.get(name) != new.get(name)
    }
    return list(found.values())[:4]


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return the values of an object, and of those inside it, by their names with dots between.

    Examples
    --------
    >>> flat({"a": {"b": 1}, "c": [2]})
    {'a.b': 1, 'c': [2]}
    """
    if not isinstance(value, Mapping):
        return {prefix: value}
    return {
        name: leaf for key, inner in value.items() for name, leaf in flat(inner, f"{prefix}.{key}".strip(".")).items()
    }
