"""Connecting an account without its owner in a browser.

By the connector's application or service account, by a password, or by a refresh token from elsewhere::

    what it proves itself with → one token from the provider (a password is one already)
                               → signed in at the mail server with it, nothing sent
                               → one transaction: grant, access token, facts of the account

Nothing is saved unless the mail server has let us in; but for a refresh token of which the provider says
that it is this mailbox's: the provider may have replaced it, so it is kept, and the answer says what the mail
server has against it.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from chalicelib import clock
from chalicelib.accounts.admin import checks
from chalicelib.accounts.connecting import outcomes
from chalicelib.accounts.models.account import AuthMode
from chalicelib.accounts.models.grant import UNKNOWN_PERSON, Identity
from chalicelib.accounts.tokens.asking import PASSWORD_REFUSED, asking
from chalicelib.accounts.tokens.refreshing import mailbox_of
from chalicelib.errors import Conflict, Diagnosed, InvalidInput, MalformedRequest, NotFound
from chalicelib.logs import logger
from chalicelib.secret import Secret
from chalicelib.transports.refusals import Concern

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.accounts.connecting.consent import Consents
    from chalicelib.accounts.doctor.verifying import Probe
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.grant import TokenSet
    from chalicelib.accounts.ports import Secrets
    from chalicelib.accounts.stores import Stores
    from chalicelib.accounts.tokens.keeping import Prepared
    from chalicelib.accounts.tokens.refreshing import Mailbox
    from chalicelib.diagnosis import Diagnosis
    from chalicelib.providers import Providers
    from chalicelib.transports.refusals import Refused
    from chalicelib.transports.smtp.probe import Step

SECONDS = 20.0
"""For the mail server; who asked by HTTP waits for 29 s at the longest."""

log = logger("direct")


class Direct:
    """Connects accounts at once. `probe` signs in to the account's mail server."""

    def __init__(
        self,
        stores: Stores,
        providers: Providers,
        secrets: Secrets,
        consents: Consents,
        probe: Probe,
        now: clock.Clock = clock.now,
    ) -> None:
        self._stores = stores
        self._providers = providers
        self._secrets = secrets
        self._consents = consents
        self._probe = probe
        self._now = now

    def connect(
        self, account_id: str, auth_mode: str, *, password: str = "", refresh_token: str = ""
    ) -> dict[str, Any]:
        """Connects the account in that auth mode: ``{"ok", "connected", "steps", "diagnosis"?}``.

        `password` belongs to the mode password, `refresh_token` to authorization_code; the others need
        neither. Raises NotFound, InvalidInput, Conflict (code ``connector_without_secret``), and Unavailable
        when our own stores do not answer.
        """
        before = self._account(account_id)
        mode = _mode(auth_mode)
        mailbox = self._switched(before, mode, smtp_user=before.smtp_user_for(mode))
        held = _held(mailbox.account.auth_mode, password, refresh_token)
        return self._tried(mailbox, held, before)

    def roll_back(self, account_id: str) -> dict[str, Any]:
        """Connects the account as it was before its auth mode was switched; answers as `connect`.

        Doing it again takes that back. Raises NotFound, and Conflict (code ``nothing_to_roll_back``).
        """
        before = self._account(account_id)
        grant = self._stores.grants.get(account_id)
        previous = grant.previous if grant else None
        if grant is None or previous is None or previous.until <= self._now():
            raise Conflict(
                "The account's auth mode was not switched in the last 7 days.",
                fix="Connect the account in the auth mode that it shall have.",
                code="nothing_to_roll_back",
            )
        old = replace(grant, version=previous.version, refresh_token=previous.refresh_token)
        mailbox = self._switched(before, previous.auth_mode, smtp_user=previous.smtp_user)
        return self._tried(mailbox, self._consents.reveal(old), before, previous.identity)

    def _tried(
        self, mailbox: Mailbox, held: Secret, before: Account, known: Identity | None = None
    ) -> dict[str, Any]:
        """Asks the provider, then the mail server, and saves what they have let pass."""
        _require_credential(mailbox)
        prepared = self._consents.prepare(before.id)
        try:
            tokens = asking(mailbox, self._secrets, now=self._now)(held)
        except Diagnosed as refused:
            return _answer(refused.diagnosis)
        said = tokens.identity if tokens.identity and tokens.identity.addresses else known
        complete = _complete(mailbox, tokens, held, said)
        objection = _objection(mailbox.account, complete)
        if objection is not None:
            return _answer(objection)
        is_vouched_for = mailbox.account.auth_mode.has_owner and said not in (None, _nobody(mailbox))
        if is_vouched_for:
            self._save(mailbox, complete, prepared, before)
        steps, stopped = self._probe(mailbox.account, mailbox.connector, tokens.access_token, SECONDS)
        if stopped is None and not is_vouched_for:
            self._save(mailbox, complete, prepared, before)
        diagnosis = _said(mailbox, stopped) if stopped else None
        return _answer(diagnosis, steps, connected=is_vouched_for or not stopped)

    def _save(self, mailbox: Mailbox, tokens: TokenSet, prepared: Prepared, before: Account) -> None:
        self._consents.save(mailbox, tokens, prepared, before=before)
        facts = {"account": before.id, "auth_mode": str(mailbox.account.auth_mode)}
        log.info("connected without a browser", extra={"facts": facts})

    def _account(self, account_id: str) -> Account:
        account = self._stores.accounts.get(account_id)
        if account is None or account.deleted_at is not None:
            raise NotFound(
                "There is no such account.", fix="Check the account's id.", code="account_not_found"
            )
        return account

    def _switched(self, account: Account, mode: AuthMode, *, smtp_user: str) -> Mailbox:
        """The account as it is to be, with connector and provider. Raises InvalidInput."""
        switched = replace(account, auth_mode=mode, smtp_user=smtp_user)
        mailbox = mailbox_of(switched, self._stores.connectors, self._providers)
        checks.auth_mode(mailbox.connector, mailbox.provider.facts, mode)
        return mailbox


def _require_credential(mailbox: Mailbox) -> None:
    if mailbox.account.auth_mode.needs_client and not mailbox.connector.has_credential:
        raise Conflict(
            "The connector has no credential yet.",
            fix="Save its client secret, certificate or key in the connector.",
            code="connector_without_secret",
        )


def _objection(account: Account, tokens: TokenSet) -> Diagnosis | None:
    """Why an imported token must not be saved: it is of another mailbox."""
    return outcomes.objection_to_import(account, tokens) if account.auth_mode.has_owner else None


def _mode(text: str) -> AuthMode:
    try:
        return AuthMode(text)
    except ValueError as error:
        raise InvalidInput(
            f"There is no auth mode {text[:40]!r}.",
            fix=f"Use one of {', '.join(AuthMode)}.",
            field="auth_mode",
        ) from error


def _held(mode: AuthMode, password: str, refresh_token: str) -> Secret:
    """What the grant will hold. Raises MalformedRequest for what the mode needs and does not have."""
    wanted = {
        AuthMode.PASSWORD: ("password", password),
        AuthMode.AUTHORIZATION_CODE: ("refresh_token", refresh_token),
    }
    field, value = wanted.get(mode, ("", ""))
    if field and not 1 <= len(value) <= checks.CREDENTIAL_LIMIT:
        raise MalformedRequest(
            f"The auth mode {mode} needs a {field} of 1 to {checks.CREDENTIAL_LIMIT} characters.",
            fix=f"Give the {field}, or make a connect link for the owner.",
            field=field,
        )
    return Secret(value)


def _complete(mailbox: Mailbox, tokens: TokenSet, held: Secret, said: Identity | None) -> TokenSet:
    """With all that a grant needs, where the provider says neither whose token it is nor sends a new one."""
    return replace(
        tokens,
        refresh_token=tokens.refresh_token or held,
        identity=said or _nobody(mailbox),
        scopes=tokens.scopes or frozenset(mailbox.provider.facts.required_scopes),
    )


def _nobody(mailbox: Mailbox) -> Identity:
    """The identity of a grant that no person is known to have given: that of the client, if there is one."""
    subject = UNKNOWN_PERSON if mailbox.account.auth_mode.has_owner else mailbox.connector.client_id
    return Identity(mailbox.connector.provider, subject, (mailbox.account.owner_address,))


def _said(mailbox: Mailbox, stopped: Refused) -> Diagnosis:
    """What the mail server has said. What it says of a token means the password where that is one."""
    is_password = mailbox.account.auth_mode is AuthMode.PASSWORD
    if not is_password or stopped.verdict.concern is not Concern.TOKEN:
        return stopped.diagnosis
    return replace(PASSWORD_REFUSED, text=stopped.diagnosis.text)


def _answer(
    diagnosis: Diagnosis | None, steps: Iterable[Step] = (), *, connected: bool = False
) -> dict[str, Any]:
    shown = {"ok": diagnosis is None, "connected": connected, "steps": [asdict(step) for step in steps]}
    return shown | ({"diagnosis": diagnosis.to_json()} if diagnosis else {})
