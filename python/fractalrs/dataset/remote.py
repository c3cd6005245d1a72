"""A store as a file system of Arrow's, to read from."""

from collections.abc import Iterable
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.fs

from fractalrs.tools import Store


def file_system(store: Store) -> pa.fs.FileSystem:
    """Return a store as a file system; what has a name is a file, and nothing is written.

    Examples
    --------
    >>> from pathlib import Path
    >>> from fractalrs.tools import LocalStore
    >>> file_system(LocalStore(Path("out"))).type_name
    'py::fractalrs'
    """
    return pa.fs.PyFileSystem(_StoreFiles(store))


class _StoreFiles(pa.fs.FileSystemHandler):  # type: ignore[misc]
    def __init__(self, store: Store) -> None:
        self.store = store

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _StoreFiles) and self.store == other.store

    def __hash__(self) -> int:
        return hash(self.store)

    def get_type_name(self) -> str:
        """Return the name of the kind of file system."""
        return "fractalrs"

    def normalize_path(self, path: str) -> str:
        """Return the path."""
        return path

    def get_file_info(self, paths: Iterable[str]) -> list[pa.fs.FileInfo]:
        """Say that each is a file."""
        return [pa.fs.FileInfo(path, pa.fs.FileType.File) for path in paths]

    def open_input_file(self, path: str) -> pa.NativeFile:
        """Open a file."""
        return pa.PythonFile(self.store.open(path), mode="r")

    open_input_stream = open_input_file

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError("this file system only reads")

    get_file_info_selector = create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = _refuse
    delete_file = move = copy_file = open_output_stream = open_append_stream = _refuse
