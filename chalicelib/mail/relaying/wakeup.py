"""The body of a wake-up: ``{"account": "acc_…", "message"?: "msg_…", "ring"?: true}``."""

from __future__ import annotations

import json
from dataclasses import dataclass

from chalicelib import ids
from chalicelib.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Wakeup:
    """Whose mail is to be relayed; `message` is one of it that is due, if one was named.

    `ring` says that the lane has not been rung for that message yet.
    """

    account: str
    message: str | None = None
    ring: bool = False


def parse(body: str) -> Wakeup:
    """The wake-up that the body is. Raises InvalidInput for a body that is none."""
    try:
        found = json.loads(body)
    except ValueError as error:
        raise _poison("it is not JSON") from error
    account = found.get("account") if isinstance(found, dict) else None
    if not isinstance(account, str) or not ids.is_id("acc", account):
        raise _poison("it names no account")
    message = found.get("message")
    is_own = isinstance(message, str) and ids.account_of(message) == account
    return Wakeup(account, message if is_own else None, ring=found.get("ring") is True)


def _poison(why: str) -> InvalidInput:
    return InvalidInput(
        f"The message of the relay's queue is no wake-up: {why}.",
        fix="Find out who writes to the queue; delete the message from the dead letters.",
    )
