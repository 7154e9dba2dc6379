"""HTTPS to providers, against a real server that misbehaves."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from chalicelib.diagnosis import DiagnosisClass
from chalicelib.errors import Diagnosed
from chalicelib.network import Trust
from chalicelib.providers.http import LIMIT, ProviderHttp, retry_after
from sandbox.certs import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANSWERS: dict[str, tuple[int, bytes, dict[str, str]]] = {
    "/good": (200, b'{"access_token": "abc"}', {}),
    "/html": (200, b"<html>", {}),
    "/list": (200, b"[]", {}),
    "/deep": (200, b"[" * 60_000, {}),
    "/large": (200, json.dumps({"a": "x" * LIMIT}).encode(), {}),
    "/500": (500, b'{"error": "invalid_grant"}', {}),
    "/429": (429, b"slow down", {"Retry-After": "7"}),
    "/429-without": (429, b"{}", {}),
    "/redirect": (302, b"{}", {"Location": "/good"}),
    "/refused": (400, b'{"error": "invalid_grant"}', {}),
}


class Handler(BaseHTTPRequestHandler):
    """Answers what its path names, and counts."""

    asked: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status, body, headers = ANSWERS[self.path]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keeps quiet."""


class Server:
    """The server, its authority, and what it was asked."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority.create(directory)
        files = self.authority.issue("server")
        self.asked: list[str] = []
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"asked": self.asked}))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certfile, files.keyfile)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server"))
    thread = threading.Thread(target=running.http.serve_forever, args=(0.05,))
    thread.start()
    yield running
    running.http.shutdown()
    thread.join()
    running.http.server_close()


def test_a_json_object_is_given(server: Server) -> None:
    reply = ProviderHttp("google", Trust(server.authority.pem)).post(f"{server.url}/good", {"a": "b"})

    assert reply.values == {"access_token": "abc"}
    assert "abc" not in repr(reply)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/html", "not_json"),
        ("/list", "not_json"),
        ("/deep", "not_json"),
        ("/large", "answer_too_large"),
        ("/500", "http_500"),
        ("/429", "http_429"),
    ],
)
def test_O18_an_answer_that_says_nothing_of_the_mailbox_is_tried_later(
    server: Server, path: str, code: str
) -> None:
    server.asked.clear()

    with pytest.raises(Diagnosed) as refused:
        ProviderHttp("google", Trust(server.authority.pem)).post(f"{server.url}{path}", {})

    assert refused.value.diagnosis.class_ is DiagnosisClass.RETRY
    assert refused.value.diagnosis.code == code
    assert server.asked == [path]


@pytest.mark.parametrize(("path", "seconds"), [("/429", 7), ("/429-without", 60), ("/500", None)])
def test_r14_retry_after_is_kept(server: Server, path: str, seconds: int | None) -> None:
    with pytest.raises(Diagnosed) as refused:
        ProviderHttp("google", Trust(server.authority.pem)).post(f"{server.url}{path}", {})

    assert refused.value.diagnosis.retry_after == seconds


def test_O18_a_redirect_is_not_followed(server: Server) -> None:
    server.asked.clear()

    with pytest.raises(Diagnosed):
        ProviderHttp("google", Trust(server.authority.pem)).get(f"{server.url}/redirect")

    assert server.asked == ["/redirect"]


def test_a_refusal_is_diagnosed(server: Server) -> None:
    with pytest.raises(Diagnosed) as refused:
        ProviderHttp("google", Trust(server.authority.pem)).post(f"{server.url}/refused", {})

    assert refused.value.diagnosis.class_ is DiagnosisClass.RECONNECT


def test_O18_a_certificate_of_an_unknown_authority_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.authority.cafile))
    server.asked.clear()

    with pytest.raises(Diagnosed) as refused:
        ProviderHttp("google").post(f"{server.url}/good", {})

    assert refused.value.diagnosis.code == "provider_unreachable"
    assert server.asked == []


def test_O18_plain_http_is_refused(server: Server) -> None:
    with pytest.raises(Diagnosed):
        ProviderHttp("google").get(server.url.replace("https", "http"))


@pytest.mark.parametrize(
    ("header", "seconds"), [("0", 1), ("30", 30), ("999999", 3600), ("soon", None), ("", None), (None, None)]
)
def test_retry_after_is_bounded(header: str | None, seconds: int | None) -> None:
    assert retry_after(header) == seconds
