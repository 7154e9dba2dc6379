"""The SASL mechanisms, as pure functions: each gives the lines that the client sends.

With an access token::

    XOAUTH2      "user=" address ^A "auth=Bearer " token ^A ^A                   (^A is the octet 0x01)
    OAUTHBEARER  "n,a=" address "," ^A "host=" host ^A "port=" port ^A "auth=Bearer " token ^A ^A   (RFC 7628)

A server that refuses it may first send a challenge, the base64 of a JSON object such as
``{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}``, which the client answers with an
empty line (XOAUTH2) or with ^A (OAUTHBEARER, RFC 7628, section 3.2.3) to get the final reply.

With a password::

    PLAIN        NUL address NUL password                                        (RFC 4616)
    LOGIN        address, then password, each when it is asked for
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection
from dataclasses import dataclass, field

from chalicelib.errors import InvalidInput
from chalicelib.secret import Secret

BY_TOKEN = ("XOAUTH2", "OAUTHBEARER")
BY_PASSWORD = ("PLAIN", "LOGIN")
"""What is used, the better one first."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A mechanism with the client's lines, in their order, and its answer to a refusal by a challenge."""

    mechanism: str
    lines: tuple[str, ...] = field(repr=False)
    after_refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """Whom a server shall let in. `by_password` says that the secret is a password, not an access token."""

    user: str
    by_password: bool = False

    def exchange(self, secret: Secret, offered: Collection[str], host: str, port: int) -> Exchange:
        """What is to be said to a server that offers these mechanisms.

        One that names none it shares with us is tried with the usual one: its reply says more than we could.
        Raises InvalidInput, which quotes neither, when user or secret hold what the mechanism cannot carry.
        """
        known = BY_PASSWORD if self.by_password else BY_TOKEN
        mechanism = next((one for one in known if one in offered), known[0])
        value = self._checked(secret)
        if mechanism == "LOGIN":
            return Exchange(mechanism, (_base64(self.user), _base64(value)))
        bearer = f"auth=Bearer {value}\x01\x01"
        text = {
            "XOAUTH2": f"user={self.user}\x01{bearer}",
            "OAUTHBEARER": f"n,a={_escaped(self.user)},\x01host={host}\x01port={port}\x01{bearer}",
            "PLAIN": f"\0{self.user}\0{value}",
        }[mechanism]
        answers = {"XOAUTH2": "", "OAUTHBEARER": _base64("\x01")}
        return Exchange(mechanism, (_base64(text),), answers.get(mechanism))

    def _checked(self, secret: Secret) -> str:
        """The secret's text, if nothing in it would end its field early (RFC 6750, section 2.1; RFC 4616)."""
        value = secret.reveal()
        carries = value.isprintable() and (self.by_password or value.isascii())
        if not value or not carries or not self.user.isprintable():
            raise InvalidInput(
                "The mailbox name or what it signs in with holds characters that cannot be sent.",
                fix="Connect the account again.",
                field="account",
            )
        return value


def refused_status(challenge: str) -> str:
    """The ``status`` of a server's error challenge (``400``, ``401``), or "" where it is not readable.

    Nothing else of the challenge is kept: it is chosen by the server.
    """
    try:
        found = json.loads(base64.b64decode(challenge, validate=True))
    except (binascii.Error, ValueError):
        return ""
    status = str(found.get("status", "")) if isinstance(found, dict) else ""
    return status if status.isascii() and status.isalnum() else ""


def _escaped(user: str) -> str:
    """A name in a GS2 header (RFC 5801, section 4)."""
    return user.replace("=", "=3D").replace(",", "=2C")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
