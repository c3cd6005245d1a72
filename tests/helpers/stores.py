"""An object store on this machine: moto's server in a process of its own, and what can stand before it."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.etree import ElementTree

from blake3 import blake3

SECRET = "s3cr3t-Of-Nobody"
BUCKET = "bucket"
_XML = "{http://s3.amazonaws.com/doc/2006-03-01/}"

_SERVE = """
import sys, threading
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

moto, turn = DomainDispatcherApplication(create_backend_app), threading.Lock()

def serve(environ, start_response):
    with turn:
        return moto(environ, start_response)

run_simple("127.0.0.1", int(sys.argv[1]), serve, threaded=True)
"""
"""moto's server, one request after the other: it looks whether a name is free, and takes it, in two steps."""


def options(endpoint: str) -> dict[str, str]:
    """Return the storage options that lead to an endpoint."""
    return {"endpoint": endpoint, "region": "us-east-1", "access_key_id": "nobody", "secret_access_key": SECRET}


def environment(endpoint: str) -> dict[str, str]:
    """Return the same as variables of the environment."""
    names = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1"}
    return names | {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": SECRET}


@dataclass(frozen=True)
class Server:
    """A server, asked without any of our code."""

    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, method: str = "GET", content: bytes | None = None) -> bytes:
        # It asks who one is, and believes it.
        named = {"Authorization": "AWS4-HMAC-SHA256 Credential=nobody/20260101/us-east-1/s3/aws4_request, Signature=0"}
        named |= {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(f"{self.endpoint}/{path}", content, named, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            body: bytes = answer.read()
            return body

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the names below a prefix, and their sizes."""
        found: dict[str, int] = {}
        more = ""
        while True:
            listed = ElementTree.fromstring(self.ask(f"{BUCKET}?list-type=2&prefix={prefix}/{more}"))
            for each in listed.iter(f"{_XML}Contents"):
                name, size = (each.findtext(f"{_XML}{what}") or "" for what in ("Key", "Size"))
                found[name.removeprefix(f"{prefix}/")] = int(size)
            if not (token := listed.findtext(f"{_XML}NextContinuationToken")):
                return found
            more = f"&continuation-token={token}"

    def etags(self, prefix: str) -> dict[str, str]:
        """Return the MD5 of all that is below a prefix, as the server lists it of what was put by one request."""
        listed = ElementTree.fromstring(self.ask(f"{BUCKET}?list-type=2&prefix={prefix}/"))
        found = [
            tuple(each.findtext(f"{_XML}{what}") or "" for what in ("Key", "ETag"))
            for each in listed.iter(f"{_XML}Contents")
        ]
        return {name.removeprefix(f"{prefix}/"): tag.strip('"') for name, tag in found}

    def content(self, prefix: str, name: str) -> bytes:
        return self.ask(f"{BUCKET}/{prefix}/{name}")

    def digests(self, prefix: str) -> dict[str, str]:
        """Digest everything below a prefix."""
        return {name: blake3(self.content(prefix, name)).hexdigest() for name in self.sizes(prefix)}

    def pending(self) -> int:
        """Return how many uploads were begun and neither completed nor given up."""
        return len([*ElementTree.fromstring(self.ask(f"{BUCKET}?uploads")).iter(f"{_XML}Upload")])

    def delete(self, prefix: str, name: str) -> None:
        self.ask(f"{BUCKET}/{prefix}/{name}", "DELETE")


@contextmanager
def serving() -> Iterator[Server]:
    """Start a server that has one bucket."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", _SERVE, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Server(port)
    try:
        for _ in range(600):
            with suppress(OSError):
                server.ask(BUCKET, "PUT")
                break
            time.sleep(0.1)
        yield server
    finally:
        process.kill()
        process.wait()


@dataclass
class Between:
    """Passes connections on to a server, counts the bytes that come back, and is away when it is told to be."""

    behind: int
    port: int = 0
    received: int = 0
    _listening: Any = None
    _open: list[socket.socket] = field(default_factory=list)

    def listen(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def leave(self) -> None:
        """Break all connections, and refuse new ones."""
        # On Linux closing alone does not wake who waits for a connection.
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near = listening.accept()[0]
                far = socket.create_connection(("127.0.0.1", self.behind))
                self._open += [near, far]
                for pair in ((near, far, False), (far, near, True)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while chunk := source.recv(1 << 16):
                self.received += len(chunk) * is_answer
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)


@contextmanager
def between(server: Server) -> Iterator[Between]:
    """Stand between a server and its clients."""
    passing = Between(server.port)
    passing.listen()
    try:
        yield passing
    finally:
        passing.leave()


_EMPTY = (
    f"<ListBucketResult xmlns='{_XML[1:-1]}'><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
)


@contextmanager
def answering(get: tuple[int, str] = (200, ""), put: tuple[int, str] = (200, "")) -> Iterator[tuple[Server, list[str]]]:
    """Start a server that answers every request so: a status, and the code of an error; and tells what was asked."""
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, code = get if self.command == "GET" else put
            told = f"<Error><Code>{code}</Code><Message>{SECRET}</Message></Error>" if code else _EMPTY
            self.send_response(status)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told.encode())

        do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Server(server.server_address[1]), asked
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def asking(program: str, *arguments: str, endpoint: str) -> Iterator[Callable[[str], str]]:
    """Start Python on a program, with the credentials in its environment; it answers lines by lines."""
    command, env = [sys.executable, "-c", program, *arguments], os.environ | environment(endpoint)
    # It may ask the helpers too.
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:

        def ask(line: str) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            print(line, file=process.stdin, flush=True)
            return process.stdout.readline()

        try:
            yield ask
        finally:
            process.kill()
