"""How long a message takes, measured alone on an idle system."""

from __future__ import annotations

import secrets
import statistics
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from tests.conftest import MEASURED
from tests.helpers import copies, in_state, letter, record

if TYPE_CHECKING:
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox

SENDS = 50


@pytest.mark.idle
def test_from_accept_to_arrival(
    sandbox: Sandbox, cast: Cast, record_property: Callable[[str, object], None]
) -> None:
    """Fifty messages one by one: each arrives once, and the time that they took is printed."""
    account = cast.connected("google", f"owner-{secrets.token_hex(4)}@example.com")

    took = [seconds(sandbox, cast, account["id"], f"Number {number}") for number in range(SENDS)]

    spread = statistics.quantiles(took, n=20)
    shown = f"accept to arrival over {SENDS} sends: p50 {spread[9]:.3f} s, p95 {spread[18]:.3f} s"
    record_property(MEASURED, shown)


def seconds(sandbox: Sandbox, cast: Cast, account: str, subject: str) -> float:
    """The seconds between the acceptance of one message and its arrival."""
    accepted = record(cast, cast.api.post("/v1/messages", letter(account, subject=subject))["id"])
    arrived = sandbox.mail.wait_for(accepted["message_id"])["received_at"]
    sent = in_state(cast, accepted["id"], "sent")  # nothing of it is left when the next one comes
    assert len(copies(sandbox, sent["message_id"])) == 1
    return float(arrived - datetime.fromisoformat(sent["accepted_at"]).timestamp())
