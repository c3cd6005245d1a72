"""A bit that flips inside a page is a failed check of its part, not the refusal of the data set."""

import io
import random
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import fractalrs as fr
from fractalrs.validation.checks.pages import has_whole_pages
from helpers.commands import run
from helpers.folders import small_expansion


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fr.write(small_expansion(), tmp_path_factory.mktemp("pages") / "out", parts=2).path


def test_a_bit_flip_inside_a_page_fails_a_check_of_its_part(written: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(written, tmp_path / "out"))
    part = out / "train/part-00001-of-00002.parquet"
    whole, footer = part.read_bytes(), pq.read_metadata(part)
    users, items = (footer.row_group(0).column(at) for at in (0, 1))
    # Beyond the headers, which are told to be damaged as before.
    places = [*range(users.data_page_offset + 60, items.data_page_offset)]
    places += range(items.data_page_offset + 60, len(whole) // 2)
    unreadable = 0
    for seed in range(40):
        draw = random.Random(seed)
        content, at = bytearray(whole), draw.choice(places)
        content[at] ^= 1 << draw.randrange(8)
        part.write_bytes(content)
        done = run("validate", out, "--digests")
        assert done.code == 3, f"seed {seed}, byte {at}: {done}"
        assert re.search(r"train/part-00001-of-00002\.parquet", done.out), f"seed {seed}, byte {at}: {done}"
        unreadable += "every page of the files can be read" in done.out
    # Of others the values are wrong, and known by their digest or by what they are.
    assert 0 < unreadable < 40


def test_pages_are_where_their_headers_say(written: Path) -> None:
    for part in sorted(written.rglob("*.parquet")):
        footer, content = pq.read_metadata(part), part.read_bytes()
        assert has_whole_pages(io.BytesIO(content), footer)
        first = footer.row_group(0).column(1).data_page_offset
        for at in range(first, first + 4):
            changed = content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]
            assert not has_whole_pages(io.BytesIO(changed), footer)
        assert not has_whole_pages(io.BytesIO(content[: len(content) // 2]), footer)
