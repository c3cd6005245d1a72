"""How much memory is free, by what the system says; and what is done with little of it."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fractalrs as fr
from fractalrs.tools import allowed_threads, blas_threads, free_memory, resolve_threads
from fractalrs.tools.atomic import make_folder
from helpers.folders import digests, small_expansion

MB = 1 << 20
System = Callable[[dict[str, str]], None]


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    """Let files of the system's say what a test wants; others of them are not there."""
    read, exists = Path.read_text, Path.exists

    def pretend(files: dict[str, str]) -> None:
        def is_system(path: Path) -> bool:
            return path.is_relative_to("/proc") or path.is_relative_to("/sys")

        def told(path: Path, *arguments: Any, **options: Any) -> str:
            if not is_system(path):
                return read(path, *arguments, **options)
            if str(path) not in files:
                raise FileNotFoundError(path)
            return files[str(path)]

        monkeypatch.setattr(Path, "read_text", told)
        monkeypatch.setattr(Path, "exists", lambda path: str(path) in files if is_system(path) else exists(path))

    return pretend


def of_one_group(free: int) -> dict[str, str]:
    return {"/proc/meminfo": f"MemTotal: 9 kB\nMemAvailable:   {free // 1024} kB\n"}


def test_what_the_system_caches_of_files_is_free(system: System) -> None:
    meminfo = of_one_group(8_000 * MB)
    system(meminfo)
    assert free_memory() == 8_000 * MB
    stat = f"anon 7\nfile 900\ninactive_file {100 * MB}\nactive_file {300 * MB}\nslab_reclaimable {50 * MB}\n"
    second = {
        "/proc/self/cgroup": "0::/a/b\n",
        "/sys/fs/cgroup/a/memory.max": f"{1_000 * MB}\n",
        "/sys/fs/cgroup/a/memory.current": f"{900 * MB}\n",
        "/sys/fs/cgroup/a/memory.stat": stat,
        "/sys/fs/cgroup/a/b/memory.max": "max\n",
        "/sys/fs/cgroup/a/b/memory.current": f"{900 * MB}\n",
    }
    system(meminfo | second)
    assert free_memory() == 550 * MB
    first = {
        "/proc/self/cgroup": "3:cpu:/x\n4:memory:/c\n",
        "/sys/fs/cgroup/memory/c/memory.limit_in_bytes": f"{1_000 * MB}\n",
        "/sys/fs/cgroup/memory/c/memory.usage_in_bytes": f"{900 * MB}\n",
        "/sys/fs/cgroup/memory/c/memory.stat": (
            f"inactive_file 1\nactive_file 2\ntotal_inactive_file {100 * MB}\ntotal_active_file {200 * MB}\n"
        ),
    }
    system(meminfo | first)
    assert free_memory() == 400 * MB


def test_a_small_data_set_is_written_where_little_is_free(
    system: System, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = digests(fr.write(small_expansion(), tmp_path / "wanted", parts=3).path)
    system(of_one_group(20 * MB))
    with caplog.at_level(logging.WARNING):
        fr.write(small_expansion(), tmp_path / "one", parts=1, threads=1_000)
        assert caplog.messages == []
        fr.write(small_expansion(), tmp_path / "out", parts=3, threads=1_000)
    (warning,) = caplog.messages
    assert warning.startswith("warning: 1 of 3 threads write parts: more would take more memory than is free")
    assert digests(tmp_path / "out") == wanted


def test_row_groups_that_do_not_fit_are_refused_before_anything_is_written(system: System, tmp_path: Path) -> None:
    out = tmp_path / "out"
    system(of_one_group(64 << 10))
    with pytest.raises(fr.InputError, match="a thread that writes parts takes about") as refused:
        fr.write(small_expansion(), out, parts=1)
    hint = "free some, or allow more, or make it anew with a smaller --row-group-size or more --parts"
    assert refused.value.hint == hint
    assert not out.exists()
    fr.write(small_expansion(), out, parts=40)


def test_repair_asks_for_the_memory_of_parts_only_where_one_is_written(system: System, tmp_path: Path) -> None:
    expansion = small_expansion()
    path = fr.write(expansion, tmp_path / "out", parts=1).path
    saved = tmp_path / "saved"
    expansion.save(saved)
    wanted = digests(path)
    (path / "README.md").unlink()
    system(of_one_group(64 << 10))
    assert fr.verify(path, repair=True, source=saved).holds
    assert digests(path) == wanted
    next((path / "train").iterdir()).unlink()
    with pytest.raises(fr.InputError, match="a thread that writes parts takes about"):
        fr.verify(path, repair=True, source=saved)


def test_folders_on_a_drive_that_is_not_there_are_refused_by_the_system() -> None:
    class Drive(type(Path())):  # type: ignore[misc]
        """A path of which nothing is there, up to its root."""

        def is_dir(self, **options: Any) -> bool:  # noqa: ARG002
            return False

        def mkdir(self, *arguments: Any, **options: Any) -> None:  # noqa: ARG002
            raise FileNotFoundError(self)

    with pytest.raises(FileNotFoundError):
        make_folder(Drive("/z/a/b"))


def test_what_is_not_told_how_many_threads_takes_as_many_as_are_allowed() -> None:
    before = resolve_threads(None)
    with allowed_threads(before + 3):
        assert resolve_threads(None) == before + 3
        assert resolve_threads(2) == 2
        # The core's own loops give the same bits on any number.
        with blas_threads(1):
            assert resolve_threads(None) == before + 3
    assert resolve_threads(None) == before
