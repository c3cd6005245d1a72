"""Lookups: what is asked of an expansion for single pairs and users, exactly and without a table of all."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs._core import Generator
from fractalrs.errors import InputError
from fractalrs.expansion.declared import one_of
from fractalrs.expansion.operators import Operator
from fractalrs.tools import check_count, checked_ids, checked_pairs, resolve_threads
from fractalrs.words import SPLITS, Split


class Lookups(Protocol):
    """What an expansion answers of single pairs and users."""

    generator: Generator

    @property
    def operator(self) -> Operator:
        """What makes its blocks."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """Expanded user ids m·p and item ids n·q."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Of files, tables and batches."""
        ...

    def contains(
        self, users: npt.ArrayLike, items: npt.ArrayLike, split: Split | None = None, *, threads: int | None = None
    ) -> npt.NDArray[np.bool_]:
        """Return whether expanded users have interactions with expanded items: exactly, and without any table of them.

        For each pair one source row of one block is made again.

        Parameters
        ----------
        users, items
            Ids, broadcast against each other.
        split
            The interactions that count: of ``"train"``, of ``"test"``, or of both by default.

        Returns
        -------
        numpy.ndarray
            bool, of the shape of the two together.

        Raises
        ------
        InputError
            If an id is out of range, or a function makes the blocks.

        Examples
        --------
        >>> from fractalrs import Expansion, leave_last_out, reduce, sample_interactions
        >>> base = leave_last_out(sample_interactions(60, 40, 600))
        >>> expansion = Expansion(base, reduce(base, (2, 3)), seed=7)
        >>> table = expansion.table(0, 120)
        >>> bool(expansion.contains(table["user_id"], table["item_id"]).all())
        True
        """
        if split is not None:
            one_of("split", split, SPLITS)
        user, item = checked_pairs(users, items, self.shape)
        found = self.core.memberships(user.ravel(), item.ravel(), resolve_threads(threads)).reshape(user.shape)
        return found > 0 if split is None else found == 1 + SPLITS.index(split)

    def negatives(
        self, users: npt.ArrayLike, k: int, *, seed: int = 0, threads: int | None = None
    ) -> npt.NDArray[np.signedinteger[Any]]:
        """Draw k different items for each user, uniformly of those that it has no interaction with, train or test.

        Keyed: an expansion, a seed, a user and k say which, whoever else is asked for; fewer are the first of more.

        Parameters
        ----------
        users
            Ids, one-dimensional; they may occur more than once, and then get the same items.
        seed
            Another one, such as the number of an epoch, gives others.

        Returns
        -------
        numpy.ndarray
            Item ids, shape (users, k), of the type of the files' ``item_id``.

        Raises
        ------
        InputError
            If an id is out of range, a user has too few items left, or a function makes the blocks.

        Examples
        --------
        >>> from fractalrs import Expansion, leave_last_out, reduce, sample_interactions
        >>> base = leave_last_out(sample_interactions(60, 40, 600))
        >>> expansion = Expansion(base, reduce(base, (2, 3)), seed=7)
        >>> expansion.negatives([3, 70], 4).shape
        (2, 4)
        """
        check_count("k", k)
        check_count("seed", seed)
        wanted = checked_ids("users", users, self.shape[0]).ravel()
        chosen = self.core.negatives(wanted, k, seed % 2**64, resolve_threads(threads))
        kind = self.schema.field("item_id").type.to_pandas_dtype()
        return chosen.astype(kind).reshape(len(wanted), k)

    def unobserved(
        self, users: npt.ArrayLike, *, threads: int | None = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return what dropout left out of users: the key to a benchmark of learning from incomplete data.

        An expanded user has a source row in every block; those of its interactions that are not written are left out,
        by dropout above all, and by what else drops some (``test_items="one"``, ``drop_incomplete``).

        Parameters
        ----------
        users
            Ids, one-dimensional.

        Returns
        -------
        starts, items
            int64: those of the k-th of `users` are ``items[starts[k]:starts[k + 1]]``, ids of expanded items by
            column block.

        Raises
        ------
        InputError
            If an id is out of range, a function makes the blocks, or the operator samples them.

        Examples
        --------
        >>> from fractalrs import Expansion, leave_last_out, reduce, sample_interactions
        >>> base = leave_last_out(sample_interactions(60, 40, 600))
        >>> expansion = Expansion(base, reduce(base, (2, 3)), seed=7)
        >>> starts, items = expansion.unobserved([5])
        >>> bool(expansion.contains(5, items).any())
        False
        """
        wanted = checked_ids("users", users, self.shape[0]).ravel()
        counts, items = self.core.unobserved(wanted, resolve_threads(threads))
        return np.concatenate(([0], np.cumsum(counts))), items

    def places(self, items: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return where expanded items are: column block times the items of the base, and column.

        With ``id_order="block"`` that is their ids.

        Parameters
        ----------
        items
            Ids, of any shape.

        Returns
        -------
        numpy.ndarray
            int64, of the same shape.

        Raises
        ------
        InputError
            If an id is out of range.

        Examples
        --------
        >>> from fractalrs import Expansion, leave_last_out, reduce, sample_interactions
        >>> base = leave_last_out(sample_interactions(60, 40, 600))
        >>> expansion = Expansion(base, reduce(base, (2, 3)), id_order="scrambled", seed=7)
        >>> places = expansion.places([0, 1, 2])
        >>> expansion.items_at(places).tolist(), (places // base.shape[1]).tolist()
        ([0, 1, 2], [2, 1, 1])
        """
        return self._renumbered("items", items, "places")

    def items_at(self, places: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the ids of expanded items by where they are: what `places` returns, undone.

        Parameters
        ----------
        places
            Column block times the items of the base, and column; of any shape.

        Returns
        -------
        numpy.ndarray
            int64, of the same shape.

        Raises
        ------
        InputError
            If there is no such place.

        Examples
        --------
        >>> from fractalrs import Expansion, leave_last_out, reduce, sample_interactions
        >>> base = leave_last_out(sample_interactions(60, 40, 600))
        >>> expansion = Expansion(base, reduce(base, (2, 3)), id_order="popularity")
        >>> bool((expansion.items_at(range(120)) < 120).all())
        True
        """
        return self._renumbered("places", places, "items_at")

    def _renumbered(self, name: str, numbers: npt.ArrayLike, how: str) -> npt.NDArray[np.int64]:
        wanted = checked_ids(name, numbers, self.shape[1]).astype(np.int64)
        if isinstance(self.generator, Generator):
            made: npt.NDArray[np.int64] = getattr(self.generator, how)(wanted.ravel()).reshape(wanted.shape)
            return made
        return wanted

    @property
    def core(self) -> Generator:
        """The generator, which must be the core's."""
        if self.operator.is_function:
            raise InputError(
                "single interactions can be looked up only where the blocks are not made by a function",
                hint="read them from the table or the stream, or expand by an operator that has a name",
            )
        return self.generator
