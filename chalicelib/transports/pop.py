"""Trying a POP3 server out: signs in (AUTH, RFC 5034), lists no message, and leaves."""

from __future__ import annotations

import poplib
from contextlib import closing, suppress
from typing import TYPE_CHECKING

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

STEPS = ("connect", "capabilities", "auth", "quit")


class _Client(poplib.POP3):
    """poplib's client on a connection that is open already."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self._connection = connection
        try:
            super().__init__("")
        except BaseException:
            self.close()
            raise

    def _create_socket(self, _timeout: float | None = None) -> ssl.SSLSocket:
        return self._connection

    def mechanisms(self) -> set[str]:
        """What CAPA names under SASL; nothing where the server does not know CAPA."""
        try:
            return {one.upper() for one in self.capa().get("SASL", [])}
        except poplib.error_proto:
            return set()

    def authenticate(self, exchange: Exchange) -> bytes:
        """AUTH, a line a step: Exchange takes no token in the command itself. Raises poplib.error_proto."""
        last = () if exchange.after_refusal is None else (exchange.after_refusal,)
        heard: bytes = self._shortcmd(f"AUTH {exchange.mechanism}")  # type: ignore[attr-defined]
        for line in (*exchange.lines, *last):
            if heard.startswith(b"+OK"):
                break
            heard = self._shortcmd(line)  # type: ignore[attr-defined]
        if not heard.startswith(b"+OK"):
            raise poplib.error_proto(b"-ERR the server asks for more than there is to say")
        return heard


def probe(place: Place, login: Login, secret: Secret, seconds: float) -> tuple[list[Step], Refused | None]:
    """The steps of signing in, and why it did not succeed, or None. Ends after `seconds` at the latest."""

    def talk(connection: ssl.SSLSocket, steps: Steps) -> None:
        with closing(_Client(connection)) as client:
            sign_in(client, steps)

    def sign_in(client: _Client, steps: Steps) -> None:
        steps.note("connect", said(client.welcome), ok=True)
        offered = client.mechanisms()
        steps.note("capabilities", f"SASL {' '.join(sorted(offered))}".strip(), ok=True)
        exchange = login.exchange(secret, offered, place.host, place.port)
        try:
            if login.by_password and not offered:  # the way from before SASL (RFC 1939, section 7)
                client.user(login.user)
                heard = client.pass_(secret.reveal())
            else:
                heard = client.authenticate(exchange)
        except poplib.error_proto as error:
            raise Refused(logins.verdict("pop", _text(error)), Phase.AUTH) from error
        steps.note("auth", said(heard), ok=True)
        with suppress(poplib.error_proto, OSError):
            steps.note("quit", said(client.quit()), ok=True)

    return probed(place, STEPS, talk, broken=(poplib.error_proto, UnicodeError), seconds=seconds)


def _text(error: poplib.error_proto) -> str:
    text = error.args[0] if error.args else b""
    return said(text if isinstance(text, bytes) else str(text).encode())
