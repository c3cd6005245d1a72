"""Object stores, by `obstore`: S3, Google Cloud Storage, Azure, and what speaks like them.

Every file is put by one request, which shows it whole or not at all and leaves no pending upload, however the writer
ends. What is to be put is made in a temporary folder of this machine and read from there without a copy in memory.
Nobody can hold a lock: the plan, put where nothing is, is the claim, and whoever writes looks if it is still there.
"""

import io
import json
import mmap
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from fractalrs.errors import InputError, OutputError
from fractalrs.tools import machine
from fractalrs.tools.arguments import as_path, url_scheme
from fractalrs.tools.object_client import (
    SEE,
    begin,
    client_of,
    content_of,
    each_of,
    give_up,
    labels_of,
    listed,
    range_of,
    refusal,
    sizes_of,
    wait,
)
from fractalrs.tools.sealed import FileReport, read_labelled
from fractalrs.tools.shown import Shown
from fractalrs.tools.store import LocalStaging, LocalStore, RemotePath, Store, is_litter

SCHEMES = ("s3", "gs", "az")
LARGEST = 5_000_000_000
"""Bytes that S3 and Azure take in one request."""
_KNOWN = "fractalrs"
"""The key of an object's metadata that says what is known of a file: letters alone, which all stores take."""
_CHUNK, _FETCHED_AT_ONCE, _ASKED_AT_ONCE = 1 << 22, 8, 32

_Result = TypeVar("_Result")


@dataclass(frozen=True, repr=False)
class ObjectStore(Shown):
    """A place in an object store, given by a URL: a bucket, or what is below a prefix of it.

    Parameters
    ----------
    url
        ``"s3://bucket/prefix"``, ``"gs://bucket/prefix"`` or ``"az://container/prefix"``.
    options
        What the environment does not say, as `obstore` names it: ``{"endpoint": "http://127.0.0.1:9000"}``. They may
        hold credentials, and are never shown.

    Examples
    --------
    >>> from fractalrs import ObjectStore
    >>> ObjectStore("s3://bucket/out/", {"secret_access_key": "hidden", "region": "eu-west-1"})
    ObjectStore(url='s3://bucket/out')
    """

    url: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    def __post_init__(self) -> None:
        """Bring the URL into one form, whatever its slashes."""
        scheme = url_scheme(f"{self.url}/")
        if scheme not in SCHEMES or re.search(r"[?#]", self.url):
            hint = "give s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
            raise InputError(f"{self.url!r} names no object store that is known", hint)
        place = [part for part in self.url.partition(":")[2].split("/") if part]
        if place and "@" in place[0]:
            # What stands before it may be a secret.
            raise InputError(f"a {scheme}:// URL holds a name or a key before '@'", hint="give credentials as options")
        if not place or ".." in place or "." in place:
            raise InputError(f"{self.url!r} names no bucket", hint=f"give {scheme}://bucket/prefix")
        object.__setattr__(self, "url", f"{scheme}://{'/'.join(place)}")

    def __reduce__(self) -> tuple[Any, ...]:
        return ObjectStore, (self.url, dict(self.options))

    @property
    def path(self) -> RemotePath:
        """What its files are named by."""
        return RemotePath(self.url, self)

    def check(self) -> None:
        """Refuse options that cannot be; whether the store answers, `list` finds out."""
        _ = self.client

    def list(self) -> dict[str, int]:
        """Return names and sizes of all files, but for litter and what stands for folders."""
        with self._refusing():
            found = wait(listed, self.client)
        own = ((each["path"], each["size"]) for each in found)
        return {name: size for name, size in own if name and not name.endswith("/") and not is_litter(name)}

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """Return the sizes of those of some files that are there: nothing of them is read."""
        with self._refusing():
            sizes: dict[str, int] = wait(sizes_of, self.client, [*names], _ASKED_AT_ONCE)
        return sizes

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading."""
        return cast(BinaryIO, _Reader(self, name))

    def known(self, name: str) -> tuple[dict[str, str], FileReport]:
        """Return labels and what is known of a Parquet file from its metadata; where it has none, read the file."""
        with self.asking(name):
            metadata, size = wait(labels_of, self.client, name)
        if (text := metadata.get(_KNOWN)) is None:
            with self.open(name) as file:
                return read_labelled(file)
        told = json.loads(text)
        report: FileReport = told["file"]
        if report["bytes"] != size:
            raise ValueError("its metadata are of another file")
        return told["labels"], report

    def put(self, name: str, content: bytes) -> None:
        """Put a file, in place of what is there."""
        with self.asking(name):
            wait(self.putting, name, content)

    def claim(self, name: str, content: bytes) -> bool:
        """Put a file where nothing of that name is; return whether it was put."""
        from obstore.exceptions import AlreadyExistsError

        # The first that is written: whoever may not is refused here.
        with self._refusing(name):
            try:
                wait(self.putting, name, content, mode="create")
            except AlreadyExistsError:
                return False
        return True

    async def putting(self, name: str, content: Any, **how: Any) -> None:
        """Put a file by one request."""
        import obstore

        await obstore.put_async(self.client, name, content, use_multipart=False, **how)

    async def put_file(self, name: str, file: Path) -> None:
        """Put a file of this machine, and delete it here."""
        import asyncio

        how: dict[str, Any] = {}
        if name.endswith(".parquet"):
            labels, report = await asyncio.to_thread(_read, file)
            how = {"attributes": {_KNOWN: json.dumps({"labels": labels, "file": report})}}
        with file.open("rb") as opened:
            content = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        with self.asking(name):
            await self.putting(name, memoryview(content), **how)
        file.unlink()

    def restrict(self, folder: str) -> None:
        """Do nothing: who may read what is for the bucket's policy to say."""

    def require_room(self, size: float, freed: float, piece: float, threads: int, hint: str) -> None:  # noqa: ARG002
        """Refuse parts that one request cannot put, and too little room for those that are made and put at a time."""
        if piece > LARGEST:
            what = f"a part has about {machine.readable(piece)}, and an object put at once at most"
            raise OutputError(f"{what} {machine.readable(LARGEST)}", hint="give more parts")
        machine.require_disk(self._scratch.path, min(size, 2 * threads * piece), "free some, or set TMPDIR")

    def free(self) -> int:
        """Return the free bytes of the disk on which files are made before they are put."""
        return self._scratch.free()

    @contextmanager
    def staging(self) -> Iterator["ObjectStaging"]:
        """Begin a temporary folder of this machine to make files in; at the end all that was published is put."""
        with self._scratch.staging() as made:
            made.folder.chmod(0o700)
            staging = ObjectStaging(made.store, made.folder, set(), self, [])
            try:
                yield staging
                staging.settle(staging.uploads)
            finally:
                give_up(staging.uploads)

    @contextmanager
    def local(self, names: Iterable[str]) -> Iterator[Path]:
        """Fetch the files that are there into a temporary folder, called as here, that goes when the context ends."""
        sizes = self.list()
        wanted = {name: sizes[name] for name in names if name in sizes}
        machine.require_disk(self._scratch.path, sum(wanted.values()), "free some, or set TMPDIR")
        with self._scratch.staging() as made:
            made.folder.chmod(0o700)
            # Below a folder of its own: the store's name may be that of the scratch folder's own files.
            place = f"fetched/{self.url.rpartition('/')[2]}"
            folder = made.path(place)
            folder.mkdir(parents=True)
            files = [(name, made.path(f"{place}/{name}")) for name in wanted]
            wait(each_of, self._fetch, files, _FETCHED_AT_ONCE)
            yield folder

    async def _fetch(self, name: str, file: Path) -> None:
        import obstore

        with self.asking(name), file.open("wb") as here:
            async for chunk in (await obstore.get_async(self.client, name)).stream(min_chunk_size=_CHUNK):
                here.write(chunk)

    def delete(self, names: Iterable[str]) -> None:
        """Delete files, if they are there, in any order."""
        import obstore

        listed = [*names]
        with self._refusing():
            try:
                wait(obstore.delete_async, self.client, listed)
            except FileNotFoundError:
                for name in listed:
                    with suppress(FileNotFoundError):
                        wait(obstore.delete_async, self.client, [name])

    def locked(self, *, shared: bool = False) -> AbstractContextManager[None]:  # noqa: ARG002
        """Keep nobody out: there are no locks here, and all that is put is whole."""
        return nullcontext()

    def is_locked(self) -> bool:
        """Return that nobody holds a lock."""
        return False

    def clear(self) -> None:
        """Delete what writers that are dead have left on this machine; in the store they leave nothing."""
        self._scratch.clear()

    @property
    def _scratch(self) -> LocalStore:
        return LocalStore(Path(tempfile.gettempdir()))

    @cached_property
    def client(self) -> Any:
        """The store as `obstore` has it."""
        return client_of(self.url, self.options)

    @contextmanager
    def asking(self, name: str = "") -> Iterator[None]:
        """Say in words, and without what the client tells of requests, what the store refuses; as an `OSError`."""
        from obstore.exceptions import AlreadyExistsError, BaseError

        try:
            yield
        except AlreadyExistsError:
            raise
        except (BaseError, OSError) as error:
            raise refusal(error, self.url, str(self.path / name if name else self.path), self.options) from None

    @contextmanager
    def _refusing(self, name: str = "") -> Iterator[None]:
        """Say what the store refuses before anything is written there."""
        try:
            with self.asking(name):
                yield
        except OSError as error:
            message = f"{error.filename or self.url} cannot be used: {error.strerror or error}"
            raise OutputError(message, hint=SEE) from None


Place = str | os.PathLike[str] | Store
"""A folder's path, a URL in an object store, or a store."""


def store_of(path: Place) -> Store:
    """Return the store at a path or URL.

    Examples
    --------
    >>> from fractalrs.tools import store_of
    >>> store_of("s3://bucket/out"), store_of("out")
    (ObjectStore(url='s3://bucket/out'), LocalStore(path='out'))
    """
    if isinstance(path, Store):
        return path
    if isinstance(path, str | os.PathLike) and url_scheme(os.fsdecode(path)) in SCHEMES:
        return ObjectStore(os.fsdecode(path))
    return LocalStore(as_path("path", path))


@dataclass(frozen=True)
class ObjectStaging(LocalStaging):
    """A folder of this machine in which files are made before they are put into an `ObjectStore`."""

    objects: ObjectStore
    uploads: list["Future[Any]"]

    def publish(self, name: str, *, flushed: bool = False) -> None:  # noqa: ARG002
        """Begin to put what was made for this name; raise what has gone wrong with others."""
        self.settle([upload for upload in self.uploads if upload.done()])
        made = self.folder / name
        # No longer among the finished ones.
        hidden = made.replace(made.with_name(f".{made.name}"))
        self.uploads.append(begin(self.objects.put_file, name, hidden))

    def settle(self, uploads: Iterable["Future[Any]"]) -> None:
        """Wait until these are put."""
        for upload in [*uploads]:
            upload.result()
            # It may be among those that were found done meanwhile.
            with suppress(ValueError):
                self.uploads.remove(upload)

    def rounds(self, jobs: Sequence[_Result], threads: int) -> Iterator[Sequence[_Result]]:
        """Cut jobs into rounds of one for each thread: while the files of one are put, those of the next are made."""
        before: list[Future[Any]] = []
        for first in range(0, len(jobs), threads):
            yield jobs[first : first + threads]
            now = [upload for upload in self.uploads if upload not in before]
            self.settle(before)
            before = now


class _Reader(io.RawIOBase):
    """An object as a file to read; what is read is asked for piece by piece."""

    def __init__(self, store: ObjectStore, name: str) -> None:
        self._store, self._name, self._place = store, name, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    @cached_property
    def _size(self) -> int:
        import obstore

        with self._store.asking(self._name):
            return int(wait(obstore.head_async, self._store.client, self._name)["size"])

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + (0 if whence == io.SEEK_SET else self._place if whence == io.SEEK_CUR else self._size)
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        content: bytes
        if size is None or size < 0:
            if self._place == 0:
                with self._store.asking(self._name):
                    content = wait(content_of, self._store.client, self._name)
                self._place = len(content)
                return content
            size = self._size
        size = max(0, min(size, self._size - self._place))
        if not size:
            return b""
        with self._store.asking(self._name):
            content = wait(range_of, self._store.client, self._name, self._place, size)
        self._place += len(content)
        return content

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: Any) -> int:
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


def _read(file: Path) -> tuple[dict[str, str], FileReport]:
    with file.open("rb") as opened:
        return read_labelled(opened)
