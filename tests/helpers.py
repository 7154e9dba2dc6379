"""Small things that many tests do."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from sandbox.cast import Cast, ProviderName
    from sandbox.stack import Sandbox

ARRIVAL_SECONDS = 180.0
SHORT_LIFE = 1
"""Seconds that the access token of a test lasts which waits for its end."""
USUAL_LIFE = 3600
"""Seconds that other access tokens last."""
Found = TypeVar("Found")


def letter(account: str, **changes: Any) -> dict[str, Any]:
    """A small message of the account (id or name) to one recipient."""
    return {
        "account": account,
        "to": ["charles@example.net"],
        "subject": "A letter",
        "text": "Hello.\n",
        **changes,
    }


def with_expired_token(cast: Cast, provider: ProviderName, **facts: Any) -> dict[str, Any]:
    """A connected account whose access token has ended; the tokens that come next last as long as usual."""
    cast.sandbox.provider.set_lifetime(access=SHORT_LIFE)
    account = cast.connected(provider, f"owner-{secrets.token_hex(4)}@example.com", **facts)
    cast.sandbox.provider.set_lifetime(access=USUAL_LIFE)
    token_expired(account)
    return account


def token_expired(account: dict[str, Any]) -> None:
    """Waits until the account's access token has ended."""
    ends_at = datetime.fromisoformat(account["token_expires_at"]).timestamp()
    time.sleep(max(ends_at - time.time(), 0) + 0.05)


def record(cast: Cast, message: str) -> dict[str, Any]:
    """The record of a message."""
    return cast.api.get(f"/v1/messages/{message}")


def until(
    find: Callable[[], Found | None],
    *,
    seconds: float = ARRIVAL_SECONDS,
    meanwhile: Callable[[], object] = lambda: None,
) -> Found:
    """The first result that is true; fails after that many seconds. `meanwhile` is done between the looks."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := find():
            return found
        meanwhile()
        time.sleep(0.05)
    raise AssertionError(f"nothing was found within {seconds} s")


def in_state(
    cast: Cast, message: str, *states: str, meanwhile: Callable[[], object] = lambda: None
) -> dict[str, Any]:
    """The record of a message as soon as it is in one of the states."""
    last: dict[str, Any] = {}

    def look() -> dict[str, Any] | None:
        last.update(record(cast, message))
        return last if last["state"] in states else None

    try:
        return until(look, meanwhile=meanwhile)
    except AssertionError as error:
        raise AssertionError(f"not in {states}: {json.dumps(last, indent=1)}") from error


def copies(sandbox: Sandbox, message_id: str) -> list[Any]:
    """What the mail server's log says of a Message-ID: one entry for each accepted copy."""
    return [entry for entry in sandbox.mail.log() if entry["message_id"] == message_id]


def invoke(
    sandbox: Sandbox, function: str, payload: dict[str, Any] | None = None, **options: Any
) -> dict[str, Any]:
    """Runs a deployed function to its end and returns its answer; an unhandled error fails the test."""
    client = sandbox.emulator.session().client("lambda")
    answer = client.invoke(
        FunctionName=f"mailgrant-sandbox-{function}", Payload=json.dumps(payload or SCHEDULED), **options
    )
    body = json.load(answer["Payload"])
    assert "FunctionError" not in answer, body
    return body or {}


SCHEDULED = {
    "version": "0",
    "id": "scheduled",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "000000000000",
    "time": "2026-01-01T00:00:00Z",
    "region": "eu-west-1",
    "resources": [],
    "detail": {},
}
"""What EventBridge hands to a scheduled function."""
