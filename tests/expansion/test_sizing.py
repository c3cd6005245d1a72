"""Targets: the shape and the keep scale that are chosen, what is refused, and what is written."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import fractalrs as fr
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion, Options, reduce_to_target, solve_keep_scale, whole_number
from fractalrs.expansion.reduction import check_multipliers
from fractalrs.expansion.sizing import NEAR_ONE, REDUCTIONS, TOLERANCE, choose_shape
from helpers.commands import Done, run
from helpers.folders import digests, small_base, small_cells

NEAREST = re.compile(r"the nearest that can be met is ([\d,]+)")


def nearest(error: InputError) -> int:
    """Read the nearest target that a refusal names."""
    found = NEAREST.search(str(error))
    assert found, error
    return int(found[1].replace(",", ""))


def refused(done: Done, message: str) -> None:
    assert (done.code, done.out) == (2, ""), done
    assert re.search(message, " ".join(done.err.split())), done.err
    assert "Traceback" not in done.err


# --- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["1000000000", "1_000_000_000", "1e9", "1E9", "1.0e9", 10**9, 1e9, np.int64(10**9)])
def test_numbers_as_people_write_them(value: Any) -> None:
    assert whole_number("target", value) == 10**9


@pytest.mark.parametrize("value", ["0", "-1e6", "1.5", "1e-3", 0.5, "nan", "inf", "many", "", "1e999999999", "1,000"])
def test_what_is_no_count_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match=r"target_users is .*; it must be a whole number of at least 1"):
        whole_number("target_users", value)


# --- the shape -------------------------------------------------------------------------------------------------------

SHAPES = st.tuples(st.integers(2, 5_000), st.integers(2, 5_000))
COUNTS = st.integers(1, 10_000_000)
TARGETS = st.floats(0, 14).map(lambda power: round(10**power))


@given(SHAPES, COUNTS, TARGETS, st.floats(0.1, 1), st.floats(0.2, 5))
def test_a_shape_fits_the_base_and_can_hold_the_target(
    shape: tuple[int, int], count: int, wanted: int, block_keep: float, density: float
) -> None:
    options: dict[str, Any] = {"block_keep": block_keep, "density": density}
    try:
        m, n = choose_shape(shape, count, wanted, **options)
    except InputError as error:
        most = nearest(error)
        assert most < wanted
        assume(most > 0)
        wanted = most
        m, n = choose_shape(shape, count, wanted, **options)
    check_multipliers((m, n), shape)

    def holds(blocks: int, spare: float) -> bool:
        """Tell whether so many blocks would do: at a keep scale of 1, and at the largest."""
        yields = min(density * blocks**0.75, 0.95 * blocks) if blocks else 0
        return block_keep * count * yields * spare >= wanted

    if max(m, n) < min(shape) - 1:
        assert abs(m - n) <= 2
        assert holds(m * n, 1 + 1e-9)
        assert not holds((m - 1) * (n - 1), 1 - 1e-9)
    else:
        assert 0.95 * block_keep * count * m * n * (1 + TOLERANCE) >= wanted


@given(SHAPES, COUNTS, TARGETS, TARGETS)
def test_more_interactions_never_take_fewer_blocks(shape: tuple[int, int], count: int, one: int, other: int) -> None:
    try:
        fewer, more = (math.prod(choose_shape(shape, count, wanted)) for wanted in sorted((one, other)))
    except InputError:
        return
    assert fewer <= more


@given(SHAPES, COUNTS, st.integers(1, 5_000), st.booleans())
def test_one_multiplier_may_be_fixed(shape: tuple[int, int], count: int, fixed: int, users: bool) -> None:
    assume(fixed <= shape[0 if users else 1])
    name = "user_multiplier" if users else "item_multiplier"
    chosen: dict[str, Any] = {name: fixed}
    with pytest.raises(InputError) as refusal:
        choose_shape(shape, count, 1e18, **chosen)
    most = nearest(refusal.value)
    assume(most > 0)
    for wanted in (1, most):
        m, n = choose_shape(shape, count, wanted, **chosen)
        assert fixed == (m if users else n)
        check_multipliers((m, n), shape)


@given(SHAPES, st.integers(1, 10**8), st.integers(1, 10**8))
def test_users_and_items_are_met_to_the_nearest_multiple(shape: tuple[int, int], users: int, items: int) -> None:
    p, q = shape
    for name, asked, count in (("users", users, p), ("items", items, q)):
        if not count <= asked <= count**2:
            with pytest.raises(InputError, match=f"target_{name} is") as refusal:
                choose_shape(shape, 10**6, 1, **{name: asked})
            assert nearest(refusal.value) == min(max(asked, count), count**2)
    users, items = min(max(users, p), p * (p - 1)), min(max(items, q), q * (q - 1))
    assume(min(users / p, items / q) < min(p, q) - 1)
    m, n = choose_shape(shape, 10**6, 1, users=users, items=items)
    assert abs(m * p - users) <= p / 2
    assert abs(n * q - items) <= q / 2


def test_shapes_of_known_cases() -> None:
    assert choose_shape((138_493, 26_744), 20_000_000, 1e9) == (14, 14)
    assert choose_shape((138_493, 26_744), 20_000_000, 1e9, users=2e6, items=1e6) == (14, 37)
    assert choose_shape((138_493, 26_744), 20_000_000, 1e9, user_multiplier=4)[0] == 4
    assert choose_shape((943, 1_682), 100_000, 100_000) == (1, 2)


def test_what_no_shape_holds_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="max_keep is 0"):
        choose_shape((10, 10), 50, 100, max_keep=0.0)
    with pytest.raises(InputError, match=r"× \(9, 12\) gives 5,130 at the most\nhint: .* met is 5,130; more need more"):
        choose_shape((10, 12), 50, 10**9)
    with pytest.raises(InputError, match="user multiplier 11 does not fit a base of 10 users"):
        choose_shape((10, 12), 50, 100, user_multiplier=11)
    with pytest.raises(InputError, match="too large together"):
        choose_shape((10, 12), 50, 100, users=100, items=144)


# --- the keep scale --------------------------------------------------------------------------------------------------


@st.composite
def expansions(draw: st.DrawFn) -> Callable[[float], Expansion]:
    """Give an expansion of `small_base`, all but its keep scale."""
    m, n = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    reduced = np.random.default_rng(draw(st.integers(0, 1000))).random((m, n)) ** draw(st.sampled_from([0.2, 1, 4]))
    reduced[reduced < draw(st.sampled_from([1e-4, 0.3]))] = 0
    options: dict[str, Any] = {
        "min_keep": draw(st.sampled_from([0.0, 0.01, 0.2])),
        "max_keep": draw(st.sampled_from([0.3, 0.95, 1.0])),
        "block_keep": draw(st.sampled_from([0.4, 1.0])),
    }
    assume(np.clip(reduced, options["min_keep"], options["max_keep"]).any())
    return lambda scale: Expansion(small_base(), reduced, shuffle="aligned", keep_scale=scale, **options)


def solved(expansion: Expansion, interactions: float) -> float:
    """Solve for an expansion that is there, of any keep scale."""
    cells = expansion.cells if expansion.shuffle == "cells" else None
    return solve_keep_scale(expansion.base, expansion.reduced, interactions, expansion.options, cells)


def total(expansion: Expansion) -> float:
    """Sum what is expected without the help of what is tested."""
    return float(expansion.options.block_keep * expansion.base.count * expansion.keep_rates.sum())


@settings(deadline=None)
@given(expansions(), TARGETS)
def test_the_target_is_reached_or_the_nearest_is_named(make: Callable[[float], Expansion], wanted: int) -> None:
    try:
        scale = solved(make(1.0), wanted)
    except InputError as error:
        end = nearest(error)
        assert abs(end - wanted) > TOLERANCE * wanted
        # Nothing nearer can be met: there the keep scale has come to its end.
        assert total(make(solved(make(1.0), end))) == pytest.approx(end, abs=1, rel=1e-9)
        with pytest.raises(InputError):
            solved(make(1.0), round(end + (wanted - end) * 0.1 + math.copysign(1, wanted - end)))
        return
    assert total(make(scale)) == pytest.approx(wanted, rel=TOLERANCE)
    assert scale == solved(make(3.0), float(wanted))


@settings(deadline=None, max_examples=50)
@given(expansions(), st.floats(0.05, 0.9), st.floats(0.05, 0.9))
def test_more_interactions_take_a_larger_keep_scale(
    make: Callable[[float], Expansion], one: float, other: float
) -> None:
    most = total(make(1e9))
    fewer, more = sorted((max(1, round(one * most)), max(1, round(other * most))))
    scales = []
    for wanted in (fewer, more):
        try:
            scales.append(solved(make(1.0), wanted))
        except InputError:
            return
    assert scales[0] <= scales[1]
    # Away from the ends, six digits are far nearer than the tolerance.
    assert total(make(scales[1])) == pytest.approx(more, rel=2e-5)


def test_a_keep_scale_can_be_written_down() -> None:
    scale = solved(Expansion(small_base(), np.full((2, 3), 0.7), shuffle="none", max_keep=0.95), 12_345)
    assert f"{scale:.6g}" == str(scale)
    assert scale == pytest.approx(12_345 / (6 * 0.7 * small_base().count), rel=1e-5)


@pytest.mark.parametrize("drop", [False, True], ids=["keep", "drop"])
@pytest.mark.parametrize("test_items", ["all", "one"])
@pytest.mark.parametrize("block_keep", [1.0, 0.6])
def test_the_target_counts_what_is_written(block_keep: float, test_items: Any, drop: bool) -> None:
    options: dict[str, Any] = {"block_keep": block_keep, "test_items": test_items, "drop_incomplete": drop}
    options |= {"cells": small_cells(), "seed": 3, "max_keep": 0.95}
    reduced = np.linspace(0.05, 1, 12).reshape(3, 4)
    scale = solved(Expansion(small_base(), reduced, **options), 12_000)
    expansion = Expansion(small_base(), reduced, keep_scale=scale, **options)
    assert expansion.expected_interactions == pytest.approx(12_000, rel=1e-4)
    counts = expansion.expected
    written = sum(len(expansion.table(0, expansion.shape[0], split)) for split in ("train", "test"))
    # Train and test of one block come and go together.
    assert abs(written - 12_000) < 5 * (counts.train.std + counts.test.std)


def test_a_target_at_an_end_of_what_can_be_met() -> None:
    base = small_base()
    expansion = Expansion(base, np.full((1, 2), 0.5), max_keep=0.95, shuffle="none")
    most = 2 * 0.95 * base.count
    assert most == int(most)
    for within in (most, math.floor(1.0009 * most)):
        assert solved(expansion, within) == pytest.approx(1.9)
    with pytest.raises(InputError, match=f"gives {int(most):,} at the most"):
        solved(expansion, 1.002 * most // 1)
    uneven = Expansion(base, np.array([[1e-6, 1.0]]), min_keep=0.0, shuffle="none")
    with pytest.raises(InputError, match=r"at the least\nhint: .* fewer need fewer users"):
        solved(uneven, 100)
    with pytest.raises(InputError, match="gives 0 at the most"):
        solved(Expansion(base, np.zeros((1, 2)), min_keep=0.0, shuffle="none"), 100)


def test_dropping_incomplete_users_needs_test_interactions_for_a_target_too() -> None:
    base = fr.leave_last_out(fr.sample_interactions(50, 40, 500), split="none")
    options = Options(shuffle="aligned", drop_incomplete=True)
    with pytest.raises(InputError, match="drop_incomplete would leave nothing: no interaction is held out"):
        solve_keep_scale(base, fr.reduce(base, (2, 3)), 1_000, options)


@pytest.mark.parametrize("wanted", [8_000, 20_000, 500_000])
@pytest.mark.parametrize("thinner", [1, 10], ids=["as usual", "much thinner"])
def test_a_bad_guess_of_the_shape_is_made_again(wanted: int, thinner: int) -> None:
    shapes = []

    def counted(base: Any, shape: tuple[int, int]) -> fr.ReducedMatrix:
        shapes.append(shape)
        return fr.ReducedMatrix.from_array(fr.reduce(base, shape).values / thinner)

    reduced = reduce_to_target(small_base(), wanted, Options(), counted)
    assert shapes[-1] == reduced.shape
    assert 1 <= len(shapes) <= REDUCTIONS
    scale = solved(Expansion(small_base(), reduced, shuffle="none", max_keep=Options.max_keep), wanted)
    # The mean that the guess goes by is not capped by max_keep.
    assert 1 / NEAR_ONE / 1.1 < scale < NEAR_ONE * 1.1
    if thinner > 1:
        assert len(shapes) > 1
        assert math.prod(shapes[-1]) > math.prod(shapes[0])


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "ratings.csv"
    assert run("sample", path, "--users", 200, "--items", 150, "--interactions", 4_000, "--seed", 1).code == 0
    return path


@pytest.mark.parametrize("name", ["movietweetings", "ml_latest_small"])
@pytest.mark.parametrize("options", [[], ["--target-users", "1e5", "--target-items", "1e5"]], ids=["alike", "given"])
def test_real_data_meet_the_target(
    name: str, options: list[str], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    path: Path = request.getfixturevalue(name)
    done = run("expand", path, tmp_path / "out", "--target-interactions", "3e6", *options, "--json")
    assert done.code == 0, done.err
    summary = json.loads(done.out)
    expected, written = (sum(summary[split][what] for split in ("train", "test")) for what in ("expected", "written"))
    assert expected == pytest.approx(3e6, rel=1e-5)
    assert abs(written - 3e6) < 5 * math.hypot(summary["train"]["std"], summary["test"]["std"])
    assert fr.open_dataset(tmp_path / "out").totals["interactions"] == written

    plan = json.loads((tmp_path / "out/private/plan.json").read_text())
    dataset = fr.open_dataset(tmp_path / "out")
    m, n = plan["user_multiplier"], plan["item_multiplier"]
    assert dataset.multipliers == (m, n)
    scale = plan["options"]["keep_scale"]
    said = re.search(r"^target of 3,000,000 interactions: (.*); ([\d,]+) expected$", done.err, re.MULTILINE)
    assert said
    assert said[1] == f"× ({m}, {n}), keep_scale {scale}"
    assert abs(int(said[2].replace(",", "")) - expected) <= 1
    if options:
        assert abs(summary["users"]["ids"] - 1e5) <= dataset.block_shape[0] / 2
        assert abs(summary["items"]["ids"] - 1e5) <= dataset.block_shape[1] / 2
    else:
        assert abs(m - n) <= 2
        assert 1 / NEAR_ONE / 1.1 < scale < NEAR_ONE * 1.1


def test_what_was_chosen_gives_the_same_interactions_when_it_is_given(source: Path, tmp_path: Path) -> None:
    made = fr.expand(source, tmp_path / "a", target_interactions=3e4, seed=5)
    plan = json.loads((tmp_path / "a/private/plan.json").read_text())
    again = fr.expand(
        source,
        tmp_path / "b",
        user_multiplier=plan["user_multiplier"],
        item_multiplier=plan["item_multiplier"],
        keep_scale=plan["options"]["keep_scale"],
        seed=5,
    )
    assert made.manifest.fingerprints == again.manifest.fingerprints
    assert made.train.to_table().equals(again.train.to_table())


def test_a_target_makes_one_expansion(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counted(*arguments: Any, **options: Any) -> Any:
        made.append(options["keep_scale"])
        return Expansion(*arguments, **options)

    monkeypatch.setattr("fractalrs.workflow.run.Expansion", counted)
    command = ["expand", source, tmp_path / "out", "--target-interactions", "3e4", "--profile", "traceable"]
    done = run(*command, "--timestamps", "--dry-run", "--json")
    assert done.code == 0, done.err
    assert made == [json.loads(done.out)["keep_scale"]]


def test_dry_run_prints_what_is_chosen_and_writes_nothing(source: Path, tmp_path: Path) -> None:
    command = ["expand", source, tmp_path / "out", "--target-interactions", "50_000", "--seed", 2]
    dry = run(*command, "--dry-run", "--json")
    assert dry.code == 0, dry.err
    assert not (tmp_path / "out").exists()
    forecast = json.loads(dry.out)
    assert forecast["train"]["expected"] + forecast["test"]["expected"] == pytest.approx(50_000, abs=2)
    shown = run(*command, "--dry-run").out
    assert re.search(rf"^keep scale +{forecast['keep_scale']}$", shown, re.MULTILINE)
    assert re.search(r"^multipliers +user \d+, item \d+$", shown, re.MULTILINE)
    assert run(*command).code == 0
    plan = json.loads((tmp_path / "out/private/plan.json").read_text())
    assert forecast["keep_scale"] == plan["options"]["keep_scale"]
    assert forecast["multipliers"] == {"user": plan["user_multiplier"], "item": plan["item_multiplier"]}


def test_the_same_target_resumes_and_another_is_refused(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    command = ["expand", source, path, "--parts", 3, "--target-interactions"]
    assert run(*command, "3e4").code == 0
    whole = digests(path)
    for name in ("manifest.json", "train/part-00001-of-00003.parquet"):
        (path / name).unlink()

    def elsewhere(*_: Any, **__: Any) -> None:
        raise AssertionError("another machine would round this otherwise")

    with monkeypatch.context() as patched:
        patched.setattr("fractalrs.workflow.run.reduce", elsewhere)
        patched.setattr("fractalrs.workflow.run.group_cells", elsewhere)
        patched.setattr("fractalrs.workflow.run.fit", elsewhere)
        patched.setattr("fractalrs.workflow.run.solve_keep_scale", elsewhere)
        done = run(*command, "30_000")
        assert done.code == 0, done.err
        assert "5 of 6 files are finished already" in done.err
        assert digests(path) == whole
        refused(run(*command, "4e4"), "--target-interactions is 30000 there and 40000 here")
        refused(run(*command, "3e4", "--target-users", 600), "--target-users is None there and 600 here")
        refused(run(*command, "3e4", "--min-keep", 0.02), "--min-keep is 0.01 there and 0.02 here")
        size = ["--user-multiplier", 3, "--item-multiplier", 5]
        refused(run(*command[:-1], *size), "--user-multiplier is None there and 3 here")
        assert digests(path) == whole
    done = run(*command, "4e4", "--overwrite")
    assert done.code == 0, done.err
    assert fr.open_dataset(path).totals["interactions"] == pytest.approx(40_000, rel=0.03)


def test_a_target_data_set_is_validated_against_its_source(source: Path, tmp_path: Path) -> None:
    assert run("expand", source, tmp_path / "out", "--target-interactions", "5e4").code == 0
    done = run("validate", tmp_path / "out", "--source", source, "--only", "integrity")
    assert done.code == 0, (done.out, done.err)


def test_multipliers_or_a_matrix_together_with_a_target(source: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "matrix.npy", np.linspace(0, 1, 15).reshape(3, 5))
    for options, shape in (
        (["--user-multiplier", 2], (2, None)),
        (["--item-multiplier", 9], (None, 9)),
        (["--user-multiplier", 4, "--item-multiplier", 3], (4, 3)),
        (["--user-multiplier", 4, "--target-items", 700], (4, 5)),
        (["--reduced-matrix", tmp_path / "matrix.npy"], (3, 5)),
        (["--reduced-matrix", tmp_path / "matrix.npy", "--item-multiplier", 5], (3, 5)),
    ):
        command = ["expand", source, tmp_path / "out", "--target-interactions", "2e4", "--dry-run", "--json"]
        done = run(*command, *options)
        assert done.code == 0, done.err
        forecast = json.loads(done.out)
        chosen = (forecast["multipliers"]["user"], forecast["multipliers"]["item"])
        assert all(wanted in (None, got) for wanted, got in zip(shape, chosen, strict=True))
        assert forecast["train"]["expected"] + forecast["test"]["expected"] == pytest.approx(2e4, abs=2)
    refused(
        run(*command, "--reduced-matrix", tmp_path / "matrix.npy", "--user-multiplier", 4),
        r"has shape 3 × 5, but the user and item multipliers are 4 and 5",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--user-multiplier is missing hint: give both multipliers, --target-interactions, --target-size or"),
        (
            ["--user-multiplier", 2],
            "--item-multiplier is missing hint: give both multipliers, --target-interactions, --target",
        ),
        (["--target-users", "1e3"], "--target-users is given without --target-interactions"),
        (["--target-interactions", "1.5"], "--target-interactions is 1.5; it must be a whole number of at least 1"),
        (["--target-interactions", "0"], "--target-interactions is 0; it must be"),
        (["--target-interactions", "-5"], "--target-interactions is -5; it must be"),
        (["--target-interactions", "1e5", "--target-items", "2.5"], "--target-items is 2.5; it must be"),
        (
            ["--target-interactions", "1e5", "--keep-scale", 2],
            "--keep-scale is given, but it is what --target-interactions",
        ),
        (
            ["--target-interactions", "1e5", "--target-users", "1e3", "--user-multiplier", 2],
            "--target-users and --user-multiplier are both given",
        ),
        (
            ["--target-interactions", "1e5", "--target-items", "1e3", "--reduced-matrix", __file__],
            "--target-items is given, but the shape of --reduced-matrix tells",
        ),
    ],
)
def test_what_contradicts_itself_is_refused_before_the_source_is_read(
    tmp_path: Path, options: list[Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the source is read")

    monkeypatch.setattr("fractalrs.workflow.sources.read_interactions", never)
    refused(run("expand", "ratings.csv", tmp_path / "out", *options), message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "nearest_one"),
    [
        (["--target-interactions", "1e12"], None),
        (["--target-interactions", "1e6", "--target-users", "400", "--target-items", "300"], None),
        (["--target-interactions", "1e5", "--target-users", "100"], 200),
        (["--target-interactions", "1e5", "--target-items", "1e5"], 150 * 150),
        (["--target-interactions", "1e5", "--user-multiplier", 1, "--item-multiplier", 1, "--drop-incomplete"], None),
    ],
)
def test_targets_out_of_reach_are_refused_before_the_first_byte(
    source: Path, tmp_path: Path, options: list[Any], nearest_one: int | None
) -> None:
    done = run("expand", source, tmp_path / "out", *options)
    refused(done, NEAREST.pattern)
    assert list(tmp_path.iterdir()) == []
    named = int(NEAREST.findall(done.err)[0].replace(",", ""))
    assert nearest_one in (None, named)
