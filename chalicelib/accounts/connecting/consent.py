"""Saving a consent: grant, access token, facts, link and outcome change in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from chalicelib import clock
from chalicelib.accounts.connecting import outcomes
from chalicelib.accounts.models.account import UNDO, AuthMode
from chalicelib.accounts.models.grant import MAIL, UNKNOWN_PERSON, Grant, Identity, Previous
from chalicelib.accounts.tokens import rules
from chalicelib.accounts.tokens.keeping import Kept
from chalicelib.errors import Diagnosed, Unavailable
from chalicelib.logs import logger
from chalicelib.transports.refusals import Concern

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.accounts.connecting.outcomes import Outcome
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.authorization import Authorization
    from chalicelib.accounts.models.grant import SealedToken, TokenSet
    from chalicelib.accounts.ports import ConnectorStore, GrantStore
    from chalicelib.accounts.tokens.keeping import Keeper, Prepared
    from chalicelib.accounts.tokens.refreshing import Mailbox
    from chalicelib.accounts.trying import Probe
    from chalicelib.diagnosis import Diagnosis
    from chalicelib.secret import Secret

SAVE_TIME = 20 * clock.SECOND
PROOF_SECONDS = 10.0
"""For the mail server that shows whose mailbox a token opens: a browser waits, for 29 s at the longest."""

log = logger("consent")


@dataclass(frozen=True, slots=True)
class Signed:
    """A sign-in in a browser and what became of it; both are noted in one step with the grant."""

    authorization: Authorization
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Standing:
    """Which resource the access token is for, and why the server does not take it, if that is so."""

    resource: str = MAIL
    block: Diagnosis | None = None


USUAL = Standing()


class Consents:
    """Saves consents. `on_connected` is told the account afterwards: its lane is opened.

    `probe` signs in to an account's mail server.
    """

    def __init__(
        self,
        grants: GrantStore,
        connectors: ConnectorStore,
        keeper: Keeper,
        on_connected: Callable[[str], None],
        probe: Probe,
        now: clock.Clock = clock.now,
    ) -> None:
        self._grants = grants
        self._connectors = connectors
        self._keeper = keeper
        self._on_connected = on_connected
        self._probe = probe
        self._now = now

    def prepare(self, account: str) -> Prepared:
        """Fetches the data keys for a consent, before its code is exchanged."""
        return self._keeper.prepare(account)

    def reveal(self, grant: Grant) -> Secret:
        """What a stored grant holds."""
        return self._keeper.reveal(grant)

    def proved(self, mailbox: Mailbox, tokens: TokenSet) -> TokenSet:
        """The tokens with whose mailbox they open: where the provider does not say, the mail server does.

        Raises Diagnosed when the mail server does not take them as the owner's.
        """
        facts, owner = mailbox.provider.facts, mailbox.account.owner_address
        is_named = tokens.identity is not None and bool(tokens.identity.addresses)
        if is_named or facts.speaks != "openid" or not facts.smtp_host:
            return tokens
        as_owner = replace(mailbox.account, auth_mode=AuthMode.AUTHORIZATION_CODE, smtp_user=owner)
        _, refused = self._probe(as_owner, mailbox.connector, tokens.access_token, PROOF_SECONDS)
        if refused is not None:
            found = refused.diagnosis
            is_of_token = refused.verdict.concern is Concern.TOKEN
            raise Diagnosed(replace(outcomes.MAILBOX_UNPROVEN, text=found.text) if is_of_token else found)
        identity = tokens.identity or Identity(mailbox.connector.provider, UNKNOWN_PERSON, ())
        return replace(tokens, identity=replace(identity, addresses=(owner,)))

    def save(
        self,
        mailbox: Mailbox,
        tokens: TokenSet,
        prepared: Prepared,
        *,
        before: Account,
        signed: Signed | None = None,
        standing: Standing = USUAL,
    ) -> None:
        """Saves a consent that was checked, and `signed`, the sign-in that it came by, if there was one.

        `before` is the account as it was: what it used in another auth mode is kept for a roll-back. Begins
        anew while a refresh of the old grant moves its version. A block is noted in the same transaction.

        `announce` follows. Raises Unavailable when it could not be saved yet: it is on the rescue queue then.
        """
        until = self._now() + SAVE_TIME
        kept = Kept.SUPERSEDED
        while kept is Kept.SUPERSEDED:
            grant, token = self._grant(mailbox, tokens, prepared, before, standing.resource)
            facts = _facts(mailbox.account, grant, signed, standing.block)
            kept = self._keeper.keep(
                grant,
                partial(self._grants.save_connected, grant, token, facts, signed),
                until=until,
                facts=facts,
            )
            if kept is Kept.SUPERSEDED and self._now() > until:
                self._keeper.rescue(grant, until=until + SAVE_TIME, facts=facts)
                kept = Kept.RESCUED
        if kept is Kept.RESCUED:
            raise Unavailable(
                "The sign-in succeeded, but could not be saved yet.",
                fix="It is saved by itself in some minutes.",
            )

    def _grant(
        self, mailbox: Mailbox, tokens: TokenSet, prepared: Prepared, before: Account, resource: str
    ) -> tuple[Grant, SealedToken]:
        if tokens.refresh_token is None or tokens.identity is None:
            raise ValueError("a grant needs a refresh token and an identity")
        facts, now = mailbox.provider.facts, self._now()
        version = self._grants.version(mailbox.account.id) + 1
        mode = mailbox.account.auth_mode
        token = prepared.access_token(tokens, version, now, resource, is_password=mode is AuthMode.PASSWORD)
        grant = Grant(
            account=mailbox.account.id,
            version=version,
            refresh_token=prepared.refresh_token(tokens.refresh_token, version),
            scopes=tuple(sorted(tokens.scopes or facts.required_scopes)),
            identity=tokens.identity,
            granted_at=now,
            refreshed_at=now,
            previous=self._previous(before, mailbox.account, now),
            ends_at=tokens.ends_at,
            auth_mode=mode,
        )
        return rules.scheduled(grant, token, facts, in_use=False, chance=rules.chance()), token

    def _previous(self, before: Account, after: Account, now: int) -> Previous | None:
        stored = self._grants.get(before.id)
        if stored is None or before.auth_mode is after.auth_mode:
            return stored.previous if stored else None
        return Previous(
            auth_mode=before.auth_mode,
            smtp_user=before.smtp_user,
            version=stored.version,
            refresh_token=stored.refresh_token,
            scopes=stored.scopes,
            identity=stored.identity,
            until=now + UNDO,
        )

    def announce(self, mailbox: Mailbox) -> None:
        """What follows from a saved consent: its mail goes. Nothing here turns the outcome into a failure."""
        try:
            self._on_connected(mailbox.account.id)
            if mailbox.connector.problem is not None:
                self._connectors.works(mailbox.connector.id)
        except Unavailable:
            log.exception("connected, but not told", extra={"facts": {"account": mailbox.account.id}})


def _facts(account: Account, grant: Grant, signed: Signed | None, block: Diagnosis | None) -> dict[str, Any]:
    """What a saved consent changes of its account, besides what its token says; as JSON has it."""
    return {
        "auth_mode": str(account.auth_mode),
        "smtp_user": account.smtp_user,
        "transport_block": block.to_json() if block else None,
        "connected_at": grant.granted_at,
        "asked_by": signed.authorization.asked_by if signed else "",
    }
