"""Accounts: one mailbox each, what is known of it, and its status()."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from chalicelib.addresses import lowered
from chalicelib.clock import DAY

if TYPE_CHECKING:
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.diagnosis import Diagnosis


UNDO = 7 * DAY
"""How long a deleted account can be restored, and keeps its name."""


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
    def chooses_mailbox(self) -> bool:
        """Whether what it proves itself with opens many mailboxes, so that the account says which one."""
        return self in {AuthMode.CLIENT_CREDENTIALS, AuthMode.SERVICE_ACCOUNT}

    @property
    def needs_client(self) -> bool:
        """Whether the provider is asked for tokens, in the name of the connector's client."""
        return self is not AuthMode.PASSWORD


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
    """Left as it is: another account was connected by the same person to the same OAuth client."""
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
class Account:
    """One mailbox that may be sent as. Each fact has one writer.

    ==================  =============================================  ==================
    fact                meaning                                        written by
    ==================  =============================================  ==================
    paused_by, …        the caller who paused it, when and why         api
    grant_state, …      what is known of the consent and its tokens    connect, tokens
    disconnection       how it was last disconnected, if ever          connect
    deleted_at, …       when it was deleted and by whom                api
    transport_block     why the mail server does not take its mail     relay, connect
    ==================  =============================================  ==================

    `problem` is the last diagnosis of its tokens; `token_expires_at`, `refreshed_at` and `grant_ends_at` are
    copies to show; `asked_by` names who made the connect link by which it was connected; `signs_in_as` is the
    address of the person who signs in, where that is not the mailbox itself (a shared mailbox).
    `from_addresses` are those that it may use besides its own; with `always_name` its messages bear its
    `display_name` in any case. `reads_with` is the id of the account by whose consent it is signed in to at
    IMAP and POP3, empty for its own; that one's tokens are kept as any other's.
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
    reads_with: str = ""

    @property
    def owner_address(self) -> str:
        """Whose sign-in is wanted, in lower case: of a shared mailbox, that of somebody who may use it."""
        return lowered(self.signs_in_as or self.address)

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
