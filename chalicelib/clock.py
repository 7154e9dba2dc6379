"""Time. Tables hold whole milliseconds since 1970 (UTC); answers show RFC 3339 text."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

Clock = Callable[[], int]
"""Returns the present time in milliseconds since 1970-01-01 UTC."""

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


WRONG = 30 * SECOND
"""By less than this a clock is right: a Date has whole seconds, and takes its time on the way."""
QUICK = 5 * SECOND
"""An answer that took longer tells no time: whoever asked may have been frozen meanwhile."""


class _Correction:
    """How far the clock of this machine is behind the time that others have (ms); 0 where it is right."""

    behind = 0


def now() -> int:
    """The present time in milliseconds; the Clock of a deployment."""
    return own() + _Correction.behind


def own() -> int:
    """What the clock of this machine shows, in milliseconds."""
    return time.time_ns() // 1_000_000


def heard(date: str, *, asked_at: int) -> None:
    """Corrects `now` by a Date (RFC 9110, section 6.6.1) in the answer to what was asked at `asked_at` (own).

    A worker with a wrong clock would take leases that are held, and find tokens ended that live.
    """
    if own() - asked_at > QUICK:
        return
    try:
        behind = int(parsedate_to_datetime(date).timestamp()) * SECOND - asked_at
    except ValueError:
        return
    _Correction.behind = behind if abs(behind) > WRONG else 0


def seconds(milliseconds: int) -> int:
    """Whole seconds to wait, rounded up: who comes back earlier would be refused again."""
    return -(-milliseconds // SECOND)


def shown(milliseconds: int | None) -> str | None:
    """As shown_at, or None for None."""
    return None if milliseconds is None else shown_at(milliseconds)


def shown_at(milliseconds: int) -> str:
    """RFC 3339 text with milliseconds and Z."""
    text = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
