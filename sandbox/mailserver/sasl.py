"""The SASL mechanisms on the server's side, as pure functions over what the client has sent.

With an access token (^A is the octet 0x01)::

    XOAUTH2      "user=" mailbox ^A "auth=Bearer " token ^A ^A
    OAUTHBEARER  "n,a=" mailbox "," ^A "host=" host ^A "port=" port ^A "auth=Bearer " token ^A ^A   (RFC 7628)

With a password::

    PLAIN        [mailbox] NUL mailbox NUL password                                                 (RFC 4616)
    LOGIN        mailbox, then password, each when it is asked for
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field

ASK_USER = base64.b64encode(b"Username:").decode()
ASK_PASSWORD = base64.b64encode(b"Password:").decode()
ACKNOWLEDGED = base64.b64encode(b"\x01")
"""What a client answers to a failure challenge of OAUTHBEARER (RFC 7628, section 3.2.3)."""
_GS2 = re.compile(r"[ny],(?:a=([^,]*))?,\x01")
_NAMES = {"=2C": ",", "=3D": "="}


class MalformedResponse(ValueError):
    """The client's response is not base64 of what the mechanism has."""


@dataclass(frozen=True)
class Credentials:
    """The mailbox and the access token or password of one AUTH, which never shows in the repr."""

    user: str
    token: str = field(repr=False)
    by_password: bool = False


def decode(response: bytes) -> Credentials:
    """Read the base64 of an XOAUTH2 response; raises MalformedResponse, which never quotes it."""
    text = decode_text(response)
    fields = _fields(text)
    user = fields.get("user", "")
    return Credentials(user, _bearer(text, fields, needed=user))


def decode_oauthbearer(response: bytes) -> Credentials:
    """Read the base64 of an OAUTHBEARER response; raises MalformedResponse, which never quotes it."""
    text = decode_text(response)
    header = _GS2.match(text)
    if header is None:
        raise MalformedResponse
    user = re.sub("=2C|=3D", lambda found: _NAMES[found[0]], header[1] or "")
    rest = text[header.end() :]
    return Credentials(user, _bearer(rest, _fields(rest), needed=user))


def decode_plain(response: bytes) -> Credentials:
    """Read the base64 of a PLAIN response; raises MalformedResponse, which never quotes it."""
    parts = decode_text(response).split("\0")
    if len(parts) != len(("authorize", "user", "password")) or not all(parts[1:]):
        raise MalformedResponse
    if parts[0] not in ("", parts[1]):
        raise MalformedResponse
    return Credentials(parts[1], parts[2], by_password=True)


def decode_text(response: bytes) -> str:
    """Read base64 of UTF-8; raises MalformedResponse, which never quotes it."""
    try:
        return base64.b64decode(response, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        # The cause would quote the credentials, so it is not chained.
        raise MalformedResponse from None


def failure_challenge(scope: str, status: str = "400") -> str:
    """Return the base64 of the JSON with which a server refuses a token."""
    reason = {"status": status, "schemes": "Bearer", "scope": scope}
    return base64.b64encode(json.dumps(reason, separators=(",", ":")).encode()).decode()


def _fields(text: str) -> dict[str, str]:
    return dict(part.partition("=")[::2] for part in text.split("\x01") if part)


def _bearer(text: str, fields: dict[str, str], *, needed: str) -> str:
    scheme, _, token = fields.get("auth", "").partition(" ")
    if not text.endswith("\x01\x01") or scheme.lower() != "bearer" or not needed or not token:
        raise MalformedResponse
    return token
