"""The body of a wake-up: ``{"account": "acc_…", "message"?: "msg_…"}``."""

from __future__ import annotations

import json

from chalicelib import ids
from chalicelib.errors import InvalidInput


def parse(body: str) -> tuple[str, str | None]:
    """The account whose mail is to be relayed, and the message of it that is due, if one was named.

    Raises InvalidInput for a body that is no wake-up.
    """
    try:
        found = json.loads(body)
    except ValueError as error:
        raise _poison("it is not JSON") from error
    account = found.get("account") if isinstance(found, dict) else None
    if not isinstance(account, str) or not ids.is_id("acc", account):
        raise _poison("it names no account")
    message = found.get("message")
    return account, message if isinstance(message, str) and ids.account_of(message) == account else None


def _poison(why: str) -> InvalidInput:
    return InvalidInput(
        f"The message of the relay's queue is no wake-up: {why}.",
        fix="Find out who writes to the queue; delete the message from the dead letters.",
    )
