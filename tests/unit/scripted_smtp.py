"""A mail server of which each answer is given as octets: what it says, when, and how it is cut."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chalicelib import network
from chalicelib.transports.smtp.sasl import Login
from chalicelib.transports.smtp.session import Server, SmtpSession
from tests.unit.mail_world import resolve

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.certs import Authority

USER = "ada@contoso.test"

USUAL = {
    "CONNECT": b"220 ready\r\n",
    "EHLO": b"250-here\r\n250-SIZE 1000000\r\n250 AUTH XOAUTH2\r\n",
    "AUTH": b"334 \r\n",
    "TOKEN": b"235 2.7.0 welcome\r\n",
    "MAIL": b"250 ok\r\n",
    "RCPT": b"250 ok\r\n",
    "DATA": b"354 go on\r\n",
    "DOT": b"250 2.0.0 queued\r\n",
    "RSET": b"250 ok\r\n",
    "QUIT": b"221 bye\r\n",
}
"""A server that takes everything."""


@dataclass
class Scripted:
    """The server's port, its answers, and the commands that it has heard in the last session.

    `before_octet` is called before each octet that is sent at the command `trickles`.
    """

    port: int
    tls: ssl.SSLContext
    answers: dict[str, bytes] = field(default_factory=lambda: dict(USUAL))
    cuts: str | None = None
    trickles: str | None = None
    before_octet: Callable[[], None] = lambda: None
    heard: list[str] = field(default_factory=list)

    def session(self, clock: Callable[[], float] = time.monotonic) -> SmtpSession:
        """A session with this server, not connected yet."""
        server = Server("127.0.0.1", self.port, implicit_tls=True)
        return SmtpSession(server, Login(USER), tls=self.tls, resolve=resolve, clock=clock)

    def play(self, **changes: bytes) -> None:
        """Answers as usual but for these commands."""
        self.answers = {**USUAL, **changes}
        self.cuts = self.trickles = None


@contextlib.contextmanager
def scripted_server(authority: Authority) -> Iterator[Scripted]:
    """A running server that speaks TLS from the first byte; ends with the block."""
    certificate = authority.issue("scripted")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certfile, certificate.keyfile)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        script = Scripted(listener.getsockname()[1], network.tls_context(authority.pem))
        thread = threading.Thread(target=_serve, args=(listener, context, script), daemon=True)
        thread.start()
        yield script
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _serve(listener: socket.socket, context: ssl.SSLContext, script: Scripted) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
            script.heard = []
            _talk(connection, script)


def _talk(connection: ssl.SSLSocket, script: Scripted) -> None:
    if not _answer(connection, script, "CONNECT"):
        return
    with connection.makefile("rb") as lines:
        while line := lines.readline():
            verb = line.split()[0].decode().upper() if line.split() else ""
            command = verb if verb in USUAL else "TOKEN"
            script.heard.append(command)
            if not _answer(connection, script, command) or command == "QUIT":
                return
            if command == "DATA" and script.answers["DATA"].startswith(b"3"):
                if not _has_dot(lines):
                    return
                script.heard.append("DOT")
                if not _answer(connection, script, "DOT"):
                    return


def _has_dot(lines: Iterator[bytes]) -> bool:
    """Whether the body comes to its final dot."""
    return any(line == b".\r\n" for line in lines)


def _answer(connection: ssl.SSLSocket, script: Scripted, command: str) -> bool:
    """Sends the answer; False where the connection is cut after it."""
    octets = script.answers[command]
    if script.trickles == command:
        for octet in octets:
            script.before_octet()
            connection.sendall(bytes([octet]))
    else:
        connection.sendall(octets)
    return script.cuts != command


def authority_in(directory: Path) -> Authority:
    """A new authority with its files in the directory."""
    from sandbox.certs import Authority

    return Authority.create(directory)
