"""The pages' Python runs as it stands, their links lead somewhere, and the README is short."""

import re
from pathlib import Path
from unittest.mock import patch

import pytest

import fractalrs as fr
from fractalrs.formats import FORMATS

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
WORDS = 750


def blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_there_are_examples() -> None:
    assert {page.name for page in PAGES if blocks(page)} >= {"README.md", "guide.md", "formats.md", "operators.md"}


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_python_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fr.write_interactions(fr.sample_interactions(400, 300, 8_000), "ratings.csv")
    # A page may register a format.
    with patch.dict(FORMATS):
        for block in blocks(page):
            scope: dict[str, object] = {"__name__": page.stem}
            exec(compile(block, page.name, "exec"), scope)
    if page == README:
        assert fr.open_dataset("out3").totals == fr.open_dataset("out").totals


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= WORDS
