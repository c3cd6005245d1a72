"""What `import fractalrs` loads, and what it names."""

import subprocess
import sys

import pytest

import fractalrs as fr

HEAVY = ("scipy", "matplotlib", "rich", "skimage", "jinja2", "typer", "threadpoolctl")


def loaded_by(code: str) -> set[str]:
    """Run Python and return the packages that are loaded at its end."""
    code += "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_package_loads_nothing_heavy() -> None:
    found = loaded_by("import fractalrs")
    assert "fractalrs" in found
    assert found.isdisjoint(HEAVY)


def test_reading_draws_nothing() -> None:
    assert loaded_by("from fractalrs import read_interactions").isdisjoint({"matplotlib", "jinja2", "skimage"})


def test_a_command_loads_what_it_needs_when_it_needs_it() -> None:
    # scikit-image resizes in Algorithm 3 alone.
    code = "import sys, fractalrs.cli.expand; assert not {'scipy.sparse', 'scipy.linalg'} & {*sys.modules}"
    # pandas takes a quarter of a second: what loads it, waits.
    assert loaded_by(code).isdisjoint({"matplotlib", "jinja2", "skimage", "pandas"})
    with_matrix = "import fractalrs as fr; fr.reduce(fr.leave_last_out(fr.sample_interactions(40, 30, 400)), (2, 3))"
    assert "skimage" in loaded_by(with_matrix)


def test_all_names_are_there_and_listed() -> None:
    for name in fr.__all__:
        assert getattr(fr, name) is getattr(fr, name), name
    # A star brings nothing that has to be installed first.
    assert {*fr.__all__, "models", "plot", "__version__"} == set(dir(fr))
    scope: dict[str, object] = {}
    exec("from fractalrs import *", scope)
    assert set(fr.__all__) <= set(scope)
    with pytest.raises(AttributeError, match="module 'fractalrs' has no attribute 'cells'"):
        fr.cells  # noqa: B018


def test_what_is_named_here_is_documented() -> None:
    for name in fr.__all__:
        assert getattr(fr, name).__doc__, name
