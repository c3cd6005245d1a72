"""The power fails at any moment: what is there then is unfinished or whole, and the same command finishes it."""

import random
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

import fractalrs as fr
from fractalrs.errors import FractalrsError
from helpers.commands import run
from helpers.folders import digests
from helpers.power import Disk, laid, lay, record, states

SIZE = ("--user-multiplier", "2", "--item-multiplier", "2", "--parts", "2", "--threads", "2", "--quiet")
SAVED = """
import fractalrs as fr
base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
"""


def traceable() -> bool:
    """Return whether calls can be recorded here."""
    if shutil.which("strace") is None:
        return False
    return (
        subprocess.run(
            ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=open", "-o", "/dev/null", "true"], check=False
        ).returncode
        == 0
    )


pytestmark = pytest.mark.skipif(not traceable(), reason="there is no strace here, or it may not be used")


@dataclass(frozen=True)
class Case:
    """A command, what is there before it, and what it makes; of a data set, or of what appears as one."""

    command: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    lost: tuple[str, ...] = ()
    makes: str = "out"

    def start(self, arguments: tuple[str, ...]) -> list[str]:
        """Return what Python is started with."""
        return ["-c", *arguments] if "\n" in arguments[0] else ["-m", "fractalrs", *arguments]

    def again(self) -> tuple[int, str]:
        """Give the command again; return its exit code and what it says."""
        if "\n" not in self.command[0]:
            done = run(*self.command)
            return done.code, done.err
        try:
            exec(self.command[0], {})
        except FractalrsError as error:
            return 2, str(error)
        return 0, ""


EXPAND = ("expand", "s.csv", "deep/out", *SIZE)
OTHER = (*EXPAND, "--seed", "8")
CASES = {
    "expand": Case(EXPAND, makes="deep/out"),
    "expand over another": Case((*EXPAND, "--overwrite"), (OTHER,), makes="deep/out"),
    "expand into months": Case(
        (*EXPAND, "--profile", "traceable", "--timestamps", "--partition", "month"), makes="deep/out"
    ),
    "expand on": Case(
        EXPAND, (EXPAND,), ("manifest.json", "README.md", "train/part-00001-of-00002.parquet"), "deep/out"
    ),
    "finish": Case(("finish", "deep/out", "--quiet"), ((*EXPAND, "--part-range", "0:2"),), makes="deep/out"),
    "repair": Case(
        ("verify", "deep/out", "--repair", "--source", "s.csv", "--quiet"),
        (EXPAND,),
        ("train/part-00000-of-00002.parquet", "README.md", "private/base_statistics.npz"),
        "deep/out",
    ),
    "export": Case(("export", "deep/out", "made/csr", "--format", "csr", "--quiet"), (EXPAND,), makes="made/csr"),
    "publish": Case(("publish", "deep/out", "made/public", "--quiet"), (EXPAND,), makes="made/public"),
    "simulate": Case(
        ("simulate", "made/log", "--users", "30", "--items", "20", "--interactions", "100", "--quiet"), makes="made/log"
    ),
    "save a base": Case((f"{SAVED}base.save('made/base')",), makes="made/base"),
    "save an expansion": Case((f"{SAVED}fr.Expansion(base, [[0.5, 0.9]]).save('made/saved')",), makes="made/saved"),
    "sample": Case(("sample", "ratings.csv"), makes="ratings.csv"),
}


def visible(files: dict[str, bytes], makes: str) -> dict[str, bytes]:
    """Return what has its final name."""
    found = {}
    for name, content in files.items():
        hidden = any(part.startswith(".") and part != ".gitignore" for part in name.split("/"))
        if name.startswith(makes) and not hidden and not name.endswith("/"):
            found[name] = content
    return found


def is_told_whole(path: Path) -> bool:
    """Return whether a data set is opened."""
    try:
        fr.open_dataset(path)
    except (FractalrsError, FileNotFoundError):
        return False
    return True


def check(case: Case, files: dict[str, bytes], before: dict[str, bytes], after: dict[str, bytes], place: Path) -> None:
    """Look at what is there after the power failed, and give the command again."""
    found = visible(files, case.makes)
    old, new = visible(before, case.makes), visible(after, case.makes)
    for name, content in found.items():
        assert content in (old.get(name), new.get(name)), f"{name} is not whole"
    lay(files, place)
    if case.command[0] == "verify":
        # It was damaged before, and is until all of it is made again.
        assert (run("verify", place / case.makes, "--quiet").code == 0) == (found == new)
    elif case.makes.endswith("out"):
        complete = [one for one in (old, new) if f"{case.makes}/manifest.json" in one]
        if is_told_whole(place / case.makes):
            assert found in complete
            assert run("verify", place / case.makes, "--quiet").code == 0
    elif found:
        assert found == new, "it is there, and not whole"
    code, said = case.again()
    assert code == 0 or (found == new and "exists already" in said), said
    left = laid(place)
    left.pop(f"{case.makes}/.fractalrs.lock", None)
    if case.makes.endswith("out") or (found != new and not case.makes.endswith(".csv")):
        assert left == after
    else:
        # What is whole is left alone before anybody looks beside it; so is what was left of a single file.
        assert visible(left, case.makes) == new


def tried(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeds: range, at_most: int | None) -> int:
    """Record the command, and check states of the disk: all, or some and the last; return how many."""
    place = tmp_path / "disk"
    place.mkdir()
    monkeypatch.chdir(place)
    fr.write_interactions(fr.sample_interactions(60, 40, 600), place / "s.csv")
    for arguments in case.before:
        assert run(*arguments).code == 0
    for name in case.lost:
        (place / case.makes / name).unlink()
    before, disk = laid(place), Disk.of(place)
    calls = record(case.start(case.command), tmp_path / "log")
    after = laid(place)
    assert digests(place)
    every = list(states(disk, calls, seeds))
    assert disk.files(contents=True, names=True) == after, "not all calls were understood"
    if at_most is not None:
        every = [*random.Random(len(calls)).sample(every[:-1], min(at_most, len(every) - 1)), every[-1]]
    for why, files in every:
        try:
            check(case, files, before, after, place)
        except AssertionError as error:
            raise AssertionError(f"{why}: {error}") from error
    # What is done stays.
    assert visible(every[-1][1], case.makes) == visible(after, case.makes)
    return len(every)


@pytest.mark.parametrize("name", [name for name in CASES if name != "expand into months"])
def test_what_is_there_after_a_power_failure_is_unfinished_or_whole(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tried(CASES[name], tmp_path, monkeypatch, range(3), 8) > 1


def drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_most: int) -> int:
    """Record an expansion of a private base: noise that was drawn is kept once it is whole."""
    place = tmp_path / "disk"
    place.mkdir()
    monkeypatch.chdir(place)
    fr.write_interactions(fr.sample_interactions(2_000, 60, 40_000, 3), place / "s.csv")
    command, disk = (*EXPAND, "--epsilon", "50", "--seed", "3"), Disk.of(place)
    calls = record(["-m", "fractalrs", *command], tmp_path / "log")
    after = visible(laid(place), "deep/out")
    assert "deep/out/private/base/entries.npy" in after
    every = list(states(disk, calls, range(2)))
    begun = [(why, files) for why, files in every if "deep/out/private/plan.json" in files]
    drawn = [(why, files) for why, files in every if "deep/out/private/plan.json" not in files]
    draw = random.Random(len(calls))
    tried = draw.sample(begun[:-1], min(at_most, len(begun) - 1)) + draw.sample(drawn, min(2, len(drawn)))
    for why, files in [*tried, every[-1]]:
        lay(files, place)
        found, done = visible(files, "deep/out"), run(*command)
        kept = all(found.get(name) == after[name] for name in after if name.startswith("deep/out/private/base/"))
        if "deep/out/private/plan.json" in found and not kept:
            # The plan names noise that is lost: nothing came of it, and its owner says whether it is drawn anew.
            assert not any(name.startswith("deep/out/train") for name in found), why
            assert (done.code, "--overwrite" in done.err) == (2, True), (why, done.err)
            done = run(*command, "--overwrite")
        assert done.code == 0, (why, done.err)
        left = visible(laid(place), "deep/out")
        left.pop("deep/out/.fractalrs.lock", None)
        assert (left == after) == ("deep/out/private/plan.json" in found and kept), why
        assert run("verify", "deep/out", "--quiet").code == 0, why
    return len(tried) + 1


def test_what_a_private_base_has_cost_is_not_paid_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opendp")
    assert drawn_once(tmp_path, monkeypatch, 6) > 6


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_the_same_of_a_private_base_at_every_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opendp")
    print(drawn_once(tmp_path, monkeypatch, 10**6))


@pytest.mark.slow
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("name", CASES)
def test_the_same_at_every_call(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # There are hundreds of files of months.
    print(name, tried(CASES[name], tmp_path, monkeypatch, range(2), 30 if name == "expand into months" else None))
