"""What lies about in folders, and names nobody would choose: neither in the way, nor a reason to end without words."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import fractalrs as fr
from helpers.commands import run
from helpers.folders import LITTER, digests, small_base, small_expansion

SIZE = ("--user-multiplier", "2", "--item-multiplier", "2", "--quiet")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fr.write(small_expansion(), tmp_path_factory.mktemp("friction") / "out", parts=2).path


@pytest.fixture
def out(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "out"))


def test_what_systems_leave_in_folders_is_not_in_the_way(out: Path, written: Path, tmp_path: Path) -> None:
    for folder in (out, out / "train", out / "private"):
        for name in LITTER:
            (folder / name).write_bytes(b"x")
        (folder / "lost+found").mkdir()
        (folder / "lost+found/#123").write_bytes(b"x")
    for command in (("info", out), ("head", out), ("validate", out, "--only", "integrity"), ("verify", out)):
        assert run(*command).code == 0
    assert run("export", out, tmp_path / "csv", "--format", "csv").code == 0
    (out / "test/part-00001-of-00002.parquet").unlink()
    fr.write(small_expansion(), out, parts=2)
    wanted = digests(written)
    assert {name: digest for name, digest in digests(out).items() if name in wanted} == wanted


@pytest.mark.parametrize(
    "name", ["train/part-00001-of-00002.parquet", "manifest.json", "private/cells.npz", "train/pipe"]
)
def test_a_pipe_in_a_file_s_place_is_refused(out: Path, tmp_path: Path, name: str) -> None:
    (out / name).unlink(missing_ok=True)
    os.mkfifo(out / name)
    for command in (
        ("info", out),
        ("validate", out),
        ("verify", out),
        ("export", out, tmp_path / "csv", "--format", "csv"),
    ):
        done = run(*command)
        assert done.code == 2, done
        assert f"{out / name} is neither a file nor a folder" in done.err
    with pytest.raises(fr.OutputError, match="neither a file nor a folder"):
        fr.write(small_expansion(), out, parts=2)


@pytest.mark.parametrize("command", ["expand", "export"])
@pytest.mark.parametrize("kind", ["dangling", "looping", "long", "newline", "no text", "escape"])
def test_outputs_that_nobody_can_make_are_refused(written: Path, tmp_path: Path, command: str, kind: str) -> None:
    names = {"long": "x" * 256, "newline": "new\nline", "no text": os.fsdecode(b"a\xffb"), "escape": "a\x1b[2Jb"}
    place = tmp_path / names.get(kind, kind)
    if kind in ("dangling", "looping"):
        place.symlink_to("nowhere" if kind == "dangling" else kind)
    before = sorted(tmp_path.iterdir())
    done = (
        run("expand", "sample", place, *SIZE)
        if command == "expand"
        else run("export", written, place, "--format", "csv")
    )
    assert (done.code, done.out) == (2, ""), done
    assert done.err.startswith("error: ")
    assert done.err.replace("\n", "").isprintable()
    assert sorted(tmp_path.iterdir()) == before


def test_nothing_from_a_file_moves_a_terminal_s_cursor(tmp_path: Path) -> None:
    text = "a\x1b[2J\x07\x9b1mb"
    base = fr.leave_last_out(
        pa.table({"user_id": [1, 1, 2, 2, 3, 3] * 4, "item_id": list(range(24)), "note": [text] * 24}),
        split="random",
        payload=("note",),
    )
    dataset = fr.write(fr.Expansion(base, [[0.9]], profile="traceable", carry=("note",)), tmp_path / "out")
    for command in (("head", dataset.path), ("info", dataset.path)):
        done = run(*command)
        assert done.code == 0, done
        assert done.out.replace("\n", "").isprintable()
    assert "a\\x1b[2J\\x07\\x9b1mb" in run("head", dataset.path).out
    (tmp_path / "evil.csv").write_text(f"user,item\n1,{text}\n1,2,{text}\n")
    done = run("expand", tmp_path / "evil.csv", tmp_path / "no", *SIZE)
    assert done.code == 2
    assert done.err.replace("\n", "").isprintable()
    manifest = json.loads((dataset.path / "manifest.json").read_text())
    manifest["profile"] = text
    (dataset.path / "manifest.json").write_text(json.dumps(manifest))
    done = run("info", dataset.path, "--json")
    assert done.out.rstrip("\n").isprintable()
    assert json.loads(done.out)["profile"] == text


def test_terminals_that_know_ascii_alone_and_names_that_are_no_text(tmp_path: Path) -> None:
    strange = os.fsencode(tmp_path) + b"/sou\xffrce.csv"
    Path(os.fsdecode(strange)).write_bytes(b"user,item\n1,2\n")
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1", "LC_ALL": "C"}
    command: list[str | bytes] = [sys.executable, "-m", "fractalrs", "expand", strange, str(tmp_path / "out"), *SIZE]
    done = subprocess.run(command, capture_output=True, env=environment)
    assert (done.returncode, done.stdout) == (2, b""), done
    assert done.stderr.startswith(b"error: source is ")
    assert b"which is no UTF-8" in done.stderr
    shown = subprocess.run([sys.executable, "-m", "fractalrs", "--help"], capture_output=True, env=environment)
    assert (shown.returncode, shown.stderr) == (0, b"")


def test_private_files_are_their_owner_s_alone(tmp_path: Path) -> None:
    made = fr.write(small_expansion(), tmp_path / "new").path
    assert stat.S_IMODE((made / "private").stat().st_mode) == 0o700
    # Whatever the mask.
    before = os.umask(0)
    try:
        made = fr.write(fr.Expansion(small_base(), [[0.5]], shuffle="none"), tmp_path / "open").path
    finally:
        os.umask(before)
    assert stat.S_IMODE((made / "private").stat().st_mode) == 0o700
