"""When something is tried again. Times in milliseconds."""

from __future__ import annotations

import random

from chalicelib.clock import DAY, HOUR, MINUTE, SECOND
from chalicelib.diagnosis import DiagnosisClass
from chalicelib.mail.models import Attempt, Message, Phase

STEPS = (10 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR)
"""The waits of one message; the last one repeats until the message expires."""

LANE_STEPS = STEPS[:5]
"""The waits of a lane whose server cannot be reached."""

PROBE_STEPS = (15 * MINUTE, 30 * MINUTE, HOUR)
"""The waits of a closed lane whose reason may go away without our being told."""

ABOUT_THE_MESSAGE = frozenset({Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.COMMIT})


def spent(message: Message) -> int:
    """How many attempts count against the message: those that reached it and were not about the account."""
    return sum(1 for attempt in message.attempts if _counts(attempt))


def backoff(steps: tuple[int, ...], tried: int, *, retry_after: int | None = None) -> int:
    """The wait after `tried` tries: at random from half a step to the whole, at least `retry_after` (s)."""
    step = steps[min(max(tried, 1), len(steps)) - 1]
    wait = random.randint(step // 2, step)  # noqa: S311 - spreads load, guards nothing
    return max(wait, (retry_after or 0) * SECOND)


def next_attempt(message: Message, tried: int, now: int, *, retry_after: int | None = None) -> int:
    """When the message is tried again, at the latest when it expires, so that its expiry is noticed."""
    wished = now + backoff(STEPS, tried, retry_after=retry_after)
    return min(wished, max(message.expires_at, now))


def daily_look(served_at: int) -> int:
    """When a lane without work is looked at once more: about a day after it was served."""
    return served_at + DAY + random.randint(0, HOUR)  # noqa: S311 - spreads load, guards nothing


def _counts(attempt: Attempt) -> bool:
    paused = attempt.diagnosis is not None and attempt.diagnosis.class_ is DiagnosisClass.PAUSE
    return attempt.phase in ABOUT_THE_MESSAGE and not paused
