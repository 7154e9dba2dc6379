"""How a token is asked for, by the account's auth mode: what it takes is fetched first, then one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib import clock
from chalicelib.accounts.models.account import AuthMode
from chalicelib.accounts.models.grant import MAIL, TokenSet
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import Diagnosed
from chalicelib.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.accounts.models.connector import Connector
    from chalicelib.accounts.ports import Secrets
    from chalicelib.accounts.tokens.refreshing import Mailbox

PASSWORD_LIFE = 30 * clock.DAY
"""A password stands in the row of the access token, where the relay reads it; so often it is written anew."""


PASSWORD_REFUSED = Diagnosis(
    DiagnosisClass.RECONNECT,
    "password_refused",
    "The mail server does not take the mailbox's password.",
    "Save the mailbox's password anew; many providers want an app password made for this purpose.",
)


def asking(
    mailbox: Mailbox,
    secrets: Secrets,
    resource: str = MAIL,
    *,
    refused: bool = False,
    now: clock.Clock = clock.now,
) -> Callable[[Secret], TokenSet]:
    """The one request for a token of that resource; it is made with what the grant holds.

    That is a refresh token, a password, or an empty text where the client is all that it takes. The
    connector's credential is fetched at once. The request raises Diagnosed when the provider refuses, and
    for a password of which the mail server has said so already (`refused`): there is no newer one.
    """
    account, connector, provider = mailbox.account, mailbox.connector, mailbox.provider
    if account.auth_mode is AuthMode.PASSWORD:
        return lambda password: _password(password, now(), refused=refused)
    credential = credential_of(connector, secrets)
    if account.auth_mode.has_owner:
        return lambda token: provider.refresh(connector, credential, token, resource)
    return lambda _nothing: provider.obtain(connector, credential, account, resource)


def _password(password: Secret, now: int, *, refused: bool) -> TokenSet:
    if refused:
        raise Diagnosed(PASSWORD_REFUSED)
    return TokenSet(access_token=password, expires_at=now + PASSWORD_LIFE)


def credential_of(connector: Connector, secrets: Secrets) -> Secret:
    """The connector's credential; an empty one where there is nothing to store."""
    return secrets.get(connector.id) if connector.credential.is_stored else Secret("")
