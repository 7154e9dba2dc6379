"""The web side's HTTP server on loopback."""

from __future__ import annotations

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from sandbox.mailserver.routes import BadRequest, Request, Response, Routes, problem

_HOSTNAMES = frozenset({"127.0.0.1", "localhost"})
_BODY_LIMIT = 1_000_000
# A message's HTML part is shown in a frame that inherits this policy: no script, no remote content.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'"


class WebServer(ThreadingHTTPServer):
    """Serves the routes on 127.0.0.1; port 0 takes a free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, routes: Routes) -> None:
        """Bind the port; raises OSError if it is taken."""
        self.routes = routes
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        """The server's base URL, without a slash at the end."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: WebServer
    protocol_version = "HTTP/1.1"
    timeout = 120

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def do_DELETE(self) -> None:
        self._respond()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Write no access log: what happens is in the sessions and the log of messages."""

    def _respond(self) -> None:
        response = self._answer()
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.body)

    def _answer(self) -> Response:
        # A page of another site must not reach the control API: neither by a name that it points at
        # loopback, nor by a form, which cannot send JSON.
        if (urlsplit(f"//{self.headers.get('Host', '')}").hostname or "") not in _HOSTNAMES:
            self.close_connection = True
            return problem(HTTPStatus.FORBIDDEN, "the Host header must name this machine's loopback")
        try:
            return self.server.routes.answer(self._request())
        except BadRequest as error:
            self.close_connection = True
            return problem(HTTPStatus.BAD_REQUEST, str(error))

    def _request(self) -> Request:
        parts = urlsplit(self.path)
        body = self._json_body() if self.command == "POST" else {}
        return Request(self.command, parts.path, dict(parse_qsl(parts.query)), body)

    def _json_body(self) -> dict[str, object]:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _BODY_LIMIT:
            raise BadRequest("a body of at most 1 MB with its Content-Length is needed")
        if self.headers.get_content_type() != "application/json":
            raise BadRequest("the body must be application/json")
        try:
            body = json.loads(self.rfile.read(int(length)) or b"{}")
        except ValueError as error:
            raise BadRequest("the body is not JSON") from error
        if not isinstance(body, dict):
            raise BadRequest("the body must be a JSON object")
        return body
