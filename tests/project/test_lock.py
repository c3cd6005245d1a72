"""The versions that development and continuous integration use."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


def locked() -> dict[str, str]:
    """Read ``constraints.txt``: one pinned version a line, and nothing that binds it to a platform or a machine."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [re.fullmatch(r"([\w.-]+)==([\w.]+)", line) for line in lines if not line.startswith("#")]
    assert all(pins), lines
    return {canonicalize_name(pin[1]): pin[2] for pin in pins if pin}


def required() -> list[str]:
    """List what ``pyproject.toml`` requires to build, run, test, measure and check the project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    extras = project["project"]["optional-dependencies"].values()
    needed = [project["build-system"]["requires"], project["project"]["dependencies"], *extras]
    return [requirement for part in (*needed, *groups.values()) for requirement in part]


@pytest.mark.parametrize("requirement", [Requirement(text) for text in required()], ids=str)
def test_what_is_required_is_locked_within_its_bounds(requirement: Requirement) -> None:
    assert locked()[canonicalize_name(requirement.name)] in requirement.specifier, "renew it: make lock"


def test_the_package_itself_is_not_locked() -> None:
    assert "fractalrs" not in locked()
