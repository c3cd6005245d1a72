"""The client of object stores, `obstore`: how it is opened and waited for, and its refusals in words."""

import os
import pickle
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fractalrs.errors import InputError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

SEE = "see that bucket, endpoint, region and credentials are right: in the environment, or as storage options"
_CLIENT = ("allow_http", "allow_invalid_certificates", "connect_timeout", "proxy_url", "root_certificate", "timeout")
"""Options of the connection, not of the store."""
_TIMEOUT = "10 minutes"
"""Of a request: the largest part at 10 MB a second."""
_RETRIES = {
    "max_retries": 1_000,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=3), "base": 2},
}
"""A minute, however many attempts that are; the client's ten are over in two seconds where nobody listens."""

_GRACE = 0.5
"""Seconds."""


def client_of(url: str, given: Mapping[str, str]) -> Any:
    """Return the client of a place; refuse options that cannot be."""
    try:
        from obstore import store
    except ModuleNotFoundError as error:
        raise InputError(f"{url} needs obstore", hint="pip install 'fractalrs[cloud]'") from error
    options = dict(given)
    connection = {"timeout": _TIMEOUT} | {name: options.pop(name) for name in _CLIENT if name in options}
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    endpoints = (options.get("endpoint"), options.get("endpoint_url"), *map(os.environ.get, names))
    if next(filter(None, endpoints), "").startswith("http://"):
        connection.setdefault("allow_http", "true")
    from_url: Any = store.from_url
    try:
        return from_url(url, config=options, client_options=connection, retry_config=_RETRIES)
    except Exception as error:
        # Of what is given wrong the client says the name, and sometimes the value.
        raise InputError(f"{url} cannot be used: {_told(error, given)}", hint=SEE) from None


def refusal(error: Exception, url: str, place: str, options: Mapping[str, str]) -> OSError:
    """Return in words what a store refuses of a place; the client tells of requests too, which is not shown."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    text = str(error)
    code = found[1] if (found := re.search(r"<Code>(\w+)</Code>", text)) else None
    status = found[1] if (found := re.search(r"status code: (\d{3}(?: \w+)*)", text)) else None
    if code == "NoSuchBucket":
        return FileNotFoundError(2, "there is no such bucket", url)
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or (status or "").startswith(("401", "403")):
        return PermissionError(13, f"the store denies access ({code or status or 'credentials'})", place)
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(2, "does not exist", place)
    if code or status:
        return OSError(5, f"the store answers {', '.join(filter(None, (status, code)))}", place)
    if re.search("connect|sending request|timed out|timeout|dns", text, re.IGNORECASE):
        return OSError(5, "the store cannot be reached", place)
    return OSError(5, _told(error, options), place)


def _told(error: Exception, options: Mapping[str, str]) -> str:
    """Return what the client says, without the values of options and what stands behind a URL."""
    text = re.sub(r"\?\S+", "", " ".join(str(error).partition("Debug source")[0].split()))
    for name, value in [*options.items(), *os.environ.items()]:
        if len(value) > 3 and (name in options or re.match("AWS|AZURE|GOOGLE", name)):
            text = text.replace(value, "…")
    return text[:200]


async def listed(client: Any) -> list[Any]:
    """Return what is known of all objects."""
    import obstore

    return [each async for some in obstore.list(client) for each in some]


async def each_of(ask: Callable[..., Any], arguments: Iterable[tuple[Any, ...]], at_a_time: int) -> None:
    """Ask for one after another, so many at a time."""
    import asyncio

    free = asyncio.Semaphore(at_a_time)

    async def answered(*those: Any) -> None:
        async with free:
            await ask(*those)

    await asyncio.gather(*(answered(*those) for those in arguments))


async def content_of(client: Any, name: str) -> bytes:
    """Return all of an object."""
    import obstore

    return bytes(await (await obstore.get_async(client, name)).bytes_async())


async def sizes_of(client: Any, names: Iterable[str], at_a_time: int) -> dict[str, int]:
    """Return the sizes of those of some objects that are there."""
    import obstore

    found = {}

    async def ask(name: str) -> None:
        with suppress(FileNotFoundError):
            found[name] = (await obstore.head_async(client, name))["size"]

    await each_of(ask, ((name,) for name in names), at_a_time)
    return found


async def range_of(client: Any, name: str, start: int, length: int) -> bytes:
    """Return a stretch of an object."""
    import obstore

    return bytes(await obstore.get_range_async(client, name, start=start, length=length))


async def labels_of(client: Any, name: str) -> tuple[dict[str, str], int]:
    """Return an object's metadata and its size."""
    import obstore

    found = await obstore.get_async(client, name, options={"head": True})
    return {str(key): str(value) for key, value in found.attributes.items()}, found.meta["size"]


_loops: dict[int, "AbstractEventLoop"] = {}
"""The one that waits for stores, of the process that began it: neither it nor the client's threads outlive a fork."""
_helpers: dict[int, "subprocess.Popen[bytes]"] = {}
"""So a process asks that was forked from one with threads: by another one."""
_starting = threading.Lock()


def begin(ask: Callable[..., Any], *arguments: Any, **named: Any) -> "Future[Any]":
    """Ask on the thread that waits for stores, where much is asked at a time."""
    # Nobody else needs it, and it takes a while to load.
    import asyncio

    async def answered() -> Any:
        return await ask(*arguments, **named)

    with _starting:
        if _loops and os.getpid() not in _loops:
            answer: Future[Any] = Future()
            try:
                answer.set_result(_asked_by_another(ask, arguments, named))
            except Exception as error:
                answer.set_exception(error)
            return answer
        if (waiting := _loops.get(os.getpid())) is None:
            waiting = _loops[os.getpid()] = asyncio.new_event_loop()
            threading.Thread(target=waiting.run_forever, name="object stores", daemon=True).start()
    return asyncio.run_coroutine_threadsafe(answered(), waiting)


def _asked_by_another(*what: Any) -> Any:
    """Let another process ask: it ends with this one, however that ends."""
    if (helper := _helpers.get(os.getpid())) is None:
        command = [sys.executable, "-c", f"from {__name__} import answer_another; answer_another()"]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        pipe = subprocess.PIPE
        # In a session of its own it does not hear Ctrl-C, which is for this one.
        helper = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=env, start_new_session=True)
        _helpers[os.getpid()] = helper
    assert helper.stdin is not None
    assert helper.stdout is not None
    try:
        pickle.dump(what, helper.stdin)
        helper.stdin.flush()
        is_answer, told = pickle.load(helper.stdout)
    except BaseException:
        # What it answers belongs to no question any more.
        _helpers.pop(os.getpid()).kill()
        raise
    if not is_answer:
        raise told
    return told


def answer_another() -> None:
    """Ask for the process that began this one."""
    while True:
        try:
            ask, arguments, named = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            told = pickle.dumps((True, wait(ask, *arguments, **named)))
        except Exception as error:
            told = pickle.dumps((False, error))
        sys.stdout.buffer.write(told)
        sys.stdout.buffer.flush()


def wait(ask: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Ask, and wait for the answer; unlike within the client itself, Ctrl-C is heard meanwhile."""
    answer = begin(ask, *arguments, **named)
    try:
        return answer.result()
    finally:
        give_up([answer])


def give_up(asked: Iterable["Future[Any]"]) -> None:
    """Give up what is not answered yet."""
    if [each for each in asked if each.cancel()]:
        # On threads of its own the client hands it back to Python, which must not have ended by then.
        time.sleep(_GRACE)
