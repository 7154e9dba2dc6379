"""What must be true of each write and of each request to the provider, whatever happened before.

Nothing here asks the code for its opinion: times are those of the rules, tokens those of the provider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.accounts.models.account import GrantState
from chalicelib.accounts.models.grant import Grant
from chalicelib.accounts.tokens.keeping import unpacked
from chalicelib.clock import MINUTE, SECOND

if TYPE_CHECKING:
    from tests.properties.provider import Post
    from tests.properties.services import Events
    from tests.properties.simulation import Simulation

LONGEST_LEASE = 60 * SECOND
POST_AND_SAVE = 35 * SECOND
"""A request takes at most 28 s, and to save its answer 7 s: with less time left nobody may ask."""
DOUBT = 5 * MINUTE
SOONEST_AGAIN = 20 * SECOND
"""No schedule refreshes again what was refreshed this short ago."""


def plain(grant: Grant) -> str:
    """The refresh token that a modelled row holds."""
    return grant.refresh_token.split(b"|")[1].decode()


class Audit:
    """Looks on; `broken` are the rules that did not hold."""

    def __init__(self, world: Simulation) -> None:
        self._world = world
        self.broken: list[str] = []
        self.stored_at: dict[str, int] = {}
        """When each refresh token was first in its row."""
        self.excused: set[str] = set()
        """Accounts whose grant the strict rule ended although nobody did anything wrong."""
        self.leases: dict[str, tuple[object, int]] = {}
        """Who took an account's lease last, and until when it was."""

    def demand(self, holds: object, rule: str) -> None:
        """Notes the rule if it does not hold."""
        if not holds:
            self.broken.append(f"{self._world.turns.clock}: {rule}")

    def wrote(self, before: Grant | None, after: Grant, facts: Mapping[str, Any]) -> None:
        """A grant was written."""
        provider, now = self._world.provider, self._world.turns.clock
        token = plain(after)
        self.demand(provider.account_of.get(token) == after.account, f"R4: {token!r} is not the account's")
        self.stored_at.setdefault(token, now)
        self.demand((after.lease_owner is None) == (after.lease_until == 0), "R11: a lease has an end")
        self.demand(after.lease_until <= now + LONGEST_LEASE, "R11: a lease ends in time")
        if before is None:
            return
        self._version(before, after)
        if after.lease_owner not in (None, before.lease_owner):
            self._leased(after)
        if facts.get("problem") is not None:
            self.demand(provider.failed[token], "R5: who failed writes nothing over a newer grant")
        if facts.get("grant_state") is GrantState.NEEDS_RECONNECT:
            at = provider.refused_at.get(token, [])
            self.demand(at and at[-1] - at[0] >= DOUBT, "R6: one refusal is not believed")

    def _version(self, before: Grant, after: Grant) -> None:
        old, new = plain(before), plain(after)
        if after.version == before.version:
            self.demand(after.refresh_token == before.refresh_token, "R2: a version is one token")
            return
        self.demand(after.version == before.version + 1, "R2: versions grow")
        order = list(self._world.provider.account_of)
        if order.index(new) < order.index(old):
            refused = old in self._world.provider.refused_at
            self.demand(refused, "R2: no older token replaces a newer one that the provider takes")

    def _leased(self, grant: Grant) -> None:
        now, me = self._world.turns.clock, self._world.turns.current
        self.leases[grant.account] = (me, grant.lease_until)
        token, failed = self._world.grants.tokens[grant.account], self._world.needs.get(me)
        if failed is None:
            again = self._world.provider.failed[plain(grant)] or plain(grant) in self.rescued()
            long_ago = now - grant.refreshed_at > SOONEST_AGAIN
            self.demand(again or long_ago, "R10: what an old index names is not refreshed again")
        else:
            good = token.version > failed and token.usable(now)
            self.demand(not good, "R10: a token that is newer and good is used")

    def asking(self, post: Post) -> None:
        """A request begins."""
        now = self._world.turns.clock
        owner, _ = self.leases.get(post.account, (None, 0))
        self.demand(post.worker is owner or now >= post.lease_until, "R1: only who has the lease asks")
        left = min(post.lease_until, post.worker.ends_at) - now
        self.demand(left >= POST_AND_SAVE, f"R1: {left} ms are too little to ask and to save")
        for other in self._world.provider.posts:
            if other.account == post.account and other.under_way and not other.worker.died:
                self.demand(now >= other.lease_until, "R1: one request at a time")

    def reused(self, post: Post, first: Post) -> None:
        """The strict rule ends a grant: `post` presents what `first` has used up."""
        late = self._world.turns.clock >= post.lease_until or post.worker.paused >= LONGEST_LEASE
        stopped = first.worker.paused - first.paused_before >= LONGEST_LEASE
        gone = first.lost or first.worker.died or stopped
        excused = late or (first.given not in self.stored_at and gone)
        self.demand(excused, "a grant was ended without need")
        self.excused.add(post.account)

    def ended(self, worker: object) -> None:
        """A worker has ended by itself: what it received is kept."""
        kept = self.stored_at.keys() | self.rescued()
        for post in self._world.provider.posts:
            if post.worker is worker and post.given and not post.lost:
                self.demand(post.given in kept, "R3: what was received is kept")

    def rescued(self) -> set[str]:
        """Every refresh token that was ever on the rescue queue."""
        return {plain(unpacked(body).grant) for body in self._world.rescue.ever}

    def told(self, account: str, events: Events) -> None:
        """All faults are over: who has to connect a mailbox again has heard of it."""
        if self._world.grants.accounts[account].grant_state is GrantState.NEEDS_RECONNECT:
            incident = f"{account}:{self._world.grants.rows[account].version}"
            heard = [detail for detail in events.heard if detail["incident"] == incident]
            self.demand(heard, "F20: an owner is told")

    def settled(self, account: str, use: Callable[[], bool]) -> None:
        """All faults are over, and time has passed: what lives is used."""
        world, stored = self._world, self._world.grants.rows[account]
        provider, token = world.provider, plain(stored)
        if token not in provider.live[account]:
            lost = {one.given for one in provider.posts if one.lost or one.worker.died}
            given_up = account not in self.excused and not provider.live[account] <= lost
            self.demand(not given_up, "R3: a grant that lives is not given up")
            return
        lied = len(provider.refused_at.get(token, [])) > 1
        state = world.grants.accounts[account].grant_state
        if lied and state is GrantState.NEEDS_RECONNECT:
            return
        self.demand(state is GrantState.ACTIVE, "a grant that lives is known to be active")
        self.demand(use(), "a grant that lives is used")
