"""Files that claim anything: refused by name, before a library takes memory for them or walks out of its arrays."""

import io
import resource
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import fractalrs as fr
from fractalrs.base import Base
from fractalrs.errors import InputError
from fractalrs.expansion import Cells, Expansion, ReducedMatrix
from fractalrs.reading import read_interactions
from fractalrs.tools import load_array, load_arrays, read_object, read_toml, untrusted
from helpers.folders import RATES, small_base, small_cells, small_expansion
from helpers.mutations import SUFFIXES, source, unexpected

PARTS = ("data", "indices", "indptr")


def head(shape: tuple[int, ...], kind: str = "<i8") -> bytes:
    """Return the head of an array that claims a shape."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.getvalue()


# --- SciPy's archives -----------------------------------------------------------------------------------------------


def scipy_archive(path: Path, **changed: Any) -> Path:
    matrix = sp.csr_array(np.array([[1, 0, 2], [0, 3, 0], [4, 0, 5]]))
    arrays = {name: getattr(matrix, name) for name in PARTS}
    np.savez(path, **{"format": np.array(b"csr"), "shape": np.array([3, 3]), **arrays, **changed})
    return path


@pytest.mark.parametrize(
    "changed",
    [
        {"indptr": np.array([0, 10**9, 2, 5])},
        {"indptr": np.array([0, -5, 2, 5])},
        {"indptr": np.array([0, 2, 3, 10**9])},
        {"indptr": np.array([0.0, 2.0, 3.0, 5.0])},
        {"indices": np.array([0, 2, 10**8, 0, 2])},
        {"indices": np.array([0, 2, -(10**8), 0, 2])},
        {"format": np.array(b"csc"), "indices": np.array([0, 2, 77, 0, 2])},
        {"format": np.array(b"bsr"), "data": np.ones((5, 9, 9))},
        {"format": np.array(b"dia"), "data": np.ones((1, 3)), "offsets": np.array([0.5])},
        {"format": np.array(b"coo"), "row": np.array([0, 10**9, 1, 1, 2]), "col": np.arange(5)},
        {"format": np.array(b"coo"), "row": np.array([0, -7, 1, 1, 2]), "col": np.array([0, 1, 2, 0, 1])},
        {"shape": np.array([10**12, 10**12])},
        {"shape": np.array([-3, 3])},
        {"data": np.array([object()] * 5)},
    ],
    ids=lambda changed: "-".join(changed),
)
def test_a_sparse_archive_that_lies_is_refused_by_name(tmp_path: Path, changed: dict[str, Any]) -> None:
    path = scipy_archive(tmp_path / "lies.npz", **changed)
    with pytest.raises(InputError, match=r"lies\.npz is not a SciPy sparse matrix: .*") as caught:
        read_interactions(path)
    assert caught.value.hint


def test_a_sparse_archive_that_is_right_is_read(tmp_path: Path) -> None:
    assert len(read_interactions(scipy_archive(tmp_path / "right.npz"))) == 5


# --- NumPy's files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(10**12,), (2**62, 2**62), (10**6, 10**6)])
def test_an_array_that_claims_more_than_its_file_holds_takes_no_memory(tmp_path: Path, shape: tuple[int, ...]) -> None:
    (tmp_path / "a.npy").write_bytes(head(shape) + b"\0" * 64)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", head(shape) + b"\0" * 64)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for mapped in (False, True):
        with pytest.raises(ValueError, match="too short for that"):
            load_array(tmp_path / "a.npy", mapped=mapped)
    with pytest.raises(ValueError, match="too short for that"):
        load_arrays(tmp_path / "a.npz")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_an_archive_that_claims_more_than_can_be_packed_into_it_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", head((10**9,)) + b"\0" * 64)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    at = content.rindex(b"PK\x01\x02")
    # The size that the directory claims for it, unpacked.
    content[at + 24 : at + 28] = struct.pack("<I", 2**32 - 2)
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="cannot hold"):
        load_arrays(tmp_path / "a.npz")


def test_what_libraries_raise_of_damage_becomes_one_error() -> None:
    raised: list[Exception] = [
        *(zlib.error("x"), OSError(22, "Invalid argument"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x")),
        *(RecursionError("x"), OverflowError("x"), MemoryError("x"), struct.error("x"), zipfile.BadZipFile("x")),
        *(KeyError("x"), SyntaxError("x"), NotImplementedError("x"), EOFError(), RuntimeError("x")),
    ]
    for error in raised:
        with pytest.raises(InputError, match=r"^a file is damaged: .+"), untrusted("a file"):
            raise error
    for kept in (FileNotFoundError(2, "x"), PermissionError(13, "x"), InputError("x"), KeyboardInterrupt()):
        with pytest.raises(type(kept)), untrusted("a file"):
            raise kept


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b"[]", b"1" * 10_000, b"", b"{", b"null"]
)
def test_json_that_is_no_object_is_refused_by_name(text: bytes) -> None:
    with pytest.raises(InputError, match=r"a\.json is damaged: "):
        read_object(text, "a.json")


@pytest.mark.parametrize("text", [b"a = " + b"[" * 100_000, b"a = \xff", b"a", b"a = 1e", b'a = """'])
def test_toml_that_is_none_is_refused_by_name(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.toml").write_bytes(text)
    with pytest.raises(InputError, match=r"a\.toml: ."):
        read_toml(tmp_path / "a.toml")


# --- what this program saved -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def csr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("csr")
    return fr.export(fr.write(small_expansion(), folder / "out", parts=1), folder / "csr", format="csr")


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [
        ("indptr", 5, 10**9),
        ("indptr", 5, -1),
        ("indptr", 0, 1),
        ("indices", 9, 10**8),
        ("indices", 9, -1),
        ("indices", -1, 750),
    ],
)
def test_a_matrix_that_leaves_its_arrays_is_refused(csr: Path, name: str, at: int, value: int) -> None:
    file = csr / f"train.{name}.npy"
    whole = file.read_bytes()
    try:
        array = np.load(file)
        array[at] = value
        np.save(file, array)
        with pytest.raises(InputError, match=r"the files of the train matrix in .* do not fit together"):
            fr.load_csr(csr)
    finally:
        file.write_bytes(whole)
    assert fr.load_csr(csr).shape == (600, 750)


def test_no_damage_of_a_matrix_reaches_scipy(csr: Path) -> None:
    def use() -> object:
        matrix = fr.load_csr(csr)
        return matrix @ np.ones(matrix.shape[1])

    names = [f"train.{part}" for part in ("json", "data.npy", "indices.npy", "indptr.npy")]
    assert unexpected(csr, names, range(300), use) == []


def test_no_damage_of_a_base_reaches_its_readers(tmp_path: Path) -> None:
    small_base().save(tmp_path / "base")

    def use() -> object:
        base = Base.load(tmp_path / "base")
        found = [
            base.item_degrees(),
            base.user_degrees("test"),
            base.train @ np.ones(base.shape[1]),
            base.user_ids.to_pylist(),
        ]
        return found, base.payload and base.payload.to_pylist()

    names = [file.name for file in sorted((tmp_path / "base").iterdir())]
    assert unexpected(tmp_path / "base", names, range(300), use) == []


def test_a_base_with_codes_that_are_no_items_is_refused(tmp_path: Path) -> None:
    small_base().save(tmp_path / "base")
    entries = np.load(tmp_path / "base/entries.npy")
    entries[17] = entries[17] & np.uint32(3 << 30) | np.uint32((1 << 30) - 1)
    np.save(tmp_path / "base/entries.npy", entries)
    with pytest.raises(InputError, match=r"entries\.npy is damaged: an item code is not below 150"):
        Base.load(tmp_path / "base")


def test_no_damage_of_a_saved_expansion_reaches_the_generator(tmp_path: Path) -> None:
    Expansion(small_base(), RATES, cells=small_cells(), seed=7).save(tmp_path / "saved")

    def use() -> object:
        return Expansion.load(tmp_path / "saved").table(0, 20)

    names = [
        str(file.relative_to(tmp_path / "saved"))
        for file in sorted((tmp_path / "saved").rglob("*.*"))
        if file.is_file()
    ]
    assert unexpected(tmp_path / "saved", names, range(300), use) == []


@pytest.mark.parametrize("kind", [Cells, ReducedMatrix])
def test_no_damage_of_saved_values_is_unexpected(tmp_path: Path, kind: Any) -> None:
    small_cells().save(tmp_path / "cells.npz")
    np.save(tmp_path / "reduced.npy", RATES)
    name = "cells.npz" if kind is Cells else "reduced.npy"
    assert unexpected(tmp_path, [name], range(200), lambda: kind.load(tmp_path / name)) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_damage_of_a_source_is_unexpected(tmp_path: Path, suffix: str) -> None:
    path = source(tmp_path, suffix)
    assert unexpected(tmp_path, [path.name], range(25), lambda: read_interactions(path)) == []


@pytest.mark.parametrize(("suffix", "seed"), [(".json", 1002), (".json", 1354), (".parquet", 1693)])
def test_damage_that_was_once_unexpected_is_refused(tmp_path: Path, suffix: str, seed: int) -> None:
    path = source(tmp_path, suffix)
    assert unexpected(tmp_path, [path.name], range(seed, seed + 1), lambda: read_interactions(path)) == []
