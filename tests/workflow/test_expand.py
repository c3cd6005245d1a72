"""The workflow in one call: what `expand` writes and shows."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import fractalrs as fr


def test_source_timestamps_keep_their_type(tmp_path: Path) -> None:
    table = fr.sample_interactions(60, 80, 1_500).table
    seconds = table["timestamp"].to_numpy()
    for kind, ticks, week in (
        (pa.timestamp("us", "UTC"), seconds * 1_000_000, 604_800_000_000),
        (pa.timestamp("ms"), seconds * 1_000, 604_800_000),
        (pa.date32(), seconds // 86_400, 7),
        (pa.int64(), seconds * 1_000, 604_800_000),
    ):
        column = pa.array(ticks.astype(np.int32) if kind == pa.date32() else ticks).cast(kind)
        plain = {name: table[name].combine_chunks().cast(pa.int64()) for name in ("user_id", "item_id")}
        source = pa.table(plain | {"timestamp": column})
        out = tmp_path / str(kind).replace("[", "").replace("]", "").replace(",", "")
        dataset = fr.expand(source, out, user_multiplier=2, item_multiplier=3, profile="traceable", timestamps=True)
        assert dataset.train.schema.field("timestamp").type == kind
        written = dataset.train.to_table()["timestamp"].combine_chunks()
        wide = written.cast(pa.int32()) if kind == pa.date32() else written.cast(pa.int64())
        # Clocks of row blocks are put forward, by a twentieth of the time at the most.
        last = ticks.max() + np.ptp(ticks) // 20 + week
        assert ticks.min() <= np.min(wide.to_numpy()) <= np.max(wide.to_numpy()) <= last


def test_notes_are_logged_and_python_shows_them_with_its_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {"user_multiplier": 2, "item_multiplier": 3, "profile": "traceable"}
    fr.expand("sample", tmp_path / "silent", **options)
    assert capsys.readouterr() == ("", "")
    caplog.set_level(logging.INFO, "fractalrs")
    fr.expand("sample", tmp_path / "out", progress=True, **options)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "reading" in shown.err.splitlines()
    assert [record.getMessage() for record in caplog.records if record.name.startswith("fractalrs.")]
    fr.expand("sample", tmp_path / "out", **options)
    assert capsys.readouterr() == ("", "")
