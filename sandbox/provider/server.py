"""The provider as an https server on the loopback interface."""

# ruff: noqa: ARG002 - werkzeug's methods have arguments that are not needed here
from __future__ import annotations

import ipaddress
import logging
import ssl
import threading
from typing import TYPE_CHECKING, Self

from joserfc.jwk import RSAKey
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

from sandbox.provider.faults import FaultBook
from sandbox.provider.store import Store
from sandbox.provider.web import Application

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from wsgiref.types import WSGIEnvironment

SILENT_PEER_SECONDS = 30
_KEY_BITS = 2048
_logger = logging.getLogger(__name__)


class _Handler(WSGIRequestHandler):
    timeout = SILENT_PEER_SECONDS
    # Headers and body are two writes: the second would wait 40 ms for the first one's acknowledgement.
    disable_nagle_algorithm = True

    def connection_dropped(self, error: BaseException, environ: WSGIEnvironment | None = None) -> None:
        """Close without an answer, also when it is a fault that raised the error."""
        self.close_connection = True

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002  # werkzeug's parameter name
        # The request line is left out everywhere: an authorization request's query is nobody's business.
        # What remains are handshakes that a client broke off, such as a browser's that does not know the CA.
        if type == "error":
            _logger.debug("a connection failed: %s", message % args if args else message)


class Provider:
    """Serves all providers at one origin, from ``start`` to ``stop``; everything is kept in memory.

    ``host`` must be a loopback address. With ``port`` 0 a free one is taken at the first start and
    kept, so that a provider that was stopped comes back at the same URL with the same memory.
    ``certfile`` and ``keyfile`` are PEM files for that host.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, *, certfile: str | Path, keyfile: str | Path
    ) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"the sandbox's provider listens on loopback only, not on {host}")
        self._host = host
        self._port = port
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._tls.load_cert_chain(certfile, keyfile)
        self._store = Store()
        self._faults = FaultBook()
        self._key = RSAKey.generate_key(_KEY_BITS, {"use": "sig", "alg": "RS256"}, auto_kid=True)
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None
        # Authlib's debug log contains the tokens that it issues.
        logging.getLogger("authlib").setLevel(logging.WARNING)

    @property
    def url(self) -> str:
        """The origin, such as ``https://127.0.0.1:8443``; known after the first start if the port was 0."""
        return f"https://{self._host}:{self._port}"

    def start(self) -> Self:
        """Listen and serve in threads; raise ``OSError`` if the port is taken."""
        server = make_server(
            self._host, self._port, Response(status=503), threaded=True, request_handler=_Handler
        )
        self._port = server.port
        # The handshake is left to the thread of each connection: a peer that stays silent blocks nobody else.
        server.socket = self._tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.ssl_context = self._tls
        server.app = Application(self.url, self._store, self._faults, self._key)
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening; the memory stays for another start."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = self._thread = None

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()
