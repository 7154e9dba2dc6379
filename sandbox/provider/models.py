"""The values that the provider remembers.

Times are seconds since the epoch; scopes are tuples in the order asked.
"""

# ruff: noqa: ARG002 - Authlib's methods have arguments that are not needed here
from __future__ import annotations

import hmac
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oidc.core import AuthorizationCodeMixin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.temperaments import Temperament


@dataclass(frozen=True)
class User:
    """A person with a mailbox. ``provider`` None means that the person may sign in at every provider.

    ``tenant`` is a domain, a GUID or ``consumers`` for Microsoft; for Google it is the Workspace domain.
    ``email`` is the address that Microsoft's claim of that name repeats, which the tenant may set at will.
    ``app_password`` is what mail servers take in the place of a token.
    """

    address: str
    name: str
    aliases: tuple[str, ...] = ()
    tenant: str | None = None
    provider: str | None = None
    email: str | None = None
    app_password: str | None = field(default=None, repr=False)

    @property
    def domain(self) -> str:
        """The part of the address after the at sign, in lower case."""
        return self.address.rpartition("@")[2].lower()

    @property
    def subject(self) -> str:
        """A GUID that is stable for this address."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"mailto:{self.address.lower()}"))

    def answers_to(self, address: str) -> bool:
        """Say whether ``address`` is this person's address or alias, whatever its case."""
        return address.strip().lower() in {name.lower() for name in (self.address, *self.aliases)}


@dataclass(frozen=True)
class FederatedCredential:
    """Whose tokens an application at Microsoft takes for its own; ``public_key`` (PEM) is the issuer's."""

    issuer: str
    subject: str
    public_key: str
    audience: str = "api://AzureADTokenExchange"


@dataclass(frozen=True)
class ServiceAccount:
    """A service account at Google. ``delegations`` are the scopes that each domain's administrator allows."""

    email: str
    client_id: str
    key_id: str
    public_key: str
    delegations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Client(ClientMixin):
    """A client registration, in the shape that Authlib asks for. ``tenant`` set means single-tenant.

    ``keys`` are certificates or public keys (PEM) with which it signs assertions. ``cloud``, ``roles`` (what
    it may do by itself) and ``federated`` are Microsoft's. ``auth_method`` (a name of RFC 7591) is the only
    one that is taken, and without ``pkce`` challenges count for nothing. ``refresh_lifetime`` (seconds)
    is that of its refresh tokens; at Google those of an application in testing end after 7 days.
    """

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uris: tuple[str, ...]
    provider: str
    temperament: Temperament
    name: str
    tenant: str | None = None
    cloud: str = "global"
    keys: tuple[str, ...] = ()
    federated: tuple[FederatedCredential, ...] = ()
    roles: tuple[str, ...] = ()
    auth_method: str | None = None
    pkce: bool = True
    refresh_lifetime: int | None = None

    def get_client_id(self) -> str:
        """Return the client id."""
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        """Return no default: the redirect URI must be in each request."""
        return ""

    def get_allowed_scope(self, scope: object) -> str:
        """Return the scope unchanged; the server has validated it."""
        return str(scope or "")

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Say whether the URI is registered, compared character by character."""
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        """Compare the secret in constant time."""
        return hmac.compare_digest(self.client_secret.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Accept the one method that is registered, or else each that the dialect offers but for none."""
        return method == self.auth_method if self.auth_method else method != "none"

    def check_response_type(self, response_type: str) -> bool:
        """Accept the code flow only."""
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Accept a code and a refresh token."""
        return grant_type in ("authorization_code", "refresh_token")


@dataclass(frozen=True)
class Grant:
    """What one person has consented to for one client, over all consents until it is revoked."""

    grant_id: str
    client_id: str
    user: str
    scopes: tuple[str, ...]
    granted_at: float


@dataclass(frozen=True)
class Code(AuthorizationCodeMixin):
    """An authorization code. ``answer_scopes`` is what the token request that presents it will be given."""

    value: str = field(repr=False)
    grant_id: str
    client_id: str
    user: str
    redirect_uri: str
    scopes: tuple[str, ...]
    code_challenge: str
    code_challenge_method: str
    nonce: str | None
    offline: bool
    issued_at: float
    expires_at: float
    answer_scopes: tuple[str, ...] = ()

    def get_redirect_uri(self) -> str:
        """Return the redirect URI of the authorization request."""
        return self.redirect_uri

    def get_scope(self) -> str:
        """Return the scope of the answer, space separated."""
        return " ".join(self.answer_scopes)

    def get_nonce(self) -> str | None:
        """Return the nonce of the authorization request."""
        return self.nonce

    def get_auth_time(self) -> int:
        """Return when the person signed in."""
        return int(self.issued_at)


@dataclass(frozen=True)
class RefreshToken:
    """A refresh token. ``serial`` counts all tokens, so that logs can name one without its value."""

    value: str = field(repr=False)
    serial: int
    grant_id: str
    client_id: str
    user: str
    scopes: tuple[str, ...]
    issued_at: float
    expires_at: float


@dataclass(frozen=True)
class AccessToken:
    """An access token for one resource (``audience``); that of an application has ``roles`` and no user.

    ``tenant`` is that of the endpoint at which it was asked for, empty where there are none.
    """

    value: str = field(repr=False)
    serial: int
    grant_id: str
    client_id: str
    user: str
    audience: str
    scopes: tuple[str, ...]
    issued_at: float
    expires_at: float
    roles: tuple[str, ...] = ()
    tenant: str = ""


@dataclass(frozen=True)
class TokenRequest:
    """One request to a token endpoint, as the log keeps it.

    ``outcome`` is ``ok``, or the OAuth error, or ``fault`` when an injected fault answered without one,
    or ``dropped``. ``code`` is Microsoft's ``AADSTS…`` where there is one. ``presented`` and
    ``issued_refresh`` are serials of refresh tokens, ``issued_access`` of an access token.
    """

    number: int
    time: float
    provider: str
    client_id: str
    grant_type: str
    user: str
    scope: str
    status: int
    outcome: str
    code: str = ""
    injected: bool = False
    presented: int | None = None
    issued_refresh: int | None = None
    issued_access: int | None = None
