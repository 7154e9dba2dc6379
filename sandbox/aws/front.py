"""The HTTPS front: one stable https address for the API, as a redirect URI registered at a provider needs.

It plays a custom domain's part. Method, path, query, Host and body reach the emulator as the caller sent
them, so a SigV4 signature made for the front's address is still right there; only X-Forwarded-* is added.
"""

from __future__ import annotations

import http.client
import json
import logging
import re
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sandbox.certs import ServerCertificate

log = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"
MAXIMUM_BODY_BYTES: Final = 10 * 1024 * 1024  # API Gateway's quota for a request
_BACKEND_SECONDS: Final = 35.0  # API Gateway itself gives up after 29 s
_IDLE_SECONDS: Final = 30.0  # also ends a TLS handshake that never comes
# RFC 9110 section 7.6.1: these concern one connection only. The lengths are set anew from the body that is
# passed on.
_HOP_BY_HOP: Final = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
    )
)
# The emulator takes these access key ids for the account's root user without looking at the signature.
_UNVERIFIED_KEY: Final = re.compile(r"Credential=(test|\d{12})?(/|%2F)", re.IGNORECASE)


@dataclass(frozen=True)
class Exchange:
    """A request and what was answered, for whoever watches the front."""

    method: str
    path: str
    authorization: str
    status: int
    headers: tuple[tuple[str, str], ...]
    content: bytes


Watcher = Callable[[Exchange], None]


class Front:
    """A TLS reverse proxy on 127.0.0.1:`port` (0: a free one) for the emulator on `backend_port`.

    The address is known as soon as the front is made, so that it can be a parameter of the stack behind it.
    """

    def __init__(self, certificate: ServerCertificate, backend_port: int, port: int = 0) -> None:
        """Bind the port; nothing is answered before `start`. Raises OSError if the port is taken."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate.certfile, certificate.keyfile)
        self._server = _Server((HOST, port), _Handler, context, backend_port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="front", daemon=True
        )

    def watch(self, watcher: Watcher) -> None:
        """Tell the watcher of every exchange from now on, in the request's own thread."""
        self._server.watchers.append(watcher)

    @property
    def url(self) -> str:
        """The front's https URL, without a slash at its end."""
        return f"https://{HOST}:{self._server.server_port}"

    def start(self) -> None:
        """Answer requests, each in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and free the port."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a browser keeps its connections open

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[BaseHTTPRequestHandler],
        context: ssl.SSLContext,
        backend_port: int,
    ) -> None:
        super().__init__(address, handler)
        self.context = context
        self.backend_port = backend_port
        self.watchers: list[Watcher] = []

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the TLS handshake in the request's own thread, where a slow client holds up nobody else."""
        request.settimeout(_IDLE_SECONDS)
        try:
            with self.context.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)
        except (OSError, ssl.SSLError) as error:
            log.debug("connection ended: %s", error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Pass the request on; every other method does the same."""
        if _UNVERIFIED_KEY.search(f"{self.headers.get('Authorization', '')} {self.path}"):
            self._refuse(
                403, "forbidden", "These credentials cannot be verified.", "Sign with an IAM user or role."
            )
            return
        body = self._read_body()
        if body is None:
            return
        try:
            answer, content = self._ask_backend(body)
        except (OSError, http.client.HTTPException) as error:
            log.warning("the emulator does not answer: %s", type(error).__name__)
            self._refuse(502, "unavailable", "The sandbox's AWS does not answer.", "Start the sandbox again.")
            return
        self._tell(answer, content)
        self._answer(answer, content)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_GET  # noqa: N815 - http.server's

    def send_error(
        self,
        code: int,
        message: str | None = None,
        explain: str | None = None,  # noqa: ARG002 - as http.server has it
    ) -> None:
        """Refuse what is no request that can be passed on, in the shape of every error."""
        self.request_version = self.protocol_version  # of HTTP/0.9 an answer would have no status
        if code == HTTPStatus.NOT_IMPLEMENTED and self._read_body() is not None:
            self._refuse(405, "method_not_allowed", "There is no such method.", "Use a method of HTTP.")
        elif code != HTTPStatus.NOT_IMPLEMENTED:
            said = f"{message or 'This is no request'}."
            self._refuse(code, "malformed_request", said, "Send one by RFC 9112.")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server has them
        """Log nothing: a request line may hold a code, a state or the token of a connect link."""

    def _read_body(self) -> bytes | None:
        """Return the request's body, or None after refusing one that is too long or of unknown length."""
        if self.headers.get("Transfer-Encoding"):
            self._refuse(411, "malformed_request", "The length is missing.", "Send Content-Length.")
            return None
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAXIMUM_BODY_BYTES:
            self._refuse(
                413, "too_large", "The request is larger than 10 MB.", "Send less, or smaller attachments."
            )
            return None
        return self.rfile.read(int(length))

    def _ask_backend(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(HOST, self.server.backend_port, timeout=_BACKEND_SECONDS)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self._forwarded_headers(len(body)):
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def _tell(self, answer: http.client.HTTPResponse, content: bytes) -> None:
        exchange = Exchange(
            self.command,
            self.path,
            self.headers.get("Authorization", ""),
            answer.status,
            tuple(answer.headers.items()),
            content,
        )
        for watcher in self.server.watchers:
            watcher(exchange)

    def _forwarded_headers(self, length: int) -> list[tuple[str, str]]:
        kept = [
            (name, value)
            for name, value in self.headers.items()
            if name.lower() not in _HOP_BY_HOP and not name.lower().startswith("x-forwarded-")
        ]
        forwarded = [
            ("X-Forwarded-For", self.client_address[0]),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Port", str(self.server.server_port)),
        ]
        return [*kept, *forwarded, ("Content-Length", str(length)), ("Connection", "close")]

    def _answer(self, answer: http.client.HTTPResponse, content: bytes) -> None:
        if answer.headers.get("x-amzn-errortype") == "AccessDeniedException" and b'"__type"' in content:
            # The emulator says what IAM denies as a service would, not by the ACCESS_DENIED response.
            said = "IAM does not let this caller invoke the API."
            self._refuse(403, "forbidden", said, "Allow execute-api:Invoke on this path.")
            return
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.headers.items():  # one by one: there may be several Set-Cookie
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self._finish(content)

    def _refuse(self, status: int, code: str, message: str, fix: str) -> None:
        error = {
            "code": code,
            "message": message,
            "fix": fix,
            "docs": f"docs/errors.md#{code.replace('_', '-')}",
        }
        self.close_connection = True  # what is left of the request is not read
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self._finish(json.dumps({"error": error}).encode())

    def _finish(self, content: bytes) -> None:
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
