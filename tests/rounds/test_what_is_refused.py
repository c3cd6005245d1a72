"""What no loop can be made of is refused in the user's words, and nothing half-written stays."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fractalrs as fr
from fractalrs.models import EASE, Recommender

WORLD = fr.simulate(60, 40, 600, seed=3)


def showing(slates: Any) -> Any:
    return lambda _: slates


@pytest.mark.parametrize(
    ("slates", "message"),
    [
        (lambda users: np.full((len(users), 5), 40), "shows user 0 item 40; there are 0 to 39"),
        (lambda users: np.tile([0, 1, -1, 2, 3], (len(users), 1)), "shows user 0 item -1"),
        (lambda users: np.zeros((len(users), 4), int), "returned the shape"),
        (lambda _: np.arange(5), "returned the shape"),
        (lambda _: [[1, 2], [3]], "returned the shape"),
        (lambda users: np.full((len(users), 5), np.nan), "returned NaN in the slate of user 0"),
        (lambda users: np.ones((len(users), 5)), "returned float64"),
        (lambda users: np.tile([0, 1, 2, 3, 1], (len(users), 1)), "shows user 0 an item twice"),
        (lambda users: np.array([["a"] * 5] * len(users)), "returned <U1"),
    ],
)
def test_slates_that_are_none(slates: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(fr.InputError, match=message):
        fr.feedback(WORLD, showing(slates), 2, 5, path=tmp_path / "loop")
    # The plan is there, and what begins with it again.
    assert not list((tmp_path / "loop").rglob("*.parquet"))
    assert not list((tmp_path / "loop").glob(".fractalrs*"))


class Odd(Recommender):
    def __init__(self, scores: Any) -> None:
        self.scores = scores

    def fit(self, _: Any) -> Any:
        return self.scores


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (lambda users: np.full((len(users), 40), np.nan), "not finite"),
        (lambda users: np.ones((len(users), 39)), "of shape"),
        (lambda users: np.full((len(users), 40), "a"), "of shape"),
    ],
)
def test_scores_that_are_none(scores: Any, message: str) -> None:
    with pytest.raises(fr.InputError, match=message):
        fr.feedback(WORLD, Odd(scores), 2, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slate": 41}, "larger than the catalogue of 40"),
        ({"slate": 0}, "slate must be"),
        ({"slate": 5, "rounds": 9, "once": True}, "in 9 rounds of 5 items"),
        ({"rounds": 0}, "rounds must be"),
        ({"rounds": 1.5}, "rounds must be"),
        ({"seed": -1}, "seed must be"),
        ({"epsilon": 1.5}, "epsilon is 1.5"),
        ({"epsilon": float("nan")}, "epsilon is nan"),
        ({"late": 1.0}, "late is 1.0"),
        ({"missing": True}, "missing is True"),
        ({"leave": "often"}, "leave is 'often'"),
        ({"once": 1}, "once is 1"),
        ({"parts": 61}, "parts is 61"),
        ({"parts": 0}, "parts must be"),
        ({"policy": "best"}, "policy is 'best'"),
        ({"policy": None}, "policy is None"),
        ({"policy": EASE(most=10)}, "does not take"),
        ({"policy": "random", "epsilon": 0.1}, "explores by itself"),
        ({"policy": lambda _: 7}, "returned int for the past"),
        ({"world": None}, "world is None"),
    ],
)
def test_arguments_out_of_range(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    how = {"world": WORLD, "policy": "SVD", "rounds": 2, "slate": 5, **options}
    with pytest.raises(fr.InputError, match=message):
        fr.feedback(**how, path=tmp_path / "loop")
    assert not list(tmp_path.rglob("*.parquet"))


def test_positions_that_the_world_does_not_know() -> None:
    world = fr.simulate(60, 40, 200, slate=3, position_bias=1.0)
    with pytest.raises(fr.InputError, match="3 positions"):
        fr.feedback(world, "SVD", 2, 5)
    fr.feedback(world, "SVD", 2, 2)


def test_another_loop_in_the_same_folder(tmp_path: Path) -> None:
    def first(_: Any) -> Any:
        return lambda users: np.tile(np.arange(5), (len(users), 1))

    def begun_with(*given: Any, **options: Any) -> None:
        world, policy = given
        fr.feedback(world, policy, 2, 5, path=tmp_path / "loop", **options)

    begun_with(WORLD, "SVD", epsilon=0.1)
    before = {file: file.read_bytes() for file in (tmp_path / "loop").rglob("*") if file.is_file()}
    for given, options, message in [
        ((WORLD, "EASE"), {"epsilon": 0.1}, "has policy SVD, not EASE"),
        ((WORLD, "SVD"), {"epsilon": 0.2}, "has epsilon 0.1, not 0.2"),
        ((WORLD, "SVD"), {"epsilon": 0.1, "seed": 1}, "has seed 0, not 1"),
        ((fr.simulate(60, 40, 600), "SVD"), {"epsilon": 0.1}, "is of another world"),
    ]:
        with pytest.raises(fr.InputError, match=message):
            begun_with(*given, **options)
    assert before == {file: file.read_bytes() for file in (tmp_path / "loop").rglob("*") if file.is_file()}
    fr.feedback(WORLD, first, 2, 5, path=tmp_path / "own")

    def first(_: Any) -> Any:  # type: ignore[no-redef]
        return lambda users: np.tile(np.arange(1, 6), (len(users), 1))

    # A function of the same name that shows something else.
    with pytest.raises(fr.InputError, match="is not what this policy shows"):
        fr.feedback(WORLD, first, 3, 5, path=tmp_path / "own")


def test_damaged_and_strange_folders(tmp_path: Path) -> None:
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange/notes.txt").write_text("mine")
    with pytest.raises(fr.OutputError, match=r"notes\.txt, and is no feedback loop"):
        fr.feedback(WORLD, "SVD", 2, 5, path=tmp_path / "strange")
    fr.feedback(WORLD, "SVD", 2, 5, path=tmp_path / "loop")
    part = next((tmp_path / "loop/round=0001").iterdir())
    content = bytearray(part.read_bytes())
    content[20] ^= 1
    part.write_bytes(content)
    with pytest.raises(fr.InputError, match="is damaged"):
        fr.feedback(WORLD, "SVD", 2, 5, path=tmp_path / "loop")
    part.unlink()
    fr.feedback(WORLD, "SVD", 2, 5, path=tmp_path / "loop")
    (tmp_path / "loop/metrics/round-0001.json").write_text("{}")
    with pytest.raises(fr.InputError, match="is damaged"):
        fr.Feedback.open(tmp_path / "loop")
    with pytest.raises(fr.InputError, match="is no feedback loop"):
        fr.Feedback.open(tmp_path / "nowhere")


def test_a_world_whose_policy_is_a_function_is_not_written(tmp_path: Path) -> None:
    world = fr.simulate(60, 40, 600, policy=fr.EpsilonGreedy(lambda users: np.zeros((len(users), 40))))
    with pytest.raises(fr.InputError, match="is a function"):
        fr.feedback(world, "SVD", 2, 5, path=tmp_path / "loop")
    assert not list(tmp_path.iterdir())
    assert fr.feedback(world, "SVD", 2, 5).last["users"] == 1


def test_a_plan_of_which_nothing_was_made_gives_way(tmp_path: Path) -> None:
    with pytest.raises(fr.InputError, match="returned the shape"):
        fr.feedback(WORLD, showing(lambda _: np.arange(5)), 2, 5, path=tmp_path / "loop")
    made = fr.feedback(WORLD, "EASE", 2, 5, path=tmp_path / "loop")
    assert made == fr.Feedback.open(tmp_path / "loop")
    assert "EASE" in (tmp_path / "loop/README.md").read_text(encoding="utf-8")


def test_a_damaged_plan_says_what_helps(tmp_path: Path) -> None:
    fr.feedback(WORLD, "SVD", 2, 5, path=tmp_path / "loop")
    (tmp_path / "loop/plan.json").write_text("{}")
    for begin in (fr.Feedback.open, lambda path: fr.feedback(WORLD, "SVD", 2, 5, path=path)):
        with pytest.raises(fr.InputError, match="is damaged") as refused:
            begin(tmp_path / "loop")
        assert refused.value.hint == "choose another folder"


def test_faults_of_a_policy_are_its_own(tmp_path: Path) -> None:
    def missing(_: Any) -> Any:
        raise FileNotFoundError(2, "No such file", "weights.bin")

    def wrong(_: Any) -> Any:
        raise ValueError("mine")

    with pytest.raises(FileNotFoundError, match=r"weights\.bin"):
        fr.feedback(WORLD, missing, 2, 5, path=tmp_path / "loop")
    with pytest.raises(ValueError, match=r"^mine$"):
        fr.feedback(WORLD, showing(wrong), 2, 5)


@pytest.mark.parametrize(
    ("policy", "message", "hint"),
    [
        (EASE, "EASE is a class", r"give EASE\(\), not EASE"),
        (np.array([1, 2]), r"policy is array", "give one of random"),
        (Odd(None), "Odd.fit returned NoneType", "return a function of ids of users that returns scores"),
        (
            Odd(lambda users: np.where(np.arange(40) == 7, -np.inf, np.ones((len(users), 40)))),
            "scored item 7 for user 0 by -inf, which is not finite",
            "a low finite number, or once=True",
        ),
    ],
)
def test_what_is_no_policy(policy: Any, message: str, hint: str) -> None:
    with pytest.raises(fr.InputError, match=message) as refused:
        fr.feedback(WORLD, policy, 2, 5)
    assert re.search(hint, str(refused.value.hint))
