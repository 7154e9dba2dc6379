"""What the API answers of accounts and callers: types only; shown.py fills them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from chalicelib.accounts.models.account import AuthMode, FromPolicy, Revocation
from chalicelib.accounts.models.account import Status as AccountStatus
from chalicelib.callers.models import CallerKind, Scope
from chalicelib.mail.models import ClosedReason
from chalicelib.records import (
    AccountId,
    CallerId,
    ConnectorId,
    Diagnosis,
    Record,
    Time,
    format_of,
    says,
)

LinkUrl = Annotated[
    str,
    format_of("uri", "https://mail.example.com/connect/EXAMPLE"),
    says("For the owner only; it works until it is used, or ends."),
]
Withdraw = Annotated[list[str], says("The provider's pages where the owner can take it back by hand.")]
Cursor = Annotated[str | None, says("For the next page; null on the last.")]


class Paused(Record, frozen=True):
    """By whom an account was paused, when and why."""

    by: CallerId
    at: Time
    reason: str


class Disconnection(Record, frozen=True):
    """How an account was last disconnected."""

    by: Annotated[str, says("A caller's id, or `owner`.")]
    at: Time
    revocation: Revocation


class Lane(Record, frozen=True):
    """What an account's mail waits for."""

    closed: Annotated[ClosedReason | None, says("Why its mail is held; null while it flows.")]
    closed_at: Time | None
    next_due_at: Annotated[Time | None, says("When it is looked at next; null when nothing waits.")]
    rests_until: Annotated[Time | None, says("Until when its mail server is left alone.")]


class Account(Record, frozen=True):
    """One mailbox that may be sent as."""

    id: AccountId
    name: Annotated[str, says("Unique, whatever its case; may stand wherever an account is named.")]
    address: Annotated[str, format_of("email", "sales@example.com")]
    display_name: Annotated[str, says("The name beside the address in From.")]
    connector: ConnectorId
    auth_mode: Annotated[AuthMode, says("How it proves itself.")]
    signs_in_as: Annotated[str, says("Who signs in, where that is not the mailbox itself.")]
    smtp_user: Annotated[str, says("The user name at the mail server, where it is not the address.")]
    from_policy: Annotated[FromPolicy, says("What becomes of messages from other addresses.")]
    from_addresses: Annotated[list[str], says("Addresses that messages may come from, besides its own.")]
    always_name: Annotated[bool, says("Its messages bear its display name, whatever they ask for.")]
    reads_with: Annotated[
        str, says("The id of the account by whose consent IMAP and POP3 are signed in to; empty: its own.")
    ]
    status: Annotated[AccountStatus, says("What it can do at this moment.")]
    created_at: Time
    connected_at: Annotated[Time | None, says("When it was last connected.")]
    token_expires_at: Annotated[
        Time | None, says("When its access token ends; a new one is fetched by itself.")
    ]
    refreshed_at: Annotated[Time | None, says("When the provider last gave it a token.")]
    problem: Annotated[Diagnosis | None, says("The most telling of what is wrong.")]
    paused: Paused | None
    disconnected: Annotated[
        Disconnection | None, says("The last time; it may have been connected again since.")
    ]
    lane: Annotated[Lane | UnsetType, says("Left out in lists.")] = UNSET


class AccountPage(Record, frozen=True):
    """A page of accounts."""

    accounts: list[Account]
    cursor: Cursor


class ConnectLink(Record, frozen=True):
    """A link by which the mailbox's owner connects an account."""

    id: AccountId
    connect_link: LinkUrl
    connect_link_expires_at: Time


class Step(Record, frozen=True):
    """One step of signing in to a mail server."""

    step: Annotated[str, says("Its name: `token`, `connect`, `ehlo`, `starttls`, `auth`, `quit` and others.")]
    ok: bool
    said: Annotated[str, says("What the server said.")]
    ms: Annotated[int, says("How long it took, in milliseconds.")]


class Connection(Record, frozen=True):
    """What was seen when an account was connected without its owner's browser."""

    ok: Annotated[bool, says("It is connected, and mail could be handed over now.")]
    connected: Annotated[
        bool, says("It is connected; with `ok` false its token is kept and the mail server does not take it.")
    ]
    steps: list[Step]
    diagnosis: Annotated[Diagnosis | UnsetType, says("What is wrong, if something is.")] = UNSET
    next: Annotated[str | UnsetType, says("How to go on, where it did not succeed.")] = UNSET


class ConnectedAccount(Account, kw_only=True, frozen=True):
    """An account, and what became of connecting it."""

    connection: Connection


class AccountWithLink(Account, kw_only=True, frozen=True):
    """An account, and the link by which its owner connects it.

    One that needs no consent has no link: `connection` says what became of connecting it.
    """

    connect_link: LinkUrl | UnsetType = UNSET
    connect_link_expires_at: Time | UnsetType = UNSET
    connection: Connection | UnsetType = UNSET


class DisconnectedAccount(Account, kw_only=True, frozen=True):
    """An account after it was disconnected."""

    revocation: Annotated[Revocation, says("What became of the consent at the provider.")]
    withdraw: Withdraw
    diagnosis: Annotated[Diagnosis | UnsetType, says("Why the provider did not withdraw it.")] = UNSET


class DeletedAccount(Record, frozen=True):
    """An account that is deleted, and can be restored for 7 days."""

    id: AccountId
    name: str
    deleted: Literal[True]
    restorable_until: Time
    revocation: Annotated[Revocation, says("What became of the consent at the provider.")]
    withdraw: Withdraw


class Verification(Record, frozen=True):
    """Whether mail could be handed over now, by what was seen at each step."""

    ok: bool
    protocol: Annotated[str, says("At which of its servers: `smtp`, `imap`, `pop`, `graph` or `gmail`.")]
    smtp_user: Annotated[str, says("The user name at the mail server.")]
    steps: list[Step]
    diagnosis: Annotated[Diagnosis | UnsetType, says("What is wrong, if something is.")] = UNSET


class Check(Record, frozen=True):
    """One thing that was looked at."""

    check: Annotated[str, says("Its name, for programs.")]
    result: Annotated[
        Literal["pass", "warn", "fail", "skip"],
        says("`warn`: it will fail, or may; `skip`: it cannot be seen from here."),
    ]
    message: str
    fix: Annotated[str, says("How to mend it; empty where nothing is wrong.")]


class Instructions(Record, frozen=True):
    """What an administrator does elsewhere, with the names of this tenant, application and mailbox."""

    title: str
    where: Annotated[str, says("In which console or shell.")]
    lines: Annotated[list[str], says("Commands to copy, or values to enter.")]


class Examination(Record, frozen=True):
    """What the doctor found; last what it cannot see from here."""

    ok: Annotated[bool, says("No check failed.")]
    checks: list[Check]
    instructions: list[Instructions]


class Caller(Record, frozen=True):
    """Who may use the API or the function `send`; never its key."""

    id: CallerId
    kind: CallerKind
    name: str
    scopes: list[Scope]
    accounts: Annotated[list[str], says('Ids of the accounts that it may use, or `"*"` for all.')]
    created_at: Time
    expires_at: Annotated[Time | None, says("Null for one that lives until it is revoked.")]
    revoked_at: Time | None
    from_addresses: Annotated[
        list[str], says("What its messages may name in From and Sender, of what the account may; empty: all.")
    ]
    reply_to_domains: Annotated[
        list[str], says("The domains that addresses in Reply-To may have; empty: any.")
    ]
    messages_per_minute: Annotated[
        int | None, says("How many messages it may hand in each minute; null: as many as it likes.")
    ]


class CreatedCaller(Caller, frozen=True):
    """A new caller."""

    key: Annotated[
        str | UnsetType, says("The text of a new API key, in this answer only; roles and aliases have none.")
    ] = UNSET


class CallerList(Record, frozen=True):
    """Every caller, also the revoked ones, the oldest first."""

    callers: list[Caller]


class WhoAmI(Caller, frozen=True):
    """The caller that asks."""

    stage: Annotated[str, says("The installation's stage.")]
