"""What differs between the providers that are played: scopes, claims, token shapes, the words of errors."""

# ruff: noqa: ARG002 - an interface's arguments are not needed by every implementation
from __future__ import annotations

import abc
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sandbox.provider.refusals import Reason, Refusal, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from authlib.oauth2.rfc6749 import OAuth2Error

    from sandbox.provider.assertions import Assertion
    from sandbox.provider.models import AccessToken, Client, Grant, User

Json = dict[str, object]
IDENTITY_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})


@dataclass(frozen=True)
class ErrorAnswer:
    """An error in the provider's words: HTTP status, JSON body, and its two parts that a redirect carries.

    ``challenge`` is the header ``WWW-Authenticate``, where there is one.
    """

    status: int
    error: str
    description: str
    body: Json
    challenge: str = ""


@dataclass(frozen=True)
class ScopeRow:
    """One line of the consent page. ``optional`` lines have a tick box."""

    scope: str
    text: str
    optional: bool


class Dialect(abc.ABC):
    """One provider that is played: ``base_url`` is its https origin, ``users`` answers all people."""

    name: ClassVar[str]
    title: ClassVar[str]
    # A token that is not known counts as revoked (RFC 7009, section 2.2), and the client must say who it is.
    revokes_unknown: ClassVar[bool] = False
    auth_methods: ClassVar[tuple[str, ...]]
    # Errors of an authorization request go back to the client by redirect, or are shown as a page.
    redirects_errors: ClassVar[bool]
    scope_texts: ClassVar[Mapping[str, str]]

    def __init__(self, base_url: str, users: Callable[[], Iterable[User]]) -> None:
        self.base_url = base_url
        self.users = users

    # Errors

    @abc.abstractmethod
    def explain(self, reason: Reason, details: Mapping[str, str], correlation_id: str) -> ErrorAnswer:
        """Put a reason into the provider's words."""

    @abc.abstractmethod
    def named_error(self, name: str, correlation_id: str) -> ErrorAnswer:
        """Return the error that the provider gives under this name, for a fault that a test injects."""

    def refuse(self, error: OAuth2Error, correlation_id: str = "") -> ErrorAnswer:
        """Put one of our refusals, or an error that Authlib raised, into the provider's words."""
        reason, details = reason_of(error)
        return self.explain(reason, details, correlation_id)

    # Which clients

    def serves(self, client: Client) -> bool:
        """Say whether the client is registered here."""
        return client.provider == self.name

    def stranger(self, client: Client | None) -> Reason:
        """Say why a client that is registered elsewhere, or nowhere, is refused."""
        return Reason.CLIENT_UNKNOWN

    def check_assertion(self, client: Client, assertion: Assertion, endpoint: str, now: float) -> None:
        """Raise ``Refusal`` unless the assertion proves to the ``endpoint`` that it is the client."""
        raise Refusal(Reason.SECRET_WRONG, client_id=client.client_id)

    # Who may do what

    @abc.abstractmethod
    def check_tenant(self, client: Client, tenant: str) -> None:
        """Raise ``Refusal`` unless the client may use this tenant's endpoints."""

    @abc.abstractmethod
    def check_user(self, user: User, tenant: str, client: Client) -> None:
        """Raise ``Refusal`` unless the person may sign in here."""

    def people(self) -> list[User]:
        """Return the people who have a mailbox at this provider."""
        return [user for user in self.users() if user.provider in (None, self.name)]

    # Scopes

    @abc.abstractmethod
    def scopes(self, text: str) -> tuple[str, ...]:
        """Return the scopes of a request in their full form; raise ``Refusal`` for one that is not known."""

    @abc.abstractmethod
    def answer_scopes(self, requested: str, granted: tuple[str, ...]) -> tuple[str, ...]:
        """Return the scopes of the answer to a token request; raise ``Refusal`` if it may not ask that."""

    @abc.abstractmethod
    def audience(self, scopes: tuple[str, ...], client: Client) -> str:
        """Return whom an access token with these scopes is for."""

    @abc.abstractmethod
    def is_offline(self, params: Mapping[str, str], scopes: tuple[str, ...], *, consent_shown: bool) -> bool:
        """Say whether the code of this authorization will bring a refresh token."""

    @abc.abstractmethod
    def all_scopes(
        self, params: Mapping[str, str], scopes: tuple[str, ...], known: Grant | None
    ) -> tuple[str, ...]:
        """Return the scopes that a consent ends up with, given an earlier grant."""

    @abc.abstractmethod
    def is_optional(self, scope: str) -> bool:
        """Say whether a person may untick this scope on the consent page."""

    def consent_rows(self, scopes: Iterable[str]) -> list[ScopeRow]:
        """Return the lines of the consent page."""
        return [
            ScopeRow(scope, self.scope_texts.get(scope, scope), self.is_optional(scope)) for scope in scopes
        ]

    # What is issued

    @abc.abstractmethod
    def claims(self, user: User, scopes: tuple[str, ...]) -> Json:
        """Return the ID token's claims about the person, and its issuer."""

    @abc.abstractmethod
    def metadata(self, tenant: str) -> Json:
        """Return the discovery document; raise ``Refusal`` for a tenant that is not known."""

    @abc.abstractmethod
    def userinfo(self, user: User, scopes: tuple[str, ...]) -> Json:
        """Return what the userinfo endpoint tells of the person."""

    @abc.abstractmethod
    def answer_extras(self, user: User | None, params: Mapping[str, str], expires_in: int) -> Json:
        """Return what this provider adds to a token answer."""

    def end(self, refresh_token_seconds: int) -> Json:
        """Return what this provider says of a refresh token's end: nothing, unless it says so itself."""
        return {}

    @abc.abstractmethod
    def callback_extras(self, scopes: tuple[str, ...]) -> list[tuple[str, str]]:
        """Return what this provider adds to the callback's query."""

    @abc.abstractmethod
    def new_code(self) -> str:
        """Return a fresh authorization code of the provider's shape and size."""

    @abc.abstractmethod
    def new_access_token(self, token: AccessToken) -> str:
        """Return the text of a fresh access token, of the provider's shape and size."""

    @abc.abstractmethod
    def new_refresh_token(self) -> str:
        """Return a fresh refresh token of the provider's shape and size."""


def random_text(length: int) -> str:
    """Return ``length`` random characters of the URL-safe base64 alphabet."""
    return secrets.token_urlsafe(length)[:length]
