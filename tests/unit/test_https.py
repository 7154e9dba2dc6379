"""One HTTPS request: nothing of the environment has a say in it, and nothing of it stands in an error."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import pytest

from chalicelib import https
from chalicelib.https import Question
from chalicelib.network import Trust
from tests.unit.https_server import Answer, Server, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "s3cret-of-ada"
BEARER = f"Bearer {SECRET}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as running:
        running.answers["/good"] = Answer(200, b"good")
        running.answers["/moved"] = Answer(302, b"see there", {"Location": "/good"})
        running.answers["/broken"] = Answer(200, b"no length", {"Transfer-Encoding": "chunked"})
        yield running


def ask(server: Server, path: str, seconds: float = 5, **headers: str) -> https.Answer:
    """What the server answers."""
    return https.ask(
        Question("GET", f"{server.url}{path}", headers), Trust(server.authority.pem), seconds=seconds
    )


def test_O18_proxies_and_passwords_of_the_environment_have_no_say(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password s3cret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert ask(server, "/good").text == "good"
    assert "Authorization" not in server.headers


def test_O18_a_redirect_is_an_answer_like_any_other(server: Server) -> None:
    server.asked.clear()

    answer = ask(server, "/moved")

    assert (answer.status, answer.text) == (302, "see there")
    assert server.asked == ["/moved"]


@pytest.mark.parametrize(
    ("path", "header"), [("/good", f"{BEARER}\r\n"), ("/good", f" {BEARER}"), ("/broken", BEARER)]
)
def test_no_error_tells_what_was_sent(server: Server, path: str, header: str) -> None:
    with pytest.raises(OSError) as failed:  # noqa: PT011 - its text is looked at below
        ask(server, f"{path}?code={SECRET}", Authorization=header)

    shown = "".join(traceback.format_exception(failed.value))
    assert SECRET not in shown
    assert server.url not in shown


def test_no_connection_is_made_without_tls(server: Server) -> None:
    with pytest.raises(OSError, match="not HTTPS"):
        https.ask(Question("GET", server.url.replace("https", "http")), Trust(), seconds=5)


def test_the_version_of_tls_is_told_before_anything_is_sent(server: Server) -> None:
    server.asked.clear()
    told: list[tuple[str, list[str]]] = []

    https.ask(
        Question("GET", f"{server.url}/good"),
        Trust(server.authority.pem),
        seconds=5,
        connected=lambda version: told.append((version, list(server.asked))),
    )

    assert told == [("TLSv1.3", [])]


def test_the_reprs_show_no_secret(server: Server) -> None:
    question = Question("POST", f"{server.url}/?code={SECRET}", {"Authorization": BEARER}, SECRET)

    assert SECRET not in repr(question)
    assert "good" not in repr(ask(server, "/good"))
