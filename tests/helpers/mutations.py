"""Files that are damaged as disks, networks and people damage them, by a seed: it is all it takes to see one again."""

import gzip
import json
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

import fractalrs as fr
from fractalrs.errors import FractalrsError

SUFFIXES = (".csv", ".csv.gz", ".zip", ".tar.gz", ".parquet", ".json", ".npz", ".mtx", ".inter")
"""Of the kinds of sources that are damaged here."""
CORPUS = Path(__file__).resolve().parents[1] / "corpus"
"""Files that once made a reader fall, stand still or take what is no data, or nearly did."""
WORDS = (b"\xff" * 8, b"\x00" * 8, b"9" * 12, b"-1", b"[[[[", b'{"a":', b"1e999", b"null", b"\x80abc", b'"', b"NaN")


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Return bytes with one to three changes."""
    found = bytearray(content)
    for _ in range(draw.randint(1, 3)):
        at, kind = draw.randrange(len(found) + 1), draw.randrange(7)
        if kind == 0 and at < len(found):
            found[at] ^= 1 << draw.randrange(8)
        elif kind == 1 and at < len(found):
            found[at] = draw.randrange(256)
        elif kind == 2:
            del found[at:]
        elif kind == 3:
            del found[at : at + draw.randint(1, 16)]
        elif kind == 4:
            found[at:at] = draw.choice(WORDS)
        elif kind == 5:
            word = draw.choice(WORDS)
            found[at : at + len(word)] = word
        else:
            found += draw.choice(WORDS)
    return bytes(found)


def spoiled(folder: Path, names: list[str], seeds: range) -> Iterator[tuple[int, str]]:
    """Spoil one file of a folder after another, by a seed each, and say which; in the end all are whole."""
    whole = {name: (folder / name).read_bytes() for name in names}
    for seed in seeds:
        draw = random.Random(seed)
        name = draw.choice(names)
        changed = mutated(whole[name], draw)
        if changed != whole[name]:
            (folder / name).write_bytes(changed)
            yield seed, name
        (folder / name).write_bytes(whole[name])


def unexpected(folder: Path, names: list[str], seeds: range, use: Callable[[], object]) -> list[str]:
    """Use a folder spoiled by each seed; return what was raised that is no refusal, and by which seed."""
    found = []
    for seed, name in spoiled(folder, names, seeds):
        try:
            use()
        except (FractalrsError, FileNotFoundError, PermissionError):
            pass
        except Exception as error:
            found.append(f"seed {seed}, {name}: {type(error).__name__}: {error}")
    return found


VALUES: tuple[Any, ...] = (
    None,
    True,
    7.5,
    1e30,
    "x",
    "",
    [],
    {},
    [1],
    {"a": 1},
    0,
    -1,
    3,
    10**9,
    2**63,
    10**40,
    "../x",
)


def changed_value(content: Any, draw: random.Random) -> Any:
    """Return a JSON value with one of its values, or names, replaced."""
    if not isinstance(content, dict | list) or not content or draw.random() < 0.08:
        return draw.choice(VALUES)
    if isinstance(content, list):
        at = draw.randrange(len(content))
        return [*content[:at], changed_value(content[at], draw), *content[at + 1 :]]
    name = draw.choice(sorted(content))
    if draw.random() < 0.1:
        return {other: value for other, value in content.items() if other != name}
    if draw.random() < 0.1:
        return {f"{other}x" if other == name else other: value for other, value in content.items()}
    return content | {name: changed_value(content[name], draw)}


def source(folder: Path, suffix: str) -> Path:
    """Write a small source of a kind."""
    made, path = fr.sample_interactions(30, 20, 200), folder / f"s{suffix}"
    fr.write_interactions(made, folder / "plain.csv")
    text = (folder / "plain.csv").read_bytes()
    rows = [line.split(",") for line in text.decode().split()[1:]]
    if suffix == ".csv":
        path.write_bytes(text)
    elif suffix == ".csv.gz":
        path.write_bytes(gzip.compress(text))
    elif suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("ratings.csv", text)
    elif suffix == ".tar.gz":
        with tarfile.open(path, "w:gz") as tar:
            tar.add(folder / "plain.csv", "ratings.csv")
    elif suffix == ".parquet":
        fr.write_interactions(made, path)
    elif suffix == ".json":
        path.write_text("\n".join(json.dumps({"user": row[0], "item": row[1]}) for row in rows))
    elif suffix == ".npz":
        users, items = (np.array([int(row[at]) for row in rows]) for at in (0, 1))
        sp.save_npz(path, sp.coo_array((np.ones(len(rows)), (users, items))).tocsr())
    elif suffix == ".mtx":
        lines = "".join(f"{int(row[0]) + 1} {int(row[1]) + 1} 1\n" for row in rows)
        path.write_text(f"%%MatrixMarket matrix coordinate integer general\n31 21 {len(rows)}\n{lines}")
    else:
        path.write_text("user_id:token\titem_id:token\n" + "".join(f"{row[0]}\t{row[1]}\n" for row in rows))
    return path
