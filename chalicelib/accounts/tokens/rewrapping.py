"""The sweep that wraps the data keys of all sealed values anew, after KMS was given new key material.

::

    a page of mailboxes → for each: grant (with what it keeps for a roll-back), then its access tokens
                          read → KMS wraps the data keys anew → write, on condition that it is as it was read
                        → where to go on

Ciphertexts stay as they are, and a value can be opened with its data key as it was wrapped before or after
the write. So it may end at any point, begin anywhere and be run twice; and it takes no lease: whoever
refreshes or connects meanwhile writes values of its own, and what was read before them is not written.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from chalicelib import clock
from chalicelib.accounts.admin import checks
from chalicelib.accounts.models.grant import RESOURCES
from chalicelib.errors import Unreadable
from chalicelib.ids import is_id
from chalicelib.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.accounts.models.grant import Grant, SealedToken
    from chalicelib.accounts.ports import Rewraps, SealedGrants, SealedTokens

Value = TypeVar("Value")

PAGE = 100
"""Mailboxes that one call looks at, at most."""
CALL_TIME = 10 * clock.SECOND
"""After that no further mailbox is begun: who asked by HTTP waits for 29 s at the longest."""
TRIES = 3
"""How often a value may change under our hands: by a refresh, or a sign-in that ends at the same moment."""

log = logger("rewrapping")


@dataclass(slots=True)
class _Tally:
    rewrapped: int = 0
    busy: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)


class Rewrapping:
    """Wraps data keys anew. The two vaults are those of grants and of access tokens."""

    def __init__(
        self,
        grants: SealedGrants,
        tokens: SealedTokens,
        grants_vault: Rewraps,
        tokens_vault: Rewraps,
        now: clock.Clock = clock.now,
    ) -> None:
        self._grants = grants
        self._tokens = tokens
        self._grants_vault = grants_vault
        self._tokens_vault = tokens_vault
        self._now = now

    def rewrap(self, cursor: str | None = None) -> dict[str, Any]:
        """Wraps the data keys of some mailboxes anew: ``{"rewrapped", "busy", "unreadable", "cursor"}``.

        `rewrapped` counts grants and access tokens. `busy` are accounts of which one changed each time that
        it was about to be written, and `unreadable` those of which one does not open: these are left as they
        are. `cursor` is where to go on, None after the last mailbox. Raises InvalidInput for a text that is
        no cursor, and Unavailable; what was written until then stays.
        """
        if cursor is not None and not is_id("acc", cursor):
            checks.refuse("cursor", "The cursor is not one.", "Use the cursor exactly as it was given.")
        until, tally = self._now() + CALL_TIME, _Tally()
        accounts, after = self._grants.accounts(PAGE, cursor)
        for account in accounts:
            self._rewrap_mailbox(account, tally)
            if self._now() > until and account != accounts[-1]:
                after = account
                break
        log.info("data keys wrapped anew", extra={"facts": {"rewrapped": tally.rewrapped}})
        return {
            "rewrapped": tally.rewrapped,
            "busy": sorted(tally.busy),
            "unreadable": sorted(tally.unreadable),
            "cursor": after,
        }

    def _rewrap_mailbox(self, account: str, tally: _Tally) -> None:
        read_grant = partial(self._grants.get, account)
        self._rewrap_one(account, read_grant, self._grant, self._grants.save_rewrapped, tally)
        for resource in RESOURCES:
            read_token = partial(self._tokens.get, account, resource)
            self._rewrap_one(account, read_token, self._token, self._tokens.save_rewrapped, tally)

    @staticmethod
    def _rewrap_one(
        account: str,
        read: Callable[[], Value | None],
        rewrapped: Callable[[Value], Value],
        save: Callable[[Value, Value], bool],
        tally: _Tally,
    ) -> None:
        try:
            for _ in range(TRIES):
                value = read()
                if value is None:
                    return
                if save(value, rewrapped(value)):
                    tally.rewrapped += 1
                    return
            tally.busy.add(account)
        except Unreadable:
            log.exception("a value cannot be wrapped anew", extra={"facts": {"account": account}})
            tally.unreadable.add(account)

    def _grant(self, read: Grant) -> Grant:
        wrap, kept = partial(self._grants_vault.rewrapped, read.account), read.previous
        previous = kept and replace(kept, refresh_token=wrap(kept.refresh_token))
        return replace(read, refresh_token=wrap(read.refresh_token), previous=previous)

    def _token(self, read: SealedToken) -> SealedToken:
        return replace(read, token=self._tokens_vault.rewrapped(read.account, read.token))
