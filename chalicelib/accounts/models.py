"""Connectors, accounts, grants and authorizations: frozen values, pure transitions, and status().

All times are whole milliseconds since 1970 (UTC). Stores write exactly these fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from chalicelib.clock import DAY, MINUTE
from chalicelib.diagnosis import Diagnosis
from chalicelib.secret import Secret

EXPIRY_MARGIN = 2 * MINUTE
"""An access token with less than this left is not begun to be used with."""

UNDO = 7 * DAY
"""How long a deleted account can be restored, and keeps its name."""

MAIL = "mail"
"""The resource whose access token SMTP, IMAP and POP3 take."""


GRAPH = "graph"
"""The resource whose access token Microsoft Graph takes."""

RESOURCES = (MAIL, GRAPH)
"""All there are. An account has an access token for each that it uses, and each is refreshed apart."""


class AuthMode(StrEnum):
    """How an account proves itself to its provider."""

    AUTHORIZATION_CODE = "authorization_code"
    """Its owner has consented."""
    CLIENT_CREDENTIALS = "client_credentials"
    """The connector's application acts by itself; the tenant's administrator has allowed it."""
    SERVICE_ACCOUNT = "service_account"
    """Google's service account acts as the mailbox, by domain-wide delegation."""
    PASSWORD = "password"  # noqa: S105 - a name
    """It has a password of its own."""

    @property
    def has_owner(self) -> bool:
        """Whether a person consents, who can be sent a connect link."""
        return self is AuthMode.AUTHORIZATION_CODE

    @property
    def needs_client(self) -> bool:
        """Whether the provider is asked for tokens, in the name of the connector's client."""
        return self is not AuthMode.PASSWORD


class Cloud(StrEnum):
    """Microsoft's clouds. Each has hosts of its own and needs an application of its own."""

    GLOBAL = "global"
    """For everybody else."""
    GCC_HIGH = "gcc_high"
    """Of the United States' government."""
    DOD = "dod"
    """Of the United States' Department of Defense."""
    CHINA = "china"
    """In China, run by 21Vianet."""


class CredentialKind(StrEnum):
    """What our client proves itself with."""

    SECRET = "secret"  # noqa: S105 - a name
    """A client secret."""
    CERTIFICATE = "certificate"
    """A private key with its certificate, both PEM in one text."""
    FEDERATED = "federated"
    """A token that AWS signs for the role of the function (sts:GetWebIdentityToken); nothing is stored."""
    SERVICE_ACCOUNT = "service_account"
    """Google's JSON key of a service account."""
    NONE = "none"
    """There is nothing: the accounts have passwords, or the client is a public one."""

    @property
    def is_stored(self) -> bool:
        """Whether there is something in Secrets Manager."""
        return self in {CredentialKind.SECRET, CredentialKind.CERTIFICATE, CredentialKind.SERVICE_ACCOUNT}


class FromPolicy(StrEnum):
    """What becomes of a message from an address that the account may not use."""

    REJECT = "reject"
    """It is refused."""
    REWRITE = "rewrite"
    """It goes out from the account's own address."""
    REWRITE_REPLY_TO = "rewrite_reply_to"
    """Likewise, and answers go to the address that was asked for."""


class GrantState(StrEnum):
    """What is known of the owner's consent."""

    NONE = "none"
    """Nobody has consented yet, or the account was disconnected since."""
    ACTIVE = "active"
    NEEDS_RECONNECT = "needs_reconnect"


class Revocation(StrEnum):
    """What became of the owner's consent at the provider when an account was disconnected."""

    REVOKED = "revoked"
    """The provider has withdrawn it."""
    SHARED = "shared"
    """Left as it is: another account of the same connector was connected by the same person."""
    UNSUPPORTED = "unsupported"
    """The provider has no way for it; the owner can withdraw it there."""
    FAILED = "failed"
    """The provider did not do it; the owner can withdraw it there."""
    NOTHING = "nothing"
    """There was no consent."""


@dataclass(frozen=True, slots=True)
class Disconnection:
    """When an account was last disconnected, by whom, and what became of the consent."""

    at: int
    by: str
    revocation: Revocation


class Status(StrEnum):
    """What an account can do at this moment; derived, never stored."""

    DISCONNECTED = "disconnected"
    """It was never connected, or was disconnected; its owner opens a connect link."""
    PAUSED = "paused"
    """A caller holds its mail."""
    MISCONFIGURED = "misconfigured"
    """The provider refuses its connector: an administrator mends that."""
    NEEDS_RECONNECT = "needs_reconnect"
    """The consent has ended; its owner opens a connect link."""
    BLOCKED = "blocked"
    """The mail server does not take its mail; the account's problem says who can change that."""
    CONNECTED = "connected"
    """Mail goes."""


@dataclass(frozen=True, slots=True)
class Connector:
    """Our OAuth client as it is registered at a provider. Its credential is in Secrets Manager, never here.

    `tenant` is Microsoft's directory (``common`` where nothing is said) and empty for Google.
    `problem` is the fact that the provider refuses the client itself; it is written by whoever asks for
    tokens, and removed by the next token that is given or the next secret that is saved. Until `retry_at`
    nobody asks the provider for anything in this connector's name. `facts` is what differs from the facts of
    its provider (`catalogue.ProviderFacts`): endpoints, scopes, hosts.
    """

    id: str
    provider: str
    name: str
    client_id: str
    tenant: str
    created_at: int
    secret_saved_at: int | None = None
    problem: Diagnosis | None = None
    retry_at: int | None = None
    cloud: Cloud = Cloud.GLOBAL
    credential: CredentialKind = CredentialKind.SECRET
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_credential(self) -> bool:
        """Whether it can be asked with: its credential was saved, or needs no saving."""
        return self.secret_saved_at is not None or not self.credential.is_stored


@dataclass(frozen=True, slots=True)
class Account:
    """One mailbox that may be sent as. Each fact has one writer.

    ==================  =============================================  ==================
    fact                meaning                                        written by
    ==================  =============================================  ==================
    paused_by, …        the caller who paused it, when and why         api
    grant_state, …      what is known of the consent and its tokens    connect, tokens
    disconnection       how it was last disconnected, if ever          connect
    deleted_at, …       when it was deleted and by whom                api
    transport_block     why the mail server does not take its mail     relay
    ==================  =============================================  ==================

    `problem` is the last diagnosis of its tokens; `token_expires_at`, `refreshed_at` and `grant_ends_at` are
    copies to show; `asked_by` names who made the connect link by which it was connected; `signs_in_as` is the
    address of the person who signs in, where that is not the mailbox itself (a shared mailbox).
    `from_addresses` are those that it may use besides its own; with `always_name` its messages bear its
    `display_name` in any case.
    """

    id: str
    name: str
    address: str
    connector: str
    created_at: int
    auth_mode: AuthMode = AuthMode.AUTHORIZATION_CODE
    smtp_user: str = ""
    display_name: str = ""
    paused_by: str | None = None
    paused_at: int | None = None
    pause_reason: str = ""
    grant_state: GrantState = GrantState.NONE
    problem: Diagnosis | None = None
    connected_at: int | None = None
    asked_by: str = ""
    token_expires_at: int | None = None
    refreshed_at: int | None = None
    grant_ends_at: int | None = None
    transport_block: Diagnosis | None = None
    disconnection: Disconnection | None = None
    deleted_at: int | None = None
    deleted_by: str | None = None
    signs_in_as: str = ""
    from_policy: FromPolicy = FromPolicy.REJECT
    from_addresses: tuple[str, ...] = ()
    always_name: bool = False

    @property
    def owner_address(self) -> str:
        """Whose sign-in is wanted, in lower case: of a shared mailbox, that of somebody who may use it."""
        return (self.signs_in_as or self.address).strip().lower()

    def smtp_user_for(self, mode: AuthMode) -> str:
        """The user name that stays when it is connected in that mode: that of another mode does not."""
        return self.smtp_user if mode is self.auth_mode else ""

    @property
    def restorable_until(self) -> int:
        """Until when (ms) an account that is deleted can be had back; 0 for one that is not."""
        return 0 if self.deleted_at is None else self.deleted_at + UNDO

    @property
    def user(self) -> str:
        """The user name for SMTP XOAUTH2: `smtp_user` where it was found out, else the address."""
        return self.smtp_user or self.address


def status(account: Account, connector: Connector | None) -> Status:
    """What the account can do; the first of these that holds, in this order."""
    if account.grant_state is GrantState.NONE:
        return Status.DISCONNECTED
    if account.paused_by is not None:
        return Status.PAUSED
    if connector is None or connector.problem is not None:
        return Status.MISCONFIGURED
    if account.grant_state is GrantState.NEEDS_RECONNECT:
        return Status.NEEDS_RECONNECT
    if account.transport_block is not None:
        return Status.BLOCKED
    return Status.CONNECTED


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

    def usable(self, now: int) -> bool:
        """Whether enough time is left to begin a session: a fifth of its life, or EXPIRY_MARGIN."""
        margin = min(EXPIRY_MARGIN, (self.expires_at - self.obtained_at) // 5)
        return self.expires_at - now > margin


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


@dataclass(frozen=True, slots=True)
class SealedToken:
    """An access token as stored: `token` is its ciphertext."""

    account: str
    token: bytes = field(repr=False)
    version: int
    expires_at: int
    obtained_at: int
    resource: str = MAIL

    def usable(self, now: int) -> bool:
        """As AccessToken.usable."""
        return AccessToken(Secret(""), self.version, self.expires_at, self.obtained_at).usable(now)


@dataclass(frozen=True, slots=True)
class ConnectLink:
    """A link by which a mailbox owner connects one account; `id` is derived from its secret token."""

    id: str
    account: str
    invited_by: str
    created_at: int
    expires_at: int
    starts: int = 0
    used_at: int | None = None


class Purpose(StrEnum):
    """What a sign-in is begun for."""

    CONNECT = "connect"
    VISIT = "visit"
    """A mailbox owner wants to see what is connected: a proof of identity, without any mail scope."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """One `state` that waits for its callback. Used once; `flow` (ciphertext) is removed by its use.

    `cookie_hash` binds it to the browser that began it. `outcome` is what became of it, for its result page.
    `link` is the connect link that it was begun with and `asked_by` who made that; a visit has neither.
    """

    id: str
    account: str
    connector: str
    link: str
    cookie_hash: str
    redirect_uri: str
    created_at: int
    expires_at: int
    flow: bytes | None = field(default=None, repr=False)
    used_at: int | None = None
    outcome: Mapping[str, Any] | None = None
    purpose: Purpose = Purpose.CONNECT
    asked_by: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """A mailbox owner's short stay at the account's own page; `id` is derived from its secret token."""

    id: str
    account: str
    created_at: int
    expires_at: int
