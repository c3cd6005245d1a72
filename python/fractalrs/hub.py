"""The hub's library, ``datasets``: an expansion as its iterable data set, divided into shards, on no disk."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import pyarrow as pa

from fractalrs.expansion import Expansion
from fractalrs.tools import check_count, check_kind, installed
from fractalrs.words import Split

if TYPE_CHECKING:
    from datasets import IterableDataset


def iterable(
    source: Expansion, split: Split = "train", *, shards: int = 64, columns: Sequence[str] | None = None
) -> "IterableDataset":
    """Return interactions as an iterable data set of the ``datasets`` library.

    With ``.with_format("arrow")`` or ``.with_format("numpy")`` whole batches come out, without a Python object for
    each interaction.

    Parameters
    ----------
    source
        An expansion. A data set on disk loads as it is: ``datasets.load_dataset(folder)``.
    shards
        The parts that workers, and nodes, divide among themselves; each has as many expected interactions.
    columns
        Names of the columns to make; all by default.

    Raises
    ------
    InputError
        If ``datasets`` is not installed, or an argument is out of its range.

    Examples
    --------
    >>> import fractalrs as fr
    >>> from fractalrs import hub
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> expansion = fr.Expansion(base, fr.reduce(base, (2, 3)), seed=7)
    >>> sorted(next(iter(hub.iterable(expansion, shards=4))))
    ['item_id', 'user_id']
    """
    with installed("datasets"):
        from datasets import DatasetInfo, Features, IterableDataset, NamedSplit
        from datasets.iterable_dataset import ArrowExamplesIterable
    check_kind("source", source, Expansion, "an Expansion; a data set loads with datasets.load_dataset(folder)")
    check_count("shards", shards, 1)
    stream = source.stream(split, columns=columns)
    users = list(pairwise(source.cuts(min(shards, source.shape[0]))))
    # Workers divide lists.
    given = {"source": source, "split": split, "columns": tuple(stream.schema.names), "users": users}
    info = DatasetInfo(features=Features.from_arrow_schema(stream.schema))
    return IterableDataset(ArrowExamplesIterable(_tables, given), info=info, split=NamedSplit(split))


def _tables(
    source: Expansion, split: Split, columns: Sequence[str], users: Sequence[tuple[int, int]]
) -> Iterator[tuple[str, pa.Table]]:
    for first, last in users:
        for number, batch in enumerate(source.stream(split, users=(first, last), columns=columns, threads=1)):
            yield f"{first}_{number}", pa.Table.from_batches([batch])
