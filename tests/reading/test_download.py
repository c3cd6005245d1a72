"""Downloads by name, from a server on this machine that cuts off, lies, hangs, redirects or sends something else."""

import dataclasses
import hashlib
import io
import stat
import threading
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import fractalrs as fr
from fractalrs.reading import PUBLISHED, download
from helpers.commands import run

README = """SUMMARY
================================================================================

Ratings, made up.

USAGE LICENSE
================================================================================

Not for sale.
Not for redistribution.

CITATION
================================================================================

None.
"""


def archive_of(files: dict[str, str], modes: dict[str, int] | None = None) -> bytes:
    """Zip files; some are links or devices by their mode."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (modes or {}).get(name, stat.S_IFREG | 0o644) << 16
            opened.writestr(entry, text)
    return buffer.getvalue()


def ratings(separator: str, header: str = "") -> str:
    interactions = fr.sample_interactions(300, 200, 20_000).to_arrow().to_pylist()
    return header + "".join(separator.join(map(str, row.values())) + "\n" for row in interactions)


ML_1M = archive_of({"ml-1m/ratings.dat": ratings("::"), "ml-1m/README": README, "__MACOSX/._x": "litter"})


class Server(ThreadingHTTPServer):
    """Sends files by their paths; `mode` says how badly."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {"/ml-1m.zip": ML_1M}
        self.mode = "well"
        self.asked: list[str | None] = []
        self.address = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        """Whoever asked has gone: so it is meant here."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        mode, path = self.server.mode, self.path.partition("?")[0]
        span = self.headers.get("Range")
        self.server.asked.append(span)
        self.close_connection = True
        if (mode == "redirects" and not path.startswith("/moved")) or mode == "loops":
            self.answer(302, b"", headers={"Location": f"/moved{path}" if mode == "redirects" else path})
            return
        if mode == "fails" and len(self.server.asked) < 3:
            self.answer(503, b"busy")
            return
        whole = self.server.files.get(path.removeprefix("/moved"))
        if whole is None:
            self.answer(404, b"no")
            return
        start = int(span.removeprefix("bytes=").removesuffix("-")) if span and mode != "ignores ranges" else 0
        if span and start >= len(whole):
            self.answer(416, b"", headers={"Content-Range": f"bytes */{len(whole)}"})
            return
        self.body(mode, whole, start)

    def body(self, mode: str, whole: bytes, start: int) -> None:
        rest = whole[start:]
        more = {"Content-Range": f"bytes {start}-{len(whole) - 1}/{len(whole)}"} if start else {}
        code = 206 if start else 200
        if mode in ("cuts off", "ignores ranges") and (mode == "cuts off" or len(self.server.asked) < 2):
            self.answer(code, rest[: len(whole) // 3 + 1], length=len(rest), headers=more)
        elif mode == "promises more":
            self.answer(code, rest, length=len(rest) + 1_000, headers=more)
        elif mode == "promises less":
            self.answer(code, rest, length=len(rest) // 2, headers=more)
        elif mode == "hangs":
            self.answer(code, rest[:100_000], length=len(rest), headers=more)
            time.sleep(3)
        elif mode == "stalls":
            self.answer(code, b"" if start else rest[:100_000], length=len(rest), headers=more)
            time.sleep(3)
        elif mode == "is silent":
            time.sleep(3)
        else:
            self.answer(code, rest, headers=more)

    def answer(self, code: int, body: bytes, length: int | None = None, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in ((headers or {}) | {"Content-Length": str(len(body) if length is None else length)}).items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server, patch.dict(PUBLISHED):
        PUBLISHED["ml-1m"] = dataclasses.replace(PUBLISHED["ml-1m"], md5=hashlib.md5(ML_1M).hexdigest())
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def left(cache: Path) -> set[str]:
    """Name what is in a cache but for the lock."""
    return {file.name for file in cache.iterdir() if not file.name.endswith(".lock")}


@pytest.mark.parametrize("mode", ["well", "cuts off", "hangs", "ignores ranges", "redirects", "fails"])
def test_it_comes_whole_in_the_end(server: Server, tmp_path: Path, mode: str) -> None:
    server.mode = mode
    timeout = 0.2 if mode == "hangs" else 30
    folder = download("ml-1m", cache_dir=tmp_path / "cache", mirror=server.address, timeout=timeout)
    assert folder == tmp_path / "cache/ml-1m"
    assert {file.name for file in folder.iterdir()} == {"ratings.dat", "README"}
    assert len(fr.read_interactions(folder / "ratings.dat")) == 20_000
    assert left(tmp_path / "cache") == {"ml-1m"}
    if mode == "cuts off":
        first, *later = server.asked
        assert first is None
        assert len(later) >= 2
        assert len(set(later)) == len(later)
    asked = len(server.asked)
    assert download("ml-1m", cache_dir=tmp_path / "cache", mirror=server.address) == folder
    assert len(server.asked) == asked


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("stalls", "does not answer in time"),
        ("is silent", "does not answer in time"),
        ("promises more", "cut off"),
        ("loops", "from one address to the next"),
    ],
)
def test_what_never_comes_whole_is_said_and_what_came_stays(
    server: Server, tmp_path: Path, mode: str, words: str
) -> None:
    server.mode = mode
    with pytest.raises(fr.WriteError, match=f"ml-1m could not be downloaded: .*{words}") as refused:
        download("ml-1m", cache_dir=tmp_path, mirror=server.address, timeout=0.2)
    assert refused.value.hint == "what came stays; the same command goes on from there"
    assert left(tmp_path) <= {"ml-1m.zip.part"}
    came = (tmp_path / "ml-1m.zip.part").stat().st_size if left(tmp_path) else 0
    server.mode, server.asked = "well", []
    assert download("ml-1m", cache_dir=tmp_path, mirror=server.address).is_dir()
    assert server.asked[0] == (f"bytes={came}-" if came else None)


@pytest.mark.parametrize("mode", ["another file", "a page", "promises less"])
def test_what_is_not_the_publishers_is_refused_and_not_kept(server: Server, tmp_path: Path, mode: str) -> None:
    server.mode = mode
    another = archive_of({"ml-1m/ratings.dat": "1::2::3::4\n"})
    server.files["/ml-1m.zip"] = {"another file": another, "a page": b"<html>log in</html>"}.get(mode, ML_1M)
    with pytest.raises(fr.InputError, match=r"sent as ml-1m.zip is not the publisher's archive: its MD5 digest is not"):
        download("ml-1m", cache_dir=tmp_path, mirror=server.address)
    assert left(tmp_path) == set()


def test_a_part_of_another_archive_does_not_stay_in_the_way(server: Server, tmp_path: Path) -> None:
    (tmp_path / "ml-1m.zip.part").write_bytes(b"x" * (len(ML_1M) + 5))
    assert download("ml-1m", cache_dir=tmp_path, mirror=server.address).is_dir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/ml-1m.zip.part").write_bytes(b"x" * 50)
    with pytest.raises(fr.InputError, match="MD5"):
        download("ml-1m", cache_dir=tmp_path / "other", mirror=server.address)
    assert download("ml-1m", cache_dir=tmp_path / "other", mirror=server.address).is_dir()


def test_what_is_not_there_or_cannot_be_reached_is_said(server: Server, tmp_path: Path) -> None:
    with pytest.raises(fr.WriteError, match="answers 404"):
        download("ml-20m", cache_dir=tmp_path, mirror=server.address)
    assert len(server.asked) == 1
    with pytest.raises(fr.WriteError, match="cannot be reached"):
        download("ml-1m", cache_dir=tmp_path, mirror="http://127.0.0.1:1")


def test_the_digest_of_a_set_that_is_renewed_is_the_publishers_own(server: Server, tmp_path: Path) -> None:
    small = archive_of({"ml-latest-small/ratings.csv": ratings(",", "userId,movieId,rating,timestamp\n")})
    server.files["/ml-latest-small.zip"] = small
    with pytest.raises(fr.WriteError, match=r"ml-latest-small.zip.md5 answers 404"):
        download("ml-latest-small", cache_dir=tmp_path, mirror=server.address)
    for wrong, words in ((b"<html>", "names no MD5 digest"), (b"MD5 (x) = " + b"0" * 32, "is not 0000")):
        server.files["/ml-latest-small.zip.md5"] = wrong
        with pytest.raises(fr.InputError, match=words):
            download("ml-latest-small", cache_dir=tmp_path, mirror=server.address)
    digest = hashlib.md5(small).hexdigest()
    server.files["/ml-latest-small.zip.md5"] = f"MD5 (ml-latest-small.zip) = {digest}\n".encode()
    assert download("ml-latest-small", cache_dir=tmp_path, mirror=server.address).is_dir()


@pytest.mark.parametrize(
    ("files", "modes", "words"),
    [
        ({"../evil": "x"}, {}, "outside ml-1m/"),
        ({"ml-1m/../../evil": "x"}, {}, "outside ml-1m/"),
        ({"/etc/evil": "x"}, {}, "outside ml-1m/"),
        ({"ml-1m\\..\\..\\evil": "x"}, {}, "outside ml-1m/"),
        ({"C:/evil": "x"}, {}, "outside ml-1m/"),
        ({"evil": "x"}, {}, "outside ml-1m/"),
        ({"ml-1m/link": "/etc/passwd"}, {"ml-1m/link": stat.S_IFLNK | 0o777}, "a link or a device"),
        ({"ml-1m/pipe": ""}, {"ml-1m/pipe": stat.S_IFIFO | 0o600}, "a link or a device"),
    ],
)
def test_an_archive_does_not_reach_outside_its_folder(
    server: Server, tmp_path: Path, files: dict[str, str], modes: dict[str, int], words: str
) -> None:
    evil = archive_of({"ml-1m/ratings.dat": "1::2::3::4\n"} | files, modes)
    server.files["/ml-1m.zip"] = evil
    PUBLISHED["ml-1m"] = dataclasses.replace(PUBLISHED["ml-1m"], md5=hashlib.md5(evil).hexdigest())
    with pytest.raises(fr.InputError, match=words):
        download("ml-1m", cache_dir=tmp_path / "cache", mirror=server.address)
    assert left(tmp_path / "cache") == set()
    assert {file.name for file in tmp_path.iterdir()} == {"cache"}


def test_an_archive_that_is_damaged_or_lacks_the_ratings_is_refused(server: Server, tmp_path: Path) -> None:
    flipped = bytearray(ML_1M)
    flipped[200] ^= 1
    for content, words in (
        (bytes(flipped), "is damaged"),
        (ML_1M[:-30], "is damaged"),
        (archive_of({"ml-1m/README": README}), r"holds no ratings\.dat"),
    ):
        server.files["/ml-1m.zip"] = content
        PUBLISHED["ml-1m"] = dataclasses.replace(PUBLISHED["ml-1m"], md5=hashlib.md5(content).hexdigest())
        with pytest.raises(fr.InputError, match=words):
            download("ml-1m", cache_dir=tmp_path, mirror=server.address)
        assert left(tmp_path) == set()


def test_a_name_stands_for_the_data_set(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.delenv("FRACTALRS_CACHE", raising=False)
    done = run("download", "ml-1m", "--mirror", server.address)
    assert done.code == 0, done.err
    assert done.out.strip() == str(tmp_path / "caches/fractalrs/ml-1m")
    assert "Not for redistribution." in done.err
    assert "CITATION" not in done.err
    monkeypatch.chdir(tmp_path)
    done = run("expand", "ml-1m", tmp_path / "out", "--user-multiplier", 2, "--item-multiplier", 2)
    assert done.code == 0, done.err
    assert "terms of use, by " in done.err
    assert fr.open_dataset(tmp_path / "out").block_shape[0] == 300
    monkeypatch.setenv("FRACTALRS_CACHE", str(tmp_path / "own"))
    assert fr.download("ml-1m", mirror=server.address) == tmp_path / "own/ml-1m"


def test_a_file_of_that_name_is_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fr.write_interactions(fr.sample_interactions(60, 40, 600), "x.csv")
    Path("x.csv").rename("ml-1m")
    assert fr.expand("ml-1m", "out", user_multiplier=2, item_multiplier=2).block_shape == (60, 40)


def test_a_command_says_what_went_wrong(server: Server, tmp_path: Path) -> None:
    done = run("download", "ml-2m", "--cache-dir", tmp_path)
    assert done.code == 2
    assert "ml-latest-small" in done.err
    server.mode = "loops"
    done = run("download", "ml-1m", "--cache-dir", tmp_path, "--mirror", server.address)
    assert (done.code, "Traceback" in done.err) == (1, False)
    (tmp_path / "file").write_text("")
    done = run("download", "ml-1m", "--cache-dir", tmp_path / "file", "--mirror", server.address)
    assert (done.code, "file" in done.err) == (2, True)
