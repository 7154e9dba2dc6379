"""Connectors, accounts and connect links as the API sees them: nothing here needs a secret or a key."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from chalicelib import clock, ids
from chalicelib.accounts.admin import checks, readers
from chalicelib.accounts.admin.held import kind_of
from chalicelib.accounts.admin.scopes import own_facts
from chalicelib.accounts.connecting import outcomes
from chalicelib.accounts.connecting.links import LINK_LIFE, is_browser, link_id, live_link
from chalicelib.accounts.models.account import Account, AuthMode
from chalicelib.accounts.models.authorization import ConnectLink, Purpose
from chalicelib.accounts.models.connector import Cloud, Connector, CredentialKind
from chalicelib.addresses import lowered
from chalicelib.errors import Conflict, NotFound
from chalicelib.providers.hosts import require_public

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from chalicelib.accounts.models.authorization import Authorization
    from chalicelib.accounts.ports import AccountStore, AuthorizationStore, ConnectorStore
    from chalicelib.network import Resolve
    from chalicelib.providers.catalogue import Catalogue
    from chalicelib.providers.facts import ProviderFacts

CUT_OFF = 2 * clock.MINUTE
"""After this a sign-in without an outcome has none: `connect` runs for a minute at most."""
NAMES_MAILBOXES = ("account", "expected", "found", "mailbox", "provider", "signs_in_as")
"""What of an outcome only the browser that signed in may see."""


class Inviter(Protocol):
    """Whoever makes a connect link; its name is shown to the mailbox owner."""

    @property
    def name(self) -> str:
        """The name."""


@dataclass(frozen=True, slots=True)
class LinkPage:
    """What the page of a connect link says."""

    address: str
    signs_in_as: str
    account: str
    provider: str
    asked_by: str
    scopes_in_words: tuple[str, ...]
    expires_at: int


class Registry:
    """Makes and finds connectors, accounts and connect links."""

    def __init__(
        self,
        connectors: ConnectorStore,
        accounts: AccountStore,
        authorizations: AuthorizationStore,
        catalogue: Catalogue,
        resolve: Resolve,
        now: clock.Clock = clock.now,
    ) -> None:
        self._connectors = connectors
        self._accounts = accounts
        self._authorizations = authorizations
        self._catalogue = catalogue
        self._resolve = resolve
        self._now = now

    def new_connector(  # noqa: PLR0913 - the fields of one request
        self,
        provider: str,
        name: str,
        client_id: str,
        tenant: str = "",
        *,
        cloud: str = Cloud.GLOBAL,
        credential: str = CredentialKind.SECRET,
        facts: Mapping[str, Any] | None = None,
        scopes: Sequence[str] = (),
    ) -> Connector:
        """A checked connector with a new id, not written yet. Raises InvalidInput.

        `facts` are its own ones in the place of the provider's (`ProviderFacts`), `scopes` some of those that
        the provider offers. The client id may be left out where there is no client.
        """
        usual = self._usual(provider, cloud)
        connector = Connector(
            id=ids.new_id("con"),
            provider=provider,
            name=checks.name(name or usual.label),
            client_id=checks.client_id(client_id) if client_id or credential != CredentialKind.NONE else "",
            tenant=checks.tenant(provider, tenant),
            created_at=self._now(),
            cloud=Cloud(cloud),
            credential=kind_of(credential),
            facts=own_facts(usual, facts or {}, scopes),
        )
        return self.checked(connector)

    def checked(self, connector: Connector) -> Connector:
        """The connector, whose facts go together and name only what may be asked. Raises InvalidInput."""
        own = self._catalogue.of(connector)
        checks.coherent(connector, own)
        require_public(own, connector.facts.keys(), self._resolve)
        return connector

    def _usual(self, provider: str, cloud: str) -> ProviderFacts:
        """What is known of a provider in a cloud. Raises InvalidInput."""
        if provider not in self._catalogue:
            checks.refuse(
                "provider", f"There is no provider {provider[:40]!r}.", f"Use {' or '.join(self._catalogue)}."
            )
        named = provider if cloud == Cloud.GLOBAL else f"{provider}/{cloud}"
        if named not in self._catalogue:
            checks.refuse(
                "cloud",
                f"{provider} has no cloud {cloud[:40]!r}.",
                f"Only Microsoft has: {', '.join(Cloud)}.",
            )
        return self._catalogue[named]

    def add_connector(self, connector: Connector) -> Connector:
        """Writes a new connector's row, after its credential was saved; returns it as written."""
        stored = replace(connector, secret_saved_at=self._now() if connector.credential.is_stored else None)
        self._connectors.add(stored)
        return stored

    def connector(self, connector: str) -> Connector:
        """The connector with that id. Raises NotFound."""
        found = self._connectors.get(connector) if ids.is_id("con", connector) else None
        if found is None:
            raise NotFound("There is no such connector.", fix="List the connectors to see their ids.")
        return found

    def connectors(self) -> list[Connector]:
        """Every connector, the oldest first."""
        return self._connectors.all()

    def new_account(
        self,
        connector: str,
        address: str,
        name: str = "",
        auth_mode: AuthMode | None = None,
        **described: Any,
    ) -> Account:
        """A checked account with a new id, not written yet; its name is its address where none is given.

        Its auth mode is the usual one of its connector where none is given. `described` is as for
        `checks.description`. Raises InvalidInput, and NotFound (connector).
        """
        mailbox = checks.address(address)
        found = self.connector(connector)
        facts = self._catalogue.of(found)
        mode = auth_mode or checks.usual_mode(found, facts)
        checks.auth_mode(found, facts, mode)
        made = Account(
            id=ids.new_id("acc"),
            address=mailbox,
            connector=found.id,
            created_at=self._now(),
            auth_mode=mode,
            **checks.description(name=name or lowered(mailbox), **described),
        )
        if reader := described.get("reads_with"):
            readers.require_reader(made.id, reader)
        return made

    def create_account(self, *asked: Any, **described: Any) -> Account:
        """Writes a new account, not connected yet; takes and raises what `new_account` does."""
        return self.add_account(self.new_account(*asked, **described))

    def add_account(self, account: Account) -> Account:
        """Writes an account with its name, which is unique. Raises Conflict (code ``name_taken``)."""
        if not self._accounts.add(account):
            raise Conflict(
                f"Another account has the name {account.name}.",
                fix="Choose another name, or make a new connect link for that account to reconnect it.",
                field="name",
                code="name_taken",
            )
        return account

    def account(self, named: str) -> Account:
        """The account with that id or unique name. Raises NotFound, also for one that is deleted."""
        known = named if ids.is_id("acc", named) else self._named(named)
        found = self._accounts.get(known) if known else None
        if found is None or found.deleted_at is not None:
            raise NotFound(
                "There is no such account.", fix="Check the account's id or name.", code="account_not_found"
            )
        return found

    def accounts(
        self, limit: int, cursor: str | None = None, *, among: Collection[str] | None = None
    ) -> tuple[list[Account], str | None]:
        """One page of accounts and the cursor of the next page, None on the last. Raises InvalidInput.

        `limit` is 1 to 100. `among` are the ids of the only accounts to list; None lists all there are.
        """
        if cursor is not None and not ids.is_id("acc", cursor):
            checks.refuse("cursor", "The cursor is not one.", "Use the cursor exactly as it was given.")
        if among is None:
            return self._accounts.page(limit, cursor)
        rest = sorted(account for account in among if cursor is None or account > cursor)
        found = [account for account in self._accounts.some(rest[:limit]) if account.deleted_at is None]
        return found, rest[limit - 1] if len(rest) > limit else None

    def invite(self, account: Account, caller: Inviter) -> tuple[str, int]:
        """A new connect link: its secret token, and when it ends. Older links of the account stay.

        Raises InvalidInput (field ``auth_mode``) where nobody can consent with the account's connector.
        """
        connector = self.connector(account.connector)
        checks.auth_mode(connector, self._catalogue.of(connector), AuthMode.AUTHORIZATION_CODE)
        token = secrets.token_urlsafe(24)
        now = self._now()
        link = ConnectLink(link_id(token), account.id, caller.name, now, now + LINK_LIFE)
        self._authorizations.add_link(link)
        return token, link.expires_at

    def page(self, link_token: str) -> LinkPage:
        """What a connect link's page says. Raises NotFound when the link is unknown or has ended."""
        link = live_link(self._authorizations.link(link_id(link_token)), self._now())
        account = self.account(link.account)
        connector = self.connector(account.connector)
        return LinkPage(
            address=account.address,
            signs_in_as=account.signs_in_as,
            account=account.id,
            provider=self._catalogue.called(connector),
            asked_by=link.invited_by,
            scopes_in_words=self._catalogue.of(connector).scopes_in_words,
            expires_at=link.expires_at,
        )

    def outcome(self, authorization: str, cookie: str | None) -> Mapping[str, Any]:
        """How an authorization ended (``pending`` before that); names mailboxes only to its own browser.

        Raises NotFound.
        """
        found = self._authorizations.get(authorization)
        if found is None:
            raise NotFound(
                "There is no such sign-in.", fix="Open your connect link again.", code="link_not_found"
            )
        outcome = dict(found.outcome or self._without_outcome(found)) | {"authorization": found.id}
        if is_browser(found.cookie_hash, cookie):
            return outcome
        return {name: value for name, value in outcome.items() if name not in NAMES_MAILBOXES}

    def _named(self, name: str) -> str | None:
        """The id of the account with that name; what is too long to be one is not looked for."""
        return self._accounts.named(name) if 1 <= len(name) <= checks.NAME_LIMIT else None

    def _without_outcome(self, authorization: Authorization) -> dict[str, Any]:
        """A sign-in that was used up and not concluded in time was cut off."""
        ended = authorization.used_at or authorization.expires_at
        outcome = {"outcome": "failed" if self._now() > ended + CUT_OFF else "pending"}
        return outcomes.of_visit(outcome) if authorization.purpose is Purpose.VISIT else outcome
