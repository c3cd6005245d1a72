"""The report: what it says, that nothing leaks or is fetched, and how a real browser shows it."""

import base64
import json
import math
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

from fractalrs.errors import OutputError
from fractalrs.statistics import Curve
from fractalrs.validation import Check, Findings, Metric, Report
from fractalrs.validation.verdict import DOCS, failures, parts
from fractalrs.validation.wording import number

NASTY = "<script>alert('&')</script>"
SHARES = {"real": 1.0, "reduced": 0.9, "kronecker": 1.05, "synthetic": 0.97, "thinned": 0.93, "null": 0.03}


def ranking(exponent: float, points: int = 200) -> Curve:
    rank = np.geomspace(1e-5, 1, points)
    y = (rank + 3e-4) ** -exponent * np.exp(-2 * rank)
    return Curve(rank, y / np.trapezoid(y, rank))


def spectrum(exponent: float, values: int = 64) -> Curve:
    at = np.arange(1.0, values + 1)
    return Curve(at, at**-exponent)


@cache
def some_findings() -> Findings:
    """Findings of a data set that fails a few checks, with everything that a report can show."""
    rng = np.random.default_rng(4)
    rates = np.clip(np.add.outer(np.hanning(16), np.hanning(32) * 0.5) ** 2 * rng.uniform(0.3, 0.6, (16, 32)), 0.01, 1)
    deviation = rng.standard_normal(rates.shape)
    deviation[3, 7], deviation[12, 20], deviation[0, 0] = 9.3, -6.2, np.nan
    bins = np.kron(rates, np.add.outer(np.linspace(2, 0.2, 12) ** 3, np.linspace(2, 0.1, 8) ** 3))
    vectors = {
        f"{side}_vector_{which}": {
            label: Curve(rank := np.geomspace(1e-4, 1, 60), np.sqrt(-2 * np.log(rank * 0.9)) * share**0.2)
            for label, share in SHARES.items()
            if label in ("real", "reduced", "synthetic")
        }
        for side in ("left", "right")
        for which in range(1, 9)
    }
    return Findings(
        subject={
            "path": f"out/{NASTY}",
            "profile": "realistic",
            "shuffle": "cells",
            "shape": (np.int64(2_197_225), np.int64(855_776)),
            "train": 1_223_962_043,
            "test": 12_709_557,
            "mean_keep_rate": np.float64(0.12147),
            "seed": 20261122,
            "source": None,
            "versions": {"fractalrs": "0.1.0", "generator": 2},
        },
        checks=(
            Check("all parts are there", "integrity", True, "64 parts, 128 files, 5.6 GB"),
            Check("counts agree with the manifest", "integrity", True, "1,223,962,043 train and 12,709,557 test rows"),
            Check("train and test are disjoint", "integrity", False, f"user 17, item 4,711 of {NASTY} is in both"),
            Check("no pair twice", "integrity", True, "0 duplicates"),
            Check("ids are in range", "integrity", np.bool_(True), "users 0 to 2,197,224, items 0 to 855,775"),  # type: ignore[arg-type]
            Check("rows are ordered by user", "integrity", True, "in each of 128 files"),
            Check(
                "counts of blocks agree with keep rates",
                "integrity",
                False,
                "block (3, 7): 9,120 interactions, 8,233 expected (p = 1.3e-20); block (12, 20): 1,201, 1,409 expected",
            ),
            Check("test items are a fair choice", "integrity", True, "largest deviation 2.9 standard deviations of 32"),
            Check("users generated again are the same", "integrity", None, "needs --source"),
        ),
        metrics=(
            Metric("gini of users", "degrees", 0.532, 0.5127, 0.5461, 0.0714, 0.0141, 0.05),
            Metric("gini of items", "degrees", 0.63412, 0.6021, 0.69123, 0.10218, 0.05711, 0.05),
            Metric(
                "coverage of items",
                "degrees",
                0.99,
                None,
                0.78,
                1.0,
                0.21,
                0.05,
                thinned=0.80,
                floor=0.19,
                from_floor=True,
            ),
            Metric("share of the top 1 % of users", "degrees", 0.0832, 0.0791, 0.0867, 0.0123),
            Metric("Kolmogorov–Smirnov distance of users", "degrees", None, None, 0.0213, 0.8123, 0.0213, 0.1),
            Metric("tail exponent of items", "degrees", 1.8213, 1.7312, 1.9014, np.inf, 0.0801, 0.3, "Hill, 2.1–1.6"),
            Metric("interactions per user", "degrees", 144.41, None, 562.8, 562.8, note="only shown"),
            Metric(
                "first 16 singular ratios", "spectrum", None, None, None, None, 0.0512, 0.1, "median relative error"
            ),
            Metric("effective rank", "spectrum", 312.4, 14.2, 298.11, 26743.0, 0.0457, 0.25),
            Metric(
                "network values of users", "vectors", None, None, None, 0.21, 0.0412, 0.1, "largest of 8 KS distances"
            ),
            Metric("degree assortativity", "graph", -0.2213, None, -0.1987, 2.1e-5, 0.0226, 0.1),
            Metric("copies among the ten nearest items", "neighbours", None, None, 0.031, 0.0, 0.031, 0.05),
            Metric(
                "cosine of the nearest item", "neighbours", 0.4312, None, np.nan, 0.0123, None, 0.2, "needs --source"
            ),
            Metric(
                "repetition as stored", "repetition", None, None, 0.0597, 0.0571, 1.046, 1.5, "share over its floor"
            ),
            Metric("repetition after relinking", "repetition", None, None, 0.1021, 0.0571, 1.788, 3.0),
        ),
        curves={
            "user_degrees": {label: ranking(0.5 * share) for label, share in SHARES.items() if label != "kronecker"},
            "item_degrees": {label: ranking(0.62 * share) for label, share in SHARES.items() if label != "kronecker"},
            "singular_values": {
                "real": spectrum(0.55),
                "reduced": spectrum(0.56, 16),
                "kronecker": spectrum(0.62),
                "synthetic": spectrum(0.58),
                "null": Curve(np.arange(1.0, 65), np.append(1, np.linspace(0.034, 0.033, 63))),
            },
            **vectors,
        },
        maps={"keep_rates": rates, "block_deviation": deviation, "density": rng.poisson(bins * 3).astype(float)},
        seconds={"one pass over the files": 161.2, "singular_values": 1311.0},
    )


def good_findings() -> Findings:
    found = some_findings()
    return replace(
        found,
        checks=tuple(check for check in found.checks if check.holds is not False),
        metrics=tuple(metric for metric in found.metrics if metric.holds is not False),
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    Report(some_findings()).to_html(path)
    return path


def verdicts(*outcomes: bool | None) -> Report:
    checks = (Check(f"check {which}", "integrity", holds, "") for which, holds in enumerate(outcomes))
    return Report(Findings({}, tuple(checks)))


def test_what_fails_is_named_in_order() -> None:
    report = Report(some_findings())
    assert not report.holds
    assert report.failures == (
        "train and test are disjoint",
        "counts of blocks agree with keep rates",
        "gini of items",
    )
    assert report.unchecked == ("users generated again are the same", "cosine of the nearest item")
    assert report.verdict == "3 of 20 checks fail"


@pytest.mark.parametrize(
    ("outcomes", "holds", "verdict"),
    [
        ((), True, "Nothing was checked"),
        ((None,), True, "Nothing was checked"),
        ((True,), True, "The one check holds"),
        ((True, True, None), True, "All 2 checks hold"),
        ((True, False, None), False, "1 of 2 checks fails"),
        ((False, False), False, "2 of 2 checks fail"),
    ],
)
def test_the_verdict_counts_what_was_checked(outcomes: tuple[bool | None, ...], holds: bool, verdict: str) -> None:
    report = verdicts(*outcomes)
    assert report.holds is holds
    assert report.verdict == verdict


def test_a_check_and_a_metric_of_one_name_are_one() -> None:
    check = Check("gini of users", "fidelity", True, "")
    failing = Metric("gini of users", "degrees", distance=0.2, threshold=0.1)
    assert Report(Findings({}, (check,), (failing,))).verdict == "1 of 1 checks fails"
    unknown = Metric("gini of users", "degrees", threshold=0.1)
    assert Report(Findings({}, (check,), (unknown,))).verdict == "The one check holds"


def test_a_metric_without_a_threshold_never_fails() -> None:
    assert Report(Findings({}, (), (Metric("gini", "degrees", distance=9.0),))).verdict == "Nothing was checked"
    assert not Report(Findings({}, (), (Metric("gini", "degrees", distance=math.nan, threshold=1.0),))).holds


def test_the_verdict_has_three_parts() -> None:
    report = Report(some_findings())
    exact, realistic, differs = parts(report)
    assert (exact.name, exact.holds, exact.text) == ("exact", False, "2 of 8 checks fail")
    assert (realistic.name, realistic.holds, realistic.text) == ("realistic", False, "1 of 12 metrics fails")
    assert (differs.name, differs.holds) == ("differs, not judged", None)
    assert [part.holds for part in parts(Report(good_findings()))] == [True, True, None]
    assert "exact                2 of 8 checks fail" in str(report).splitlines()


def test_what_is_not_judged_is_named_where_it_differs_beyond_thinning() -> None:
    differing = Metric("slope", "degrees", 2.0, synthetic=2.5, distance=0.5, thinned=2.1, floor=0.1)
    thinned = Metric("tail", "degrees", 2.0, synthetic=2.5, distance=0.5, thinned=2.45, floor=0.45)
    judged = Metric("gini", "degrees", 0.5, synthetic=0.9, distance=0.4, threshold=0.02)
    report = Report(Findings({}, (), (differing, thinned, judged)))
    assert parts(report)[2].text == "slope 2.5 (real 2)"
    assert parts(Report(Findings({}, (), (thinned,))))[2].text == "nothing by more than a tenth"


def test_a_failure_says_value_limit_cause_remedy_and_where_to_read_on() -> None:
    found = failures(Report(some_findings()))
    assert [one.name for one in found] == list(Report(some_findings()).failures)
    gini = found[-1]
    assert gini.value == "0.6912 (real 0.6341), distance 0.05711"
    assert gini.limit == "0.05"
    assert gini.cause
    assert "multipliers" in gini.remedy
    assert gini.link == f"{DOCS}/fidelity.html"
    text = str(Report(some_findings()))
    assert all(part in text for part in (gini.value, gini.cause, gini.remedy, gini.link))


def test_the_dictionary_is_json() -> None:
    content = Report(some_findings()).to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert next(iter(content)) == "holds"
    assert content["holds"] is False
    assert content["subject"]["shape"] == [2_197_225, 855_776]
    by_name = {metric["name"]: metric for metric in content["metrics"]}
    assert by_name["tail exponent of items"]["null"] is None  # infinite
    assert by_name["cosine of the nearest item"]["synthetic"] is None  # not a number
    assert by_name["gini of items"]["holds"] is False
    assert content["maps"]["block_deviation"][0][0] is None
    assert content["curves"]["singular_values"]["real"]["x"][:3] == [1.0, 2.0, 3.0]
    assert content["seconds"] == {"one pass over the files": 161.2, "singular_values": 1311.0}


def test_the_text_begins_with_what_fails() -> None:
    lines = str(Report(some_findings())).splitlines()
    assert lines[0].startswith("3 of 20 checks fail: train and test are disjoint, counts of blocks")
    assert "shape: 2,197,225 × 855,776" in lines
    assert "seed: 20261122" in lines
    words = [line.split("  ")[0] for line in lines[lines.index("") + 1 :][:9]]
    assert words == ["FAILS"] * 2 + ["ok"] * 6 + ["not checked"]
    start = next(at for at, line in enumerate(lines) if line.startswith("metric "))
    table = lines[start : start + 16]
    columns = ["real", "synthetic", "thinned", "null", "distance", "floor", "threshold"]
    assert table[0].split() == ["metric", *columns, "holds"]
    gini = next(line for line in table if line.startswith("gini of items"))
    assert gini.split()[3:] == ["0.6341", "0.6912", "–", "0.1022", "0.05711", "–", "0.05", "FAILS"]
    coverage = next(line for line in table if line.startswith("coverage of items"))
    assert coverage.split()[3:] == ["0.99", "0.78", "0.8", "1", "0.21", "0.19", "floor", "+", "0.05", "ok"]
    assert len({line.rindex("0.05") + 4 for line in table if " 0.05  " in line}) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (16, "16"),
        (0.1, "0.1"),
        (0.123456, "0.1235"),
        (-0.2, "−0.2"),
        (0.00123456, "0.001235"),
        (12.3456, "12.35"),
        (1_223_962_043, "1,223,962,043"),
        (np.float64(26_743.6), "26,744"),
        (0.000021, "2.10·10⁻⁵"),
        (-3e20, "−3.00·10²⁰"),
        (math.nan, "NaN"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers_are_for_people(value: float | None, text: str) -> None:
    assert number(value) == text


def test_the_page_fetches_nothing(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    # Links to the documentation fetch nothing until somebody follows them.
    html, links = re.subn(rf'<a href="{DOCS}/[a-z/]+\.html">{DOCS}/[a-z/]+\.html</a>', "", html)
    assert links
    references = re.findall(r"(?:href|src)=[\"']([^\"']*)|url\(([^)]*)\)", html)
    assert references
    assert all((href or url).startswith(("#", "data:")) for href, url in references)
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html


def test_what_findings_say_is_escaped(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;") == 3


def test_ids_are_unique_and_every_reference_is_met(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids)) > 100
    references = re.findall(r'(?:url\(|href=")#([^)"]+)', html)
    references += [name for names in re.findall(r'aria-labelledby="([^"]+)"', html) for name in names.split()]
    assert set(references) <= set(ids)


def test_the_same_findings_give_the_same_bytes(page: Path, tmp_path: Path) -> None:
    settings = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "svg.fonttype": "path"}):
        Report(some_findings()).to_html(tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()
    assert dict(matplotlib.rcParams) == settings


def test_what_has_no_data_is_left_out(tmp_path: Path) -> None:
    nothing = np.full((2, 2), np.nan)
    empty = {"real": Curve(np.array([1.0]), np.array([0.0]))}
    Report(Findings({}, curves={"user_degrees": empty, "left_vector_1": {}}, maps={"keep_rates": nothing})).to_html(
        tmp_path / "report.html"
    )
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Nothing was checked" in html
    assert "<figure" not in html
    assert "<table" not in html
    assert "<h2>" not in html


def test_the_page_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report.html").write_text("earlier")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(
        OutputError, match=r"cannot write .*report\.html: No space left on device\nhint: free some disk"
    ):
        verdicts(True).to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == "earlier"
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_where_no_file_can_be_the_error_says_so(tmp_path: Path) -> None:
    for path, hint in ((tmp_path / "missing/report.html", "create its folder"), (tmp_path, "name a file")):
        with pytest.raises(OutputError, match=f"cannot write {path}: .*\nhint: {hint}"):
            verdicts(True).to_html(path)
    assert not list(tmp_path.iterdir())
    assert not list(tmp_path.parent.glob(".*.tmp"))


Browser = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """Give a function that opens a page in headless Chromium and returns the page's elements and the console."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        message = "Chromium is not installed (Debian: apt install chromium)"
        # Continuous integration must not pass for want of a browser.
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    profile = tmp_path_factory.mktemp("profile")

    def run(page: Path, *options: str) -> "subprocess.CompletedProcess[str]":
        fixed = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        logged = ["--enable-logging=stderr", "--v=0"]
        command = [found, *fixed, *logged, *options, page.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)

    return run


MEASURE = """
const page = frame.contentDocument, view = frame.contentWindow;
const rgba = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
const light = colour => {
  const [r, g, b] = rgba(colour).slice(0, 3).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
};
const behind = element => {
  for (; element; element = element.parentElement) {
    const colour = view.getComputedStyle(element).backgroundColor;
    if (rgba(colour)[3] !== 0) return colour;
  }
  return "rgb(255, 255, 255)";
};
const contrast = element => {
  const style = view.getComputedStyle(element);
  const [a, b] = [light(element.namespaceURI.endsWith("svg") ? style.fill : style.color), light(behind(element))];
  return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
};
// What is folded is read too.
page.querySelectorAll("details").forEach(each => each.open = true);
const texts = [...page.body.querySelectorAll("*")].filter(element =>
  [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()) && !element.closest("title, desc"));
const images = [...page.querySelectorAll("svg:not([aria-hidden])")];
const lines = [...page.querySelectorAll("svg [style*='var(--']")];
const result = {
  title: page.title,
  width: view.innerWidth,
  scrollWidth: page.documentElement.scrollWidth,
  right: Math.max(...texts.filter(e => !e.closest("thead")).map(e => e.getBoundingClientRect().right)),
  dark: view.matchMedia("(prefers-color-scheme: dark)").matches,
  background: light(behind(page.body)),
  contrast: Math.min(...texts.map(contrast)),
  lineContrast: Math.min(...lines.filter(e => !e.getAttribute("style").includes("--faint")).map(e => {
    const [a, b] = [light(view.getComputedStyle(e).stroke), light(behind(e))];
    return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  })),
  figures: images.map(e => ({role: e.computedRole, name: e.computedName, height: e.getBoundingClientRect().height})),
  loaded: view.performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:")).length,
};
document.body.replaceChildren(JSON.stringify(result));
"""


@pytest.fixture
def measure(browser: Browser, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Give a function that shows a page, unchanged, in a frame of some width and measures it from outside."""

    def run(page: Path, width: int, *options: str) -> dict[str, Any]:
        encoded = base64.b64encode(page.read_bytes()).decode()
        outer = tmp_path / "outer.html"
        outer.write_text(
            f"""<!DOCTYPE html><html style="color-scheme: light dark"><body>
            <iframe id="frame" style="width: {width}px; height: 800px; border: 0"></iframe><script>
            frame.onload = () => {{ {MEASURE} }};
            frame.srcdoc = new TextDecoder().decode(Uint8Array.from(atob("{encoded}"), c => c.charCodeAt(0)));
            </script></body></html>""",
            encoding="utf-8",
        )
        shown = browser(outer, "--dump-dom", "--enable-blink-features=ComputedAccessibilityInfo", *options)
        assert "CONSOLE" not in shown.stderr
        body = re.search(r"<body>(\{.*\})</body>", shown.stdout, re.DOTALL)
        assert body, shown.stdout[-500:]
        result: dict[str, Any] = json.loads(body[1])
        return result

    return run


def test_a_browser_shows_the_page_without_complaint(page: Path, browser: Browser, tmp_path: Path) -> None:
    screenshot = tmp_path / "page.png"
    browser(page, f"--screenshot={screenshot}", "--window-size=1280,2000")
    assert screenshot.stat().st_size > 50_000
    shown = browser(page, "--dump-dom")
    assert "CONSOLE" not in shown.stderr
    assert "3 of 20 checks fail" in shown.stdout


def test_a_script_would_not_run(page: Path, browser: Browser, tmp_path: Path) -> None:
    """And the console, which the other tests find empty, would tell."""
    attacked = tmp_path / "attacked.html"
    html = page.read_text(encoding="utf-8")
    attacked.write_text(html.replace("</body>", "<script>document.title = 'taken'</script></body>"), encoding="utf-8")
    shown = browser(attacked, "--dump-dom")
    assert "CONSOLE" in shown.stderr
    assert "<title>3 of 20 checks fail" in shown.stdout


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_readable_on_any_screen(page: Path, measure: Any, width: int, scheme: str) -> None:
    found = measure(page, width, *(["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []))
    assert found["title"].startswith("3 of 20 checks fail")
    assert found["width"] == width
    assert found["scrollWidth"] <= width
    assert found["right"] <= width
    assert found["dark"] is (scheme == "dark")
    assert (found["background"] < 0.05) is (scheme == "dark")
    assert found["contrast"] >= 4.5
    assert found["lineContrast"] >= 3
    assert found["loaded"] == 0


def test_every_figure_has_a_name_and_does_not_move(page: Path, measure: Any) -> None:
    figures = measure(page, 1280)["figures"]
    assert len(figures) == 6 + 16
    names = [figure["name"] for figure in figures]
    assert len(set(names)) == len(names)
    assert all(figure["role"] in ("img", "image") and figure["height"] > 100 for figure in figures)
    deviation = next(name for name in names if name.startswith("Deviation of each block"))
    assert "16 × 32 blocks from −6.2 to 9.3 standard deviations; 2 beyond 5" in deviation


def test_a_good_data_set_is_called_so(measure: Any, tmp_path: Path) -> None:
    Report(good_findings()).to_html(tmp_path / "report.html")
    found = measure(tmp_path / "report.html", 360)
    assert found["title"].startswith("All 17 checks hold")
    assert found["contrast"] >= 4.5


def test_the_page_prints(page: Path, browser: Browser, tmp_path: Path) -> None:
    printed = tmp_path / "report.pdf"
    browser(page, f"--print-to-pdf={printed}", "--no-pdf-header-footer", "--blink-settings=preferredColorScheme=0")
    assert printed.read_bytes().startswith(b"%PDF")
