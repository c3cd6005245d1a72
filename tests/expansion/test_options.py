"""Options: what stands for those that are not given, and that a recipe refuses what an expansion would."""

import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import fractalrs as fr
from fractalrs.errors import InputError
from fractalrs.expansion import SHUFFLES, Expansion, Options, Shuffle
from fractalrs.words import ITEMS
from fractalrs.workflow import RECIPE, Recipe
from helpers.folders import RATES, small_base


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"profile": "realistic"}, Options(shuffle="mixed", max_keep=0.5)),
        ({"profile": "realistic", "max_keep": 0.95}, Options(shuffle="mixed")),
        ({"profile": "traceable", "max_keep": None}, Options(shuffle="aligned")),
        ({"profile": "paper", "seed": 5}, Options(shuffle="block", seed=5)),
        ({"profile": "paper", "shuffle": "none"}, Options()),
        (
            {"profile": "reference"},
            Options(shuffle="block", test_items="one", drop_incomplete=True, order="item"),
        ),
        (
            {"profile": "reference", "test_items": "all", "drop_incomplete": False, "order": "block"},
            Options(shuffle="block"),
        ),
        ({"profile": "reference", "operator": "sketch"}, Options(order="item", operator="sketch")),
        ({"profile": "traceable", "timestamps": True}, Options(shuffle="aligned", timestamps=True, order="time")),
        (
            {"profile": "traceable", "timestamps": True, "order": "item"},
            Options(shuffle="aligned", timestamps=True, order="item"),
        ),
        (
            {"shuffle": "none", "carry": "device", "keep_scale": 2},
            Options(carry=("device",), keep_scale=2.0, max_keep=0.5),
        ),
    ],
)
def test_what_is_not_given_comes_from_times_operator_and_profile(given: dict[str, Any], expected: Options) -> None:
    assert Recipe(user_multiplier=3, item_multiplier=5, **given).options == expected
    assert Options.resolve(**{"profile": "realistic", "operator": "dropout"} | given) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"profile": "fancy"},
        {"operator": "krone"},
        {"shuffle": "all"},
        {"ratings": "keep"},
        {"seed": 1.5},
        {"min_keep": "much"},
        {"max_keep": float("nan")},
        {"carry": ("rating",)},
        {"carry": ("device", "device")},
        {"order": "time"},
        {"cold_users": 0.1, "test_items": "one"},
        {"operator": "kronecker", "ratings": "carry"},
        {"operator": "kronecker", "keep_scale": 2.0},
        {"operator": "sketch", "timestamps": True},
        {"operator": lambda block, *_: block, "cold_items": 0.1},
        {"timestamps": True},
        {"timestamps": True, "shuffle": "block"},
    ],
)
def test_a_recipe_refuses_what_an_expansion_would_in_the_same_words(options: dict[str, Any]) -> None:
    with pytest.raises(InputError) as late:
        Expansion(small_base(), RATES, **options)
    with pytest.raises(InputError) as early:
        Recipe(user_multiplier=3, item_multiplier=5, **options)
    assert str(early.value) == str(late.value)


def test_numbers_are_refused_by_their_range() -> None:
    with pytest.raises(InputError, match=r"^seed is 1.5; it must be a whole number from 0 to 2\*\*64 - 1$"):
        Options(seed=1.5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^block_keep is None; it must be above 0 and at most 1$"):
        Options(block_keep=None)  # type: ignore[arg-type]


def test_one_source_is_asked_of_cells_that_are_not_made_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    base = fr.leave_last_out(fr.sample_interactions(60, 80, 1_500), payload=["timestamp"])

    def never(*_: Any) -> None:
        raise AssertionError("cells are made")

    monkeypatch.setattr("fractalrs.expansion.cells.canonical", never)
    with pytest.raises(InputError, match="timestamps need user cells of size 1"):
        Expansion(base, np.full((2, 2), 0.5), timestamps=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": "x"}, "seed is x; it must be a whole number"),
        ({"keep_scale": None}, "keep_scale is None; it must be above 0"),
        ({"max_keep": "much"}, "max_keep is .?much.?; it must be from 0 to 1"),
        ({"min_keep": 10**400}, "min_keep is 10+; it must be from 0 to 1"),
        ({"carry": 3}, "carry is 3; it must be names of columns"),
        ({"operator": None}, "operator is None"),
    ],
)
def test_what_is_no_value_is_refused_before_reading(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Recipe(user_multiplier=3, item_multiplier=5, **given)
    with pytest.raises(InputError, match=message):
        Expansion(small_base(), RATES, **given)


# --- one declaration -------------------------------------------------------------------------------------------------


def test_signatures_list_every_option_with_its_type_and_default() -> None:
    expand, make = (inspect.signature(thing).parameters for thing in (fr.expand, Expansion))
    assert set(expand) == {"source", "output", "threads", "overwrite", "progress", "truth", *RECIPE}
    assert set(make) == {"base", "reduced", "profile", "cells", *(field.name for field in fields(Options))}
    for parameters in (expand, make):
        assert parameters["min_keep"].default == Options.min_keep
        assert parameters["min_keep"].annotation is float
        assert parameters["shuffle"].default is None
        assert parameters["shuffle"].annotation == Literal["none", "aligned", "cells", "mixed", "block"] | None
        assert parameters["timestamps"].annotation is bool
    for documentation, names in ((fr.expand.__doc__, expand), (Expansion.__doc__, make), (Options.__doc__, [])):
        assert documentation
        assert "{options}" not in documentation
        for name in names:
            assert re.search(rf"^    {name}( : .*, by default .*)?\n        \w", documentation, re.MULTILINE), name


@pytest.mark.parametrize(
    ("name", "near"),
    [("seeds", "seed"), ("minkeep", "min_keep"), ("colditems", "cold_items"), ("time_stamps", "timestamps")],
)
def test_what_is_no_option_is_refused_with_the_nearest(name: str, near: str, tmp_path: Path) -> None:
    refusal, given = f"there is no option '{name}'\nhint: the nearest one is '{near}'", {name: 1}
    with pytest.raises(InputError, match=refusal):
        Options.resolve("paper", **given)
    with pytest.raises(InputError, match=refusal):
        Recipe(user_multiplier=2, item_multiplier=2, **given)
    made: Any = fr.expand
    with pytest.raises(InputError, match=refusal):
        made("sample", tmp_path / "out", user_multiplier=2, item_multiplier=2, **given)
    made = Expansion
    with pytest.raises(InputError, match=refusal):
        made(small_base(), RATES, **given)


def test_a_shuffle_made_of_cells_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    def group(base: fr.Base) -> fr.Cells:
        return fr.group_cells(base, 2, 3)

    monkeypatch.setitem(SHUFFLES, "pairs", Shuffle("pairs", "two change places", group, "tests.", "others."))
    made = Expansion(small_base(), RATES, shuffle="pairs", seed=3)
    same = Expansion(small_base(), RATES, shuffle="cells", cells=group(small_base()), seed=3)
    assert made.table(0, 600).equals(same.table(0, 600))
    assert made.expected == same.expected
    with pytest.raises(InputError, match="timestamps need user cells of size 1"):
        Options(shuffle="pairs", timestamps=True).check_sources(1, 1)
    with pytest.raises(InputError, match=r"attributes of items need one source .* out of all items"):
        Options(shuffle="pairs").check_sources(1, 1, [ITEMS])
