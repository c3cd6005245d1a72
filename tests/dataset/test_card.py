"""The data card: its words for each shuffle, and its header, by which the hub's library loads the folder."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

import fractalrs as fr
from fractalrs.dataset import checked_licence, write
from fractalrs.dataset.card import size_category
from fractalrs.errors import InputError, OutputError
from fractalrs.expansion import SHUFFLES, Expansion
from helpers.folders import RATES, read, small_base, small_cells


def real_expansion(shuffle: str = "cells") -> Expansion:
    """Expand a base that does not tell that it is the sample."""
    base = dataclasses.replace(small_base(), notes=())
    return Expansion(base, RATES, shuffle=shuffle, cells=small_cells() if shuffle == "cells" else None, seed=7)


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
    written = fr.write(real_expansion(), tmp_path / "out", parts=3)
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
    written = fr.write(Expansion(base, RATES, shuffle="aligned"), tmp_path / "out")
    loaded = load_dataset(tmp_path / "out")
    assert {split: rows.num_rows for split, rows in loaded.items()} == {"train": written.totals["train"]}


def test_the_hub_library_loads_what_is_given_away(tmp_path: Path, load_dataset: Any) -> None:
    """Without private/ and under another name, the rest is complete."""
    written = fr.write(real_expansion(), tmp_path / "out", parts=2)
    (tmp_path / "given").mkdir()
    for name in ("train", "test", "README.md", "manifest.json"):
        (tmp_path / "out" / name).rename(tmp_path / "given" / name)
    assert load_dataset(tmp_path / "given")["train"].num_rows == written.totals["train"]
    assert fr.open_dataset(tmp_path / "given").train.count_rows() == written.totals["train"]


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_the_card_says_what_the_data_set_is_for(tmp_path: Path, shuffle: Any) -> None:
    dataset = fr.write(real_expansion(shuffle=shuffle), tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert SHUFFLES[shuffle].good_for in card
    assert SHUFFLES[shuffle].not_good_for[1:] in card
    assert f"`realistic`, `{shuffle}`" in card
    for sentence in (
        "Neither thinning nor a shuffle promises that",
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
    fr.write(Expansion(base, RATES, shuffle="aligned"), tmp_path / "out")
    assert words in (tmp_path / "out/README.md").read_text(encoding="utf-8")


def test_the_card_of_a_base_from_arrays(tmp_path: Path) -> None:
    base = fr.Base.from_arrays([0, 2, 4], [0, 1, 1, 2], [False, True, False, True])
    fr.write(Expansion(base, RATES, shuffle="aligned"), tmp_path / "out")
    assert "the test interactions were given" in (tmp_path / "out/README.md").read_text(encoding="utf-8")


def licence_of(folder: Path) -> dict[str, str]:
    """Read what the header of a card says of the licence, as the hub reads it."""
    header = pytest.importorskip("huggingface_hub").metadata_load(folder / "README.md")
    return {name: value for name, value in header.items() if name.startswith("license")}


@pytest.mark.parametrize(
    ("licence", "header"),
    [
        (None, {"license": "other", "license_name": "that-of-the-source"}),
        ("CC BY 4.0", {"license": "cc-by-4.0"}),
        ("cc-by-nc-sa-3.0", {"license": "cc-by-nc-sa-3.0"}),
        ("CC0 1.0", {"license": "cc0-1.0"}),
        ("ODbL", {"license": "odbl"}),
        ("MIT", {"license": "mit"}),
        ("CC BY 9.0", {"license": "other", "license_name": "cc-by-9.0"}),
        ("GroupLens: research only", {"license": "other", "license_name": "grouplens-research-only"}),
        ("1.0", {"license": "other", "license_name": "1.0"}),
        ("No", {"license": "other", "license_name": "no"}),
        ('a "b": {c}, #d', {"license": "other", "license_name": "a-b-c-d"}),
        ("仅供研究", {"license": "other", "license_name": "that-of-the-source"}),
    ],
)
def test_the_card_names_the_sources_licence(tmp_path: Path, licence: str | None, header: dict[str, str]) -> None:
    write(real_expansion(), tmp_path / "out", source_licence=licence)
    assert licence_of(tmp_path / "out") == header
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert "the licence and the terms of the source apply" in card
    assert ("Name them here" in card) == (licence is None)
    assert licence is None or f"> {licence}\n" in card


def test_the_licence_is_part_of_the_plan_but_not_of_the_expansion(tmp_path: Path) -> None:
    expansion = real_expansion()
    plans = []
    for licence in (None, "MIT"):
        write(expansion, tmp_path / str(licence), source_licence=licence)
        plans.append(json.loads((tmp_path / str(licence) / "private/plan.json").read_text()))
        assert plans[-1]["source_licence"] == licence
    assert plans[0]["fingerprints"]["expansion"] == plans[1]["fingerprints"]["expansion"]
    assert plans[0]["fingerprints"]["plan"] != plans[1]["fingerprints"]["plan"]
    with pytest.raises(OutputError, match="source_licence is MIT there and None here"):
        fr.write(expansion, tmp_path / "MIT")
    fr.write(expansion, tmp_path / "MIT", overwrite=True)
    assert licence_of(tmp_path / "MIT")["license"] == "other"


def test_a_licence_is_one_line_of_readable_text() -> None:
    assert checked_licence("  CC BY\n4.0\t") == "CC BY 4.0"
    for text in ("", " \n", "a\0b", "\x1b[1m", "\udc80"):
        with pytest.raises(InputError, match=r"source_licence is .*; it must be readable text"):
            checked_licence(text)
    with pytest.raises(InputError, match="source_licence"):
        fr.expand("sample", "out", user_multiplier=2, item_multiplier=2, source_licence=" ")


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
    assert size_category(rows) == category
