"""The time, as AWS's answers have it: every one of them bears a Date."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from chalicelib import clock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.hooks import BaseEventHooks


def listen(events: BaseEventHooks) -> None:
    """From now on the clock hears the Date of what a client's requests are answered."""
    asked = threading.local()

    def sent(**_: Any) -> None:
        asked.at = clock.own()

    def answered(response_dict: Mapping[str, Any] | None, **_: Any) -> None:
        if response_dict is not None:
            clock.heard(response_dict["headers"].get("date", ""), asked_at=asked.at)

    events.register("before-send", sent)
    events.register("response-received", answered)
