"""Writing: files, manifest, formats, resuming, and everything that is refused."""

import io
import itertools
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3

import fractalrs as fr
from fractalrs.base import base_statistics
from fractalrs.dataset import ParquetOptions, expected_bytes
from fractalrs.errors import FractalrsError, InputError, OutputError
from fractalrs.expansion import Cells, Expansion
from fractalrs.tools import LocalStaging, LocalStore, read_labelled
from helpers import oracle
from helpers.folders import RATES, cleared_but_killed, digests, files_of, read, small_base, small_expansion, sql, stamps

SPLITS = ("train", "test")


@pytest.fixture(scope="module")
def expansion() -> Expansion:
    return small_expansion()


@pytest.fixture(scope="module")
def written(expansion: Expansion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run in 7 parts; not to be changed."""
    path = tmp_path_factory.mktemp("writing") / "out"
    fr.write(expansion, path, parts=7, threads=2)
    return path


@pytest.fixture
def out(written: Path, tmp_path: Path) -> Path:
    """A copy of `written` that a test may damage."""
    shutil.copytree(written, tmp_path / "out")
    return tmp_path / "out"


def manifest_of(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((path / "manifest.json").read_text())
    return content


# --- the files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shuffle", ["none", "aligned", "cells", "mixed", "block"])
def test_interactions_are_the_same_for_any_threads_and_parts(tmp_path: Path, shuffle: Any) -> None:
    expansion = small_expansion(shuffle=shuffle)
    whole = {split: expansion.table(0, 600, split) for split in SPLITS}  # type: ignore[arg-type]
    for parts in (1, 3, 7):
        for threads in (1, 2):
            path = tmp_path / f"{parts}-{threads}"
            fr.write(expansion, path, parts=parts, threads=threads)
            for split in SPLITS:
                assert len(files_of(path, split)) == parts
                assert read(path, split).equals(whole[split])
        assert digests(tmp_path / f"{parts}-1") == digests(tmp_path / f"{parts}-2")


def test_parts_are_the_documented_ranges_across_row_blocks(written: Path, expansion: Expansion) -> None:
    bounds = expansion.cuts(7)
    assert [part["users"] for part in manifest_of(written)["parts"]] == [
        [first, last] for first, last in itertools.pairwise(bounds)
    ]
    for split in SPLITS:
        for k, file in enumerate(files_of(written, split)):
            assert file.name == f"part-{k:05d}-of-00007.parquet"
            table = pq.read_table(file)
            assert table.equals(expansion.table(bounds[k], bounds[k + 1], split))  # type: ignore[arg-type]
            assert table.schema.equals(expansion.schema)


def test_one_part_a_user_is_the_most(tmp_path: Path) -> None:
    base = fr.Base.from_arrays([0, 2, 4, 5], [0, 1, 1, 2, 0], [False, True] * 2 + [False])
    expansion = Expansion(base, np.full((2, 2), 0.9), shuffle="aligned")
    fr.write(expansion, tmp_path / "out", parts=6)
    assert read(tmp_path / "out", "train").equals(expansion.table(0, 6))
    for parts in (0, -1, 7):
        with pytest.raises(InputError, match=f"parts is {parts}.* 6"):
            fr.write(expansion, tmp_path / "other", parts=parts)
    assert not (tmp_path / "other").exists()


def test_the_default_number_of_parts_depends_on_the_expansion_only(expansion: Expansion) -> None:
    assert fr.plan(expansion).part_count == 1
    parts = fr.plan(expansion, part_interactions=10_000).part_count
    assert parts == -(-expansion.expected_interactions // 10_000)


@pytest.mark.parametrize(
    ("interactions", "parts"),
    [
        (0, 1),
        (1e6, 1),
        (1.1e6, 2),
        (20e6, 20),
        (128e6, 128),
        (500e6, 128),
        (2.048e9, 128),
        (2.6e9, 163),
        (1e12, 62_500),
    ],
)
def test_parts_have_from_1_to_16_million_interactions_by_default(interactions: float, parts: int) -> None:
    class Sized(Expansion):
        expected_interactions = interactions

    assert (
        fr.plan(Sized(fr.leave_last_out(fr.sample_interactions(500, 40, 5_000)), np.full((999, 1), 0.5))).part_count
        == parts
    )


def test_no_test_folder_where_nothing_is_held_out(tmp_path: Path) -> None:
    base = fr.leave_last_out(fr.sample_interactions(50, 40, 500), split="none")
    dataset = fr.write(Expansion(base, RATES, shuffle="aligned"), tmp_path / "out", parts=2)
    assert not (tmp_path / "out/test").exists()
    assert dataset.totals["test"] == 0
    assert dataset.totals["files"] == 2
    assert all("test" not in part.files for part in dataset.parts)
    assert dataset.train.count_rows() == dataset.totals["train"] > 0
    assert dataset.test.count_rows() == 0
    assert dataset.test.schema.equals(dataset.train.schema)
    assert "test/" not in (tmp_path / "out/README.md").read_text().split("---")[1]


def test_a_part_without_interactions_has_its_files(tmp_path: Path) -> None:
    base = fr.Base.from_arrays([0, 0, 2], [0, 1], [False, True])
    dataset = fr.write(Expansion(base, [[0.95]], shuffle="none", min_keep=0), tmp_path / "out", parts=2)
    assert dataset.parts[0].files["train"][0].rows == 0
    assert len(files_of(tmp_path / "out", "train")) == len(files_of(tmp_path / "out", "test")) == 2


def test_order_by_item_sorts_each_user(tmp_path: Path, expansion: Expansion) -> None:
    ordered = fr.write(small_expansion(order="item"), tmp_path / "out").train.to_table()
    assert ordered.equals(ordered.sort_by([("user_id", "ascending"), ("item_id", "ascending")]))
    by_block = expansion.table(0, 600)
    assert not by_block.equals(ordered)
    assert by_block.sort_by([("user_id", "ascending"), ("item_id", "ascending")]).equals(ordered)


@pytest.mark.parametrize("shuffle", ["none", "aligned", "cells", "mixed", "block"])
def test_a_given_matrix_may_be_larger_than_the_base(tmp_path: Path, shuffle: Any) -> None:
    base = fr.Base.from_arrays([0, 2, 4, 5], [0, 1, 1, 2, 0], [False, True] * 2 + [False])
    rates = np.linspace(0.1, 0.9, 77).reshape(7, 11)
    expansion = Expansion(base, rates, shuffle=shuffle, max_keep=0.95, seed=3)
    fr.write(expansion, tmp_path / "out", parts=2)
    train, _, test = oracle.expand(base, rates, expansion.cells, shuffle=shuffle, seed=3)
    for split, interactions in zip(SPLITS, (train, test), strict=True):
        table = read(tmp_path / "out", split)
        users_and_items = np.column_stack([column.to_numpy() for column in table.columns])
        np.testing.assert_array_equal(users_and_items, oracle.pairs(interactions))
        assert len(table) > 50


# --- the manifest and private/ ---------------------------------------------------------------------------------------


def test_the_manifest_says_what_is_there(written: Path, expansion: Expansion) -> None:
    manifest = manifest_of(written)
    files = [(split, part[split]) for part in manifest["parts"] for split in SPLITS]
    on_disk = {str(file.relative_to(written)) for split in SPLITS for file in files_of(written, split)}
    assert {file["path"] for _, file in files} == on_disk
    for _, file in files:
        content = (written / file["path"]).read_bytes()
        assert file["bytes"] == len(content)
        assert file["blake3"] == blake3(content).hexdigest()
        assert file["rows"] == pq.read_metadata(written / file["path"]).num_rows
    rows = {split: sum(file["rows"] for of, file in files if of == split) for split in SPLITS}
    assert manifest["totals"] == {
        **rows,
        "interactions": sum(rows.values()),
        "bytes": sum(file["bytes"] for _, file in files),
        "files": 14,
    }
    assert rows == {split: len(expansion.table(0, 600, split)) for split in SPLITS}  # type: ignore[arg-type]
    assert (manifest["base_users"], manifest["base_items"]) == (200, 150)
    assert (manifest["user_multiplier"], manifest["item_multiplier"]) == (3, 5)
    assert manifest["generator"] == 3
    assert manifest["schema"] == [{"name": "user_id", "type": "int32"}, {"name": "item_id", "type": "int32"}]
    assert (manifest["profile"], manifest["shuffle"]) == ("realistic", "mixed")


def test_nothing_public_tells_the_seed(tmp_path: Path) -> None:
    seed = 8_765_432_123_456_789
    fr.write(small_expansion(seed=seed), tmp_path / "out")
    assert str(seed) in (tmp_path / "out/private/plan.json").read_text()
    for file in tmp_path.rglob("*"):
        if file.is_file() and "private" not in file.parts:
            content = file.read_bytes()
            assert str(seed).encode() not in content, file
            assert seed.to_bytes(8, "little") not in content, file
            assert b"seed" not in content or file.name == "README.md", file


def test_private_holds_the_plan_and_what_validation_needs(written: Path, expansion: Expansion) -> None:
    private = written / "private"
    names = [".gitignore", "base_statistics.npz", "cells.npz", "division.json", "plan.json", "reduced_matrix.npy"]
    assert sorted(file.name for file in private.iterdir()) == names
    plan = json.loads((private / "plan.json").read_text())
    assert plan["options"]["seed"] == 7
    assert plan["options"]["shuffle"] == "mixed"
    assert plan["generator"] == 3
    assert plan["writing"]["parts"] == 7
    assert plan["base"]["fingerprint"] == expansion.base.fingerprint
    assert plan["fingerprints"] == manifest_of(written)["fingerprints"]
    assert plan["fingerprints"]["expansion"] == expansion.fingerprint
    np.testing.assert_array_equal(np.load(private / "reduced_matrix.npy"), RATES)
    np.testing.assert_array_equal(Cells.load(private / "cells.npz").user_order, expansion.cells.user_order)


def test_base_statistics_are_those_of_the_base(written: Path, expansion: Expansion) -> None:
    base = expansion.base
    train, test = base.train.toarray(), base.test.toarray()
    u, s, vt = np.linalg.svd(train)
    with np.load(written / "private/base_statistics.npz") as statistics:
        for name, degrees in (
            ("train_user_degrees", train.sum(1)),
            ("train_item_degrees", train.sum(0)),
            ("test_user_degrees", test.sum(1)),
            ("test_item_degrees", test.sum(0)),
        ):
            np.testing.assert_array_equal(statistics[name], np.sort(degrees)[::-1])
        np.testing.assert_allclose(statistics["singular_values"], s[:64], rtol=1e-6)
        np.testing.assert_allclose(statistics["user_noise"][:3], (u[:, :3] ** 2).T @ train.sum(1), rtol=1e-4)
        np.testing.assert_allclose(statistics["item_noise"][:3], vt[:3] ** 2 @ train.sum(0), rtol=1e-4)
        edges = np.argwhere(train)
        of_users, of_items = train.sum(1)[edges[:, 0]], train.sum(0)[edges[:, 1]]
        assert float(statistics["assortativity"]) == pytest.approx(np.corrcoef(of_users, of_items)[0, 1], rel=1e-9)
        assert statistics["counts"].tolist() == [base.train_count, base.test_count]
        assert statistics["shape"].tolist() == [200, 150]
        assert str(statistics["fingerprint"]) == base.fingerprint
        assert not any("id" in name.split("_") for name in statistics.files)


# --- reading back ----------------------------------------------------------------------------------------------------


def test_three_readers_count_what_the_manifest_says(written: Path, expansion: Expansion) -> None:
    dataset = fr.open_dataset(written)
    for split in SPLITS:
        glob, count = f"{written}/{split}/*.parquet", dataset.totals[split]
        assert getattr(dataset, split).count_rows() == count
        frame = pl.read_parquet(glob)
        assert frame.height == count
        relation = sql(f"SELECT user_id, item_id FROM '{glob}'")
        found = sql(f"SELECT count(*), sum(user_id), sum(item_id) FROM '{glob}'").fetchall()
        assert found == [(count, frame["user_id"].sum(), frame["item_id"].sum())]
        assert [str(kind) for kind in relation.types] == ["INTEGER", "INTEGER"]
        table = expansion.table(0, 600, split)  # type: ignore[arg-type]
        assert frame.to_arrow().cast(table.schema).equals(table)
    assert dataset.train.schema.equals(expansion.schema)
    assert dataset.shape == (600, 750)
    assert "600 users × 750 items" in repr(dataset)


@pytest.mark.parametrize("encoding", ["default", "fast"])
@pytest.mark.parametrize("compression", ["none", "lz4", "zstd", "zstd(3)", "snappy"])
def test_every_format_reads_back(tmp_path: Path, expansion: Expansion, encoding: str, compression: str) -> None:
    dataset = fr.write(expansion, tmp_path / "out", parquet=ParquetOptions(encoding, compression, row_group_size=5_000))
    for split in SPLITS:
        table = expansion.table(0, 600, split)  # type: ignore[arg-type]
        assert read(tmp_path / "out", split).equals(table)
        glob = f"{tmp_path}/out/{split}/*.parquet"
        assert pl.read_parquet(glob).to_arrow().cast(table.schema).equals(table)
        assert sql(f"SELECT * FROM '{glob}'").to_arrow_table().cast(table.schema).equals(table)
    columns = column_metadata(files_of(tmp_path / "out", "train")[0])
    # What is packed already holds nothing that a quick compressor could find.
    assert columns["user_id"].compression == ("ZSTD" if "zstd" in compression else "UNCOMPRESSED")
    by_library = {"lz4": "LZ4", "snappy": "SNAPPY"} if encoding == "fast" else {}
    assert columns["item_id"].compression == by_library.get(compression, columns["user_id"].compression)
    assert ("BYTE_STREAM_SPLIT" in columns["item_id"].encodings) == (encoding == "fast")
    assert dataset.totals["train"] == len(expansion.table(0, 600))


def column_metadata(file: Path) -> dict[str, Any]:
    group = pq.read_metadata(file).row_group(0)
    columns = [group.column(index) for index in range(group.num_columns)]
    return {column.path_in_schema: column for column in columns}


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd", "snappy"])
def test_the_default_encoding_is_what_spark_3_5_reads(tmp_path: Path, expansion: Expansion, compression: str) -> None:
    fr.write(expansion, tmp_path / "out", parts=2, parquet=ParquetOptions("default", compression))
    for split in SPLITS:
        for file in files_of(tmp_path / "out", split):
            assert pq.read_metadata(file).format_version in ("1.0", "2.6")
            for name, column in column_metadata(file).items():
                assert set(column.encodings) <= {"PLAIN", "RLE", "DELTA_BINARY_PACKED", "RLE_DICTIONARY"}
                assert column.compression in ("UNCOMPRESSED", "ZSTD")
                assert column.physical_type == "INT32"
                assert name == "user_id" or not column.has_dictionary_page
                # A page header begins with its type: field 1, a zigzag integer; 0 is a data page of version 1.
                header = file.read_bytes()[column.data_page_offset :][:2]
                assert header == b"\x15\x00"


def test_users_of_few_interactions_are_stored_as_differences(tmp_path: Path) -> None:
    expansion = Expansion(small_base(), np.full((2, 3), 0.01), shuffle="aligned", seed=5)
    for compression in ("none", "zstd"):
        fr.write(expansion, tmp_path / compression, parts=1, parquet=ParquetOptions(compression=compression))
        (file,) = files_of(tmp_path / compression, "train")
        assert "DELTA_BINARY_PACKED" in column_metadata(file)["user_id"].encodings
        assert read(tmp_path / compression, "train").equals(expansion.table(0, 400))


def test_bounds_of_users_are_those_of_every_row_group(written: Path) -> None:
    for file in files_of(written, "train"):
        opened = pq.ParquetFile(file)
        for number in range(opened.num_row_groups):
            users = opened.read_row_group(number, columns=["user_id"])["user_id"].to_numpy()
            bounds = opened.metadata.row_group(number).column(0).statistics
            assert (bounds.min, bounds.max, bounds.null_count) == (users.min(), users.max(), 0)


@pytest.mark.parametrize("file", ["manifest.json", "private/plan.json"])
@pytest.mark.parametrize("number", [None, 2, 4, "3"])
def test_another_format_is_refused_in_one_sentence(tmp_path: Path, written: Path, file: str, number: Any) -> None:
    shutil.copytree(written, tmp_path / "out")
    content = json.loads((tmp_path / "out" / file).read_text())
    content.pop("format")
    content |= {} if number is None else {"format": number}
    (tmp_path / "out" / file).write_text(json.dumps(content))
    expected = f"is of format {1 if number is None else number!r}, this version reads and writes format 3"
    with pytest.raises(fr.InputError, match=expected):
        fr.open_dataset(tmp_path / "out") if file == "manifest.json" else fr.validate(tmp_path / "out")


def test_lz4_is_the_raw_variant(tmp_path: Path, expansion: Expansion) -> None:
    """DuckDB tells the two apart; Spark reads only the raw one."""
    fr.write(expansion, tmp_path / "out", parts=1, parquet=ParquetOptions("fast", "lz4"))
    (file,) = files_of(tmp_path / "out", "train")
    codecs = sql(f"SELECT DISTINCT compression FROM parquet_metadata('{file}') ORDER BY 1").fetchall()
    assert codecs == [("LZ4_RAW",), ("UNCOMPRESSED",)]


@pytest.mark.parametrize("size", [1, 100, 7_777, 1 << 20])
def test_row_groups_have_the_size_asked_for(tmp_path: Path, size: int) -> None:
    base = small_base()
    expansion = Expansion(base, np.full((1, 5), 0.5), shuffle="aligned")
    fr.write(expansion, tmp_path / "out", parts=1, parquet=ParquetOptions(row_group_size=size))
    metadata = pq.read_metadata(files_of(tmp_path / "out", "train")[0])
    groups = [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)]
    assert sum(groups) == metadata.num_rows > size or size == 1 << 20
    assert set(groups[:-1]) <= {size}
    assert 0 < groups[-1] <= size
    assert read(tmp_path / "out", "train").equals(expansion.table(0, 200))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoding": "best"}, "encoding is .best."),
        ({"compression": "gzip"}, "compression is .gzip.* none, lz4"),
        ({"compression": "zstd(23)"}, r"compression is .zstd\(23\)"),
        ({"compression": "zstd(x)"}, r"compression is .zstd\(x\)"),
        ({"compression": "lz4(1)"}, r"compression is .lz4\(1\)"),
        ({"row_group_size": 0}, "row_group_size is 0"),
        ({"row_group_size": 1 << 31}, "row_group_size is 2147483648"),
    ],
)
def test_bad_formats_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ParquetOptions(**options)


def test_at_most_2_4_bytes_an_interaction(tmp_path: Path) -> None:
    base = fr.leave_last_out(fr.sample_interactions())
    for shuffle in ("cells", "block"):
        expansion = Expansion(base, fr.reduce(base, (16, 32)), shuffle=shuffle, keep_scale=0.5)
        totals = fr.write(expansion, tmp_path / shuffle).totals
        assert totals["interactions"] > 5_000_000
        assert totals["bytes"] <= 2.4 * totals["interactions"]
        assert totals["bytes"] == pytest.approx(expected_bytes(expansion, ParquetOptions()), rel=0.05)


# --- all or nothing, and resuming ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stopping(LocalStore):
    """A folder in which a run ends in Ctrl-C when it is about to put a file with this name."""

    at: str = ""

    def _stop(self, name: str) -> None:
        if name == self.at:
            raise KeyboardInterrupt

    def claim(self, name: str, content: bytes) -> bool:
        self._stop(name)
        return super().claim(name, content)

    def put(self, name: str, content: bytes) -> None:
        self._stop(name)
        super().put(name, content)

    @contextmanager
    def staging(self) -> Iterator[LocalStaging]:
        with super().staging() as staging:
            yield Interrupted(staging.store, staging.folder, staging.touched, self._stop)


@dataclass(frozen=True)
class Interrupted(LocalStaging):
    stop: Callable[[str], None]

    def publish(self, name: str, *, flushed: bool = False) -> None:
        self.stop(name)
        super().publish(name, flushed=flushed)


@pytest.mark.parametrize(
    ("step", "there"),
    [
        ("private/plan.json", set()),
        ("private/reduced_matrix.npy", {".gitignore", "private"}),
        ("private/base_statistics.npz", {".gitignore", "private"}),
        ("train/part-00003-of-00007.parquet", {".gitignore", "private", "train", "test"}),
        ("README.md", {".gitignore", "private", "train", "test"}),
        ("manifest.json", {".gitignore", "private", "train", "test", "README.md"}),
    ],
)
def test_private_comes_first_and_the_manifest_last(
    tmp_path: Path, written: Path, expansion: Expansion, step: str, there: set[str]
) -> None:
    path = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        fr.write(expansion, Stopping(path, step), parts=7)
    left = digests(path)
    assert left.items() <= digests(written).items()
    assert {Path(name).parts[0] for name in left} == there
    with pytest.raises(InputError):
        fr.open_dataset(path)
    if "train" in there:
        private = {name for name in digests(written) if name.startswith("private/")}
        assert {name for name in left if name.startswith("private/")} == private
    fr.write(expansion, path, parts=7)
    assert digests(path) == digests(written)


@pytest.mark.parametrize(
    "lost",
    [
        ["train/part-00003-of-00007.parquet"],
        ["test/part-00006-of-00007.parquet"],
        ["train/part-00000-of-00007.parquet", "test/part-00000-of-00007.parquet", "test/part-00002-of-00007.parquet"],
        ["manifest.json", "train/part-00005-of-00007.parquet"],
        ["manifest.json", "README.md"],
    ],
)
def test_only_what_is_missing_is_written_again(out: Path, written: Path, expansion: Expansion, lost: list[str]) -> None:
    for name in lost:
        (out / name).unlink()
    killed(out)
    left = {name for name in digests(written) if name not in (*lost, "manifest.json", "README.md")}
    before = stamps(out, left)
    fr.write(expansion, out, parts=7, threads=1)
    assert digests(out) == digests(written)
    assert stamps(out, left) == before


def killed(out: Path) -> None:
    """Leave what a run leaves that is killed: a part and the manifest, half written."""
    for name in ("train/.part-00003-of-00007.parquet.tmp", "manifest.json", "alive"):
        file = out / ".fractalrs-0123456789abcdef" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"killed")


def test_a_complete_data_set_is_left_alone(out: Path, expansion: Expansion, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    before = stamps(out)
    fr.write(expansion, out, parts=7, threads=1)
    fr.write(expansion, out, parts=7, threads=1, overwrite=True)
    assert stamps(out) == before
    assert caplog.messages == [f"{out} is complete already: nothing to do"] * 2


def test_resuming_says_what_is_finished(out: Path, expansion: Expansion, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (out / "test/part-00001-of-00007.parquet").unlink()
    fr.write(expansion, out, parts=7)
    assert caplog.messages == ["13 of 14 files are finished already"]


def test_a_data_set_given_away_without_private_is_still_complete(out: Path, expansion: Expansion) -> None:
    shutil.rmtree(out / "private")
    before = stamps(out)
    assert fr.write(expansion, out, parts=7).totals == manifest_of(out)["totals"]
    assert stamps(out) == before
    with pytest.raises(OutputError, match="its plan has been taken away"):
        fr.write(small_expansion(seed=8), out, parts=7)


def test_another_profile_that_asks_for_the_same_changes_nothing(out: Path, written: Path, expansion: Expansion) -> None:
    (out / "test/part-00001-of-00007.parquet").unlink()
    same = small_expansion(profile="paper", shuffle="mixed", max_keep=0.5, cells=expansion.cells)
    fr.write(same, out, parts=7)
    assert digests(out) == digests(written)


# --- refused, and nothing lost ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "how", "difference"),
    [
        ({"seed": 8}, {}, "seed is 7 there and 8 here"),
        ({"keep_scale": 0.5}, {}, "keep_scale is 1.0 there and 0.5 here"),
        ({"shuffle": "block"}, {}, "shuffle is mixed there and block here"),
        ({"test_items": "one"}, {}, "test_items is all there and one here"),
        ({}, {"parts": 3}, "parts is 7 there and 3 here"),
        ({}, {"parquet": ParquetOptions(compression="zstd")}, "compression is lz4 there and zstd here"),
        ({}, {"parquet": ParquetOptions(row_group_size=5)}, "row_group_size is 1048576 there and 5 here"),
    ],
)
def test_another_plan_is_refused_with_the_difference(
    out: Path, options: dict[str, Any], how: dict[str, Any], difference: str
) -> None:
    before = stamps(out)
    with pytest.raises(OutputError, match=difference) as caught:
        fr.write(small_expansion(**options), out, **{"parts": 7} | how)
    assert caught.value.hint is not None
    assert "overwrite" in caught.value.hint
    assert stamps(out) == before


def test_another_matrix_or_source_is_refused(out: Path) -> None:
    cells = small_expansion().cells
    with pytest.raises(OutputError, match="reduced matrix or the cells are not the same"):
        fr.write(Expansion(small_base(), RATES**2, cells=cells, seed=7), out, parts=7)
    with pytest.raises(OutputError, match="source's interactions are not the same"):
        fr.write(Expansion(small_base(seed=1), RATES, cells=cells, seed=7), out, parts=7)


def test_overwriting_gives_what_a_new_folder_would(out: Path, tmp_path: Path) -> None:
    other = small_expansion(seed=8, shuffle="aligned")
    fr.write(other, tmp_path / "new", parts=3)
    fr.write(other, out, parts=3, overwrite=True)
    assert digests(out) == digests(tmp_path / "new")
    unsplit = Expansion(fr.leave_last_out(fr.sample_interactions(50, 40, 500), split="none"), RATES, shuffle="none")
    fr.write(unsplit, out, overwrite=True)
    assert not (out / "test").exists()


def test_overwriting_finds_an_unfinished_data_set_too(out: Path, tmp_path: Path) -> None:
    (out / "manifest.json").unlink()
    (out / "train/part-00003-of-00007.parquet").unlink()
    killed(out)
    other = small_expansion(seed=8)
    fr.write(other, out, overwrite=True)
    fr.write(other, tmp_path / "new")
    assert digests(out) == digests(tmp_path / "new")


@pytest.mark.parametrize("without", [[], ["private"], ["manifest.json", "part-00003-of-00007.parquet"]])
def test_an_overwrite_killed_anywhere_can_be_done_again(written: Path, tmp_path: Path, without: list[str]) -> None:
    other = small_expansion(seed=8)
    fr.write(other, tmp_path / "new", parts=3)
    fresh = digests(tmp_path / "new")
    given = {name: digest for name, digest in digests(written).items() if not {*without} & {*Path(name).parts}}
    steps = 0
    for path in cleared_but_killed(written, tmp_path, without):
        left = digests(path)
        assert "manifest.json" not in left or left.items() >= given.items()
        if any(name.endswith(".parquet") for name in left):
            with pytest.raises(OutputError, match="made otherwise"):
                fr.write(other, path, parts=3)
        fr.write(other, path, parts=3, overwrite=True)
        assert digests(path) == fresh
        steps += 1
    assert steps > 16


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("seed", [7, 8])
@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        ".hidden",
        "train/extra.parquet",
        "train/part-00000-of-00008.parquet",
        "train/part-00007-of-00007.parquet",
        "test/sub/file",
        "private/key",
        "more/file",
    ],
)
def test_files_that_are_not_ours_are_never_touched(out: Path, name: str, seed: int, overwrite: bool) -> None:
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_text("mine")
    before = stamps(out)
    with pytest.raises(OutputError, match=rf"holds what is not ours: .*{Path(name).parts[-1 if '.' in name else 0]}"):
        fr.write(small_expansion(seed=seed), out, parts=7, overwrite=overwrite)
    assert stamps(out) == before


@pytest.mark.parametrize(
    "name", ["manifest.json", "README.md", "private/plan.json", "train/part-00000-of-00001.parquet"]
)
@pytest.mark.parametrize("content", ["{}", '{"parts": [1], "writing": {"parts": 1}}', "not JSON", "[1]"])
def test_files_with_our_names_but_not_by_us_are_never_touched(
    tmp_path: Path, expansion: Expansion, name: str, content: str
) -> None:
    file = tmp_path / "out" / name
    file.parent.mkdir(parents=True)
    file.write_text(content)
    (tmp_path / "out/README.md").write_text("mine")
    before = digests(tmp_path)
    for overwrite in (False, True):
        with pytest.raises(OutputError):
            fr.write(expansion, tmp_path / "out", parts=1, overwrite=overwrite)
    assert digests(tmp_path) == before


def test_a_linked_folder_is_not_ours(out: Path, expansion: Expansion) -> None:
    (out / "test").rename(out.parent / "elsewhere")
    (out / "test").symlink_to(out.parent / "elsewhere")
    with pytest.raises(OutputError, match="not ours: test"):
        fr.write(expansion, out, parts=7)


def test_an_empty_folder_will_do(tmp_path: Path, written: Path, expansion: Expansion) -> None:
    fr.write(expansion, tmp_path, parts=7)
    assert digests(tmp_path) == digests(written)


def test_a_file_is_no_output(tmp_path: Path, expansion: Expansion) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(OutputError, match="is a file"):
        fr.write(expansion, file)
    with pytest.raises(OutputError, match=r"cannot create .*file is not a folder"):
        fr.write(expansion, file / "out")
    assert file.read_text() == "mine"


def test_folders_that_may_not_be_written_to(
    tmp_path: Path, expansion: Expansion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The superuser may write anywhere, so that the system's answer is put in its mouth."""
    (tmp_path / "there").mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match=r"there may not be written to"):
        fr.write(expansion, tmp_path / "there")
    with pytest.raises(OutputError, match=r"cannot create .*deep"):
        fr.write(expansion, tmp_path / "not/deep")
    assert [entry.name for entry in tmp_path.iterdir()] == ["there"]


def flip(file: Path, at: float) -> None:
    content = bytearray(file.read_bytes())
    content[int(len(content) * at)] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("damage", ["first byte", "middle", "truncated", "empty", "longer", "text"])
def test_damaged_parts_are_named_on_resume(out: Path, expansion: Expansion, split: str, damage: str) -> None:
    file = out / split / "part-00002-of-00007.parquet"
    content = file.read_bytes()
    if damage in ("first byte", "middle"):
        flip(file, 0.0 if damage == "first byte" else 0.4)
    else:
        file.write_bytes(
            {"truncated": content[:-200], "empty": b"", "longer": content + b"x", "text": b"x" * len(content)}[damage]
        )
    (out / "manifest.json").unlink()
    before = stamps(out)
    with pytest.raises(OutputError, match=r"part-00002-of-00007.parquet is damaged") as caught:
        fr.write(expansion, out, parts=7)
    assert caught.value.hint is not None
    assert "delete it" in caught.value.hint
    assert stamps(out) == before


def test_every_byte_of_a_sealed_file_counts(written: Path) -> None:
    file = written / "train/part-00002-of-00007.parquet"
    content = file.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    with file.open("rb") as opened:
        assert read_labelled(opened)[1]["blake3"] == blake3(content).hexdigest()
    for place in (0, 5, footer // 2, footer - 1, *range(footer, len(content))):
        changed = bytearray(content)
        changed[place] ^= 1
        with pytest.raises((ValueError, KeyError, OSError, pa.ArrowException)):
            read_labelled(io.BytesIO(changed))


def test_a_damaged_footer_is_named_on_resume(out: Path, expansion: Expansion) -> None:
    flip(out / "train/part-00002-of-00007.parquet", 0.99)
    (out / "manifest.json").unlink()
    before = stamps(out)
    with pytest.raises(OutputError, match=r"part-00002-of-00007.parquet is damaged"):
        fr.write(expansion, out, parts=7)
    assert stamps(out) == before


def test_deleting_a_damaged_part_mends_the_data_set(out: Path, written: Path, expansion: Expansion) -> None:
    file = out / "train/part-00002-of-00007.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(OutputError, match="damaged"):
        fr.write(expansion, out, parts=7)
    file.unlink()
    fr.write(expansion, out, parts=7)
    assert digests(out) == digests(written)


def test_a_part_of_another_plan_is_named_on_resume(out: Path, tmp_path: Path, expansion: Expansion) -> None:
    fr.write(small_expansion(seed=8), tmp_path / "other", parts=7)
    name = "train/part-00004-of-00007.parquet"
    shutil.copy(tmp_path / "other" / name, out / name)
    (out / "manifest.json").unlink()
    with pytest.raises(OutputError, match=rf"{name} is a part of a data set that was made otherwise"):
        fr.write(expansion, out, parts=7)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("train/part-00003-of-00007.parquet", "train/part-00004-of-00007.parquet"),
        ("test/part-00004-of-00007.parquet", "train/part-00004-of-00007.parquet"),
    ],
)
def test_a_part_in_the_place_of_another_is_named(out: Path, expansion: Expansion, wrong: str, right: str) -> None:
    shutil.copy(out / wrong, out / right)
    (out / "manifest.json").unlink()
    with pytest.raises(OutputError, match=rf"{right} is a part of a data set that was made otherwise"):
        fr.write(expansion, out, parts=7)


@dataclass(frozen=True)
class Full(LocalStore):
    """A folder on a disk with so many bytes left."""

    left: int = 0

    def free(self) -> int:
        return self.left


def test_too_little_free_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"needs about 4\d(\.\d)? kB, 20 kB are free"):
        fr.write(small_expansion(max_keep=0.95), Full(tmp_path / "out", 20_000))
    assert not (tmp_path / "out").exists()


def test_free_disk_counts_what_is_finished_and_what_will_be_replaced(out: Path, written: Path) -> None:
    (out / "train/part-00004-of-00007.parquet").unlink()
    fr.write(small_expansion(), Full(out, 15_000), parts=7)
    assert digests(out) == digests(written)
    fr.write(small_expansion(seed=8), Full(out, 15_000), parts=7, overwrite=True)


def test_too_little_free_disk_deletes_nothing(out: Path) -> None:
    before = stamps(out)
    larger = small_expansion(seed=8, keep_scale=5, min_keep=0.9, max_keep=0.95)
    with pytest.raises(OutputError, match="too little free disk"):
        fr.write(larger, Full(out, 1_000), parts=7, overwrite=True)
    assert stamps(out) == before


@dataclass(frozen=True)
class Obstructed(LocalStore):
    """A folder in the way of a part's temporary file stands for any error of the file system."""

    @contextmanager
    def staging(self) -> Iterator[LocalStaging]:
        with super().staging() as staging:
            staging.path("train/.part-00003-of-00007.parquet.tmp").mkdir()
            yield staging


def test_a_full_disk_is_a_failed_run_that_can_go_on(tmp_path: Path, written: Path, expansion: Expansion) -> None:
    path = tmp_path / "out"
    with pytest.raises(fr.WriteError, match=r"cannot write .*out/train/\.part-00003"):
        fr.write(expansion, Obstructed(path), parts=7)
    assert not (path / "manifest.json").exists()
    assert [name for name in digests(path) if name.startswith(".")] == [".gitignore"]
    fr.write(expansion, path, parts=7)
    assert digests(path) == digests(written)


def test_bad_threads_are_refused(tmp_path: Path, expansion: Expansion) -> None:
    for threads in (0, -2):
        with pytest.raises(InputError, match=f"threads is {threads}"):
            fr.write(expansion, tmp_path / "out", threads=threads)
    assert not (tmp_path / "out").exists()


def test_opening_what_is_not_a_data_set(tmp_path: Path, out: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fr.open_dataset(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="not a data set"):
        fr.open_dataset(tmp_path / "empty")
    (out / "manifest.json").unlink()
    with pytest.raises(InputError, match="not complete"):
        fr.open_dataset(out)


def test_every_error_is_of_one_family() -> None:
    for error in (InputError, OutputError, fr.WriteError):
        assert issubclass(error, FractalrsError)
    assert str(OutputError("what", hint="do")) == "what\nhint: do"
    assert pa.ArrowException not in InputError.__mro__


def test_two_runs_do_not_share_a_folder(tmp_path: Path, expansion: Expansion) -> None:
    path = tmp_path / "out"
    path.mkdir()
    with LocalStore(path).locked(), pytest.raises(OutputError, match="another run"):
        fr.write(expansion, path)
    assert not list(path.iterdir())
    fr.write(expansion, path)


def test_overwriting_repairs_a_damaged_part(tmp_path: Path, written: Path, expansion: Expansion) -> None:
    path = tmp_path / "out"
    dataset = fr.write(expansion, path, parts=7)
    (path / "manifest.json").unlink()
    part = path / dataset.parts[3].files["train"][0].path
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(OutputError, match="damaged"):
        fr.write(expansion, path, parts=7)
    fr.write(expansion, path, parts=7, overwrite=True)
    assert digests(path) == digests(written)


def test_a_second_write_of_a_base_makes_no_statistics(tmp_path: Path) -> None:
    base = small_base()
    made = []
    for number, options in enumerate(({}, {"seed": 5})):
        fr.write(Expansion(base, RATES, **options), tmp_path / str(number), parts=2)  # type: ignore[arg-type]
        made.append(base_statistics(base))
    for name, array in made[0].items():
        assert made[1][name] is array
        assert not array.flags.writeable
