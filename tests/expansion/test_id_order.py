"""Items under other numbers: the same interactions, a bijection both ways, and right answers to whoever asks by id."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

import fractalrs as fr
from fractalrs.privacy.attacks.output import Output
from fractalrs.words import SPLITS
from helpers import oracle

ORDERS = ["scrambled", "popularity"]
OPTIONS: list[dict[str, Any]] = [
    {"shuffle": "none"},
    {"shuffle": "aligned", "order": "item"},
    {"shuffle": "mixed", "block_keep": 0.8},
    {"shuffle": "cells", "test_items": "one", "drop_incomplete": True},
    {"shuffle": "block", "cold_items": 0.2, "order": "item"},
    {"profile": "traceable", "timestamps": True, "ratings": "kronecker"},
    {"operator": "kronecker"},
]


@pytest.fixture(scope="module")
def base() -> fr.Base:
    return fr.leave_last_out(fr.sample_interactions(90, 70, 1_500), payload=["rating", "timestamp"])


def expansion_of(base: fr.Base, **options: Any) -> fr.Expansion:
    return fr.Expansion(base, fr.reduce(base, (3, 4)), **{"seed": 5} | options)


def everything(expansion: fr.Expansion, split: Any) -> pa.Table:
    return expansion.table(0, expansion.shape[0], split=split)


@pytest.mark.parametrize("id_order", ORDERS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_same_interactions_under_other_numbers(base: fr.Base, id_order: str, options: dict[str, Any]) -> None:
    plain, expansion = expansion_of(base, **options), expansion_of(base, id_order=id_order, **options)
    ids = np.arange(expansion.shape[1])
    places = expansion.places(ids)
    np.testing.assert_array_equal(np.sort(places), ids)
    np.testing.assert_array_equal(expansion.items_at(places), ids)
    assert np.mean(places == ids) < 0.1
    assert expansion.schema == plain.schema
    for split in SPLITS:
        there, here = everything(plain, split), everything(expansion, split)
        at = pa.array(expansion.places(here["item_id"]), here.schema.types[1])
        moved = here.set_column(1, here.schema.field(1), at)
        if options.get("order") == "item":
            rising = here["item_id"].to_numpy()[1:] >= here["item_id"].to_numpy()[:-1]
            assert np.all(rising | (np.diff(here["user_id"].to_numpy()) > 0))
            moved = moved.sort_by([("user_id", "ascending"), ("item_id", "ascending")])
        assert moved.equals(there)
    assert plain.fingerprint != expansion.fingerprint


@pytest.mark.parametrize("id_order", ORDERS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_pairs_are_looked_up_by_id(base: fr.Base, id_order: str, options: dict[str, Any]) -> None:
    expansion = expansion_of(base, id_order=id_order, **options)
    users, items = np.arange(expansion.shape[0])[:, None], np.arange(expansion.shape[1])
    for split in SPLITS:
        written = np.zeros(expansion.shape, bool)
        table = everything(expansion, split)
        written[table["user_id"].to_numpy(), table["item_id"].to_numpy()] = True
        np.testing.assert_array_equal(expansion.contains(users, items, split), written)
    chosen = expansion.negatives([0, 100, 269], 20)
    assert not expansion.contains(np.array([0, 100, 269])[:, None], chosen).any()
    plain = expansion_of(base, **options)
    for user in (3, 200):
        _, left_out = expansion.unobserved([user])
        np.testing.assert_array_equal(expansion.places(left_out), plain.unobserved([user])[1])
        assert not expansion.contains(user, left_out).any()


@pytest.mark.parametrize("id_order", ORDERS)
def test_streams_and_histories_are_the_table(base: fr.Base, id_order: str) -> None:
    expansion = expansion_of(base, id_order=id_order)
    whole = everything(expansion, "train")
    assert pa.table(expansion.stream(batch_size=77, threads=2)).equals(whole)
    cuts = [0, 1, 90, 91, 200, expansion.shape[0]]
    assert pa.concat_tables(map(expansion.table, cuts, cuts[1:])).equals(whole)
    rows = fr.StreamedMatrix(expansion, users=[5, 150]).collect([5, 150])
    users, items = (whole[name].to_numpy() for name in ("user_id", "item_id"))
    np.testing.assert_array_equal(rows.indices, np.concatenate([items[users == 5], items[users == 150]]))


def test_ids_by_popularity_fall_in_expected_degree(base: fr.Base) -> None:
    """By levels of a 32nd of an octave at the most; and nearly so in what is written."""
    expansion = expansion_of(base, id_order="popularity", shuffle="aligned", max_keep=1.0)
    q = base.shape[1]
    blocks, columns = np.divmod(expansion.places(np.arange(expansion.shape[1])), q)
    truth = [expansion.generator.columns(0, j) for j in range(4)]
    degree = np.empty(expansion.shape[1])
    for j, taken in enumerate(truth):
        source = np.argsort(taken)
        here = blocks == j
        degree[here] = (expansion.keep_rates[:, j].sum() * base.item_degrees("train"))[source[columns[here]]]
    assert np.all(degree[1:] <= degree[:-1] * (1 + 1 / 32))
    counts = np.bincount(everything(expansion, "train")["item_id"].to_numpy(), minlength=expansion.shape[1])
    assert np.corrcoef(counts, degree)[0, 1] > 0.95
    top = counts[: len(counts) // 10].sum()
    assert top > 0.95 * np.sort(counts)[::-1][: len(counts) // 10].sum()


def test_test_interactions_have_no_say_in_popularity() -> None:
    rng = np.random.default_rng(3)
    rows = [np.sort(rng.choice(40, 12, replace=False)) for _ in range(60)]
    indptr, indices = np.arange(61) * 12, np.concatenate(rows)

    def places(test: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        base = fr.Base.from_arrays(indptr, indices, test)
        expansion = fr.Expansion(base, [[0.3, 0.5]], shuffle="aligned", id_order="popularity")
        return expansion.places(np.arange(80))

    test = np.zeros(len(indices), bool)
    test[::12] = True
    train = fr.Base.from_arrays(indptr - np.arange(61), indices[~test])
    there = fr.Expansion(train, [[0.3, 0.5]], shuffle="aligned", id_order="popularity").places(np.arange(80))
    np.testing.assert_array_equal(places(test), there)


def test_a_scrambled_id_tells_nothing_of_its_block() -> None:
    base = fr.leave_last_out(fr.sample_interactions(300, 500, 6_000))
    expansion = fr.Expansion(base, fr.reduce(base, (2, 8)), id_order="scrambled")
    blocks = (expansion.places(np.arange(4_000)) // 500).reshape(8, 500)
    counts = np.array([np.bincount(row, minlength=8) for row in blocks])
    # 64 counts with a mean of 62.5 and a standard deviation of 7.
    assert np.abs(counts - 62.5).max() < 5 * 7


@pytest.mark.parametrize("id_order", ORDERS)
def test_a_data_set_says_it_and_is_validated(base: fr.Base, id_order: str, tmp_path: Path) -> None:
    expansion = expansion_of(base, id_order=id_order, shuffle="cells")
    dataset = fr.write(expansion, tmp_path / "out", parts=3)
    assert dataset.id_order == dataset.manifest.id_order == id_order
    assert dataset.manifest.id_layout in (tmp_path / "out" / "README.md").read_text()
    assert not dataset.manifest.id_layout.startswith("user = i * base_users + row, item = j")
    rows = pa.concat_tables([dataset.train.to_table(), dataset.test.to_table()])
    assert len(rows) == dataset.totals["interactions"]
    with_source, without = fr.validate(dataset, base), fr.validate(dataset)
    for report in (with_source, without, fr.validate(expansion)):
        assert not [check.name for check in report.checks if check.holds is False]
    found = {check.name: check for check in with_source.checks}
    assert found["blocks keep what their keep rates say"].holds
    assert found["rows are in order"].holds
    unknown = {check.name: check for check in without.checks}["blocks keep what their keep rates say"]
    assert unknown.holds is None
    assert "source" in unknown.detail


@pytest.mark.parametrize("id_order", ORDERS)
def test_blocks_are_counted_as_by_block(base: fr.Base, id_order: str, tmp_path: Path) -> None:
    expansion = expansion_of(base, id_order=id_order)
    right = fr.StreamedMatrix(expansion_of(base)).degrees()
    dataset = fr.write(expansion, tmp_path / "out")
    for matrix in (fr.StreamedMatrix(expansion), fr.StreamedMatrix(dataset, numbered_by=expansion)):
        found = matrix.degrees()
        assert matrix.knows_blocks
        np.testing.assert_array_equal(found.block_train, right.block_train)
        np.testing.assert_array_equal(found.item_train[expansion.items_at(np.arange(280))], right.item_train)
        assert found.violations["item_order"].count == 0
    alone = fr.StreamedMatrix(dataset)
    assert not alone.knows_blocks
    np.testing.assert_array_equal(alone.degrees().block_train, right.block_train.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("id_order", ORDERS)
def test_attributes_stand_at_their_ids(base: fr.Base, id_order: str, tmp_path: Path) -> None:
    names = pa.table({"item_id": base.item_ids, "name": [f"film {one}" for one in base.item_ids.to_pylist()]})
    options = {"shuffle": "aligned", "id_order": id_order}
    expansion = expansion_of(base, **options)
    dataset = fr.write(expansion, tmp_path / "out", item_attributes=names)
    assert dataset.items is not None
    items = dataset.items.to_table()
    np.testing.assert_array_equal(items["item_id"].to_numpy(), np.arange(280))
    places = expansion.places(np.arange(280))
    np.testing.assert_array_equal(items["item_block"].to_numpy(), places // 70)
    plain = fr.write(expansion_of(base, shuffle="aligned"), tmp_path / "plain", item_attributes=names)
    assert plain.items is not None
    assert items["name"].to_pylist() == plain.items.to_table()["name"].take(pa.array(places)).to_pylist()
    assert not [check.name for check in fr.validate(dataset, base).checks if check.holds is False]


@pytest.mark.parametrize("shuffle", ["aligned", "mixed"])
@pytest.mark.parametrize("id_order", ORDERS)
def test_truth_is_that_of_the_place(id_order: str, shuffle: str) -> None:
    world = fr.simulate(60, 40, 600, seed=7)
    base = fr.leave_last_out(world)
    reduced = fr.reduce(base, (2, 3))
    options: dict[str, Any] = {"seed": 7, "shuffle": shuffle}
    plain, expansion = (fr.Expansion(base, reduced, id_order=order, **options) for order in ("block", id_order))
    users, items = np.arange(expansion.shape[0])[:, None], np.arange(expansion.shape[1])
    places = expansion.places(items)
    for name in ("preference", "propensity", "observed"):
        there, here = (getattr(fr.Truth(world, one), name) for one in (plain, expansion))
        np.testing.assert_array_equal(here(users, items), there(users, places))


@pytest.mark.parametrize("id_order", ORDERS)
def test_attacks_see_the_same_blocks(base: fr.Base, id_order: str) -> None:
    plain, numbered = (Output(expansion_of(base, id_order=order), True) for order in ("block", id_order))
    for there, here in zip(plain.blocks(1, [0, 3]), numbered.blocks(1, [0, 3]), strict=True):
        assert there.nnz > 0
        assert abs(there - here).nnz == 0
    assert abs(plain.row_block(2) - numbered.row_block(2)).nnz == 0


def test_what_has_no_blocks_keeps_its_numbers(base: fr.Base) -> None:
    with pytest.raises(fr.InputError, match="id_order does not go with the operator"):
        expansion_of(base, operator="sketch", id_order="scrambled")
    with pytest.raises(fr.InputError, match="id_order"):
        expansion_of(base, id_order="random")
    with pytest.raises(fr.InputError, match="items 0 to 280 are not within 0 to 279"):
        expansion_of(base, id_order="scrambled").places([0, 280])


def test_numbers_are_counted_as_they_are_sorted(base: fr.Base) -> None:
    """Both ways of the oracle, of which the second can do many items."""
    expansion, key = expansion_of(base, shuffle="cells", id_order="popularity"), oracle.root(5)
    how = (key, base, expansion.keep_rates, expansion.cells)
    right = oracle.numbers(*how, "cells", 1.0)
    np.testing.assert_array_equal(oracle.some_numbers(*how, np.arange(280)), right)
    np.testing.assert_array_equal(expansion.items_at(np.arange(280)), right)


@pytest.mark.parametrize("id_order", ORDERS)
@pytest.mark.parametrize(("q", "n"), [(49_981, 42_966), (65_536, 32_768), (70_001, 40_003)])
def test_more_items_than_numbers_of_32_bits(id_order: str, q: int, n: int) -> None:
    """Of 2 less than 2³¹ items, of 2³¹, and of more: as the oracle has it at some points, and a bijection at all."""
    indices = np.array([0, 5, 9, 300, 40_000, q - 1])
    base = fr.Base.from_arrays(np.array([0, 3, 6]), indices)
    rates = np.full((1, n), 0.002)
    rates[0, -7:] = 0.9
    expansion = fr.Expansion(base, rates, shuffle="aligned", min_keep=0.0, id_order=id_order)
    plain = fr.Expansion(base, rates, shuffle="aligned", min_keep=0.0)
    assert expansion.shape[1] == q * n > (1 << 31) - 3
    ids = np.append(np.random.default_rng(0).integers(0, q * n, 10_000), [0, q * n - 1])
    places = expansion.places(ids)
    assert places.min() >= 0
    assert places.max() < q * n
    assert len(np.unique(places)) == len(np.unique(ids))
    np.testing.assert_array_equal(expansion.items_at(places), ids)
    some = np.append(places[:15], [0, 1, q - 1, q, q * n - q, q * n - 2, q * n - 1])
    some = np.append(some, expansion.places([0, 41, 42, q * n - 1]))
    if id_order == "popularity":
        right = oracle.some_numbers(oracle.root(0), base, rates, expansion.cells, some)
    else:
        right = oracle.permutations(oracle.under(oracle.root(0), oracle.NUMBER), q * n, some)[0]
    np.testing.assert_array_equal(expansion.items_at(some), right)
    written, right = (one.table(0, 2)["item_id"].to_numpy() for one in (expansion, plain))
    np.testing.assert_array_equal(expansion.places(written), right)
    if id_order == "popularity":
        assert np.all(places[ids < 42] // q >= n - 7)
        assert np.array_equal(np.sort(expansion.places(np.arange(42)) // q), np.repeat(np.arange(n - 7, n), 6))
    else:
        assert np.abs(np.histogram(places, 8, (0, q * n))[0] - 1250).max() < 5 * 35
