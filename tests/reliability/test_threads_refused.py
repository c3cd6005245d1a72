"""A system that gives no more threads: fewer are used, or an error says so; no panic, and the same call goes on."""

import multiprocessing
import os
import resource
from pathlib import Path
from typing import Any

import pytest

import fractalrs as fr
from fractalrs.dataset import write_parts, write_plan
from helpers.folders import digests, small_expansion

FORK = multiprocessing.get_context("fork")
NOBODY = 54_321
"""A user who has no process: so many threads of theirs are allowed as the limit says."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without processes")


def limited(tasks: int, use: Any, log: Path) -> int | None:
    """Use something in a process that may have so many threads, its own among them; return its exit code."""

    def child() -> None:
        with log.open("w") as file:
            os.dup2(file.fileno(), 2)
        resource.setrlimit(resource.RLIMIT_NPROC, (tasks, tasks))
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        try:
            use()
        except (fr.FractalrsError, OSError, RuntimeError) as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(2)
        os._exit(0)

    process = FORK.Process(target=child)
    process.start()
    process.join(60)
    if process.is_alive():
        process.kill()
        pytest.fail(f"with {tasks} tasks it stands still: {log.read_text()}")
    return process.exitcode


def test_fewer_threads_write_the_same_or_say_that_there_are_none(tmp_path: Path) -> None:
    plan = fr.plan(small_expansion(), parts=4)
    wanted, ends = digests(write_plan(plan, tmp_path / "wanted", threads=4).path), []
    for parent in (tmp_path, *list(tmp_path.parents)[:3]):
        parent.chmod(parent.stat().st_mode | 0o711)
    for tasks in (1, 2, 3, 4, 5, 8):
        place = tmp_path / f"with{tasks}"
        # Begun before: linear algebra, which begins it, ends a process that may have no threads.
        write_parts(plan, range(0), place)
        for path in (place, *place.rglob("*")):
            path.chmod(0o777)
        code = limited(tasks, lambda place=place: write_parts(plan, range(4), place, threads=4), tmp_path / "log")
        said = (tmp_path / "log").read_text()
        assert "panicked" not in said, said
        assert code in (0, 2), f"{tasks} tasks: {code} {said}"
        if code == 2:
            assert "thread" in said, said
        ends.append(code)
        # What was refused goes on where there are threads.
        write_plan(plan, place, threads=4)
        assert digests(place) == wanted
    assert ends[0] == 2
    assert ends[-1] == 0
