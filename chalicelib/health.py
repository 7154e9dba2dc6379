"""What the schedules see of the whole installation when they have run, told to CloudWatch and to the API.

Nothing is scanned: the due lanes, and the grants that wait for their owners, are in sparse indexes. A look
that fails is logged and keeps nothing else from being done; that it is missing is seen by whoever reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from chalicelib.clock import MINUTE, SECOND, Clock
from chalicelib.errors import Unavailable
from chalicelib.logs import logger

if TYPE_CHECKING:
    from chalicelib.mail.models import LaneRow

RELAY_DUE, REFRESH_TOKENS = "relay_due", "refresh_tokens"

EVERY = {RELAY_DUE: MINUTE, REFRESH_TOKENS: 5 * MINUTE}
"""Schedule → how often it runs, as app.py declares it."""

LANES = 25
"""How many due lanes of a shard are asked how long their mail waits; there are more only if much is wrong."""

log = logger("health")


@dataclass(frozen=True, slots=True)
class Run:
    """When a schedule last came to its end (ms), and what it saw then."""

    at: int
    seen: Mapping[str, int]


class Schedules(Protocol):
    """Where the last run of each schedule is noted."""

    def note(self, schedule: str, run: Run) -> None:
        """Replaces what is known of its last run."""

    def last(self, schedules: Iterable[str]) -> dict[str, Run]:
        """The last run of those that have ever come to an end."""


class Lanes(Protocol):
    """Which lanes are due."""

    @property
    def shards(self) -> tuple[str, ...]:
        """The parts of the index."""

    def get(self, account: str) -> LaneRow | None:
        """The lane as it is stored."""

    def due(self, shard: str, now: int, limit: int) -> list[str]:
        """The accounts of a shard whose lanes are due, the longest due first."""


class Health:
    """Looks, and tells. `next_due` gives when an account's next message is due; `needing_owner` counts."""

    def __init__(
        self,
        schedules: Schedules,
        lanes: Lanes,
        next_due: Callable[[str], int | None],
        needing_owner: Callable[[], int],
        clock: Clock,
    ) -> None:
        self._schedules = schedules
        self._lanes = lanes
        self._next_due = next_due
        self._needing_owner = needing_owner
        self._clock = clock

    def after_relay_due(self) -> None:
        """How long the oldest mail waits that could go: not the held one, nor what waits for its next try."""
        self._look(RELAY_DUE, {"oldest_due": "OldestDue"}, self._mail)

    def after_refresh_tokens(self) -> None:
        """How many mailboxes wait for their owners."""
        self._look(REFRESH_TOKENS, {"need_owner": "AccountsNeedOwner"}, self._grants)

    def _look(self, schedule: str, figures: Mapping[str, str], see: Callable[[], dict[str, int]]) -> None:
        try:
            seen = see()
            told = {figures[name]: value for name, value in seen.items() if name in figures}
            log.info("looked", extra={"facts": {"schedule": schedule, **seen}, "figures": told})
            self._schedules.note(schedule, Run(self._clock(), seen))
        except Unavailable:
            log.exception("not looked", extra={"facts": {"schedule": schedule}})

    def _mail(self) -> dict[str, int]:
        lanes, now = self._lanes, self._clock()
        due = [account for shard in lanes.shards for account in lanes.due(shard, now, LANES)]
        waits = [now - since for account in due if (since := self._could_go_since(account, now)) is not None]
        return {"oldest_due": max(waits, default=0) // SECOND, "lanes_due": len(due)}

    def _could_go_since(self, account: str, now: int) -> int | None:
        """Since when the account has mail that nothing holds back; None where it has none that is due."""
        due_at, lane = self._next_due(account), self._lanes.get(account)
        if due_at is None or due_at >= now or lane is None:
            return None
        return lane.could_go_since(due_at, now)

    def _grants(self) -> dict[str, int]:
        return {"need_owner": self._needing_owner()}
