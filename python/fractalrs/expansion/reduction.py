"""The reduced matrix R̂: a small dense matrix with the leading spectrum of the base's train part."""

import os
import zipfile
from dataclasses import dataclass
from typing import Any, Self, get_args

import numpy as np
import numpy.typing as npt
import scipy  # Its parts are loaded where they are used.

from fractalrs.base import SVD, Base, canonical, leading_svd
from fractalrs.errors import InputError
from fractalrs.expansion.cells import group_canonical
from fractalrs.expansion.declared import one_of, pair, whole
from fractalrs.tools import Shown, as_path, check_kind, load_array, suggests, untrusted
from fractalrs.words import OrderBy, Rescale, Variant

MAX_CONDITION = 1e8
"""Averaged singular vectors whose condition number is larger have no stable nearest orthogonal factor."""

_MOST_WEIGHTS = 1 << 25
"""So many weights of averages are a dense matrix of 268 MB, four of them at once: 14 GB for 16,384 of 27,000."""
_MIN_SINGULAR_RATIO = 1e-10
"""A singular value smaller than this times the largest is zero but for rounding."""

_Floats = npt.NDArray[np.float64]
_Order = npt.NDArray[np.integer[Any]] | slice


@dataclass(frozen=True, eq=False, repr=False)
class ReducedMatrix(Shown):
    """The m × n matrix R̂ whose entries are the keep rates of an expansion's blocks, before they are clipped.

    A value: its arrays are read-only.

    Attributes
    ----------
    values : float64, shape (m, n)
        R̂ scaled to [0, 1]; m is the user multiplier, n the item multiplier.
    signed : float64, shape (m, n)
        R̂temp / (max − min), as Algorithm 3 returns it; for a matrix given by the user, `values`.
    singular_values : float64, shape (min(m, n),)
        Singular values, in descending order, of R̂temp: the leading ones of the train part. For a matrix given by the
        user, its own.
    description : dict
        How it was made, in plain JSON values.

    Examples
    --------
    >>> ReducedMatrix.from_array([[0.1, 0.9, 0.4]]).shape
    (1, 3)
    """

    values: _Floats
    signed: _Floats
    singular_values: _Floats
    description: dict[str, Any]

    def __post_init__(self) -> None:
        """Copy the arrays and make the copies read-only: an expansion's output is fixed by them."""
        for name in ("values", "signed", "singular_values"):
            array = np.array(getattr(self, name), dtype=np.float64, order="C")
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def shape(self) -> tuple[int, int]:
        """User multiplier m and item multiplier n."""
        return self.values.shape[0], self.values.shape[1]

    def _facts(self) -> dict[str, Any]:
        values = self.values
        spread = {"least": float(values.min()), "mean": float(values.mean()), "largest": float(values.max())}
        return {"shape": self.shape, **spread}

    @classmethod
    def from_array(cls, values: npt.ArrayLike) -> Self:
        """Use a matrix of your own.

        Parameters
        ----------
        values
            Two-dimensional, finite, every entry in [0, 1]. Copied.

        Raises
        ------
        InputError
            If it is not that.
        """
        try:
            array = np.asarray(values)
        except (TypeError, ValueError) as error:
            raise InputError(f"the reduced matrix must be a two-dimensional array of numbers: {error}") from error
        return cls._given(array, "the reduced matrix")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a matrix of your own from a ``.npy`` file, as ``numpy.save(path, reduced.values)`` writes it.

        Raises
        ------
        InputError
            If the file does not hold a two-dimensional, finite array with every entry in [0, 1].
        FileNotFoundError, PermissionError
            If it cannot be read.
        """
        file = as_path("path", path)
        name = f"reduced matrix {file}"
        hint = "write it with numpy.save from a two-dimensional array of numbers"
        with untrusted(name, hint, "is not a .npy file of numbers"):
            if zipfile.is_zipfile(file):
                raise InputError(f"{name} holds several arrays, not one", hint=hint)
            values = load_array(file)
        return cls._given(values, name)

    @classmethod
    def _given(cls, array: npt.NDArray[Any], name: str) -> Self:
        if array.dtype.kind not in "fiub" or array.ndim != 2 or array.size == 0:
            raise InputError(f"{name} must be a two-dimensional array of numbers, not {array.dtype} {array.shape}")
        values = np.asarray(array, dtype=np.float64)
        bad = ~((values >= 0) & (values <= 1))
        if bad.any():
            i, j = np.argwhere(bad)[0]
            raise InputError(
                f"{name} holds {values[i, j]} in row {i}, column {j}",
                hint="every entry is the share of interactions that a block keeps: a number from 0 to 1",
            )
        singular_values = np.asarray(np.linalg.svd(values, compute_uv=False), dtype=np.float64)
        return cls(values, values, singular_values, {"method": "given", "shape": list(values.shape)})


@suggests
def reduce(
    base: Base,
    shape: tuple[int, int],
    *,
    rescale: Rescale = "absolute",
    order_by: OrderBy = "id",
    variant: Variant = "paper",
    seed: int = 0,
) -> ReducedMatrix:
    """Reduce the train part of a base to a small matrix with the same leading singular values.

    Algorithm 3 of the paper (section IV.3, equations 4–6): the k = min(m, n) leading singular vectors are shrunk by
    local averaging to m and n entries, replaced by the nearest orthonormal ones, and multiplied out again,
    R̂temp = Ũ Σ Ṽ. Test interactions have no influence.

    Parameters
    ----------
    base
        p users × q items.
    shape
        (m, n): user multiplier and item multiplier, with 1 ≤ m ≤ p, 1 ≤ n ≤ q and min(m, n) < min(p, q).
    rescale
        How R̂temp becomes `values` in [0, 1]: ``"absolute"``, |R̂temp| / max |R̂temp|, or ``"minmax"``,
        (R̂temp − min) / (max − min).
    order_by
        Neighbours are averaged, so the order of users and items matters. ``"id"``: of their codes, as the paper has it;
        the same interactions under other ids then have another R̂. What follows from the interactions alone does not:
        ``"content"``, by a digest of what they interacted with (`fractalrs.base.canonical`), side by side are any two;
        ``"cells"``, the order of `group_cells`, in which alike ones are side by side; ``"degree"``, the most active
        first.
    variant
        ``"paper"``, or ``"reference"``: as the program published with the paper did it. It paired the largest singular
        value with the vectors of the smallest, and so on, and picked entries of vectors by linear interpolation instead
        of averaging them (docs/reference.md).
    seed
        Of the singular value decomposition's start vector.

    Returns
    -------
    ReducedMatrix
        Where R̂temp is constant (shape (1, 1)), `signed` is R̂temp / max |R̂temp|, for want of a range.

    Raises
    ------
    InputError
        If an argument is of another kind, the multipliers do not fit the base, or the train part is too degenerate.

    Examples
    --------
    >>> from fractalrs import leave_last_out, sample_interactions
    >>> reduced = reduce(leave_last_out(sample_interactions(60, 40, 600)), (2, 3))
    >>> reduced.shape, float(reduced.values.max())
    ((2, 3), 1.0)
    """
    check_kind("base", base, Base, "a Base: leave_last_out makes one")
    m, n = check_multipliers(shape, base.shape)
    one_of("rescale", rescale, get_args(Rescale))
    one_of("variant", variant, get_args(Variant))
    one_of("order_by", order_by, get_args(OrderBy))
    if whole("seed", seed) < 0:
        raise InputError(f"seed {seed} is negative", hint="choose a whole number from 0 up")
    k = min(m, n)
    svd, users, items = _in_order(base, k, order_by, seed)
    if (rank := int(np.count_nonzero(svd.s > _MIN_SINGULAR_RATIO * svd.s[0]))) < k:
        raise InputError(
            f"the train interactions have only {rank} independent directions of taste, "
            f"too few for user multiplier {m} and item multiplier {n}",
            hint=f"make one of the multipliers {rank} or less",
        )
    u, v = svd.u[users], svd.vt.T[items]
    if variant == "reference":
        u, v = u[:, ::-1], v[:, ::-1]
    signed = (_shrink(u, m, "user", variant) * svd.s) @ _shrink(v, n, "item", variant).T
    description: dict[str, Any] = {"method": "algorithm 3", "shape": [m, n], "rescale": rescale}
    description |= {"order_by": order_by, "variant": variant, "seed": int(seed)}
    return ReducedMatrix(*_rescaled(signed, rescale), svd.s, description)


def _in_order(base: Base, k: int, order_by: OrderBy, seed: int) -> tuple[SVD, _Order, _Order]:
    """Return the leading singular triples, and the order in which users and items are averaged."""
    if order_by == "id":
        return leading_svd(base, k, seed), slice(None), slice(None)
    known = canonical(base)
    if order_by == "content":
        return known.svd(k), slice(None), slice(None)
    if order_by == "degree":
        users, items = (np.argsort(-degrees, kind="stable") for degrees in (known.user_degrees, known.item_degrees))
        return known.svd(k), users, items
    cells = group_canonical(known)
    return known.svd(k), cells.user_order, cells.item_order


def _rescaled(signed: _Floats, rescale: Rescale) -> tuple[_Floats, _Floats]:
    """Return R̂temp in [0, 1], and over its range."""
    low, high, peak = signed.min(), signed.max(), np.abs(signed).max()
    if rescale == "minmax" and high == low:
        raise InputError(
            f"min–max scaling needs entries that differ, but the {signed.shape[0]} × {signed.shape[1]} reduced matrix "
            "is constant",
            hint="use the rescaling 'absolute'",
        )
    values = np.abs(signed) / peak if rescale == "absolute" else (signed - low) / (high - low)
    return values, signed / (high - low if high > low else peak)


def check_multipliers(shape: tuple[int, int], base_shape: tuple[int, int]) -> tuple[int, int]:
    """Refuse multipliers that Algorithm 3 cannot reduce a base to; give them as whole numbers."""
    sizes = []
    for multiplier, count, kind in zip(pair("shape", shape), base_shape, ("user", "item"), strict=True):
        name = f"{kind} multiplier"
        if not 1 <= (size := whole(name, multiplier)) <= count:
            raise InputError(
                f"{name} {size} does not fit a base of {count} {kind}s",
                hint=f"choose a number from 1 to {count}",
            )
        sizes.append(size)
    m, n = sizes
    limit = min(base_shape) - 1
    if min(m, n) > limit:
        p, q = base_shape
        raise InputError(
            f"user multiplier {m} and item multiplier {n} are too large together for a base of {p} users × {q} items",
            hint=f"one of them must be {limit} or less" if limit else "a base needs at least 2 users and 2 items",
        )
    return m, n


def local_means(vectors: _Floats, length: int) -> _Floats:
    """Average vectors as `resize_local_mean` does, but for the last bits: its weights are a dense matrix."""
    edges = np.linspace(0, len(vectors), length + 1)
    first, last = np.floor(edges[:-1]).astype(np.int64), np.ceil(edges[1:]).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(last - first)])
    rows = np.repeat(np.arange(length), last - first)
    columns = np.arange(starts[-1]) + (first - starts[:-1])[rows]
    weights = np.minimum(edges[rows + 1], columns + 1) - np.maximum(edges[rows], columns)
    sums = scipy.sparse.csr_array((weights, columns, starts), shape=(length, len(vectors)))
    return np.asarray(sums @ vectors / sums.sum(axis=1)[:, None])


def _shrink(vectors: _Floats, length: int, kind: str, variant: Variant) -> _Floats:
    """Average singular vectors, one a column, down to `length` entries and make them orthonormal again."""
    # Takes a quarter of a second to load.
    from skimage.transform import resize, resize_local_mean

    shape = (length, vectors.shape[1])
    if variant == "reference":
        averaged = resize(  # type: ignore[no-untyped-call]
            *(vectors, shape), order=1, mode="constant", cval=0.0, clip=True, preserve_range=True, anti_aliasing=False
        )
    elif length * len(vectors) > _MOST_WEIGHTS:
        averaged = local_means(vectors, length)
    else:
        averaged = resize_local_mean(  # type: ignore[no-untyped-call]
            vectors, shape, grid_mode=True, preserve_range=True, channel_axis=None
        )
    # Equation 5's Ū (ŪᵀŪ)^(−1/2) is the polar factor; by way of ŪᵀŪ it would lose half of the digits.
    left, s, right = np.linalg.svd(averaged, full_matrices=False)
    if s[-1] == 0 or s[0] > MAX_CONDITION * s[-1]:
        raise InputError(
            f"the {kind}s' singular vectors cannot be reduced to {kind} multiplier {length}: "
            "averaged, they are no longer independent",
            hint=f"try another {kind} multiplier, or another order_by",
        )
    return left @ right  # type: ignore[no-any-return]
