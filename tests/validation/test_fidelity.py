"""Fidelity: what a report says of small data is what plain NumPy and SciPy say of the same interactions."""

from collections.abc import Callable
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

import fractalrs as fr
from fractalrs.passes import StreamedMatrix
from fractalrs.validation import Metric
from fractalrs.validation.measure.neighbours import Neighbours, copies, neighbours, null_neighbours, sample
from fractalrs.validation.measure.repetition import null_mutual, repetition
from helpers import names
from helpers.folders import RATES, read, small_base, small_cells
from helpers.oracle import COLUMN, ITEM, exchange, inverse, permutation, root, under

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

M, N = RATES.shape
P, Q = 200, 150
SHUFFLES = ("cells", "aligned")


class Case:
    """A data set on disk, its report, and its train part as a dense matrix of zeros and ones."""

    def __init__(self, shuffle: str, path: Path) -> None:
        self.shuffle = shuffle
        cells = small_cells() if shuffle == "cells" else None
        self.expansion = fr.Expansion(small_base(), RATES, shuffle=shuffle, cells=cells, seed=7)
        self.dataset = fr.write(self.expansion, path, parts=3)
        self.report = fr.validate(self.dataset, small_base(), singular_values=40)
        train = read(path, "train")
        self.matrix = np.zeros((M * P, N * Q))
        self.matrix[np.asarray(train["user_id"]), np.asarray(train["item_id"])] = 1
        self.real = small_base().train.toarray().astype(np.float64)
        self.rows = StreamedMatrix(self.dataset)

    @cached_property
    def written(self) -> tuple[Floats, Floats, Floats]:
        """Singular triples of the matrix."""
        u, s, vt = np.linalg.svd(self.matrix, full_matrices=False)
        return u, s, vt

    def metric(self, name: str) -> Metric:
        (found,) = (metric for metric in self.report.metrics if metric.name == name)
        return found


@pytest.fixture(scope="module", params=SHUFFLES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(request.param, tmp_path_factory.mktemp(request.param) / "out")


def exactly(value: float) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-9)


# --- Degrees ---------------------------------------------------------------------------------------------------------


def gini(degrees: Floats) -> float:
    return float(np.abs(degrees[:, None] - degrees).mean() / (2 * degrees.mean()))


def top(degrees: Floats, share: float) -> float:
    """The share of the most active, one of them in part."""
    ranked, count = np.sort(degrees)[::-1], share * len(degrees)
    whole = int(count)
    return float((ranked[:whole].sum() + (count - whole) * ranked[whole]) / degrees.sum())


def active(matrix: Floats, axis: int) -> Floats:
    """The degrees that are not zero."""
    degrees = matrix.sum(axis=axis)
    return np.asarray(degrees[degrees > 0])


@pytest.mark.parametrize(("who", "axis"), [("users", 1), ("items", 0)])
def test_degrees(case: Case, who: str, axis: int) -> None:
    real, keep, written = (active(x, axis) for x in (case.real, case.expansion.keep_rates, case.matrix))
    of_all = case.metric(f"gini of {who}")
    assert of_all.real == exactly(gini(case.real.sum(axis=axis)))
    assert of_all.synthetic == exactly(gini(case.matrix.sum(axis=axis)))
    functions: dict[str, Callable[[Floats], float]] = {
        "gini of active {}": gini,
        "share of the top 1 % of {}": lambda degrees: top(degrees, 0.01),
        "share of the top 10 % of {}": lambda degrees: top(degrees, 0.1),
    }
    for name, function in functions.items():
        found = case.metric(name.format(who))
        assert found.real == exactly(function(real)), name
        assert found.reduced == exactly(function(keep)), name
        assert found.synthetic == exactly(function(written)), name
        assert found.distance == exactly(abs(function(written) - function(real))), name
    distances: dict[str, Callable[[Floats, Floats], float]] = {
        "KS distance of {}": lambda a, b: float(stats.ks_2samp(a, b).statistic),
    }
    every = case.real.sum(axis=axis), case.matrix.sum(axis=axis)
    moved = stats.wasserstein_distance(every[0] / every[0].mean(), every[1] / every[1].mean())
    assert case.metric(f"Wasserstein distance of {who}").distance == exactly(float(moved))
    for name, distance in distances.items():
        found = case.metric(name.format(who))
        for value, degrees in ((found.reduced, keep), (found.synthetic, written), (found.distance, written)):
            assert value == exactly(distance(real / real.mean(), degrees / degrees.mean())), name
    coverage = case.metric(f"coverage of {who}")
    assert (coverage.real, coverage.synthetic) == (
        exactly(np.mean(case.real.sum(axis=axis) > 0)),
        exactly(np.mean(case.matrix.sum(axis=axis) > 0)),
    )


def test_the_ends_of_ranked_degrees(case: Case) -> None:
    for figure, axis in (("user_degrees", 1), ("item_degrees", 0)):
        curves = case.report.findings.curves[figure]
        real, keep, written = (active(x, axis) for x in (case.real, case.expansion.keep_rates, case.matrix))
        for label, degrees in {"real": real, "synthetic": written, "kronecker": np.outer(keep, real).ravel()}.items():
            assert curves[label].y[0] == exactly(degrees.max() / degrees.mean()), label
            assert curves[label].y[-1] == exactly(degrees.min() / degrees.mean()), label
            assert curves[label].x[0] == exactly(1 / len(degrees)), label


def test_density(case: Case) -> None:
    found = case.metric("density")
    assert (found.real, found.synthetic) == (exactly(case.real.mean()), exactly(case.matrix.mean()))


def test_degree_assortativity(case: Case) -> None:
    found = case.metric("degree assortativity")
    values = []
    for matrix in (case.real, case.matrix):
        users, items = np.nonzero(matrix)
        values.append(np.corrcoef(matrix.sum(axis=1)[users], matrix.sum(axis=0)[items])[0, 1])
    assert (found.real, found.synthetic) == (exactly(values[0]), exactly(values[1]))
    assert found.distance == exactly(abs(values[1] - values[0]))


def test_maps(case: Case) -> None:
    maps = case.report.findings.maps
    keep, trials = case.expansion.keep_rates, case.real.sum()
    assert np.array_equal(maps["keep_rates"], keep)
    counts = case.matrix.reshape(M, P, N, Q).sum(axis=(1, 3))
    assert maps["block_deviation"] == exactly((counts - trials * keep) / np.sqrt(trials * keep * (1 - keep)))
    density = maps["density"]
    bins = density.shape[0] // M, density.shape[1] // N
    user_bin = np.arange(M * P) // P * bins[0] + np.arange(M * P) % P * bins[0] // P
    item_bin = np.arange(N * Q) // Q * bins[1] + np.arange(N * Q) % Q * bins[1] // Q
    expected = np.zeros(density.shape)
    np.add.at(expected, (user_bin[:, None], item_bin), case.matrix)
    assert np.array_equal(density, expected)


# --- Singular values -------------------------------------------------------------------------------------------------


def test_singular_values(case: Case) -> None:
    real, keep = (np.linalg.svd(matrix, compute_uv=False) for matrix in (case.real, case.expansion.keep_rates))
    written = case.written[1]
    curves = case.report.findings.curves["singular_values"]
    assert curves["synthetic"].y == pytest.approx(written[:40] / written[0], rel=1e-5)
    assert curves["real"].y[:64] == pytest.approx(real[:64] / real[0], rel=1e-5)
    assert curves["kronecker"].y == pytest.approx(
        np.sort(np.outer(keep, real[:64]).ravel())[::-1][:40] / (keep[0] * real[0]), rel=1e-5
    )
    errors = np.abs((written[1:16] / written[0]) / (real[1:16] / real[0]) - 1)
    assert case.metric(names.RATIOS).distance == pytest.approx(np.median(errors), abs=2e-5)
    assert case.metric("singular ratios 2 to 16, largest error").distance == pytest.approx(errors.max(), abs=2e-5)
    first = case.metric("first singular value over the root of interactions")
    assert first.real == pytest.approx(real[0] / np.sqrt(case.real.sum()), rel=1e-5)
    assert first.synthetic == pytest.approx(written[0] / np.sqrt(case.matrix.sum()), rel=1e-5)
    slope = np.polyfit(np.log(np.arange(1, 41)), np.log(written[:40]), 1)[0]
    assert case.metric("log-log slope of singular values").synthetic == pytest.approx(slope, rel=1e-4)
    shares = written[:40] ** 2 / (written[:40] ** 2).sum()
    effective = np.exp(-(shares * np.log(shares)).sum())
    assert case.metric("effective rank of the leading singular values").synthetic == pytest.approx(effective, rel=1e-4)


def test_the_prediction_is_for_blocks_that_are_alike(case: Case) -> None:
    """σ² = θ² + what dropout adds, pair by pair."""
    if case.shuffle == "cells":
        assert names.PREDICTION not in {metric.name for metric in case.report.metrics}
        return
    keep = case.expansion.keep_rates
    u_keep, s_keep, v_keep = np.linalg.svd(keep)
    u_real, s_real, v_real = np.linalg.svd(case.real)
    spread = keep * (1 - keep)
    users, items = case.real.sum(axis=1), case.real.sum(axis=0)
    squares = [
        (s_keep[a] * s_real[b]) ** 2
        + (u_keep[:, a] ** 2 @ spread.sum(axis=1)) * (u_real[:, b] ** 2 @ users)
        + (v_keep[a] ** 2 @ spread.sum(axis=0)) * (v_real[b] ** 2 @ items)
        for a in range(len(s_keep))
        for b in range(64)
    ]
    predicted = np.sqrt(np.sort(squares)[::-1])
    written = case.written[1]
    for name, count in ((names.PREDICTION, 16), (names.PREDICTION_ALL, 40)):
        off = np.abs(written[:count] / predicted[:count] - 1).max()
        assert case.metric(name).distance == pytest.approx(off, abs=2e-5), name


@pytest.mark.parametrize(("who", "side"), [("users", 0), ("items", 1)])
def test_network_values(case: Case, who: str, side: int) -> None:
    of_real, keep = (
        np.linalg.svd(matrix, full_matrices=False)[2 * side] for matrix in (case.real, case.expansion.keep_rates)
    )
    written = case.written[2 * side]

    def component(vectors: Floats, k: int) -> Floats:
        vector = vectors[k] if side else vectors[:, k]
        return np.asarray(np.abs(vector) * np.sqrt(len(vector)))

    found = case.metric(f"network values of {who}")
    for value, vectors, count in ((found.reduced, keep, 3), (found.synthetic, written, 8)):
        distances = [
            stats.ks_2samp(component(of_real, k), component(vectors, k)).statistic for k in range(min(count, 8))
        ]
        # A vector of a singular value that is close to the next is known less well.
        assert value == pytest.approx(np.mean(distances), abs=2e-3)


# --- Neighbours ------------------------------------------------------------------------------------------------------


def cosines(matrix: Floats, items: Codes) -> Floats:
    """Cosines of the columns of some items with all columns; 0 with themselves and items that are too rare."""
    degrees = matrix.sum(axis=0)
    found = matrix[:, items].T @ matrix / np.sqrt(np.outer(degrees[items], np.maximum(degrees, 1)))
    found[:, degrees < 5] = 0
    found[np.arange(len(items)), items] = 0
    return np.asarray(found)


def test_nearest_items(case: Case) -> None:
    degrees = case.matrix.sum(axis=0).astype(np.int64)
    chosen = np.flatnonzero(degrees >= 5)
    # Fewer than are sampled: all of them.
    assert np.array_equal(sample(degrees), chosen)
    found = neighbours(case.rows, degrees, chosen)
    assert found is not None
    expected = cosines(case.matrix, chosen)
    ranked = np.sort(expected, axis=1)[:, ::-1][:, :20]
    assert found.cosines == pytest.approx(ranked, abs=1e-12)
    assert np.take_along_axis(expected, found.nearest, axis=1) == pytest.approx(ranked, abs=1e-12)
    together = case.matrix[:, chosen].T @ case.matrix / (M * P)
    shares = degrees / (M * P)
    lifts = together / np.outer(shares[chosen], np.maximum(shares, 1e-9))
    assert found.lifts == pytest.approx(np.take_along_axis(lifts, found.nearest, axis=1), rel=1e-9)
    null = null_neighbours(M * P, N * Q, case.matrix.mean())
    assert null is not None
    for rank in (1, 5, 20):
        metric = case.metric(f"cosine with the nearest item, rank {rank}")
        assert metric.synthetic == exactly(ranked[:, rank - 1].mean())
        real_items = np.flatnonzero(case.real.sum(axis=0) >= 5)
        of_real = np.sort(cosines(case.real, real_items), axis=1)[:, ::-1]
        assert metric.real == exactly(of_real[:, rank - 1].mean())
        assert metric.null == exactly(null.cosine(rank))
    lift = case.metric("lift of the nearest ten items")
    assert (lift.synthetic, lift.null) == (exactly(np.median(found.lifts[:, :10])), exactly(null.lift()))


def test_a_sample_of_items_has_as_many_of_each_tenth() -> None:
    degrees = np.concatenate([np.arange(5_000), np.zeros(300, dtype=np.int64)])
    chosen = sample(degrees, 500)
    assert np.array_equal(chosen, sample(degrees, 500))
    assert len(set(chosen)) == 500
    assert chosen.min() >= 5
    ranks = 4_999 - chosen
    assert np.histogram(ranks, bins=np.linspace(0, 4_995, 11))[0] == pytest.approx(50, abs=2)


UNIFORM = [(3_000, 200, 0.05), (2_000, 1_500, 0.01), (4_000, 2_000, 0.004), (1_500, 800, 0.14)]
"""Shapes and densities of uniform random data: 150, 20, 16 and 210 interactions an item."""


def uniform(users: int, items: int, density: float, seed: int = 0) -> Floats:
    return np.asarray(np.random.default_rng(seed).random((users, items)) < density, dtype=np.float64)


@pytest.mark.parametrize(("users", "items", "density"), UNIFORM)
def test_the_nearest_of_uniform_random_items_are_as_near_as_expected(users: int, items: int, density: float) -> None:
    matrix = uniform(users, items, density)
    degrees = matrix.sum(axis=0)
    chosen = np.flatnonzero(degrees >= 5)[:500]
    found = cosines(matrix, chosen)
    near = np.argsort(-found, axis=1, kind="stable")[:, :20]
    expected = null_neighbours(users, items, density)
    assert expected is not None
    for rank in (1, 5, 20):
        cosine = found[np.arange(len(chosen)), near[:, rank - 1]].mean()
        assert expected.cosine(rank) == pytest.approx(cosine, rel=0.05)
    together = matrix[:, chosen].T @ matrix
    lifts = users * together / np.outer(degrees[chosen], np.maximum(degrees, 1))
    assert expected.lift() == pytest.approx(np.median(np.take_along_axis(lifts, near[:, :10], axis=1)), rel=0.05)


def test_nearest_items_need_others_to_be_nearer_than() -> None:
    assert null_neighbours(3_000, 20, 0.05) is None
    assert null_neighbours(3_000, 22, 0.05) is not None
    # Hardly anything has five interactions.
    assert null_neighbours(3_000, 200, 1e-4) is None
    assert null_neighbours(3_000, 200, 0.0) is None


def source_items(case: Case) -> Codes:
    """Source item of each expanded item in each row block, by the specification: (m, n·q)."""
    if case.shuffle == "aligned":
        columns = [[permutation(under(root(7), COLUMN, j), Q) for j in range(N)]] * M
    else:
        cells = small_cells()
        order, starts = cells.item_order.astype(np.int64), cells.item_starts.astype(np.int64)
        columns = [
            [
                permutation(under(root(7), COLUMN, j), Q)[exchange(under(root(7), ITEM, i, j), starts)[inverse(order)]]
                for j in range(N)
            ]
            for i in range(M)
        ]
    return np.array([np.concatenate([inverse(column) for column in row]) for row in columns])


def test_copies_among_the_nearest(case: Case) -> None:
    sources, degrees = source_items(case), case.real.sum(axis=0)
    written = case.matrix.sum(axis=0).astype(np.int64)
    found = neighbours(case.rows, written, np.flatnonzero(written >= 5)[::5])
    assert found is not None
    kinds = []
    for item, near in zip(found.items, found.nearest[:, :10], strict=True):
        weights = case.expansion.keep_rates[:, item // Q] * degrees[sources[:, item]]
        for other in near:
            same = sources[:, item] == sources[:, other]
            kinds.append(weights[same].sum() >= weights.sum() / 2)
    counted = copies(found, case.expansion)
    assert counted is not None
    assert counted[0] == exactly(float(np.mean(kinds)))
    metric = case.metric(names.COPIES)
    assert metric.synthetic == metric.distance
    by_chance = []
    for item in found.items:
        weights = case.expansion.keep_rates[:, item // Q] * degrees[sources[:, item]]
        same = weights @ (sources == sources[:, [item]]) >= weights.sum() / 2
        by_chance.append(np.delete(same, item).mean())
    chance = float(np.mean(by_chance))
    # Four standard deviations of 200 draws for each item.
    assert counted[1] == pytest.approx(chance, abs=4 * np.sqrt(chance / (200 * len(by_chance))))
    if case.shuffle == "aligned":
        assert chance == exactly((N - 1) / (N * Q - 1))
    # Of all items, not every fifth.
    assert metric.null == pytest.approx(chance, rel=0.2)
    assert metric.threshold == 0.03
    # What looks like many copies does, and what does not does not.
    assert (np.mean(kinds) > 0.3) == (case.shuffle == "aligned")


def test_copies_of_what_is_known() -> None:
    """Unshuffled, item q·j + x copies x."""
    expansion = fr.Expansion(small_base(), RATES, shuffle="none")
    items = np.array([0, 1])
    nearest = np.array([[150, 300, 1, 2, 3, 450, 4, 5, 6, 7] + [0] * 10, [0, 2, 3, 4, 5, 6, 7, 8, 9, 10] + [0] * 10])
    found = Neighbours(items, nearest, np.zeros((2, 20)), np.zeros((2, 20)))
    counted = copies(found, expansion)
    assert counted is not None
    assert counted[0] == exactly(3 / 20)


def test_the_nearest_of_uniform_random_items_copy_as_often_as_any() -> None:
    expansion = fr.Expansion(small_base(), RATES, shuffle="aligned", seed=7)
    found = cosines(uniform(M * P, N * Q, 0.05), np.arange(N * Q))
    near = np.argsort(-found, axis=1, kind="stable")[:, :20]
    counted = copies(Neighbours(np.arange(N * Q), near, found, found), expansion)
    # Four standard deviations of ten neighbours for each item.
    assert counted is not None
    chance = (N - 1) / (N * Q - 1)
    assert counted[0] == pytest.approx(chance, abs=4 * np.sqrt(chance / (10 * N * Q)))


# --- Repetition ------------------------------------------------------------------------------------------------------


def largest_share(blocks: Floats) -> float:
    """λ_max / trace of the Gram matrix of blocks, given as (blocks, positions)."""
    gram = blocks @ blocks.T
    return float(np.linalg.eigvalsh(gram)[-1] / np.trace(gram))


def floor_share(expected: Floats, counts: Floats) -> float:
    """The same of an expected Gram matrix, whose diagonal are the counts."""
    expected = expected.copy()
    np.fill_diagonal(expected, counts)
    return float(np.linalg.eigvalsh(expected)[-1] / counts.sum())


def as_blocks(matrix: Floats) -> Floats:
    """(m, n) blocks as rows of p·q positions."""
    users, items = matrix.shape
    blocks = matrix.reshape(M, users // M, N, items // N).transpose(0, 2, 1, 3)
    return np.asarray(blocks.reshape(M * N, -1))


def degree_floor(matrix: Floats) -> float:
    """Blocks that are independent given the shares of users in their row block, and of items in their column block."""
    of_users = matrix.sum(axis=1).reshape(M, -1)
    of_items = matrix.sum(axis=0).reshape(N, -1)
    of_users, of_items = (
        degrees / np.maximum(degrees.sum(axis=1, keepdims=True), 1) for degrees in (of_users, of_items)
    )
    counts = as_blocks(matrix).sum(axis=1)
    expected = np.outer(counts, counts)
    for one, other in combinations(range(M * N), 2):
        together = (of_users[one // N] @ of_users[other // N]) * (of_items[one % N] @ of_items[other % N])
        expected[one, other] = expected[other, one] = counts[one] * counts[other] * together
    return floor_share(expected, counts)


def test_repetition_as_stored_and_by_degree(case: Case) -> None:
    found = repetition(case.rows, case.rows.degrees())
    assert found is not None
    blocks = as_blocks(case.matrix)
    counts = blocks.sum(axis=1)
    floor = floor_share(np.outer(counts, counts) / (P * Q), counts)
    assert (found.stored.share, found.stored.floor) == (exactly(largest_share(blocks)), exactly(floor))
    assert found.stored.degree_floor == exactly(degree_floor(case.matrix))
    metric = case.metric(names.STORED)
    assert (metric.synthetic, metric.null) == (exactly(largest_share(blocks)), exactly(floor))
    assert metric.distance == exactly(largest_share(blocks) / floor)

    users = np.argsort(-case.matrix.sum(axis=1).reshape(M, P), axis=1, kind="stable") + np.arange(M)[:, None] * P
    items = np.argsort(-case.matrix.sum(axis=0).reshape(N, Q), axis=1, kind="stable") + np.arange(N)[:, None] * Q
    ordered = case.matrix[users.ravel()][:, items.ravel()]
    assert found.by_degree.share == exactly(largest_share(as_blocks(ordered)))
    assert found.by_degree.floor == exactly(floor)
    assert found.by_degree.degree_floor == exactly(degree_floor(ordered))


def nearest_in_blocks(matrix: Floats, chosen: Codes, block: int, unit: bool) -> Codes:
    """The nearest row of each chosen row, but for itself, in each block of rows; the first of several."""
    degrees = np.maximum(matrix.sum(axis=1), 1)
    shared = matrix[chosen] @ matrix.T
    found = shared**2 / (degrees[chosen][:, None] * degrees) if unit else shared / np.sqrt(degrees)
    found[np.arange(len(chosen)), chosen] = -1
    return np.asarray(found.reshape(len(chosen), -1, block).argmax(axis=2) + np.arange(0, len(matrix), block))


def test_repetition_relinked(case: Case) -> None:
    found = repetition(case.rows, case.rows.degrees())
    assert found is not None
    assert found.relinked is not None
    counts = as_blocks(case.matrix).sum(axis=1).reshape(M, N)
    row, column = counts.sum(axis=1).argmax(), counts.sum(axis=0).argmax()
    # The reference block's users and items that have five train interactions or more.
    users = row * P + np.flatnonzero(case.matrix.sum(axis=1).reshape(M, P)[row] >= 5)
    items = column * Q + np.flatnonzero(case.matrix.sum(axis=0).reshape(N, Q)[column] >= 5)
    linked_users = nearest_in_blocks(case.matrix, users, P, unit=True)
    other = (row + 1) % M
    back = nearest_in_blocks(case.matrix, linked_users[:, other], P, unit=True)[:, row]
    assert found.mutual == exactly(float(np.mean(back == users)))
    linked_users[:, row] = users
    linked_items = nearest_in_blocks(case.matrix.T, items, Q, unit=False)
    linked_items[:, column] = items
    linked = np.zeros((M, N, len(users), len(items)))
    for i in range(M):
        for j in range(N):
            linked[i, j] = case.matrix[linked_users[:, i]][:, linked_items[:, j]]
            # An item that is nearest to several stands for the first of them.
            _, first = np.unique(linked_items[:, j], return_index=True)
            linked[i, j][:, np.setdiff1d(np.arange(len(items)), first)] = 0
    whole = linked.transpose(0, 2, 1, 3).reshape(M * len(users), N * len(items))
    assert found.relinked.share == exactly(largest_share(as_blocks(whole)))
    assert found.relinked.degree_floor == exactly(degree_floor(whole))
    metric = case.metric(names.RELINKED)
    assert metric.distance == exactly(found.relinked.share / found.relinked.degree_floor)


@pytest.mark.parametrize(("users", "items", "density"), UNIFORM)
def test_mutual_neighbours_of_uniform_random_users(users: int, items: int, density: float) -> None:
    group, found = users // 4, []
    for seed in range(3):
        matrix = uniform(2 * group, items, density, seed)
        asked = np.flatnonzero(matrix[:group].sum(axis=1) >= 5)
        near = nearest_in_blocks(matrix, asked, group, unit=True)[:, 1]
        found.append(np.mean(nearest_in_blocks(matrix, near, group, unit=True)[:, 0] == asked))
    # Three standard deviations for the smallest groups.
    assert null_mutual(group, items, density) == pytest.approx(np.mean(found), abs=0.045)


def test_mutual_neighbours_where_all_are_alike() -> None:
    """Of continuous cosines the largest of 2p − 1 is that of a pair with probability 1 in 2p − 1."""
    assert null_mutual(50, 10**9, 1e-4) == pytest.approx(50 / 99, abs=0.01)
    # All have everything: the first of one group and the first of the other.
    assert null_mutual(50, 100, 1.0) == exactly(1 / 50)
    assert null_mutual(1, 100, 0.5) == exactly(1)
    assert null_mutual(50, 100, 0.0) is None
    assert null_mutual(50, 10, 1e-9) is None


def test_repetition_of_the_extremes() -> None:
    """Blocks that are all alike repeat entirely; one block has nothing to repeat."""
    whole = fr.Expansion(small_base(), np.ones((3, 4)), shuffle="none", max_keep=1.0)
    found = repetition(StreamedMatrix(whole), StreamedMatrix(whole).degrees())
    assert found is not None
    assert found.relinked is not None
    shares = (found.stored.share, found.by_degree.share, found.relinked.share, found.mutual)
    assert shares[:2] == (exactly(1), exactly(1))
    assert found.stored.floor < 0.25
    single = fr.Expansion(small_base(), [[0.5]], shuffle="aligned")
    assert repetition(StreamedMatrix(single), StreamedMatrix(single).degrees()) is None
    report = fr.validate(single)
    assert {metric.name for metric in report.metrics if metric.note == "needs more than one block"} == {
        names.STORED,
        "repetition sorted by degree",
        names.RELINKED,
    }
    empty = fr.Expansion(small_base(), np.zeros((2, 3)), shuffle="aligned", min_keep=0)
    assert repetition(StreamedMatrix(empty), StreamedMatrix(empty).degrees()) is None


# --- Thresholds ------------------------------------------------------------------------------------------------------
