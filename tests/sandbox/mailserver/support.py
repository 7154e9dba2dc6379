"""What the tests of the sandbox's mail server share: a stand-in for the provider, and an SMTP client."""

from __future__ import annotations

import contextlib
import json
import smtplib
import ssl
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.mailserver.client import MailServerClient
    from sandbox.mailserver.server import MailServer

ALICE = "alice@contoso.test"
BOB = "bob@example.test"
SCOPES = {
    "microsoft": ("https://outlook.office.com", "https://outlook.office.com/SMTP.Send"),
    "google": ("sandbox-client", "openid https://mail.google.com/"),
    "other": ("https://127.0.0.1/openid", "mail:smtp"),
}


class StandInProvider(ThreadingHTTPServer):
    """A real https endpoint that answers introspection from a table of tokens."""

    daemon_threads = True

    def __init__(self, certfile: str | Path, keyfile: str | Path) -> None:
        super().__init__(("127.0.0.1", 0), _Introspection)
        self.tokens: dict[str, dict[str, object]] = {}
        self.passwords: dict[str, dict[str, object]] = {}
        self.status = 200
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certfile, keyfile)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()

    @property
    def url(self) -> str:
        """The base URL that the mail server is given."""
        return f"https://127.0.0.1:{self.server_port}"

    def stop(self) -> None:
        """Stop serving and give the port back."""
        self.shutdown()
        self.server_close()


class _Introspection(BaseHTTPRequestHandler):
    server: StandInProvider

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        unknown = {"active": False, "reason": "unknown token"}
        calls = {
            "/_control/introspect": self.server.tokens,
            "/_control/introspect-password": self.server.passwords,
        }
        answer = json.dumps(calls.get(self.path, {}).get(asked["token"], unknown)).encode()
        self.send_response(self.server.status if self.path in calls else 404)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Stay quiet."""


@dataclass(frozen=True)
class World:
    """A running mail server with its provider, and the moves of a client."""

    server: MailServer
    client: MailServerClient
    provider: StandInProvider
    cafile: str

    def issue(self, user: str, listener: str, /, **changes: object) -> str:
        """Make the provider know a token that the listener accepts, but for the changes; return it."""
        audience, scope = SCOPES[listener]
        token = f"token-{len(self.provider.tokens)}-for-{user}"
        good = {"active": True, "user": user, "aud": audience, "scope": scope, "expires_at": time.time() + 60}
        self.provider.tokens[token] = {**good, **changes}
        return token

    def password(self, user: str) -> str:
        """Make the provider know an app password; return it."""
        password = f"app-password-{len(self.provider.passwords)}"
        self.provider.passwords[password] = {"active": True, "user": user}
        return password

    def connect(self, listener: str, timeout: float = 10.0) -> smtplib.SMTP:
        """Connect without TLS."""
        host, port = getattr(self.server, listener)
        return smtplib.SMTP(host, port, timeout=timeout)

    def secure(self, listener: str, timeout: float = 10.0) -> smtplib.SMTP:
        """Connect and bring TLS up, verified by the CA."""
        smtp = self.connect(listener, timeout)
        with closing_on_failure(smtp):
            smtp.starttls(context=ssl.create_default_context(cafile=self.cafile))
            smtp.ehlo_or_helo_if_needed()
        return smtp

    def sign_in(self, listener: str, user: str = ALICE, timeout: float = 10.0) -> smtplib.SMTP:
        """Connect, bring TLS up and authenticate with a good token."""
        smtp = self.secure(listener, timeout)
        with closing_on_failure(smtp):
            authenticate(smtp, user, self.issue(user, listener))
        return smtp


@contextlib.contextmanager
def closing_on_failure(smtp: smtplib.SMTP) -> Iterator[None]:
    """Close the connection if the block fails, and pass the failure on."""
    try:
        yield
    except Exception:
        smtp.close()
        raise


def authenticate(smtp: smtplib.SMTP, user: str, token: str) -> tuple[int, bytes]:
    """Authenticate in two steps, answering a failure challenge with an empty line, as clients must."""
    response = f"user={user}\x01auth=Bearer {token}\x01\x01"
    return smtp.auth(
        "XOAUTH2", lambda challenge=None: "" if challenge else response, initial_response_ok=False
    )


def as_bytes(refused: smtplib.SMTPResponseException) -> bytes:
    """Return the reply's text as smtplib keeps it, which is bytes whatever its types say."""
    text: bytes | str = refused.smtp_error
    return text.encode() if isinstance(text, str) else text


def message(message_id: str = "<one@contoso.test>", sender: str = ALICE, body: str = "Hello\r\n") -> bytes:
    """Return a small message with CRLF line ends."""
    head = f"From: Alice <{sender}>\r\nTo: {BOB}\r\nSubject: Greetings\r\nMessage-ID: {message_id}\r\n"
    return (head + "\r\n" + body).encode()
