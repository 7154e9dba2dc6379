"""The accepted messages and the record of every session: the tests' oracle, in memory."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property

from sandbox.mailserver import content
from sandbox.mailserver.records import (
    AuthenticationRecord,
    CommandRecord,
    LogRecord,
    MessageRecord,
    SessionRecord,
)


@dataclass(frozen=True)
class Envelope:
    """MAIL FROM with its parameters, and the recipients that were accepted so far."""

    mail_from: str
    parameters: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()

    def with_recipient(self, address: str) -> Envelope:
        """Return the envelope with one recipient more."""
        return replace(self, recipients=(*self.recipients, address))


@dataclass(frozen=True)
class Message:
    """One accepted message.

    ``raw`` is what the client sent, byte for byte after the dots were unstuffed; ``delivered`` is what the
    recipients see, which differs only where the listener rewrites the From header. ``number`` and
    ``received_at`` are given by the store.
    """

    listener: str
    session: int
    user: str
    envelope: Envelope
    raw: bytes
    delivered: bytes
    tls_version: str
    number: int = 0
    received_at: float = 0.0

    @cached_property
    def content(self) -> content.Content:
        """The headers and parts as the recipients see them."""
        return content.parse(self.delivered)

    @cached_property
    def message_id(self) -> str | None:
        """The Message-ID header, or None."""
        return content.message_id(self.raw)

    def is_for(self, address: str) -> bool:
        """Whether the address is among the recipients, without regard to case."""
        return address.casefold() in {each.casefold() for each in self.envelope.recipients}

    def to_record(self) -> MessageRecord:
        """Return what a mailbox shows."""
        return MessageRecord(
            number=self.number,
            received_at=self.received_at,
            listener=self.listener,
            user=self.user,
            from_header=self.content.header("From"),
            to_header=self.content.header("To"),
            subject=self.content.header("Subject"),
            message_id=self.message_id,
            size=len(self.raw),
            recipients=list(self.envelope.recipients),
        )

    def to_log_record(self) -> LogRecord:
        """Return what the oracle knows."""
        return LogRecord(
            sequence=self.number,
            accepted_at=self.received_at,
            listener=self.listener,
            session=self.session,
            user=self.user,
            mail_from=self.envelope.mail_from,
            mail_parameters=list(self.envelope.parameters),
            recipients=list(self.envelope.recipients),
            message_id=self.message_id,
            sha256=hashlib.sha256(self.raw).hexdigest(),
            size=len(self.raw),
            bare_newlines=content.has_bare_newlines(self.raw),
            tls_version=self.tls_version,
        )


@dataclass(frozen=True)
class Filter:
    """Which messages are asked for; None does not restrict. Addresses compare without regard to case."""

    recipient: str | None = None
    message_id: str | None = None
    user: str | None = None

    def passes(self, message: Message) -> bool:
        """Whether the message is asked for."""
        return (
            (self.recipient is None or message.is_for(self.recipient))
            and (self.message_id is None or message.message_id == self.message_id)
            and (self.user is None or message.user.casefold() == self.user.casefold())
        )


class SessionLog:
    """What happened on one connection; written by its session, read by the web side."""

    def __init__(self, number: int, listener: str) -> None:
        """Begin the record of a connection that was accepted now."""
        self._lock = threading.Lock()
        self._record = SessionRecord(
            number=number,
            listener=listener,
            opened_at=time.time(),
            closed_at=None,
            tls_version=None,
            user=None,
            ending=None,
            commands=[],
            authentications=[],
        )

    @property
    def number(self) -> int:
        """The session's number; it counts the connections of both listeners."""
        return self._record["number"]

    def command(self, redacted: str, octets: int, *, tls: bool) -> None:
        """Note a line of the client, which must hold no credential any more."""
        noted = CommandRecord(at=time.time(), command=redacted, octets=octets, tls=tls, reply=None)
        with self._lock:
            self._record["commands"].append(noted)

    def reply(self, code: int) -> None:
        """Note the code that answered the latest command."""
        with self._lock:
            if self._record["commands"]:
                self._record["commands"][-1]["reply"] = code

    def authentication(self, user: str, reason: str | None) -> None:
        """Note a finished AUTH: refused for a reason, or accepted (None)."""
        noted = AuthenticationRecord(at=time.time(), user=user, accepted=reason is None, reason=reason)
        with self._lock:
            self._record["authentications"].append(noted)
            if reason is None:
                self._record["user"] = user

    def encrypted(self, tls_version: str) -> None:
        """Note that TLS is up."""
        with self._lock:
            self._record["tls_version"] = tls_version

    def closed(self, ending: str) -> None:
        """Note how the connection ended."""
        with self._lock:
            self._record["ending"] = ending
            self._record["closed_at"] = time.time()

    def to_record(self) -> SessionRecord:
        """Return a copy of the record as it stands now."""
        with self._lock:
            copied = self._record.copy()
            copied["commands"] = [each.copy() for each in self._record["commands"]]
            copied["authentications"] = [each.copy() for each in self._record["authentications"]]
            return copied


class Store:
    """Every accepted message and every session, in order. Safe to use from several threads."""

    def __init__(self) -> None:
        """Make an empty store."""
        self._changed = threading.Condition()
        self._messages: list[Message] = []
        self._sessions: list[SessionLog] = []
        self._session_count = 0

    def open_session(self, listener: str) -> SessionLog:
        """Begin the record of a new connection."""
        with self._changed:
            self._session_count += 1
            log = SessionLog(self._session_count, listener)
            self._sessions.append(log)
            return log

    def add(self, message: Message) -> Message:
        """Store a message that is accepted and return it numbered; from here on the log has it."""
        with self._changed:
            stored = replace(message, number=len(self._messages) + 1, received_at=time.time())
            self._messages.append(stored)
            self._changed.notify_all()
            return stored

    def messages(self, wanted: Filter | None = None) -> list[Message]:
        """Return the messages that pass the filter, oldest first."""
        with self._changed:
            return [each for each in self._messages if wanted is None or wanted.passes(each)]

    def wait_for(self, wanted: Filter, timeout: float) -> list[Message]:
        """Return the messages that pass, as soon as there is one or after ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.messages(wanted), timeout)
            return self.messages(wanted)

    def message(self, number: int) -> Message | None:
        """Return the message of that number, counted from 1."""
        with self._changed:
            return self._messages[number - 1] if 1 <= number <= len(self._messages) else None

    def mailboxes(self) -> dict[str, int]:
        """Return how many messages each recipient has, by address in lower case."""
        with self._changed:
            counted = Counter(
                address
                for each in self._messages
                for address in {to.lower() for to in each.envelope.recipients}
            )
            return dict(sorted(counted.items()))

    def sessions(self) -> list[SessionRecord]:
        """Return the record of every connection, oldest first."""
        with self._changed:
            return [each.to_record() for each in self._sessions]

    def reset(self) -> None:
        """Forget every message and session; sessions that are open go on unrecorded."""
        with self._changed:
            self._messages.clear()
            self._sessions.clear()
            self._session_count = 0
