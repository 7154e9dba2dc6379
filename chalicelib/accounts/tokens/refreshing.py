"""One refresh, by the one who holds the lease: ask the provider once, then save what it said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn

from chalicelib import clock
from chalicelib.accounts.connecting import outcomes
from chalicelib.accounts.models.account import AuthMode
from chalicelib.accounts.models.grant import MAIL
from chalicelib.accounts.tokens import rules
from chalicelib.accounts.tokens.asking import asking
from chalicelib.accounts.tokens.keeping import Kept
from chalicelib.errors import Conflict, Diagnosed, Unavailable
from chalicelib.logs import logger
from chalicelib.providers.replies import concerns_connector

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.accounts.models.grant import Grant, SealedToken, TokenSet
    from chalicelib.accounts.ports import ConnectorStore, GrantStore, Secrets
    from chalicelib.accounts.tokens.keeping import Keeper, Prepared
    from chalicelib.diagnosis import Diagnosis
    from chalicelib.providers import Providers
    from chalicelib.providers.base import Provider
    from chalicelib.secret import Secret

LEASE = 60 * clock.SECOND
POST_TIME = 28 * clock.SECOND
"""The longest that one request to a provider takes: to connect, the first byte, the rest of the answer."""
SAVE_TIME = 7 * clock.SECOND
NEEDED = POST_TIME + SAVE_TIME
"""With less than this left, of the lease or of the invocation, the provider is not asked."""

LIMITED = "http_429"

FAILED = {"RefreshFailures": 1}
"""What a refresh counts as that brought no token."""

log = logger("refreshing")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An account with its connector and its provider."""

    account: Account
    connector: Connector
    provider: Provider


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to ask: whose it is, until when, and why it was taken.

    `refused`: the mail server does not take what is stored; `resource` is what the token is for.
    """

    owner: str
    until: int
    in_use: bool
    refused: bool = False
    resource: str = MAIL


@dataclass(frozen=True, slots=True)
class _Received:
    answer: TokenSet
    refresh_token: Secret
    prepared: Prepared


class Refresher:
    """Refreshes a grant whose lease is held. A class because it is handed stores, keys and providers."""

    def __init__(
        self,
        grants: GrantStore,
        connectors: ConnectorStore,
        secrets: Secrets,
        keeper: Keeper,
        now: clock.Clock = clock.now,
    ) -> None:
        self._grants = grants
        self._connectors = connectors
        self._secrets = secrets
        self._keeper = keeper
        self._now = now

    def refresh(self, grant: Grant, mailbox: Mailbox, turn: Turn) -> bool:
        """Asks the provider with exactly one request and saves its answer, or what its refusal changes.

        Returns whether the answer is stored; False when somebody else has taken the lease or saved meanwhile.
        Raises Diagnosed when the provider refused, Unavailable when nothing was asked or the answer had to be
        rescued.
        """
        try:
            received = self._ask(grant, mailbox, turn)
        except Diagnosed as refused:
            self._refused(grant, mailbox, turn, refused.diagnosis)
            return False
        except Exception:
            log.warning("broke off", extra={"facts": {"account": grant.account}, "figures": FAILED})
            self._release(grant, turn)
            raise
        newer, token = self._sealed(grant, mailbox, turn, received)
        problem = outcomes.changed(grant, mailbox.provider.facts, received.answer, turn.resource)
        if problem is not None:
            self._hold(rules.ended(newer, self._now()), problem, turn)
        kept = self._keeper.keep(
            newer, lambda: self._grants.save_refreshed(newer, token, owner=turn.owner), until=turn.until
        )
        self._conclude(kept, newer, received.answer, mailbox, turn)
        return kept is Kept.SAVED

    def _hold(self, newer: Grant, problem: Diagnosis, turn: Turn) -> NoReturn:
        """Keeps what was received, but not for sending with it."""
        self._keeper.keep(
            newer, lambda: self._grants.save_held(newer, problem, owner=turn.owner), until=turn.until
        )
        facts = {"account": newer.account, "code": problem.code}
        log.error("held", extra={"facts": facts, "figures": FAILED})
        raise Diagnosed(problem)

    def _ask(self, grant: Grant, mailbox: Mailbox, turn: Turn) -> _Received:
        """Fetches everything that can fail, looks at the time, and only then asks."""
        if grant.auth_mode not in {None, mailbox.account.auth_mode}:
            raise Unavailable(
                "The account was connected in another way at this moment.", fix="It is tried again by itself."
            )
        asked = asking(mailbox, self._secrets, turn.resource, refused=turn.refused, now=self._now)
        refresh_token = self._keeper.reveal(grant)
        prepared = self._keeper.prepare(grant.account)
        self._guard(turn)
        answer = asked(refresh_token)
        # A provider that sends no refresh token means that the old one stays (RFC 6749, section 6).
        return _Received(answer, answer.refresh_token or refresh_token, prepared)

    def _sealed(
        self, grant: Grant, mailbox: Mailbox, turn: Turn, received: _Received
    ) -> tuple[Grant, SealedToken]:
        now, version = self._now(), grant.version + 1
        is_password = mailbox.account.auth_mode is AuthMode.PASSWORD
        token = received.prepared.access_token(
            received.answer, version, now, turn.resource, is_password=is_password
        )
        sealed = received.prepared.refresh_token(received.refresh_token, version)
        facts = mailbox.provider.facts
        scopes = rules.scopes(grant, received.answer, facts, turn.resource)
        newer = _refreshed(grant, received.answer, sealed, scopes, now)
        if turn.resource != MAIL:  # what is due by itself is the token for mail
            return newer, token
        return rules.scheduled(newer, token, facts, in_use=turn.in_use, chance=rules.chance()), token

    def _conclude(self, kept: Kept, newer: Grant, answer: TokenSet, mailbox: Mailbox, turn: Turn) -> None:
        if kept is Kept.SUPERSEDED and self._grants.get(newer.account) is None:
            facts = {"account": newer.account, "version": newer.version}
            log.warning("a received token was dropped: disconnected", extra={"facts": facts})
            raise Diagnosed(outcomes.DISCONNECTED)
        if kept is Kept.SUPERSEDED and answer.refresh_token is not None:
            self._keeper.rescue(newer, until=turn.until)
        facts = {
            "account": newer.account,
            "provider": mailbox.connector.provider,
            "version": newer.version,
            "kept": kept,
        }
        figures = {"Refreshed": 1} | ({} if newer.ends_at is None else self._time_left(newer, mailbox))
        log.info("refreshed", extra={"facts": facts, "figures": figures})
        if kept is Kept.RESCUED:
            raise Unavailable(
                "The new token could not be saved yet.", fix="It is saved by itself in some minutes."
            )
        connector = mailbox.connector
        if (connector.problem, connector.retry_at, connector.doubted_at) != (None, None, None):
            self._connectors.works(mailbox.connector.id)

    def _refused(self, grant: Grant, mailbox: Mailbox, turn: Turn, diagnosis: Diagnosis) -> None:
        """Writes what the refusal means, unless somebody else has saved a newer grant meanwhile."""
        stored = self._grants.get(grant.account)
        if stored is None:
            raise Diagnosed(outcomes.DISCONNECTED)
        if stored.version != grant.version:
            return
        facts = {
            "account": grant.account,
            "provider": mailbox.connector.provider,
            "code": diagnosis.code,
            "class": diagnosis.class_,
        }
        figures = FAILED | self._time_left(grant, mailbox)
        log.warning("refused by the provider", extra={"facts": facts, "figures": figures})
        if turn.resource != MAIL and diagnosis.code in rules.OF_ONE_RESOURCE:
            self._release(grant, turn)
            raise Diagnosed(rules.of_one_resource(diagnosis, turn.resource, mailbox.provider.facts))
        if concerns_connector(diagnosis, is_of_one_tenant=mailbox.connector.is_of_one_tenant):
            self._connector_refused(grant, mailbox, turn, diagnosis)
        if diagnosis.code == LIMITED:
            wait = (diagnosis.retry_after or 0) * clock.SECOND
            self._connectors.rest(mailbox.connector.id, self._now() + wait)
        refusal = rules.refusal(
            grant, diagnosis, mailbox.provider.facts, now=self._now(), chance=rules.chance()
        )
        self._grants.save_refused(refusal.grant, refusal.problem, refusal.state, owner=turn.owner)
        raise Diagnosed(refusal.problem)

    def _time_left(self, grant: Grant, mailbox: Mailbox) -> dict[str, int]:
        """What tells of a grant that somebody must see to before it ends."""
        return {"NearestExpiry": rules.time_left(grant, mailbox.provider.facts, self._now()) // clock.SECOND}

    def _connector_refused(self, grant: Grant, mailbox: Mailbox, turn: Turn, diagnosis: Diagnosis) -> None:
        """Notes that the client is refused; a first refusal is doubted, as that of a grant is."""
        connector, now = mailbox.connector, self._now()
        doubted_at = connector.doubted_at
        if connector.problem is None and (doubted_at is None or now - doubted_at < rules.CLIENT_DOUBT):
            self._secrets.forget(connector.id)
            self._connectors.doubt(
                connector.id,
                at=now if doubted_at is None else doubted_at,
                retry_at=now + rules.CLIENT_DOUBT,
            )
            self._release(grant, turn)
            raise Diagnosed(rules.once(diagnosis, rules.CLIENT_DOUBT // clock.SECOND))
        self._connectors.refused(mailbox.connector.id, diagnosis, self._now() + rules.CONNECTOR_REST)
        self._secrets.forget(mailbox.connector.id)
        self._release(grant, turn)
        raise Diagnosed(diagnosis)

    def _guard(self, turn: Turn) -> None:
        if turn.until - self._now() < NEEDED:
            raise Unavailable("There is too little time left to ask the provider.", fix="It is tried again.")

    def _release(self, grant: Grant, turn: Turn) -> None:
        """Best effort: a lease that is not given back ends by itself."""
        try:
            self._grants.release(grant, owner=turn.owner)
        except Unavailable:
            log.warning("a lease was not given back", extra={"facts": {"account": grant.account}})


def mailbox_of(account: Account, connectors: ConnectorStore, providers: Providers) -> Mailbox:
    """The account with its connector and provider. Raises Conflict when the connector is gone."""
    return mailbox_with(account, connectors.get(account.connector), providers)


def mailbox_with(account: Account, connector: Connector | None, providers: Providers) -> Mailbox:
    """The same, of a connector that was read already."""
    if connector is None:
        raise Conflict(
            "The account's connector does not exist.", fix="Connect the mailbox with another connector."
        )
    return Mailbox(account, connector, providers.of(connector))


def _refreshed(grant: Grant, answer: TokenSet, sealed: bytes, scopes: tuple[str, ...], now: int) -> Grant:
    return replace(
        grant,
        version=grant.version + 1,
        refresh_token=sealed,
        scopes=scopes,
        ends_at=answer.ends_at or (grant.ends_at if answer.refresh_token is None else None),
        refreshed_at=now,
        lease_owner=None,
        lease_until=0,
        first_refused_at=None,
        retry_at=None,
        failures=0,
    )
