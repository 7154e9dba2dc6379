"""The book of faults: what shall go wrong at which command, for whom, how often.

A fault is met before the command has any effect; at DOT (after the final dot) ``when`` chooses whether the
message has been stored already. The actions are:

- ``reply``: answer ``code`` and ``text`` in place of the command's own reply (421 closes the connection);
  MAIL and RCPT take effect where the code is a success;
- ``drop``: close the connection without a reply;
- ``silence``: say nothing more, until the client goes away;
- ``delay``: go on as usual after ``delay`` seconds;
- ``pause``: wait until the control API releases the fault, then go on as usual or drop the connection.

``delay`` is waited first for every action. BODY is met inside the message's bytes, at the first line end at
or after ``after_bytes``; TLS is met between the reply to STARTTLS and the handshake. Neither has a reply.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING

import msgspec

from sandbox.mailserver.records import FaultRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMANDS = frozenset(
    {
        "CONNECT",
        "EHLO",
        "STARTTLS",
        "TLS",
        "AUTH",
        "MAIL",
        "RCPT",
        "DATA",
        "BODY",
        "DOT",
        "RSET",
        "NOOP",
        "QUIT",
    }
)
ACTIONS = frozenset({"reply", "drop", "silence", "delay", "pause"})
BEFORE_STORE = "before_store"
AFTER_STORE = "after_store"
_WITHOUT_REPLY = frozenset({"BODY", "TLS"})
_LOWEST_CODE, _HIGHEST_CODE = 200, 599


class FaultError(ValueError):
    """The asked-for fault cannot be played."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that shall go wrong, ``times`` times (None: always), where listener, user and recipient fit.

    ``user`` is the authenticated mailbox, and at AUTH the one that is asked for. ``recipient`` is the one of
    this RCPT, and at DATA, BODY and DOT any that was accepted. All three compare without regard to case.
    """

    command: str
    action: str = "reply"
    code: int | None = None
    text: str = ""
    delay: float = 0.0
    when: str = BEFORE_STORE
    after_bytes: int = 0
    times: int | None = 1
    listener: str | None = None
    user: str | None = None
    recipient: str | None = None

    def __post_init__(self) -> None:
        """Raise FaultError if the parts do not make a fault that can be played."""
        problems = {
            f"unknown command {self.command!r}": self.command not in COMMANDS,
            f"unknown action {self.action!r}": self.action not in ACTIONS,
            f"unknown when {self.when!r}": self.when not in {BEFORE_STORE, AFTER_STORE},
            "a reply needs a code from 200 to 599": self.action == "reply" and not self._has_reply_code(),
            f"{self.command} has no reply": self.action == "reply" and self.command in _WITHOUT_REPLY,
            "a delay needs a number of seconds above 0": self.action == "delay" and not self.delay > 0,
            "delay and after_bytes cannot be negative": self.delay < 0 or self.after_bytes < 0,
            "times must be at least 1": self.times is not None and self.times < 1,
        }
        for problem, is_met in problems.items():
            if is_met:
                raise FaultError(problem)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Fault:
        """Read a fault from the control API's JSON; raises FaultError for what does not make one."""
        unknown = set(data) - {each.name for each in fields(cls)}
        if unknown:
            message = f"unknown keys: {', '.join(sorted(unknown))}"
            raise FaultError(message)
        try:
            return msgspec.convert(data, cls)
        except msgspec.ValidationError as error:
            raise FaultError(str(error)) from error

    def _has_reply_code(self) -> bool:
        return self.code is not None and _LOWEST_CODE <= self.code <= _HIGHEST_CODE


@dataclass(frozen=True)
class Situation:
    """Where a session is when it looks whether a fault is due."""

    listener: str
    user: str | None
    recipients: tuple[str, ...]

    def fits(self, fault: Fault) -> bool:
        """Whether the fault's listener, user and recipient (where it names them) are these."""
        return (
            fault.listener in {None, self.listener}
            and (fault.user is None or _same(fault.user, self.user or ""))
            and (fault.recipient is None or any(_same(fault.recipient, each) for each in self.recipients))
        )


class Gate:
    """Where the sessions of one paused fault wait."""

    def __init__(self) -> None:
        """Make a gate that is shut."""
        self._opened = threading.Event()
        self._drops = False

    def open(self, *, drops: bool) -> None:
        """Let everybody through; ``drops`` tells them to drop their connection."""
        self._drops = drops
        self._opened.set()

    def wait(self) -> bool:
        """Wait for the gate to open; return whether to drop the connection."""
        self._opened.wait()
        return self._drops


@dataclass
class Entry:
    """One fault of the book; changed only by the book."""

    id: int
    fault: Fault
    hits: int = 0
    waiting: int = 0
    gate: Gate = field(default_factory=Gate)

    @property
    def is_due(self) -> bool:
        """Whether the fault is still to be met."""
        return self.fault.times is None or self.hits < self.fault.times

    def to_record(self) -> FaultRecord:
        """Return the entry as the control API shows it."""
        counted = {"id": self.id, "hits": self.hits, "waiting": self.waiting}
        return msgspec.convert({**asdict(self.fault), **counted}, FaultRecord)


@dataclass(frozen=True)
class MetFault:
    """A fault that one session has met, and the gate where it waits if the fault pauses."""

    fault: Fault
    entry: Entry
    gate: Gate


class FaultBook:
    """The faults that were asked for; the first that fits is met. Safe to use from several threads."""

    def __init__(self) -> None:
        """Make a book without faults."""
        self._changed = threading.Condition()
        self._entries: list[Entry] = []
        self._last_id = 0

    def add(self, fault: Fault) -> int:
        """Add a fault and return its id, which is never used again."""
        with self._changed:
            self._last_id += 1
            self._entries.append(Entry(self._last_id, fault))
            return self._last_id

    def find(self, command: str, situation: Situation, when: str = BEFORE_STORE) -> Fault | None:
        """Return the first due fault that fits, without counting it."""
        with self._changed:
            entry = self._first(command, situation, when)
            return entry.fault if entry else None

    def take(self, command: str, situation: Situation, when: str = BEFORE_STORE) -> MetFault | None:
        """Return the first due fault that fits and count it as met."""
        with self._changed:
            entry = self._first(command, situation, when)
            if entry is None:
                return None
            entry.hits += 1
            entry.waiting += entry.fault.action == "pause"
            self._changed.notify_all()
            # The gate is fixed here, so that a release right after the hit was seen opens this very gate.
            return MetFault(entry.fault, entry, entry.gate)

    def wait_at(self, met: MetFault) -> bool:
        """Wait until the paused fault is released; return whether to drop the connection."""
        drops = met.gate.wait()
        with self._changed:
            met.entry.waiting -= 1
        return drops

    def release(self, fault_id: int | None = None, *, drops: bool = False) -> int:
        """Let the sessions go on that wait in one fault (or in any); return how many there were."""
        with self._changed:
            chosen = [each for each in self._entries if fault_id in {None, each.id}]
            return sum(_open(each, drops=drops) for each in chosen)

    def clear(self, *, drops: bool = False) -> None:
        """Forget every fault and release who waits in one."""
        with self._changed:
            self.release(drops=drops)
            self._entries.clear()

    def wait_for_hits(self, fault_id: int, hits: int, timeout: float) -> bool:
        """Wait until the fault was met ``hits`` times; return False after ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._hits(fault_id) >= hits, timeout)

    def records(self) -> list[FaultRecord]:
        """Return every fault in the order of the asking."""
        with self._changed:
            return [each.to_record() for each in self._entries]

    def _first(self, command: str, situation: Situation, when: str) -> Entry | None:
        return next((each for each in self._entries if _is_met(each, command, situation, when)), None)

    def _hits(self, fault_id: int) -> int:
        return next((each.hits for each in self._entries if each.id == fault_id), 0)


def _is_met(entry: Entry, command: str, situation: Situation, when: str) -> bool:
    fault = entry.fault
    return entry.is_due and fault.command == command and fault.when == when and situation.fits(fault)


def _open(entry: Entry, *, drops: bool) -> int:
    # A new gate, so that sessions which meet the fault later wait for a release of their own.
    entry.gate.open(drops=drops)
    entry.gate = Gate()
    return entry.waiting


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
