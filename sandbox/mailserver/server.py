"""MailServer: the SMTP listeners and the web side in one process, in memory, on 127.0.0.1."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from sandbox.mailserver import session
from sandbox.mailserver.dialogue import Dialogue, Services
from sandbox.mailserver.introspection import TokenChecker
from sandbox.mailserver.routes import Routes
from sandbox.mailserver.settings import Settings
from sandbox.mailserver.temperament import TEMPERAMENTS, Temperament
from sandbox.mailserver.web import WebServer
from sandbox.mailserver.wire import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOOPBACK = "127.0.0.1"
_POLL_SECONDS = 0.1
# RFC 5321 section 4.5.3.2.7: a server waits five minutes for the next command.
_COMMAND_TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True)
class Certificate:
    """The paths of a PEM certificate chain and of its private key."""

    certfile: str | Path
    keyfile: str | Path

    def context(self) -> ssl.SSLContext:
        """Return a server's TLS context, TLS 1.2 or newer."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certfile, self.keyfile)
        return context


class SubmissionListener(socketserver.ThreadingTCPServer):
    """One listener of one temperament, by STARTTLS or ``implicit`` TLS, a thread for each connection."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        temperament: Temperament,
        certificate: Certificate,
        services: Services,
        port: int = 0,
        *,
        implicit: bool = False,
    ) -> None:
        """Bind the port, 0 for a free one; raises OSError if it is taken, or a certificate cannot be read."""
        self._temperament = temperament
        self._context = certificate.context()
        self._services = services
        self._implicit = implicit
        self._changed = threading.Condition()
        self._connections: set[Connection] = set()
        super().__init__((_LOOPBACK, port), socketserver.BaseRequestHandler)

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that it listens on."""
        return _LOOPBACK, int(self.server_address[1])

    def finish_request(
        self,
        request: socket.socket | tuple[bytes, socket.socket],
        _client_address: Any,
    ) -> None:
        """Serve one connection from its greeting to its end."""
        if not isinstance(request, socket.socket):
            raise TypeError("a stream socket was expected")
        connection = Connection(request, _COMMAND_TIMEOUT_SECONDS)
        log = self._services.store.open_session(self._temperament.name)
        with self._tracking(connection):
            dialogue = Dialogue(connection, self._temperament, self._services, log)
            session.serve(dialogue, self._context, implicit=self._implicit)

    def cut_connections(self) -> None:
        """Cut every connection and return when their sessions have ended."""
        with self._changed:
            while self._connections:
                for connection in self._connections:
                    # It may just have ended by itself, or be between its plain and its TLS socket:
                    # whoever is left is cut the next time round.
                    with contextlib.suppress(OSError):
                        connection.abort()
                self._changed.wait(_POLL_SECONDS)

    @contextlib.contextmanager
    def _tracking(self, connection: Connection) -> Iterator[None]:
        with self._changed:
            self._connections.add(connection)
        try:
            yield
        finally:
            with self._changed:
                self._connections.discard(connection)
                self._changed.notify_all()


class MailServer:
    """The sandbox's mail server; a context manager that starts and stops it.

    ``certfile`` and ``keyfile`` are PEM paths; ``microsoft_certificate`` and ``google_certificate`` replace
    them for one listener, to play a wrong or untrusted one. ``provider_url`` is the https base URL of the
    provider that knows the tokens, verified by ``provider_cafile``. Port 0 takes a free port.
    """

    def __init__(  # noqa: PLR0913 - each is one independent fact, and all but four have defaults
        self,
        certfile: str | Path,
        keyfile: str | Path,
        provider_url: str,
        provider_cafile: str | Path,
        *,
        microsoft_port: int = 0,
        google_port: int = 0,
        web_port: int = 0,
        microsoft_certificate: Certificate | None = None,
        google_certificate: Certificate | None = None,
    ) -> None:
        """Bind all ports; raises OSError if one is taken, ValueError if the provider is not https."""
        usual = Certificate(certfile, keyfile)
        self._services = Services(Settings(TEMPERAMENTS), TokenChecker(provider_url, provider_cafile))
        certificates = {"microsoft": microsoft_certificate, "google": google_certificate}
        ports = {"microsoft": microsoft_port, "google": google_port}
        self._listeners = {
            each.name: SubmissionListener(
                each, certificates.get(each.name) or usual, self._services, ports.get(each.name, 0)
            )
            for each in TEMPERAMENTS
        }
        self._implicit = {
            each.name: SubmissionListener(
                each, certificates.get(each.name) or usual, self._services, implicit=True
            )
            for each in TEMPERAMENTS
        }
        self._web = WebServer(web_port, Routes(self._services))

    @property
    def microsoft(self) -> tuple[str, int]:
        """Host and port of the listener that answers as Microsoft does."""
        return self._listeners["microsoft"].address

    @property
    def google(self) -> tuple[str, int]:
        """Host and port of the listener that answers as Google does."""
        return self._listeners["google"].address

    @property
    def other(self) -> tuple[str, int]:
        """Host and port of the listener that answers as Postfix does."""
        return self._listeners["other"].address

    @property
    def implicit(self) -> dict[str, tuple[str, int]]:
        """Host and port by name of the listeners that begin with TLS."""
        return {name: listener.address for name, listener in self._implicit.items()}

    @property
    def url(self) -> str:
        """Base URL of the web side."""
        return self._web.url

    def start(self) -> None:
        """Serve in threads of its own; the ports accept connections when this returns."""
        for server in self._servers():
            threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening, cut every connection, and give the ports back."""
        self._services.stopping.set()
        servers = self._servers()
        with ThreadPoolExecutor(len(servers)) as pool:  # each takes as long as its poll
            list(pool.map(lambda server: server.shutdown(), servers))
        for server in servers:
            server.server_close()
        self._services.faults.clear(drops=True)
        for listener in self._submission():
            listener.cut_connections()

    def _submission(self) -> list[SubmissionListener]:
        return [*self._listeners.values(), *self._implicit.values()]

    def _servers(self) -> list[SubmissionListener | WebServer]:
        return [*self._submission(), self._web]

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        """Stop the server."""
        self.stop()
