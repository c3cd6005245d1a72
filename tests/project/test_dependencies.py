"""Every dependency has a line in `docs/dependencies.md`, and a licence that is allowed."""

import json
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = set(tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"])
OTHER_LICENCES = {"certifi": "MPL-2.0", "pillow": "MIT-CMU", "typing-extensions": "PSF-2.0"}
"""Of Python packages, with what `docs/dependencies.md` says of them."""
CLASSIFIERS = {"MIT License": "MIT", "BSD License": "BSD-3-Clause", "Apache Software License": "Apache-2.0"}
CLASSIFIERS |= {"ISC License (ISCL)": "ISC", "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0"}


def sections() -> dict[str, tuple[list[str], list[str]]]:
    """Return the names in each section of the page: those with a reason, and those that they bring."""
    found = {}
    for section in re.split(r"^## ", (ROOT / "docs/dependencies.md").read_text(), flags=re.MULTILINE)[1:]:
        title, _, text = section.partition("\n")
        rows = re.findall(r"^\| ([a-z].*?) \| .*\w.* \|$", text, flags=re.MULTILINE)
        brought = text.partition("They bring these:\n\n")[2].partition(".\n")[0]
        reasoned = [name for row in rows for name in row.split(", ") if row not in ("package", "crate")]
        found[title] = reasoned, [name.strip() for name in re.split(r",\s", brought) if name]
    return found


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def test_every_python_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = {name for part in project["project"]["optional-dependencies"].values() for name in names(part)}
    always = names(project["project"]["dependencies"])
    others = {name for part in project["dependency-groups"].values() for name in names(part)} - extras - always
    page = {title: reasoned for title, (reasoned, _) in sections().items()}
    assert sorted(page["Python, always installed"]) == sorted(always)
    assert sorted(page["Python, when asked for"]) == sorted(extras)
    assert sorted(page["Python, for development"]) == sorted(others | names(project["build-system"]["requires"]))


def test_every_crate_has_its_reason_or_is_brought_by_one_that_has() -> None:
    manifests = [tomllib.loads(path.read_text()) for path in sorted(ROOT.glob("rust/*/Cargo.toml"))]
    kinds = ("dependencies", "dev-dependencies", "build-dependencies")
    direct = {name for found in manifests for kind in kinds for name in found.get(kind, {})} - {"fractalrs-core"}
    locked = {package["name"] for package in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]}
    reasoned, brought = sections()["Rust"]
    assert sorted(reasoned) == sorted(direct)
    assert brought == sorted(locked - direct - {"fractalrs-core", "fractalrs-python"})


def allows(expression: str) -> bool:
    """Return whether a licence may be taken: any of those between OR, all of those between AND.

    Examples
    --------
    >>> allows("GPL-3.0 OR (MIT AND 0BSD)"), allows("MIT AND GPL-3.0")
    (True, False)
    """
    expression = expression.strip().replace("MIT/Apache-2.0", "MIT OR Apache-2.0")
    depth, parts = 0, [""]
    for word in re.findall(r"[()]|[^\s()]+", expression):
        depth += (word == "(") - (word == ")")
        if word == "OR" and depth == 0:
            parts.append("")
        else:
            parts[-1] += f" {word}"
    if len(parts) > 1:
        return any(allows(part) for part in parts)
    if " AND " in expression and not re.fullmatch(r"\([^()]*\)", expression):
        return all(allows(part) for part in re.split(r" AND (?![^(]*\))", expression))
    if expression.startswith("("):
        return allows(expression[1:-1])
    return expression in ALLOWED


def test_licences_are_told_apart() -> None:
    assert allows("(MIT OR Apache-2.0) AND Unicode-3.0")
    assert allows("GPL-3.0 OR MIT")
    assert not allows("(GPL-3.0 OR LGPL-2.1) AND MIT")
    assert not allows("MIT AND GPL-3.0")
    assert not allows("GPL-3.0")


@pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo tells the licences of crates")
def test_every_crate_has_a_licence_that_is_allowed() -> None:
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--offline"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("crates are not at hand: cargo fetch")
    packages = json.loads(done.stdout)["packages"]
    assert len(packages) > 50
    assert [(one["name"], one["license"]) for one in packages if not allows(one["license"] or "none")] == []


def test_what_is_always_installed_is_known_and_allowed() -> None:
    direct, brought = sections()["Python, always installed"]
    todo, seen = [*direct], set[str]()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        metadata = distribution(name).metadata
        classifiers = [text.split(" :: ")[-1] for text in metadata.get_all("Classifier", []) if "License ::" in text]
        told = (metadata.get_all("License-Expression") or metadata.get_all("License") or [""])[0]
        licences = [CLASSIFIERS.get(text, text) for text in classifiers] or [told]
        assert any(allows(one) or OTHER_LICENCES.get(name) == one for one in (told, *licences)), (name, told, licences)
        requirements = [Requirement(text) for text in distribution(name).requires or []]
        wanted = [one for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})]
        todo += [canonicalize_name(one.name) for one in wanted]
    assert seen - {*direct} - {*brought} == set()
