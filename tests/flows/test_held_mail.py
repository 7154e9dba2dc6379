"""An owner who is needed and never comes: what the minute's look does with the mail that waits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from chalicelib.clock import HOUR, MINUTE, SECOND, now
from chalicelib.ids import lane_shard_of
from sandbox.stack import DOUBT_SECONDS
from tests.helpers import copies, in_state, letter, record, until, with_expired_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.wiring import Gateway
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox


def test_mail_whose_owner_never_comes_expires_and_says_why(
    sandbox: Sandbox, cast: Cast, later: Callable[[int], Gateway]
) -> None:
    """What has expired fails for that reason, what has not still waits, and no server hears of either."""
    account = with_expired_token(cast, "google")
    sandbox.provider.revoke(account["address"])
    short, long = (accepted(cast, account, expires_in=seconds) for seconds in (3600, 7200))
    in_state(cast, short, "deferred")
    time.sleep(DOUBT_SECONDS)
    later(MINUTE).relay.run(account["id"], until=now() + 15 * MINUTE)
    in_state(cast, short, "held")

    look(later(HOUR + MINUTE), account["id"])
    after_one, waits = record(cast, short), record(cast, long)
    look(later(2 * HOUR + MINUTE), account["id"])
    after_two = record(cast, long)

    assert waits["state"] == "held"
    for failed in (after_one, after_two):
        assert failed["state"] == "failed"
        diagnosis = failed["attempts"][-1]["diagnosis"]
        assert diagnosis["code"] == "expired"
        assert "waited for its owner" in diagnosis["message"]
        assert copies(sandbox, failed["message_id"]) == []
    assert [one for one in sandbox.mail.sessions() if one["user"] == account["address"]] == []
    assert later(0).lane.state(account["id"]).next_due_at is None


def accepted(cast: Cast, account: dict[str, Any], **changes: Any) -> str:
    """The id of a message."""
    return str(cast.api.post("/v1/messages", letter(account["id"], **changes))["id"])


def look(gateway: Gateway, account: str) -> None:
    """The minute's look at that time, once the account's lane is among those that are due."""
    gateway.lane.wake = lambda *_: False  # type: ignore[method-assign]
    until(lambda: account in gateway.lane.due(lane_shard_of(account), gateway.clock() - SECOND, 1000))
    gateway.relay.run_due(until=gateway.clock() + HOUR)
