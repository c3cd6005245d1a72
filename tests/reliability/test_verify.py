"""`fractalrs verify`: every byte counts, each damaged file is named, and what is made again is the same bytes."""

import errno
import json
import random
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import fractalrs as fr
from fractalrs.tools import Digest, sealed_json
from helpers.commands import run
from helpers.folders import LITTER, digests, small_base, small_expansion, stamps

SIZE = ("--user-multiplier", 2, "--item-multiplier", 3, "--seed", 7, "--parts", 3, "--quiet")
OURS = (".gitignore", "private/.gitignore")
"""Files of which everybody may change the content."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "ratings.csv"
    fr.write_interactions(fr.sample_interactions(200, 150, 4_000), path)
    return path


@pytest.fixture(scope="module")
def written(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("verified") / "out"
    assert run("expand", source, path, *SIZE).code == 0
    return path


@pytest.fixture
def out(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "out"))


def faults(out: Path) -> list[str]:
    return [fault.file for fault in fr.verify(out, threads=2).faults]


def test_a_data_set_as_it_was_written_holds(out: Path) -> None:
    for name in LITTER:
        (out / "train" / name).write_bytes(b"x")
    done = run("verify", out, "--json")
    told = json.loads(done.out)
    assert (done.code, told["holds"], told["files"], told["faults"]) == (0, True, 15, [])
    assert told["bytes"] == sum(file.stat().st_size for file in out.rglob("*.parquet"))
    before = stamps(out)
    assert run("verify", out).out == "none of 15 files damaged, missing or foreign\n"
    assert stamps(out) == before


def test_every_byte_counts(written: Path, out: Path) -> None:
    names = sorted(name for name in digests(written) if name not in OURS)
    for seed in range(120):
        draw = random.Random(seed)
        name = draw.choice(names)
        content = bytearray((written / name).read_bytes())
        at = draw.randrange(len(content))
        content[at] ^= 1 << draw.randrange(8)
        if name.endswith(".json") and bytes(content).split() == (written / name).read_bytes().split():
            continue
        (out / name).write_bytes(content)
        assert faults(out) == [name], f"seed {seed}: byte {at} of {name}"
        (out / name).write_bytes((written / name).read_bytes())


@pytest.mark.parametrize("spoiled", [b"", None, b"PAR1"])
def test_what_is_damaged_is_named_and_made_again(source: Path, written: Path, out: Path, spoiled: bytes | None) -> None:
    wanted = digests(written)
    names = [
        *("train/part-00001-of-00003.parquet", "test/part-00002-of-00003.parquet", "README.md"),
        *("private/base_statistics.npz", "private/division.json"),
    ]
    for name in names:
        if spoiled is None:
            (out / name).unlink()
        else:
            (out / name).write_bytes(spoiled)
    before = stamps(out, {name for name in wanted if name not in (*names, "manifest.json")})
    done = run("verify", out)
    assert done.code == 3
    assert sorted(faults(out)) == sorted(names)
    for name in names:
        assert f"{name} is " in done.out
    assert f"make it again: fractalrs verify {out} --repair --source SOURCE" in done.out
    # The advice holds.
    done = run("verify", out, "--repair", "--source", source)
    assert done.code == 0, done.err + done.out
    assert all(f"{name} is made again" in done.out for name in names)
    assert digests(out) == wanted
    assert stamps(out, set(before)) == before


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", None])
def test_a_manifest_is_made_again_by_what_the_files_know_of_themselves(
    source: Path, written: Path, out: Path, content: bytes | None
) -> None:
    manifest = out / "manifest.json"
    manifest.write_bytes(
        manifest.read_bytes().replace(b'"generator": ', b'"generator": 1') if content is None else content
    )
    (out / "train/part-00000-of-00003.parquet").write_bytes(b"PAR1")
    assert faults(out) == ["manifest.json"]
    done = run("verify", out, "--repair", "--source", source)
    assert done.code == 0, done.err + done.out
    assert digests(out) == digests(written)


def test_a_saved_expansion_repairs_too(tmp_path: Path) -> None:
    expansion = small_expansion()
    expansion.save(tmp_path / "saved")
    fr.write(expansion, tmp_path / "out", parts=4)
    wanted = digests(tmp_path / "out")
    for given in (expansion, tmp_path / "saved"):
        (tmp_path / "out/test/part-00003-of-00004.parquet").unlink()
        found = fr.verify(tmp_path / "out", repair=True, source=given)
        assert (found.holds, found.mended) == (True, ("test/part-00003-of-00004.parquet",))
        assert digests(tmp_path / "out") == wanted
    with pytest.raises(fr.InputError, match="this expansion is not the one of"):
        fr.verify(tmp_path / "out", repair=True, source=small_expansion(seed=8))


@pytest.mark.parametrize("partition", [None, "week"])
def test_attributes_and_periods_are_made_again(tmp_path: Path, partition: Any) -> None:
    base = fr.leave_last_out(fr.sample_interactions(200, 150, 4_000), payload=("timestamp",))
    expansion = fr.Expansion(base, np.full((2, 2), 0.6), profile="traceable", timestamps=True, seed=3)
    items = pa.table({"item": base.item_ids, "year": np.arange(150)})
    fr.write(expansion, tmp_path / "out", parts=2, partition=partition, item_attributes=items)
    wanted = digests(tmp_path / "out")
    part = sorted((tmp_path / "out/train").rglob("*.parquet"))[1]
    part.write_bytes(part.read_bytes()[:-1])
    (tmp_path / "out/items.parquet").unlink()
    name = str(part.relative_to(tmp_path / "out"))
    assert faults(tmp_path / "out") == [name, "items.parquet"]
    assert all(" --item-attributes FILE" in fault.advice for fault in fr.verify(tmp_path / "out").faults)
    with pytest.raises(fr.InputError, match="attributes of items are not given") as caught:
        fr.verify(tmp_path / "out", repair=True, source=expansion)
    assert caught.value.hint == "give item_attributes (--item-attributes FILE), as then"
    other = pa.table({"item": base.item_ids, "year": np.arange(150) + 1})
    with pytest.raises(fr.InputError, match="attributes of items are not those that were written"):
        fr.verify(tmp_path / "out", repair=True, source=expansion, item_attributes=other)
    assert fr.verify(tmp_path / "out", repair=True, source=expansion, item_attributes=items).holds
    assert digests(tmp_path / "out") == wanted
    # Where they are whole nobody has to have them.
    part.unlink()
    mended = fr.verify(tmp_path / "out", repair=True, source=expansion).mended
    # Of a part the files of all periods are made together.
    wide = {one for one in wanted if one.startswith("train/") and Path(one).name == part.name}
    assert {*mended} == wide
    assert digests(tmp_path / "out") == wanted


def test_what_cannot_be_made_again_is_said(source: Path, written: Path, out: Path, tmp_path: Path) -> None:
    (out / "train/none.parquet").write_bytes(b"x")
    done = run("verify", out)
    assert (done.code, "train/none.parquet is no file of this data set\n  move it away" in done.out) == (3, True)
    (out / "train/none.parquet").unlink()
    (out / "test/part-00000-of-00003.parquet").unlink()
    done = run("verify", out, "--repair")
    assert (done.code, "give --source SOURCE" in done.err) == (2, True), done.err
    other = tmp_path / "other.csv"
    fr.write_interactions(fr.sample_interactions(200, 150, 4_000, 2), other)
    done = run("verify", out, "--repair", "--source", other)
    assert (done.code, "are not those that" in done.err) == (2, True), done.err
    shutil.copyfile(written / "test/part-00000-of-00003.parquet", out / "test/part-00000-of-00003.parquet")
    plan = out / "private/plan.json"
    plan.write_bytes(plan.read_bytes().replace(b'"seed": 7', b'"seed": 8'))
    done = run("verify", out)
    assert done.code == 3
    assert "private/plan.json is damaged" in done.out
    assert "take it from a copy" in done.out
    assert "info, validate and publish refuse" in done.out
    assert [run(command, out).code for command in ("head", "info", "validate")] == [0, 2, 2]
    done = run("verify", out, "--repair", "--source", source)
    assert (done.code, "private/plan.json is damaged" in done.err) == (2, True), done.err


def test_what_was_given_away_is_verified_without_its_private_files(written: Path, tmp_path: Path) -> None:
    fr.publish(written, tmp_path / "public")
    assert run("verify", tmp_path / "public").code == 0
    part = tmp_path / "public/train/part-00000-of-00003.parquet"
    content = part.read_bytes()
    # It is a link: the data set that it was made of keeps its own.
    part.unlink()
    part.write_bytes(content[:-1])
    done = run("verify", tmp_path / "public")
    assert (done.code, "fetch it again from where it came" in done.out) == (3, True)
    done = run("verify", tmp_path / "public", "--repair", "--source", "any.csv")
    assert (done.code, "repair it where it was made" in done.err) == (2, True)


def test_an_unfinished_data_set_is_refused(out: Path, tmp_path: Path) -> None:
    (out / "manifest.json").unlink()
    done = run("verify", out)
    assert (done.code, "is not complete" in done.err) == (2, True)
    assert run("verify", tmp_path / "none").code == 2
    with pytest.raises(fr.InputError, match="nothing is to be repaired"):
        fr.verify(out, source="ratings.csv")


def test_a_damaged_base_is_not_written_over(tmp_path: Path) -> None:
    expansion = fr.Expansion(small_base(), np.full((2, 2), 0.5), shuffle="none", seed=1)
    fr.write(expansion, tmp_path / "out", parts=2)
    (tmp_path / "out/private/cells.npz").write_bytes(b"x")
    found = fr.verify(tmp_path / "out", repair=True, source=expansion)
    assert (found.holds, found.mended) == (True, ("private/cells.npz",))


@pytest.mark.parametrize("manifest", ["whole", "damaged"])
@pytest.mark.parametrize("parts", [2, 3])
def test_the_private_files_of_another_data_set_are_blamed_and_nothing_is_written(
    tmp_path: Path, manifest: str, parts: int
) -> None:
    out, other = (small_expansion(seed=seed) for seed in (5, 6))
    fr.write(out, tmp_path / "out", parts=2)
    fr.write(other, tmp_path / "other", parts=parts)
    shutil.rmtree(tmp_path / "out/private")
    shutil.copytree(tmp_path / "other/private", tmp_path / "out/private")
    if manifest == "damaged":
        (tmp_path / "out/manifest.json").write_bytes(b"{}")
    found = fr.verify(tmp_path / "out")
    named = [(fault.file, fault.what, fault.advice) for fault in found.faults if fault.file != "manifest.json"]
    assert named == [("private/", "is of another data set", "put its own back")]
    assert manifest == "damaged" or len(found.faults) == 1
    before = stamps(tmp_path / "out")
    for source in (out, other):
        with pytest.raises(fr.OutputError, match="private/ is of another data set"):
            fr.verify(tmp_path / "out", repair=True, source=source)
    assert stamps(tmp_path / "out") == before


def test_a_whole_part_of_another_data_set_is_not_written_over(tmp_path: Path) -> None:
    out, other = (small_expansion(seed=seed) for seed in (5, 6))
    fr.write(out, tmp_path / "out", parts=2)
    fr.write(other, tmp_path / "other", parts=2)
    name = "test/part-00001-of-00002.parquet"
    shutil.copyfile(tmp_path / "other" / name, tmp_path / "out" / name)
    (tmp_path / "out/manifest.json").write_bytes(b"{}")
    before = stamps(tmp_path / "out")
    with pytest.raises(fr.OutputError, match=f"{name} is whole, and of another data set"):
        fr.verify(tmp_path / "out", repair=True, source=out)
    assert stamps(tmp_path / "out") == before


def test_all_that_is_made_again_is_listed(tmp_path: Path) -> None:
    fr.write(small_expansion(), tmp_path / "out", parts=2)
    names = ("README.md", "manifest.json", "test/part-00001-of-00002.parquet")
    for name in names:
        (tmp_path / "out" / name).write_bytes(b"x")
    assert fr.verify(tmp_path / "out", repair=True, source=small_expansion()).mended == names


def test_a_part_that_the_disk_does_not_give_is_one_fault_of_several(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: Path) -> str:
        if path.name == "part-00001-of-00003.parquet":
            raise OSError(errno.EIO, "Input/output error")
        return Digest([path.read_bytes()]).hex()

    (out / "README.md").write_bytes(b"x")
    monkeypatch.setattr("fractalrs.dataset.verification.digest_file", failing)
    found = [(fault.file, fault.what) for fault in fr.verify(out).faults]
    part = "part-00001-of-00003.parquet"
    assert found == [
        *((f"{split}/{part}", "cannot be read: Input/output error") for split in ("train", "test")),
        ("README.md", "is not what was written"),
    ]
    assert str(fr.verify(out)).endswith("3 of 15 files damaged, missing or foreign")


@pytest.mark.parametrize("name", ["private/reduced_matrix.npy", "private/cells.npz"])
@pytest.mark.parametrize("lost", [False, True])
def test_the_advice_for_damaged_matrices_mends_them(
    source: Path, written: Path, out: Path, name: str, lost: bool
) -> None:
    (out / name).unlink() if lost else (out / name).write_bytes(b"x")
    (fault,) = fr.verify(out).faults
    assert (fault.file, "by the command that made the data set" in fault.advice) == (name, True)
    refused = run("verify", out, "--repair", "--source", source)
    assert (refused.code, f"{out / name} is" in refused.err, "the command that made" in refused.err) == (2, True, True)
    assert run("expand", source, out, *SIZE).code == 0
    assert digests(out) == digests(written)


def test_the_path_in_an_advice_can_be_pasted(written: Path, tmp_path: Path) -> None:
    path = shutil.copytree(written, tmp_path / "my data")
    (path / "README.md").unlink()
    (fault,) = fr.verify(path).faults
    assert f"fractalrs verify {shlex.quote(str(path))} --repair" in fault.advice


def test_a_card_that_comes_out_otherwise_is_not_put(source: Path, out: Path) -> None:
    manifest, content = out / "manifest.json", json.loads((out / "manifest.json").read_text())
    content.pop("seal")
    manifest.write_text(sealed_json({**content, "card": "0" * 64}))
    before = stamps(out)
    done = run("verify", out, "--repair", "--source", source)
    assert (done.code, "README.md came out otherwise" in done.err) == (1, True), (done.code, done.err)
    assert "hint: expand it anew into another folder" in done.err
    assert stamps(out) == before


@pytest.mark.parametrize("lost", [False, True])
def test_a_part_that_comes_out_otherwise_is_not_put(source: Path, out: Path, lost: bool) -> None:
    manifest, content = out / "manifest.json", json.loads((out / "manifest.json").read_text())
    content.pop("seal")
    content["parts"][1]["train"]["blake3"] = "0" * 64
    manifest.write_text(sealed_json(content))
    name = f"train/{content['parts'][1]['train']['path'].split('/')[-1]}"
    if lost:
        (out / name).unlink()
    before = stamps(out)
    done = run("verify", out, "--repair", "--source", source)
    assert (done.code, f"{name} came out otherwise" in done.err) == (1, True), (done.code, done.err)
    assert stamps(out) == before
