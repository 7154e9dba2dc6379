"""Time. Tables hold whole milliseconds since 1970 (UTC); answers show RFC 3339 text."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]
"""Returns the present time in milliseconds since 1970-01-01 UTC."""

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def now() -> int:
    """The present time in milliseconds; the Clock of a deployment."""
    return time.time_ns() // 1_000_000


def shown(milliseconds: int | None) -> str | None:
    """As shown_at, or None for None."""
    return None if milliseconds is None else shown_at(milliseconds)


def shown_at(milliseconds: int) -> str:
    """RFC 3339 text with milliseconds and Z."""
    text = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
