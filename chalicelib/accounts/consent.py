"""Saving a consent: grant, access token, facts, link and outcome change in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib import clock
from chalicelib.accounts import rules
from chalicelib.accounts.keeping import Kept
from chalicelib.accounts.models import Grant
from chalicelib.errors import Unavailable
from chalicelib.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.accounts.keeping import Keeper, Prepared
    from chalicelib.accounts.models import Authorization, SealedToken, TokenSet
    from chalicelib.accounts.outcomes import Outcome
    from chalicelib.accounts.ports import ConnectorStore, GrantStore
    from chalicelib.accounts.refreshing import Mailbox

SAVE_TIME = 20 * clock.SECOND

log = logger("consent")


class Consents:
    """Saves consents. `on_connected` is told the account afterwards: its lane is opened."""

    def __init__(
        self,
        grants: GrantStore,
        connectors: ConnectorStore,
        keeper: Keeper,
        on_connected: Callable[[str], None],
        now: clock.Clock = clock.now,
    ) -> None:
        self._grants = grants
        self._connectors = connectors
        self._keeper = keeper
        self._on_connected = on_connected
        self._now = now

    def prepare(self, account: str) -> Prepared:
        """Fetches the data keys for a consent, before its code is exchanged."""
        return self._keeper.prepare(account)

    def save(
        self,
        authorization: Authorization,
        mailbox: Mailbox,
        tokens: TokenSet,
        prepared: Prepared,
        outcome: Outcome,
    ) -> None:
        """Saves a consent that was checked. Begins anew while a refresh of the old grant moves its version.

        Raises Unavailable when it could not be saved yet: it is on the rescue queue then.
        """
        until = self._now() + SAVE_TIME
        kept = Kept.SUPERSEDED
        while kept is Kept.SUPERSEDED:
            grant, token = self._grant(mailbox, tokens, prepared)
            kept = self._keep(grant, token, authorization, outcome, until)
            if kept is Kept.SUPERSEDED and self._now() > until:
                self._keeper.rescue(grant, until=until + SAVE_TIME)
                kept = Kept.RESCUED
        if kept is Kept.RESCUED:
            raise Unavailable(
                "The sign-in succeeded, but could not be saved yet.",
                fix="It is saved by itself in some minutes.",
            )
        self._tell(mailbox)

    def _keep(
        self, grant: Grant, token: SealedToken, authorization: Authorization, outcome: Outcome, until: int
    ) -> Kept:
        def save() -> bool:
            return self._grants.save_connected(
                grant,
                token,
                authorization=authorization.id,
                link=authorization.link,
                outcome=outcome,
                asked_by=authorization.asked_by,
            )

        return self._keeper.keep(grant, save, until=until)

    def _grant(self, mailbox: Mailbox, tokens: TokenSet, prepared: Prepared) -> tuple[Grant, SealedToken]:
        if tokens.refresh_token is None or tokens.identity is None:
            raise ValueError("a grant needs a refresh token and an identity")
        facts, now = mailbox.provider.facts, self._now()
        version = self._grants.version(mailbox.account.id) + 1
        token = prepared.access_token(tokens, version, now)
        grant = Grant(
            account=mailbox.account.id,
            version=version,
            refresh_token=prepared.refresh_token(tokens.refresh_token, version),
            scopes=tuple(sorted(tokens.scopes or facts.required_scopes)),
            identity=tokens.identity,
            granted_at=now,
            refreshed_at=now,
            ends_at=tokens.ends_at,
        )
        return rules.scheduled(grant, token, facts, in_use=False, chance=rules.chance()), token

    def _tell(self, mailbox: Mailbox) -> None:
        """What follows from a saved consent. None of it may turn the outcome into a failure."""
        try:
            self._on_connected(mailbox.account.id)
            if mailbox.connector.problem is not None:
                self._connectors.works(mailbox.connector.id)
        except Unavailable:
            log.exception("connected, but not told", extra={"facts": {"account": mailbox.account.id}})
