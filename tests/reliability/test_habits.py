"""The scripts that run for minutes or hours, for a moment: they work, and what they find fails them."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def script(name: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    command = [sys.executable, str(TESTS / name), *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_one_round_of_damage_finds_nothing() -> None:
    done = script("fuzz.py", 1, 0)
    assert (done.returncode, "tried: 0 unexpected" in done.stdout) == (0, True), done.stdout + done.stderr


def test_one_round_of_faults_loses_nothing() -> None:
    done = script("soak.py", 0, 1)
    assert (done.returncode, "rounds 1 to 1: 0 failed" in done.stdout) == (0, True), done.stdout + done.stderr
