"""Connecting an account without its owner in a browser.

By the connector's application or service account, by a password, or by a refresh token from elsewhere::

    what it proves itself with → one token from the provider (a password is one already)
                               → signed in where it sends, by each user name, and nothing sent
                               → one transaction: grant, access token, facts, the user name that works

Nothing is saved unless the server has let us in. A refresh token is saved before the server is asked where
it would be lost otherwise, and the name that works follows:

- one of which the provider says that it is this mailbox's, or that was this account's before;
- one that the provider has just replaced without saying whose it is. Its successor is all that is left of it,
  so the account is blocked until the server takes that, which each message finds out. It does not take the
  place of a good grant, which is worth more: then the answer says that the token may be used up.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from chalicelib import clock
from chalicelib.accounts import trying
from chalicelib.accounts.admin import checks
from chalicelib.accounts.connecting import outcomes
from chalicelib.accounts.connecting.consent import Standing
from chalicelib.accounts.models.account import AuthMode, GrantState
from chalicelib.accounts.models.grant import UNKNOWN_PERSON, Identity
from chalicelib.accounts.tokens.asking import PASSWORD_REFUSED, asking
from chalicelib.accounts.tokens.refreshing import mailbox_of
from chalicelib.errors import Conflict, Diagnosed, Forbidden, InvalidInput, MalformedRequest, NotFound
from chalicelib.logs import logger
from chalicelib.secret import Secret
from chalicelib.transports.refusals import Concern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chalicelib.accounts.connecting.consent import Consents
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.grant import TokenSet
    from chalicelib.accounts.ports import Secrets
    from chalicelib.accounts.stores import Stores
    from chalicelib.accounts.tokens.keeping import Prepared
    from chalicelib.accounts.tokens.refreshing import Mailbox
    from chalicelib.accounts.trying import Probe, Tried
    from chalicelib.diagnosis import Diagnosis
    from chalicelib.providers import Providers
    from chalicelib.transports.refusals import Refused
    from chalicelib.transports.smtp.probe import Step

SECONDS = 20.0
"""For the server; who asked by HTTP waits for 29 s at the longest."""

log = logger("direct")


@dataclass(frozen=True, slots=True)
class _Received:
    """What the provider gave for an account as it is to be, and the account as it was.

    `is_replaced`: the refresh token that it was given for is of no more use, maybe. `is_of_owner`: it is the
    mailbox owner's, as the provider says, or as is known from before.
    """

    mailbox: Mailbox
    tokens: TokenSet
    prepared: Prepared
    before: Account
    protocol: str
    is_replaced: bool
    is_of_owner: bool

    def used_up(self, diagnosis: Diagnosis) -> Diagnosis:
        """Why it is not kept, with what that means for the token that it was given for."""
        return outcomes.and_then(diagnosis, outcomes.USED_UP) if self.is_replaced else diagnosis


class Direct:
    """Connects accounts at once. `probes` sign in, by protocol."""

    def __init__(
        self,
        stores: Stores,
        providers: Providers,
        secrets: Secrets,
        consents: Consents,
        probes: Mapping[str, Probe],
        now: clock.Clock = clock.now,
    ) -> None:
        self._stores = stores
        self._providers = providers
        self._secrets = secrets
        self._consents = consents
        self._probes = probes
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

    def roll_back(self, account_id: str, *, chooses_mailbox: bool) -> dict[str, Any]:
        """Connects the account as it was before its auth mode was switched; answers as `connect`.

        Doing it again takes that back. `chooses_mailbox` says whether who asks may say whose mailbox an
        account is. Raises NotFound, Conflict (code ``nothing_to_roll_back``), and Forbidden (code
        ``all_accounts_needed``).
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
        if previous.auth_mode.chooses_mailbox and not chooses_mailbox:
            raise _all_accounts_needed(previous.auth_mode)
        old = replace(grant, version=previous.version, refresh_token=previous.refresh_token)
        mailbox = self._switched(before, previous.auth_mode, smtp_user=previous.smtp_user)
        return self._tried(mailbox, self._consents.reveal(old), before, previous.identity)

    def _tried(
        self, mailbox: Mailbox, held: Secret, before: Account, known: Identity | None = None
    ) -> dict[str, Any]:
        """Asks the provider, then the server, and saves what they have let pass."""
        _require_credential(mailbox)
        try:
            received = self._received(mailbox, held, before, known)
        except Diagnosed as refused:
            return self._not_connected(before, refused.diagnosis)
        if received.is_of_owner:
            return self._saved_and_tried(received)
        if received.is_replaced and not self._has_good_grant(before):
            return self._saved_and_tried(received, block=outcomes.UNPROVEN)
        return self._tried_and_saved(received)

    def _received(self, mailbox: Mailbox, held: Secret, before: Account, known: Identity | None) -> _Received:
        """What the provider gives for what is held. Raises Diagnosed where that is not for this account."""
        prepared = self._consents.prepare(before.id)
        mode = mailbox.account.auth_mode
        protocol = trying.usual_protocol(mailbox.provider.facts, mode)
        tokens = asking(mailbox, self._secrets, trying.resource_of(protocol), now=self._now)(held)
        said = tokens.identity if tokens.identity and tokens.identity.addresses else known
        received = _Received(
            mailbox,
            _complete(mailbox, tokens, held, said),
            prepared,
            before,
            protocol,
            is_replaced=mode.has_owner and tokens.refresh_token not in (None, held),
            is_of_owner=mode.has_owner and said is not None,
        )
        objection = outcomes.objection_to_import(mailbox.account, received.tokens) if mode.has_owner else None
        if objection is not None:
            raise Diagnosed(received.used_up(objection))
        return received

    def _tried_and_saved(self, received: _Received) -> dict[str, Any]:
        """Saves it if the server has let us in."""
        tried = self._by_each_name(received)
        if tried.stopped is not None:
            why = received.used_up(_said(received.mailbox, tried.stopped))
            return self._not_connected(received.before, why, tried.steps)
        self._save(received, tried.smtp_user(received.mailbox.account))
        self._consents.announce(received.mailbox)
        return _answer(None, tried.steps, connected=True)

    def _saved_and_tried(self, received: _Received, block: Diagnosis | None = None) -> dict[str, Any]:
        """Saves it with the likeliest user name, and mends name and block by what the server says."""
        mailbox, accounts = received.mailbox, self._stores.accounts
        account = self._save(received, trying.likeliest_user(mailbox.account, received.protocol), block)
        tried = self._by_each_name(received)
        diagnosis = _said(mailbox, tried.stopped) if tried.stopped else None
        if (found := tried.smtp_user(account)) != account.smtp_user:
            accounts.found_user(account, found)
        if block:
            diagnosis = outcomes.and_then(diagnosis, outcomes.KEPT) if diagnosis else None
            accounts.set_transport_block(account.id, diagnosis)
        self._consents.announce(mailbox)
        return _answer(diagnosis, tried.steps, connected=True)

    def _not_connected(
        self, account: Account, diagnosis: Diagnosis, steps: Iterable[Step] = ()
    ) -> dict[str, Any]:
        """Nothing was saved, and nothing tries it again: an account without a consent shows why."""
        final = outcomes.final(diagnosis)
        if account.grant_state is GrantState.NONE:
            self._stores.accounts.note_problem(account.id, final)
        return _answer(final, steps)

    def _by_each_name(self, received: _Received) -> Tried:
        mailbox, token = received.mailbox, received.tokens.access_token
        probe, until = self._probes[received.protocol], time.monotonic() + SECONDS
        asked = (probe, received.protocol, mailbox.account, mailbox.connector, token)
        return trying.by_each_name(*asked, until=until)

    def _save(self, received: _Received, smtp_user: str, block: Diagnosis | None = None) -> Account:
        """The account as it is saved, with that user name."""
        account = replace(received.mailbox.account, smtp_user=smtp_user)
        self._consents.save(
            replace(received.mailbox, account=account),
            received.tokens,
            received.prepared,
            before=received.before,
            standing=Standing(trying.resource_of(received.protocol), block),
        )
        facts = {"account": account.id, "auth_mode": str(account.auth_mode), "blocked": block is not None}
        log.info("connected without a browser", extra={"facts": facts})
        return account

    def _has_good_grant(self, account: Account) -> bool:
        """Whether it has a consent that is believed to work, in whichever auth mode."""
        return account.grant_state is GrantState.ACTIVE and self._stores.grants.get(account.id) is not None

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


def _all_accounts_needed(mode: AuthMode) -> Forbidden:
    return Forbidden(
        f"The account was connected as {mode} before: that is for who administers all accounts.",
        fix='Use a caller with the scope admin and the accounts "*", or ask who has one.',
        code="all_accounts_needed",
    )


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
