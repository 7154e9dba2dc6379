"""Trying an IMAP server out: signs in (AUTHENTICATE, RFC 3501), opens no folder, and leaves."""

from __future__ import annotations

import base64
import imaplib
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from chalicelib.mail.models import Phase
from chalicelib.transports import logins
from chalicelib.transports.dialling import probed, said
from chalicelib.transports.refusals import Refused

if TYPE_CHECKING:
    import ssl

    from chalicelib.secret import Secret
    from chalicelib.transports.dialling import Place
    from chalicelib.transports.smtp.probe import Step, Steps
    from chalicelib.transports.smtp.sasl import Exchange, Login

STEPS = ("connect", "capabilities", "auth", "logout")


class _Client(imaplib.IMAP4):
    """imaplib's client on a connection that is open already."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self._connection = connection
        super().__init__()

    def _create_socket(self, _timeout: float | None = None) -> ssl.SSLSocket:
        return self._connection


def probe(place: Place, login: Login, secret: Secret, seconds: float) -> tuple[list[Step], Refused | None]:
    """The steps of signing in, and why it did not succeed, or None. Ends after `seconds` at the latest."""

    def talk(connection: ssl.SSLSocket, steps: Steps) -> None:
        client = _Client(connection)
        with closing(client.file):
            sign_in(client, steps)

    def sign_in(client: _Client, steps: Steps) -> None:
        steps.note("connect", said(client.welcome), ok=True)
        steps.note("capabilities", " ".join(client.capabilities)[:200], ok=True)
        offered = {one.removeprefix("AUTH=") for one in client.capabilities if one.startswith("AUTH=")}
        exchange = login.exchange(secret, offered, place.host, place.port)
        heard: Any  # octets, whatever the stubs say
        try:
            if login.by_password and not offered:  # the way from before SASL (RFC 3501, section 6.2.3)
                _, heard = client.login(_quoted(login.user), secret.reveal())
            else:
                _, heard = client.authenticate(exchange.mechanism, _Answers(exchange))
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            raise Refused(logins.verdict("imap", said(str(error))), Phase.AUTH) from error
        steps.note("auth", said(heard[-1]), ok=True)
        with suppress(imaplib.IMAP4.error, OSError):
            steps.note("logout", said(client.logout()[1][-1] or b""), ok=True)

    return probed(place, STEPS, talk, broken=(imaplib.IMAP4.error,), seconds=seconds)


class _Answers:
    """The client's lines, one each time that the server asks; None (then ``*``) after the last."""

    def __init__(self, exchange: Exchange) -> None:
        last = () if exchange.after_refusal is None else (exchange.after_refusal,)
        self._lines = iter((*exchange.lines, *last))

    def __call__(self, _challenge: bytes) -> bytes | None:
        line = next(self._lines, None)
        return None if line is None else base64.b64decode(line)


def _quoted(user: str) -> str:
    """A quoted string (RFC 3501, section 4.3); imaplib quotes the password by itself, and not the name."""
    escaped = user.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
