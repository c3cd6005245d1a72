"""Where each file of a data set is, and how the Parquet files are encoded."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import pyarrow as pa

from fractalrs._core import check_parquet_options
from fractalrs.errors import InputError
from fractalrs.tools import Shown
from fractalrs.words import SIDES, SPLITS, Partition, Split

PLAN = "private/plan.json"
MANIFEST = "manifest.json"
FILES = "fractalrs.files"
"""Label of a file of a period: how many files its part and split have."""
CARD = "README.md"
ATTRIBUTE_FILES = {side.plural: f"{side.plural}.parquet" for side in SIDES}
"""Names of the files of attributes, by ``"items"`` and ``"users"``."""
TRUTH = "truth"
TRUTH_MANIFEST, TRUTH_CARD = f"{TRUTH}/manifest.json", f"{TRUTH}/README.md"
TRUTH_KINDS = (*SPLITS, "unobserved")
"""Of what there are files of truth: the splits, and what dropout left out."""

_PART = re.compile(
    rf"({'|'.join(SPLITS)})/(?:({'|'.join(get_args(Partition))})=[\dW-]+/)?part-(\d{{5,}})-of-(\d{{5,}})\.parquet"
)
_TRUTH = re.compile(rf"{TRUTH}/(?:{'|'.join(TRUTH_KINDS)})/part-(\d{{5,}})-of-(\d{{5,}})\.parquet")

MAX_ROW_GROUP = 1 << 24
"""A row group is held in memory, and written between two looks at Ctrl-C."""


@dataclass(frozen=True, repr=False)
class ParquetOptions(Shown):
    """How Parquet files are encoded.

    Parameters
    ----------
    encoding
        ``"default"``: read by everything in use, Spark 3.5 included; or ``"fast"``: item ids split by bytes, quicker
        to write, not read by Spark before 4.3 and other readers that lack BYTE_STREAM_SPLIT for integers.
    compression
        ``"none"``, ``"lz4"``, ``"snappy"``, ``"zstd"`` or ``"zstd(LEVEL)"``. Ids, times and values of few kinds are
        packed so densely that ``"lz4"`` and ``"snappy"`` leave them as they are.
    row_group_size
        Interactions a row group.

    Examples
    --------
    >>> import fractalrs as fr
    >>> fr.ParquetOptions(compression="zstd(3)")
    ParquetOptions(encoding='default', compression='zstd(3)', row_group_size=1048576)
    """

    encoding: str = "default"
    compression: str = "lz4"
    row_group_size: int = 1 << 20

    def __post_init__(self) -> None:
        """Check the values before anything is written."""
        for name in ("encoding", "compression"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be a word")
        try:
            check_parquet_options(self.encoding, self.compression)
        except ValueError as error:
            raise InputError(str(error)) from None
        if type(self.row_group_size) is not int or not 1 <= self.row_group_size <= MAX_ROW_GROUP:
            raise InputError(f"row_group_size is {self.row_group_size}; it must be from 1 to {MAX_ROW_GROUP}")


DEFAULT_PARQUET = ParquetOptions()


@dataclass(frozen=True)
class Part:
    """The k-th of P contiguous ranges of expanded users: users ``first`` to ``last`` (not included)."""

    index: int
    of: int
    first: int
    last: int

    def file(self, split: Split) -> str:
        """Return the name of the part's file of one split, relative to the data set's folder."""
        return part_file(self.index, self.of, split)


@dataclass(frozen=True, repr=False)
class Division(Shown):
    """What finishing needs of an expansion: the P + 1 users between which its parts are, columns, if it is made up."""

    cuts: Sequence[int]
    schema: pa.Schema
    made_up: bool


def part_file(index: int, of: int, split: Split, folder: str = "") -> str:
    """Return the name of the file of a part's split, relative to the data set's folder; of a period's with its folder.

    Examples
    --------
    >>> part_file(2, 8, "train"), part_file(2, 8, "train", "week=2015-W03")
    ('train/part-00002-of-00008.parquet', 'train/week=2015-W03/part-00002-of-00008.parquet')
    """
    return "/".join(filter(None, (split, folder, f"part-{index:05d}-of-{of:05d}.parquet")))


def part_of(name: str) -> tuple[str, str, int, int] | None:
    """Return what a file's name says: it without the folder of its period, by what that is, number and parts.

    Examples
    --------
    >>> part_of("test/week=2015-W03/part-00002-of-00008.parquet")
    ('test/part-00002-of-00008.parquet', 'week', 2, 8)
    >>> part_of("README.md")
    """
    found = _PART.fullmatch(name)
    if found is None:
        return None
    split, partition, index, of = found.groups()
    return f"{split}/part-{index}-of-{of}.parquet", partition or "", int(index), int(of)


def truth_file(index: int, of: int, kind: str) -> str:
    """Return the name of the file of what is true of a part's split, or of what dropout left out of it.

    Examples
    --------
    >>> truth_file(2, 8, "unobserved")
    'truth/unobserved/part-00002-of-00008.parquet'
    """
    return f"{TRUTH}/{kind}/part-{index:05d}-of-{of:05d}.parquet"


def truth_of(name: str) -> tuple[int, int] | None:
    """Return number and parts of a file of what is true.

    Examples
    --------
    >>> truth_of("truth/test/part-00002-of-00008.parquet"), truth_of("test/part-00002-of-00008.parquet")
    ((2, 8), None)
    """
    found = _TRUTH.fullmatch(name)
    return None if found is None else (int(found[1]), int(found[2]))
