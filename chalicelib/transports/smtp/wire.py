"""The commands of one SMTP connection, on the standard library's client.

smtplib is used for its commands only: its way of sending a message rewrites addresses, counts a 503 as a
successful AUTH, waits for ever and puts no bound on a reply.
"""

from __future__ import annotations

import math
import re
import smtplib
import socket
import ssl
from collections.abc import Iterable

from chalicelib.mail.models import Reply
from chalicelib.network import dial, left
from chalicelib.transports.smtp import replies, sasl

CONNECT_SECONDS = 30
COMMAND_SECONDS = 60
COMMIT_SECONDS = 120
"""How long the answer to the final dot is waited for: giving up early only makes more unknown outcomes."""
QUIT_SECONDS = 2

CONTINUE = 334
"""The server waits for the next step of the mechanism (RFC 4954, section 4)."""

MAX_LINE = 8192
MAX_LINES = 100
CHUNK = 64 * 1024

_REPLY_LINE = re.compile(rb"(\d{3})([ -]?)(.*)", re.DOTALL)


class Wire(smtplib.SMTP):
    """One connection to a server whose addresses were checked beforehand.

    `name` is the configured host name, which the certificate must bear; it is never looked up here.
    Raises what smtplib and the socket raise; whoever uses it translates. After `deadline` (of the monotonic
    clock, in seconds) nothing is begun but the final dot: then a TimeoutError is raised.
    """

    deadline: float = math.inf

    def __init__(self, name: str, addresses: Iterable[str], tls: ssl.SSLContext) -> None:
        # A local name is given because smtplib would look one up otherwise.
        super().__init__(local_hostname="localhost", timeout=CONNECT_SECONDS)
        self._host = name
        self._addresses = tuple(addresses)
        self._tls = tls
        self._encrypted = False

    def open(self, port: int, *, encrypted: bool = False) -> Reply:
        """Connects to the first address that answers, `encrypted` at once or not; returns the banner."""
        self._encrypted = encrypted
        code, text = self.connect(self._host, port)
        return replies.reply(code, text)

    def hello(self) -> Reply:
        """EHLO with our address literal (RFC 5321, section 4.1.3)."""
        self._wait(COMMAND_SECONDS)
        code, text = self.ehlo(_literal(self._socket().getsockname()[0]))
        return replies.reply(code, text)

    def secure(self) -> Reply:
        """STARTTLS with the certificate and the name verified; what was learnt before is forgotten."""
        self._wait(COMMAND_SECONDS)
        code, text = self.starttls(context=self._tls)
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
            if code != CONTINUE:
                break
            code, text = self._exchange(line)
        if code == CONTINUE and exchange.after_refusal is not None:
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

    def check_quiet(self) -> None:
        """Raises SMTPServerDisconnected if the server has gone, or has spoken out of turn.

        Asked before the final dot: what is known to be lost by then is certainly not delivered.
        """
        connection = self._socket()
        connection.settimeout(0)
        try:
            connection.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        raise smtplib.SMTPServerDisconnected("the server left during the message")

    def dot(self) -> Reply:
        """Writes the final dot and waits for the answer."""
        self._socket().settimeout(COMMIT_SECONDS)
        self._socket().sendall(b".\r\n")
        code, text = self.getreply()
        return replies.reply(code, text)

    def reset(self) -> Reply:
        """RSET."""
        return self._command("RSET")

    def leave(self) -> Reply:
        """QUIT. The answer changes nothing, so it is not waited for longer than a moment."""
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
        raise smtplib.SMTPException("a reply of too many lines")

    def _reply_line(self) -> tuple[int, bool, bytes]:
        if self.file is None:
            self.file = self._socket().makefile("rb")
        line = self.file.readline(MAX_LINE + 1)
        found = _REPLY_LINE.fullmatch(line.rstrip(b"\r\n")) if line.endswith(b"\n") else None
        if found is None:
            self.close()
            if not line:
                raise smtplib.SMTPServerDisconnected("the connection ended")
            raise smtplib.SMTPException("a line that is no reply")
        return int(found[1]), found[2] == b"-", found[3].strip()

    def _command(self, line: str) -> Reply:
        self.command_encoding = "ascii" if line.isascii() else "utf-8"
        code, text = self._exchange(line)
        return replies.reply(code, text)

    def _exchange(self, line: str) -> tuple[int, bytes]:
        self._wait(COMMAND_SECONDS)
        return self.docmd(line)

    def _get_socket(self, _host: str, port: int, timeout: float) -> socket.socket:
        """The hook of smtplib: connects to the checked addresses instead of the name."""
        connection = dial(self._addresses, port, lambda: min(timeout, self._left()))
        # Else the final dot, which is written by itself, waits for the acknowledgement of the body, and that
        # is delayed by 40 ms.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._wrapped(connection) if self._encrypted else connection

    def _wrapped(self, connection: socket.socket) -> socket.socket:
        """TLS from the first byte (RFC 8314, section 3.3), with the certificate and the name verified."""
        try:
            return self._tls.wrap_socket(connection, server_hostname=self._host)
        except BaseException:
            connection.close()
            raise

    def _wait(self, seconds: float) -> None:
        """Bounds the wait for the next answer."""
        self._socket().settimeout(min(seconds, self._left()))

    def _left(self) -> float:
        return left(self.deadline)

    def _socket(self) -> socket.socket:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("the connection is closed")
        return self.sock


def _literal(address: str) -> str:
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
