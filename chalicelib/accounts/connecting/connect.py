"""Connecting a mailbox.

A sign-in is begun in one browser, comes back to the same one, and is checked before anything is saved::

    begin     link → state, verifier and nonce (sealed) and the cookie's hash, for 10 minutes → the provider
    complete  the callback → cookie → state used up (conditional write) → exchange → identity, scopes
              → one transaction: grant, access token, facts, link, outcome
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chalicelib import clock, ids
from chalicelib.accounts.admin import checks
from chalicelib.accounts.connecting import callback, outcomes
from chalicelib.accounts.connecting.consent import Signed
from chalicelib.accounts.connecting.visits import Visits, is_owner, nothing_connected
from chalicelib.accounts.models.account import AuthMode
from chalicelib.accounts.models.authorization import Purpose
from chalicelib.accounts.tokens import rules
from chalicelib.accounts.tokens.asking import credential_of
from chalicelib.accounts.tokens.refreshing import mailbox_of
from chalicelib.errors import Conflict, Diagnosed, NotFound
from chalicelib.logs import logger
from chalicelib.providers.id_tokens import ID_TOKEN_INVALID
from chalicelib.providers.replies import concerns_connector, diagnose
from chalicelib.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.accounts.connecting.consent import Consents
    from chalicelib.accounts.connecting.outcomes import Outcome
    from chalicelib.accounts.connecting.sign_ins import SignIns
    from chalicelib.accounts.connecting.user_names import UserNames
    from chalicelib.accounts.models.authorization import Authorization
    from chalicelib.accounts.ports import Secrets
    from chalicelib.accounts.stores import Stores
    from chalicelib.accounts.tokens.refreshing import Mailbox
    from chalicelib.diagnosis import Diagnosis
    from chalicelib.providers import Providers

SUSPICIOUS = frozenset({outcomes.WRONG_ISSUER.code, ID_TOKEN_INVALID})
"""Codes of answers that an honest provider does not give; they are logged as warnings."""

log = logger("connect")


class Connect:
    """Begins and completes sign-ins. Answers never hold a token."""

    def __init__(  # noqa: PLR0913, PLR0917 - each is one thing
        self,
        stores: Stores,
        providers: Providers,
        secrets: Secrets,
        sign_ins: SignIns,
        consents: Consents,
        user_names: UserNames,
        now: clock.Clock = clock.now,
    ) -> None:
        self._stores = stores
        self._providers = providers
        self._secrets = secrets
        self._sign_ins = sign_ins
        self._consents = consents
        self._user_names = user_names
        self._visits = Visits(stores.authorizations, now)
        self._now = now

    def begin(self, link_token: str, cookie: str | None = None) -> dict[str, Any]:
        """Begins a sign-in: ``{"authorize_url", "cookie"}``; the browser's own `cookie` is used on.

        Raises NotFound for a link that has ended, Conflict while the connector has no credential, and
        RateLimited (code ``too_many_sign_ins``).
        """
        link = self._sign_ins.link(link_token)
        mailbox = self._mailbox(link.account)
        if not mailbox.connector.has_credential:
            raise _without_secret()
        checks.auth_mode(mailbox.connector, mailbox.provider.facts, AuthMode.AUTHORIZATION_CODE)
        authorize_url, cookie = self._sign_ins.begin(mailbox, link, cookie)
        return {"authorize_url": authorize_url, "cookie": cookie}

    def begin_visit(self, account_id: str, cookie: str | None = None) -> dict[str, Any]:
        """As `begin`, for a visitor who wants to prove to own the account's mailbox.

        Raises NotFound alike for an account that does not exist and for one that nobody has connected, and
        RateLimited (code ``too_many_visits`` or ``too_many_sign_ins``).
        """
        known = ids.is_id("acc", account_id) and self._stores.grants.get(account_id) is not None
        account = self._stores.accounts.get(account_id) if known else None
        if account is None or not account.auth_mode.has_owner:
            raise nothing_connected()
        mailbox = mailbox_of(account, self._stores.connectors, self._providers)
        authorize_url, cookie = self._sign_ins.begin_visit(mailbox, cookie)
        return {"authorize_url": authorize_url, "cookie": cookie}

    def complete(
        self, connector_id: str, params: Mapping[str, list[str]], cookie: str | None
    ) -> dict[str, Any]:
        """Takes a callback; answers its outcome (`outcomes`) and ``authorization``, the id of its result.

        That of a visit also has ``visit``, the token of the visitor's browser.

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
        """Ends a used state: with a saved grant or an open visit, or with the reason why there is none."""
        mailbox = self._mailbox(authorization.account)
        is_visit = authorization.purpose is Purpose.VISIT
        try:
            outcome = (self._visited if is_visit else self._connected)(authorization, answer, mailbox)
        except Diagnosed as refused:
            self._note_connector(mailbox, refused.diagnosis)
            outcome = outcomes.failed(mailbox.account, refused.diagnosis)
            self._warn(authorization, refused.diagnosis)
        if is_visit:
            outcome = outcomes.of_visit(outcome)
        if outcome["outcome"] != outcomes.CONNECTED:
            self._sign_ins.conclude(authorization, outcome)
        facts = {
            "account": mailbox.account.id,
            "authorization": authorization.id,
            "outcome": outcome["outcome"],
        }
        log.info("sign-in concluded", extra={"facts": facts})
        answered = {**outcome, "authorization": authorization.id}
        if outcome["outcome"] == outcomes.VISITED:
            answered["visit"] = self._visits.open(mailbox.account.id)
        return answered

    def _visited(self, authorization: Authorization, answer: callback.Answer, mailbox: Mailbox) -> Outcome:
        """What comes with the identity is used for nothing and kept nowhere."""
        code = _code(answer, mailbox)
        if code is None:
            return _refused(answer, mailbox)
        flow = self._sign_ins.flow(authorization)
        secret = credential_of(mailbox.connector, self._secrets)
        tokens = mailbox.provider.redeem(mailbox.connector, secret, flow, code=code.reveal())
        owner = is_owner(tokens.identity, self._stores.grants.get(mailbox.account.id))
        return outcomes.visited(mailbox.account, is_owner=owner)

    def _connected(self, authorization: Authorization, answer: callback.Answer, mailbox: Mailbox) -> Outcome:
        provider, connector = mailbox.provider, mailbox.connector
        code = _code(answer, mailbox)
        if code is None:
            return _refused(answer, mailbox)
        secret = credential_of(mailbox.connector, self._secrets)
        prepared = self._consents.prepare(mailbox.account.id)
        flow = self._sign_ins.flow(authorization)
        tokens = provider.redeem(connector, secret, flow, code=code.reveal())
        tokens = self._consents.proved(mailbox, tokens)
        stored = self._stores.grants.get(mailbox.account.id)
        objection = outcomes.objection(mailbox.account, provider.facts, tokens, stored)
        if objection is not None:
            return objection
        outcome = outcomes.connected(mailbox.account, connector.provider)
        mode, before = AuthMode.AUTHORIZATION_CODE, mailbox.account
        delegated = replace(before, auth_mode=mode, smtp_user=before.smtp_user_for(mode))
        connected = replace(mailbox, account=delegated)
        self._consents.save(
            connected,
            tokens,
            prepared,
            before=mailbox.account,
            signed=Signed(authorization, outcome),
        )
        self._user_names.settle(connected, tokens)
        self._consents.announce(connected)
        return outcome

    def _mailbox(self, account: str) -> Mailbox:
        found = self._stores.accounts.get(account)
        if found is None or found.deleted_at is not None:
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
        if concerns_connector(diagnosis, is_of_one_tenant=mailbox.connector.is_of_one_tenant):
            rest = self._now() + rules.CONNECTOR_REST
            self._stores.connectors.refused(mailbox.connector.id, diagnosis, rest)
            self._secrets.forget(mailbox.connector.id)


def _code(answer: callback.Answer, mailbox: Mailbox) -> Secret | None:
    """The code, or None where the answer is a refusal. Raises Diagnosed for another provider's answer."""
    if answer.issuer is not None and not mailbox.provider.is_issuer(mailbox.connector, answer.issuer):
        raise Diagnosed(outcomes.WRONG_ISSUER)
    return answer.code


def _refused(answer: callback.Answer, mailbox: Mailbox) -> Outcome:
    return outcomes.refused(mailbox.account, diagnose(mailbox.connector.provider, answer.error))


def _without_secret() -> Conflict:
    return Conflict(
        "The connector has no client secret yet.",
        fix="Ask your administrator to save the client secret in the connector.",
        code="connector_without_secret",
    )
