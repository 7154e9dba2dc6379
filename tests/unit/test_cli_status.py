"""``mailgrant status``: a page for people, an exit code for scripts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.unit.test_cli import run, server

if TYPE_CHECKING:
    from tests.unit.test_cli import Server

__all__ = ["server"]

ACCOUNTS = {
    "by_status": {"connected": 2},
    "refresh_failing": 0,
    "nearest_expiry": 90 * 86_400,
    "nearest_end": 7 * 86_400,
    "complete": True,
}
RUN = {"ended_at": "2026-01-02T03:04:05.678Z", "silent": False, "starting": False}
TROUBLE = {"code": "dead_letters", "message": "1 message of the queue relay.", "fix": "Look at the log."}


def found(**changes: Any) -> dict[str, Any]:
    """An answer in which nothing is wrong, but for the changes."""
    return {
        "status": "ok",
        "stage": "prod",
        "version": "0123456789ab",
        "time": datetime.now(UTC).isoformat(),
        "accounts": ACCOUNTS,
        "schedules": {"relay_due": {**RUN, "oldest_due": 0, "lanes_due": 0}, "refresh_tokens": RUN},
        "rescue_queue": 0,
        "dead_letters": {"relay": 0, "refresh": 0},
        "connectors_in_trouble": [],
        "troubles": [],
        **changes,
    }


def marked(output: str) -> set[str]:
    """The lines that are marked as trouble."""
    return {line[4:19].strip() for line in output.splitlines() if line.startswith("!!")}


def test_all_well_is_a_page_and_exit_code_0(server: Server) -> None:
    server.lay("GET /v1/status", (200, found()))

    result = run(server, "status")

    assert result.exit_code == 0
    assert marked(result.output) == set()
    for text in (
        "stage prod, version 0123456789ab",
        "2 connected",
        "in 90 days",
        "in 168 hours",
        "2026-01-02 03:04:05",
    ):
        assert text in result.output


def test_trouble_is_marked_and_told_with_its_fix(server: Server) -> None:
    dead = {"dead_letters": {"relay": 1, "refresh": 0}, "troubles": [TROUBLE], "status": "trouble"}
    server.lay("GET /v1/status", (200, found(**dead)))

    result = run(server, "status")

    assert result.exit_code == 1
    assert marked(result.output) == {"dead: relay"}
    assert "1 message of the queue relay.\nFix: Look at the log." in result.output


def test_marks_follow_from_what_the_api_calls_trouble(server: Server) -> None:
    kinds = ("accounts_blocked", "refresh_failing", "nearest_expiry", "nearest_end", "overdue")
    silent = {"ended_at": None, "silent": True, "starting": False}
    late = {"relay_due": {**RUN, "oldest_due": 901}, "refresh_tokens": silent}
    refused = [{"id": "con_1", "name": "Google", "problem": {}}]
    answer = found(
        troubles=[{**TROUBLE, "code": kind} for kind in kinds],
        schedules=late,
        connectors_in_trouble=refused,
        rescue_queue=3,
    )
    server.lay("GET /v1/status", (200, answer))

    assert marked(run(server, "status").output) == {
        *("accounts", "refreshes", "first expiry", "first end", "oldest mail"),
        *("refresh_tokens", "connectors", "rescue queue"),
    }


def test_a_stage_that_starts_is_no_trouble(server: Server) -> None:
    new = {"ended_at": None, "silent": False, "starting": True}
    server.lay("GET /v1/status", (200, found(status="starting", schedules={"relay_due": new})))

    result = run(server, "status")

    assert result.exit_code == 0
    assert marked(result.output) == set()
    assert "the first run is still to come" in result.output


def test_json_is_the_apis_answer_with_where_it_came_from(server: Server) -> None:
    server.lay("GET /v1/status", (200, found()), (200, found(troubles=[TROUBLE])))

    well, ill = run(server, "status", "--json"), run(server, "status", "--json")

    assert (well.exit_code, ill.exit_code) == (0, 1)
    assert json.loads(well.output)["url"] == server.url
    assert json.loads(ill.output)["troubles"] == [TROUBLE]


def test_who_sees_less_is_shown_less(server: Server) -> None:
    names = ("status", "stage", "version", "time", "accounts", "troubles")
    server.lay("GET /v1/status", (200, {name: found()[name] for name in names}))

    result = run(server, "status")

    assert result.exit_code == 0
    assert "schedules" not in result.output
    assert "2 connected" in result.output


def test_a_clock_that_is_wrong_is_said(server: Server) -> None:
    behind = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    server.lay("GET /v1/status", (200, found(time=behind)))

    result = run(server, "status")

    assert "its clock is 300 s behind" in result.output
    assert marked(result.output) == {"API"}
