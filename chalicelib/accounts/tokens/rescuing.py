"""The rescue queue: grants that could not be saved when they were received, and are saved from there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib import clock
from chalicelib.accounts.tokens.keeping import is_same, unpacked
from chalicelib.accounts.tokens.refreshing import NEEDED
from chalicelib.errors import ConfigurationError, Conflict, MailgrantError, Unavailable
from chalicelib.logs import logger

if TYPE_CHECKING:
    from chalicelib.accounts.models.grant import Grant
    from chalicelib.accounts.stores import Stores
    from chalicelib.accounts.tokens.keeping import Keeper

log = logger("rescue")


class Rescuing:
    """Saves rescued grants, unless what is stored is newer."""

    def __init__(self, stores: Stores, keeper: Keeper, now: clock.Clock = clock.now) -> None:
        self._grants = stores.grants
        self._accounts = stores.accounts
        self._keeper = keeper
        self._now = now

    def drain(self, *, until: int) -> set[str]:
        """Saves what is on the queue, while time lasts; returns the accounts of what stays there.

        A rescue queue that fails is logged: it must not keep the other grants from being refreshed.
        """
        left: set[str] = set()
        try:
            while self._now() + NEEDED < until and (taken := self._keeper.rescued()):
                left.update(*(self._save_one(receipt, body) for receipt, body in taken))
        except (Unavailable, ConfigurationError):
            log.exception("the rescue queue was not drained")
        return left

    def _save_one(self, receipt: str, body: str) -> list[str]:
        """Saves one; the account that it is of where it stays."""
        of: list[str] = []
        try:
            rescued = unpacked(body)
            of = [rescued.account]
            self._save(rescued)
            self._keeper.done(receipt)
        except (MailgrantError, ConfigurationError, ValueError, KeyError, TypeError):
            log.exception("a rescued grant stays on its queue")
            return of
        return []

    def _save(self, rescued: Grant) -> None:
        """Saves it where it is the newest or the better one. Raises Conflict when the stored one moved on."""
        stored = self._grants.get(rescued.account)
        if stored is None and self._is_of_the_past(rescued):
            facts = {"account": rescued.account, "version": rescued.version}
            log.warning("a rescued grant was dropped: disconnected", extra={"facts": facts})
            return
        if stored is None or stored.version == rescued.version - 1:
            saved = self._grants.save_rescued(replace(rescued, refresh_due_at=self._now()))
        elif self._is_better(rescued, stored):
            saved = self._grants.save_rescued(self._resealed(rescued, stored.version + 1))
        else:
            return
        if not saved:
            raise Conflict("The grant was changed meanwhile.", fix="It is looked at again by itself.")

    def _is_of_the_past(self, rescued: Grant) -> bool:
        """Whether the account was disconnected since, or deleted."""
        account = self._accounts.get(rescued.account)
        deleted = account is not None and account.deleted_at is not None
        return deleted or rescued.version <= self._grants.version(rescued.account)

    def _resealed(self, rescued: Grant, version: int) -> Grant:
        sealed = self._keeper.prepare(rescued.account).refresh_token(self._keeper.reveal(rescued), version)
        return replace(rescued, version=version, refresh_token=sealed, refresh_due_at=self._now())

    def _is_better(self, rescued: Grant, stored: Grant) -> bool:
        """Whether the stored token was refused, so that the rescued one of the same owner deserves a try.

        Not one of a consent before the stored one: the owner may have taken that back.
        """
        refused = stored.first_refused_at is not None and rescued.granted_at >= stored.granted_at
        return (
            refused
            and rescued.identity == stored.identity
            and not is_same(rescued.refresh_token, stored.refresh_token)
        )
