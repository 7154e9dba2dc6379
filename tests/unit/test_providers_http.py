"""HTTPS to providers, against a real server that misbehaves."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.diagnosis import DiagnosisClass
from chalicelib.errors import Diagnosed
from chalicelib.https import LIMIT, retry_after
from chalicelib.network import Trust, resolve
from chalicelib.providers import http
from chalicelib.providers.http import ProviderHttp
from tests.unit.https_server import Answer, Server, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWERS = {
    "/good": Answer(200, b'{"access_token": "abc"}'),
    "/html": Answer(200, b"<html>"),
    "/list": Answer(200, b"[]"),
    "/deep": Answer(200, b"[" * 60_000),
    "/large": Answer(200, json.dumps({"a": "x" * LIMIT}).encode()),
    "/500": Answer(500, b'{"error": "invalid_grant"}'),
    "/429": Answer(429, b"slow down", {"Retry-After": "7"}),
    "/429-without": Answer(429, b"{}"),
    "/redirect": Answer(302, b"{}", {"Location": "/good"}),
    "/slow": Answer(200, b"{}", pause=0.02),
    "/empty": Answer(200, b""),
    "/refused": Answer(400, b'{"error": "invalid_grant"}'),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as running:
        running.answers.update(ANSWERS)
        yield running


@pytest.fixture(autouse=True)
def _forget(server: Server) -> None:
    server.asked.clear()


def named(server: Server, *addresses: str) -> ProviderHttp:
    """HTTPS to hosts that a user has named and that have these addresses."""
    found = list(addresses)
    return ProviderHttp("other", Trust(server.authority.pem, lambda *_: found))


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
    with pytest.raises(Diagnosed) as refused:
        ProviderHttp("google").post(f"{server.url}/good", {})

    assert refused.value.diagnosis.code == "tls_certificate"
    assert server.asked == []


def test_O18_plain_http_is_refused(server: Server) -> None:
    with pytest.raises(Diagnosed):
        ProviderHttp("google").get(server.url.replace("https", "http"))


@pytest.mark.parametrize(
    ("header", "seconds"), [("0", 1), ("30", 30), ("999999", 3600), ("soon", None), ("", None), (None, None)]
)
def test_retry_after_is_bounded(header: str | None, seconds: int | None) -> None:
    assert retry_after(header) == seconds


def test_B57_a_named_host_is_looked_up_once_and_connected_to_by_its_address(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def noted(host: str, *rest: Any, **more: Any) -> Any:
        asked.append(host)
        return real(host, *rest, **more)

    real: Any = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", noted)

    reply = named(server, "127.0.0.1").get(f"https://localhost:{server.port}/good")

    assert reply.values == {"access_token": "abc"}
    assert set(asked) == {"127.0.0.1"}
    assert server.headers["Host"] == f"localhost:{server.port}"


def test_B57_the_certificate_must_bear_the_name_and_not_the_address(server: Server) -> None:
    with pytest.raises(Diagnosed) as refused:
        named(server, "127.0.0.1").get(f"https://login.example:{server.port}/good")

    assert refused.value.diagnosis.code == "tls_certificate"
    assert "login.example" in refused.value.diagnosis.message
    assert server.asked == []


def test_a_second_address_is_tried_where_the_first_takes_no_connection(server: Server) -> None:
    assert named(server, "127.0.0.2", "127.0.0.1").get(f"{server.url}/good").values
    assert server.asked == ["/good"]


@pytest.mark.parametrize("path", ["/500", "/redirect", "/slow"])
def test_what_an_address_has_answered_is_not_asked_of_the_next(
    server: Server, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "TOTAL_TIMEOUT", 0.2)

    with pytest.raises(Diagnosed):
        named(server, "127.0.0.1", "127.0.0.1").get(f"{server.url}{path}")

    assert server.asked == [path]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "0x7f.1"])
def test_B56_a_named_host_at_a_private_address_is_not_connected_to(server: Server, host: str) -> None:
    trust = Trust(server.authority.pem, resolve)

    with pytest.raises(Diagnosed) as refused:
        ProviderHttp("other", trust).get(f"https://{host}:{server.port}/good")

    assert refused.value.diagnosis.class_ is DiagnosisClass.ADMIN
    assert refused.value.diagnosis.code == "private_address"
    assert server.asked == []


def test_a_named_host_that_cannot_be_looked_up_is_tried_later(server: Server) -> None:
    with pytest.raises(Diagnosed) as refused:
        ProviderHttp("other", Trust(server.authority.pem, resolve)).get("https://nowhere.invalid/good")

    assert refused.value.diagnosis.class_ is DiagnosisClass.RETRY
    assert refused.value.diagnosis.code == "dns_failed"


def test_an_answer_that_trickles_in_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TOTAL_TIMEOUT", 0.2)

    with pytest.raises(Diagnosed) as refused:
        ProviderHttp("google", Trust(server.authority.pem)).get(f"{server.url}/slow")

    assert refused.value.diagnosis.code == "provider_too_slow"


def test_an_empty_answer_says_that_it_was_done(server: Server) -> None:
    assert ProviderHttp("other", Trust(server.authority.pem)).post(f"{server.url}/empty", {}).values == {}
