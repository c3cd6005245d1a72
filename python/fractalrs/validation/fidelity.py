"""Fidelity: the statistics of what was written, R̃, beside those of the real train part R, of R̂, and of a null model.

Degrees are compared as shares of their mean over the relative rank, singular values as ratios to the first, so that data
of different size can be compared (the method paper's figures 1, 3 and 4). The null model is uniform random data of the
size and density of R̃. An operator without keep rates leaves R̂ out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, get_args

import numpy as np
import numpy.typing as npt
from scipy import stats as distributions

from fractalrs.passes import Degrees
from fractalrs.validation import statistics as stats
from fractalrs.validation import thresholds
from fractalrs.validation.findings import Curve, Label, Metric
from fractalrs.validation.neighbours import RANKS, Neighbours, null_neighbours
from fractalrs.validation.repetition import Repetition, Share, null_mutual
from fractalrs.validation.spectrum import Spectrum, kronecker, predicted

NEEDS_SOURCE = "needs --source"
_NULL_POINTS = 4_000
_LEAST = 1e-4
"""Smaller predictions, over the largest, are compared as if they were so large."""

Floats = npt.NDArray[np.float64]

_T = TypeVar("_T")
_Four = tuple[npt.NDArray[Any], npt.NDArray[Any] | None, npt.NDArray[Any], npt.NDArray[Any]]


@dataclass(frozen=True)
class Real:
    """What is known of the real train part: all of it from ``private/base_statistics.npz``."""

    user_sums: npt.NDArray[np.int64]
    item_sums: npt.NDArray[np.int64]
    singular_values: Floats
    user_noise: Floats
    item_noise: Floats
    assortativity: float | None

    @classmethod
    def of(cls, arrays: dict[str, npt.NDArray[Any]]) -> "Real":
        """Take the arrays of `fractalrs.base.summary.base_statistics`."""
        assortativity = float(arrays["assortativity"])
        return cls(
            arrays["train_user_sums"],
            arrays["train_item_sums"],
            arrays["singular_values"],
            arrays["user_noise"],
            arrays["item_noise"],
            None if np.isnan(assortativity) else assortativity,
        )

    @property
    def interactions(self) -> int:
        """Train interactions."""
        return int(self.user_sums.sum())

    @property
    def per_user(self) -> float:
        """Train interactions of a user on average."""
        return self.interactions / len(self.user_sums)


@dataclass(frozen=True)
class Vectors:
    """Leading singular vectors of the real train part, and its neighbours: what needs the source."""

    spectrum: Spectrum
    neighbours: Neighbours | None


@dataclass(frozen=True)
class Written:
    """What was measured of R̃; `copies` among nearest items, and among any."""

    sums: Degrees
    spectrum: Spectrum
    neighbours: Neighbours | None
    copies: tuple[float, float] | None
    repetition: Repetition | None

    @property
    def density(self) -> float:
        """Share of all pairs that interact."""
        return int(self.sums.user_train.sum()) / (len(self.sums.user_train) * len(self.sums.item_train))


def _four_sums(real: Real, keep: Floats | None, sums: Degrees) -> dict[str, _Four]:
    """Degrees of users and of items: real, reduced, written, null."""
    of_users, of_items = (None if keep is None else keep.sum(axis=axis) for axis in (1, 0))
    users, items = len(sums.user_train), len(sums.item_train)
    density = int(sums.user_train.sum()) / (users * items)
    return {
        "users": (real.user_sums, of_users, sums.user_train, stats.null_sums(users, items, density)),
        "items": (real.item_sums, of_items, sums.item_train, stats.null_sums(items, users, density)),
    }


def _of_each(function: Callable[[Any], _T | None], values: Sequence[npt.NDArray[Any] | None]) -> list[_T | None]:
    """What a function says of each value that is there."""
    return [None if value is None else function(value) for value in values]


def sums_metrics(real: Real, keep: Floats | None, sums: Degrees, limits: dict[str, float]) -> Iterator[Metric]:
    """Compare how active users are, and how popular items."""
    for who, four in _four_sums(real, keep, sums).items():

        def compared(name: str, values: list[float | None], note: str = "", who: str = who) -> Metric:
            name = name.format(who)
            return _metric(name, "sums", values, _apart(values[0], values[2]), limits, note)

        yield compared(thresholds.GINI, _of_each(stats.gini, four), "distance: difference")
        for percent in (1, 10):
            shares = _of_each(partial(stats.top_share, share=percent / 100), four)
            yield compared(f"share of the top {percent} % of {{}}", shares, "distance: difference")
        for name, between in (
            ("KS distance of {}", stats.kolmogorov_smirnov),
            ("Wasserstein distance of {}", stats.wasserstein),
        ):
            distances = _of_each(partial(between, four[0]), four[1:])
            note = "of sums over their mean, from real"
            yield _metric(name.format(who), "sums", [None, *distances], distances[1], limits, note)
        tails = _of_each(stats.hill, four)
        intervals = ", ".join(
            f"{label} {tail.low:.2f} to {tail.high:.2f}"
            for label, tail in zip(("real", "reduced", "synthetic", "null"), tails, strict=True)
            if tail is not None and label in ("real", "synthetic")
        )
        yield compared(
            "tail exponent of {}",
            [None if tail is None else tail.exponent for tail in tails],
            f"Hill, top 5 %; 95 %: {intervals}" if intervals else "too few distinct values in the top 5 %",
        )
        yield compared("log-log rank slope of {}", _of_each(stats.rank_slope, four), "over 1 % to 50 % of the ranks")
        yield compared(
            "decay at the end of {}", _of_each(stats.end_decay, four), "slope at the end over that of the middle"
        )
        yield compared("coverage of {}", _of_each(stats.coverage, four), "share of ids with an interaction")


def graph_metrics(real: Real, keep: Floats | None, sums: Degrees, limits: dict[str, float]) -> Iterator[Metric]:
    """Compare density and degree assortativity."""
    count = int(sums.user_train.sum())
    written = stats.density(count, len(sums.user_train), len(sums.item_train))
    of_real = stats.density(real.interactions, len(real.user_sums), len(real.item_sums))
    yield Metric(
        "density", "graph", of_real, None, written, written, note="" if keep is None else "real × mean keep rate"
    )
    product = stats.degree_product(sums.item_train, sums.item_user_degree)
    found = stats.assortativity(sums.user_train, sums.item_train, product)
    name = "degree assortativity"
    yield Metric(
        name, "graph", real.assortativity, None, found, 0.0, _apart(real.assortativity, found), limits.get(name)
    )


def spectrum_metrics(
    real: Real, keep: Floats | None, written: Written, predictable: bool, limits: dict[str, float]
) -> Iterator[Metric]:
    """Compare leading singular values, as ratios to the first."""
    found = written.spectrum.values
    count = len(found)
    of_reduced = None if keep is None else np.linalg.svd(keep, compute_uv=False)
    null = null_spectrum(written.sums, count)
    errors = _of_each(partial(stats.ratio_error, real.singular_values), (of_reduced, found, null))
    bound = written.spectrum.bounds[:16] / np.maximum(found[:16], np.finfo(np.float64).tiny)
    note = f"distance from real; residuals bound the error of the values by {bound.max():.1%}"
    for name, place in ((thresholds.RATIOS, 0), ("singular ratios 2 to 16, largest error", 1)):
        distances = [None if error is None else error[place] for error in errors]
        yield _metric(name, "spectrum", [None, *distances], distances[1], limits, note)
    # Statistics of whole spectra are of equally many values; R̂ has but min(m, n).
    shared = min(count, len(real.singular_values))
    four = [None if values is None else values[:shared] for values in (real.singular_values, of_reduced, found, null)]
    note = f"of the first {shared}" + ("" if four[1] is None else f", reduced of {len(four[1])}")
    for name, function in (
        ("log-log slope of singular values", stats.log_slope),
        ("effective rank of the leading singular values", stats.effective_rank),
    ):
        values = _of_each(function, four)
        yield _metric(name, "spectrum", values, _apart(values[0], values[2]), limits, note)
    total = int(written.sums.user_train.sum())
    yield Metric(
        "first singular value over √interactions",
        "spectrum",
        real=float(real.singular_values[0]) / real.interactions**0.5,
        synthetic=float(found[0]) / total**0.5 if total else None,
        null=float(null[0]) / total**0.5 if total else None,
    )
    if keep is not None and predictable:
        # Beyond as many as are known of R, pairs of unknown ones would be missing.
        complete = len(real.singular_values) == min(len(real.user_sums), len(real.item_sums))
        known = count if complete else shared
        theory = predicted(keep, real.singular_values, real.user_noise, real.item_noise, known)
        # Where R has no more singular values the prediction is 0, and what is found is rounding.
        least = max(_LEAST * theory.max(initial=0.0), np.finfo(np.float64).tiny)
        off = np.abs(found[: len(theory)] - theory) / np.maximum(theory, least)
        for name, distance in (
            (thresholds.PREDICTION, off[:16].max(initial=0.0)),
            (thresholds.PREDICTION_ALL, off.max(initial=0.0)),
        ):
            yield Metric(
                name,
                "spectrum",
                distance=float(distance),
                threshold=limits.get(name),
                note=f"largest relative error of {min(len(off), 16 if name == thresholds.PREDICTION else len(off))}",
            )


def null_spectrum(sums: Degrees, count: int) -> Floats:
    """Singular values of uniform random data of the same size and density."""
    rows, columns = len(sums.user_train), len(sums.item_train)
    return stats.null_singular_values(rows, columns, int(sums.user_train.sum()) / (rows * columns), count)


def _sides(keep: Floats | None) -> dict[str, Floats | None]:
    """Left and right singular vectors of R̂, in columns."""
    if keep is None:
        return {"left": None, "right": None}
    u, _, vt = np.linalg.svd(keep, full_matrices=False)
    return {"left": u, "right": vt.T}


def vector_metrics(
    real: Vectors | None, keep: Floats | None, written: Spectrum, limits: dict[str, float]
) -> Iterator[Metric]:
    """Compare the paper's network values: ranked components of leading singular vectors."""
    for (side, of_reduced), who in zip(_sides(keep).items(), ("users", "items"), strict=True):
        name = f"network values of {who}"
        if real is None:
            yield Metric(name, "vectors", threshold=limits.get(name), note=NEEDS_SOURCE)
            continue
        of_real, found = getattr(real.spectrum, side), getattr(written, side)
        distances = _of_each(partial(_network_distance, of_real), (of_reduced, found))
        null = float(
            np.mean(
                [
                    stats.network_distance(stats.network_values(of_real[:, k]), _null_component(k)) or 0.0
                    for k in range(of_real.shape[1])
                ]
            )
        )
        values = [None, *distances, null]
        yield _metric(name, "vectors", values, distances[1], limits, "mean KS distance of the first 8")


def _network_distance(of_real: Floats, other: Floats) -> float:
    """Mean distance of the network values of vectors in columns."""
    each = [
        stats.network_distance(stats.network_values(of_real[:, k]), stats.network_values(other[:, k]))
        for k in range(min(of_real.shape[1], other.shape[1]))
    ]
    return float(np.mean([value for value in each if value is not None]))


def _null_component(k: int) -> Floats:
    """Components of a uniform random matrix's singular vector: constant for the first, else normal (ranked)."""
    points = (np.arange(_NULL_POINTS)[::-1] + 0.5) / _NULL_POINTS
    return np.ones(_NULL_POINTS) if k == 0 else np.asarray(distributions.halfnorm.ppf(points))


def neighbour_metrics(real: Vectors | None, written: Written, limits: dict[str, float]) -> Iterator[Metric]:
    """Compare how alike items and their nearest are, and look for copies."""
    all_three = (
        None if real is None else real.neighbours,
        written.neighbours,
        null_neighbours(len(written.sums.user_train), len(written.sums.item_train), written.density),
    )
    missing = NEEDS_SOURCE if real is None else ""
    for rank in RANKS:
        name = f"cosine with the nearest item, rank {rank}"
        of_real, found, null = (None if x is None else x.cosine(rank) for x in all_three)
        yield Metric(name, "neighbours", of_real, None, found, null, _apart(of_real, found), limits.get(name), missing)
    of_real, found, null = (None if x is None else x.lift() for x in all_three)
    yield Metric("lift of the nearest ten items", "neighbours", of_real, None, found, null, note=missing or "median")
    note = "share that shows the same source items; null: of any other items"
    if written.copies is None:
        note = NEEDS_SOURCE if real is None else "too few items, too many blocks, or items of no one source"
    found, null = written.copies or (None, None)
    name = thresholds.COPIES
    yield Metric(name, "neighbours", None, None, found, null, found, limits.get(name), note)


def repetition_metrics(written: Written, limits: dict[str, float]) -> Iterator[Metric]:
    """Say how much blocks repeat each other, beside the floor of independently placed blocks."""
    found, sums = written.repetition, written.sums
    shares: dict[str, Share | None] = dict.fromkeys(
        (thresholds.STORED, "repetition sorted by degree", thresholds.RELINKED)
    )
    if found is not None:
        shares = dict(zip(shares, (found.stored, found.by_degree, found.relinked), strict=True))
    for name, share in shares.items():
        if share is None:
            note = "needs more than one block" if found is None else "too large, or too sparse, to relink"
            yield Metric(name, "repetition", threshold=limits.get(name), note=note)
            continue
        floor = share.floor if name == thresholds.STORED else share.degree_floor
        note = "λ_max / trace of the blocks' Gram matrix; null and distance: floor of independent blocks"
        if name != thresholds.STORED and share.floor:
            note += f" of these degrees; {share.share / share.floor:.1f} × the floor of uniform ones"
        yield Metric(
            name,
            "repetition",
            synthetic=share.share,
            null=floor,
            distance=share.share / floor if floor else None,
            threshold=limits.get(name),
            note=note,
        )
    name, note = "mutual nearest users across row blocks", "share of a row block's users"
    mutual = None if found is None else found.mutual
    users = len(sums.user_train) // len(sums.block_train)
    null = None if mutual is None else null_mutual(users, len(sums.item_train), written.density)
    yield Metric(name, "repetition", None, None, mutual, null, mutual, limits.get(name), note)


def curves(real: Real, keep: Floats | None, written: Written, vectors: Vectors | None) -> dict[str, dict[str, Curve]]:
    """Draw ranked sums, singular values and network values."""
    sums, count = written.sums, len(written.spectrum.values)
    drawn = {}
    for who, (of_real, of_reduced, found, null) in _four_sums(real, keep, sums).items():
        labelled = {"real": of_real, "synthetic": found, "null": null}
        if of_reduced is not None:
            labelled |= {"reduced": of_reduced, "kronecker": np.outer(of_reduced, of_real).ravel()}
        drawn[f"{who.removesuffix('s')}_sums"] = _curves(stats.ranked, labelled)
    values: dict[str, npt.NDArray[Any]] = {"real": real.singular_values, "synthetic": written.spectrum.values}
    values["null"] = null_spectrum(sums, count)
    if keep is not None:
        values["reduced"] = np.linalg.svd(keep, compute_uv=False)
        values["kronecker"] = kronecker(keep, real.singular_values, count)
    drawn["singular_values"] = _curves(stats.ratios, values)
    # Not drawn, but told: how far each written value may be off, over itself.
    numbers = np.arange(1.0, count + 1)
    least = np.maximum(written.spectrum.values, np.finfo(np.float64).tiny)
    drawn["singular_value_bounds"] = {"synthetic": Curve(numbers, written.spectrum.bounds / least)}
    for side, of_reduced in _sides(keep).items():
        there: dict[str, Floats] = {"synthetic": getattr(written.spectrum, side)}
        if of_reduced is not None:
            there["reduced"] = of_reduced
        if vectors is not None:
            there["real"] = getattr(vectors.spectrum, side)
        for k in range(min(matrix.shape[1] for matrix in there.values())):
            components = {label: matrix[:, k] for label, matrix in there.items()}
            drawn[f"{side}_vector_{k + 1}"] = _curves(_network_curve, components)
    return drawn


def _network_curve(vector: Floats) -> Curve:
    return stats.network_curve(stats.network_values(vector))


def _curves(draw: Callable[[Any], Curve], values: Mapping[str, npt.NDArray[Any]]) -> dict[str, Curve]:
    """Draw what is there, in the order in which it is always shown."""
    return {label: draw(values[label]) for label in get_args(Label) if label in values}


def _metric(
    name: str,
    section: str,
    values: Sequence[float | None],
    distance: float | None,
    limits: dict[str, float],
    note: str = "",
) -> Metric:
    """A metric of four values: real, reduced, synthetic, null."""
    real, reduced, synthetic, null = values
    return Metric(name, section, real, reduced, synthetic, null, distance, limits.get(name), note)


def _apart(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else abs(other - one)
