"""What interactions carry, from the command line to the files: times, ratings, columns; cold starts; the reference."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import fractalrs as fr
from helpers.commands import run
from helpers.folders import sql

SMALL = ["--user-multiplier", "3", "--item-multiplier", "8", "--seed", "7"]
TRACEABLE = [*SMALL, "--profile", "traceable"]


@pytest.fixture(params=["movietweetings", "ml_latest_small"])
def source(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interactions with columns of their own, one of them with holes."""
    table = fr.sample_interactions(60, 80, 1_500).table.to_pandas()
    rng = np.random.default_rng(1)
    table["device"] = rng.choice(["tv", "phone", ""], len(table))
    table["session"] = rng.integers(0, 1 << 40, len(table))
    table["share"] = rng.random(len(table)).astype(str)
    path = tmp_path_factory.mktemp("events") / "events.csv"
    table.to_csv(path, index=False)
    return path


def ordered(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame


def test_real_data_with_times_and_ratings_by_the_command_line(source: Path, tmp_path: Path) -> None:
    done = run("expand", source, tmp_path / "out", *TRACEABLE, "--timestamps", "--ratings", "carry", "--parts", "3")
    assert done.code == 0, done.err
    dataset = fr.open_dataset(tmp_path / "out")
    real = fr.read_interactions(source)
    train, test = ordered(dataset.train.to_table()), ordered(dataset.test.to_table())
    assert list(train.columns) == ["user_id", "item_id", "rating", "timestamp"]
    assert set(train["rating"].unique()) <= set(real.table["rating"].to_numpy())
    base = fr.leave_last_out(real, payload=["rating"])
    assert base.payload is not None
    # Every interaction is kept with the same probability.
    assert abs(train["rating"].mean() - base.payload["rating"].to_numpy()[~base.test_mask].mean()) < 0.01
    times = real.timestamps
    assert times is not None
    assert times.min() <= train["timestamp"].min()
    # Clocks of row blocks are put forward, by a twentieth of the time at the most.
    assert train["timestamp"].max() <= times.max() + np.ptp(times) // 20 + 8 * 604_800
    assert (train.groupby("user_id")["timestamp"].diff().dropna() >= 0).all()
    last = train.groupby("user_id")["timestamp"].max()
    first = test.groupby("user_id")["timestamp"].min()
    both = last.index.intersection(first.index)
    assert len(both) > 100
    assert (last[both] <= first[both]).all()
    # Whoever reads them sees the same.
    seen = sql(f"SELECT count(*), sum(rating), max(timestamp) FROM '{tmp_path}/out/train/*.parquet'").fetchall()
    assert seen == [(len(train), pytest.approx(train["rating"].sum()), train["timestamp"].max())]


@pytest.mark.parametrize("order", ["block", "item", "time"])
def test_orders_hold_the_same_interactions(ml_latest_small: Path, tmp_path: Path, order: str) -> None:
    frames = []
    for chosen in (order, "time"):
        path = tmp_path / chosen
        if not path.exists():
            done = run(
                "expand", ml_latest_small, path, *TRACEABLE, "--timestamps", "--keep-scale", "0.2", "--order", chosen
            )
            assert done.code == 0, done.err
        frame = ordered(fr.open_dataset(path).train.to_table())
        frames.append(frame.sort_values(["user_id", "item_id"]).reset_index(drop=True))
    pd.testing.assert_frame_equal(frames[0], frames[1])


def test_columns_are_carried_with_their_interactions(events: Path, tmp_path: Path) -> None:
    carried = ["--carry", "device", "--carry", "session", "--carry", "share"]
    done = run("expand", events, tmp_path / "out", *SMALL, "--ratings", "carry", *carried, "--json")
    assert done.code == 0, done.err
    dataset = fr.open_dataset(tmp_path / "out")
    assert [(field.name, str(field.type)) for field in dataset.train.schema][2:] == [
        ("rating", "double"),
        ("device", "string"),
        ("session", "int64"),
        ("share", "double"),
    ]
    real = pd.read_csv(events)
    written = ordered(dataset.train.to_table())
    assert written["device"].isna().mean() == pytest.approx(real["device"].isna().mean(), abs=0.05)
    # Every combination is one of the source's.
    columns = ["rating", "device", "session", "share"]
    known = {tuple(row) for row in real[columns].fillna("-").itertuples(index=False)}
    assert {tuple(row) for row in written[columns].fillna("-").itertuples(index=False)} <= known


def test_kronecker_ratings_are_the_products(ml_latest_small: Path, tmp_path: Path) -> None:
    options = [*SMALL, "--shuffle", "none", "--keep-scale", "0.5"]
    assert run("expand", ml_latest_small, tmp_path / "out", *options, "--ratings", "kronecker").code == 0
    assert run("expand", ml_latest_small, tmp_path / "carried", *options, "--ratings", "carry").code == 0
    product, carried = (ordered(fr.open_dataset(tmp_path / name).train.to_table()) for name in ("out", "carried"))
    reduced = np.load(tmp_path / "out/private/reduced_matrix.npy")
    p, q = fr.open_dataset(tmp_path / "out").block_shape
    factor = reduced[product["user_id"] // p, product["item_id"] // q]
    assert np.array_equal(product["rating"], factor * carried["rating"])


def test_cold_users_and_items_have_test_interactions_only(ml_latest_small: Path, tmp_path: Path) -> None:
    cold = ["--cold-users", "0.1", "--cold-items", "0.2"]
    done = run("expand", ml_latest_small, tmp_path / "out", *SMALL, *cold, "--json")
    assert done.code == 0, done.err
    summary: dict[str, Any] = json.loads(done.out)
    assert run("expand", ml_latest_small, tmp_path / "warm", *SMALL).code == 0
    dataset, warm = fr.open_dataset(tmp_path / "out"), fr.open_dataset(tmp_path / "warm")
    for split in ("train", "test"):
        assert abs(summary[split]["written"] - summary[split]["expected"]) < 5 * summary[split]["std"]
    frames = [ordered(split.to_table()) for split in (dataset.train, dataset.test, warm.train)]
    train, test, all_train = frames
    assert dataset.totals["interactions"] == warm.totals["interactions"]
    for column, share in (("user_id", 0.1), ("item_id", 0.2)):
        busy = all_train[column].value_counts()
        known = set(busy[busy >= 20].index)
        gone = known - set(train[column])
        assert gone <= set(test[column])
        assert len(gone) / len(known) == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / len(known)))


def test_the_reference_profile_makes_the_published_choices(ml_latest_small: Path, tmp_path: Path) -> None:
    done = run("expand", ml_latest_small, tmp_path / "out", *SMALL, "--profile", "reference")
    assert done.code == 0, done.err
    dataset = fr.open_dataset(tmp_path / "out")
    plan = json.loads((tmp_path / "out/private/plan.json").read_text())
    assert plan["options"]["shuffle"] == "block"
    assert plan["recipe"]["min_timestamps"] == 3
    assert plan["recipe"]["variant"] == "reference"
    train, test = ordered(dataset.train.to_table()), ordered(dataset.test.to_table())
    assert set(train["user_id"]) == set(test["user_id"])
    assert test["user_id"].is_unique
    assert (train.groupby("user_id")["item_id"].diff().dropna() > 0).all()
    # The one test item is not always in the first block that has one.
    assert (test["item_id"] // dataset.block_shape[1]).nunique() == 8


@pytest.mark.parametrize("options", [["--user-cell-size", "1"], ["--shuffle", "aligned"]])
def test_times_without_the_profile_traceable_are_validated_against_the_source(
    events: Path, tmp_path: Path, options: list[str]
) -> None:
    assert run("expand", events, tmp_path / "out", *SMALL, "--timestamps", *options).code == 0
    done = run("validate", tmp_path / "out", "--source", events, "--only", "integrity")
    assert done.code == 0, done.err


@pytest.mark.parametrize("option", [["--cold-users", "0.1"], ["--cold-items", "0.2", "--timestamps"]])
def test_cold_data_sets_are_as_planned(ml_latest_small: Path, tmp_path: Path, option: list[str]) -> None:
    assert run("expand", ml_latest_small, tmp_path / "out", *TRACEABLE, *option).code == 0
    done = run("validate", tmp_path / "out", "--source", ml_latest_small, "--only", "integrity")
    assert done.code == 0, done.out


def test_the_reference_profile_can_be_overruled_and_needs_no_times(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    users, items = np.nonzero(np.random.default_rng(0).random((40, 30)) < 0.4)
    rows = [f"{user},{item}\n" for user, item in zip(users, items, strict=True)]
    pairs.write_text("user,item\n" + "".join(rows))
    options = ["--user-multiplier", "2", "--item-multiplier", "3", "--profile", "reference", "--split", "none"]
    done = run("expand", pairs, tmp_path / "out", *options, "--keep-incomplete")
    assert done.code == 0, done.err
    assert run("validate", tmp_path / "out", "--source", pairs, "--only", "integrity").code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--timestamps"], "timestamps need user cells of size 1"),
        (["--order", "time"], "the order is by time, but interactions get no times"),
        (["--carry", "colour"], "colour"),
        (["--carry", "rating"], "rating"),
        (["--cold-users", "1"], "--cold-users is 1.0"),
        (["--cold-items", "0.1", "--test-items", "one"], "cold users and items"),
        (["--operator", "kronecker", "--shuffle", "cells"], "shuffle does not go with"),
        (["--operator", "sketch", "--ratings", "carry"], "ratings does not go with"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    events: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    done = run("expand", events, tmp_path / "out", *SMALL, *options)
    assert done.code == 2
    assert message in done.err
    assert not (tmp_path / "out").exists()


def test_a_source_without_ratings_or_times_is_refused(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("user,item\n" + "".join(f"{user},{item}\n" for user in range(9) for item in range(user % 4 + 2)))
    for option in (["--ratings", "carry"], ["--timestamps", "--profile", "traceable"]):
        done = run("expand", pairs, tmp_path / "out", "--user-multiplier", "2", "--item-multiplier", "2", *option)
        assert done.code == 2
        assert option[0].removeprefix("--").rstrip("s") in done.err
        assert not (tmp_path / "out").exists()


def test_times_of_mixed_units_are_refused(tmp_path: Path) -> None:
    mixed = tmp_path / "mixed.csv"
    lines = [
        f"{user},{item},{(1_500_000_000 + item) * (1000 if user == 5 else 1)}\n"
        for user in range(9)
        for item in range(4)
    ]
    mixed.write_text("user,item,timestamp\n" + "".join(lines))
    done = run("expand", mixed, tmp_path / "out", "--user-multiplier", "2", "--item-multiplier", "2")
    assert done.code == 2
    assert "1500000000000" in done.err.replace(",", "")


def test_a_carrying_data_set_resumes_to_the_same_bytes(events: Path, tmp_path: Path) -> None:
    command = ["expand", events, tmp_path / "out", *TRACEABLE, "--timestamps", "--carry", "device", "--parts", "4"]
    assert run(*command).code == 0
    files = {file: file.read_bytes() for file in (tmp_path / "out").rglob("*.parquet")}
    (tmp_path / "out/manifest.json").unlink()
    next(file for file in files if "00002" in file.name).unlink()
    assert run(*command).code == 0
    assert {file: file.read_bytes() for file in (tmp_path / "out").rglob("*.parquet")} == files
    done = run(*command[:-4], "--parts", "4")
    assert done.code == 2
    assert "carry" in done.err
