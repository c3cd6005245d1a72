"""What reads a data set: passes, validation, exports."""

from pathlib import Path

import numpy as np
import pytest
from measure import Size, emptied
from suite import Timed

import fractalrs as fr
from fractalrs.formats import FORMATS

WIDTH = 8
"""Vectors that are multiplied at once."""
CHOSEN = 2_000


@pytest.fixture(scope="module")
def dataset(size: Size) -> fr.Dataset:
    return fr.write(size.expansion(), size.folder / "expanded")


@pytest.fixture(scope="module", params=["files", "generated"])
def matrix(request: pytest.FixtureRequest, size: Size) -> fr.StreamedMatrix:
    of = request.getfixturevalue("dataset") if request.param == "files" else size.expansion()
    return fr.StreamedMatrix(of)


def test_degrees(timed: Timed, matrix: fr.StreamedMatrix) -> None:
    timed(matrix.degrees, interactions=matrix.interactions)


def test_gram_product(timed: Timed, matrix: fr.StreamedMatrix) -> None:
    x = np.random.default_rng(0).random((matrix.shape[1], WIDTH), dtype=np.float32)
    timed(matrix.gram, lambda: (x,), interactions=matrix.interactions)


def test_cooccurrence(timed: Timed, matrix: fr.StreamedMatrix) -> None:
    items = np.arange(0, matrix.shape[1], matrix.shape[1] // CHOSEN)
    timed(matrix.cooccurrence, lambda: (items,), interactions=matrix.interactions, rounds=1)


def test_collect(timed: Timed, matrix: fr.StreamedMatrix) -> None:
    users = np.arange(0, matrix.shape[0], matrix.shape[0] // CHOSEN)
    timed(matrix.collect, lambda: (users,), interactions=matrix.interactions)


@pytest.mark.parametrize("only", ["integrity", "fidelity"])
def test_validate(timed: Timed, size: Size, dataset: fr.Dataset, only: str) -> None:
    def validate(base: fr.Base) -> bool:
        return fr.validate(dataset, base, only=only).holds  # type: ignore[arg-type]

    made = sum(dataset.totals[split] for split in dataset.splits)
    timed(validate, lambda: (size.base(),), interactions=made, rounds=1)


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_export(timed: Timed, dataset: fr.Dataset, out: Path, format: str) -> None:
    def export() -> None:
        fr.export(dataset, emptied(out) / "exported", format=format)

    timed(export, interactions=sum(dataset.totals[split] for split in dataset.splits), rounds=2)
