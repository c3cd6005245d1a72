"""The singular values that an expansion with cells will have, before anything is generated: `docs/theory.md`.

Block (i, j) of the expanded matrix is A R∘D B: entries of R kept with the probability K[i, j], users exchanged inside
their cells by A, items by B. With P and Q the projections of users and items onto the means of their cells:

- its mean is K[i, j] P R Q, so that the means of all blocks are K ⊗ P R Q, with all products of their singular values;
- what exchanges and dropout add has mean zero, and is independent from block to block. From the left it has the
  covariance S_i = Σ_j K² (P R (1 − Q) Rᵀ P + exchanges of users) + Σ_j K (1 − K) diag(degrees), likewise T_j from the
  right.

A singular value σ of the sum solves the leading-order Dyson equation: it is a singular value of

    [ K ⊗ P R Q    √S(σ) ]
    [ √T(σ)ᵀ         0   ]

where S(σ) and T(σ) are these covariances, made larger by the noise that noise itself sees: the resolvent of the noise
alone, found for users and items in classes of alike degree. Where that has no solution the noise has singular values of
its own: its edge is the least value predicted.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from fractalrs._core import cell_energies
from fractalrs.base import Canonical, Rows, Sparse, orthonormal
from fractalrs.expansion.cells import Cells
from fractalrs.statistics import FEW_OF_NOISE

CLASSES = 24
"""Classes of degree, equally wide on a logarithmic scale."""

SAMPLE = 2_000_000
"""About so many interactions tell what exchanges inside cells do to those of each class."""

LEVELS = 4
"""At so many values of σ the noise is computed; between them it is interpolated."""

_EDGE, _STEP = 0.01, 0.8
"""The edge of the noise is found to this share of its square, after steps so large."""

_TINY = 1e-13
_ITERATIONS = 100
_SMALL = 1024
"""Of up to so many blocks of a side LAPACK gives all singular vectors."""
_SEMICIRCLE = 3 * np.pi / 2**2.5

_Floats = npt.NDArray[np.float64]
_Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Noise:
    """The resolvent of the noise: of users (row blocks × classes) and items, along means of cells and across them."""

    user_means: _Floats
    user_rest: _Floats
    item_means: _Floats
    item_rest: _Floats


@dataclass(frozen=True)
class _Half:
    """What noise makes of the resolvents of users; of items it is the same with everything transposed."""

    energy: _Floats  # Interactions by class of its own side and of the other; what follows as in `Spectrum`.
    of_means: _Floats
    of_rest: _Floats
    beside: _Floats
    sizes: tuple[_Floats, _Floats]
    keep_rates: _Floats

    def resolvents(
        self, other_means: _Floats, other_rest: _Floats, other_seen: _Floats, square: float
    ) -> tuple[_Floats, _Floats] | None:
        """Return them along means of cells and beside them; None where more than a few directions have more noise."""
        (means, rest), squares = self.sizes, np.square(self.keep_rates)
        dropped = self.keep_rates * (1 - self.keep_rates) @ (other_seen @ (self.energy / (means + rest)[:, None]).T)
        along = (squares @ (other_rest @ (self.of_means / means[:, None]).T) + dropped) / square
        exchanged = squares @ (other_means @ self.of_rest.T + other_rest @ self.beside.T)
        beside = (exchanged * (1 / np.maximum(rest, 1) * (rest > 0)) + dropped) / square
        out_along, out_beside = along > 1 - 1e-3, beside > 1 - 1e-3
        if (out_along * means).sum() + (out_beside * rest).sum() > FEW_OF_NOISE:
            return None
        # What stands out is not part of the noise that others see.
        return 1 / (1 - np.where(out_along, 0, along)), 1 / (1 - np.where(out_beside, 0, beside))


@dataclass(frozen=True, eq=False)
class Spectrum:
    """What the singular values of an expansion depend on, of its base and its cells.

    The leading singular vectors of R, averaged over cells, span the space in which they are found.
    """

    core: _Floats  # P R Q in that space.
    exchanged_items: _Floats  # By class of items, P R (1 − Q) Rᵀ P of each.
    exchanged_users: _Floats
    user_degrees: _Floats  # By class of users, the diagonal of degrees.
    item_degrees: _Floats
    energy: _Floats  # Interactions by class of users and of items …
    of_means: _Floats  # … how much of them is left of means over cells of users and what is beside those of items …
    of_rest: _Floats  # … of means over cells of items …
    beside: _Floats  # … and of neither.
    users: tuple[_Floats, _Floats]  # Cells, and other directions, of each class.
    items: tuple[_Floats, _Floats]

    @classmethod
    def of(cls, base: Canonical, cells: Cells) -> Self:
        """Measure a base in canonical order, and its cells of places in it."""
        svd = base.svd()
        by_user, user_sizes = _averaging(cells.user_order, cells.user_starts)
        by_item, item_sizes = _averaging(cells.item_order, cells.item_starts)
        left, right = orthonormal(by_user @ svd.u)[0], orthonormal(by_item @ svd.vt.T)[0]
        user_degrees = _means(base.user_degrees, cells.user_order, cells.user_starts, user_sizes)
        item_degrees = _means(base.item_degrees, cells.item_order, cells.item_starts, item_sizes)
        user_class, item_class = _classes(user_degrees), _classes(item_degrees)
        shape = int(user_class.max()) + 1, int(item_class.max()) + 1
        seen_by_items = base.products.T @ (by_user.T @ left)
        seen_by_users = base.products @ (by_item.T @ right)
        item_cell, user_cell = (by.turned.columns.astype(np.int64) for by in (by_item, by_user))
        item_means, user_means = by_item @ seen_by_items, by_user @ seen_by_users

        some, scale = _sampled(user_class, user_sizes, base.products.count)
        members = _members(cells.user_order, cells.user_starts, some)
        starts = np.concatenate(([0], np.cumsum(user_sizes[some])))
        rows = base.products.rows
        measured = cell_energies(
            (rows.starts, rows.columns), (members, starts, user_class[some]), (item_cell, item_sizes, item_class), shape
        )
        means, along_users, along_items, total = (energy * scale[:, None] for energy in measured)
        return cls(
            left.T @ user_means,
            _by_class(seen_by_items, item_class[item_cell], shape[1]) - _by_class(item_means, item_class, shape[1]),
            _by_class(seen_by_users, user_class[user_cell], shape[0]) - _by_class(user_means, user_class, shape[0]),
            _by_class(left * np.sqrt(user_degrees)[:, None], user_class, shape[0]),
            _by_class(right * np.sqrt(item_degrees)[:, None], item_class, shape[1]),
            total,
            np.maximum(along_users - means, 0),
            np.maximum(along_items - means, 0),
            np.maximum(total - along_users - along_items + means, 0),
            _directions(user_class, user_sizes, shape[0]),
            _directions(item_class, item_sizes, shape[1]),
        )

    def predict(self, keep_rates: _Floats, count: int = 64) -> _Floats:
        """Predict the leading singular values of an expansion with keep rates K, (m, n), in descending order.

        There may be fewer than `count`.
        """
        if not keep_rates.any():
            return np.zeros(count)
        # The leading values without noise say where to look for its edge, and up to where it matters.
        none = self._no_noise(keep_rates)
        plain = self._values(keep_rates, none, min(count, 4))
        edge = self._edge(keep_rates, plain[:2][-1] ** 2)
        squares = np.geomspace(edge * 1.02, max(plain[-1] ** 2, edge * 1.5), LEVELS)
        noises = [(square, self._noise(keep_rates, square)) for square in squares]
        known = [(square, noise) for square, noise in noises if noise is not None]
        if not known:
            return self._values(keep_rates, none, count)
        levels = np.sqrt([square for square, _ in known])
        found = np.array([self._values(keep_rates, noise, count) for _, noise in known])
        predicted, breadth, beyond = np.empty(found.shape[1]), self._breadth(keep_rates), 0
        for place in range(len(predicted)):
            # The more noise, the nearer to its edge: where the value is the level it was computed for.
            above = found[:, place] - levels
            if above[-1] > 0:
                predicted[place] = found[-1, place]
            elif above[0] <= 0:
                # The values of the noise thin out towards its edge as those of a semicircle (Wigner).
                predicted[place] = np.sqrt(edge) * (1 - min(1.0, _SEMICIRCLE * (beyond + 0.5) / breadth) ** (2 / 3))
                beyond += 1
            else:
                k = np.flatnonzero(above > 0)[-1]
                share = above[k] / (above[k] - above[k + 1])
                predicted[place] = levels[k] + share * (levels[k + 1] - levels[k])
        return -np.sort(-predicted)

    def _breadth(self, keep_rates: _Floats) -> float:
        """Over how many directions the noise spreads: (Σ energy)² / Σ energy² of users, or of items if that is less."""
        counts = []
        for axis, (cells, rest) in enumerate((self.users, self.items)):
            rates, energy = keep_rates.sum(axis=1 - axis), self.energy.sum(axis=1 - axis)
            spread = np.square(rates).sum() * (np.square(energy) / (cells + rest)).sum()
            counts.append((rates.sum() * energy.sum()) ** 2 / spread)
        return float(min(counts))

    def _values(self, keep_rates: _Floats, noise: _Noise, count: int) -> _Floats:
        users, items = self._seen(noise)
        variance, squares = keep_rates * (1 - keep_rates), np.square(keep_rates)
        of_users = variance @ (items @ _shares(self.energy).T)
        of_items = variance.T @ (users @ _shares(self.energy.T).T)
        # Each value is that of a mode of K; of as many values as modes none is of a later one.
        left, s, right = _modes(keep_rates, min(max(keep_rates.shape), count))

        def covariances(
            vectors: _Floats, exchanged: _Floats, dropped: _Floats, parts: _Floats, degrees: _Floats
        ) -> _Floats:
            # Of the k-th singular vector of K: what is beyond its own row blocks averages out.
            weights = np.square(vectors)
            return np.tensordot(weights @ exchanged, parts, 1) + np.tensordot(weights @ dropped, degrees, 1)

        from_left = covariances(left, squares @ noise.item_rest, of_users, self.exchanged_items, self.user_degrees)
        from_right = covariances(right, squares.T @ noise.user_rest, of_items, self.exchanged_users, self.item_degrees)
        both = min(len(from_left), len(from_right))
        found = [
            _squares(s[:both], self.core, from_left[:both], from_right[:both]),
            # Of more modes on one side than there are values of K, noise is all there is.
            np.linalg.eigvalsh(from_left[both:]),
            np.linalg.eigvalsh(from_right[both:]),
        ]
        values = np.concatenate([part.ravel() for part in found])
        return np.asarray(np.sqrt(np.maximum(-np.sort(-values)[:count], 0)))

    def _seen(self, noise: _Noise) -> tuple[_Floats, _Floats]:
        """Return the resolvent of a user, and of an item, as one interaction meets it."""
        of_users, of_items = (
            (means * size[0] + rest * size[1]) / size.sum(axis=0)
            for means, rest, size in (
                (noise.user_means, noise.user_rest, np.array(self.users)),
                (noise.item_means, noise.item_rest, np.array(self.items)),
            )
        )
        return of_users, of_items

    def _no_noise(self, keep_rates: _Floats) -> _Noise:
        """Return the resolvent far above all noise."""
        (m, n), users, items = keep_rates.shape, len(self.users[0]), len(self.items[0])
        return _Noise(np.ones((m, users)), np.ones((m, users)), np.ones((n, items)), np.ones((n, items)))

    def _noise(self, keep_rates: _Floats, square: float) -> _Noise | None:
        """Solve for the resolvent of the noise at σ² = `square`; None where it has singular values that large."""
        noise = self._no_noise(keep_rates)
        of_users = _Half(self.energy, self.of_means, self.of_rest, self.beside, self.users, keep_rates)
        of_items = _Half(self.energy.T, self.of_rest.T, self.of_means.T, self.beside.T, self.items, keep_rates.T)
        for _ in range(_ITERATIONS):
            users = of_users.resolvents(noise.item_means, noise.item_rest, self._seen(noise)[1], square)
            if users is None:
                return None
            half = _Noise(*users, noise.item_means, noise.item_rest)
            items = of_items.resolvents(*users, self._seen(half)[0], square)
            if items is None:
                return None
            moved = max(np.abs(items[0] - noise.item_means).max(), np.abs(items[1] - noise.item_rest).max())
            noise = _Noise(*users, *items)
            if moved < 1e-4:
                break
        return noise

    def _edge(self, keep_rates: _Floats, highest: float) -> float:
        """Find the square of the largest singular value that the noise has by itself."""
        while self._noise(keep_rates, highest) is None:
            highest *= 2
        # From above: below the edge, too, there may be a solution without what stands out by then.
        lowest = highest
        while highest > 1e-12 and self._noise(keep_rates, lowest := highest * _STEP) is not None:
            highest = lowest
        while highest - lowest > _EDGE * highest:
            middle = (lowest + highest) / 2
            if self._noise(keep_rates, middle) is None:
                lowest = middle
            else:
                highest = middle
        return highest


def _modes(matrix: _Floats, count: int) -> tuple[_Floats, _Floats, _Floats]:
    """Return so many singular vectors of each side as rows, or all there are, and all singular values between them.

    Of a side that has more vectors than there are values, those beyond stand for any that are orthogonal to the others.
    """
    is_small = max(matrix.shape) <= _SMALL
    u, s, vt = np.linalg.svd(matrix, full_matrices=is_small)
    sides = []
    for vectors in (u.T, vt):
        wanted = min(count, vectors.shape[1])
        if len(vectors) < wanted:
            # All of them would be a square matrix of the longer side.
            axes = np.eye(vectors.shape[1], wanted - len(vectors))
            others = np.linalg.qr(np.hstack([vectors.T, axes]))[0].T[len(vectors) :]
            vectors = np.concatenate([vectors, others])
        sides.append(vectors[:wanted])
    return sides[0], s, sides[1]


def _squares(strengths: _Floats, core: _Floats, from_left: _Floats, from_right: _Floats) -> _Floats:
    """Return the squares of the singular values of [sM, √S; √Tᵀ, 0] for each s, S and T: M of shape (b, c).

    They are eigenvalues of its product with its transpose, where any E with E Eᵀ = T will do.
    """
    (b, c), modes = core.shape, len(strengths)
    # The factor of Cholesky is many times as quick as a root; so much more noise is none.
    size = np.einsum("kii->k", from_right) + np.square(strengths) * np.square(core).sum()
    root = np.linalg.cholesky(from_right + (_TINY * size + 1e-300)[:, None, None] * np.eye(c))
    whole = np.zeros((modes, b + c, b + c))
    whole[:, :b, :b] = np.square(strengths)[:, None, None] * (core @ core.T) + from_left
    whole[:, b:, :b] = strengths[:, None, None] * (root.transpose(0, 2, 1) @ core.T)
    whole[:, b:, b:] = root.transpose(0, 2, 1) @ root
    return np.asarray(np.linalg.eigvalsh(whole))


def _sampled(classes: _Codes, sizes: _Codes, interactions: int) -> tuple[_Codes, _Floats]:
    """Choose cells, some of each class, that stand for all where there are many interactions; and for how many."""
    step = -(-interactions // SAMPLE)
    order = np.argsort(classes, kind="stable")
    starts = np.flatnonzero(np.diff(classes[order], prepend=-1))
    # Places in canonical order say nothing of tastes, so every so manieth will do.
    some = order[(np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))) % step == 0]
    return some, np.bincount(classes, sizes) / np.bincount(classes[some], sizes[some])


def _members(order: npt.NDArray[np.uint32], starts: npt.NDArray[np.uint32], some: _Codes) -> _Codes:
    """Return the members of some cells, one cell after the other."""
    return np.concatenate([order[starts[cell] : starts[cell + 1]] for cell in some]).astype(np.int64)


def _averaging(order: npt.NDArray[np.uint32], starts: npt.NDArray[np.uint32]) -> tuple[Sparse, _Codes]:
    """Return the matrix, with orthonormal rows, that takes the means of cells, and their sizes."""
    sizes: _Codes = np.asarray(np.diff(starts.astype(np.int64)), np.int64)
    cell, values = np.empty(len(order), np.int32), 1 / np.sqrt(sizes)
    cell[order] = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    rows = Rows(starts.astype(np.int64), order.astype(np.int32), np.repeat(values, sizes))
    return Sparse(rows, Rows(np.arange(len(order) + 1, dtype=np.int64), cell, values[cell])), sizes


def _means(of: _Codes, order: npt.NDArray[np.uint32], starts: npt.NDArray[np.uint32], sizes: _Codes) -> _Floats:
    """Return the mean over each cell."""
    return np.asarray(np.add.reduceat(of[order], starts[:-1].astype(np.int64)) / sizes)


def _classes(degrees: _Floats) -> _Codes:
    scale = np.log(np.maximum(degrees, 0.2))
    low, high = scale.min(), scale.max()
    if high - low < 1e-9:
        return np.zeros(len(degrees), np.int64)
    place = np.minimum((scale - low) / (high - low) * CLASSES, CLASSES - 1).astype(np.int64)
    return np.unique(place, return_inverse=True)[1].astype(np.int64)


def _by_class(rows: _Floats, classes: _Codes, count: int) -> _Floats:
    """Return XᵀX of the rows of each class."""
    order, ends = np.argsort(classes, kind="stable"), np.cumsum(np.bincount(classes, minlength=count))
    # One class at a time, whose rows are in cache when they are multiplied.
    return np.array([(some := rows[of_class]).T @ some for of_class in np.split(order, ends[:-1])])


def _directions(classes: _Codes, sizes: _Codes, count: int) -> tuple[_Floats, _Floats]:
    cells = np.bincount(classes, minlength=count).astype(np.float64)
    return cells, np.bincount(classes, sizes - 1, minlength=count).astype(np.float64)


def _shares(energy: _Floats) -> _Floats:
    """Return how the interactions of a class are shared among those of the other side."""
    return np.asarray(energy / np.maximum(energy.sum(axis=1, keepdims=True), 1e-12))
