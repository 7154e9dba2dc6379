"""How many sign-ins are begun within a while, beside the starts of a connect link.

::

    an address        what it asks for, whether or not it leads anywhere, before anything is done for it
    an account        visits that begin at its page: its address is no secret
    the installation  sign-ins that begin, which bounds the states that wait for their callback

Windows are fixed: around the turn of one, twice as much may come. Limits are far above what people do, so
that only a flood meets them; and a count that the table does not take refuses nobody. A callback that is
waited for is not counted at all: it carries a code that the provider gives once.
"""

from __future__ import annotations

import hashlib
from ipaddress import ip_network
from typing import TYPE_CHECKING

from chalicelib import clock, ids
from chalicelib.accounts.connecting.links import is_browser
from chalicelib.errors import RateLimited, Unavailable
from chalicelib.logs import logger

if TYPE_CHECKING:
    from chalicelib.accounts.models.authorization import Purpose
    from chalicelib.accounts.ports import AuthorizationStore

WINDOW = 10 * clock.MINUTE
"""As long as a sign-in waits, so at most two windows' sign-ins wait at a time."""
OF_ADDRESS = 300
"""Requests: a whole office may be behind one address, and everybody in it has just got a link."""
OF_ACCOUNT = 20
"""Visits that begin."""
OF_INSTALLATION = 5_000
"""Sign-ins that begin for one purpose: visits, which need no link, cannot keep owners from connecting."""

BLOCK_DIGITS = 6
"""Of an address's hash. One block has some 200 of the Internet's addresses of version 4: too many to tell who
it was, and so few that strangers seldom share a count."""
SITE_BITS = 64
"""What one subscriber has at least of version 6 (RFC 6177, section 2)."""

log = logger("limits")


class Limits:
    """Counts, and refuses by RateLimited what is too much."""

    def __init__(self, authorizations: AuthorizationStore, now: clock.Clock = clock.now) -> None:
        self._authorizations = authorizations
        self._now = now

    def request(self, address: str) -> None:
        """Counts a request to begin a sign-in. `address` is the network's, as API Gateway saw it."""
        self._require(f"address#{_block(address)}", OF_ADDRESS, "too_many_sign_ins")

    def callback(self, address: str, state: str, connector: str, cookie: str | None) -> None:
        """Counts a callback as a request, unless its state waits for this browser."""
        if not self._is_waited_for(state, connector, cookie):
            self.request(address)

    def visit(self, account: str) -> None:
        """Counts a visit that begins at the account's page."""
        self._require(f"visits#{account}", OF_ACCOUNT, "too_many_visits")

    def sign_in(self, purpose: Purpose) -> None:
        """Counts a sign-in that begins."""
        self._require(f"begun#{purpose}", OF_INSTALLATION, "too_many_sign_ins")

    def _require(self, what: str, limit: int, code: str) -> None:
        now = self._now()
        ends_at = (now // WINDOW + 1) * WINDOW
        try:
            if self._authorizations.count(what, ends_at=ends_at, limit=limit):
                return
        except Unavailable:
            log.warning("a sign-in was not counted", exc_info=True)
            return
        kind = what.partition("#")[0]
        log.warning("too many sign-ins", extra={"facts": {"counted": kind, "limit": limit}})
        raise _too_many(limit, code, retry_after=clock.seconds(ends_at - now))

    def _is_waited_for(self, state: str, connector: str, cookie: str | None) -> bool:
        try:
            stored = self._authorizations.get(ids.authorization_id(state))
        except Unavailable:
            return True
        return (
            stored is not None
            and stored.is_open(self._now())
            and stored.connector == connector
            and is_browser(stored.cookie_hash, cookie)
        )


def _block(address: str) -> str:
    """What is stored of an address: enough to count by, not enough to know it."""
    site = ip_network((address, SITE_BITS), strict=False) if ":" in address else address
    return hashlib.sha256(str(site).encode()).hexdigest()[:BLOCK_DIGITS]


def _too_many(limit: int, code: str, *, retry_after: int) -> RateLimited:
    return RateLimited(
        f"{limit} sign-ins were begun here within ten minutes, which is as many as may be.",
        fix="Try again in ten minutes. A connect link stays good.",
        retry_after=retry_after,
        code=code,
    )
