"""A real HTTPS server that answers what a test has laid down, however wrong that is."""

from __future__ import annotations

import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from sandbox.certs import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Answer:
    """One answer. With `pause` (seconds) it is sent byte by byte, its headers too."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0


class Listener(ThreadingHTTPServer):
    """Knows what to answer, and notes what it is asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.forms: list[str] = []
        self.headers: list[dict[str, str]] = []


class Handler(BaseHTTPRequestHandler):
    """Answers what its path names, and notes that it was asked."""

    server: Listener

    def do_POST(self) -> None:
        self.server.forms.append(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.headers.append(dict(self.headers))
        answer = self.server.answers[self.path]
        if answer.pause:
            self._trickle(answer)
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def _trickle(self, answer: Answer) -> None:
        for byte in b"HTTP/1.0 200 OK\r\n" + b"X-Filler: x\r\n" * 9 + b"\r\n" + answer.body:
            try:
                self.wfile.write(bytes([byte]))
            except OSError:
                return
            time.sleep(answer.pause)

    def log_message(self, *_: object) -> None:
        """Keeps quiet."""


class Server:
    """The server, its authority, its `answers` by path, and what it was asked."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority.create(directory)
        files = self.authority.issue("server")
        self.http = Listener()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certfile, files.keyfile)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self.answers, self.asked = self.http.answers, self.http.asked

    @property
    def headers(self) -> dict[str, str]:
        """Those of the last request."""
        return dict(self.http.headers[-1])


@contextmanager
def serving(directory: Path) -> Iterator[Server]:
    """The server, for as long as it is needed."""
    running = Server(directory)
    thread = threading.Thread(target=running.http.serve_forever, args=(0.05,))
    thread.start()
    yield running
    running.http.shutdown()
    thread.join()
    running.http.server_close()
