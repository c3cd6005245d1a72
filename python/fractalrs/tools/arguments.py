"""Arguments of public functions: refused in the user's words before anything is done."""

import difflib
import errno
import inspect
import os
import re
import reprlib
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from fractalrs.errors import InputError

_Arguments = ParamSpec("_Arguments")
_Returned = TypeVar("_Returned")


def suggests(function: Callable[_Arguments, _Returned]) -> Callable[_Arguments, _Returned]:
    """Let a function answer a keyword it does not know with the nearest one it does, as Python itself does from 3.13.

    Examples
    --------
    >>> @suggests
    ... def read(source, *, user_column=None):
    ...     return source
    >>> read("ratings.csv", user_col="user")
    Traceback (most recent call last):
    TypeError: read() got an unexpected keyword argument 'user_col'. Did you mean 'user_column'?
    """
    if sys.version_info >= (3, 13):
        return function
    known = inspect.signature(function).parameters

    @wraps(function)
    def checked(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Returned:
        for name in named.keys() - known.keys():
            near = difflib.get_close_matches(name, known, 1)
            advice = f". Did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"{function.__name__}() got an unexpected keyword argument {name!r}{advice}")
        return function(*arguments, **named)

    return checked


def check_count(name: str, value: object, least: int = 0, hint: str | None = None) -> None:
    """Refuse what is no whole number, or too small a one."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name} must be a whole number, {least} or more, not {value!r}", hint)


def check_word(name: str, value: object, words: Sequence[str]) -> None:
    """Refuse what is none of some words."""
    if not isinstance(value, str) or value not in words:
        raise InputError(f"unknown {name} {value!r}", hint=f"use one of {', '.join(words)}")


def check_kind(name: str, value: object, kind: type | tuple[type, ...], words: str) -> None:
    """Refuse what is of another kind than wanted; `words` say which: ``"an Expansion"``."""
    if not isinstance(value, kind):
        raise InputError(f"{name} is {reprlib.repr(value)}; it must be {words}")


def checked_columns(name: str, value: Any) -> tuple[Any, ...]:
    """Return a list of columns as a tuple; a text, or a number, is none."""
    return _listed(name, value, (str, int, np.integer), "a list of columns")


def checked_texts(name: str, value: Any) -> tuple[str, ...]:
    """Return a list of texts as a tuple; a single text is none."""
    return _listed(name, value, (str,), "a list of texts")


def checked_ids(name: str, values: npt.ArrayLike, count: int) -> npt.NDArray[np.uint64]:
    """Return ids below a count as the core takes them; refuse those that are none."""
    ids = np.asarray(values)
    if ids.dtype.kind not in "iu" and ids.size:
        raise InputError(f"{name} are of type {ids.dtype}; they must be whole numbers")
    if ids.size and not (int(ids.min()) >= 0 and int(ids.max()) < count):
        raise InputError(
            f"{name} {ids.min()} to {ids.max()} are not within 0 to {count - 1}", hint="leave the others out"
        )
    return ids.astype(np.uint64)


def checked_pairs(
    users: npt.ArrayLike, items: npt.ArrayLike, shape: tuple[int, int]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return ids below a shape, broadcast against each other; refuse those that do not fit."""
    user, item = checked_ids("users", users, shape[0]), checked_ids("items", items, shape[1])
    try:
        user, item = np.broadcast_arrays(user, item)
    except ValueError:
        raise InputError(
            f"users {user.shape} and items {item.shape} do not fit each other", "give as many of both"
        ) from None
    return user, item


def _listed(name: str, value: Any, kinds: tuple[type, ...], words: str) -> tuple[Any, ...]:
    if isinstance(value, str):
        raise InputError(f"{name} is the text {value!r}", hint=f"give {words}: [{value!r}]")
    try:
        listed = tuple(value)
    except TypeError:
        listed = (None,)
    if not all(isinstance(one, kinds) for one in listed):
        raise InputError(f"{name} is {reprlib.repr(value)}", hint=f"give {words}")
    return listed


def url_scheme(text: str) -> str | None:
    """Return the scheme of a URL, `None` for a path; a path made of a URL has one slash behind it.

    Examples
    --------
    >>> url_scheme("s3://bucket/out"), url_scheme("s3:/bucket/out"), url_scheme("C:/out"), url_scheme("out")
    ('s3', 's3', None, None)
    """
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", text)
    return found[1].lower() if found else None


def as_path(name: str, value: object) -> Path:
    """Return a path given as text or as one; refuse one that no file can have, and URLs."""
    if not isinstance(value, str | os.PathLike):
        raise InputError(f"{name} is {value!r}", hint="give a path")
    if (scheme := url_scheme(os.fsdecode(value))) is not None:
        url = re.sub("^[^:]+:/+", f"{scheme}://", os.fsdecode(value))
        raise InputError(
            f"{name} is {url!r}, and {scheme}:// is no local folder",
            hint="give a local path, and copy what is written there",
        )
    try:
        os.fsdecode(value).encode()
    except UnicodeEncodeError:
        raise InputError(f"{name} is {reprlib.repr(value)}, which is no UTF-8", hint="rename it") from None
    try:
        os.lstat(value)
    except (ValueError, OSError) as error:
        if isinstance(error, ValueError) or error.errno == errno.ENAMETOOLONG:
            why = error.strerror if isinstance(error, OSError) else error
            raise InputError(
                f"{name} is {reprlib.repr(value)}, which no file can be named: {why}", "choose another"
            ) from None
    return Path(value)


ALLOWED_THREADS: ContextVar[int | None] = ContextVar("ALLOWED_THREADS", default=None)
"""Set by `allowed_threads`: as many are the default until its context ends."""


def resolve_threads(threads: int | None) -> int:
    """Return how many threads to use, by default as many as this process may; refuse what is no number of them."""
    if threads is None and (allowed := ALLOWED_THREADS.get()) is not None:
        return allowed
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(threads, bool) or not isinstance(threads, int):
        raise InputError(f"threads is {threads!r}; it must be a whole number of at least 1")
    if threads < 1:
        raise InputError(f"threads is {threads}; it must be at least 1")
    return threads
