"""A data set on disk: two Parquet data sets, train and test, and their manifest."""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fractalrs.dataset.folder import Folder, missing_files, read_manifest
from fractalrs.dataset.layout import MANIFEST, PLAN
from fractalrs.dataset.manifest import FileEntry, Manifest
from fractalrs.errors import InputError
from fractalrs.tools import Place, RemotePath, Shown, Store, one_line, store_of
from fractalrs.words import ITEMS, SPLITS, USERS, Side, Split

if TYPE_CHECKING:
    import pyarrow.dataset

_HINT = "delete the file and run the command that made the data set again"


class Dataset(Shown):
    """A complete expanded data set.

    Parameters
    ----------
    path
        Its folder, its URL in an object store, or an `ObjectStore`.
    manifest
        What its manifest says, if that is known.

    Attributes
    ----------
    path : pathlib.Path
        Its folder; a data set in an object store has none, and whoever asks for it is refused.
    place, store
        Its folder, or what reads as its URL in an object store; what its files are read from.
    manifest : Manifest
        What ``manifest.json`` says.
    profile, shuffle, operator, order : str
        The profile that it was made with, the names of its shuffle and operator, and how a user's interactions follow
        each other.
    multipliers, block_shape, shape : tuple of int
        User multiplier m and item multiplier n; users p and items q of a block, those of the base; expanded user ids
        m·p and item ids n·q.
    schema : pyarrow.Schema
        The columns of the files of interactions.
    parts, splits : tuple
        The parts in order of users, each with its files; train, and of validation and test what is held out.
    partition : str or None
        By what periods of time files are divided, if they are: ``"week"``, ``"month"`` or ``"day"``.
    attributes : mapping of str to AttributesEntry
        Files of attributes by ``"items"`` and ``"users"``, as far as there are any.
    totals : dict
        Counts of ``train``, ``test`` (and ``valid``) and all ``interactions``, of ``bytes`` and of ``files``.

    Examples
    --------
    >>> import tempfile
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     dataset = fr.write(fr.Expansion(base, [[0.5, 0.9]]), folder)
    >>> dataset.block_shape, dataset.multipliers, dataset.splits
    ((60, 40), (1, 2), ('train', 'test'))
    """

    def __init__(self, path: Place, manifest: Manifest | None = None) -> None:
        self.store = store_of(path)
        self.place = self.store.path
        self.manifest = known = manifest or _manifest(self.store)
        self.profile, self.shuffle = known.profile, known.shuffle
        self.operator, self.order, self.id_order = known.operator, known.order, known.id_order
        self.multipliers = m, n = known.user_multiplier, known.item_multiplier
        self.block_shape = p, q = known.base_users, known.base_items
        self.shape = m * p, n * q
        self.schema, self.parts = known.schema, known.parts
        self.splits: tuple[Split, ...] = tuple(split for split in SPLITS if split in self.parts[0].files)
        self.attributes, self.totals, self.partition = known.attributes, known.totals, known.partition

    def files(self, split: Split) -> list[FileEntry]:
        """Return the files of a split, in order of users."""
        return [file for part in self.parts for file in part.files.get(split, ())]

    @property
    def path(self) -> Path:
        """Its folder; refused where it is in an object store."""
        if isinstance(self.place, Path):
            return self.place
        raise InputError(f"{self.place} is in an object store, and this reads local files", hint="copy it to a folder")

    @cached_property
    def train(self) -> "pa.dataset.Dataset":
        """Train interactions: ``user_id``, ``item_id``, and what they carry; the period, where files are divided."""
        return self._files("train")

    @cached_property
    def valid(self) -> "pa.dataset.Dataset":
        """What is held out for validation: the same columns; without rows where nothing is."""
        return self._files("valid")

    @cached_property
    def test(self) -> "pa.dataset.Dataset":
        """Test interactions: the same columns; without rows where nothing is held out."""
        return self._files("test")

    @cached_property
    def items(self) -> "pa.dataset.Dataset | None":
        """Attributes: ``item_id``, ``source_item_id``, ``item_block`` and more; None where none were given."""
        return self._attributes(ITEMS)

    @cached_property
    def users(self) -> "pa.dataset.Dataset | None":
        """Attributes: ``user_id``, ``source_user_id``, ``user_block`` and more; None where none were given."""
        return self._attributes(USERS)

    def _attributes(self, side: Side) -> "pa.dataset.Dataset | None":
        file = self.attributes.get(side.plural)
        return None if file is None else self._opened([file.path])

    def _files(self, split: Split) -> "pa.dataset.Dataset":
        names = [file.path for file in self.files(split)]
        if self.partition is None:
            return self._opened(names, schema=self.schema)
        period = pa.field(self.partition, pa.string())
        base = str(self.place / split) if isinstance(self.place, Path) else split
        return self._opened(names, schema=self.schema.append(period), periods=period, partition_base_dir=base)

    def _opened(self, names: list[str], *, periods: pa.Field | None = None, **how: Any) -> "pa.dataset.Dataset":
        # Loads pandas where that is installed.
        import pyarrow.dataset as pa_dataset

        if periods is not None:
            how["partitioning"] = pa_dataset.partitioning(pa.schema([periods]), flavor="hive")
        if isinstance(self.place, Path):
            return pa_dataset.dataset([str(self.place / name) for name in names], format="parquet", **how)
        # Local data sets do without the file systems.
        from fractalrs.dataset.remote import file_system

        return pa_dataset.dataset(names, format="parquet", filesystem=file_system(self.store), **how)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand its train interactions over as an Arrow stream, in the files' order."""
        return self.train.scanner().to_reader().__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        """Hand its schema over, for readers that ask for it before they read."""
        return self.train.schema.__arrow_c_schema__()

    def __repr__(self) -> str:
        users, items = self.shape
        valid = f", {self.totals['valid']:,} validation" if "valid" in self.totals else ""
        size = f"{self.totals['train']:,} train{valid} and {self.totals['test']:,} test interactions"
        return one_line(f"Dataset({str(self.place)!r}: {users:,} users × {items:,} items, {size})")

    def _facts(self) -> dict[str, Any]:
        ids = {"users": self.shape[0], "items": self.shape[1], "multipliers": self.multipliers}
        made = {name: getattr(self, name) for name in ("profile", "shuffle", "operator")}
        return {
            "path": self.place,
            **ids,
            **self.totals,
            "parts": len(self.parts),
            **made,
            "columns": ", ".join(self.schema.names),
        }


def _manifest(store: Store) -> Manifest:
    """Read the manifest of a complete data set."""
    path = store.path
    if isinstance(path, Path) and not path.is_dir():
        raise FileNotFoundError(errno.ENOENT, "does not exist or is not a folder", str(path))
    there = store.list()
    if MANIFEST in there:
        hint = "delete it, and give the command that made the data set again" if PLAN in there else None
        return read_manifest(store, hint=hint)
    if not there and isinstance(path, RemotePath):
        raise FileNotFoundError(errno.ENOENT, "nothing is there", str(path))
    folder = Folder.read(store)
    if folder.plan is None:
        raise InputError(f"{path} is not a data set of fractalrs: it has no {MANIFEST}", "name what expand has written")
    lacks = missing_files(folder.plan, folder.files) or MANIFEST
    raise InputError(f"the data set in {path} is not complete: it lacks {lacks}", "run the command that began it again")


def open_dataset(path: Place) -> Dataset:
    """Open a complete data set: in a folder, or at a URL in an object store.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    InputError
        If the folder holds no complete data set.

    Examples
    --------
    >>> import tempfile
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = fr.write(fr.Expansion(base, [[0.5, 0.9]]), folder)
    ...     fr.open_dataset(folder).totals == made.totals
    True
    """
    return Dataset(path)


def arrow_file(path: Path | RemotePath) -> Path | pa.PythonFile:
    """Return what Arrow reads a file by."""
    return pa.PythonFile(path.open(), mode="r") if isinstance(path, RemotePath) else path


@contextmanager
def opened(path: Path | RemotePath, interactions: int | None = None) -> Iterator[pq.ParquetFile]:
    """Open a file, which must have so many interactions; name it where it cannot be read, now or later.

    Raises
    ------
    InputError
        If it is not there, damaged, or has another number of interactions.
    """
    try:
        with pq.ParquetFile(arrow_file(path)) as file:
            rows = file.metadata.num_rows
            if interactions not in (None, rows):
                raise InputError(f"{path} has {rows:,} interactions, the manifest says {interactions:,}", _HINT)
            yield file
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, PermissionError):
            raise
        raise InputError(f"cannot read {path}: {error}", _HINT) from None


def whole_users(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Cut batches anew, so that none ends within a user."""
    begun: list[pa.RecordBatch] = []
    for batch in filter(len, batches):
        users = batch["user_id"].to_numpy()
        if begun and begun[-1]["user_id"][-1].as_py() != users[0]:
            yield pa.Table.from_batches(begun)
            begun = []
        # Whoever is last may go on in the next batch.
        last = int(np.argmax(users == users[-1]))
        if last:
            yield pa.Table.from_batches([*begun, batch.slice(0, last)])
            begun = []
        begun.append(batch.slice(last))
    if begun:
        yield pa.Table.from_batches(begun)
