"""How many messages a caller hands in a minute, where it has a limit.

They are counted by the clock's minutes, in one row for each caller and minute. So a message costs one
conditional write, whoever else counts at that time. Around the turn of a minute up to twice the limit may
come within 60 seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from chalicelib import clock
from chalicelib.errors import RateLimited

if TYPE_CHECKING:
    from chalicelib.callers.models import Caller


class RateStore(Protocol):
    """Where it is counted. Minutes are since 1970."""

    def count(self, caller: str, minute: int, limit: int) -> bool:
        """Adds one to the caller's messages of that minute; False when there are `limit` of them already."""

    def give_back(self, caller: str, minute: int) -> None:
        """Takes one that was counted in that minute back."""


class Rates:
    """Holds callers to their limits of messages."""

    def __init__(self, store: RateStore, now: clock.Clock = clock.now) -> None:
        self._store = store
        self._now = now

    def count(self, caller: Caller) -> int | None:
        """Counts one more message of the caller, and returns the minute; None for one without a limit.

        Raises RateLimited, and nothing is counted then.
        """
        limit = caller.limits.messages_per_minute
        if limit is None:
            return None
        now = self._now()
        minute = now // clock.MINUTE
        if not self._store.count(caller.id, minute, limit):
            wait = clock.seconds((minute + 1) * clock.MINUTE - now)
            raise RateLimited(
                f"This caller may hand in {limit} messages a minute, and has.",
                fix=f"Send the same request again in {wait} seconds.",
                retry_after=wait,
            )
        return minute

    def give_back(self, caller: Caller, minute: int | None) -> None:
        """Takes back what `count` has counted, for a message that was not handed in after all."""
        if minute is not None:
            self._store.give_back(caller.id, minute)
