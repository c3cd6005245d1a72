"""Exports: every format, read again by those it is for; whole or not there; in flat memory; and what is refused."""

import errno
import itertools
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

import fractalrs as fr
from fractalrs.dataset import whole_users
from fractalrs.formats import FORMATS, Format, SplitReader
from fractalrs.formats.pieces import lines_of
from fractalrs.words import Split
from helpers.commands import run
from helpers.core import HALVES as SPLITS
from helpers.folders import RATES, digests, files_of, read, small_base, small_expansion, sql

NOW = 1_700_000_000
TEXTS = [None, "", "plain", 'a "quote"', "tab\tinside", "comma, inside", "two\nlines", "Grüße"]


def export(dataset: fr.Dataset, path: Path, format: str, batch_size: int = 17) -> Path:
    """Export in batches that span row blocks and parts, and that users span: as in large data sets, but small."""
    return fr.export(dataset, path, format=format, batch_size=batch_size)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> fr.Dataset:
    """About 10,000 interactions; row block 1 has none; users span row groups; items do not rise."""
    path = tmp_path_factory.mktemp("plain") / "out"
    rates = RATES * [[0.5], [0], [0.5]]
    expansion = fr.Expansion(small_base(), rates, shuffle="block", min_keep=0, seed=7)
    dataset = fr.write(expansion, path, parts=7, parquet=fr.ParquetOptions(row_group_size=30))
    users = read(path, "train")["user_id"].to_numpy()
    assert np.bincount(users).max() > 30
    assert not np.isin(np.arange(200, 400), users).any()
    return dataset


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> fr.Dataset:
    """A data set with further columns of all kinds, some with missing values."""
    path = tmp_path_factory.mktemp("rich") / "out"
    fr.write(small_expansion(shuffle="aligned", keep_scale=0.3), path, parts=3)
    random = np.random.default_rng(0)
    for split in SPLITS:
        for file in files_of(path, split):
            table = pq.read_table(file)
            count = len(table)
            clock = pa.array(NOW * 10**6 + random.integers(0, 10**12, count), pa.timestamp("us", "UTC"))
            missing = random.random(count) < 0.2
            columns: dict[str, Any] = {
                "timestamp": pa.array(NOW + random.integers(0, 10**6, count)),
                "rating": pa.array(random.integers(1, 11, count) / 2, mask=missing),
                "clock": clock,
                "clicks": pa.array(random.integers(-9, 9, count), pa.int16(), mask=missing[::-1]),
                "weight": pa.array(random.random(count), pa.float32()),
                "text": pa.array(TEXTS).take(pa.array(random.integers(0, len(TEXTS), count))),
                "new": pa.array(random.random(count) < 0.5),
            }
            for name, column in columns.items():
                table = table.append_column(name, column)
            pq.write_table(table, file, row_group_size=40)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["schema"] = [{"name": field.name, "type": str(field.type)} for field in table.schema]
    (path / "manifest.json").write_text(json.dumps(manifest))
    return fr.open_dataset(path)


@pytest.fixture(scope="module")
def trainless(tmp_path_factory: pytest.TempPathFactory) -> fr.Dataset:
    """A data set in which nothing is held out, in more parts than row groups, some of them empty."""
    base = fr.leave_last_out(fr.sample_interactions(60, 50, 600, 3), split="none")
    return fr.write(
        fr.Expansion(base, np.full((2, 2), 0.05), shuffle="aligned"),
        tmp_path_factory.mktemp("trainless") / "out",
        parts=120,
    )


@pytest.fixture(params=["plain", "rich", "trainless"])
def dataset(request: pytest.FixtureRequest) -> fr.Dataset:
    return request.getfixturevalue(str(request.param))  # type: ignore[no-any-return]


def content(dataset: fr.Dataset) -> dict[Split, pa.Table]:
    """Read the splits that a data set has, as they are stored."""
    return {split: read(dataset.path, split) for split in SPLITS if (dataset.path / split).exists()}


def names(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


# --- reference-npz ---------------------------------------------------------------------------------------------------


def test_reference_npz_is_read_as_the_published_trainers_read_it(dataset: fr.Dataset, tmp_path: Path) -> None:
    path = export(dataset, tmp_path / "npz", format="reference-npz")
    (m, n), p = dataset.multipliers, dataset.block_shape[0]
    expected = content(dataset)
    assert names(path) == {f"{split}x{m}x{n}_{i}.npz" for split in expected for i in range(m)}
    for split, table in expected.items():
        blocks = [np.load(path / f"{split}x{m}x{n}_{i}.npz", encoding="bytes")["arr_0"] for i in range(m)]
        for i, block in enumerate(blocks):
            assert (block.dtype, block.ndim, block.shape[1]) == (np.int64, 2, 2)
            assert np.all(block[:, 0] // p == i)
        together = np.concatenate(blocks)
        np.testing.assert_array_equal(together[:, 0], table["user_id"].to_numpy())
        np.testing.assert_array_equal(together[:, 1], table["item_id"].to_numpy())


def test_reference_npz_is_compressed(plain: fr.Dataset, tmp_path: Path) -> None:
    path = export(plain, tmp_path / "npz", format="reference-npz")
    assert sum(file.stat().st_size for file in path.iterdir()) < 5 * plain.totals["interactions"]


# --- csv -------------------------------------------------------------------------------------------------------------


def test_csv_is_what_pyarrow_reads(dataset: fr.Dataset, tmp_path: Path) -> None:
    path = export(dataset, tmp_path / "csv", format="csv")
    expected = content(dataset)
    assert names(path) == {f"{split}.csv" for split in expected}
    for split, table in expected.items():
        schema = table.schema
        options = pa.csv.ConvertOptions(
            column_types=schema, strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
        )
        parse = pa.csv.ParseOptions(newlines_in_values=True)
        found = pa.csv.read_csv(path / f"{split}.csv", convert_options=options, parse_options=parse)
        assert found.equals(table.cast(found.schema))
        assert found.column_names == table.column_names


def test_csv_is_what_pandas_and_polars_read(rich: fr.Dataset, tmp_path: Path) -> None:
    path = export(rich, tmp_path / "csv", format="csv")
    for split, table in content(rich).items():
        header = (path / f"{split}.csv").read_text(encoding="utf-8").split("\n", 1)[0]
        assert header == "user_id,item_id,timestamp,rating,clock,clicks,weight,text,new"
        expected = table.to_pandas()
        found = pd.read_csv(path / f"{split}.csv", parse_dates=["clock"])
        for name in ("user_id", "item_id", "timestamp", "rating", "clicks", "new"):
            np.testing.assert_array_equal(found[name], expected[name])
        assert (found["clock"] == expected["clock"]).all()
        frame = pl.read_csv(path / f"{split}.csv")
        assert frame["text"].fill_null("").to_list() == [text or "" for text in table["text"].to_pylist()]


# --- recbole ---------------------------------------------------------------------------------------------------------


def load_inter(file: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read an atomic file as RecBole 1.2 does: types from the first line, which it splits as it stands."""
    with file.open(encoding="utf-8") as stream:
        head = stream.readline()[:-1]
    kinds = dict(column.split(":") for column in head.split("\t"))
    types = {f"{name}:{kind}": np.float64 if kind == "float" else str for name, kind in kinds.items()}
    frame = pd.read_csv(file, delimiter="\t", usecols=list(types), dtype=types, encoding="utf-8", engine="python")
    frame.columns = list(kinds)
    return frame, kinds


def test_recbole_reads_the_atomic_files(dataset: fr.Dataset, tmp_path: Path) -> None:
    path = export(dataset, tmp_path / "some" / "ml-big", format="recbole")
    expected = content(dataset)
    assert names(path) == {f"ml-big.{split}.inter" for split in expected}
    for split, table in expected.items():
        frame, kinds = load_inter(path / f"ml-big.{split}.inter")
        assert (kinds.pop("user_id"), kinds.pop("item_id")) == ("token", "token")
        for name in ("user_id", "item_id"):
            assert frame[name].tolist() == [str(value) for value in table[name].to_pylist()]
        if kinds:
            assert kinds == {
                "timestamp": "float",
                "rating": "float",
                "clock": "float",
                "clicks": "float",
                "weight": "float",
                "text": "token",
                "new": "token",
            }
            for name in ("timestamp", "rating", "clicks"):
                np.testing.assert_array_equal(frame[name], table[name].to_pandas().astype(float))
            np.testing.assert_array_equal(frame["weight"].astype(np.float32), table["weight"].to_numpy())
            np.testing.assert_allclose(frame["clock"], table["clock"].cast(pa.int64()).to_numpy() / 1e6, rtol=1e-15)
            assert frame["text"].fillna("").tolist() == [text or "" for text in table["text"].to_pylist()]
            assert set(frame["new"]) == {"true", "false"}
        assert list(frame.columns) == table.column_names


def test_recbole_needs_names_that_it_can_read(rich: fr.Dataset, tmp_path: Path) -> None:
    unfit = renamed(rich, tmp_path / "out", "text", "text:of user")
    with pytest.raises(fr.InputError, match="RecBole cannot read a column named 'text:of user'"):
        export(unfit, tmp_path / "recbole", format="recbole")
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert export(unfit, tmp_path / "csv", format="csv").exists()


def renamed(dataset: fr.Dataset, path: Path, old: str, new: str) -> fr.Dataset:
    """Copy a data set with another name for one of its columns."""
    for split in content(dataset):
        (path / split).mkdir(parents=True)
        for file in files_of(dataset.path, split):
            table = pq.read_table(file)
            table = table.rename_columns([new if name == old else name for name in table.column_names])
            pq.write_table(table, path / split / file.name)
    (path / "manifest.json").write_text(dataset.manifest.to_json())
    return fr.open_dataset(path)


# --- csr -------------------------------------------------------------------------------------------------------------


def test_csr_is_mapped_without_copying(dataset: fr.Dataset, tmp_path: Path) -> None:
    path = export(dataset, tmp_path / "csr", format="csr")
    expected = content(dataset)
    parts = ("indptr.npy", "indices.npy", "data.npy", "json")
    assert names(path) == {f"{split}.{part}" for split in expected for part in parts}
    for split, table in expected.items():
        matrix = fr.load_csr(path, split)
        assert isinstance(matrix, sp.csr_array)
        assert matrix.shape == dataset.shape
        for name in ("indptr", "indices", "data"):
            mapped = np.load(path / f"{split}.{name}.npy", mmap_mode="r")
            array = getattr(matrix, name)
            assert is_mapped(array), name
            np.testing.assert_array_equal(array, mapped)
        assert matrix.indptr.dtype == matrix.indices.dtype == np.int64
        matrix.check_format(full_check=True)
        # Row by row, in stored order.
        users, items = table["user_id"].to_numpy(), table["item_id"].to_numpy()
        np.testing.assert_array_equal(np.diff(matrix.indptr), np.bincount(users, minlength=dataset.shape[0]))
        np.testing.assert_array_equal(matrix.indices, items)
        if "rating" in table.column_names:
            assert matrix.data.dtype == np.float64
            np.testing.assert_array_equal(matrix.data, table["rating"].to_numpy())
            assert np.isnan(matrix.data).any()
        else:
            assert matrix.data.dtype == np.int8
            same = sp.coo_array((np.ones(len(users), np.int8), (users, items)), shape=dataset.shape).tocsr()
            assert abs(matrix - same).sum() == 0
            np.testing.assert_array_equal(matrix.sum(axis=0), same.sum(axis=0))


def is_mapped(array: Any) -> bool:
    """Tell whether an array's memory is that of a file."""
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


def test_csr_knows_whether_items_rise(plain: fr.Dataset, tmp_path: Path) -> None:
    # Where each batch has one interaction, they fall between batches only.
    for size in (1, 1 << 20):
        matrix = fr.load_csr(export(plain, tmp_path / f"{size}", format="csr", batch_size=size))
        assert not matrix.has_sorted_indices
    assert matrix.sorted_indices().has_sorted_indices
    ordered = fr.write(small_expansion(shuffle="aligned", order="item"), tmp_path / "item", parts=2)
    for split in SPLITS:
        matrix = fr.load_csr(export(ordered, tmp_path / split, format="csr"), split)
        assert matrix.has_sorted_indices
        assert matrix.has_canonical_format
        assert sp.csr_array((matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape).has_canonical_format


def test_csr_that_is_not_there(trainless: fr.Dataset, tmp_path: Path) -> None:
    path = export(trainless, tmp_path / "csr", format="csr")
    with pytest.raises(FileNotFoundError, match=r"holds no test matrix: there is no test\.json") as caught:
        fr.load_csr(path, "test")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(path))
    with pytest.raises(fr.InputError, match="unknown split 'tset'"):
        fr.load_csr(path, "tset")  # type: ignore[arg-type]
    with pytest.raises(fr.InputError, match="path is 5"):
        fr.load_csr(5)  # type: ignore[arg-type]
    (path / "train.data.npy").write_bytes((path / "train.indptr.npy").read_bytes())
    with pytest.raises(fr.InputError, match=r"the files of the train matrix in .* do not fit together"):
        fr.load_csr(path)


@pytest.mark.parametrize("name", ["train.json", "train.indptr.npy", "train.data.npy"])
def test_csr_that_is_damaged_names_the_file(plain: fr.Dataset, tmp_path: Path, name: str) -> None:
    path = export(plain, tmp_path / "csr", format="csr")
    whole = (path / name).read_bytes()
    wrong = [b"{}", b"[]", b'{"shape": [1], "sorted_indices": true}', b'{"shape": ["x", 1], "sorted_indices": true}']
    for content in (whole[: len(whole) // 2], whole[:30], b"", b"\xff", *(wrong if name == "train.json" else [])):
        (path / name).write_bytes(content)
        with pytest.raises(fr.InputError, match=f"{re.escape(str(path / name))} is damaged"):
            fr.load_csr(path)
    (path / name).unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(str(path))):
        fr.load_csr(path)


# --- sequences -------------------------------------------------------------------------------------------------------


def test_sequences_have_one_row_for_each_user(dataset: fr.Dataset, tmp_path: Path) -> None:
    path = export(dataset, tmp_path / "sequences", format="sequences")
    expected = content(dataset)
    assert names(path) == {f"{split}/{file.name}" for split in expected for file in files_of(dataset.path, split)}
    for split, table in expected.items():
        found = read(path, split)
        users = table["user_id"].to_numpy()
        assert found["user_id"].type == table["user_id"].type
        np.testing.assert_array_equal(found["user_id"].to_numpy(), np.unique(users))
        np.testing.assert_array_equal(
            pc.list_value_length(found["item_id"]).to_numpy(), np.unique(users, return_counts=True)[1]
        )
        assert found.column_names == table.column_names
        for name in table.column_names[1:]:
            assert found[name].type.value_type == table[name].type
            assert pa.chunked_array(pc.list_flatten(found[name])).equals(table[name]), name
        for sequence, one in zip(files_of(path, split), files_of(dataset.path, split), strict=True):
            first, second = (set(pq.read_table(file)["user_id"].to_pylist()) for file in (sequence, one))
            assert first == second
            assert not any(key.startswith(b"fractalrs") for key in pq.read_metadata(sequence).metadata or {})


def test_sequences_are_read_by_others(rich: fr.Dataset, tmp_path: Path) -> None:
    path = export(rich, tmp_path / "sequences", format="sequences")
    table = content(rich)["train"]
    frame = pl.read_parquet(path / "train").explode(
        "item_id", "timestamp", "rating", "clock", "clicks", "weight", "text", "new"
    )
    assert frame.equals(pl.DataFrame(pl.from_arrow(table)))
    count = sql(f"SELECT sum(len(item_id)) FROM '{path}/train/*.parquet'").fetchall()
    assert count == [(len(table),)]


# --- whole or not at all ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_what_fails_half_way_leaves_nothing(
    plain: fr.Dataset, tmp_path: Path, format: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Some formats read all files on several threads, some file by file or block by block: batches of all of them count.
    begun: list[set[str]] = []
    index = itertools.count()

    def failing(read: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def fail(self: SplitReader, *options: Any, **how: Any) -> Iterator[Any]:
            for batch in read(self, *options, **how):
                if self.split == "test" and next(index) == 3:
                    begun.append(names(tmp_path))
                    raise error
                yield batch

        return fail

    for name in ("mapped", "of_file", "rows"):
        monkeypatch.setattr(SplitReader, name, failing(getattr(SplitReader, name)))
    before = digests(plain.path)
    done = run("export", plain.path, tmp_path / "new" / "dest", "--format", format, "--json")
    assert begun[0]
    assert all(re.match(r"\.dest\.[0-9a-f]+\.tmp/dest(/|\.lock$)", name) for name in begun[0])
    assert list(tmp_path.iterdir()) == []
    assert digests(plain.path) == before
    assert done.out == ""
    if isinstance(error, KeyboardInterrupt):
        assert (done.code, done.err) == (130, f"interrupted: nothing is left of {tmp_path / 'new' / 'dest'}\n")
    else:
        assert done.code == 1
        assert "dest: No space left on device\nhint: nothing of it is left" in done.err


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 4 million interactions: seconds to export."""
    path = tmp_path_factory.mktemp("large") / "out"
    size = ("--user-multiplier", 16, "--item-multiplier", 64, "--keep-scale", 0.5, "--parts", 2)
    assert run("expand", "sample", path, *size, "--shuffle", "aligned", "--quiet").code == 0
    assert fr.open_dataset(path).totals["train"] > 3_000_000
    return path


def start(*arguments: Any, **options: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "fractalrs", "export", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_ctrl_c_leaves_nothing(large: Path, tmp_path: Path) -> None:
    process = start(large, tmp_path / "dest", "--format", "reference-npz")
    give_up = time.monotonic() + 60
    while len(names(tmp_path)) < 3:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == f"interrupted: nothing is left of {tmp_path / 'dest'}"
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_leaves_nothing(large: Path, tmp_path: Path, format: str) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    out, err = (process := start(large, tmp_path / "dest", "--format", format, preexec_fn=limit)).communicate(
        timeout=60
    )
    assert (process.returncode, out) == (1, "")
    assert err.startswith(f"error: cannot write {tmp_path / 'dest'}: ")
    assert "File too large" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", FORMATS)
def test_files_do_not_depend_on_threads(dataset: fr.Dataset, tmp_path: Path, format: str) -> None:
    made = []
    for threads in (1, 2, 3):
        path = tmp_path / f"{threads}" / "same"
        path.parent.mkdir()
        fr.export(dataset, path, format=format, threads=threads, batch_size=17)
        made.append(digests(path))
    assert made[0] == made[1] == made[2]


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("texts", [False, True])
def test_lines_are_those_of_pyarrow(rich: fr.Dataset, delimiter: str, texts: bool) -> None:
    options = pa.csv.WriteOptions(include_header=False, delimiter=delimiter)
    for table in content(rich).values():
        big = pa.array(np.random.default_rng(0).integers(-(2**63), 2**63, len(table)))
        table = table.append_column("big", big).append_column("unsigned", big.view(pa.uint64()))
        for batch in (table if texts else table.drop_columns(["text"])).to_batches(max_chunksize=1_000):
            for part in (batch, batch.slice(7, 30), batch.slice(0, 0)):
                sink = pa.BufferOutputStream()
                pa.csv.write_csv(part, sink, options)
                assert lines_of(part, delimiter) == sink.getvalue().to_pybytes()


# --- flat memory, progress, sizes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
def test_memory_does_not_grow_with_the_data_set(tmp_path: Path, format: str) -> None:
    base = fr.leave_last_out(fr.sample_interactions(400, 300, 16_000, 1))
    peaks = []
    for m in (2, 20):
        expansion = fr.Expansion(base, np.full((m, 4), 0.5), shuffle="aligned")
        dataset = fr.write(expansion, tmp_path / f"{m}", parts=1, parquet=fr.ParquetOptions(row_group_size=500))
        peaks.append(peak(partial(export, dataset, tmp_path / f"{m}-{format}", format, batch_size=500)))
    assert dataset.totals["interactions"] > 300_000
    # Footers and what they say of row groups grow.
    assert peaks[1] < peaks[0] + 8 * 300_000 / 4, peaks


def peak(work: Callable[[], Any]) -> int:
    """Measure what NumPy and pyarrow hold at most meanwhile."""
    pool, proxy = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    tracemalloc.start()
    pa.set_memory_pool(proxy)
    try:
        work()
        return tracemalloc.get_traced_memory()[1] + int(proxy.max_memory())
    finally:
        pa.set_memory_pool(pool)
        tracemalloc.stop()


@pytest.mark.parametrize("format", FORMATS)
def test_progress_gets_to_the_end(
    plain: fr.Dataset, tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    done = run("export", plain.path, tmp_path / "a", "--format", format, terminal=True)
    assert done.code == 0
    for words in ("exporting", "100%", "M/s", "14/14 parts", "0:00:00"):
        assert words in done.err
    for option in ("--no-progress", "--quiet"):
        silent = run("export", plain.path, tmp_path / option, "--format", format, option, terminal=True)
        assert "exporting" not in silent.err
    assert silent.err == ""


@pytest.mark.parametrize("format", FORMATS)
def test_size_is_estimated(large: Path, rich: fr.Dataset, tmp_path: Path, format: str) -> None:
    # The smaller, the more its headers and footers weigh, which are left to the margin.
    for dataset, least, most in ((fr.open_dataset(large), 0.97, 1.1), (rich, 0.9, 1.2)):
        estimate = sum(FORMATS[format].size(SplitReader(dataset, split)) for split in SPLITS)
        path = export(dataset, tmp_path / f"{most}", format, batch_size=1 << 20)
        written = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        assert least < estimate / written < most


def test_too_little_free_disk(plain: fr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fractalrs.tools.machine.free_disk", lambda _: 12_000)
    for format in FORMATS:
        with pytest.raises(fr.OutputError, match=r"too little free disk .*needs about [\d.]+ kB, 12 kB are free"):
            export(plain, tmp_path / "dest", format=format)
    assert list(tmp_path.iterdir()) == []


# --- the command, and what is refused --------------------------------------------------------------------------------


def test_the_command_says_what_it_did(plain: fr.Dataset, tmp_path: Path) -> None:
    done = run("export", plain.path, tmp_path / "csv", "--format", "csv", "--json")
    assert (done.code, done.err) == (0, "")
    summary = json.loads(done.out)
    assert set(summary) == {"destination", "format", "seconds", "train", "test", "bytes", "files", "peak_memory_bytes"}
    assert (summary["destination"], summary["format"]) == (str(tmp_path / "csv"), "csv")
    assert (summary["train"], summary["test"]) == (plain.totals["train"], plain.totals["test"])
    assert summary["files"] == 2
    assert summary["bytes"] == sum(file.stat().st_size for file in (tmp_path / "csv").iterdir())
    done = run("export", plain.path, tmp_path / "again", "--format", "csv")
    assert (done.code, done.out) == (0, "")
    assert f"{plain.totals['train']:,}" in done.err
    assert digests(tmp_path / "csv") == digests(tmp_path / "again")
    assert (tmp_path / "csv").stat().st_mode == (tmp_path / "again").stat().st_mode
    (tmp_path / "folder").mkdir()
    assert (tmp_path / "csv").stat().st_mode == (tmp_path / "folder").stat().st_mode


def test_help_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = run("export", "--help")
    assert done.code == 0
    assert "…" not in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    assert all(f"{format}:" in done.out for format in FORMATS)


def refused(message: str, *arguments: Any) -> None:
    done = run("export", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in " ".join(done.err.replace("│", " ").split()), done.err


def test_places_that_are_refused(plain: fr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--format", "csv")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "link").symlink_to(plain.path)
    before, inside = names(tmp_path), digests(plain.path)
    for name in ("empty", "file", "dangling"):
        refused(f"{name} exists already hint: name a folder that", plain.path, tmp_path / name, *options)
    for place in (
        plain.path,
        plain.path / "csv",
        plain.path / "train" / "csv",
        plain.path.parent,
        tmp_path / "link/csv",
    ):
        refused("lie one inside the other", plain.path, place, *options)
    refused("file is not a folder that may be written to", plain.path, tmp_path / "file/csv", *options)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(fr.OutputError, match="cannot create"):
        export(plain, tmp_path / "csv", format="csv")
    assert (names(tmp_path), digests(plain.path)) == (before, inside)


def test_data_sets_and_formats_that_are_refused(plain: fr.Dataset, tmp_path: Path) -> None:
    refused("is not a data set of fractalrs", tmp_path, tmp_path / "csv", "--format", "csv")
    refused("does not exist", tmp_path / "none", tmp_path / "csv", "--format", "csv")
    refused("'xml' is not one of 'csr', 'csv', 'recbole'", plain.path, tmp_path / "xml", "--format", "xml")
    refused("Missing option '--format'", plain.path, tmp_path / "csv")
    with pytest.raises(fr.InputError, match="format is 'xml'; it must be one of csr, csv, recbole, reference-npz, seq"):
        export(plain, tmp_path / "xml", format="xml")
    path = tmp_path / "out"
    fr.write(small_expansion(shuffle="aligned"), path, parts=3)
    (path / "manifest.json").unlink()
    (path / "train/part-00001-of-00003.parquet").unlink()
    refused("is not complete: it lacks train part 1 of 3 hint", path, tmp_path / "csv", "--format", "csv")
    assert {entry.name for entry in tmp_path.iterdir()} == {"out"}


def test_arguments_of_a_wrong_kind_are_refused(plain: fr.Dataset, tmp_path: Path) -> None:
    right: dict[str, Any] = {"dataset": plain, "path": tmp_path / "out", "format": "csv"}
    for name, value, words in (
        ("dataset", str(plain.path), "dataset is .* must be a Dataset"),
        ("path", 5, "path is 5"),
        ("format", [], r"format is \[\]; it must be one of csr"),
        ("batch_size", 0, "batch_size must be a whole number, 1 or more, not 0"),
        ("batch_size", "x", "batch_size must be a whole number"),
    ):
        with pytest.raises(fr.InputError, match=words):
            export(**(right | {name: value}))
    for name in ("a\0b", "a" * 300):
        with pytest.raises(fr.InputError, match="no file can be named"):
            export(plain, tmp_path / name, format="csv")
    assert not names(tmp_path)


def test_a_parent_that_may_not_be_read_is_refused(
    plain: fr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stat(path: Path, **_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", stat)
        with pytest.raises(fr.OutputError, match=r"cannot create .*: Permission denied"):
            export(plain, tmp_path / "csv", format="csv")


def test_a_format_is_one_value(plain: fr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(reader: SplitReader, folder: Path) -> None:
        (folder / reader.split).write_text(str(sum(map(len, reader.batches()))))

    monkeypatch.setitem(FORMATS, "counts", Format("counts", "a number for each split", write, lambda _: 8))
    path = export(plain, tmp_path / "counts", format="counts")
    assert {split: int((path / split).read_text()) for split in SPLITS} == {
        split: plain.totals[split] for split in SPLITS
    }


@pytest.mark.parametrize("format", FORMATS)
def test_damaged_data_sets_are_refused(tmp_path: Path, format: str) -> None:
    dataset = fr.write(small_expansion(shuffle="aligned"), tmp_path / "out", parts=3)
    file = files_of(dataset.path, "test")[1]
    whole = file.read_bytes()
    damages: list[tuple[str, Callable[[], Any]]] = [
        ("cannot read .*part-00001-of-00003.parquet: ", lambda: file.write_bytes(whole[:-9])),
        ("cannot read .*part-00001-of-00003.parquet: ", lambda: file.write_bytes(whole[:4] + bytes(500) + whole[504:])),
        ("cannot read .*part-00001-of-00003.parquet: ", file.unlink),
        ("part-00001-of-00003.parquet has .* interactions, the manifest says", lambda: shortened(file, whole)),
    ]
    for message, damage in damages:
        damage()
        with pytest.raises(fr.InputError, match=message):
            export(dataset, tmp_path / "dest", format=format)
        assert {entry.name for entry in tmp_path.iterdir()} == {"out"}


def shortened(file: Path, whole: bytes) -> None:
    pq.write_table(pq.read_table(pa.BufferReader(whole)).slice(1), file)


def test_columns_that_are_no_text_are_refused_first(rich: fr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "out"
    listed = renamed(rich, path, "text", "tags")
    for split in SPLITS:
        for file in files_of(path, split):
            table = pq.read_table(file)
            tags = pa.array([["a", "b"]] * len(table))
            pq.write_table(table.set_column(table.column_names.index("tags"), "tags", tags), file)
    for format in ("csv", "recbole"):
        with pytest.raises(fr.InputError, match=r"a column cannot be written as text: .*list<"):
            export(listed, tmp_path / "dest", format=format)
    assert {entry.name for entry in tmp_path.iterdir()} == {"out"}
    found = read(export(listed, tmp_path / "sequences", format="sequences"), "train")
    assert found["tags"][0].as_py()[0] == ["a", "b"]


def test_users_are_given_out_as_soon_as_another_one_comes() -> None:
    taken = []

    def batches() -> Iterator[pa.RecordBatch]:
        for user in (1, 1, 2, 3, 3):
            taken.append(user)
            yield pa.record_batch({"user_id": [user] * 4})

    cut = whole_users(batches())
    assert [(table["user_id"].to_pylist(), list(taken)) for table in cut] == [
        ([1] * 8, [1, 1, 2]),
        ([2] * 4, [1, 1, 2, 3]),
        ([3] * 8, [1, 1, 2, 3, 3]),
    ]
