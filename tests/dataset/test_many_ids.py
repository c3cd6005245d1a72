"""Past 2³¹ users, and past 2³¹ items: ids of 64 bits, and nothing else is different."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fractalrs as fr
from fractalrs.expansion import Expansion

BEYOND = 1 << 31


def many(m: int, n: int, users: int, items: int, keep: float) -> Expansion:
    base = fr.leave_last_out(fr.sample_interactions(users, items, 3 * users + 3 * items))
    return Expansion(base, np.full((m, n), keep), min_keep=keep / 2, seed=1)


def check(expansion: Expansion, table: pa.Table, side: str, first: int, last: int) -> None:
    """Check that ids are within their bounds and 64 bits wide where they have to be, in order and without repeats."""
    assert table.schema.equals(expansion.schema)
    assert table.schema.field(f"{side}_id").type == pa.int64()
    other = "item" if side == "user" else "user"
    assert table.schema.field(f"{other}_id").type == pa.int32()
    users, items = (table[name].to_numpy().astype(np.int64) for name in ("user_id", "item_id"))
    assert first <= users.min() <= users.max() < last
    assert 0 <= items.min() <= items.max() < expansion.shape[1]
    assert (np.diff(users) >= 0).all()
    assert len(np.unique(np.stack([users, items]), axis=1).T) == len(table)


def test_a_part_past_so_many_users(tmp_path: Path) -> None:
    """Of the run below one part."""
    expansion = many(107_400, 1, 20_000, 1_000, 0.1)
    assert expansion.shape[0] > BEYOND
    plan = fr.plan(expansion, parts=20_000)
    part = next(part for part in plan.parts if part.first <= BEYOND < part.last)
    fr.write_part(plan, part.index, tmp_path)
    (file,) = tmp_path.glob("train/*.parquet")
    table = pq.read_table(file)
    check(expansion, table, "user", part.first, part.last)
    assert table.equals(pa.table(expansion.stream(users=(part.first, part.last))))
    users = table["user_id"].to_numpy()
    assert (users < BEYOND).any()
    assert (users >= BEYOND).any()
    expected = expansion.expected.train.mean * (part.last - part.first) / expansion.shape[0]
    assert len(table) == pytest.approx(expected, rel=0.2)


def test_users_past_so_many_items() -> None:
    """Of the run below some users."""
    expansion = many(1, 72_000, 200, 30_000, 1e-3)
    assert expansion.shape[1] > BEYOND
    table = pa.table(expansion.stream(users=(90, 110)))
    check(expansion, table, "item", 90, 110)
    items = table["item_id"].to_numpy()
    assert (items >= BEYOND).any()
    # All blocks have their share.
    counts = np.histogram(items, 8, (0, expansion.shape[1]))[0]
    assert counts.max() < 1.5 * counts.min()


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(
    ("side", "shape"),
    [("user", (107_400, 1, 20_000, 1_000, 1e-3)), ("item", (1, 72_000, 200, 30_000, 1e-3))],
    ids=("users", "items"),
)
def test_a_whole_run_past_so_many_ids(side: str, shape: tuple[int, int, int, int, float], tmp_path: Path) -> None:
    expansion = many(*shape)
    dataset = fr.write(expansion, tmp_path / "out")
    for split, expected in (("train", expansion.expected.train), ("test", expansion.expected.test)):
        table = getattr(dataset, split).to_table()
        check(expansion, table, side, 0, expansion.shape[0])
        assert abs(len(table) - expected.mean) <= 5 * expected.std + 1
        assert table[f"{side}_id"].to_numpy().max() >= BEYOND
    # Any part again, from what the manifest says of it.
    part = dataset.parts[-1]
    again = pa.table(expansion.stream(users=(part.first, part.last)))
    assert pq.read_table(dataset.path / part.files["train"][0].path).equals(again)
