"""The recipes of docs/ranking.md for other libraries, as they stand there. Skipped where those are not installed."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fractalrs as fr
from fractalrs.evaluation import Halves, rank
from fractalrs.models import ItemKNN, Popularity, Recommender

pytestmark = pytest.mark.adapters

PAGE = Path(__file__).parents[2] / "docs/ranking.md"


def recipe(name: str) -> Any:
    """Run the block of the page that defines a class, and return it."""
    blocks = re.findall(r"```py\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = (block for block in blocks if f"class {name}(" in block)
    names: dict[str, Any] = {}
    exec(block, names)
    return names[name]


def hits(model: Recommender, base: fr.Base) -> float:
    found = rank(model.fit(base.train), Halves.of_base(base))
    assert found is not None
    return found.hr[10]


@pytest.fixture(scope="module")
def base() -> fr.Base:
    return fr.leave_last_out(fr.sample_interactions(120, 60, 1_800))


def test_lenskit(base: fr.Base) -> None:
    basic, knn = (pytest.importorskip(f"lenskit.{name}") for name in ("basic", "knn"))
    make = recipe("LensKit")
    assert hits(make(basic.PopScorer()), base) == pytest.approx(hits(Popularity(), base), abs=0.01)
    neighbours = make(knn.ItemKNNScorer(max_nbrs=20, feedback="implicit"))
    assert hits(neighbours, base) == pytest.approx(hits(ItemKNN(), base), abs=0.1)


def test_recbole(base: fr.Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("recbole")
    monkeypatch.chdir(tmp_path)  # It writes logs and models where it runs.
    make = recipe("RecBole")
    near = make("ItemKNN", epochs=1, k=60)
    whole = ItemKNN(60).fit(base.train)(np.arange(120))
    # Its cosine is the same but for its rounding.
    np.testing.assert_allclose(near.fit(base.train)(np.arange(120)), whole, rtol=1e-3)
    assert hits(make("EASE", epochs=1), base) > 0.6
    assert hits(make("BPR", epochs=5), base) > 10 / 60
