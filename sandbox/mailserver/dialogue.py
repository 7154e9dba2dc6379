"""What every command of a session shares: sending, asking, the state of the dialogue, and its faults."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.mailserver.faults import BEFORE_STORE, FaultBook, MetFault, Situation
from sandbox.mailserver.mailboxes import Holder, Mailboxes
from sandbox.mailserver.replies import Reply
from sandbox.mailserver.store import Envelope, SessionLog, Store
from sandbox.mailserver.wire import Connection, SessionOver

if TYPE_CHECKING:
    from sandbox.mailserver.introspection import TokenChecker
    from sandbox.mailserver.settings import Extensions, Settings
    from sandbox.mailserver.temperament import Temperament


@dataclass(frozen=True)
class Services:
    """What all sessions of one mail server share; ``stopping`` is set when the server stops."""

    settings: Settings
    tokens: TokenChecker
    mailboxes: Mailboxes = field(default_factory=Mailboxes)
    faults: FaultBook = field(default_factory=FaultBook)
    store: Store = field(default_factory=Store)
    stopping: threading.Event = field(default_factory=threading.Event)


class Dialogue:
    """The state of one session and the few moves that its commands are made of."""

    def __init__(
        self, connection: Connection, temperament: Temperament, services: Services, log: SessionLog
    ) -> None:
        """Begin a dialogue on an accepted connection; nothing is sent yet."""
        self.connection = connection
        self.temperament = temperament
        self.services = services
        self.log = log
        self.greeted = False
        self.user: str | None = None
        self.holder: Holder | None = None
        self.envelope: Envelope | None = None

    @property
    def extensions(self) -> Extensions:
        """What this listener offers now."""
        return self.services.settings.of(self.temperament.name)

    @property
    def tls(self) -> bool:
        """Whether TLS is up."""
        return self.connection.tls_version is not None

    def forget(self) -> None:
        """Go back to the state before EHLO, as RFC 3207 section 4.2 asks after STARTTLS."""
        self.greeted = False
        self.user = self.holder = None
        self.envelope = None

    def send(self, reply: Reply) -> None:
        """Send a reply. Its code is noted beside the latest command first: who has the reply finds it."""
        self.log.reply(reply.code)
        self.connection.send(reply.encode(enhanced_codes=self.extensions.enhancedstatuscodes))

    def ask(self, challenge: Reply) -> bytes:
        """Send a SASL challenge and return the client's line without its end; the line is noted redacted."""
        self.send(challenge)
        line = self.connection.read_line()
        response = line.rstrip(b"\r\n")
        self.log.command("[response redacted]" if response else "[empty response]", len(line), tls=self.tls)
        return response

    def situation(self, *, user: str | None = None, recipients: tuple[str, ...] | None = None) -> Situation:
        """Return where the session is: its user and accepted recipients, unless the command names others."""
        accepted = self.envelope.recipients if self.envelope else ()
        return Situation(
            listener=self.temperament.name,
            user=user or self.user,
            recipients=accepted if recipients is None else recipients,
        )

    def fault(
        self, command: str, situation: Situation | None = None, when: str = BEFORE_STORE
    ) -> Reply | None:
        """Play the fault that is due at this command.

        Returns the reply that takes the command's place, or None to go on as usual. Raises SessionOver if
        the fault ends the session.
        """
        met = self.services.faults.take(command, situation or self.situation(), when)
        return None if met is None else self._play(met)

    def _play(self, met: MetFault) -> Reply | None:
        fault = met.fault
        if self.services.stopping.wait(fault.delay):
            raise SessionOver("the server stopped")
        if fault.action == "reply" and fault.code is not None:
            return Reply(fault.code, fault.text)
        if fault.action == "silence":
            self.connection.wait_for_close()
            raise SessionOver(f"a fault kept silent at {fault.command} until the client went away")
        if fault.action == "drop" or (fault.action == "pause" and self.services.faults.wait_at(met)):
            raise SessionOver(f"a fault dropped the connection at {fault.command}")
        return None
