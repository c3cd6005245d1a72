"""A base on disk: a folder of files that are mapped into memory, whole or not there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs._core import digest_file
from fractalrs.base.payload import describe_payload
from fractalrs.base.privacy import Privacy
from fractalrs.errors import InputError
from fractalrs.tools import (
    has_seal,
    load_array,
    read_object,
    sealed_json,
    untrusted,
    unwritten,
    whole_arrow,
    whole_folder,
)
from fractalrs.words import SPLITS

FORMAT = "fractalrs base 3"
DIGESTED = "fractalrs base 2"
"""What fingerprints begin with: they are the same since then, where a base has no cuts."""
BASE_FILES = ("base.json", "indptr.npy", "entries.npy", "user_ids.arrow", "item_ids.arrow", "payload.arrow")
"""What a saved base may have."""
ITEM = np.uint32((1 << 30) - 1)
"""The bits of an entry that are its item code."""
_LOOKED_AT = 1 << 22
"""So many entries are looked at at a time."""
_TEXTS = ("split", "fingerprint")
HINT_DAMAGED = "the folder is not a complete saved base: save it again"


class Stored(NamedTuple):
    """What a saved base holds: the fields of `Base`, and its fingerprint when it was saved."""

    indptr: npt.NDArray[np.int64]
    entries: npt.NDArray[np.uint32]
    user_ids: pa.Array
    item_ids: pa.Array
    split: str
    notes: tuple[str, ...]
    payload: pa.Table | None
    cuts: tuple[int, ...]
    privacy: Privacy | None
    fingerprint: str


def write_base(target: Path, stored: Stored, valid_count: int, test_count: int) -> None:
    """Write a base, so many of its entries held out, to a folder that appears whole; see `Base.save`."""
    description: dict[str, Any] = {
        "format": FORMAT,
        "users": len(stored.user_ids),
        "items": len(stored.item_ids),
        "train": len(stored.entries) - valid_count - test_count,
        "valid": valid_count,
        "test": test_count,
        "split": stored.split,
        "notes": list(stored.notes),
        "cuts": list(stored.cuts),
        "fingerprint": stored.fingerprint,
    }
    tables = {"user_ids": pa.table({"id": stored.user_ids}), "item_ids": pa.table({"id": stored.item_ids})}
    if stored.payload is not None:
        description["payload"] = describe_payload(stored.payload)
        tables["payload"] = stored.payload
    if stored.privacy is not None:
        description["privacy"] = stored.privacy.described()
    folder = None
    try:
        with whole_folder(target) as folder:
            _write_files(folder, description, stored, tables)
    except OSError as error:
        raise unwritten(target, error, folder is not None) from error


def _write_files(folder: Path, description: Mapping[str, Any], stored: Stored, tables: Mapping[str, pa.Table]) -> None:
    np.save(folder / "indptr.npy", stored.indptr.astype("<i8", copy=False), allow_pickle=False)
    np.save(folder / "entries.npy", stored.entries.astype("<u4", copy=False), allow_pickle=False)
    for name, table in tables.items():
        batch = pa.record_batch([column.chunk(0) for column in table.columns], schema=table.schema)
        with pa.ipc.new_file(str(folder / f"{name}.arrow"), table.schema) as writer:
            writer.write_batch(batch)
    digests = {file.name: digest_file(file) for file in sorted(folder.iterdir())}
    (folder / "base.json").write_text(sealed_json({**description, "digests": digests}), encoding="utf-8")


def changed_files(folder: Path) -> list[str]:
    """Return the files of a saved base that are not what was written, byte for byte.

    Examples
    --------
    >>> import tempfile
    >>> from fractalrs import leave_last_out, sample_interactions
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     leave_last_out(sample_interactions(60, 40, 600)).save(f"{folder}/base")
    ...     changed_files(Path(folder) / "base")
    []
    """
    try:
        description = read_object((folder / "base.json").read_bytes(), folder / "base.json")
    except InputError:
        return ["base.json"]
    if not has_seal(description):
        return ["base.json"]
    digests: dict[str, str] = description["digests"]
    return [name for name, digest in digests.items() if digest_file(folder / name) != digest]


def read_base(folder: Path) -> Stored:
    """Read a saved base, mapped into memory; see `Base.load`."""
    if not folder.is_dir():
        raise InputError(f"there is no saved base at {folder}", hint="give the folder that a base was saved to")
    try:
        description = read_object((folder / "base.json").read_bytes(), folder / "base.json", HINT_DAMAGED)
        if description["format"] != FORMAT:
            raise InputError(
                f"{folder} holds {description['format']!r}, this version reads {FORMAT!r}",
                hint="make the base again from its source",
            )
        p, q, count = description["users"], description["items"], sum(description[split] for split in SPLITS)
        if not all(type(one) is int and one >= 0 for one in (p, q, count, *description["cuts"])):
            raise TypeError("a count is no whole number")
        if not all(isinstance(one, str) for one in (*description["notes"], *map(description.get, _TEXTS))):
            raise TypeError("a text is none")
        has_payload = "payload" in description
        stored = Stored(
            _load_array(folder / "indptr.npy", np.dtype("<i8"), p + 1),
            _load_array(folder / "entries.npy", np.dtype("<u4"), count),
            _load_ids(folder / "user_ids.arrow", p),
            _load_ids(folder / "item_ids.arrow", q),
            description["split"],
            tuple(description["notes"]),
            _load_payload(folder / "payload.arrow", description["payload"], count) if has_payload else None,
            tuple(description["cuts"]),
            Privacy.read(description["privacy"]) if "privacy" in description else None,
            description["fingerprint"],
        )
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} is missing", hint=HINT_DAMAGED) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder / 'base.json'} is damaged", hint=HINT_DAMAGED) from error
    # One pass over p + 1 numbers: readers of the rows rely on it to stay inside `entries`.
    indptr = stored.indptr
    if indptr[0] != 0 or indptr[-1] != count or np.any(indptr[1:] < indptr[:-1]):
        raise InputError(f"{folder / 'indptr.npy'} is damaged", hint=HINT_DAMAGED)
    for start in range(0, count, _LOOKED_AT):
        # So do readers of items, to stay inside arrays with one element an item.
        if int((stored.entries[start : start + _LOOKED_AT] & ITEM).max()) >= q:
            raise InputError(f"{folder / 'entries.npy'} is damaged: an item code is not below {q:,}", hint=HINT_DAMAGED)
    return stored


def _load_array(file: Path, dtype: np.dtype[Any], length: int) -> npt.NDArray[Any]:
    with untrusted(file, HINT_DAMAGED):
        array = load_array(file, mapped=True)
    if array.dtype != dtype or array.shape != (length,):
        raise InputError(
            f"{file} holds {array.dtype} {array.shape} where base.json says {dtype} {(length,)}", hint=HINT_DAMAGED
        )
    return array


def _load_ids(file: Path, length: int) -> pa.Array:
    with untrusted(file, HINT_DAMAGED):
        ids = whole_arrow(file)["id"].combine_chunks()
    if ids.type not in (pa.int64(), pa.string()) or len(ids) != length:
        raise InputError(f"{file} holds {len(ids)} ids of type {ids.type}, not {length}", hint=HINT_DAMAGED)
    return ids


def _load_payload(file: Path, description: Mapping[str, Any], length: int) -> pa.Table:
    keys = ("columns", "ticks_per_hour") if "timestamp" in description["columns"] else ("columns",)
    expected = {key: description[key] for key in keys}
    with untrusted(file, HINT_DAMAGED):
        payload = whole_arrow(file)
        try:
            found = describe_payload(payload)
        except InputError as error:
            raise ValueError(error.message) from None
    if found != expected or payload.num_rows != length:
        raise InputError(f"{file} is damaged: {payload.num_rows} rows of {found}", hint=HINT_DAMAGED)
    return payload
