"""A file of ``private/`` of which a bit is not what was written is made again by the next run, or refused by name."""

import random
import shutil
from pathlib import Path

import pytest

import fractalrs as fr
from fractalrs.dataset import Private, begun_plan
from fractalrs.errors import InputError, OutputError
from helpers.folders import digests, small_expansion

PARTS = 3
MADE_AGAIN = ("reduced_matrix.npy", "cells.npz", "base_statistics.npz", "division.json")


@pytest.fixture(scope="module")
def expansion() -> fr.Expansion:
    return small_expansion()


@pytest.fixture(scope="module")
def written(expansion: fr.Expansion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sealed") / "out"
    fr.write(expansion, path, parts=PARTS)
    return path


@pytest.fixture
def out(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "out"))


def flip(file: Path, draw: random.Random) -> str:
    """Flip a bit of a file, and say which."""
    content = bytearray(file.read_bytes())
    at, bit = draw.randrange(len(content)), draw.randrange(8)
    content[at] ^= 1 << bit
    file.write_bytes(content)
    return f"bit {bit} of byte {at} of {file.name}"


@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize("name", MADE_AGAIN)
def test_a_flipped_bit_is_made_again(
    expansion: fr.Expansion, written: Path, out: Path, name: str, complete: bool
) -> None:
    wanted, draw = digests(written), random.Random(f"{name} {complete}")
    for _ in range(3):
        if not complete:
            (out / "manifest.json").unlink()
            (out / "train/part-00001-of-00003.parquet").unlink()
        flipped = flip(out / "private" / name, draw)
        fr.write(expansion, out, parts=PARTS)
        assert digests(out) == wanted, flipped


@pytest.mark.parametrize("name", MADE_AGAIN)
def test_a_private_file_that_is_lost_is_made_again(
    expansion: fr.Expansion, written: Path, out: Path, name: str
) -> None:
    (out / "private" / name).unlink()
    fr.write(expansion, out, parts=PARTS)
    assert digests(out) == digests(written)


@pytest.mark.parametrize("name", MADE_AGAIN[:3])
def test_a_flipped_bit_is_seen_by_whoever_reads(out: Path, name: str) -> None:
    draw, file = random.Random(name), out / "private" / name
    whole = file.read_bytes()
    for _ in range(40):
        flipped = flip(file, draw)
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            pytest.fail(f"unseen: {flipped}") if Private.read(out) else None
        file.write_bytes(whole)


def test_a_flipped_bit_of_the_plan_is_refused(expansion: fr.Expansion, out: Path) -> None:
    (out / "manifest.json").unlink()
    draw, file = random.Random(5), out / "private/plan.json"
    whole = file.read_bytes()
    for _ in range(60):
        flipped = flip(file, draw)
        if file.read_bytes().split() == whole.split():
            continue
        with pytest.raises(OutputError, match=r"plan\.json"):
            pytest.fail(f"unseen: {flipped}") if fr.write(expansion, out, parts=PARTS) else None
        assert not (out / "manifest.json").exists()
        file.write_bytes(whole)


@pytest.mark.parametrize("name", MADE_AGAIN)
def test_who_finishes_without_the_source_is_told_how_to_mend(
    expansion: fr.Expansion, written: Path, tmp_path: Path, name: str
) -> None:
    out, plan = tmp_path / "out", fr.plan(expansion, parts=PARTS)
    for part in range(PARTS):
        fr.write_part(plan, part, out)
    flip(out / "private" / name, random.Random(name))
    with pytest.raises(InputError, match=rf"private/{name}"):
        fr.finish(begun_plan(out), out)
    # With its source it is made again.
    fr.finish(plan, out)
    assert digests(out) == digests(written)
