"""Connecting a mailbox.

A sign-in is begun in one browser, comes back to the same one, and is checked before anything is saved::

    begin     link → state, verifier and nonce (sealed) and the cookie's hash, for 10 minutes → the provider
    complete  the callback → cookie → state used up (conditional write) → exchange → identity, scopes
              → one transaction: grant, access token, facts, link, outcome
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib import clock, ids
from chalicelib.accounts import callback, outcomes, rules
from chalicelib.accounts.models import Authorization
from chalicelib.accounts.refreshing import mailbox_of
from chalicelib.accounts.registry import hash_cookie, is_browser, link_id, live_link
from chalicelib.errors import Conflict, Diagnosed, Forbidden, MalformedRequest, NotFound
from chalicelib.logs import logger
from chalicelib.providers.replies import concerns_connector, diagnose
from chalicelib.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chalicelib.accounts.consent import Consents
    from chalicelib.accounts.keeping import Keeper
    from chalicelib.accounts.outcomes import Outcome
    from chalicelib.accounts.ports import (
        AccountStore,
        AuthorizationStore,
        ConnectorStore,
        GrantStore,
        Secrets,
        Vault,
    )
    from chalicelib.accounts.refreshing import Mailbox
    from chalicelib.diagnosis import Diagnosis
    from chalicelib.providers.base import Begun, Provider

STATE_LIFE = 10 * clock.MINUTE
STARTS = 20
SECRET_LIMIT = 4_000
FLOW_VERSION = 0

log = logger("connect")


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores that connecting writes to."""

    accounts: AccountStore
    connectors: ConnectorStore
    authorizations: AuthorizationStore
    grants: GrantStore


class Connect:
    """Begins and completes sign-ins, and saves connectors' secrets. Answers never hold a token."""

    def __init__(
        self,
        stores: Stores,
        providers: Mapping[str, Provider],
        secrets: Secrets,
        vault: Vault,
        keeper: Keeper,
        consents: Consents,
        public_url: Callable[[], str],
        now: clock.Clock = clock.now,
    ) -> None:
        self._stores = stores
        self._providers = providers
        self._secrets = secrets
        self._vault = vault
        self._keeper = keeper
        self._consents = consents
        self._public_url = public_url
        self._now = now

    def save_secret(self, connector_id: str, secret: str) -> None:
        """Saves a connector's credential; its row may be written afterwards. Raises MalformedRequest."""
        if not ids.is_id("con", connector_id) or not 1 <= len(secret.strip()) <= SECRET_LIMIT:
            raise MalformedRequest(
                "This is no client secret.", fix="Copy the secret's value.", field="client_secret"
            )
        self._secrets.save(connector_id, Secret(secret.strip()))
        self._stores.connectors.secret_saved(connector_id, self._now())

    def begin(self, link_token: str) -> dict[str, Any]:
        """Begins a sign-in: ``{"authorize_url", "cookie"}``. Raises NotFound for a link that has ended."""
        link = live_link(self._stores.authorizations.link(link_id(link_token)), self._now())
        mailbox = self._mailbox(link.account)
        if mailbox.connector.secret_saved_at is None:
            raise _without_secret()
        if not self._stores.authorizations.start(link.id, now=self._now(), limit=STARTS):
            raise NotFound(
                "This connect link was opened too often.", fix="Ask for a new one.", code="link_expired"
            )
        state, cookie = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        redirect_uri = f"{self._public_url()}/oauth/callback/{mailbox.connector.id}"
        begun = mailbox.provider.begin(
            mailbox.connector, redirect_uri=redirect_uri, state=state, login_hint=mailbox.account.address
        )
        self._stores.authorizations.add(self._pending(mailbox, link.id, state, cookie, begun))
        return {"authorize_url": begun.url, "cookie": cookie}

    def complete(
        self, connector_id: str, params: Mapping[str, list[str]], cookie: str | None
    ) -> dict[str, Any]:
        """Takes a callback and answers its outcome (`outcomes`) and ``authorization``, the id of its result.

        Raises MalformedRequest for a callback without its state (or with an expired or unknown one), Forbidden
        (code ``wrong_browser``) where the cookie is another one: no token is asked for then.
        """
        answer = callback.read(params)
        stored = self._stores.authorizations.get(ids.authorization_id(answer.state))
        if stored is not None and stored.used_at is not None:
            return outcomes.already(stored)
        if stored is None or stored.expires_at <= self._now() or stored.connector != connector_id:
            raise callback.unknown_state()
        if not is_browser(stored.cookie_hash, cookie):
            raise _wrong_browser()
        # Before the exchange: a callback that is delivered twice finds nothing to exchange.
        consumed = self._stores.authorizations.consume(stored.id, now=self._now())
        if consumed is None:
            return outcomes.already(stored)
        return self._conclude(consumed, answer)

    def _conclude(self, authorization: Authorization, answer: callback.Answer) -> dict[str, Any]:
        """Ends a used state: with a saved grant, or with the reason why nothing was saved."""
        mailbox = self._mailbox(authorization.account)
        try:
            outcome = self._connected(authorization, answer, mailbox)
        except Diagnosed as refused:
            self._note_connector(mailbox, refused.diagnosis)
            outcome = outcomes.failed(mailbox.account, refused.diagnosis)
        if outcome["outcome"] != outcomes.CONNECTED:
            self._stores.authorizations.conclude(authorization.id, outcome)
        facts = {"account": mailbox.account.id, "outcome": outcome["outcome"]}
        log.info("sign-in concluded", extra={"facts": facts})
        return {**outcome, "authorization": authorization.id}

    def _connected(self, authorization: Authorization, answer: callback.Answer, mailbox: Mailbox) -> Outcome:
        provider, connector = mailbox.provider, mailbox.connector
        if answer.issuer is not None and not provider.is_issuer(connector, answer.issuer):
            raise Diagnosed(outcomes.WRONG_ISSUER)
        if answer.code is None:
            return outcomes.refused(mailbox.account, diagnose(connector.provider, answer.error))
        secret = self._secrets.get(connector.id)
        prepared = self._keeper.prepare(mailbox.account.id)
        flow = self._flow(authorization)
        tokens = provider.redeem(connector, secret, flow, code=answer.code.reveal())
        stored = self._stores.grants.get(mailbox.account.id)
        objection = outcomes.objection(mailbox.account, provider.facts, tokens, stored)
        if objection is not None:
            return objection
        outcome = outcomes.connected(mailbox.account)
        self._consents.save(authorization, mailbox, tokens, prepared, outcome)
        return outcome

    def _mailbox(self, account: str) -> Mailbox:
        found = self._stores.accounts.get(account)
        if found is None:
            raise NotFound("The account of this sign-in does not exist.", fix="Ask for a new connect link.")
        return mailbox_of(found, self._stores.connectors, self._providers)

    def _pending(self, mailbox: Mailbox, link: str, state: str, cookie: str, begun: Begun) -> Authorization:
        """The state's row. Its flow holds the PKCE verifier, so it is sealed."""
        authorization, now = ids.authorization_id(state), self._now()
        flow = json.dumps(dict(begun.flow)).encode()
        sealer = self._vault.sealer(mailbox.account.id)
        return Authorization(
            id=authorization,
            account=mailbox.account.id,
            connector=mailbox.connector.id,
            link=link,
            cookie_hash=hash_cookie(cookie),
            redirect_uri=str(begun.flow["redirect_uri"]),
            created_at=now,
            expires_at=now + STATE_LIFE,
            flow=sealer.seal(_flow_field(authorization), FLOW_VERSION, flow),
        )

    def _flow(self, authorization: Authorization) -> dict[str, Any]:
        field, sealed = _flow_field(authorization.id), authorization.flow or b""
        opened = self._vault.open(authorization.account, field, FLOW_VERSION, sealed)
        return dict(json.loads(opened))

    def _note_connector(self, mailbox: Mailbox, diagnosis: Diagnosis) -> None:
        if concerns_connector(diagnosis):
            rest = self._now() + rules.CONNECTOR_REST
            self._stores.connectors.refused(mailbox.connector.id, diagnosis, rest)
            self._secrets.forget(mailbox.connector.id)


def _flow_field(authorization: str) -> str:
    return f"flow:{authorization}"


def _wrong_browser() -> Forbidden:
    return Forbidden(
        "This sign-in was begun in another browser.",
        fix="Open your connect link in this browser and sign in from there.",
        code="wrong_browser",
    )


def _without_secret() -> Conflict:
    return Conflict(
        "The connector has no client secret yet.",
        fix="Ask your administrator to save the client secret in the connector.",
        code="connector_without_secret",
    )
