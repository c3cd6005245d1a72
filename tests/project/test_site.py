"""The documentation's generated pages leave nothing public out, and the project's metadata agree with each other."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import fractalrs as fr
from fractalrs.cli.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generated_pages", ROOT / "docs/generated_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_is_in_the_reference(pages: ModuleType) -> None:
    listed = re.findall(r"^   (fractalrs\.[\w.]+)$", pages.api_page(), flags=re.MULTILINE)
    own = {name for name in listed if ".plot." not in name} - {*pages.ADAPTERS, *pages.MODELS}
    assert own == {f"fractalrs.{name}" for name in fr.__all__}
    assert {"fractalrs.plot.ranked_degrees", *pages.ADAPTERS} <= {*listed}
    assert {f"fractalrs.loading.{name}" for name in ("Batches", "Histories")} <= {*pages.ADAPTERS}
    assert len(listed) == len(set(listed))


def test_every_command_and_option_is_in_the_reference(pages: ModuleType) -> None:
    page = pages.command_page()
    assert re.findall(r"^## `fractalrs (\w+)`", page, flags=re.MULTILINE) == list(COMMANDS)
    (expand,) = re.findall(r"^## `fractalrs expand`(.*?)^## ", page, flags=re.MULTILINE | re.DOTALL)
    for option in ("--user-multiplier M", "--target-interactions", "--min-keep", "--row-group-size", "--dry-run"):
        assert option in expand


def test_every_page_is_in_the_site() -> None:
    docs = ROOT / "docs"
    pages = {
        page.relative_to(docs).with_suffix("").as_posix() for page in docs.rglob("*.md") if "_build" not in page.parts
    }
    listed = {"index", "generated/api"}
    for page in pages:
        for tree in re.findall(r"```{toctree}\n(.*?)```", (docs / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL):
            entries = [line for line in tree.splitlines() if line and not line.startswith(":")]
            found = ((docs / page).parent / entry for entry in entries)
            listed |= {path.resolve().relative_to(docs).as_posix() for path in found}
    assert pages <= listed


def test_the_citation_agrees_with_the_package() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    found = dict(re.findall(r"^([\w-]+): (.+)$", citation, flags=re.MULTILINE))
    assert found["version"] == fr.__version__
    assert found["license"] == PROJECT["license"]
    assert found["repository-code"] == PROJECT["urls"]["Repository"]
    assert found["url"] == PROJECT["urls"]["Documentation"]
    assert PROJECT["urls"]["Paper"] in citation


def test_the_version_is_printed_soon() -> None:
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'fractalrs', '--version'], check=True, stdout=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime)"
    )
    seconds = min(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    )
    assert seconds <= 0.3
