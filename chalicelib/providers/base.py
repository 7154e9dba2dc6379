"""What the modules of the providers have in common: their interface and the reading of a token answer."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from chalicelib.accounts.models.grant import MAIL, Identity, TokenSet
from chalicelib.clock import SECOND
from chalicelib.errors import Diagnosed
from chalicelib.providers.replies import transient
from chalicelib.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.providers.facts import ProviderFacts

SHORTEST_LIFE = 60
LONGEST_LIFE = 24 * 3600
DEFAULT_LIFE = 3600
"""Seconds. RFC 6749, section 5.1, lets a provider leave `expires_in` out; both of ours give an hour."""

LONGEST_GRANT = 10 * 365 * 24 * 3600
"""Seconds. A consent whose end is further away has none that concerns anybody."""

_APART = re.compile(r"[\s,]+")
_SECONDS = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that was begun: where to send the browser, and what to keep secret until it comes back."""

    url: str = field(repr=False)
    flow: Mapping[str, Any] = field(repr=False)


class Provider(Protocol):
    """How one provider is spoken to. Every method raises Diagnosed when the provider refuses."""

    facts: ProviderFacts

    def begin(self, connector: Connector, *, redirect_uri: str, state: str, login_hint: str) -> Begun:
        """The authorization request (code flow, PKCE S256, nonce); no network is used."""

    def identify(self, connector: Connector, *, redirect_uri: str, state: str) -> Begun:
        """As begin, of somebody who only says who they are: no mail scope, no lasting access, no hint."""

    def redeem(self, connector: Connector, secret: Secret, flow: Mapping[str, Any], code: str) -> TokenSet:
        """Exchanges a code, once, for a TokenSet with the verified identity of who consented."""

    def refresh(
        self, connector: Connector, secret: Secret, refresh_token: Secret, resource: str = MAIL
    ) -> TokenSet:
        """Exchanges a refresh token with exactly one request; says whose it is if the provider does."""

    def obtain(
        self, connector: Connector, credential: Secret, account: Account | None, resource: str = MAIL, /
    ) -> TokenSet:
        """A token that no person has consented to: of the application itself, or of a service account.

        It is good for the account's mailbox where the tenant's administrator has allowed that. Without an
        account it is good for nothing, but shows that the provider takes the credential.
        """

    def revoke(self, connector: Connector, credential: Secret, refresh_token: Secret, /) -> bool:
        """Ends the consent that the token is of; False where the provider has no way for that."""

    def is_issuer(self, connector: Connector, issuer: str, /) -> bool:
        """Whether an `iss` parameter of a callback (RFC 9207) names this provider."""


def with_query(endpoint: str, parameters: Mapping[str, str]) -> str:
    """The endpoint with the parameters added to the query that it may have (RFC 6749, section 3.1)."""
    separator = "&" if "?" in endpoint else "?"
    return f"{endpoint}{'' if endpoint.endswith(('?', '&')) else separator}{urlencode(parameters)}"


def s256(verifier: str) -> str:
    """The challenge of a PKCE verifier (RFC 7636, section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def token_set(
    answer: Mapping[str, Any], *, now: int, scopes: Iterable[str] | None, identity: Identity | None = None
) -> TokenSet:
    """The TokenSet of a token endpoint's answer; `now` is in milliseconds.

    Raises Diagnosed (class retry) for an answer without an access token.
    """
    access_token = answer.get("access_token")
    if not isinstance(access_token, str) or not access_token:
        raise Diagnosed(transient("no_access_token", "The provider's answer held no access token."))
    refresh_token = answer.get("refresh_token")
    return TokenSet(
        access_token=Secret(access_token),
        expires_at=now + lifetime(answer.get("expires_in")) * SECOND,
        refresh_token=Secret(refresh_token) if isinstance(refresh_token, str) and refresh_token else None,
        scopes=None if scopes is None else frozenset(scopes),
        identity=identity,
        ends_at=_end(answer.get("refresh_token_expires_in"), now),
    )


def _end(refresh_token_expires_in: object, now: int) -> int | None:
    """When a consent ends of which the provider says so, as Google does for an app in testing (7 days)."""
    seconds = refresh_token_expires_in
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 < seconds <= LONGEST_GRANT:
        return None
    return now + seconds * SECOND


def lifetime(expires_in: object) -> int:
    """The seconds that an access token is taken to live: what the provider says, at most a day.

    What is no lifetime (missing, zero, negative) must not make a token that is refreshed without end.
    """
    if isinstance(expires_in, str) and _SECONDS.fullmatch(expires_in.strip()):
        expires_in = int(expires_in)
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float):
        return DEFAULT_LIFE
    return int(min(expires_in, LONGEST_LIFE)) if expires_in >= 1 else SHORTEST_LIFE


def listed(scope: object) -> list[str] | None:
    """The scopes of a `scope` member, or None where the provider did not say.

    They stand apart by blanks (RFC 6749, section 3.3); some providers write commas, or a list.
    """
    text = " ".join(one for one in scope if isinstance(one, str)) if isinstance(scope, list) else scope
    return _APART.split(text.strip(" ,")) if isinstance(text, str) and text.strip(" ,") else None
