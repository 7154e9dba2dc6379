"""A server that passes requests on to the emulator, and may answer some of them otherwise."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple

_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "expect"})


class Answer(NamedTuple):
    """What is answered to a request."""

    status: int
    headers: list[tuple[str, str]]
    content: bytes


class PassingServer(ThreadingHTTPServer):
    """Listens on a free port of this machine, from `start` to `stop`; the emulator is at `backend_port`."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, handler: type[PassingHandler], backend_port: int) -> None:
        """Bind the port."""
        super().__init__(("127.0.0.1", 0), handler)
        self.backend_port = backend_port
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True)

    @property
    def url(self) -> str:
        """The endpoint for whoever is to speak to it instead of the emulator."""
        return f"http://localhost:{self.server_port}"

    def start(self) -> None:
        """Answer requests, each in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering, and free the port."""
        if self._thread.is_alive():
            self.shutdown()
        self.server_close()


class PassingHandler(BaseHTTPRequestHandler):
    """Passes every request on as it came, so that its signature is still right."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one packet
    server: PassingServer

    def answer(self, body: bytes) -> Answer:
        """Return the emulator's answer."""
        return self.pass_on(body)

    def do_POST(self) -> None:
        """Answer; every other method does the same."""
        self._say(self.answer(self.rfile.read(int(self.headers.get("Content-Length", "0")))))

    do_GET = do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_POST  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server has them
        """Log nothing."""

    def pass_on(self, body: bytes) -> Answer:
        """Ask the emulator."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.backend_port)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def _say(self, answer: Answer) -> None:
        # The answer to HEAD says how long the one to GET would be.
        length = dict(answer.headers).get("Content-Length") if self.command == "HEAD" else None
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(answer.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)
        self.wfile.flush()
