"""Data sets by their names, from their publisher: downloaded once into a cache, checked and unpacked.

pooch checks the digest and puts the archive in its place; going on after a download was cut off is done here.
"""

import difflib
import logging
import os
import re
import shutil
import stat
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fractalrs.errors import FractalrsError, InputError, WriteError
from fractalrs.tools import (
    LocalStore,
    Progress,
    as_path,
    as_progress,
    require_disk,
    require_place,
    suggests,
    whole_folder,
)

logger = logging.getLogger(__name__)

PUBLISHER = "https://files.grouplens.org/datasets/movielens"
_TRIES = 4
"""So often in a row the connection may fail without a byte."""
_TIMEOUT = 30.0
"""Seconds without a byte, after which the connection is given up."""
_LARGEST = 8 << 30
"""Bytes that an archive, and what is in it, may have: more than any of the publisher's."""
_CHUNK = 1 << 16
"""Bytes that are read at a time: what is lost at most when the connection is."""


@dataclass(frozen=True)
class Published:
    """A data set of the publisher: the file with its interactions, and the MD5 digest of its archive.

    Where the archive is renewed from time to time the digest is None: the publisher's own ``.md5`` file has it.
    """

    ratings: str
    md5: str | None


PUBLISHED = {
    "ml-100k": Published("u.data", "0e33842e24a9c977be4e0107933c0723"),
    "ml-1m": Published("ratings.dat", "c4d9eecfca2ab87c1945afe126590906"),
    "ml-20m": Published("ratings.csv", "cd245b17a1ae2cc31bb14903e1204af3"),
    "ml-25m": Published("ratings.csv", "6b51fb2759a8657d3bfcbfc42b592ada"),
    "ml-32m": Published("ratings.csv", "d472be332d4daa821edc399621853b57"),
    "ml-latest-small": Published("ratings.csv", None),
}
"""By name, the smallest first; digests as in the publisher's ``.md5`` files."""


@suggests
def download(
    name: str,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    mirror: str | None = None,
    timeout: float = _TIMEOUT,
    progress: bool | Progress = False,
) -> Path:
    """Download a public data set from its publisher, once, and return its folder.

    Parameters
    ----------
    name
        ``"ml-100k"``, ``"ml-1m"``, ``"ml-20m"``, ``"ml-25m"``, ``"ml-32m"`` or ``"ml-latest-small"``, by GroupLens. Its
        terms of use are in the folder: read them first.
    cache_dir
        Where it is kept; by default what ``FRACTALRS_CACHE`` names, else ``fractalrs`` in the user's cache folder
        (``XDG_CACHE_HOME``).
    mirror
        An address to take the archive from instead of the publisher's. Its digest must be the publisher's all the same.
    timeout
        Seconds without a byte, after which the connection is tried again.
    progress
        Show progress.

    Raises
    ------
    InputError
        If there is no such name, or what comes is not the publisher's archive; nothing of it is kept.
    WriteError
        If the download fails midway. What came stays, and the same call goes on from there.

    Examples
    --------
    >>> import fractalrs as fr
    >>> fr.download("ml-2m")
    Traceback (most recent call last):
    fractalrs.errors.InputError: no public data set is called 'ml-2m'
    hint: the nearest one is 'ml-32m'; there are: ml-100k, ml-1m, ml-20m, ml-25m, ml-32m, ml-latest-small
    """
    if name not in PUBLISHED:
        near, there = difflib.get_close_matches(str(name), PUBLISHED, 1, 0), ", ".join(PUBLISHED)
        raise InputError(
            f"no public data set is called {name!r}", f"the nearest one is {near[0]!r}; there are: {there}"
        )
    cache = _cache(cache_dir)
    folder = cache / name
    if folder.is_dir():
        return folder
    require_place(folder)
    with LocalStore(cache).locked():
        if not folder.is_dir():
            archive = _fetch(name, cache, (mirror or PUBLISHER).rstrip("/"), timeout, as_progress(progress))
            try:
                _unpack(archive, folder, PUBLISHED[name].ratings)
            finally:
                archive.unlink(missing_ok=True)
    logger.info(f"{name} is in {folder}")
    return folder


def located(source: Any, progress: bool | Progress = False) -> Any:
    """Return the file of interactions of a public data set that is named, and not a path; all else as it is.

    Examples
    --------
    >>> located("ratings.csv")
    'ratings.csv'
    """
    if not isinstance(source, str) or source not in PUBLISHED or os.path.lexists(source):
        return source
    folder = download(source, progress=progress)
    logger.info(terms_of(folder))
    return folder / PUBLISHED[source].ratings


def terms_of(folder: Path) -> str:
    """Return where the terms of use of a downloaded data set are, and what they say as far as they are found."""
    readme = next((file for file in sorted(folder.iterdir()) if file.stem.upper() == "README"), None)
    if readme is None:
        return f"{folder.name} came without its terms of use: ask its publisher, grouplens.org"
    text = readme.read_text(encoding="utf-8", errors="replace")
    heading = re.search(r"^\W*usage license\W*\n[=\-\s]*", text, flags=re.IGNORECASE | re.MULTILINE)
    said = text[heading.end() :] if heading else ""
    # Up to the next heading, which is underlined.
    section = re.split(r"\n[^\n]+\n[=\-]{4,}", said)[0].strip()
    return f"terms of use, by {readme}:" + (f"\n\n{section}\n" if section else " read them")


def _cache(given: str | os.PathLike[str] | None) -> Path:
    if given is not None:
        return as_path("cache_dir", given).absolute()
    import pooch

    return Path(os.environ.get("FRACTALRS_CACHE") or pooch.os_cache("fractalrs")).absolute()


def _fetch(name: str, cache: Path, address: str, timeout: float, progress: Progress) -> Path:
    """Fetch an archive into the cache, and check its digest."""
    import pooch
    from requests.exceptions import RequestException

    # What happens is said in this package's own words.
    pooch.get_logger().setLevel(logging.ERROR)
    file = f"{name}.zip"
    part = cache / f"{file}.part"
    try:
        md5 = PUBLISHED[name].md5 or _published_md5(f"{address}/{file}.md5", timeout)
        store = pooch.create(path=cache, base_url=f"{address}/", registry={file: f"md5:{md5}"})
        logger.info(f"downloading {address}/{file}")
        return Path(store.fetch(file, downloader=_Resuming(part, timeout, progress)))
    except RequestException as error:
        raise WriteError(f"{name} could not be downloaded: {_why(error)}", _AGAIN) from error
    except FractalrsError as error:
        if isinstance(error, InputError):
            part.unlink(missing_ok=True)
        raise
    except ValueError:
        raise InputError(
            f"what {address} sent as {file} is not the publisher's archive: its MD5 digest is not {md5}",
            hint="nothing of it was kept; try again, or download it by hand and give its path",
        ) from None
    except OSError as error:
        raise WriteError(f"cannot write {error.filename or cache}: {error.strerror or error}", _AGAIN) from error


_BY_HAND = "download it by hand and give its path"
_AGAIN = "what came stays; the same command goes on from there"


def _published_md5(url: str, timeout: float) -> str:
    """Read the digest from the file that the publisher puts beside an archive."""
    import requests

    answer = requests.get(url, timeout=timeout)
    answer.raise_for_status()
    _refuse_downgrade(url, answer.url)
    found = re.findall(r"\b[0-9a-f]{32}\b", answer.text.lower())
    if len(found) != 1:
        raise InputError(f"{url} names no MD5 digest", hint="download the archive by hand and give its path")
    logger.info(f"the MD5 digest {found[0]} is by {url}")
    return str(found[0])


def _refuse_downgrade(asked: str, got: str) -> None:
    if asked.startswith("https:") and not got.startswith("https:"):
        raise InputError(f"{asked} leads to {got}, which is not encrypted", hint="try from another network")


@dataclass(frozen=True)
class _Resuming:
    """A downloader for pooch that keeps what came beside the cache's files, and goes on from there."""

    part: Path
    timeout: float
    progress: Progress

    def __call__(self, url: str, output_file: str, _: Any) -> None:
        from requests.exceptions import RequestException, TooManyRedirects

        failed = 0
        while True:
            before = self._size()
            try:
                self._go_on(url)
                break
            except RequestException as error:
                refused = error.response is not None and 400 <= error.response.status_code < 500
                refused |= isinstance(error, TooManyRedirects)
                failed = 1 if self._size() > before else failed + 1
                if refused or failed == _TRIES:
                    raise
                time.sleep(min(1.0, 0.1 * failed))
        self.part.replace(output_file)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _go_on(self, url: str) -> None:
        """Ask for what is missing, and append it."""
        import requests

        start = self._size()
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with requests.get(url, stream=True, timeout=self.timeout, headers=headers) as answer:
            _refuse_downgrade(url, answer.url)
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                # All is here, or what is here is of another archive: the digest tells.
                if answer.headers.get("Content-Range") != f"bytes */{start}":
                    self.part.unlink()
                    raise requests.ConnectionError("the part that came earlier does not fit")
                return
            answer.raise_for_status()
            goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
            start = start if answer.status_code == requests.codes.partial_content and goes_on else 0
            rest = int(answer.headers.get("Content-Length", 0))
            if start + rest > _LARGEST:
                raise InputError(
                    f"{url} would send {start + rest:,} bytes, more than any archive there has", hint=_BY_HAND
                )
            require_disk(self.part, rest, "free some, or choose another folder")
            self._append(answer, start, start + rest)

    def _append(self, answer: Any, start: int, total: int) -> None:
        with self.part.open("ab" if start else "wb") as file, self.progress.task("downloading", total, 1) as report:
            for chunk in answer.iter_content(_CHUNK):
                start += file.write(chunk)
                if start > _LARGEST:
                    raise InputError(f"{answer.url} sends more bytes than any archive there has", hint=_BY_HAND)
                report(start, 0)
            report(start, 1)


def _why(error: Exception) -> str:
    """Say why a connection failed: requests quotes what urllib3 quotes of the system's words."""
    import requests

    if isinstance(error, requests.TooManyRedirects):
        return "the server sends from one address to the next without end"
    answer = getattr(error, "response", None)
    if answer is not None:
        return f"{answer.url} answers {answer.status_code} {answer.reason}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "the server does not answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut off"
    found = re.search(r"\] ([^()\[\]'\"]+)", str(error))
    return f"the server cannot be reached{f' ({found[1].strip()})' if found else ''}"


def _unpack(archive: Path, folder: Path, wanted: str) -> None:
    """Unpack an archive, all of whose files are in one folder of its name; nothing gets outside."""
    try:
        with zipfile.ZipFile(archive) as opened:
            files = [entry for entry in opened.infolist() if not entry.is_dir() and not _is_litter(entry.filename)]
            inside = {entry.filename: _inside(entry, folder.name) for entry in files}
            size = sum(entry.file_size for entry in files)
            if size > _LARGEST:
                message = f"{archive.name} would unpack to {size:,} bytes, more than any archive there has"
                raise InputError(message, hint=_BY_HAND)
            if PurePosixPath(wanted) not in inside.values():
                raise InputError(f"{archive.name} holds no {wanted}", hint=_BY_HAND)
            require_disk(folder, size, "free some, or choose another folder")
            with whole_folder(folder) as made:
                for entry in files:
                    target = made / inside[entry.filename]
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with opened.open(entry) as source, target.open("wb") as file:
                        shutil.copyfileobj(source, file, _CHUNK)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise InputError(f"{archive.name} is damaged: {error}", hint="nothing of it was kept; try again") from None


def _is_litter(name: str) -> bool:
    return name.startswith("__MACOSX/") or PurePosixPath(name).name == ".DS_Store"


def _inside(entry: zipfile.ZipInfo, top: str) -> PurePosixPath:
    """Return where a file goes inside the folder; refuse paths that leave it, links and devices."""
    path, mode = PurePosixPath(entry.filename.replace("\\", "/")), entry.external_attr >> 16
    odd = ".." in path.parts or path.is_absolute() or ":" in entry.filename or "\0" in entry.filename
    special = stat.S_IFMT(mode) not in (0, stat.S_IFREG)
    if odd or special or path.parts[:1] != (top,) or len(path.parts) < 2:
        kind = "a link or a device" if special else f"outside {top}/"
        raise InputError(f"the archive holds {entry.filename!r}, {kind}: nothing was unpacked", hint=_BY_HAND)
    return path.relative_to(top)
