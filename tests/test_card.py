"""The data card: its words for each shuffle, and its header, by which the hub's library loads the folder."""

from pathlib import Path
from typing import Any

import pytest

import fractalrs as fr
from folders import RATES, read, small_expansion
from fractalrs.card import _size_category
from fractalrs.expansion import Expansion
from fractalrs.profiles import GOOD_FOR, NOT_GOOD_FOR, SHUFFLES


@pytest.fixture
def load_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the hub library's function, offline and with a cache of its own."""
    for name, value in {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hub"),
        "HF_DATASETS_CACHE": str(tmp_path / "hub/datasets"),
    }.items():
        monkeypatch.setenv(name, value)
    datasets = pytest.importorskip("datasets", reason="the hub library `datasets` is not installed")
    datasets.disable_progress_bars()

    def load(path: Path) -> Any:
        return datasets.load_dataset(str(path), cache_dir=str(tmp_path / "cache"))

    return load


def test_the_hub_library_loads_train_and_test(tmp_path: Path, load_dataset: Any) -> None:
    written = small_expansion().write(tmp_path / "out", parts=3)
    loaded = load_dataset(tmp_path / "out")
    assert {split: rows.num_rows for split, rows in loaded.items()} == {
        split: written.totals[split] for split in ("train", "test")
    }
    for split in ("train", "test"):
        assert loaded[split].column_names == ["user_id", "item_id"]
        table = read(tmp_path / "out", split)
        assert loaded[split].data.table.cast(table.schema).equals(table)


def test_the_hub_library_loads_train_alone(tmp_path: Path, load_dataset: Any) -> None:
    base = fr.leave_last_out(fr.sample_interactions(50, 40, 500), split="none")
    written = Expansion(base, RATES, shuffle="aligned").write(tmp_path / "out")
    loaded = load_dataset(tmp_path / "out")
    assert {split: rows.num_rows for split, rows in loaded.items()} == {"train": written.totals["train"]}


def test_the_hub_library_loads_what_is_given_away(tmp_path: Path, load_dataset: Any) -> None:
    """Without private/ and under another name, the rest is complete."""
    written = small_expansion().write(tmp_path / "out", parts=2)
    (tmp_path / "given").mkdir()
    for name in ("train", "test", "README.md", "manifest.json"):
        (tmp_path / "out" / name).rename(tmp_path / "given" / name)
    assert load_dataset(tmp_path / "given")["train"].num_rows == written.totals["train"]
    assert fr.open_dataset(tmp_path / "given").train.count_rows() == written.totals["train"]


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_the_card_says_what_the_data_set_is_for(tmp_path: Path, shuffle: Any) -> None:
    dataset = small_expansion(shuffle=shuffle).write(tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert GOOD_FOR[shuffle] in card
    assert NOT_GOOD_FOR[shuffle][1:] in card
    assert f"`realistic`, `{shuffle}`" in card
    for sentence in (
        "Thinning is not anonymisation",
        "re-splitting the train set at random puts\n  copies on both sides and leaks",
        "`private/` holds the seed",
        "the licence and the terms of the source apply",
    ):
        assert sentence in card
    for number in (*dataset.shape, dataset.totals["train"], dataset.totals["test"]):
        assert f"{number:,}" in card


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("last", "each user's latest interaction is test"),
        ("random", "one interaction of each user, chosen at random, is test"),
        ("none", "nothing is held out"),
    ],
)
def test_the_card_says_how_the_source_was_split(tmp_path: Path, split: Any, words: str) -> None:
    base = fr.leave_last_out(fr.sample_interactions(50, 40, 500), split=split)
    Expansion(base, RATES, shuffle="aligned").write(tmp_path / "out")
    assert words in (tmp_path / "out/README.md").read_text(encoding="utf-8")


def test_the_card_of_a_base_from_arrays(tmp_path: Path) -> None:
    base = fr.Base.from_arrays([0, 2, 4], [0, 1, 1, 2], [False, True, False, True])
    Expansion(base, RATES, shuffle="aligned").write(tmp_path / "out")
    assert "the test interactions were given" in (tmp_path / "out/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("rows", "category"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1_000, "1K<n<10K"),
        (99_999, "10K<n<100K"),
        (1_200_000_000, "1B<n<10B"),
        (999_999_999_999, "100B<n<1T"),
        (10**12, "n>1T"),
        (10**15, "n>1T"),
    ],
)
def test_size_categories_are_the_hubs(rows: int, category: str) -> None:
    assert _size_category(rows) == category
