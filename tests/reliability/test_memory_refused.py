"""A system that gives less memory than is needed: fewer threads, or a refusal in words before anything is written."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import fractalrs as fr
from helpers.folders import digests, small_expansion

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit addresses")
MB = 1 << 20
WRITES = """
import logging, sys, resource
import fractalrs as fr
from helpers.folders import small_expansion
expansion = small_expansion()
plan = fr.plan(expansion, parts=40)
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
logging.basicConfig(level="WARNING", format="%(message)s")
resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[2]) * 2**20,) * 2)
fr.dataset.write_plan(plan, sys.argv[1], threads=40)
"""


def limited(megabytes: int | None, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run Python in so many megabytes of addresses; what it says is no panic and no traceback of a core."""

    def limit() -> None:
        if megabytes is not None:
            resource.setrlimit(resource.RLIMIT_AS, (megabytes * MB, megabytes * MB))

    # One arena: else how many of 64 MB there are is a matter of threads.
    env = {**os.environ, "MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1"}
    env["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, preexec_fn=limit, env=env, capture_output=True, text=True, timeout=300)
    for sign in ("panicked", "stack backtrace", "memory allocation of"):
        assert sign not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize("megabytes", [600, 767])
def test_too_few_addresses_to_begin_are_refused(megabytes: int, tmp_path: Path) -> None:
    done = limited(megabytes, "-m", "fractalrs", "expand", "sample", tmp_path / "out", "--user-multiplier", 2)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: this process may take {megabytes} MB of memory, and needs 768 MB to begin\n"
        "hint: allow more (ulimit -v)\n"
    )
    assert not (tmp_path / "out").exists()


def test_what_needs_few_addresses_is_let_through(tmp_path: Path) -> None:
    path = fr.write(small_expansion(), tmp_path / "out", parts=2).path
    for arguments in ((), ("--help",), ("--version",)):
        done = limited(300, "-m", "fractalrs", *arguments)
        assert "Usage" in done.stdout or fr.__version__ in done.stdout, done.stderr
    for command in ("info", "verify"):
        done = limited(520, "-m", "fractalrs", command, path)
        assert done.returncode == 0, done.stderr
        done = limited(500, "-m", "fractalrs", command, path)
        assert (done.returncode, "needs 512 MB to begin" in done.stderr) == (2, True), done.stderr
    assert limited(700, "-m", "fractalrs", "verify", path, "--repair").returncode == 2


def test_a_world_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    size = ("--users", 10**6, "--items", 2 * 10**8, "--interactions", 10**9)
    done = limited(3_000, "-m", "fractalrs", "simulate", tmp_path / "log", *size)
    assert (done.returncode, done.stdout) == (2, "")
    assert "a world of 200,000,000 items takes about 14.4 GB of memory, and " in done.stderr
    assert "hint: simulate fewer items" in done.stderr
    assert not (tmp_path / "log").exists()


def test_fewer_threads_write_the_same_or_one_is_refused(tmp_path: Path) -> None:
    wanted = digests(fr.write(small_expansion(), tmp_path / "wanted", parts=40).path)
    done = limited(None, "-c", WRITES, tmp_path / "refused", 64)
    assert "a thread that writes parts takes about 10" in done.stderr
    assert done.stderr.endswith("hint: free some, or allow more\n")
    assert not (tmp_path / "refused").exists()
    done = limited(None, "-c", WRITES, tmp_path / "fewer", 700)
    assert done.returncode == 0, done.stderr
    assert "of 40 threads write parts: more would take more memory than is free" in done.stderr
    assert digests(tmp_path / "fewer") == wanted


@pytest.mark.parametrize("megabytes", [800, 900, 1_100])
def test_any_less_memory_ends_in_words_and_goes_on(megabytes: int, tmp_path: Path) -> None:
    size = ("--user-multiplier", 4, "--item-multiplier", 4, "--parts", 4, "--threads", 2, "--quiet")
    command = ("-m", "fractalrs", "expand", "sample", tmp_path / "out", *size)
    done = limited(megabytes, *command)
    assert done.returncode in (0, 1, 2), (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    assert (done.returncode == 0) == (tmp_path / "out/manifest.json").exists()
    assert done.returncode == 0 or "memory" in done.stderr, done.stderr
    assert limited(None, *command).returncode == 0
    assert fr.verify(tmp_path / "out").holds
