"""Grants and the access tokens that they give: who consented to what, and until when."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from chalicelib.clock import MINUTE
from chalicelib.errors import Unavailable
from chalicelib.secret import Secret

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import AuthMode


MAIL = "mail"
"""The resource whose access token SMTP, IMAP and POP3 take."""

GRAPH = "graph"
"""The resource whose access token Microsoft Graph takes."""

RESOURCES = (MAIL, GRAPH)
"""All there are. An account has an access token for each that it uses, and each is refreshed apart."""

EXPIRY_MARGIN = 2 * MINUTE
"""An access token with less than this left is not begun to be used with."""

UNKNOWN_PERSON = ""
"""The subject of a grant whose provider did not say who consented."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who consented, by the provider's own word.

    `issuer` and `subject` (``tid`` + ``oid`` at Microsoft, ``sub`` at Google) are the key; `addresses` are
    the mailbox names that the provider vouches for, in lower case. `claimed` are those that it only repeats
    from somebody else: they prove nothing, are not stored, and serve to explain a refusal.
    """

    issuer: str
    subject: str
    addresses: tuple[str, ...]
    claimed: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class TokenSet:
    """What a provider's token endpoint answered, already bounded and parsed.

    `expires_at` is in milliseconds. `refresh_token` is None where the provider sent none, which means
    that the stored one stays (RFC 6749, section 6). `scopes` are the granted ones, or None where the
    provider did not say (then they are the requested ones, RFC 6749, section 5.1). `ends_at` is when the
    consent ends whatever is done, in milliseconds; None where the provider named no such end.
    """

    access_token: Secret
    expires_at: int
    refresh_token: Secret | None = None
    scopes: frozenset[str] | None = None
    identity: Identity | None = None
    ends_at: int | None = None


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A short-lived token for one resource. `version` is the version of the grant that it came with."""

    value: Secret
    version: int
    expires_at: int
    obtained_at: int = 0
    is_password: bool = False

    def secret_for(self, mode: AuthMode) -> Secret:
        """What an account of that auth mode signs in with.

        Raises Unavailable where this is of another auth mode: the account was switched since it was read.
        """
        if self.is_password == mode.needs_client:
            raise Unavailable(
                "The account was connected in another way at this moment.", fix="It is tried again by itself."
            )
        return self.value

    def usable(self, now: int) -> bool:
        """Whether enough time is left to begin a session: a fifth of its life, or EXPIRY_MARGIN."""
        margin = min(EXPIRY_MARGIN, (self.expires_at - self.obtained_at) // 5)
        return self.expires_at - now > margin


@dataclass(frozen=True, slots=True)
class SealedToken:
    """An access token as stored: `token` is its ciphertext."""

    account: str
    token: bytes = field(repr=False)
    version: int
    expires_at: int
    obtained_at: int
    resource: str = MAIL
    is_password: bool = False

    def usable(self, now: int) -> bool:
        """As AccessToken.usable."""
        return AccessToken(Secret(""), self.version, self.expires_at, self.obtained_at).usable(now)


class DueReason(StrEnum):
    """Why a grant is due for a refresh."""

    EXPIRY = "expiry"
    """The mailbox is in use and its access token is about to expire."""
    KEEP_ALIVE = "keep_alive"
    """The mailbox is idle, and the provider forgets grants that are not used."""
    AGAIN = "again"
    """The provider refused or did not answer, and is asked again."""
    TELL_OWNER = "tell_owner"
    """The provider is not asked any more: what is due is the news that the owner is needed."""


@dataclass(frozen=True, slots=True)
class Previous:
    """What an account proved itself with before its auth mode was switched; kept for UNDO."""

    auth_mode: AuthMode
    smtp_user: str
    version: int
    refresh_token: bytes = field(repr=False)
    scopes: tuple[str, ...]
    identity: Identity
    until: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What the owner consented to, as stored. `version` grows with every save and fences them.

    `refresh_token` is the ciphertext of that, of a password, or of an empty text where the connector's
    client is all that it takes.
    `lease_owner` and `lease_until` say who may ask the provider at this moment; a lease always ends.
    `refresh_due_at` is None while nothing is to be done by itself. Of a grant in doubt, `first_refused_at` is
    when the provider first refused it. Until `retry_at` the provider is not asked; `failures` counts
    the answers in a row that said nothing of the grant. A grant with `ends_at` ends then, whatever is done.
    """

    account: str
    version: int
    refresh_token: bytes = field(repr=False)
    scopes: tuple[str, ...]
    identity: Identity
    granted_at: int
    refreshed_at: int
    lease_owner: str | None = None
    lease_until: int = 0
    refresh_due_at: int | None = None
    due_reason: DueReason = DueReason.KEEP_ALIVE
    first_refused_at: int | None = None
    retry_at: int | None = None
    failures: int = 0
    previous: Previous | None = None
    ends_at: int | None = None
    auth_mode: AuthMode | None = None
