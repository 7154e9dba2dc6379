"""The commands of one SMTP connection, on the standard library's client.

smtplib is used for its commands only: its way of sending a message rewrites addresses, counts a 503 as a
successful AUTH, waits for ever and puts no bound on a reply.
"""

from __future__ import annotations

import math
import re
import select
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Iterable

from chalicelib.mail.models import Reply
from chalicelib.network import dial
from chalicelib.transports.smtp import replies, sasl

CONNECT_SECONDS = 30
COMMAND_SECONDS = 60
COMMIT_SECONDS = 120
"""How long the answer to the final dot is waited for: giving up early only makes more unknown outcomes."""
QUIT_SECONDS = 2

COMPLETED, CONTINUES = 2, 3
"""First digits of a reply: done, and go on. A client judges a code that it does not know by its first digit
(RFC 5321, section 4.2.1)."""

MAX_LINE = 8192
MAX_LINES = 100
CHUNK = 16 * 1024
"""Octets that are written at a time: one record of TLS."""

_REPLY_LINE = re.compile(rb"(\d{3})(?:([ -])(.*))?", re.DOTALL)


class OutOfTurn(smtplib.SMTPException):
    """The server has spoken while nothing was asked, or in a way that is no answer to what was asked."""


class Wire(smtplib.SMTP):
    """One connection to a server whose addresses were checked beforehand.

    `name` is the configured host name, which the certificate must bear; it is never looked up here.
    Raises what smtplib and the socket raise; whoever uses it translates. After `deadline` (of `clock`, in
    seconds) nothing is begun but the final dot: then a TimeoutError is raised. Each reply is bounded as a
    whole, however slowly its octets come.
    """

    deadline: float = math.inf

    def __init__(
        self,
        name: str,
        addresses: Iterable[str],
        tls: ssl.SSLContext,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # A local name is given because smtplib would look one up otherwise.
        super().__init__(local_hostname="localhost", timeout=CONNECT_SECONDS)
        self._host = name
        self._addresses = tuple(addresses)
        self._tls = tls
        self._clock = clock
        self._encrypted = False
        self._received = bytearray()
        self._reply_until = math.inf

    def open(self, port: int, *, encrypted: bool = False) -> Reply:
        """Connects to the first address that answers, `encrypted` at once or not; returns the banner."""
        self._encrypted = encrypted
        code, text = self.connect(self._host, port)
        return replies.reply(code, text)

    def hello(self) -> Reply:
        """EHLO with our address literal (RFC 5321, section 4.1.3)."""
        code, text = self._exchange(f"EHLO {_literal(self._socket().getsockname()[0])}")
        self.esmtp_features = _extensions(text.decode("ascii", "replace"))
        return replies.reply(code, text)

    def secure(self) -> Reply:
        """STARTTLS with the certificate and the name verified; what was learnt before is forgotten."""
        code, text = self._exchange("STARTTLS")
        if code // 100 == COMPLETED:
            self.require_silence()
            self.sock = self._wrapped(self._socket())
            self.esmtp_features = {}
        return replies.reply(code, text)

    def offers(self, extension: str) -> bool:
        """Whether the last EHLO offered the extension."""
        return self.has_extn(extension)

    def mechanisms(self) -> set[str]:
        """The mechanisms of AUTH that the last EHLO offered."""
        return set(self.esmtp_features.get("auth", "").upper().split())

    def authenticate(self, exchange: sasl.Exchange) -> Reply:
        """AUTH, a line a step: a token does not fit a command line (RFC 4954, section 4).

        An error challenge is answered with what gets the final reply.
        """
        code, text = self._exchange(f"AUTH {exchange.mechanism}")
        for line in exchange.lines:
            if code // 100 != CONTINUES:
                break
            code, text = self._exchange(line)
        if code // 100 == CONTINUES and exchange.after_refusal is not None:
            status = sasl.refused_status(text.decode("ascii", "replace"))
            code, text = self._exchange(exchange.after_refusal)
            text += f" (the token's status is {status})".encode() if status else b""
        return replies.reply(code, text)

    def sender(self, address: str, parameters: Iterable[str]) -> Reply:
        """MAIL FROM. The address was checked when the message was accepted and is sent as it is."""
        return self._command(" ".join([f"MAIL FROM:<{address}>", *parameters]))

    def recipient(self, address: str) -> Reply:
        """RCPT TO."""
        return self._command(f"RCPT TO:<{address}>")

    def begin_body(self) -> Reply:
        """DATA."""
        return self._command("DATA")

    def body(self, content: bytes) -> None:
        """Writes the message without its final dot; lines that begin with a dot get another.

        The content ends with CRLF and has no bare CR or LF (RFC 5321, sections 2.3.8 and 4.5.2).
        """
        stuffed = re.sub(rb"(?:^|(?<=\r\n))\.", b"..", content)
        for start in range(0, len(stuffed), CHUNK):
            self._wait(COMMAND_SECONDS)
            self._socket().sendall(stuffed[start : start + CHUNK])

    def require_silence(self) -> None:
        """Raises OutOfTurn if the server spoke while nothing was asked, SMTPServerDisconnected if it left.

        What came before a command is no answer to it. Asked before the final dot too: what is known to be
        lost by then is certainly not delivered.
        """
        connection = self._socket()
        connection.settimeout(0)
        try:
            self._received += connection.recv(MAX_LINE)
        except (BlockingIOError, ssl.SSLWantReadError):
            if not self._received:
                return
        self.close()
        if self._received:
            raise OutOfTurn(replies.reply(0, bytes(self._received)).text)
        raise smtplib.SMTPServerDisconnected("the server left")

    def dot(self) -> Reply:
        """Writes the final dot and waits for the answer. Raises OutOfTurn for two that contradict."""
        self._reply_until = self._clock() + COMMIT_SECONDS
        self._socket().settimeout(COMMIT_SECONDS)
        self._socket().sendall(b".\r\n")
        code, text = self.getreply()
        if self._received and not self._received.startswith((b"421", b"%d" % (code // 100))):
            raise OutOfTurn("two answers that contradict each other")
        return replies.reply(code, text)

    def reset(self) -> Reply:
        """RSET."""
        return self._command("RSET")

    def leave(self) -> Reply:
        """QUIT. The answer changes nothing, so it is not waited for longer than a moment."""
        self._reply_until = self._clock() + QUIT_SECONDS
        self._socket().settimeout(QUIT_SECONDS)
        code, text = self.quit()
        return replies.reply(code, text)

    def getreply(self) -> tuple[int, bytes]:
        """One reply of at most MAX_LINES lines of MAX_LINE octets; anything else closes the connection."""
        lines = []
        for _ in range(MAX_LINES):
            code, more, text = self._reply_line()
            lines.append(text)
            if not more:
                return code, b"\n".join(lines)
        self.close()
        raise OutOfTurn("a reply of too many lines")

    def _reply_line(self) -> tuple[int, bool, bytes]:
        line = self._line()
        match = _REPLY_LINE.fullmatch(line.rstrip(b"\r\n")) if line.endswith(b"\n") else None
        if match is None:
            self.close()
            if not line:
                raise smtplib.SMTPServerDisconnected("the connection ended")
            raise OutOfTurn("a line that is no reply")
        return int(match[1]), match[2] == b"-", (match[3] or b"").strip()

    def _line(self) -> bytes:
        """One line; nothing where the connection ended, and no line end where MAX_LINE octets had none."""
        while (end := self._received.find(b"\n")) < 0 and len(self._received) <= MAX_LINE:
            self._socket().settimeout(self._remaining(self._reply_until))
            octets = self._socket().recv(MAX_LINE)
            if not octets:
                return b""
            self._received += octets
        size = end + 1 or len(self._received)
        line = bytes(self._received[:size])
        del self._received[:size]
        return line

    def _command(self, line: str) -> Reply:
        self.command_encoding = "ascii" if line.isascii() else "utf-8"
        code, text = self._exchange(line)
        return replies.reply(code, text)

    def _exchange(self, line: str) -> tuple[int, bytes]:
        self.require_silence()
        self._wait(COMMAND_SECONDS)
        return self.docmd(line)

    def _get_socket(self, _host: str, port: int, timeout: float) -> socket.socket:
        """The hook of smtplib: connects to the checked addresses instead of the name."""
        connection = dial(self._addresses, port, lambda: min(timeout, self._left()))
        # Else the final dot, which is written by itself, waits for the acknowledgement of the body, and that
        # is delayed by 40 ms.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received.clear()
        self._reply_until = self._clock() + min(CONNECT_SECONDS, self._left())
        return self._wrapped(connection) if self._encrypted else connection

    def _wrapped(self, connection: socket.socket) -> ssl.SSLSocket:
        """The connection under TLS, the certificate and the name verified, in the time for one reply."""
        until = self._clock() + min(COMMAND_SECONDS, self._left())
        secured = self._tls.wrap_socket(connection, server_hostname=self._host, do_handshake_on_connect=False)
        try:
            self._shake_hands(secured, until)
        except BaseException:
            secured.close()
            raise
        return secured

    def _shake_hands(self, connection: ssl.SSLSocket, until: float) -> None:
        """The handshake as a whole until then: a timeout of the socket would be for each read."""
        connection.settimeout(0)
        while True:
            try:
                connection.do_handshake()
            except ssl.SSLWantReadError:
                self._poll(connection, select.POLLIN, until)
            except ssl.SSLWantWriteError:
                self._poll(connection, select.POLLOUT, until)
            else:
                return

    def _poll(self, connection: ssl.SSLSocket, event: int, until: float) -> None:
        poll = select.poll()
        poll.register(connection, event)
        poll.poll(1_000 * self._remaining(until))

    def _wait(self, seconds: float) -> None:
        """Bounds the next command with its reply."""
        allowed = min(seconds, self._left())
        self._reply_until = self._clock() + allowed
        self._socket().settimeout(allowed)

    def _left(self) -> float:
        return self._remaining(self.deadline)

    def _remaining(self, until: float) -> float:
        """The seconds until then. Raises TimeoutError when there are none."""
        seconds = until - self._clock()
        if seconds <= 0:
            raise TimeoutError("there is no time left")
        return seconds

    def _socket(self) -> socket.socket:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("the connection is closed")
        return self.sock


def _extensions(text: str) -> dict[str, str]:
    """The extensions that a reply to EHLO offers, by keyword in lower case (RFC 5321, section 4.1.1.1)."""
    lines = (re.split(r"[ =]", line.strip(), maxsplit=1) for line in text.splitlines()[1:])
    return {keyword.lower(): "".join(parameters) for keyword, *parameters in lines}


def _literal(address: str) -> str:
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
