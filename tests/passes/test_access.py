"""The access profile: of expansions, data sets and real interactions, exact and sampled."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import fractalrs as fr
from fractalrs.columns import ticks
from fractalrs.passes import AccessProfile, TableAccess
from fractalrs.passes.access import ORDERS
from fractalrs.statistics import LookupCounts, hit_curve, hit_rate


@pytest.fixture(scope="module")
def base() -> fr.Base:
    return fr.leave_last_out(fr.sample_interactions(300, 400, 9_000, 1), payload=["timestamp"])


@pytest.fixture(scope="module")
def timed(base: fr.Base) -> fr.Expansion:
    return fr.Expansion(base, fr.reduce(base, (4, 4)), profile="traceable", timestamps=True, seed=3)


@pytest.fixture(scope="module")
def profile(timed: fr.Expansion) -> AccessProfile:
    return fr.access_profile(timed)


def told(table: TableAccess) -> dict[str, object]:
    return {name: value for name, value in table.to_dict().items() if name != "data"}


def test_tables_of_real_synthetic_block_and_uniform_ids(profile: AccessProfile, timed: fr.Expansion) -> None:
    have = {(table.data, table.column, table.order) for table in profile.tables}
    random = {(data, column, "random") for data in ("real", "synthetic", "block", "null") for column in COLUMNS}
    assert have == random | {(data, column, "time") for data in ("real", "synthetic") for column in COLUMNS}
    degrees = fr.StreamedMatrix(timed).degrees()
    items = profile.table("synthetic", "item_id")
    assert (items.rows, items.lookups) == (len(degrees.item_train), degrees.item_train.sum())
    assert items.seen == np.count_nonzero(degrees.item_train)
    assert profile.table("synthetic", "user_id").seen == np.count_nonzero(degrees.user_train)
    assert profile.table("real", "item_id").lookups == timed.base.train_count


COLUMNS = ("user_id", "item_id")


def test_by_time_ids_come_as_the_clock_says(profile: AccessProfile, timed: fr.Expansion) -> None:
    table = timed.table(0, timed.shape[0])
    order = np.lexsort((np.asarray(table["item_id"]), np.asarray(table["user_id"]), ticks(table["timestamp"])))
    for column, rows in zip(COLUMNS, timed.shape, strict=True):
        found = profile.table("synthetic", column, "time").curve
        np.testing.assert_array_equal(found.y, hit_curve(np.asarray(table[column], np.int64)[order], rows).y)


def test_a_data_set_has_the_profile_of_its_expansion(
    profile: AccessProfile, timed: fr.Expansion, tmp_path: Path
) -> None:
    dataset = fr.write(timed, tmp_path / "out", parts=3)
    found = fr.access_profile(dataset, real=timed.base, threads=2)
    for table in found.tables:
        if table.data != "null":
            assert told(table) == told(profile.table(table.data, table.column, ORDERS[table.order == "time"]))
    alone = fr.access_profile(dataset, beside=False, order="random")
    assert {table.data for table in alone.tables} == {"synthetic"}


def test_interactions_are_looked_up_as_their_base(base: fr.Base) -> None:
    interactions = fr.sample_interactions(300, 400, 9_000, 1)
    whole = fr.leave_last_out(interactions, payload=["timestamp"], split="none")
    ours, theirs = fr.access_profile(interactions, beside=False), fr.access_profile(whole, beside=False)
    assert [told(table) for table in ours.tables] == [told(table) for table in theirs.tables]
    assert ours.table("real", "item_id").lookups > base.train_count


def test_a_sample_is_near_and_the_same_on_any_number_of_threads(base: fr.Base) -> None:
    expansion = fr.Expansion(base, fr.reduce(base, (8, 16)), profile="traceable", timestamps=True)
    exact = fr.access_profile(expansion, beside=False)
    one, two = (fr.access_profile(expansion, beside=False, most_lookups=60_000, threads=n) for n in (1, 2))
    assert one.to_dict() == two.to_dict()
    for order in ORDERS:
        ours, theirs = (each.table("synthetic", "item_id", order) for each in (one, exact))
        assert ours.rate < 0.5
        assert theirs.rate == 1
        for size in (0.05, 0.1, 0.2, 0.5):
            assert abs(ours.hit_rates[size] - theirs.hit_rates[size]) < 0.03, (order, size)


@pytest.mark.parametrize("last", [0, 1, 2])
def test_windows_in_time_end_with_the_lookups(last: int) -> None:
    interactions = fr.sample_interactions(300, 400, 9_000 + last, 1)
    found = fr.access_profile(interactions, order="time", most_lookups=4_000).table("real", "item_id", "time")
    assert found.lookups == 9_000 + last
    assert found.rate < 0.5
    assert 0 < found.distinct[512] <= 400


def test_caches_of_less_than_one_sampled_row_are_left_out() -> None:
    interactions = fr.sample_interactions(300, 400, 9_000, 1)
    profile = fr.access_profile(interactions, beside=False, most_lookups=1_000)
    for table in profile.tables:
        least = 1 / (table.rows * table.rate)
        assert list(table.hit_rates) == [size for size in (0.001, 0.01, 0.05, 0.1, 0.2, 0.5) if size >= least]
        assert least > 0.01
        assert table.curve.x[0] >= least
    assert "–" in str(profile)
    few = fr.access_profile(interactions, beside=False, most_lookups=1)
    compile(few.torchrec(), "tables.py", "exec")
    assert json.loads(few.hugectr())["models"][0]["gpucacheper"] == 0.5


CACHES = (0.01, 0.05, 0.1)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("movietweetings", "ml_latest_small")]


@pytest.mark.parametrize("source", ["sample", *SLOW])
def test_caches_hit_what_they_hit_of_real_data(source: str, request: pytest.FixtureRequest) -> None:
    whole = fr.sample_interactions() if source == "sample" else fr.read_interactions(request.getfixturevalue(source))
    base = fr.leave_last_out(whole, payload=["timestamp"])
    fitted = fr.fit(base, (4, 4))
    found = fr.access_profile(fr.Expansion(base, fitted.reduced, cells=fitted.cells, seed=7), order="random")
    real, ours, block = (found.table(data, "item_id").hit_rates for data in ("real", "synthetic", "block"))
    for size in CACHES:
        assert abs(ours[size] - real[size]) <= 0.03, size
    assert real[0.1] - block[0.1] >= 0.1
    # Copies of one source would act at the same moments, were the clocks of row blocks one.
    timed = fr.Expansion(base, fr.reduce(base, (4, 4)), profile="traceable", timestamps=True, seed=7)
    by_time = fr.access_profile(timed, order="time", beside=True)
    real, ours = (by_time.table(data, "item_id", "time").hit_rates for data in ("real", "synthetic"))
    for size in CACHES:
        assert abs(ours[size] - real[size]) <= 0.05, size


def test_exports_name_every_table(profile: AccessProfile) -> None:
    text = profile.torchrec(16, "float16")
    assert "num_embeddings=1600, embedding_dim=16, data_type=DataType.FP16" in text
    compile(text, "tables.py", "exec")
    config = json.loads(profile.hugectr(32))
    assert config["models"][0]["embedding_table_names"] == ["users", "items"]
    assert config["models"][0]["embedding_vecsize_per_table"] == [32, 32]
    assert profile.table("synthetic", "item_id").bytes(16, "float16") == 1_600 * 16 * 2
    with pytest.raises(fr.InputError, match="unknown dtype"):
        profile.torchrec(16, "float64")
    with pytest.raises(fr.InputError, match="rows of float32"):
        profile.hugectr(16, "int8")
    json.dumps(profile.to_dict(), allow_nan=False)
    assert "hit 10%" in str(profile)


def test_what_is_not_there_is_refused(base: fr.Base, profile: AccessProfile) -> None:
    plain = fr.Expansion(base, [[0.5]])
    with pytest.raises(fr.InputError, match="no timestamps"):
        fr.access_profile(plain, order="time")
    with pytest.raises(fr.InputError, match="order"):
        fr.access_profile(plain, order="clock")  # type: ignore[arg-type]
    with pytest.raises(fr.InputError, match="source"):
        fr.access_profile([1, 2])  # type: ignore[arg-type]
    with pytest.raises(fr.InputError, match="no table reduced, item_id, random"):
        profile.table("reduced", "item_id")


@pytest.mark.parametrize(
    ("name", "value"),
    [("most_lookups", 0), ("most_lookups", -5), ("most_lookups", "x"), ("seed", -1), ("seed", 0.5), ("real", "x.csv")],
)
def test_arguments_out_of_their_range_are_refused(base: fr.Base, name: str, value: object) -> None:
    with pytest.raises(fr.InputError, match=rf"^{name} (is|must be) .*{value}"):
        fr.access_profile(fr.Expansion(base, [[0.5]]), **{name: value})  # type: ignore[arg-type]


def test_what_was_measured_by_time_alone_configures_no_library(timed: fr.Expansion) -> None:
    profile = fr.access_profile(timed, order="time", beside=False)
    for write in (profile.torchrec, profile.hugectr):
        with pytest.raises(fr.InputError, match="by time only"):
            write()


def test_the_figure_has_a_line_for_each_data(profile: AccessProfile) -> None:
    axes = fr.plot.hit_rates(profile, order="time")
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["real R", "synthetic R̃"]
    assert hit_rate(profile.curves()["real"], 0.1) == profile.table("real", "item_id").hit_rates[0.1]


def test_carried_columns_have_tables_too(tmp_path: Path) -> None:
    rows = fr.sample_interactions(120, 90, 3_000, 2).to_arrow()
    device = pa.array([None if number % 7 == 0 else number * number % 23 for number in range(len(rows))])
    interactions = fr.read_interactions(rows.append_column("device", device), carry=["device"])
    base = fr.leave_last_out(interactions, payload=["device", "rating"])
    expansion = fr.Expansion(base, fr.reduce(base, (2, 3)), carry=["device"], ratings="carry", seed=3)
    profile = fr.access_profile(expansion, columns=["device", "rating"])
    values = expansion.table(0, expansion.shape[0])["device"].drop_null().to_numpy()
    counts = np.unique(values, return_counts=True)[1]
    found = profile.table("synthetic", "device")
    assert (found.rows, found.lookups, found.seen) == (len(counts), len(values), len(counts))
    right = TableAccess.random("synthetic", "device", LookupCounts.of_degrees(counts))
    assert told(found) == told(right)
    of_base = base.column("device").filter(pa.array(base.mask("train"))).drop_null().to_numpy()
    assert profile.table("real", "device").lookups == len(of_base)
    assert profile.table("null", "rating").rows == profile.table("synthetic", "rating").rows
    dataset = fr.write(expansion, tmp_path / "out", parts=3)
    assert told(fr.access_profile(dataset, columns=["device"]).table("synthetic", "device")) == told(found)
    alone = fr.access_profile(interactions, columns=["device"], order="random")
    assert alone.table("real", "device").lookups == len(device) - device.null_count
    assert "feature_names=['device']" in profile.torchrec()
    with pytest.raises(fr.InputError, match="columns: 'page' is not carried"):
        fr.access_profile(expansion, columns=["page"])
    with pytest.raises(fr.InputError, match="columns"):
        fr.access_profile(expansion, columns="device")


def test_columns_are_not_looked_up_by_time_alone() -> None:
    base = fr.leave_last_out(fr.sample_interactions(60, 40, 600), payload=["timestamp"])
    with pytest.raises(fr.InputError, match="columns are looked up in random order alone"):
        fr.access_profile(base, order="time", columns=["timestamp"])
