"""Messages on the command line: lists by state and time, and what is said of one that waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import click
import pytest

from cli.moments import Moment
from tests.unit.test_cli import run, server

if TYPE_CHECKING:
    from tests.unit.test_cli import Server

__all__ = ["server"]

ACCOUNT = "acc_7h2k9m4p1r6t3w8y5b0d"
MESSAGE = f"msg_{ACCOUNT.removeprefix('acc_')}_2c5f8h1k4n7q0s3v6y9b2e5g8j"
RECORD: dict[str, Any] = {
    "id": MESSAGE,
    "account": ACCOUNT,
    "state": "failed",
    "subject": "Your order",
    "accepted_at": "2026-01-01T00:00:00.000Z",
    "attempts": [],
    "recipients": [],
}
NOW = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)


def asked(server: Server) -> dict[str, list[str]]:
    """The query of the last request."""
    return parse_qs(urlsplit(server.requests[-1][0].partition(" ")[2]).query)


def test_ug7_which_mail_of_all_accounts_failed_today(server: Server) -> None:
    server.lay("GET /v1/messages", (200, {"messages": [RECORD], "cursor": None}))

    result = run(server, "messages", "list", "--state", "failed", "--since", "today")

    query = asked(server)
    midnight = datetime.fromisoformat(query.pop("since")[0])
    assert query == {"state": ["failed"], "limit": ["20"]}
    assert (midnight.hour, midnight.minute, midnight.tzinfo is None) == (0, 0, False)
    assert ACCOUNT in result.output  # of several accounts each message says whose it is


def test_ug7_an_empty_page_is_not_the_end(server: Server) -> None:
    server.lay(
        "GET /v1/messages",
        (200, {"messages": [], "cursor": "one"}),
        (200, {"messages": [RECORD], "cursor": None}),
    )

    result = run(server, "messages", "list", "--account", "sales", "--until", "2026-12-01T00:00:00Z")

    assert "Your order" in result.output
    assert asked(server)["cursor"] == ["one"]
    assert asked(server)["until"] == ["2026-12-01T00:00:00.000+00:00"]


@pytest.mark.parametrize("option", [("--state", "gone"), ("--since", "tomorrow"), ("--since", "2026-13-01")])
def test_ug7_what_is_no_state_or_time_is_refused(server: Server, option: tuple[str, str]) -> None:
    result = run(server, "messages", "list", *option)

    assert result.exit_code == 2
    assert server.requests == []


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("12h", NOW - timedelta(hours=12)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-11-30T08:00:00+02:00", datetime(2026, 11, 30, 6, tzinfo=UTC)),
        ("2026-11-30T08:00:00Z", datetime(2026, 11, 30, 8, tzinfo=UTC)),
    ],
)
def test_ug7_times_are_read_as_people_write_them(text: str, meant: datetime) -> None:
    assert datetime.fromisoformat(Moment(lambda: NOW).convert(text, None, None)) == meant


@pytest.mark.parametrize(("text", "day"), [("today", 1), ("yesterday", 30), ("2026-11-29", 29)])
def test_ug7_a_day_begins_at_midnight_where_the_command_runs(text: str, day: int) -> None:
    here = datetime(2026, 12, 1, 9, 30).astimezone()

    at = datetime.fromisoformat(Moment(lambda: here).convert(text, None, None))

    assert (at.day, at.hour, at.utcoffset()) == (day, 0, at.replace(tzinfo=None).astimezone().utcoffset())


@pytest.mark.parametrize("text", ["", "x", "7", "7w", "-1d", "99999d", "9999999d", "0000-00-00"])
def test_ug7_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no time"):
        Moment(lambda: NOW).convert(text, None, None)


@pytest.mark.parametrize(
    ("account", "said"),
    [
        ((200, {"status": "paused"}), f"mailgrant accounts resume {ACCOUNT}"),
        ((200, {"status": "needs_reconnect"}), f"mailgrant accounts show {ACCOUNT}"),
        ((403, {"error": {"code": "scope_missing", "message": "m", "fix": "f"}}), "Whoever administers"),
    ],
)
def test_ug3_held_mail_is_not_said_to_go_on_by_itself(
    server: Server, account: tuple[int, Any], said: str
) -> None:
    server.lay(f"GET /v1/messages/{MESSAGE}", (200, {**RECORD, "state": "held"}))
    server.lay(f"GET /v1/accounts/{ACCOUNT}", account)

    result = run(server, "messages", "follow", MESSAGE, "--timeout", "0")

    assert "by itself" not in result.output
    assert said in result.output


def test_ug3_what_waits_for_its_next_attempt_does(server: Server) -> None:
    server.lay(f"GET /v1/messages/{MESSAGE}", (200, {**RECORD, "state": "deferred"}))

    assert "by itself" in run(server, "messages", "follow", MESSAGE, "--timeout", "0").output
