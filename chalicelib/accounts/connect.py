"""Connecting a mailbox.

A sign-in is begun in one browser, comes back to the same one, and is checked before anything is saved::

    begin     link → state, verifier and nonce (sealed) and the cookie's hash, for 10 minutes → the provider
    complete  the callback → cookie → state used up (conditional write) → exchange → identity, scopes
              → one transaction: grant, access token, facts, link, outcome
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib import clock, ids
from chalicelib.accounts import callback, outcomes, rules
from chalicelib.accounts.refreshing import mailbox_of
from chalicelib.errors import Conflict, Diagnosed, MalformedRequest, NotFound
from chalicelib.logs import logger
from chalicelib.providers.id_tokens import ID_TOKEN_INVALID
from chalicelib.providers.replies import concerns_connector, diagnose
from chalicelib.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.accounts.consent import Consents
    from chalicelib.accounts.models import Authorization
    from chalicelib.accounts.outcomes import Outcome
    from chalicelib.accounts.ports import Secrets
    from chalicelib.accounts.refreshing import Mailbox
    from chalicelib.accounts.sign_ins import SignIns
    from chalicelib.accounts.stores import Stores
    from chalicelib.diagnosis import Diagnosis
    from chalicelib.providers.base import Provider

SECRET_LIMIT = 4_000

SUSPICIOUS = frozenset({outcomes.WRONG_ISSUER.code, ID_TOKEN_INVALID})
"""Codes of answers that an honest provider does not give; they are logged as warnings."""

log = logger("connect")


class Connect:
    """Begins and completes sign-ins, and saves connectors' secrets. Answers never hold a token."""

    def __init__(
        self,
        stores: Stores,
        providers: Mapping[str, Provider],
        secrets: Secrets,
        sign_ins: SignIns,
        consents: Consents,
        now: clock.Clock = clock.now,
    ) -> None:
        self._stores = stores
        self._providers = providers
        self._secrets = secrets
        self._sign_ins = sign_ins
        self._consents = consents
        self._now = now

    def save_secret(self, connector_id: str, secret: str) -> None:
        """Saves a connector's credential; its row may be written afterwards. Raises MalformedRequest."""
        if not ids.is_id("con", connector_id) or not 1 <= len(secret.strip()) <= SECRET_LIMIT:
            raise MalformedRequest(
                "This is no client secret.", fix="Copy the secret's value.", field="client_secret"
            )
        self._secrets.save(connector_id, Secret(secret.strip()))
        self._stores.connectors.secret_saved(connector_id, self._now())

    def begin(self, link_token: str, cookie: str | None = None) -> dict[str, Any]:
        """Begins a sign-in: ``{"authorize_url", "cookie"}``; the browser's own `cookie` is used on.

        Raises NotFound for a link that has ended, Conflict while the connector has no credential.
        """
        link = self._sign_ins.link(link_token)
        mailbox = self._mailbox(link.account)
        if mailbox.connector.secret_saved_at is None:
            raise _without_secret()
        authorize_url, cookie = self._sign_ins.begin(mailbox, link, cookie)
        return {"authorize_url": authorize_url, "cookie": cookie}

    def complete(
        self, connector_id: str, params: Mapping[str, list[str]], cookie: str | None
    ) -> dict[str, Any]:
        """Takes a callback; answers its outcome (`outcomes`) and ``authorization``, the id of its result.

        Raises MalformedRequest for a callback without its state (or with an expired or unknown one),
        Forbidden (code ``wrong_browser``) where the cookie is another one: no token is asked for then.
        """
        answer = callback.read(params)
        # Used up before the exchange: a callback that is delivered twice finds nothing to exchange.
        authorization, is_ours = self._sign_ins.take(answer.state, connector_id, cookie)
        if not is_ours:
            return outcomes.already(authorization)
        return self._conclude(authorization, answer)

    def _conclude(self, authorization: Authorization, answer: callback.Answer) -> dict[str, Any]:
        """Ends a used state: with a saved grant, or with the reason why nothing was saved."""
        mailbox = self._mailbox(authorization.account)
        try:
            outcome = self._connected(authorization, answer, mailbox)
        except Diagnosed as refused:
            self._note_connector(mailbox, refused.diagnosis)
            outcome = outcomes.failed(mailbox.account, refused.diagnosis)
            self._warn(authorization, refused.diagnosis)
        if outcome["outcome"] != outcomes.CONNECTED:
            self._sign_ins.conclude(authorization, outcome)
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
        prepared = self._consents.prepare(mailbox.account.id)
        flow = self._sign_ins.flow(authorization)
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

    def _warn(self, authorization: Authorization, diagnosis: Diagnosis) -> None:
        if diagnosis.code in SUSPICIOUS:
            facts = {
                "account": authorization.account,
                "connector": authorization.connector,
                "code": diagnosis.code,
            }
            log.warning("sign-in refused as an attack", extra={"facts": facts})

    def _note_connector(self, mailbox: Mailbox, diagnosis: Diagnosis) -> None:
        if concerns_connector(diagnosis):
            rest = self._now() + rules.CONNECTOR_REST
            self._stores.connectors.refused(mailbox.connector.id, diagnosis, rest)
            self._secrets.forget(mailbox.connector.id)


def _without_secret() -> Conflict:
    return Conflict(
        "The connector has no client secret yet.",
        fix="Ask your administrator to save the client secret in the connector.",
        code="connector_without_secret",
    )
