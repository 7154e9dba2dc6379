"""MailServerClient: what tests and the demo ask of the sandbox's mail server, over its web side."""

from __future__ import annotations

import http.client
import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypedDict, Unpack
from urllib.parse import urlencode, urlsplit

from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from sandbox.mailserver.records import (
        ExtensionsRecord,
        FaultRecord,
        LogRecord,
        MailboxRecord,
        MessageRecord,
        SessionRecord,
    )

_TIMEOUT_SECONDS = 90.0
_LONGEST_WAIT_SECONDS = 30.0


class MailServerError(SandboxError):
    """The mail server refused a request; the text is the server's own."""


class FaultOptions(TypedDict, total=False):
    """The optional parts of a fault, as ``sandbox.mailserver.faults.Fault`` explains them."""

    code: int
    text: str
    delay: float
    when: str
    after_bytes: int
    times: int | None
    listener: str
    user: str
    recipient: str


class ExtensionOptions(TypedDict, total=False):
    """The extensions that ``settings`` may change."""

    size: int | None
    auth: list[str]
    smtp_user: str
    eightbitmime: bool
    smtputf8: bool
    pipelining: bool
    enhancedstatuscodes: bool
    starttls: bool


class MailboxRights(TypedDict, total=False):
    """The rights on a mailbox that ``mailbox`` may set."""

    full_access: list[str]
    send_as: list[str]
    applications: list[str]
    smtp_auth: bool


class MailServerClient:
    """Speaks to the web side at ``url``; safe to use from several threads.

    Every method raises MailServerError if the server refuses, and OSError if it cannot be reached.
    """

    def __init__(self, url: str) -> None:
        """Speak to the web side at this base URL, such as ``http://127.0.0.1:8025``."""
        self._address = urlsplit(url).netloc

    def messages(
        self, *, recipient: str | None = None, message_id: str | None = None, user: str | None = None
    ) -> list[MessageRecord]:
        """Return the accepted messages, newest first; each argument that is given must fit."""
        return self._messages(0, recipient=recipient, message_id=message_id, user=user)

    def wait_for(self, message_id: str, timeout: float = 10.0) -> MessageRecord:
        """Return the first message of that Message-ID; raises TimeoutError if none came in ``timeout`` s."""
        deadline = time.monotonic() + timeout
        while True:
            left = max(deadline - time.monotonic(), 0)
            if found := self._messages(min(left, _LONGEST_WAIT_SECONDS), message_id=message_id):
                return found[-1]
            if left <= _LONGEST_WAIT_SECONDS:
                message = f"no message {message_id} arrived within {timeout} s"
                raise TimeoutError(message)

    def raw(self, number: int) -> bytes:
        """Return a message's bytes as they were received."""
        return self._exchange("GET", f"/messages/{number}.eml")

    def delivered(self, number: int) -> bytes:
        """Return a message's bytes as its recipients see them: From rewritten where the listener does so."""
        return self._exchange("GET", f"/messages/{number}.eml?as=delivered")

    def log(self) -> list[LogRecord]:
        """Return the log of accepted messages, oldest first."""
        log: list[LogRecord] = self._call("GET", "/api/log")
        return log

    def sessions(self) -> list[SessionRecord]:
        """Return every connection with its redacted commands, oldest first."""
        sessions: list[SessionRecord] = self._call("GET", "/api/sessions")
        return sessions

    def inject(self, command: str, action: str = "reply", **options: Unpack[FaultOptions]) -> int:
        """Add a fault and return its id; a reply needs ``code``, and ``times`` is 1 unless it says else."""
        added = self._call("POST", "/api/faults", {"command": command, "action": action, **options})
        return int(added["id"])

    def faults(self) -> list[FaultRecord]:
        """Return every fault with how often it was met and how many sessions wait in it."""
        faults: list[FaultRecord] = self._call("GET", "/api/faults")
        return faults

    def wait_for_fault(self, fault_id: int, timeout: float = 10.0, *, hits: int = 1) -> None:
        """Return when the fault was met ``hits`` times; raise TimeoutError after ``timeout`` (up to 60) s."""
        query = urlencode({"at_least": hits, "wait": timeout})
        if not self._call("GET", f"/api/faults/{fault_id}/hits?{query}")["reached"]:
            message = f"the fault {fault_id} was not met {hits} times within {timeout} s"
            raise TimeoutError(message)

    def clear_faults(self) -> None:
        """Forget every fault; sessions that wait in one go on."""
        self._call("DELETE", "/api/faults")

    def release(self, fault_id: int | None = None, *, drop: bool = False) -> int:
        """Let the sessions go on (or drop them) that wait in one fault or in any; return how many."""
        released = self._call("POST", "/api/release", {"id": fault_id, "drop": drop})
        return int(released["released"])

    def settings(
        self, listener: str | None = None, **extensions: Unpack[ExtensionOptions]
    ) -> dict[str, ExtensionsRecord]:
        """Change extensions of one listener or of both; return what each offers now."""
        current: dict[str, ExtensionsRecord] = self._call(
            "POST", "/api/settings", {"listener": listener, **extensions}
        )
        return current

    def mailbox(self, address: str, **rights: Unpack[MailboxRights]) -> MailboxRecord:
        """Set the rights on a mailbox, as ``sandbox.mailserver.mailboxes.Mailbox`` explains them."""
        record: MailboxRecord = self._call("POST", "/api/mailboxes", {"address": address, **rights})
        return record

    def reset(self) -> None:
        """Forget messages, sessions, faults, settings and rights; drop sessions that wait in a fault."""
        self._call("POST", "/api/reset", {})

    def _messages(self, wait: float, **wanted: str | None) -> list[MessageRecord]:
        query = urlencode(
            {name: value for name, value in {**wanted, "wait": wait}.items() if value is not None}
        )
        found: list[MessageRecord] = self._call("GET", f"/api/messages?{query}")
        return found

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return json.loads(self._exchange(method, path, body))

    def _exchange(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        connection = http.client.HTTPConnection(self._address, timeout=_TIMEOUT_SECONDS)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status >= HTTPStatus.BAD_REQUEST:
            message = f"{method} {path}: {response.status} {answer.decode('utf-8', 'replace')[:500]}"
            raise MailServerError(message)
        return answer
