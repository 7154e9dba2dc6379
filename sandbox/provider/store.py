"""Everything that the provider remembers, in memory, behind one lock."""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from sandbox.provider.models import (
    AccessToken,
    Client,
    Code,
    Grant,
    RefreshToken,
    ServiceAccount,
    TokenRequest,
    User,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CODE_LIFETIME_LIMIT = 600


@dataclass(frozen=True)
class Lifetimes:
    """Lifetimes, in seconds, of what is issued from now on; a code's is 600 s at most (RFC 6749, 4.1.2)."""

    access: int = 3600
    refresh: int = 90 * 86400
    code: int = CODE_LIFETIME_LIMIT


class Store:
    """The provider's memory.

    Every method is atomic; ``transaction`` makes several of them one. ``clock`` answers epoch seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._lock = threading.RLock()
        self._secrets: dict[str, set[str]] = {}
        self.reset()

    def reset(self) -> None:
        """Forget everything but the secrets."""
        with self._lock:
            self.lifetimes = Lifetimes()
            self._serial = 0
            self._clients: dict[str, Client] = {}
            self._users: dict[str, User] = {}
            self._service_accounts: dict[str, ServiceAccount] = {}
            self._grants: dict[str, Grant] = {}
            self._codes: dict[str, Code] = {}
            self._refresh_tokens: dict[str, RefreshToken] = {}
            self._access_tokens: dict[str, AccessToken] = {}
            self._used_codes: set[str] = set()
            self._ended: set[str] = set()
            self._log: list[TokenRequest] = []
            self._sessions: dict[tuple[str, str], str] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock: a code or a refresh token is looked at and used in one step."""
        with self._lock:
            yield

    # Secrets: all that were ever seen, for a search of places where none may be

    def note_secret(self, kind: str, value: str) -> None:
        """Remember a secret, unless it is empty, for as long as this process lives."""
        if not value:
            return
        with self._lock:
            self._secrets.setdefault(kind, set()).add(value)

    def secrets(self) -> dict[str, list[str]]:
        """Return all secrets by kind."""
        with self._lock:
            return {kind: sorted(values) for kind, values in self._secrets.items()}

    # Registrations

    def add_client(self, client: Client) -> None:
        """Add or replace a client registration."""
        self.note_secret("client secret", client.client_secret)
        with self._lock:
            self._clients[client.client_id] = client

    def client(self, client_id: str) -> Client | None:
        """Return the registration of ``client_id``."""
        with self._lock:
            return self._clients.get(client_id)

    def add_user(self, user: User) -> None:
        """Add or replace the person with this address.

        An app password says whose it is: whoever had the same one has none any more.
        """
        self.note_secret("app password", user.app_password or "")
        with self._lock:
            for address, other in self._users.items():
                if user.app_password and other.app_password == user.app_password:
                    self._users[address] = replace(other, app_password=None)
            self._users[user.address.lower()] = user

    def user(self, address: str) -> User | None:
        """Return the person who answers to ``address``."""
        return next((user for user in self.users() if user.answers_to(address)), None)

    def users(self) -> list[User]:
        """Return all people, in the order of their registration."""
        with self._lock:
            return list(self._users.values())

    def add_service_account(self, account: ServiceAccount) -> None:
        """Add or replace a service account."""
        with self._lock:
            self._service_accounts[account.email] = account

    def service_account(self, email: str) -> ServiceAccount | None:
        """Return the service account of that address."""
        with self._lock:
            return self._service_accounts.get(email)

    # Browser sessions

    def sign_in(self, session: str, provider: str, address: str) -> None:
        """Remember who is signed in at ``provider`` in this browser."""
        with self._lock:
            self._sessions[session, provider] = address

    def signed_in(self, session: str, provider: str) -> User | None:
        """Return who is signed in at ``provider`` in this browser."""
        with self._lock:
            address = self._sessions.get((session, provider))
        return self.user(address) if address else None

    # Grants

    def live_grant(self, client_id: str, user: str) -> Grant | None:
        """Return what ``user`` has consented to for the client and has not revoked."""
        return next((grant for grant in self._live_grants(user, client_id)), None)

    def consent(self, client_id: str, user: str, scopes: tuple[str, ...]) -> Grant:
        """Record a consent: a new grant, or more scopes in the live one."""
        with self._lock:
            known = self.live_grant(client_id, user) or Grant(
                secrets.token_hex(8), client_id, user, (), self.clock()
            )
            grant = replace(known, scopes=tuple(dict.fromkeys((*known.scopes, *scopes))))
            self._grants[grant.grant_id] = grant
            return grant

    def end_grant(self, grant_id: str) -> None:
        """End a grant: its refresh tokens and codes are of no use any more. Access tokens are not touched."""
        with self._lock:
            self._ended.add(grant_id)

    def end_access_tokens(self, grant_id: str) -> None:
        """End all access tokens that were issued under the grant."""
        with self._lock:
            tokens = self._access_tokens.values()
            self._ended.update(token.value for token in tokens if token.grant_id == grant_id)

    def grants_of(self, user: str, client_id: str | None = None) -> list[Grant]:
        """Return the person's live grants, to one client or to all."""
        return self._live_grants(user, client_id)

    def _live_grants(self, user: str, client_id: str | None) -> list[Grant]:
        with self._lock:
            return [
                grant
                for grant in self._grants.values()
                if grant.user.lower() == user.lower()
                and client_id in (None, grant.client_id)
                and grant.grant_id not in self._ended
            ]

    # Codes and tokens

    def add_code(self, code: Code) -> None:
        """Keep a code that was handed out."""
        self.note_secret("code", code.value)
        with self._lock:
            self._codes[code.value] = code

    def code(self, value: str) -> Code | None:
        """Return the code, whatever its state."""
        with self._lock:
            return self._codes.get(value)

    def use_code(self, value: str) -> None:
        """Mark the code as used."""
        with self._lock:
            self._used_codes.add(value)

    def is_used(self, code: Code) -> bool:
        """Say whether the code has been exchanged."""
        with self._lock:
            return code.value in self._used_codes

    def next_serial(self) -> int:
        """Count tokens, from 1."""
        with self._lock:
            self._serial += 1
            return self._serial

    def add_refresh_token(self, token: RefreshToken) -> None:
        """Keep a refresh token that was handed out."""
        self.note_secret("refresh token", token.value)
        with self._lock:
            self._refresh_tokens[token.value] = token

    def refresh_token(self, value: str) -> RefreshToken | None:
        """Return the refresh token, whatever its state."""
        with self._lock:
            return self._refresh_tokens.get(value)

    def end_refresh_token(self, token: RefreshToken) -> None:
        """End one refresh token; its grant lives on."""
        with self._lock:
            self._ended.add(token.value)

    def add_access_token(self, token: AccessToken) -> None:
        """Keep an access token that was handed out."""
        self.note_secret("access token", token.value)
        with self._lock:
            self._access_tokens[token.value] = token

    def access_token(self, value: str) -> AccessToken | None:
        """Return the access token, whatever its state."""
        with self._lock:
            return self._access_tokens.get(value)

    def has_ended(self, token: AccessToken | RefreshToken) -> bool:
        """Say whether the token was revoked, or for a refresh token its grant."""
        with self._lock:
            grant_ended = isinstance(token, RefreshToken) and token.grant_id in self._ended
            return grant_ended or token.value in self._ended

    def why_inactive(self, token: AccessToken | RefreshToken) -> Literal["revoked", "expired", ""]:
        """Return ``revoked`` or ``expired``, or nothing for a token that lives."""
        if self.has_ended(token):
            return "revoked"
        return "expired" if token.expires_at <= self.clock() else ""

    def grant_has_ended(self, grant_id: str) -> bool:
        """Say whether the grant was revoked."""
        with self._lock:
            return grant_id in self._ended

    def tokens(self) -> list[AccessToken | RefreshToken]:
        """Return all tokens by serial."""
        with self._lock:
            access, refresh = self._access_tokens.values(), self._refresh_tokens.values()
            tokens: list[AccessToken | RefreshToken] = [*access, *refresh]
            return sorted(tokens, key=lambda token: token.serial)

    # The log

    def log(self, entry: TokenRequest) -> None:
        """Append a token request; it is given its number here."""
        with self._lock:
            self._log.append(replace(entry, number=len(self._log) + 1))

    def token_requests(self) -> list[TokenRequest]:
        """Return the log of all token requests, oldest first."""
        with self._lock:
            return list(self._log)
