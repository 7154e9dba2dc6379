"""One client's socket: lines in, replies out, TLS on demand."""

from __future__ import annotations

import socket
import ssl

# AUTH responses may be 12288 octets long (RFC 4954 section 4); one limit serves every command.
MAX_LINE = 16_384
_CHUNK = 65_536
_LINGER_SECONDS = 1.0


class SessionOver(Exception):
    """The session ends here; its text says how, for the session's record."""


class LineTooLong(Exception):
    """The client sent a command line longer than MAX_LINE."""


class Connection:
    """A buffered socket; every method but ``abort`` belongs to the one thread that serves the client."""

    def __init__(self, accepted: socket.socket, timeout: float) -> None:
        """Take over a connected socket; ``timeout`` in seconds bounds each wait for the client."""
        self._socket = accepted
        self._socket.settimeout(timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self._searched = 0

    @property
    def tls_version(self) -> str | None:
        """The TLS version, such as ``TLSv1.3``, or None while the connection is plain."""
        return self._socket.version() if isinstance(self._socket, ssl.SSLSocket) else None

    @property
    def client_host(self) -> str:
        """The client's IP address."""
        return str(self._socket.getpeername()[0])

    def read_line(self, limit: int | None = MAX_LINE) -> bytes:
        """Return the next line with its line end, whatever that is.

        Raises LineTooLong past ``limit`` octets, SessionOver if the client has closed the connection, and
        OSError (TimeoutError among them) if the connection is lost.
        """
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            if limit is not None and self._searched > limit:
                raise LineTooLong
            self._fill()
        if limit is not None and end >= limit:
            raise LineTooLong
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        self._searched = 0
        return line

    def send(self, data: bytes) -> None:
        """Send all of the bytes; raises OSError if the connection is lost."""
        self._socket.sendall(data)

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Do the server's side of the handshake; raises ssl.SSLError if the client breaks it off.

        Raises SessionOver if plain text came after STARTTLS: RFC 3207 section 4.2 wants it discarded, and
        a client that sends it is broken or attacked.
        """
        if self._buffer:
            message = "plain text was pipelined after STARTTLS"
            raise SessionOver(message)
        self._socket = context.wrap_socket(self._socket, server_side=True)

    def wait_for_close(self) -> None:
        """Read and forget until the client closes the connection, however long that takes."""
        self._socket.settimeout(None)
        while self._socket.recv(_CHUNK):
            pass

    def finish(self) -> None:
        """Close after a last reply, reading what the client still sends, so that no reset eats the reply."""
        self._socket.shutdown(socket.SHUT_WR)
        self._socket.settimeout(_LINGER_SECONDS)
        while self._socket.recv(_CHUNK):
            pass

    def abort(self) -> None:
        """Cut the connection from another thread; whoever reads or writes on it is woken."""
        self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def _fill(self) -> None:
        received = self._socket.recv(_CHUNK)
        if not received:
            message = "the client went away"
            raise SessionOver(message)
        self._buffer += received
