"""What ``mailgrant init`` waits for when it has sent its test message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.api import Api
from cli.config import Config
from cli.output import Out
from cli.waiting import settled
from tests.unit.test_cli import MESSAGE, impatient, server

if TYPE_CHECKING:
    import pytest

    from tests.unit.test_cli import Server

__all__ = ["impatient", "server"]

BUSY = {"code": "smtp_451", "message": "The mail server is busy.", "fix": "Nothing to do."}


def record(state: str, attempts: int) -> tuple[int, dict[str, Any]]:
    """An answer of the API."""
    return 200, {"id": MESSAGE, "state": state, "attempts": [{"number": 1, "diagnosis": BUSY}] * attempts}


def waited(server: Server, *answers: tuple[int, dict[str, Any]], timeout: int = 5) -> str:
    """The state in which the waiting ended."""
    server.lay(f"GET /v1/messages/{MESSAGE}", *answers)
    api = Api(Config(server.url, "mg_key", None, "the test"))
    return str(settled(api, Out(as_json=False), MESSAGE, timeout)["state"])


def test_what_an_attempt_met_is_told_once_and_waited_on(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    state = waited(server, record("queued", 0), *[record("deferred", 1)] * 3, record("sent", 2))

    said = capsys.readouterr().out
    assert state == "sent"
    assert said.count("The mail server is busy.") == 1
    assert said.count("It is tried again by itself") == 1


def test_a_message_that_is_held_is_not_waited_for(server: Server) -> None:
    state = waited(server, record("queued", 0), record("held", 0))

    assert state == "held"
    assert len(server.requests) == 2


def test_the_waiting_ends_after_its_time(server: Server) -> None:
    assert waited(server, record("deferred", 1), timeout=0) == "deferred"
