"""Disconnecting an account: its consent is withdrawn, its tokens are deleted, and that stays on record.

::

    read the grant → revoke it at the provider, where nobody else needs it
                   → one transaction: grant and access token deleted, facts of the account
                     (on condition that the grant is the one that was read; else all again)
                   → hold the lane

First the provider, because afterwards nobody could ask it any more; but it need not answer: an owner who
wants to be rid of us must not wait for it. What is deleted leaves its version behind, by which a refresh
that is under way, or a token on the rescue queue, is known to be of the past.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib import clock
from chalicelib.accounts.models.account import Disconnection, GrantState, Revocation
from chalicelib.accounts.tokens.asking import credential_of
from chalicelib.errors import ConfigurationError, Conflict, Diagnosed, NotFound, Unavailable
from chalicelib.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.accounts.models.grant import Grant
    from chalicelib.accounts.ports import Secrets
    from chalicelib.accounts.stores import Stores
    from chalicelib.accounts.tokens.keeping import Keeper
    from chalicelib.diagnosis import Diagnosis
    from chalicelib.providers import Providers
    from chalicelib.providers.base import Provider

TRIES = 5
"""How often the grant may change under our hands: by a refresh or a sign-in that ends at the same moment."""

log = logger("disconnecting")


class Disconnecting:
    """Disconnects accounts. `hold_lane` is told whose mail shall wait."""

    def __init__(
        self,
        stores: Stores,
        providers: Providers,
        secrets: Secrets,
        keeper: Keeper,
        hold_lane: Callable[[str], object],
        now: clock.Clock = clock.now,
    ) -> None:
        self._accounts = stores.accounts
        self._connectors = stores.connectors
        self._grants = stores.grants
        self._providers = providers
        self._secrets = secrets
        self._keeper = keeper
        self._hold_lane = hold_lane
        self._now = now

    def disconnect(self, account_id: str, *, by: str) -> dict[str, Any]:
        """Disconnects the account; `by` is who wants it, for the record.

        Of one that is disconnected already, the record and the answer stay the first ones. Answers
        ``{"account", "disconnected_at", "revocation", "withdraw", "diagnosis"?}``: when (ms), what
        became of the consent (`Revocation`), the provider's pages where the owner can take it back by hand,
        empty where that is done, and why the provider did not do it. Raises NotFound, and Unavailable
        before anything is done.
        """
        account = self._accounts.get(account_id)
        if account is None or account.deleted_at is not None:
            raise NotFound(
                "There is no such account.", fix="Check the account's id.", code="account_not_found"
            )
        ended, diagnosis = self._ended(account, by)
        self._hold(account.id)
        facts = {"account": account.id, "by": by, "revocation": str(ended.revocation)}
        log.info("disconnected", extra={"facts": facts})
        return {
            "account": account.id,
            "disconnected_at": ended.at,
            "revocation": str(ended.revocation),
            "withdraw": self._withdraw(account, ended.revocation),
            **({"diagnosis": diagnosis.to_json()} if diagnosis else {}),
        }

    def _ended(self, account: Account, by: str) -> tuple[Disconnection, Diagnosis | None]:
        for _ in range(TRIES):
            version = self._grants.version(account.id)
            grant = self._grants.get(account.id)
            if grant is not None and grant.version != version:
                continue
            earlier = self._earlier(account.id)
            revocation, diagnosis = self._revoked(account, grant)
            # What is over is ended all the same: a consent that waits to be rescued must not come back.
            ended = earlier or Disconnection(self._now(), by, revocation)
            if self._grants.end(account.id, version, ended):
                return ended, diagnosis
        raise Unavailable("The account's tokens change all the time.", fix="Send the same request again.")

    def _earlier(self, account: str) -> Disconnection | None:
        """How the account was disconnected, if it is. Read after the grant's version, so no older than it."""
        current = self._accounts.get(account)
        is_over = current is not None and current.grant_state is GrantState.NONE
        return current.disconnection if current is not None and is_over else None

    def _revoked(self, account: Account, grant: Grant | None) -> tuple[Revocation, Diagnosis | None]:
        if grant is None or not account.auth_mode.has_owner:  # a password is no consent
            return Revocation.NOTHING, None
        connector = self._connectors.get(account.connector)
        if connector is None:
            return Revocation.FAILED, None
        if self._is_shared(account, grant, connector):
            return Revocation.SHARED, None
        provider = self._providers.of(connector)
        try:
            credential = credential_of(connector, self._secrets)
            done = provider.revoke(connector, credential, self._keeper.reveal(grant))
        except Diagnosed as refused:
            return Revocation.FAILED, refused.diagnosis
        except (ConfigurationError, Conflict):
            # What cannot be opened cannot be revoked either, and shall be gone all the same.
            log.exception(
                "a grant could not be opened to revoke it", extra={"facts": {"account": account.id}}
            )
            return Revocation.FAILED, None
        return Revocation.REVOKED if done else Revocation.UNSUPPORTED, None

    def _is_shared(self, account: Account, grant: Grant, connector: Connector) -> bool:
        """Whether another account lives by the consent.

        Google revokes all that one person gave a client, and two connectors may be that client.
        """
        others = (
            self._accounts.get(other) for other in self._grants.of_one_person(grant) if other != account.id
        )
        return any(other is not None and self._is_same_client(other.connector, connector) for other in others)

    def _is_same_client(self, connector_id: str, connector: Connector) -> bool:
        other = connector if connector_id == connector.id else self._connectors.get(connector_id)
        return other is not None and other.is_same_client(connector)

    def _hold(self, account: str) -> None:
        """Holds the mail that waits.

        A lane that is not held now is held by the relay that looks at it. One that is held although its owner
        has connected again meanwhile is due, and is opened by the next look, within a minute.
        """
        try:
            self._hold_lane(account)
        except Unavailable:
            log.exception("disconnected, but the lane is not held", extra={"facts": {"account": account}})

    def _withdraw(self, account: Account, revocation: Revocation) -> list[str]:
        provider = self._provider(account)
        return [] if provider is None or revocation is Revocation.REVOKED else list(provider.facts.withdraw)

    def _provider(self, account: Account) -> Provider | None:
        connector = self._connectors.get(account.connector)
        return self._providers.of(connector) if connector else None
