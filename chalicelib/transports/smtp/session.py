"""One SMTP connection for several messages of one account; a failure is a Refused that knows its phase."""

from __future__ import annotations

import math
import smtplib
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import InvalidInput, Unavailable
from chalicelib.mail.models import Envelope, Phase, Reply
from chalicelib.secret import Secret
from chalicelib.transports.refusals import REFUSALS, SHUTTING_DOWN, Concern, Refused, Verdict
from chalicelib.transports.smtp import replies, sasl
from chalicelib.transports.smtp.wire import COMPLETED, CONTINUES, OutOfTurn, Wire

ON_THE_WAY = frozenset({Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.COMMIT})
"""Phases that are about a message; before them a failure is about the way to the server."""

Resolve = Callable[[str, int], list[str]]
"""Gives the checked addresses of a host; raises InvalidInput if forbidden, Unavailable without an answer."""


@dataclass(frozen=True, slots=True)
class Server:
    """A submission server. With `implicit_tls` the connection is encrypted from its first byte (port 465)."""

    host: str
    port: int = 587
    implicit_tls: bool = False


class SmtpSession:
    """Speaks to one server in the name of one login. `phase` is noted before each command is entered.

    `heard` is told what the server answers to each command, but to those about a recipient.
    """

    def __init__(
        self,
        server: Server,
        login: sasl.Login,
        *,
        tls: ssl.SSLContext,
        resolve: Resolve,
        heard: Callable[[Reply], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._login = login
        self._tls = tls
        self._resolve = resolve
        self._heard = heard
        self._clock = clock
        self._wire: Wire | None = None
        self._clean = True
        self._deadline = math.inf
        self.phase = Phase.CLAIMED
        self.sent = 0

    @property
    def implicit_tls(self) -> bool:
        """Whether the connection is encrypted from its first byte."""
        return self._server.implicit_tls

    def allow(self, seconds: float) -> None:
        """Bounds the time of all that follows together, but for the answer to the final dot."""
        self._deadline = self._clock() + seconds
        if self._wire is not None:
            self._wire.deadline = self._deadline

    def connect(self) -> None:
        """Connects, demands TLS and verifies chain, name and TLS 1.2. Nothing secret is sent before."""
        with self._during(Phase.CONNECT):
            addresses = self._resolve(self._server.host, self._server.port)
            wire = Wire(self._server.host, addresses, self._tls, self._clock)
            self._wire = wire
            wire.deadline = self._deadline
            self._expect(wire.open(self._server.port, encrypted=self._server.implicit_tls))
            self._expect(wire.hello())
        if not self._server.implicit_tls:
            self._start_tls(wire)

    def authenticate(self, secret: Secret) -> None:
        """AUTH with the access token or password. One that is refused is a Refused with the concern TOKEN."""
        with self._during(Phase.AUTH):
            wire = self._open()
            exchange = self._login.exchange(secret, wire.mechanisms(), self._server.host, self._server.port)
            reply = wire.authenticate(exchange)
            self._heard(reply)
            if reply.code // 100 != COMPLETED:
                self._refuse(reply, by_password=self._login.by_password)

    def transfer(self, envelope: Envelope, body: bytes) -> dict[str, Reply]:
        """MAIL, RCPT and DATA with the whole body, but not the final dot.

        Returns the refused recipients with the replies. Raises NoRecipients when none is left.
        """
        self._reset()
        self._clean = False
        with self._during(Phase.MAIL):
            self._expect(self._open().sender(envelope.mail_from, self._parameters(envelope, body)))
        with self._during(Phase.RCPT):
            refused = self._recipients(envelope)
        with self._during(Phase.DATA):
            self._expect(self._open().begin_body(), CONTINUES)
            self._open().body(body)
        return refused

    def commit(self) -> Reply:
        """The final dot and its answer. A Refused that is `undecided` means that nobody knows the outcome."""
        with self._during(Phase.DATA):
            self._open().require_silence()
        with self._during(Phase.COMMIT):
            reply = self._expect(self._open().dot())
        self.phase = Phase.DONE
        self._clean = True
        self.sent += 1
        return reply

    def quit(self) -> None:
        """QUIT, whatever the server says to it."""
        if self._wire is not None:
            with suppress(smtplib.SMTPException, OSError):
                self._heard(self._wire.leave())
        self.drop()

    def drop(self) -> None:
        """Closes the socket without a word: a server discards a message whose final dot never came."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _start_tls(self, wire: Wire) -> None:
        with self._during(Phase.STARTTLS):
            if not wire.offers("starttls"):
                raise Refused(
                    _verdict(self.phase, "starttls_missing", "The server offers no STARTTLS."), self.phase
                )
            self._expect(wire.secure())
            self._expect(wire.hello())

    def _recipients(self, envelope: Envelope) -> dict[str, Reply]:
        refused: dict[str, Reply] = {}
        for address in envelope.recipients:
            reply = self._open().recipient(address)
            if reply.code // 100 != COMPLETED:
                self._weigh(reply)
                refused[address] = reply
        if len(refused) == len(envelope.recipients):
            raise NoRecipients(refused, self.phase)
        return refused

    def _weigh(self, reply: Reply) -> None:
        """Raises Refused for a reply to RCPT that is about more than this recipient."""
        if reply.code == SHUTTING_DOWN or reply.code not in REFUSALS:
            self._refuse(reply)
        found = replies.verdict(reply, self.phase)
        if found.concern is not Concern.RECIPIENT:
            raise Refused(found, self.phase, reply)

    def _parameters(self, envelope: Envelope, body: bytes) -> list[str]:
        wire = self._open()
        international = _international(envelope, body)
        eight_bit = not body.isascii()
        if (international and not wire.offers("smtputf8")) or (eight_bit and not wire.offers("8bitmime")):
            raise Refused(_NEEDS_MORE, self.phase)
        return [
            *([f"SIZE={len(body)}"] if wire.offers("size") else []),
            *(["BODY=8BITMIME"] if eight_bit else []),
            *(["SMTPUTF8"] if international else []),
        ]

    def _reset(self) -> None:
        if not self._clean:
            with self._during(Phase.MAIL):
                self._expect(self._open().reset())
            self._clean = True

    def _expect(self, reply: Reply, digit: int = COMPLETED) -> Reply:
        """The reply, if its code begins with the digit; raises Refused for any other one."""
        self._heard(reply)
        if reply.code // 100 != digit:
            self._refuse(reply)
        return reply

    def _refuse(self, reply: Reply, *, by_password: bool = False) -> None:
        if reply.code in REFUSALS:
            found = replies.verdict(reply, self.phase, by_password=by_password)
            if reply.code == SHUTTING_DOWN:
                self.drop()
            raise Refused(found, self.phase, reply)
        self.drop()
        raise Refused(_interrupted(OutOfTurn(), self.phase), self.phase)

    @contextmanager
    def _during(self, phase: Phase) -> Iterator[None]:
        """Notes the phase before it is entered; whatever breaks the connection in it becomes a Refused.

        A connection that did not get as far as a message is of no use and is closed.
        """
        self.phase = phase
        try:
            yield
        except smtplib.SMTPResponseException as error:
            if phase not in ON_THE_WAY:
                self.drop()
            self._refuse(replies.reply(error.smtp_code, _octets(error.smtp_error)))
        except (smtplib.SMTPException, OSError, Unavailable, InvalidInput) as error:
            self.drop()
            raise Refused(_interrupted(error, phase), phase) from error
        except Refused:
            if phase not in ON_THE_WAY:
                self.drop()
            raise

    def _open(self) -> Wire:
        if self._wire is None:
            raise smtplib.SMTPServerDisconnected("the connection is closed")
        return self._wire


class NoRecipients(Refused):
    """Every recipient was refused; `recipients` has the replies. It passes if one of them does."""

    def __init__(self, recipients: dict[str, Reply], phase: Phase) -> None:
        verdicts = [(replies.verdict(reply, phase), reply) for reply in recipients.values()]
        found, reply = next((pair for pair in verdicts if pair[0].passes), verdicts[-1])
        super().__init__(found, phase, reply)
        self.recipients = recipients


_NEEDS_MORE = Verdict(
    Concern.MESSAGE,
    Diagnosis(
        DiagnosisClass.CALLER,
        "smtp_extension_missing",
        "The server takes neither addresses nor bodies with characters outside ASCII.",
        "Use ASCII addresses, and encode a raw message as base64 or quoted-printable.",
    ),
)


TIMEOUT = "smtp_timeout"
INTERRUPTIONS: tuple[tuple[type[Exception], str, str], ...] = (
    (ssl.SSLCertVerificationError, "tls_certificate", "The server's certificate is not valid for its name."),
    (ssl.SSLError, "tls_failed", "No secure connection could be made."),
    (TimeoutError, TIMEOUT, "The server did not answer in time."),
    (OutOfTurn, "smtp_protocol", "The server answered out of turn."),
    (Unavailable, "dns_failed", "The server's name could not be resolved."),
    (ConnectionRefusedError, "connection_refused", "The server takes no connections."),
    (Exception, "connection_lost", "The connection to the server was lost."),
)
"""What breaks a connection, the narrower first."""


def _international(envelope: Envelope, body: bytes) -> bool:
    """Whether the message needs SMTPUTF8: for an address, or for a header in UTF-8 (RFC 6531)."""
    header = body.partition(b"\r\n\r\n")[0]
    return not header.isascii() or any(
        not address.isascii() for address in (envelope.mail_from, *envelope.recipients)
    )


def _interrupted(error: Exception, phase: Phase) -> Verdict:
    if isinstance(error, InvalidInput):
        return _verdict(phase, error.error_code, error.message, error.fix)
    code, message = next((code, text) for kind, code, text in INTERRUPTIONS if isinstance(error, kind))
    return _verdict(phase, code, message, text=str(error) if isinstance(error, OutOfTurn) else "")


def _verdict(phase: Phase, code: str, message: str, fix: str = replies.NOTHING, text: str = "") -> Verdict:
    concern = Concern.MESSAGE if phase in ON_THE_WAY else Concern.LANE
    return Verdict(concern, Diagnosis(DiagnosisClass.RETRY, code, message, fix, text))


def _octets(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "replace")
