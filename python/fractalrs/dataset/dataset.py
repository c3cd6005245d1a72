"""A data set on disk: two Parquet data sets, train and test, and their manifest."""

import errno
from collections.abc import Mapping
from functools import cached_property
from os import PathLike
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset

from fractalrs.dataset.folder import Folder, missing_files, read_manifest
from fractalrs.dataset.layout import MANIFEST, PLAN
from fractalrs.dataset.manifest import AttributesEntry, FileEntry, Manifest, PartEntry
from fractalrs.errors import InputError
from fractalrs.tools import LocalStore
from fractalrs.words import ITEMS, SPLITS, USERS, Side, Split


class Dataset:
    """A complete expanded data set.

    Parameters
    ----------
    path
        Its folder.
    manifest
        What its manifest says, if that is known.

    Attributes
    ----------
    path : pathlib.Path
        Its folder.
    manifest : Manifest
        What ``manifest.json`` says.

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

    def __init__(self, path: str | PathLike[str], manifest: Manifest | None = None) -> None:
        self.path = Path(path)
        self.manifest: Manifest = manifest or _manifest(self.path)

    @property
    def shape(self) -> tuple[int, int]:
        """Expanded user ids m·p and item ids n·q."""
        (m, n), (p, q) = self.multipliers, self.block_shape
        return m * p, n * q

    @property
    def block_shape(self) -> tuple[int, int]:
        """Users p and items q of a block: those of the base."""
        return self.manifest.base_users, self.manifest.base_items

    @property
    def multipliers(self) -> tuple[int, int]:
        """User multiplier m and item multiplier n."""
        return self.manifest.user_multiplier, self.manifest.item_multiplier

    @property
    def profile(self) -> str:
        """The profile that it was made with."""
        return self.manifest.profile

    @property
    def shuffle(self) -> str:
        """The name of its shuffle."""
        return self.manifest.shuffle

    @property
    def operator(self) -> str:
        """The name of its operator."""
        return self.manifest.operator

    @property
    def order(self) -> str:
        """How a user's interactions follow each other."""
        return self.manifest.order

    @property
    def schema(self) -> pa.Schema:
        """The columns of train and test files, as the manifest has them."""
        return self.manifest.schema

    @property
    def parts(self) -> tuple[PartEntry, ...]:
        """The parts in order of users, each with its files."""
        return self.manifest.parts

    @property
    def splits(self) -> tuple[Split, ...]:
        """Train and test, or train alone where nothing is held out."""
        return tuple(split for split in SPLITS if split in self.parts[0].files)

    def files(self, split: Split) -> list[FileEntry]:
        """Return the files of a split, in order of users."""
        return [part.files[split] for part in self.parts if split in part.files]

    @property
    def attributes(self) -> Mapping[str, AttributesEntry]:
        """Files of attributes by ``"items"`` and ``"users"``, as far as there are any."""
        return self.manifest.attributes

    @property
    def totals(self) -> dict[str, int]:
        """Counts of ``train``, ``test`` and all ``interactions``, of ``bytes`` and of ``files``."""
        return self.manifest.totals

    @cached_property
    def train(self) -> pa.dataset.Dataset:
        """Train interactions: ``user_id``, ``item_id``, and what they carry."""
        return self._files("train")

    @cached_property
    def test(self) -> pa.dataset.Dataset:
        """Test interactions: the same columns; without rows where nothing is held out."""
        return self._files("test")

    @cached_property
    def items(self) -> pa.dataset.Dataset | None:
        """Attributes: ``item_id``, ``source_item_id``, ``item_block`` and more; None where none were given."""
        return self._attributes(ITEMS)

    @cached_property
    def users(self) -> pa.dataset.Dataset | None:
        """Attributes: ``user_id``, ``source_user_id``, ``user_block`` and more; None where none were given."""
        return self._attributes(USERS)

    def _attributes(self, side: Side) -> pa.dataset.Dataset | None:
        file = self.attributes.get(side.plural)
        return None if file is None else pa.dataset.dataset(str(self.path / file.path), format="parquet")

    def _files(self, split: Split) -> pa.dataset.Dataset:
        files = [str(self.path / file.path) for file in self.files(split)]
        return pa.dataset.dataset(files, schema=self.schema, format="parquet")

    def __repr__(self) -> str:
        users, items = self.shape
        totals = self.totals
        return (
            f"Dataset({str(self.path)!r}: {users:,} users × {items:,} items, "
            f"{totals['train']:,} train and {totals['test']:,} test interactions)"
        )


def _manifest(path: Path) -> Manifest:
    """Read the manifest of a complete data set."""
    if not path.is_dir():
        raise FileNotFoundError(errno.ENOENT, "does not exist or is not a folder", str(path))
    if (path / MANIFEST).is_file():
        again = "delete it, and give the command that made the data set again"
        return read_manifest(LocalStore(path), again if (path / PLAN).is_file() else None)
    folder = Folder.read(path)
    if folder.plan is None:
        raise InputError(f"{path} is not a data set of fractalrs: it has no {MANIFEST}")
    lacks = missing_files(folder.plan, folder.files) or MANIFEST
    hint = "run the command that began it again"
    raise InputError(f"the data set in {path} is not complete: it lacks {lacks}", hint)


def open_dataset(path: str | PathLike[str]) -> Dataset:
    """Open a complete data set.

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
