"""What the page on scale computes: how busy parts keep many workers, and what their number costs."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import BinaryIO, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

import fractalrs as fr
from fractalrs.dataset import write_parts
from fractalrs.tools import LocalStore
from helpers.folders import small_expansion
from helpers.scale import Outcome, of_queue, of_ranges, part_counts

PAGE = (Path(__file__).resolve().parents[2] / "docs/scale.md").read_text(encoding="utf-8")
INTERACTIONS, PARTS = 1e12, 10_000
SECONDS, START, SPEED = 28e-9, 5.0, 0.05
"""Of an interaction, where a network is shared; of a start; and by how much workers differ."""


@cache
def counts() -> npt.NDArray[np.float64]:
    """Counts of parts of a base of MovieLens 20M's users: 144 interactions each, with a standard deviation of 230."""
    rng, spread = np.random.default_rng(0), 1.6
    sigma = np.sqrt(np.log(1 + spread**2))
    degrees = np.maximum(20, rng.lognormal(np.log(144) - sigma**2 / 2, sigma, 138_493)).astype(np.int64)
    return part_counts(degrees, rng.lognormal(0, 1, 2_048), PARTS, INTERACTIONS, seed=1)


def simulated(workers: int) -> tuple[Outcome, Outcome]:
    speeds = np.exp(np.random.default_rng(workers).normal(0, SPEED, workers))
    seconds = counts() * SECONDS
    return of_queue(seconds, speeds, START), of_ranges(seconds, speeds, START)


@pytest.mark.parametrize("workers", [10, 100, 1_000])
def test_the_page_has_the_efficiency_that_is_simulated(workers: int) -> None:
    queue, ranges = simulated(workers)
    shown = [queue.efficiency, queue.straggling, ranges.efficiency, ranges.straggling]
    row = f"| {workers:,} | {INTERACTIONS * SECONDS / workers / 60:.1f} min |"
    assert f"{row} " + " | ".join(f"{share:.1%}" for share in shown) + " |" in PAGE


@pytest.mark.parametrize("shuffle", ["block", "cells"])
def test_simulated_parts_are_no_more_even_than_real_ones(shuffle: str) -> None:
    parts, real = 40, []
    for seed in range(25):
        made = small_expansion(shuffle=shuffle, seed=seed)
        users = np.concatenate([batch["user_id"].to_numpy() for batch in made.stream(columns=["user_id"])])
        real.append(np.histogram(users, made.cuts(parts))[0])
    degrees, weights = made.base.user_degrees("train"), made.keep_rates.sum(1)
    drawn = [part_counts(degrees, weights, parts, np.sum(real) / len(real), seed) for seed in range(25)]
    assert np.mean(drawn) == pytest.approx(np.mean(real), rel=0.02)
    assert 0.9 < np.std(drawn, axis=0).mean() / np.std(real, axis=0).mean() < 5


def test_the_page_has_the_bytes_of_a_part_in_the_manifest(tmp_path: Path) -> None:
    dataset = fr.write(small_expansion(), tmp_path, parts=300)
    (shown,) = re.findall(r"about (\d+) bytes a part in the manifest", PAGE)
    assert (tmp_path / "manifest.json").stat().st_size / len(dataset.parts) == pytest.approx(int(shown), rel=0.1)


class CountingStore(LocalStore):
    """A folder that counts what it is asked."""

    asked: ClassVar[Counter[str]] = Counter()

    def open(self, name: str) -> BinaryIO:
        self.asked["open"] += 1
        return super().open(name)

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        asked = [*names]
        self.asked["looks"] += 1
        self.asked["sizes"] += len(asked)
        return super().sizes(asked)

    def list(self) -> dict[str, int]:
        self.asked["list"] += 1
        return super().list()


def test_a_part_of_many_is_written_without_a_look_at_the_others(tmp_path: Path) -> None:
    plan, store = fr.plan(small_expansion(), parts=50), CountingStore(tmp_path / "out")
    write_parts(plan, range(49), store)
    CountingStore.asked.clear()
    fr.write_part(plan, 49, store)
    looks, sizes, opens = map(
        int, re.findall(r"(\d+) looks at the sizes of (\d+) files, (\d+) small files read", PAGE)[0]
    )
    assert CountingStore.asked == {"looks": looks, "sizes": looks * sizes, "open": opens}
