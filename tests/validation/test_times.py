"""Times and ratings: what is right holds, each damage is named, and each measure is what plain code says it is."""

import contextlib
import dataclasses
import io
import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from scipy import stats

import fractalrs as fr
from fractalrs.base import Base, real_activity, real_ratings
from fractalrs.columns import numbers, ticks
from fractalrs.dataset import ParquetOptions
from fractalrs.errors import InputError
from fractalrs.passes import batches
from fractalrs.statistics import ratings as rating_statistics
from fractalrs.statistics import times as time_statistics
from fractalrs.tools import Progress, ProgressCallback
from fractalrs.validation import Check, Metric, metrics, thresholds
from fractalrs.validation.checks import files, regeneration
from fractalrs.validation.checks import times as time_checks
from fractalrs.validation.measure.measured import Measured
from fractalrs.validation.metrics.ratings import LARGEST_EXCESS
from fractalrs.validation.planned import Planned
from helpers import names
from helpers.commands import Terminal

PAYLOAD = ("rating", "timestamp")
HOUR = 3_600
EXACT = (files.COLUMNS, time_checks.TIMES_RISE, time_checks.TEST_IS_LAST)
SOURCED = (regeneration.REGENERATION, regeneration.SOURCE_ORDER, regeneration.APPEARANCES)

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def expand(base: Base, shape: tuple[int, int], **options: Any) -> fr.Expansion:
    settings: dict[str, Any] = {"profile": "traceable", "timestamps": True, "ratings": "carry", "seed": 7} | options
    return fr.Expansion(base, fr.reduce(base, shape), **settings)


@pytest.fixture(scope="module")
def base() -> Base:
    return fr.leave_last_out(fr.sample_interactions(300, 240, 9_000, 1), payload=PAYLOAD)


@pytest.fixture(scope="module")
def expansion(base: Base) -> fr.Expansion:
    return expand(base, (4, 8))


@pytest.fixture(scope="module")
def written(expansion: fr.Expansion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A correct data set of five parts, in several row groups."""
    path = tmp_path_factory.mktemp("written") / "out"
    fr.write(expansion, path, parts=5, parquet=ParquetOptions(row_group_size=5_000))
    return path


@pytest.fixture
def copied(written: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(written, tmp_path / "copied"))


def rewrite(folder: Path, split: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change every file of a split and let the manifest agree, so that only the values can give it away."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for part in manifest["parts"]:
        path = folder / part[split]["path"]
        pq.write_table(change(pq.read_table(path)), path)
        content = path.read_bytes()
        part[split] |= {"bytes": len(content), "blake3": blake3(content).hexdigest()}
    files = [one for part in manifest["parts"] for one in part.values() if isinstance(one, dict)]
    manifest["totals"]["bytes"] = sum(file["bytes"] for file in files)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def replaced(table: pa.Table, **columns: npt.ArrayLike) -> pa.Table:
    """Replace columns of a table."""
    for name, values in columns.items():
        place = table.column_names.index(name)
        table = table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))
    return table


def by_time(table: pa.Table) -> pa.Table:
    """Sort by user and time."""
    return table.take(np.lexsort((np.asarray(table["timestamp"]), np.asarray(table["user_id"]))))


def outcomes(checks: tuple[Check, ...] | list[Check]) -> dict[str, bool | None]:
    return {check.name: check.holds for check in checks}


def failures(folder: Path, base: Base | None = None) -> set[str]:
    return set(fr.validate(folder, base, only="integrity").failures)


def look_at(subject: fr.Dataset | fr.Expansion, origin: fr.Expansion, threads: int = 2) -> Measured:
    """Return what is measured of times and ratings: no spectrum is needed for them."""
    base, rated = origin.base, real_ratings(origin.base)
    statistics = real_activity(base).arrays() | ({} if rated is None else rated.arrays())
    planned = Planned(origin.keep_rates, dataclasses.asdict(origin.options), statistics, base.split)
    return Measured(subject, planned, base, origin, threads=threads)


def measured(dataset: "fr.Dataset | fr.Expansion | Path", origin: fr.Expansion) -> dict[str, Metric]:
    """Measure times and ratings alone, as `validate` does."""
    subject = fr.open_dataset(dataset) if isinstance(dataset, Path) else dataset
    families = [family for family in metrics.FAMILIES if family.of_columns]
    found = metrics.measure(look_at(subject, origin), thresholds.defaults(), families)
    return {metric.name: metric for metric in found}


def failing(found: dict[str, Metric]) -> set[str]:
    return {name for name, metric in found.items() if metric.holds is False}


# --- What is right ---------------------------------------------------------------------------------------------------


def test_a_correct_data_set_holds(written: Path, base: Base) -> None:
    alone = outcomes(fr.validate(written, only="integrity").checks)
    assert {name: alone[name] for name in (*EXACT, *SOURCED)} == dict.fromkeys(EXACT, True) | dict.fromkeys(SOURCED)
    report = fr.validate(written, base, only="integrity", digests=True)
    found = outcomes(report.checks)
    assert set(found.values()) == {True}, str(report)
    assert found.keys() >= {*EXACT, *SOURCED}


def test_the_built_in_sample_keeps_its_times(tmp_path: Path) -> None:
    """At the shape of MovieLens 100K, from what is kept beside the data alone."""
    base = fr.leave_last_out(fr.sample_interactions(), payload=PAYLOAD)
    expansion = expand(base, (4, 16))
    dataset = fr.write(expansion, tmp_path / "out", parts=3)
    assert fr.validate(dataset, base, only="integrity").holds
    found = measured(dataset, expansion)
    assert not failing(found), found
    limited = {name for name, metric in found.items() if metric.holds}
    assert limited == {
        *(names.INTER_EVENT_TIMES, names.HOURS, names.WEEKDAYS, names.GROWTH, names.MEMORY, names.EVENT_COPIES),
        *(names.RATINGS, names.OF_USERS),
    }


@pytest.mark.parametrize("shape", [(4, 32), (16, 32)])
@pytest.mark.parametrize("source", ["movietweetings", "ml_latest_small"])
def test_real_data_keeps_its_times(
    source: str, shape: tuple[int, int], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    base = fr.leave_last_out(fr.read_interactions(request.getfixturevalue(source)), payload=PAYLOAD)
    expansion = expand(base, shape)
    dataset = fr.write(expansion, tmp_path / "out", parts=4)
    report = fr.validate(dataset, base, only="integrity")
    assert report.holds, str(report)
    assert outcomes(report.checks).keys() >= {*EXACT, *SOURCED}
    found = measured(dataset, expansion)
    assert not failing(found), found
    assert None not in {found[name].holds for name in thresholds.defaults() if name in found}


def test_what_is_generated_is_what_is_written(written: Path, expansion: fr.Expansion) -> None:
    files, generated = look_at(fr.open_dataset(written), expansion, threads=3), look_at(expansion, expansion, threads=1)
    assert files.activity is not None
    assert generated.activity is not None
    for name, values in files.activity[1].arrays().items():
        assert np.array_equal(values, generated.activity[1].arrays()[name]), name
    assert files.event_copies == generated.event_copies


def test_the_report_shows_them(written: Path, base: Base, tmp_path: Path) -> None:
    report = fr.validate(written, base, singular_values=8)
    found = {metric.name: metric for metric in report.metrics if metric.section in ("times", "ratings")}
    direct = measured(written, expand(base, (4, 8)))
    assert found == direct
    without = {metric.name: metric for metric in fr.validate(written, only="fidelity", singular_values=8).metrics}
    for name, metric in found.items():
        if name != names.EVENT_COPIES:
            assert dataclasses.astuple(without[name]) == pytest.approx(dataclasses.astuple(metric), nan_ok=True), name
    assert (without[names.EVENT_COPIES].holds, without[names.EVENT_COPIES].note) == (None, "needs --source")
    assert {metric.name for metric in report.metrics if metric.distance is not None} <= thresholds.METRICS
    report.to_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    for title in (
        "Inter-event times",
        "Hours of the day",
        "Days of the week",
        "Catalogue growth",
    ):
        assert f"<h3>{title}</h3>" in page
    json.dumps(report.to_dict(), allow_nan=False)


def test_histograms_have_the_floor_of_thinning(base: Base) -> None:
    """As far from real as what is repeated and thinned evenly is in the mean, and so is the memory of activity."""
    flat = fr.Expansion(base, np.full((4, 8), 0.2), shuffle="none", ratings="carry", timestamps=True, seed=2)
    found, real = measured(flat, flat), real_activity(base)
    kept, rng = look_at(flat, flat).interactions, np.random.default_rng(0)
    for name, counts in ((names.HOURS, real.hours), (names.WEEKDAYS, real.weekdays)):
        thinned = [rng.multivariate_hypergeometric(counts * 32, kept, method="marginals") for _ in range(500)]
        expected = np.mean([time_statistics.total_variation(counts, one) or 0.0 for one in thinned])
        assert found[name].floor == found[name].thinned == pytest.approx(expected, rel=0.05)
    # Whatever a block keeps, its ratings are those of a random choice.
    ratings = found[names.RATINGS]
    assert ratings.floor is not None
    assert 0 < (ratings.distance or 0) < 3 * ratings.floor
    memory, drawn = found[names.MEMORY], rng.binomial(real.active * 32, kept / 32 / real.count)
    again = dataclasses.replace(real, active=drawn)
    assert memory.thinned == pytest.approx(time_statistics.memory(again, real.count), abs=0.03)
    assert memory.floor == pytest.approx(abs((memory.thinned or 0) - (memory.real or 0)), abs=1e-12)


def test_without_times_nothing_is_asked_for(base: Base, tmp_path: Path) -> None:
    plain = fr.Expansion(base, np.full((2, 3), 0.3), shuffle="aligned", seed=1)
    report = fr.validate(fr.write(plain, tmp_path / "plain"), base, singular_values=8)
    assert not {check.name for check in report.checks} & {*EXACT, *SOURCED[1:]}
    assert not {metric.section for metric in report.metrics} & {"times", "ratings"}
    with np.load(tmp_path / "plain/private/base_statistics.npz") as kept:
        assert not [name for name in kept.files if name.startswith(("time", "rating"))]
    rated = fr.Expansion(base, np.full((2, 3), 0.3), shuffle="block", ratings="carry", seed=1)
    report = fr.validate(fr.write(rated, tmp_path / "rated"), base, singular_values=8)
    found = {metric.name: metric for metric in report.metrics if metric.section in ("times", "ratings")}
    assert found.keys() == {names.RATINGS, names.MEAN_RATING, names.OF_USERS}
    # Users of several sources have no generosity of their own.
    assert (found[names.RATINGS].holds, found[names.OF_USERS].holds) == (True, None)
    assert outcomes(report.checks)[regeneration.REGENERATION] is True
    assert outcomes(report.checks)[files.COLUMNS] is True
    assert time_checks.TIMES_RISE not in outcomes(report.checks)


def with_column(base: Base, name: str, values: pa.Array) -> Base:
    """Give the payload of a base another column, or other values in one it has."""
    assert base.payload is not None
    if name not in base.payload.column_names:
        return dataclasses.replace(base, payload=base.payload.append_column(name, values))
    # The field says what an hour is.
    at = base.payload.column_names.index(name)
    field = base.payload.schema.field(at).with_type(values.type)
    return dataclasses.replace(base, payload=base.payload.set_column(at, field, values))


def with_ties(base: Base, rng: np.random.Generator) -> Base:
    """Let times be few, with test entries at the last of each user; of equal times the test entry may be any."""
    owners = base.owners
    drawn = rng.integers(0, 12, base.count) * HOUR
    last = np.zeros(base.shape[0], dtype=np.int64)
    np.maximum.at(last, owners, drawn)
    return with_column(base, "timestamp", pa.array(np.where(base.test_mask, last[owners], drawn)))


def test_no_false_alarm(tmp_path: Path) -> None:
    """Whatever the ties, the split and the options."""
    rng = np.random.default_rng(3)
    for number in range(40):
        made = fr.sample_interactions(40, 30, 500, number)
        split = rng.choice(["last", "last", "random", "none"])
        base = fr.leave_last_out(made, split=split, payload=PAYLOAD)
        base = with_ties(base, rng) if split == "last" else base
        cold = dict(zip(("cold_users", "cold_items"), rng.choice([0.0, 0.3], 2).tolist(), strict=True))
        expansion = fr.Expansion(
            base,
            rng.random((2, 4)),
            shuffle=rng.choice(["aligned", "none"]),
            seed=number,
            timestamps=True,
            ratings=rng.choice(["carry", "kronecker"]),
            order=rng.choice(["time", "block", "item"]),
            **cold,
        )
        dataset = fr.write(expansion, tmp_path / str(number), parts=3)
        found = outcomes(fr.validate(dataset, base, only="integrity").checks)
        names = {*EXACT, *SOURCED}
        if expansion.options.order != "time":
            names.remove(time_checks.TIMES_RISE)
        if base.split != "last" or cold["cold_items"]:
            names.remove(time_checks.TEST_IS_LAST)
        assert {name: found.get(name) for name in {*EXACT, *SOURCED}} == {
            name: True if name in names else None for name in {*EXACT, *SOURCED}
        }, expansion


# --- What is wrong is named ------------------------------------------------------------------------------------------


def test_times_shuffled_between_interactions(copied: Path, base: Base, expansion: fr.Expansion) -> None:
    rng = np.random.default_rng(0)

    def shuffled(table: pa.Table) -> pa.Table:
        return replaced(table, timestamp=rng.permutation(np.asarray(table["timestamp"])))

    rewrite(copied, "train", shuffled)
    assert failures(copied) == {time_checks.TIMES_RISE, time_checks.TEST_IS_LAST}
    assert failures(copied, base) == {time_checks.TIMES_RISE, time_checks.TEST_IS_LAST, *SOURCED}
    # In order, they are still those of others.
    rewrite(copied, "train", by_time)
    assert failures(copied) == {time_checks.TEST_IS_LAST}
    found = failures(copied, base)
    assert found == {time_checks.TEST_IS_LAST, *SOURCED}
    assert {names.INTER_EVENT_TIMES, names.EVENT_COPIES} & failing(measured(copied, expansion)) == {
        names.INTER_EVENT_TIMES
    }


def test_times_shuffled_inside_users(copied: Path, base: Base) -> None:
    """Hours, days and gaps are as before: the source tells."""
    rng = np.random.default_rng(0)

    def shuffled(table: pa.Table) -> pa.Table:
        order = np.lexsort((rng.random(len(table)), np.asarray(table["user_id"])))
        mixed = table.take(order)
        return by_time(replaced(mixed, timestamp=table["timestamp"].combine_chunks()))

    rewrite(copied, "train", shuffled)
    assert failures(copied) == set()
    assert failures(copied, base) == set(SOURCED)


def test_one_test_interaction_before_train(copied: Path, base: Base) -> None:
    train = fr.open_dataset(copied).train.to_table()
    user = int(np.asarray(train["user_id"])[1_000])
    last = int(np.asarray(train["timestamp"])[np.asarray(train["user_id"]) == user].max())

    def earlier(table: pa.Table) -> pa.Table:
        at, users = np.asarray(table["timestamp"]).copy(), np.asarray(table["user_id"])
        at[np.flatnonzero(users == user)[:1]] = last - 1
        return replaced(table, timestamp=at)

    rewrite(copied, "test", earlier)
    assert failures(copied) == {time_checks.TEST_IS_LAST}
    (detail,) = (c.detail for c in fr.validate(copied, only="integrity").checks if c.name == time_checks.TEST_IS_LAST)
    assert detail == f"1 users have a test interaction before a train interaction, the first is user {user}"
    # That it is not what was planned, the source tells too.
    assert failures(copied, base) >= {time_checks.TEST_IS_LAST, regeneration.REGENERATION}


def test_times_six_hours_later(copied: Path, expansion: fr.Expansion, base: Base) -> None:
    for split in ("train", "test"):
        rewrite(copied, split, lambda t: replaced(t, timestamp=np.asarray(t["timestamp"]) + 6 * HOUR))
    assert failures(copied) == set()
    assert failures(copied, base) == {regeneration.REGENERATION}
    before = failing(measured(fr.open_dataset(copied), expansion))
    assert names.HOURS in before
    assert not before & {names.INTER_EVENT_TIMES, names.MEMORY, names.EVENT_COPIES}


def test_times_three_days_later(copied: Path, expansion: fr.Expansion) -> None:
    rewrite(copied, "train", lambda t: replaced(t, timestamp=np.asarray(t["timestamp"]) + 72 * HOUR))
    found = failing(measured(copied, expansion))
    assert names.WEEKDAYS in found
    assert names.HOURS not in found


def test_times_drawn_at_random(copied: Path, expansion: fr.Expansion, base: Base) -> None:
    rng = np.random.default_rng(0)
    clock = real_activity(base).clock

    def drawn(table: pa.Table) -> pa.Table:
        at = rng.integers(clock.start, clock.start + clock.width * clock.bins, table.num_rows)
        return by_time(replaced(table, timestamp=at))

    rewrite(copied, "train", drawn)
    found = measured(copied, expansion)
    assert failing(found) >= {names.INTER_EVENT_TIMES, names.HOURS, names.WEEKDAYS}
    assert found[names.INTER_EVENT_TIMES].null == pytest.approx(found[names.INTER_EVENT_TIMES].distance, abs=0.1)
    assert found[names.MEMORY].synthetic == pytest.approx(0.5, abs=0.03)


def test_two_events_of_a_block_exchanged(copied: Path, base: Base) -> None:
    """Their items exchanged: every time stays where it is."""
    q = base.shape[1]
    swaps: list[tuple[int, int]] = []

    def exchanged(table: pa.Table) -> pa.Table:
        users, items, at = (np.asarray(table[name]).copy() for name in ("user_id", "item_id", "timestamp"))
        same = (users[1:] == users[:-1]) & (items[1:] // q == items[:-1] // q) & (at[1:] > at[:-1])
        if not swaps:
            first = int(np.flatnonzero(same)[100])
            swaps.append((int(users[first]), first))
            items[[first, first + 1]] = items[[first + 1, first]]
        return replaced(table, item_id=items)

    rewrite(copied, "train", exchanged)
    assert failures(copied) == set()
    report = fr.validate(copied, base, only="integrity")
    # Only with the source; and here no item comes too early by it.
    assert {regeneration.REGENERATION, regeneration.SOURCE_ORDER} <= set(report.failures) <= set(SOURCED)
    (detail,) = (check.detail for check in report.checks if check.name == regeneration.SOURCE_ORDER)
    assert detail.startswith("1 interactions are earlier than one of their user and block")
    assert detail.endswith(f"the first is user {swaps[0][0]}")


def test_an_item_before_its_source(copied: Path, base: Base, expansion: fr.Expansion) -> None:
    appearance = np.full(base.shape[1], np.iinfo(np.int64).max)
    np.minimum.at(appearance, base.indices, ticks(base.column("timestamp")))
    made = batches.generated(expansion, np.arange(240), [], "train")
    first = np.flatnonzero(np.diff(made.users, prepend=-1))
    # A user's first event, so that nothing else gets out of order.
    row = int(first[17])
    before = int(appearance[base.indices[made.traced[row]]]) - 1

    def earlier(table: pa.Table) -> pa.Table:
        at, users = np.asarray(table["timestamp"]).copy(), np.asarray(table["user_id"])
        at[np.flatnonzero(users == made.users[row])[:1]] = before
        return replaced(table, timestamp=at)

    rewrite(copied, "train", earlier)
    assert failures(copied) == set()
    assert failures(copied, base) == {regeneration.REGENERATION, regeneration.APPEARANCES}


def test_items_that_all_appear_at_once(copied: Path, expansion: fr.Expansion) -> None:
    """The first interaction of every item at the beginning of time: nothing grows any more."""
    train = fr.open_dataset(copied).train.to_table()
    start = int(np.asarray(train["timestamp"]).min())
    seen: set[int] = set()

    def early(table: pa.Table) -> pa.Table:
        items, at = np.asarray(table["item_id"]), np.asarray(table["timestamp"]).copy()
        firsts = [row for row, item in enumerate(items.tolist()) if item not in seen and not seen.add(item)]  # type: ignore[func-returns-value]
        at[firsts] = start
        return by_time(replaced(table, timestamp=at))

    rewrite(copied, "train", early)
    assert names.GROWTH in failing(measured(copied, expansion))


def test_activity_in_bursts(copied: Path, expansion: fr.Expansion, base: Base) -> None:
    """All of a year in its first half: activity remembers for longer than it does."""
    clock = real_activity(base).clock

    def burst(table: pa.Table) -> pa.Table:
        since = np.asarray(table["timestamp"]) - clock.start
        year = 360 * 24 * HOUR
        return by_time(replaced(table, timestamp=clock.start + since // year * year + since % year // 2))

    rewrite(copied, "train", burst)
    assert names.MEMORY in failing(measured(copied, expansion))


def test_copies_in_a_row(copied: Path, expansion: fr.Expansion, base: Base) -> None:
    """Every copy at the time of its source event."""
    source_times = ticks(base.column("timestamp"))

    def at_source(table: pa.Table) -> pa.Table:
        users = np.unique(np.asarray(table["user_id"], dtype=np.int64))
        made = batches.generated(expansion, users, [], "train")
        # Of equal times, in the order of the source.
        order = np.lexsort((made.traced, source_times[made.traced], made.users))
        return replaced(table.take(order), timestamp=source_times[made.traced][order])

    rewrite(copied, "train", at_source)
    found = measured(copied, expansion)
    assert names.EVENT_COPIES in failing(found)
    assert (found[names.EVENT_COPIES].distance or 0) > 5


def test_ratings_shuffled_and_uniform(copied: Path, expansion: fr.Expansion, base: Base) -> None:
    rng = np.random.default_rng(0)
    rewrite(copied, "train", lambda t: replaced(t, rating=rng.permutation(np.asarray(t["rating"]))))
    assert failures(copied) == set()
    assert failures(copied, base) == {regeneration.REGENERATION}
    right = failing(measured(expansion, expansion))
    assert failing(measured(copied, expansion)) == right | {names.OF_USERS}
    values = np.unique(base.column("rating"))
    rewrite(copied, "train", lambda t: replaced(t, rating=rng.choice(values, t.num_rows)))
    found = measured(copied, expansion)
    assert failing(found) == right | {names.RATINGS, names.OF_USERS}
    assert found[names.RATINGS].distance == pytest.approx(found[names.RATINGS].null, abs=0.01)
    # Ratings that are none of the real ones count as different, however near.
    rewrite(copied, "train", lambda t: replaced(t, rating=np.asarray(t["rating"]) + 1e-9))
    assert measured(copied, expansion)[names.RATINGS].distance == pytest.approx(1)


@pytest.mark.parametrize("how", ["carry", "kronecker"])
def test_the_last_bit_of_a_rating(base: Base, tmp_path: Path, how: str) -> None:
    dataset = fr.write(expand(base, (2, 3), ratings=how), tmp_path / "out", parts=2)
    assert failures(dataset.path, base) == set()
    user = 400

    def nudged(table: pa.Table) -> pa.Table:
        values, users = np.asarray(table["rating"]).copy(), np.asarray(table["user_id"])
        at = np.flatnonzero(users == user)[:1]
        values[at] = np.nextafter(values[at], 9)
        return replaced(table, rating=values)

    rewrite(dataset.path, "train", nudged)
    report = fr.validate(dataset.path, base, only="integrity")
    assert report.failures == (regeneration.REGENERATION,)
    (detail,) = (check.detail for check in report.checks if check.name == regeneration.REGENERATION)
    assert detail == f"user {user} has other carried values than the plan generates"


def test_columns_that_are_not_those_of_the_manifest(copied: Path, base: Base) -> None:
    path = copied / "train/part-00003-of-00005.parquet"
    table = pq.read_table(path)
    milliseconds = pa.timestamp("ms")
    kinds = {
        "another type": table.set_column(
            3, pa.field("timestamp", milliseconds, nullable=False), table["timestamp"].cast(milliseconds)
        ),
        "another name": table.rename_columns(["user_id", "item_id", "rating", "time"]),
        "may be missing": table.set_column(3, pa.field("timestamp", pa.int64()), table["timestamp"]),
        "none": table.select(["user_id", "item_id"]),
    }
    for what, changed in kinds.items():
        pq.write_table(changed, path)
        report = fr.validate(copied, base, only="integrity")
        assert set(report.failures) >= {files.COLUMNS}, what
        assert "part-00003-of-00005.parquet has user_id int32" in str(report), what
        assert outcomes(report.checks).get(time_checks.TIMES_RISE) is None, what
        assert outcomes(report.checks).get(regeneration.SOURCE_ORDER) is None, what


def test_a_damaged_column_is_named(copied: Path) -> None:
    path = copied / "train/part-00001-of-00005.parquet"
    content = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(1).column(3)
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + 40] = bytes(255 - byte for byte in content[start : start + 40])
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read .*train/part-00001-of-00005.parquet: "):
        fr.validate(copied, only="integrity")


# --- Nothing at all --------------------------------------------------------------------------------------------------


def nothing(expansion: fr.Expansion) -> batches.InteractionBatch:
    """Return a batch without interactions that carries everything."""
    made = batches.generated(expansion, np.array([0]), list(PAYLOAD), "train")
    return made.at(np.zeros(len(made), dtype=np.bool_))


@pytest.mark.parametrize("cold", ["cold_users", "cold_items"])
def test_cold_users_and_items_are_validated(base: Base, cold: str) -> None:
    """Batches of cold users have no train interactions."""
    cold_expansion = expand(base, (2, 3), **{cold: 0.6})
    report = fr.validate(cold_expansion, singular_values=8)
    assert None not in {
        metric.synthetic for metric in report.metrics if metric.name in (names.MEMORY, names.EVENT_COPIES)
    }


def test_batches_without_interactions_change_nothing(base: Base, expansion: fr.Expansion) -> None:
    """In whatever adds up, or checks, interactions batch by batch."""
    empty, some = nothing(expansion), batches.generated(expansion, np.arange(40), list(PAYLOAD), "train")
    real, rated = real_activity(base), real_ratings(base)
    assert rated is not None
    found = []
    for rows in ([some], [empty, some, empty]):
        tally = time_statistics.ActivityTally(real.clock, expansion.shape[1])
        ratings_tally = rating_statistics.RatingsTally(rated.values, rated.exact)
        seen = time_checks.Times(expansion.shape[0])
        for batch in rows:
            tally.add(batch.users, batch.items, batch.times)
            ratings_tally.add(batch.users, numbers(batch.table["rating"]))
            seen.add("train", batch)
            seen.add("test", batch)
        found.append((tally.total().arrays(), ratings_tally.total().arrays(), vars(seen)))
    for one, other in zip(*found, strict=True):
        for name in one.keys() - {"_lock", "falls", "across"}:
            assert np.array_equal(one[name], other[name], equal_nan=np.asarray(one[name]).dtype.kind == "f"), name
    alone = time_statistics.ActivityTally(real.clock, expansion.shape[1])
    alone.add(empty.users, empty.items, empty.times)
    assert (alone.total().count, len(alone.total().catalogue_growth)) == (0, 0)


def test_a_data_set_without_train_interactions_of_some_parts(tmp_path: Path) -> None:
    """Cold users, a part for each user: files without rows."""
    small = fr.leave_last_out(fr.sample_interactions(30, 20, 300, 1), payload=PAYLOAD)
    dataset = fr.write(expand(small, (2, 3), cold_users=0.5), tmp_path / "out", parts=60)
    report = fr.validate(dataset, small, singular_values=4)
    assert not {check.name for check in report.checks if check.holds is False}, str(report)


# --- Measures --------------------------------------------------------------------------------------------------------


def test_fluctuations_of_known_processes() -> None:
    noise = np.random.default_rng(0).standard_normal((20, 1 << 13))
    found = np.mean([time_statistics.fluctuation_exponent(series) for series in noise])
    assert found == pytest.approx(0.5, abs=0.03)
    found = np.mean([time_statistics.fluctuation_exponent(np.cumsum(series)) for series in noise])
    assert found == pytest.approx(1.5, abs=0.03)
    # A trend that grows is taken from every box: first order leaves a parabola's second order alone, but no line.
    assert time_statistics.fluctuation_exponent(np.ones(1_000)) is None
    assert time_statistics.fluctuation_exponent(np.arange(63.0)) is None


def test_a_step_of_detrended_fluctuations() -> None:
    """F(8) of 32 values, by least squares."""
    series = np.random.default_rng(1).random(64)
    profile = np.cumsum(series - series.mean())
    fluctuations = []
    sizes = np.unique(np.geomspace(8, 16, 16).round().astype(int))
    for size in sizes:
        left = []
        for box in range(64 // size):
            values = profile[box * size : (box + 1) * size]
            left.append(values - np.polyval(np.polyfit(np.arange(size), values, 1), np.arange(size)))
        fluctuations.append(np.sqrt(np.mean(np.square(left))))
    slope = np.polyfit(np.log(sizes), np.log(fluctuations), 1)[0]
    assert time_statistics.fluctuation_exponent(series) == pytest.approx(slope)


def test_noise_of_few_interactions_is_equal() -> None:
    """The exponent of many falls to that of few once they are thinned."""
    rng = np.random.default_rng(2)
    level = np.exp(np.repeat(rng.standard_normal(256), 64))
    empty = real_activity(fr.leave_last_out(fr.sample_interactions(60, 40, 600), payload=PAYLOAD))
    few, many = (dataclasses.replace(empty, active=rng.poisson(level * mean)) for mean in (0.2, 20))
    apart = time_statistics.fluctuation_exponent(many.active) - time_statistics.fluctuation_exponent(few.active)  # type: ignore[operator]
    assert apart > 0.05
    assert time_statistics.memory(many, few.count) == pytest.approx(time_statistics.memory(few, few.count), abs=0.03)


def activity(
    users: Integers, at: Integers, hour: int | None = HOUR, items: Integers | None = None
) -> time_statistics.Activity:
    items = np.arange(len(users)) if items is None else items
    tally = time_statistics.ActivityTally(time_statistics.Clock.of(at, hour), int(items.max()) + 1)
    tally.add(users, items, at)
    return tally.total()


def test_gaps_are_those_of_scipy() -> None:
    """Where no clock is the coarser one, the distance of d / mean(d)."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(50), 200)
    gaps = [rng.gamma(shape, 1e6 / shape, 10_000) for shape in (0.5, 1.0)]
    one, other = (activity(users, np.cumsum(each).astype(np.int64)) for each in gaps)
    lengths = [np.diff(np.cumsum(each).astype(np.int64))[users[1:] == users[:-1]] for each in gaps]
    expected = stats.ks_2samp(*(each / each.mean() for each in lengths)).statistic
    found = time_statistics.compare_inter_event_times(one, other)
    assert found is not None
    assert found.distance == pytest.approx(expected, abs=2e-3)
    assert [one.mean_inter_event_time, other.mean_inter_event_time] == pytest.approx([each.mean() for each in lengths])
    same = time_statistics.compare_inter_event_times(one, one)
    assert same is not None
    assert same.distance == 0


def test_gaps_on_a_coarser_clock() -> None:
    """As real times rounded down to longer ticks have them."""
    rng = np.random.default_rng(0)
    at = np.cumsum(np.floor(rng.exponential(5, 200_000)).astype(np.int64))
    users = np.zeros(len(at), dtype=np.int64)
    for coarser in (1.0, 2.7, 6.0):
        ticks, shares = time_statistics.on_clock(activity(users, at).inter_event_times, coarser)
        coarse = np.diff(np.floor(at / coarser).astype(np.int64))
        expected = np.bincount(coarse) / len(coarse)
        found = np.zeros(len(expected) + 100)
        found[ticks.astype(np.int64)] = shares
        assert found[: len(expected)] == pytest.approx(expected, abs=5e-3)
        assert found.sum() == pytest.approx(1)
        assert ticks @ shares == pytest.approx(coarse.mean(), rel=1e-3)


def test_a_thinner_clock_is_no_fault() -> None:
    """Six times as many events on the same clock have the gaps of the source; the plain distance would not see it."""
    rng = np.random.default_rng(1)
    lengths = np.floor(rng.exponential(3, 60_000) * rng.choice([1, 100], 60_000, p=[0.95, 0.05]))
    users = np.zeros(len(lengths), dtype=np.int64)
    at = np.cumsum(lengths).astype(np.int64)
    real, dense = (
        activity(users, at),
        activity(users, np.floor(np.cumsum(lengths + rng.random(60_000)) / 6).astype(np.int64)),
    )
    found = time_statistics.compare_inter_event_times(real, dense)
    assert found is not None
    assert found.coarser == pytest.approx(6, rel=0.1)
    assert found.distance < 0.1
    back = time_statistics.compare_inter_event_times(dense, real)
    assert back is not None
    assert back.distance == pytest.approx(found.distance)
    plain = [np.diff(each) for each in (at, np.floor(at / 6))]
    assert stats.ks_2samp(*(each / each.mean() for each in plain)).statistic > 0.15


def test_long_gaps_are_rounded() -> None:
    gaps = np.concatenate([np.arange(10_000), 2 ** np.arange(13, 62), 2 ** np.arange(13, 62) - 1])
    codes = time_statistics.encoded(gaps)
    assert np.array_equal(time_statistics.decoded(codes)[:4_096], np.arange(4_096))
    assert time_statistics.decoded(codes) == pytest.approx(gaps, rel=2**-11)
    order = np.argsort(gaps, kind="stable")
    assert (np.diff(codes[order]) >= 0).all()
    assert codes.max() < time_statistics.CODES


def test_hours_and_weekdays() -> None:
    # Sunday, 22 November 2026, 13:05 UTC; and Monday, 00:00.
    at = np.array([1_795_352_700, 1_795_392_000])
    found = activity(np.array([0, 1]), at)
    assert found.hours.nonzero()[0].tolist() == [0, 13]
    assert found.weekdays.tolist() == [1, 0, 0, 0, 0, 0, 1]
    assert activity(np.array([0, 1]), at, hour=None).hours.tolist() == []


def test_growth_of_the_catalogue() -> None:
    rng = np.random.default_rng(0)
    at, items = np.sort(rng.integers(0, 1_000 * HOUR, 4_000)), rng.integers(0, 300, 4_000) ** 2 // 300
    found = activity(np.zeros(4_000, dtype=np.int64), at, items=items).catalogue_growth
    _, first = np.unique(items, return_index=True)
    expected = np.searchsorted(np.sort(first), np.linspace(0, 4_000, 201)) / len(first)
    assert found == pytest.approx(expected, abs=0.02)
    assert (found[0], found[-1]) == (0, 1)


def test_growth_is_that_of_as_many_interactions_an_item(base: Base) -> None:
    """Of real × n interactions: with more of them, every item would appear earlier."""
    expansion = fr.Expansion(base, np.full((8, 4), 0.5), profile="traceable", timestamps=True, seed=1)
    what = look_at(expansion, expansion)
    assert what.activity is not None
    found = what.activity[1]
    made = batches.generated(expansion, np.arange(expansion.shape[0]), ["timestamp"], "train")
    assert found.count == len(made)
    drawn = what.shape.sample(base.train_count * 4)
    assert drawn is not None
    some = made.at(drawn[made.users])
    assert len(some) == pytest.approx(base.train_count * 4, rel=0.2)
    items = some.items[np.argsort(some.times, kind="stable")]
    _, first = np.unique(items, return_index=True)
    expected = np.searchsorted(np.sort(first), np.linspace(0, len(items), 201)) / len(first)
    assert found.catalogue_growth == pytest.approx(expected, abs=0.02)


def test_copies_are_counted(expansion: fr.Expansion) -> None:
    """And expected as often as a random order has them."""
    made = batches.generated(expansion, np.arange(expansion.shape[0]), [], "train")
    in_a_row, expected, pairs = 0, 0.0, 0
    for user in range(expansion.shape[0]):
        sources = made.traced[made.users == user]
        in_a_row += int((sources[1:] == sources[:-1]).sum())
        pairs += max(0, len(sources) - 1)
        expected += sum(count * (count - 1) / len(sources) for count in Counter(sources.tolist()).values())
    found = look_at(expansion, expansion).event_copies
    assert found is not None
    assert (found.in_a_row, found.pairs) == (in_a_row, pairs)
    assert found.by_chance == pytest.approx(expected)
    sources, rng = made.traced[made.users == 5], np.random.default_rng(0)
    rows = [rng.permutation(sources) for _ in range(4_000)]
    mean = np.mean([(row[1:] == row[:-1]).sum() for row in rows])
    chance = sum(count * (count - 1) / len(sources) for count in Counter(sources.tolist()).values())
    assert mean == pytest.approx(chance, rel=0.05)


def test_ratings_are_counted(base: Base) -> None:
    found = real_ratings(base)
    assert found is not None
    train = ~base.test_mask
    values, users = np.asarray(base.column("rating"))[train], base.owners[train]
    assert dict(zip(found.values.tolist(), found.counts.tolist(), strict=False)) == dict(Counter(values.tolist()))
    assert found.mean == pytest.approx(values.mean())
    means = np.bincount(users, values) / np.bincount(users)
    assert found.of_users == pytest.approx(means[users].var() / values.var())
    kept = rating_statistics.Ratings.from_arrays(found.arrays())
    assert kept is not None
    assert str(kept) == str(found)


def test_ratings_of_many_values(base: Base) -> None:
    """By quantiles; a rating that is missing is one of its own."""
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal(base.count)
    one = real_ratings(with_column(base, "rating", pa.array(drawn)))
    assert one is not None
    assert (one.exact, len(one.values)) == (False, rating_statistics.QUANTILES)
    assert one.counts[:-1] == pytest.approx(base.train_count / 100, rel=0.05)
    holes = pa.array(np.where(rng.random(base.count) < 0.25, math.nan, drawn), from_pandas=True)
    tally = rating_statistics.RatingsTally(one.values, one.exact)
    tally.add(base.owners, numbers(pa.chunked_array([holes])))
    missing = tally.total()
    assert missing.counts[-1] == holes.null_count
    assert missing.mean == pytest.approx(np.nanmean(holes.to_numpy(zero_copy_only=False)))
    assert real_ratings(with_column(base, "rating", pa.array(["good"] * base.count))) is None


@pytest.mark.parametrize("rate", [0.15, 0.5, 0.9])
@pytest.mark.parametrize("blocks", [4, 12])
def test_what_thinning_adds_to_the_share_of_users(rate: float, blocks: int) -> None:
    base = fr.leave_last_out(fr.sample_interactions(400, 300, 6_000, 2), payload=PAYLOAD)
    expansion = fr.Expansion(base, np.full((3, blocks), rate), profile="traceable", ratings="carry", seed=1)
    rated = real_ratings(base)
    assert rated is not None
    what = look_at(expansion, expansion)
    assert what.ratings is not None
    found = what.ratings[1]
    excess = rating_statistics.thinning_excess(rated, expansion.keep_rates, base.shape[0])
    # Beyond, it is not judged by.
    assert excess > LARGEST_EXCESS or found.of_users - rated.of_users == pytest.approx(excess, abs=0.01)
    assert (excess > LARGEST_EXCESS) == (rate * blocks < 1)


def test_where_an_hour_is_not_known(base: Base) -> None:
    days = np.asarray(base.column("timestamp")) // (24 * HOUR)
    dated = with_column(base, "timestamp", pa.array(days.astype(np.int32)).view(pa.date32()))
    expansion = expand(dated, (2, 8))
    found = measured(expansion, expansion)
    for name in (names.HOURS, names.WEEKDAYS):
        assert (found[name].holds, found[name].note) == (None, "how long an hour is, is not known")
    assert found[names.INTER_EVENT_TIMES].holds
    assert "equal bins" in found[names.MEMORY].note
    assert found[names.TIES].real > 0.5  # type: ignore[operator]


# --- Passes ----------------------------------------------------------------------------------------------------------


class Told(Progress):
    """Remembers what each task was to do, and has done."""

    def __init__(self) -> None:
        self.tasks: dict[str, tuple[tuple[float, int], tuple[int, int]]] = {}

    @contextlib.contextmanager
    def task(self, what: str, interactions: float, parts: int) -> Iterator[ProgressCallback]:
        def report(done: int, finished: int) -> None:
            self.tasks[what] = (interactions, parts), (done, finished)

        yield report


def test_passes_show_progress(
    written: Path, base: Base, expansion: fr.Expansion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    of_both = {"counting times", "looking for copies in time", "counting ratings"}
    of_files = {*of_both, "following times", "comparing with the source"}
    for dataset, wanted in ((written, of_files), (expansion, of_both)):
        told = Told()
        fr.validate(dataset, base, singular_values=4, progress=told)
        assert wanted <= told.tasks.keys()
        for what in wanted:
            (interactions, parts), (done, finished) = told.tasks[what]
            assert done > 0, what
            assert finished == parts > 0, what
            assert interactions > 0, what
        terminal = Terminal()
        with contextlib.redirect_stderr(terminal):
            fr.validate(dataset, base, singular_values=4, progress=True)
        # One bar of all, frame by frame, which names each stage.
        frames = [frame for frame in re.split(r"[\r\n]", terminal.getvalue()) if "━" in frame]
        assert all("validating" in frame for frame in frames)
        assert any("following times" in frame for frame in frames) == (dataset is written)
    for progress, stream in ((False, Terminal()), (True, io.StringIO())):
        with contextlib.redirect_stderr(stream):
            fr.validate(written, base, singular_values=4, progress=progress)
        assert stream.getvalue() == ""


def test_columns_differ_bit_for_bit() -> None:
    def apart(one: pa.Array, other: pa.Array) -> list[bool]:
        return [bool(value) for value in regeneration.differing_values(one, other)]

    zeros = pa.array([0.0, math.nan, 1.0, None])
    assert apart(zeros, pa.array([-0.0, math.nan, 1.0, None])) == [True, False, False, False]
    assert apart(zeros, pa.array([0.0, math.nan, None, 0.0])) == [False, False, True, True]
    assert apart(zeros[1:], zeros[1:]) == [False] * 3
    for kind in (pa.int32(), pa.int64(), pa.float32(), pa.timestamp("us", "UTC"), pa.date32()):
        values = pa.array([1, 2, 3], pa.int32() if kind.bit_width == 32 else pa.int64()).cast(kind)
        assert apart(values, values.take([0, 2, 2])) == [False, True, False], kind
    # What lies below a missing value is none.
    valid = pa.py_buffer(b"\x01")
    one, other = (
        pa.Array.from_buffers(pa.int64(), 2, [valid, pa.array(below).buffers()[1]]) for below in ([1, 2], [1, 3])
    )
    assert apart(one, other) == [False, False]
    texts = pa.array(["a", None, ""])
    assert apart(texts, pa.array(["a", "", ""])) == [False, True, False]
    assert apart(texts, pa.array(["b", None, ""])) == [True, False, False]
    assert apart(pa.array([True, None, False]), pa.array([True, False, True])) == [False, True, True]


def test_carried_columns_are_compared(tmp_path: Path) -> None:
    made = fr.sample_interactions(40, 30, 500, 0)
    plain = fr.leave_last_out(made, payload=PAYLOAD)
    rng = np.random.default_rng(0)
    base = with_column(
        plain, "device", pa.array(["web", "app", None], pa.string()).take(rng.integers(0, 3, plain.count))
    )
    expansion = expand(base, (2, 3), carry=("device",))
    dataset = fr.write(expansion, tmp_path / "out", parts=3)
    assert failures(dataset.path, base) == set()

    def renamed(table: pa.Table) -> pa.Table:
        return replaced(table, device=["tv", *table["device"].to_pylist()[1:]])

    rewrite(dataset.path, "test", renamed)
    assert failures(dataset.path, base) == {regeneration.REGENERATION}
