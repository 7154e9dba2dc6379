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
    from collections.abc import Iterable

    from chalicelib.accounts.models.grant import Grant
    from chalicelib.accounts.stores import Stores
    from chalicelib.accounts.tokens.keeping import AccountFacts, Keeper, Rescued

LONG_POLL = 2
"""Seconds that SQS is asked to wait, so that it asks all of its servers."""

log = logger("rescue")


class Rescuing:
    """Saves rescued grants, unless what is stored is newer."""

    def __init__(self, stores: Stores, keeper: Keeper, now: clock.Clock = clock.now) -> None:
        self._grants = stores.grants
        self._accounts = stores.accounts
        self._keeper = keeper
        self._now = now

    def drain(self, *, until: int) -> None:
        """Saves what is on the queue, while time lasts.

        A rescue queue that fails is logged: it must not keep grants from being refreshed whose lease was
        given back.
        """
        try:
            self._drained(until=until)
        except (Unavailable, ConfigurationError):
            log.exception("the rescue queue was not drained")

    def require_none(self, account: str, *, until: int) -> None:
        """Returns when no newer grant of the account waits on the queue; what was there is saved then.

        "Nothing seen" is not "nothing there": another worker may have it in hand. Raises Unavailable, or
        ConfigurationError, unless the queue was seen empty but for grants of other accounts.
        """
        left, is_seen_whole = self._drained(until=until, wait=LONG_POLL)
        if account in left.values():
            raise Unavailable("A newer token could not be saved yet.", fix="It is tried again by itself.")
        if not is_seen_whole or self._keeper.unseen(len(left)):
            raise Unavailable(
                "Rescued tokens are being saved at this moment; one of them may be this mailbox's.",
                fix="It is tried again by itself.",
            )

    def _drained(self, *, until: int, wait: int = 0) -> tuple[dict[str, str], bool]:
        """What stays on the queue (receipt and account), and whether the queue was seen whole."""
        left: dict[str, str] = {}
        is_seen_whole = False
        try:
            while not is_seen_whole and self._now() + NEEDED < until:
                messages = self._keeper.rescued(wait=wait)
                is_seen_whole = not messages
                for receipt, body in messages:
                    self._save_one(receipt, body, left)
        finally:
            self._put_back(left)
        return left, is_seen_whole

    def _save_one(self, receipt: str, body: str, left: dict[str, str]) -> None:
        """Saves one; where it stays on the queue, notes whose it is."""
        left[receipt] = ""
        try:
            rescued = unpacked(body)
            left[receipt] = rescued.grant.account
            self._save(rescued)
            self._keeper.done(receipt)
        except (MailgrantError, ConfigurationError, ValueError, KeyError, TypeError):
            log.exception("a rescued grant stays on its queue")
        else:
            del left[receipt]

    def _put_back(self, receipts: Iterable[str]) -> None:
        """Lets the next worker see what stays; else it would only know that there is something."""
        for receipt in receipts:
            try:
                self._keeper.put_back(receipt)
            except (Unavailable, ConfigurationError):
                log.warning("a rescued grant stays hidden for some minutes")

    def _save(self, rescued: Rescued) -> None:
        """Saves it where it is the newest or the better one. Raises Conflict when the stored one moved on."""
        grant, facts = rescued.grant, rescued.facts
        stored = self._grants.get(grant.account)
        if stored is None and self._is_of_the_past(grant):
            log.warning(
                "a rescued grant was dropped: disconnected",
                extra={"facts": {"account": grant.account, "version": grant.version}},
            )
            return
        if stored is not None and facts is None:
            # A refresh changes nothing of what is kept for a roll-back.
            grant = replace(grant, previous=stored.previous)
        if stored is None or stored.version == grant.version - 1:
            self._require_saved(replace(grant, refresh_due_at=self._now()), facts)
        elif self._is_better(grant, stored):
            self._require_saved(self._resealed(grant, stored.version + 1), facts)

    def _require_saved(self, grant: Grant, facts: AccountFacts | None) -> None:
        if not self._grants.save_rescued(grant, facts):
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
            and rescued.auth_mode is stored.auth_mode
            and rescued.identity == stored.identity
            and not is_same(rescued.refresh_token, stored.refresh_token)
        )
