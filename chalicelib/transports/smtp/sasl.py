"""The SASL mechanism XOAUTH2, as pure functions.

A client's response is the base64 of::

    "user=" address ^A "auth=Bearer " token ^A ^A          (^A is the octet 0x01)

A server that refuses it may first send a challenge, the base64 of a JSON object such as
``{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}``, which the client answers with an
empty line to get the final reply (Google's XOAUTH2 protocol; RFC 7628 has the same JSON for OAUTHBEARER).
"""

from __future__ import annotations

import base64
import binascii
import json

from chalicelib.errors import InvalidInput
from chalicelib.secret import Secret

MECHANISM = "XOAUTH2"


def response(user: str, token: Secret) -> str:
    """The client's response for the mailbox and its access token.

    Raises InvalidInput, which quotes neither, when one of them holds a control character or the token is
    not ASCII (RFC 6750, section 2.1): it would end its field early.
    """
    value = token.reveal()
    if not value or not value.isascii() or not value.isprintable() or not user.isprintable():
        raise InvalidInput(
            "The mailbox name or its access token holds characters that XOAUTH2 cannot carry.",
            fix="Connect the account again.",
            field="account",
        )
    return base64.b64encode(f"user={user}\x01auth=Bearer {value}\x01\x01".encode()).decode()


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
