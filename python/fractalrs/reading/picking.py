"""Which of many files hold the interactions: the members of an archive, the files of a folder."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from fractalrs.errors import InputError
from fractalrs.reading.stored import COMPRESSED_SUFFIXES

_SUFFIXES: tuple[str, ...] = (
    ".csv",
    ".tsv",
    ".tab",
    ".txt",
    ".dat",
    ".data",
    ".inter",
    ".json",
    ".jsonl",
    ".ndjson",
    ".npz",
    ".mtx",
)
_SUFFIXES += (".parquet", ".parq", ".pq")
_ASIDE = re.compile(r"(readme|licen[cs]e|citation|changelog|changes|notice|copying|checksums?|md5|sha)", re.IGNORECASE)
_WORDS = ("ratings", "rating", "interactions", "interaction", "reviews", "review", "events", "clicks", "combined")
"""What files of interactions are called: earlier ones win."""
_SHOWN = 8


def picked(names: Sequence[str], where: str) -> tuple[list[str], list[str]]:
    """Return the names of the files that hold the interactions, parts of one table, and those of the other tables.

    Raises
    ------
    InputError
        If there is none, or more than one might be meant.

    Examples
    --------
    >>> picked(["ml/README.txt", "ml/movies.csv", "ml/ratings.csv"], "ml.zip")
    (['ml/ratings.csv'], ['ml/movies.csv'])
    """
    tables = [name for name in sorted(names) if _is_table(PurePosixPath(name))]
    if not tables:
        saw = ", ".join(sorted(names)[:_SHOWN]) or "nothing"
        raise InputError(f"{where} holds no table; saw {saw}", hint="name a file, or a folder that holds one table")
    groups: dict[str, list[str]] = {}
    for name in tables:
        groups.setdefault(_series(name), []).append(name)
    chosen = next(iter(groups.values())) if len(groups) == 1 else _by_word(list(groups.values()))
    if chosen is None:
        more = f" and {len(tables) - _SHOWN} more" if len(tables) > _SHOWN else ""
        raise InputError(
            f"{where} holds more than one table: {', '.join(tables[:_SHOWN])}{more}",
            hint="name the one with the interactions; one in an archive must be unpacked",
        )
    return chosen, [name for name in tables if name not in chosen]


def _is_table(path: PurePosixPath) -> bool:
    if any(part.startswith((".", "_")) and part not in (".", "..") for part in path.parts) or _ASIDE.match(path.name):
        return False
    inner = path.with_suffix("") if path.suffix.lower() in COMPRESSED_SUFFIXES else path
    return inner.suffix.lower() in _SUFFIXES or path.name.startswith(("part-", "out.")) or inner.name.lower() in _WORDS


def _series(name: str) -> str:
    """Return what the names of all parts of a table share: they differ in numbers, or in what engines add to them."""
    path = PurePosixPath(name)
    if path.name.startswith("part-"):
        return "part-" + "".join(path.suffixes[-2:])
    # Keys of Hive say what differs between parts.
    folder = re.sub(r"(^|/)([^/=]+)=[^/]*", r"\1\2=", str(path.parent))
    return "/".join((folder, re.sub(r"\d+", "#", path.name)))


def _by_word(groups: list[list[str]]) -> list[str] | None:
    stems = [PurePosixPath(group[0]).name.lower().partition(".")[0] for group in groups]
    for word in _WORDS:
        for fits in (lambda stem, word=word: stem == word, lambda stem, word=word: word in re.split(r"[\W_\d]+", stem)):
            found = [group for group, stem in zip(groups, stems, strict=True) if fits(stem)]
            if len(found) == 1:
                return found[0]
            if found:
                return None
    return None
