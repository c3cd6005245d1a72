"""Files that were real once and are damaged now: what cannot be read is refused in words, and nothing else happens."""

import bz2
import gzip
import io
import json
import os
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse

from fractalrs.errors import InputError
from fractalrs.reading import read_interactions
from helpers.sources import CASES

MUTANTS = int(os.environ.get("FRACTALRS_MUTANTS", "360"))
"""So many files; 3,000 take a minute or two."""
KEPT_BYTES = 6000


def tables() -> dict[str, bytes]:
    """Files of all formats, of ninety rows."""
    draw = random.Random(7)
    rows = [(draw.randrange(40), draw.randrange(30), draw.randrange(1, 6), 1_300_000_000 + 60 * at) for at in range(90)]
    lines = ["user_id,item_id,rating,timestamp", *(",".join(map(str, row)) for row in rows)]
    text = "\n".join(lines).encode() + b"\n"
    objects = [dict(zip(lines[0].split(","), row, strict=True)) for row in rows]
    table = pa.Table.from_pylist(objects)
    sink, matrix, archive, tarred = io.BytesIO(), io.BytesIO(), io.BytesIO(), io.BytesIO()
    pq.write_table(table, sink)
    scipy.sparse.save_npz(matrix, scipy.sparse.coo_array((np.ones(90), tuple(np.array(rows)[:, :2].T))).tocsr())
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("ml/ratings.csv", text)
        packed.writestr("ml/movies.csv", "movieId,title\n1,a\n")
    with tarfile.open(fileobj=tarred, mode="w:gz") as packed_tar:
        member = tarfile.TarInfo("ml/ratings.csv")
        member.size = len(text)
        packed_tar.addfile(member, io.BytesIO(text))
    users: dict[int, list[str]] = {}
    for user, item, *_ in rows:
        users.setdefault(user, []).append(str(item))
    blocks = "".join(f"{item}:\n{user},{rating},2005-01-02\n" for user, item, rating, _ in rows)
    return {
        "plain.csv": text,
        "quoted.csv": text.replace(b"1300", b'"1300').replace(b"\n", b'"\n'),
        "dates.csv": b"".join(
            b"%s,2011-03-13 07:18:%02d\n" % (b",".join(line.split(b",")[:3]), at % 60)
            for at, line in enumerate(text.splitlines()[1:])
        ),
        "semicolons.csv": b"sep=;\n" + text.replace(b",", b";"),
        "double.dat": text.replace(b",", b"::"),
        "tabs.inter": text.replace(b",", b"\t").replace(b"user_id", b"user_id:token", 1),
        "utf16.csv": text.decode().encode("utf-16"),
        "text.csv.gz": gzip.compress(text),
        "text.csv.bz2": bz2.compress(text),
        "text.csv.zst": pa.compress(text, "zstd", asbytes=True),
        "lines.jsonl": b"".join(json.dumps(one).encode() + b"\n" for one in objects),
        "nested.json": json.dumps(
            [{"user": {"id": one["user_id"]}, "item_id": one["item_id"]} for one in objects]
        ).encode(),
        "users.txt": "".join(f"{user} {' '.join(items)}\n" for user, items in users.items()).encode(),
        "counted.txt": "".join(f"{len(items)} {' '.join(items)}\n" for items in users.values()).encode(),
        "weighted.txt": "".join(f"{user} {':2 '.join(items)}:1\n" for user, items in users.items()).encode(),
        "blocks.txt": blocks.encode(),
        "market.mtx": b"%%MatrixMarket matrix coordinate real general\n40 30 90\n"
        + b"".join(f"{user + 1} {item + 1} {rating}\n".encode() for user, item, rating, _ in rows),
        "comments.txt": b"# a\n# b\n" + text.replace(b",", b" ").split(b"\n", 1)[1],
        "table.parquet": sink.getvalue(),
        "matrix.npz": matrix.getvalue(),
        "ml.zip": archive.getvalue(),
        "ml.tgz": tarred.getvalue(),
    }


def shared_cases() -> dict[str, bytes]:
    """The first bytes of the shared cases; compressed and binary ones whole."""
    files = (
        [file for file in sorted(CASES.glob("*")) if file.is_file() and file.suffix != ".md"] if CASES.is_dir() else []
    )
    whole = (".gz", ".parquet")
    return {file.name: file.read_bytes()[: None if file.suffix in whole else KEPT_BYTES] for file in files}


def _flip(data: bytearray, draw: random.Random) -> bytearray:
    for _ in range(draw.choice((1, 1, 3, 20))):
        data[draw.randrange(len(data))] = draw.randrange(256)
    return data


def _cut(data: bytearray, draw: random.Random) -> bytearray:
    return data[: draw.randrange(len(data) + 1)]


def _drop(data: bytearray, draw: random.Random) -> bytearray:
    start = draw.randrange(len(data))
    del data[start : start + draw.choice((1, 5, 200))]
    return data


def _repeat(data: bytearray, draw: random.Random) -> bytearray:
    start = draw.randrange(len(data))
    piece = data[start : start + draw.choice((1, 10, 300))]
    at = draw.randrange(len(data))
    return data[:at] + piece + data[at:]


def _insert(data: bytearray, draw: random.Random) -> bytearray:
    words: tuple[bytes, ...] = (
        b"\0",
        b'"',
        b"\n",
        b"\r",
        b",",
        b"\t",
        b" ",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"NaN",
        b"-1",
        b"1e400",
        b"#",
        b"%",
    )
    words += (b"{", b"[", b"}", b":", b"::", b"9" * 30, b"\xe4", b"2011-13-45", b"\x1f", b"'", b"\xed\xa0\x80", b"null")
    at = draw.randrange(len(data) + 1)
    return data[:at] + bytearray(draw.choice(words)) * draw.choice((1, 1, 2)) + data[at:]


CHANGES: tuple[Callable[[bytearray, random.Random], bytearray], ...] = (_flip, _cut, _drop, _repeat, _insert)


def mutants(number: int) -> Iterator[tuple[str, bytes]]:
    """Yield so many damaged files, the same in every run."""
    draw = random.Random(20)
    files = sorted((tables() | shared_cases()).items())
    for at in range(number):
        name, content = files[at % len(files)]
        data = bytearray(content)
        for _ in range(draw.choice((1, 1, 1, 2, 4))):
            data = draw.choice(CHANGES)(data, draw) if data else data
        yield name, bytes(data)


def test_the_files_are_read_as_they_were(tmp_path: Path) -> None:
    for name, content in tables().items():
        path = tmp_path / name
        path.write_bytes(content)
        assert len(read_interactions(path)) in (90, 89, 84, 85, 86, 87, 88), name


@pytest.mark.timeout(1800)
def test_damaged_files_are_refused_in_words(tmp_path: Path) -> None:
    read, said = 0, {}
    for number, (name, content) in enumerate(mutants(MUTANTS)):
        path = tmp_path / name
        path.write_bytes(content)
        try:
            read_interactions(path, threads=1)
            read += 1
        except InputError as error:
            said[number] = error.message
        except Exception as error:
            raise AssertionError(f"mutant {number} of {name}: {type(error).__name__}: {error}") from error
    assert 0 < read < MUTANTS
    for number, message in said.items():
        assert str(tmp_path) in message, (number, message)
        assert not any(word in message for word in ("Traceback", "0x7f", "fractalrs-")), (number, message)
