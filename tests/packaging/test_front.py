"""The HTTPS front: what passes through unchanged, and what it answers itself."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.aws.front import MAXIMUM_BODY_BYTES, Front
from sandbox.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.certs import Authority


class Backend(BaseHTTPRequestHandler):
    """Answers with what it got, and with two cookies."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = json.dumps(
            {"path": self.path, "headers": self.headers.items(), "body": body.decode("latin-1")}
        ).encode()
        self.send_response(303)
        self.send_header("Set-Cookie", "first=1; Secure")
        self.send_header("Set-Cookie", "second=2; Secure")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server has them
        pass


@pytest.fixture(scope="module")
def backend_port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def front(authority: Authority, backend_port: int) -> Iterator[Front]:
    started = Front(authority.issue("front-under-test"), backend_port)
    started.start()
    yield started
    started.stop()


def connect(front: Front, authority: Authority) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=str(authority.cafile))
    return http.client.HTTPSConnection(front.url.removeprefix("https://"), timeout=10, context=context)


def post(
    front: Front, authority: Authority, path: str, body: bytes = b"", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = connect(front, authority)
    connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def test_path_query_host_and_bytes_pass_unchanged(front: Front, authority: Authority) -> None:
    body = b"\x00\xff\r\n.\r\n"

    _, content = post(front, authority, "/a%2Fb//c?x=1&x=%20&y", body)

    seen = json.loads(content)
    assert seen["path"] == "/a%2Fb//c?x=1&x=%20&y"
    assert seen["body"].encode("latin-1") == body
    assert ["Host", front.url.removeprefix("https://")] in seen["headers"]


def test_each_cookie_keeps_its_own_header(front: Front, authority: Authority) -> None:
    answer, _ = post(front, authority, "/")

    assert answer.status == 303
    assert answer.headers.get_all("Set-Cookie") == ["first=1; Secure", "second=2; Secure"]


def test_forwarded_headers_of_the_caller_are_not_believed(front: Front, authority: Authority) -> None:
    _, content = post(front, authority, "/", X_Forwarded_For="203.0.113.9", X_Forwarded_Host="evil.example")

    headers = dict(json.loads(content)["headers"])
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["X-Forwarded-Proto"] == "https"
    assert "X-Forwarded-Host" not in headers


@pytest.mark.parametrize("key", ["test", "000000000000", ""], ids=["root", "account", "none"])
def test_credentials_that_the_emulator_does_not_verify_are_refused(
    key: str, front: Front, authority: Authority
) -> None:
    scope = f"{key}/20261121/eu-west-1/execute-api/aws4_request"

    answer, content = post(
        front, authority, "/iam/v1", Authorization=f"AWS4-HMAC-SHA256 Credential={scope}, Signature=00"
    )

    assert answer.status == 403
    assert json.loads(content)["error"]["code"] == "forbidden"


def test_a_request_beyond_api_gateways_quota_is_refused_unread(front: Front, authority: Authority) -> None:
    answer, content = post(front, authority, "/", Content_Length=str(MAXIMUM_BODY_BYTES + 1))

    assert answer.status == 413
    assert json.loads(content)["error"]["code"] == "too_large"


def test_a_missing_backend_is_a_502_in_the_shape_of_every_error(authority: Authority) -> None:
    lonely = Front(authority.issue("lonely-front"), free_port())
    lonely.start()

    answer, content = post(lonely, authority, "/")

    lonely.stop()
    assert answer.status == 502
    assert set(json.loads(content)["error"]) == {"code", "message", "fix", "docs"}


def test_plain_http_and_silence_hold_up_nobody(front: Front, authority: Authority) -> None:
    silent = http.client.HTTPConnection(front.url.removeprefix("https://"), timeout=10)
    silent.connect()

    answer, _ = post(front, authority, "/")

    silent.close()
    assert answer.status == 303


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"INVENTED / HTTP/1.1", 405),
        (b"GET / HTTP/9.9", 505),
        (b"GET", 400),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1", 414),
    ],
)
def test_a_request_that_is_none_of_http_is_refused_in_the_shape_of_every_error(
    request_line: bytes, status: int, front: Front, authority: Authority
) -> None:
    connection = connect(front, authority)
    connection.connect()
    assert connection.sock is not None
    connection.sock.sendall(request_line + b"\r\nHost: x\r\n\r\n")
    answer = http.client.HTTPResponse(connection.sock, method="GET")
    answer.begin()
    error = json.loads(answer.read())["error"]
    answer.close()
    connection.close()

    assert answer.status == status
    assert set(error) == {"code", "message", "fix", "docs"}
