"""The recipe: what `expand` takes, and what it refuses before anything is read."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fractalrs as fr
from fractalrs.errors import InputError
from fractalrs.reading.source import SOURCE_FORMATS
from fractalrs.workflow import RECIPE, Recipe, prepare
from helpers.folders import RATES


def test_to_make_a_recipe_reads_no_file(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("reduced_matrix", "item_attributes", "user_attributes")}
    recipe = Recipe(profile="traceable", **files)
    for missing in files.values():
        with pytest.raises(FileNotFoundError, match=missing.name):
            prepare(tmp_path / "no source", recipe, tmp_path / "out")
        if missing.name == "reduced_matrix":
            with missing.open("wb") as file:
                np.save(file, RATES)
        else:
            missing.write_text("id,name\n1,one\n")


def test_a_target_takes_options_as_they_were_checked() -> None:
    recipe = Recipe(target_interactions=20_000, max_keep="0.9", keep_scale="1")
    assert prepare("sample", recipe, "nowhere").expansion.options.max_keep == 0.9


def test_signatures_are_what_is_accepted() -> None:
    """The defaults of a signature, given one by one, are what is taken when nothing is given."""
    plain = Recipe(user_multiplier=2, item_multiplier=3)
    for name, parameter in inspect.signature(fr.expand).parameters.items():
        if name in RECIPE and name not in ("user_multiplier", "item_multiplier"):
            assert Recipe(user_multiplier=2, item_multiplier=3, **{name: parameter.default}) == plain


@pytest.mark.parametrize(
    "given",
    [
        {"user_multiplier": 2.5},
        {"parts": "many"},
        {"user_cell_size": [3]},
        {"min_timestamps": 1.5},
        {"target_users": [1]},
        {"row_group_size": 1.5},
        {"row_group_size": None},
        {"encoding": 3},
        {"compression": 3},
        {"source_licence": 7},
        {"reduced_matrix": 5},
        {"profile": ["paper"]},
        {"split": []},
        {"input_format": {}},
        {"header": "no"},
        {"delimiter": 1},
        {"user_column": [1]},
        {"order_by": "yes"},
        {"order_by": [1]},
        {"fit": "yes"},
        {"user_balance": 1.5},
        {"item_balance": "much"},
        {"strength": -1},
        {"strength": float("inf")},
        {"timestamps": "no"},
        {"drop_incomplete": 2},
        {"carry": (3,)},
        {"shuffle": ["cells"]},
        {"operator": []},
        {"seed": 0.5},
    ],
)
def test_what_is_no_value_is_refused_by_the_options_name(given: dict[str, Any], tmp_path: Path) -> None:
    (name,) = given
    with pytest.raises(InputError, match=rf"^(unknown )?{name}"):
        fr.expand("sample", tmp_path / "out", **{"user_multiplier": 2, "item_multiplier": 2} | given)
    assert list(tmp_path.iterdir()) == []


ODD: tuple[Any, ...] = (None, -1, 2.5, float("nan"), 10**400, "x", b"x", [], [1], {}, {1}, (1, 2), 1j, np.zeros(2), len)


def test_odd_values_are_refused_by_the_options_name(tmp_path: Path) -> None:
    for name in RECIPE:
        for value in ODD:
            given: dict[str, Any] = {"user_multiplier": 2, "item_multiplier": 2, "profile": "traceable"} | {name: value}
            # What is no odd value for this option gets as far as to the source.
            with pytest.raises((InputError, FileNotFoundError)) as caught:
                fr.expand(tmp_path / "no source", tmp_path / "out", **given)
            # Attributes are refused in the words of what reads them.
            named = name in str(caught.value) or name.endswith("_attributes")
            assert named or isinstance(caught.value, FileNotFoundError), (name, value)


def test_a_target_refuses_a_multiplier_beyond_the_source(tmp_path: Path) -> None:
    for name in ("user multiplier", "item multiplier"):
        given: dict[str, Any] = {name.replace(" ", "_"): 10**400, "target_interactions": 10**6}
        with pytest.raises(InputError, match=f"{name} 10+ does not fit"):
            fr.expand("sample", tmp_path / "out", **given)


def test_the_formats_of_sources_are_those_that_are_read() -> None:
    assert set(RECIPE["input_format"].choices) == {"auto", *(name for one in SOURCE_FORMATS for name in one.names)}


@pytest.mark.parametrize(("shuffle", "given", "taken"), [("mixed", None, None), ("cells", None, 7), ("cells", 9, 9)])
def test_users_whose_rows_stay_whole_are_in_small_cells(shuffle: str, given: int | None, taken: int | None) -> None:
    """Larger ones, which the fit has in dense data, hide nobody there, and cost spectrum."""
    recipe = Recipe(user_multiplier=2, item_multiplier=2, shuffle=shuffle, user_cell_size=given)
    assert recipe.fitting["user_cell_size"] == taken
