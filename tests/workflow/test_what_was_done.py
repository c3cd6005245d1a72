"""What a run does to the data is visible: in notes, forecast, summary, `info`, card and report."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

import fractalrs as fr
from fractalrs.errors import InputError
from helpers.commands import run

OPTIONS = ("--user-multiplier", "2", "--item-multiplier", "3", "--profile", "traceable")
ADVICE = "min_timestamps=1 and split='random' (--min-timestamps 1 --split random) would keep"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two users of five have their interactions at one time, one of five has one interaction."""
    lines = ["userId,movieId,rating,timestamp"]
    for user in range(100):
        times = {0: [5] * 4, 1: [5] * 4, 2: [5]}.get(user % 5, range(4))
        lines += [f"{user},{user * 7 % 31 + 3 * item},2/5,{1_300_000_000 + time}" for item, time in enumerate(times)]
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_many_dropped_users_are_told_everywhere(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    reason = "60 % of users (60 of 100) were dropped because they have fewer than 2 distinct timestamps"
    text = f"{reason}; {ADVICE} 40 of them."
    forecast = run("expand", source, out, *OPTIONS, "--dry-run")
    assert forecast.code == 0, forecast.err
    assert f"Warning: {text}" in forecast.err.splitlines()
    assert text in forecast.out
    assert "First rows: user 0, item 0, time 2011-03-13 07:06:45" in forecast.err
    assert "Not read, as nothing uses it: rating." in forecast.err
    assert json.loads(run("expand", source, out, *OPTIONS, "--dry-run", "--json").out)["warnings"] == [text]
    done = run("expand", source, out, *OPTIONS, "--json")
    assert json.loads(done.out)["warnings"] == [text]
    assert json.loads(run("info", out, "--json").out)["warnings"] == [text]
    assert text in run("info", out).out
    assert f"- {text}" in (out / "README.md").read_text()
    assert text in str(fr.validate(out))
    # The same command goes on, and the folder is complete without what is private.
    assert run("expand", source, out, *OPTIONS).code == 0
    assert fr.open_dataset(out).manifest.warnings == (text,)


def test_the_advice_is_true(source: Path) -> None:
    (warning,) = fr.leave_last_out(source).warnings
    assert ADVICE in warning
    kept = fr.leave_last_out(source, split="random", min_timestamps=1)
    assert kept.shape[0] == 40 + 40
    (warning,) = kept.warnings
    assert "20 % of users (20 of 100) were dropped because they have fewer than 2 interactions" in warning
    assert "--split none, which holds nothing out, would keep them" in warning
    everyone = fr.leave_last_out(source, split="none")
    assert (everyone.shape[0], everyone.warnings) == (100, ())


def test_few_dropped_users_are_no_warning() -> None:
    assert fr.leave_last_out(fr.sample_interactions()).warnings == ()


def test_warnings_of_reading_stay_with_the_base(source: Path, tmp_path: Path) -> None:
    text = source.read_text().replace("2/5", "3")
    for user in range(0, 100, 5):
        text = text.replace(f"\n{user},", "\nNULL,")
    source.write_text(text)
    with pytest.raises(InputError, match="have no user_id, but 'NULL' in 80"):
        fr.leave_last_out(source)
    out = tmp_path / "out"
    done = run("expand", source, out, *OPTIONS, "--missing-ids", "drop")
    assert done.code == 0, done.err
    first, second = fr.open_dataset(out).manifest.warnings
    assert first == "24 % of rows (80) were left out: their user or item was 'NULL'."
    assert second.startswith("50 % of users (40 of 80) were dropped")
    assert done.err.count(first) == 2  # as it is read, and in the summary
    # The plan remembers, so the source is read again alike.
    assert run("validate", out, "--source", source).code in (0, 3)


def test_repeated_interactions_are_told() -> None:
    table = {"user_id": [1, 2] * 50, "item_id": [1, 2, 3, 4] * 25, "timestamp": list(range(100))}

    base = fr.leave_last_out(pa.table(table))
    assert base.warnings == ("96 % of the interactions repeat a user and an item; the latest of them stay.",)


def test_what_nothing_uses_is_not_checked(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    rows = "".join(f"{row % 20},{row * 7 % 31},good,{'' if row % 9 == 0 else row}\n" for row in range(300))
    path.write_text("user_id,item_id,rating,timestamp\n" + rows)
    refused = run("expand", path, tmp_path / "a", *OPTIONS)
    assert refused.code == 2
    assert "line 2: the timestamp is missing" in refused.err
    assert refused.err.count("--timestamp-column none") == 1
    random = ("--split", "random")
    least = (*random, "--min-timestamps", "1")
    for name, more in (("b", random), ("b1", least), ("c", ("--timestamp-column", "none"))):
        done = run("expand", path, tmp_path / name, *OPTIONS, *more)
        assert done.code == 0, done.err
    rated = run("expand", path, tmp_path / "d", *OPTIONS, "--timestamp-column", "none", "--ratings", "carry")
    assert rated.code == 2
    assert "line 2: the rating 'good' is not a number" in rated.err
    none = run("expand", path, tmp_path / "e", *OPTIONS, "--timestamp-column", "none", "--split", "last")
    assert "needs timestamps" in none.err
