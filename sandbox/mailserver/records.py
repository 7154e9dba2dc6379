"""The shapes of the web side's JSON: what the routes write and ``MailServerClient`` reads.

Times are seconds since the epoch. No record ever holds a credential.
"""

from __future__ import annotations

from typing import TypedDict


class CommandRecord(TypedDict):
    """One line of the client: redacted, its length on the wire, whether TLS was up, the reply's code."""

    at: float
    command: str
    octets: int
    tls: bool
    reply: int | None


class AuthenticationRecord(TypedDict):
    """One finished AUTH: the mailbox that was asked for, and why it was refused (None if accepted)."""

    at: float
    user: str
    accepted: bool
    reason: str | None


class SessionRecord(TypedDict):
    """One connection; ``ending`` says how it ended and is None while it lasts."""

    number: int
    listener: str
    opened_at: float
    closed_at: float | None
    tls_version: str | None
    user: str | None
    ending: str | None
    commands: list[CommandRecord]
    authentications: list[AuthenticationRecord]


class LogRecord(TypedDict):
    """One accepted message as the oracle knows it; ``sha256`` and ``size`` are of the bytes as received."""

    sequence: int
    accepted_at: float
    listener: str
    session: int
    user: str
    mail_from: str
    mail_parameters: list[str]
    recipients: list[str]
    message_id: str | None
    sha256: str
    size: int
    bare_newlines: bool
    tls_version: str


class MessageRecord(TypedDict):
    """One message as its recipients see it: headers decoded, From as the listener delivered it."""

    number: int
    received_at: float
    listener: str
    user: str
    from_header: str
    to_header: str
    subject: str
    message_id: str | None
    size: int
    recipients: list[str]


class FaultRecord(TypedDict):
    """One fault of the book, how often it was met, and how many sessions wait in it now."""

    id: int
    command: str
    action: str
    code: int | None
    text: str
    delay: float
    when: str
    after_bytes: int
    times: int | None
    listener: str | None
    user: str | None
    recipient: str | None
    hits: int
    waiting: int


class MailboxRecord(TypedDict):
    """The rights on one mailbox."""

    address: str
    full_access: list[str]
    send_as: list[str]
    applications: list[str]
    smtp_auth: bool


class ExtensionsRecord(TypedDict):
    """What one listener offers in EHLO; ``size`` is None where SIZE is not offered."""

    size: int | None
    auth: list[str]
    smtp_user: str
    eightbitmime: bool
    smtputf8: bool
    pipelining: bool
    enhancedstatuscodes: bool
    starttls: bool
