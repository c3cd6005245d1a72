"""The core: generate by shuffle, encode, digest, write; and `fr.write`, which is all of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measure import Size, Stage, run
from suite import Timed

import fractalrs as fr
from fractalrs.tools import Digest

CASES: list[tuple[Stage, dict[str, Any]]] = [
    ("generate", {"shuffle": "none"}),
    ("generate", {"shuffle": "aligned"}),
    ("generate", {"shuffle": "cells"}),
    ("generate", {"shuffle": "block"}),
    ("generate", {"shuffle": "aligned", "carrying": True}),
    ("encode", {"shuffle": "cells"}),
    ("encode", {"shuffle": "aligned", "carrying": True}),
    ("write", {"shuffle": "cells"}),
    ("flush", {"shuffle": "cells"}),
    ("flush", {"shuffle": "aligned", "carrying": True}),
    ("flush", {"shuffle": "cells", "multipliers": (16, 128)}),
]


def named(value: Any) -> str:
    return "-".join(map(str, value.values())).replace("True", "carrying") if isinstance(value, dict) else value


@pytest.mark.parametrize(("stage", "options"), CASES, ids=named)
def test_run(timed: Timed, size: Size, out: Path, stage: Stage, options: dict[str, Any]) -> None:
    plan = fr.plan(size.expansion(**options))
    timed(run, lambda: (plan, stage, out), interactions=plan.expansion.expected_interactions)


def test_digest(timed: Timed) -> None:
    """Of as many bytes as the ids take on disk, 2.2 an interaction."""
    data = np.random.default_rng(0).integers(256, size=1 << 24, dtype=np.uint8).tobytes()

    def digest() -> None:
        taken = Digest()
        taken.update(data)
        taken.hex()

    timed(digest, interactions=len(data) / 2.2)


def test_write(timed: Timed, size: Size, out: Path) -> None:
    made = iter(range(10))
    expansion = size.expansion()
    timed(
        fr.write,
        lambda: (size.expansion(), out / str(next(made))),
        interactions=expansion.expected_interactions,
    )
