"""Visits of mailbox owners at their account's own page.

Whoever has the page's address has proved nothing. So the visitor signs in at the account's own provider,
without any mail scope, and is let in where the identity is the one that consented::

    begin      account with a grant → state, verifier, nonce, cookie as for connecting → the provider
    conclude   identity equals the grant's → a token for this browser, of which a hash is kept for LENGTH
    ends_at    the browser comes back with the token, to this account and no other
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from chalicelib import clock, ids
from chalicelib.accounts.models.authorization import Visit
from chalicelib.errors import NotFound

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.grant import Grant, Identity
    from chalicelib.accounts.ports import AuthorizationStore

LENGTH = 15 * clock.MINUTE


class Visits:
    """Opens visits for owners who proved to be that, and knows the open ones."""

    def __init__(self, authorizations: AuthorizationStore, now: clock.Clock = clock.now) -> None:
        self._authorizations = authorizations
        self._now = now

    def open(self, account: str) -> str:
        """A new visit of the account's owner; its secret token."""
        token, now = secrets.token_urlsafe(32), self._now()
        self._authorizations.add_visit(Visit(ids.digest(token), account, now, now + LENGTH))
        return token

    def ends_at(self, token: str, account: Account) -> int | None:
        """When the visit with that token to this account ends; None where there is none, or it has ended.

        A visit ends early when the account is connected anew: that may have been somebody else.
        """
        visit = self._authorizations.visit(ids.digest(token))
        if visit is None or visit.account != account.id or visit.expires_at <= self._now():
            return None
        return visit.expires_at if visit.created_at >= (account.connected_at or 0) else None


def is_owner(identity: Identity | None, grant: Grant | None) -> bool:
    """Whether a sign-in showed the very person who consented. Google writes its issuer in two ways."""
    return identity is not None and grant is not None and _person(identity) == _person(grant.identity)


def nothing_connected() -> NotFound:
    """The one error for an account that does not exist and for one that nobody has connected."""
    return NotFound(
        "No mailbox is connected here.",
        fix="Check the address of the page. If the mailbox was disconnected, nothing is left to do.",
        code="nothing_connected",
    )


def _person(identity: Identity) -> tuple[str, str]:
    return identity.issuer.removeprefix("https://"), identity.subject
