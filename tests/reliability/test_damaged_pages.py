"""A bit that flips inside a page is a failed check of its part, not the refusal of the data set."""

import random
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import fractalrs as fr
from helpers.commands import run
from helpers.folders import small_expansion


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fr.write(small_expansion(), tmp_path_factory.mktemp("pages") / "out", parts=2).path


def test_a_bit_flip_inside_a_page_fails_a_check_of_its_part(written: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(written, tmp_path / "out"))
    part = out / "train/part-00001-of-00002.parquet"
    whole, ends = part.read_bytes(), {0: 0, 3: 0}
    pages = len(whole) - 8 - pq.read_metadata(part).serialized_size
    for seed in range(25):
        draw = random.Random(seed)
        content, at = bytearray(whole), draw.randrange(4, pages)
        content[at] ^= 1 << draw.randrange(8)
        part.write_bytes(content)
        done = run("validate", out, "--only", "integrity", "--digests")
        assert done.code == 3, f"seed {seed}, byte {at}: {done}"
        assert re.search(r"train/part-00001-of-00002\.parquet", done.out), f"seed {seed}, byte {at}: {done}"
        quick = run("validate", out, "--only", "integrity", "--quiet")
        ends[quick.code] += 1
    # Some bits change nothing that is checked without digests.
    assert ends[3] > ends[0]
