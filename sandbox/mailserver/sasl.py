"""The XOAUTH2 SASL mechanism on the server's side, as pure functions.

The response is ``base64("user=" mailbox ^A "auth=Bearer " token ^A ^A)`` with ^A the octet 0x01. Google
answers a refused response with a challenge of JSON, after which the client sends an empty line.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field


class MalformedResponse(ValueError):
    """The client's response is not base64 of an XOAUTH2 response."""


@dataclass(frozen=True)
class Credentials:
    """The mailbox and the access token of one AUTH; the token never shows in the repr."""

    user: str
    token: str = field(repr=False)


def decode(response: bytes) -> Credentials:
    """Read the base64 of an XOAUTH2 response; raises MalformedResponse, which never quotes it."""
    try:
        decoded = base64.b64decode(response, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        # The cause would quote the credentials, so it is not chained.
        raise MalformedResponse from None
    fields = dict(part.partition("=")[::2] for part in decoded.split("\x01") if part)
    scheme, _, token = fields.get("auth", "").partition(" ")
    user = fields.get("user", "")
    if not decoded.endswith("\x01\x01") or scheme.lower() != "bearer" or not user or not token:
        raise MalformedResponse
    return Credentials(user, token)


def failure_challenge(scope: str) -> str:
    """Return the base64 of the JSON with which Google's server refuses a response."""
    reason = {"status": "400", "schemes": "Bearer", "scope": scope}
    return base64.b64encode(json.dumps(reason, separators=(",", ":")).encode()).decode()
