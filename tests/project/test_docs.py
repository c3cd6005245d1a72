"""The pages' Python and commands run as they stand, their links lead somewhere, and the README is short."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from unittest.mock import patch

import pytest

import fractalrs as fr
from fractalrs.formats import FORMATS

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts)]
GUIDES = [README, ROOT / "docs/guide.md", *sorted((ROOT / "docs/guides").glob("*.md"))]
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
WORDS = 700


def blocks(page: Path, language: str = "python") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """Read the command lines of a page, those that continue on a next line too."""
    text = "".join(blocks(page, "sh")).replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    return [words for words in lines if words]


def run(words: list[str]) -> str:
    """Run a command of the package; return what it printed."""
    assert words[0] == "fractalrs"
    words, files = (words[:-2], words[-1:]) if ">" in words else (words, [])
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"{shlex.join(words)}: {done.stderr}"
    for file in files:
        Path(file).write_text(done.stdout)
    return done.stdout + done.stderr


def test_there_are_examples() -> None:
    assert {page.name for page in PAGES if blocks(page)} >= {"README.md", "guide.md", "exports.md", "operators.md"}
    assert {page.name for page in GUIDES if commands(page)} >= {"README.md", "guide.md", "times.md", "attributes.md"}


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_python_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fr.write_interactions(fr.sample_interactions(400, 300, 8_000), "ratings.csv")
    # A page may register a format.
    with patch.dict(FORMATS):
        # A page is read from its top.
        scope: dict[str, object] = {"__name__": page.stem}
        for block in blocks(page):
            exec(compile(block, page.name, "exec"), scope)


@pytest.mark.parametrize("page", [page for page in GUIDES if commands(page)], ids=lambda page: page.name)
def test_commands_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = fr.sample_interactions().table
    fr.write_interactions(fr.sample_interactions(), "ratings.csv")
    header, *lines = Path("ratings.csv").read_text().splitlines()
    rows = [f"{line},{number % 3},{number % 7}" for number, line in enumerate(lines)]
    Path("events.csv").write_text("\n".join([f"{header},device,session", *rows, ""]))
    for name, column in (("movies.csv", "item_id"), ("users.csv", "user_id")):
        ids = sorted(set(table[column].to_pylist()))
        Path(name).write_text("\n".join([f"{column},group", *(f"{id},{id % 5}" for id in ids), ""]))
    for words in commands(page):
        if words[0] == "pip":
            assert words[:2] == ["pip", "install"]
            assert words[2] in (".", "fractalrs")
            continue
        # Each line of a guide stands for itself.
        if words[1] == "sample":
            Path(words[2]).unlink()
        if words[1] == "expand" and "--part-range" not in words:
            shutil.rmtree(words[3], ignore_errors=True)
            words += ["--dry-run"] * ("1e9" in words)
        run(words)


def test_the_first_command_prints_what_the_readme_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (session,) = blocks(README, "console")
    first, *shown = session.splitlines()
    printed = run(shlex.split(first.removeprefix("$ "))).splitlines()
    assert [line for line in printed if line in shown] == shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        # What is generated is checked where it is: `make docs`.
        assert "generated/" in target or (page.parent / target).exists(), target


def test_links_of_the_readme_are_absolute_and_lead_to_pages_and_files() -> None:
    raw = URLS["Repository"].replace("github.com", "raw.githubusercontent.com")
    for target in re.findall(r"\]\(([^)]+)\)", README.read_text(encoding="utf-8")):
        path = None
        if target.startswith(URLS["Documentation"]):
            path = Path("docs") / target.removeprefix(URLS["Documentation"])
            path = path.with_suffix(".md")
        for start in (f"{URLS['Repository']}/blob/main/", f"{raw}/main/"):
            if target.startswith(start):
                path = Path(target.removeprefix(start))
        assert target == URLS["Paper"] or path is not None, target
        assert path is None or "generated" in path.parts or (ROOT / path).exists(), target


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= WORDS
