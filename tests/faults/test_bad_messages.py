"""Rows B19 B25 B34 B35 B50: messages that are refused with the field and the fix, at both doors."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.api import Api
from tests.helpers import letter

if TYPE_CHECKING:
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox

Door = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def connected(shared_sandbox: Sandbox) -> dict[str, Any]:
    """One connected mailbox for all of these tests."""
    from sandbox.cast import Cast

    return Cast(shared_sandbox).connected("microsoft", f"owner-{secrets.token_hex(4)}@example.com")


@pytest.fixture(params=["https", "function"])
def door(request: pytest.FixtureRequest, sandbox: Sandbox, cast: Cast, alias: str) -> Door:
    """Hands a message in, and returns the status and the error."""
    from tests.helpers import invoke

    def by_https(message: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        answer = cast.api.request("POST", "/v1/messages", json=message)
        return answer.status_code, answer.json()

    def by_function(message: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        answer = invoke(sandbox, "send", message, Qualifier=alias)
        return int(answer.get("status", 202)), answer

    return by_https if request.param == "https" else by_function


def refused(answer: tuple[int, dict[str, Any]], status: int, field: str | None) -> dict[str, Any]:
    """The error of an answer, after checking its shape."""
    found, body = answer
    assert found == status, body
    error: dict[str, Any] = body["error"]
    assert {"code", "message", "fix", "docs"} <= error.keys()
    assert error.get("field") == field
    return error


def test_B19_a_subject_that_would_add_a_header(connected: dict[str, Any], door: Door) -> None:
    """422, and the field is named."""
    refused(door(letter(connected["id"], subject="Hello\r\nBcc: victim@example.net")), 422, "subject")


def test_B25_two_addresses_in_one_string(connected: dict[str, Any], door: Door) -> None:
    """422: never cut silently to the first."""
    refused(door(letter(connected["id"], to=["a@example.net, b@example.net"])), 422, "to[0]")


@pytest.mark.parametrize("form", ["json", "raw"])
def test_B34_from_is_somebody_else(connected: dict[str, Any], door: Door, form: str) -> None:
    """403, in both forms of a message."""
    raw = b"From: boss@example.com\r\nTo: a@example.net\r\nSubject: x\r\n\r\nx\r\n"
    message = (
        letter(connected["id"], **{"from": "boss@example.com"})
        if form == "json"
        else {"account": connected["id"], "raw": base64.b64encode(raw).decode()}
    )

    error = refused(door(message), 403, "from" if form == "json" else "raw")

    assert error["code"] == "from_not_allowed"


def test_B35_a_forbidden_account_and_an_unknown_one(
    sandbox: Sandbox, cast: Cast, connected: dict[str, Any]
) -> None:
    """The same status and the same body, by id and by name."""
    other = cast.account(cast.connector("google"), f"other-{secrets.token_hex(4)}@example.com")
    caller = {"kind": "key", "name": "stranger", "scopes": ["send", "read"], "accounts": [other["id"]]}
    made = cast.api.post("/v1/callers", caller)
    stranger = Api(sandbox.url, made["key"], sandbox.authority.cafile)
    named = [connected["id"], connected["name"], "acc_" + "z" * 20, "nobody@example.com"]

    answers = [stranger.request("POST", "/v1/messages", json=letter(name)) for name in named]
    answers += [
        stranger.request("GET", f"/v1/accounts/{name}") for name in (connected["id"], "acc_" + "z" * 20)
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1


def test_B50_an_idempotency_key_with_another_message(connected: dict[str, Any], door: Door) -> None:
    """422 for the other content; the same content is answered with the same id."""
    key = secrets.token_hex(8)
    first = door(letter(connected["id"], idempotency_key=key))
    same = door(letter(connected["id"], idempotency_key=key))

    error = refused(
        door(letter(connected["id"], idempotency_key=key, subject="Another")), 422, "idempotency_key"
    )

    assert first[1]["id"] == same[1]["id"]
    assert error["code"] == "idempotency_key_reused"
