from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from typing import Any, BinaryIO, Literal, TypedDict, TypeVar, final

import numpy as np
import numpy.typing as npt

__all__ = [
    "DEBUG_BUILD",
    "GENERATOR",
    "VERSION",
    "Blake3",
    "ExposureLog",
    "Generator",
    "Stream",
    "StreamedMatrix",
    "World",
    "best_likelihoods",
    "cell_energies",
    "check_parquet_options",
    "collapse",
    "degrees",
    "digest_file",
    "existing_blocks",
    "group_spreads",
    "mixed_degrees",
    "nearest_rows",
    "neighbour_sums",
    "ordered",
    "peel_groups",
    "product_of_sparse",
    "read_plain",
    "shuffled",
    "sort_groups",
    "sparse_product",
    "sparse_transpose",
    "stack_distances",
    "standings",
    "sums_of_likelihoods",
    "text_lines",
]

DEBUG_BUILD: bool
GENERATOR: int
VERSION: str

_Ids = npt.NDArray[np.int32] | npt.NDArray[np.int64]
_Columns = tuple[_Ids, _Ids, npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.float64]]
_Target = tuple[str | PathLike[str], Sequence[tuple[str, str]]]
_Part = tuple[int, int, int, _Target | None, _Target | None, _Target | None]
_Split = Literal["train", "valid", "test"]

_Column = tuple[
    str,
    str,
    npt.NDArray[Any] | None,
    npt.NDArray[np.int64] | None,
    npt.NDArray[np.bool_] | None,
]

class _FileSummary(TypedDict):
    rows: int
    bytes: int
    blake3: str

class _PartSummary(TypedDict):
    index: int
    train: _FileSummary | None
    valid: _FileSummary | None
    test: _FileSummary | None

class _JobSummary(TypedDict):
    parts: list[_PartSummary]
    generating_seconds: float
    encoding_seconds: float

def shuffled(
    seed: int, path: Sequence[int], count: int, columns: Sequence[npt.NDArray[np.uint32] | npt.NDArray[np.uint64]]
) -> list[npt.NDArray[Any]]: ...
def stack_distances(codes: npt.NDArray[np.uint32], distinct: int) -> npt.NDArray[np.uint64]: ...
def check_parquet_options(encoding: str, compression: str) -> None: ...
def digest_file(path: str | PathLike[str]) -> str: ...
def existing_blocks(seed: int, block_keep: float, shape: tuple[int, int]) -> npt.NDArray[np.bool_]: ...

_TextColumn = npt.NDArray[np.int32] | npt.NDArray[np.int64] | tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]

def text_lines(columns: Sequence[_TextColumn], delimiter: str) -> bytes: ...

@final
class Blake3:
    def __new__(cls) -> Blake3: ...
    def update(self, bytes: npt.NDArray[np.uint8]) -> None: ...
    def copy(self) -> Blake3: ...
    def hexdigest(self) -> str: ...

@final
class Generator:
    def __new__(
        cls,
        indptr: npt.NDArray[np.int64],
        entries: npt.NDArray[np.uint32],
        items: int,
        keep_rates: npt.NDArray[np.float64],
        user_order: npt.NDArray[np.uint32],
        user_starts: npt.NDArray[np.uint32],
        item_order: npt.NDArray[np.uint32],
        item_starts: npt.NDArray[np.uint32],
        *,
        options: dict[str, Any],
        threads: int,
        times: npt.NDArray[np.int64] | None = None,
        test_is_late: bool = False,
        hour: int | None = None,
        cuts: tuple[int, int] | None = None,
        factors: npt.NDArray[np.float64] | None = None,
        ratings: npt.NDArray[np.float64] | None = None,
        columns: Sequence[_Column] = ...,
    ) -> Generator: ...
    def degrees(self) -> npt.NDArray[np.uint32]: ...
    def interactions(self, first: int, last: int, split: _Split) -> _Columns: ...
    def histories(self, users: npt.NDArray[np.uint64], split: _Split, *, carrying: bool, threads: int) -> _Columns: ...
    def memberships(
        self, users: npt.NDArray[np.uint64], items: npt.NDArray[np.uint64], threads: int
    ) -> npt.NDArray[np.uint8]: ...
    def negatives(
        self, users: npt.NDArray[np.uint64], count: int, seed: int, threads: int
    ) -> npt.NDArray[np.uint64]: ...
    def sources(
        self,
        indptr: npt.NDArray[np.int64],
        entries: npt.NDArray[np.uint32],
        users: npt.NDArray[np.uint64],
        items: npt.NDArray[np.uint64],
        threads: int,
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]: ...
    def observed(
        self,
        indptr: npt.NDArray[np.int64],
        entries: npt.NDArray[np.uint32],
        users: npt.NDArray[np.uint64],
        items: npt.NDArray[np.uint64],
        threads: int,
    ) -> npt.NDArray[np.bool_]: ...
    def unobserved(
        self, users: npt.NDArray[np.uint64], threads: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]: ...
    def places(self, items: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]: ...
    def items_at(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]: ...
    def columns(self, i: int, j: int) -> npt.NDArray[np.uint32]: ...
    def source_users(self, i: int) -> npt.NDArray[np.uint32]: ...
    def block_users(self, i: int, j: int) -> npt.NDArray[np.uint32]: ...
    def run(
        self,
        parts: Sequence[_Part],
        *,
        encoding: str,
        compression: str,
        row_group_size: int,
        stage: Literal["generate", "encode", "write", "flush"],
        threads: int,
        progress: Callable[[int, int], Any] | None = None,
        periods: tuple[Sequence[int], Sequence[str]] | None = None,
    ) -> _JobSummary: ...

@final
class Stream(Iterator[_Columns]):
    def __new__(
        cls,
        generator: Generator,
        first: int,
        last: int,
        split: _Split,
        *,
        with_users: bool,
        carrying: bool,
        interactions: int,
        threads: int,
    ) -> Stream: ...
    def __iter__(self) -> Stream: ...
    def __next__(self) -> _Columns: ...

_Exposures = tuple[
    npt.NDArray[np.int32],
    npt.NDArray[np.int32],
    npt.NDArray[np.int64],
    npt.NDArray[np.int32],
    npt.NDArray[np.float64],
    npt.NDArray[np.bool_],
    npt.NDArray[np.int8],
]

@final
class World:
    def __new__(cls, spec: dict[str, Any]) -> World: ...
    def exposures(self, users: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]: ...
    def preferences(
        self, users: npt.NDArray[np.uint32], items: npt.NDArray[np.uint32], threads: int
    ) -> npt.NDArray[np.float64]: ...
    def propensities(
        self, users: npt.NDArray[np.uint32], items: npt.NDArray[np.uint32], threads: int
    ) -> npt.NDArray[np.float64]: ...
    def rows(self, users: npt.NDArray[np.uint32], threads: int) -> npt.NDArray[np.float64]: ...
    def chances(self, users: npt.NDArray[np.uint32], weights: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]: ...
    def expose(
        self,
        users: npt.NDArray[np.uint32],
        weights: npt.NDArray[np.uint64] | None,
        *,
        round: int,
        only_responses: bool,
    ) -> _Exposures: ...
    def top(self, scores: npt.NDArray[np.float64], slate: int, seen: _Rows) -> npt.NDArray[np.uint32]: ...
    def first_of_orders(
        self,
        users: npt.NDArray[np.uint32],
        orders: npt.NDArray[np.uint32],
        length: int,
        *,
        slate: int,
        seed: int,
        round: int,
        seen: _Rows,
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float64]]: ...
    def answer(
        self,
        users: npt.NDArray[np.uint32],
        slates: npt.NDArray[np.uint32],
        own: npt.NDArray[np.float64] | None,
        chances: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
        seen: _Rows,
        *,
        seed: int,
        round: int,
        epsilon: int,
        missing: int,
        late: int,
        examination: Sequence[int],
    ) -> _Answers: ...
    def leaves(
        self, users: npt.NDArray[np.uint32], seed: int, round: int, probability: int
    ) -> npt.NDArray[np.bool_]: ...

@final
class ExposureLog(Iterator[_Exposures]):
    def __new__(
        cls,
        world: World,
        first: int,
        last: int,
        *,
        round: int,
        only_responses: bool,
        at_once: int,
        threads: int,
    ) -> ExposureLog: ...
    def __iter__(self) -> ExposureLog: ...
    def __next__(self) -> _Exposures: ...

_Rows = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]
_Answers = tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.int32]]
_Pieces = Sequence[tuple[int, int]]
_Lookups = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]
_Path = str | PathLike[str]
_Progress = Callable[[int, int], Any] | None
_Real = TypeVar("_Real", np.float32, np.float64)

class _Degrees(TypedDict):
    user_train: npt.NDArray[np.uint32]
    user_valid: npt.NDArray[np.uint32]
    user_test: npt.NDArray[np.uint32]
    item_train: npt.NDArray[np.uint32]
    item_valid: npt.NDArray[np.uint32]
    item_test: npt.NDArray[np.uint32]
    item_user_degree: npt.NDArray[np.uint64]
    block_train: npt.NDArray[np.uint64]
    block_valid: npt.NDArray[np.uint64]
    block_test: npt.NDArray[np.uint64]
    density: npt.NDArray[np.uint64]
    violations: dict[str, tuple[int, tuple[int, int] | None]]

@final
class StreamedMatrix:
    @staticmethod
    def of_base(
        indptr: npt.NDArray[np.int64],
        entries: npt.NDArray[np.uint32],
        items: int,
        pieces: _Pieces,
        *,
        interactions: int,
        threads: int,
        memory: int,
    ) -> StreamedMatrix: ...
    @staticmethod
    def of_expansion(
        generator: Generator, pieces: _Pieces, *, interactions: int, threads: int, memory: int, rows_memory: int
    ) -> StreamedMatrix: ...
    @staticmethod
    def of_files(
        users: int,
        items: int,
        pieces: _Pieces,
        files: Sequence[Sequence[Sequence[_Path]]],
        *,
        interactions: int,
        threads: int,
        memory: int,
        rows_memory: int,
        open: Callable[[str], BinaryIO] | None = None,
    ) -> StreamedMatrix: ...
    @property
    def keeps_rows(self) -> bool: ...
    def degrees(
        self,
        *,
        base_users: int,
        base_items: int,
        order_by_item: bool,
        bins: tuple[int, int],
        each_item: bool,
        numbered_by: Generator | None = None,
        progress: _Progress = None,
    ) -> _Degrees: ...
    def multiply(
        self,
        product: Literal["gram", "plain", "transposed"],
        x: npt.NDArray[_Real],
        *,
        progress: _Progress = None,
    ) -> npt.NDArray[_Real]: ...
    def lookups(
        self, *, seed: int, users_below: int | None, items_below: int | None, progress: _Progress = None
    ) -> tuple[_Lookups, _Lookups]: ...
    def cooccurrence(self, chosen: npt.NDArray[np.uint32], *, progress: _Progress = None) -> npt.NDArray[np.uint32]: ...
    def nearest_items(
        self,
        chosen: npt.NDArray[np.uint32],
        degrees: npt.NDArray[np.uint32],
        *,
        least: int,
        count: int,
        group: int,
        progress: _Progress = None,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], npt.NDArray[np.float64]]: ...
    def collect(
        self, chosen: npt.NDArray[np.uint64], *, split: _Split, progress: _Progress = None
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]: ...
    def nearest(
        self,
        given: npt.NDArray[np.uint64],
        starts: npt.NDArray[np.uint64],
        items: npt.NDArray[np.int64],
        *,
        group: int,
        progress: _Progress = None,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

_Floats = npt.NDArray[np.float64]
_Codes = npt.NDArray[np.uint32]
_Longs = npt.NDArray[np.int64]
_Csr = tuple[_Longs, npt.NDArray[np.int32]]
_Valued = tuple[_Longs, npt.NDArray[np.int32], _Floats]
_Scored = tuple[_Csr, _Valued, _Floats, _Floats, _Floats]
_Pair = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]

def sparse_product(
    starts: _Longs, columns: npt.NDArray[np.int32], values: _Floats | None, x: _Floats, *, threads: int
) -> _Floats: ...
def product_of_sparse(
    one: _Valued,
    other: _Valued,
    width: int,
    *,
    threads: int,
) -> npt.NDArray[np.float32]: ...
def sparse_transpose(
    starts: _Longs, columns: npt.NDArray[np.int32], values: _Floats | None, width: int, *, threads: int
) -> tuple[_Longs, npt.NDArray[np.int32], _Floats | None]: ...
def nearest_rows(
    one: _Valued,
    other: _Valued,
    neighbours: int,
    *,
    threads: int,
) -> _Valued: ...
def best_likelihoods(scored: _Scored, *, threads: int) -> tuple[_Longs, _Pair, _Pair]: ...
def sums_of_likelihoods(scored: _Scored, *, threads: int) -> _Floats: ...
def standings(
    tastes: npt.NDArray[np.float32],
    factors: npt.NDArray[np.float32],
    known: _Csr,
    asked: _Csr,
    ranks: Sequence[int],
    *,
    enough: int,
    threads: int,
) -> npt.NDArray[np.uint32]: ...
def read_plain(
    path: str | PathLike[str], delimiter: int, kinds: str, first_line: int, *, block_bytes: int, threads: int
) -> list[tuple[list[_Longs], list[_Floats]]] | None: ...
def collapse(
    users: npt.NDArray[np.int32],
    items: npt.NDArray[np.int32],
    times: _Longs | None,
    count: int,
    *,
    hold_out: Literal["last", "all"] | None,
    leave_out: int,
    validation: bool,
    least_times: int,
    positions: bool,
    threads: int,
) -> tuple[_Longs, _Codes, _Longs, npt.NDArray[np.bool_]]: ...
def degrees(
    indptr: _Longs, entries: _Codes, items: int, *, threads: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]: ...
def neighbour_sums(
    indptr: _Longs,
    entries: _Codes,
    user_values: npt.NDArray[np.uint64],
    item_values: npt.NDArray[np.uint64],
    *,
    threads: int,
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]: ...
def mixed_degrees(
    indptr: _Longs, entries: _Codes, items: int, user_order: _Codes, user_starts: _Codes, seed: int, *, threads: int
) -> npt.NDArray[np.uint32]: ...
def ordered(indptr: _Longs, entries: _Codes, users: _Longs, places: _Longs, *, threads: int) -> tuple[_Csr, _Csr]: ...
def group_spreads(points: _Floats, order: _Codes, edges: _Codes) -> _Floats: ...
def sort_groups(points: _Floats, order: _Codes, edges: _Codes, axes: _Floats) -> _Codes: ...
def peel_groups(points: _Floats, order: _Codes, cells: _Codes, starts: _Codes) -> _Codes: ...
def cell_energies(
    matrix: _Csr, rows: tuple[_Longs, _Longs, _Longs], columns: tuple[_Longs, _Longs, _Longs], shape: tuple[int, int]
) -> list[_Floats]: ...
