"""What a caller asks for: the one JSON of every door, read and checked for its shape.

What the values mean (addresses, headers, sizes) is checked where the message is composed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from chalicelib import reading
from chalicelib.errors import InvalidInput, MalformedRequest

DAY = 86_400
MIN_EXPIRES_IN, MAX_EXPIRES_IN = 60, 5 * DAY

LONGEST_KEY = 255

WRITTEN = ("from_", "reply_to", "subject", "text", "html", "attachments", "headers")
"""Fields that make a message; a raw message has all of this inside."""


class Part(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The base of every object of the request: a field that is not known is an error, not a wish ignored."""


class NamedAddress(Part, frozen=True):
    """An address and the name to show beside it."""

    address: str
    name: str = ""


Who = str | NamedAddress


class Attachment(Part, frozen=True, omit_defaults=True):
    """A file. `content_id` makes it part of the HTML, which shows it by ``cid:``."""

    filename: str
    content: bytes
    content_type: str | None = None
    content_id: str | None = None


class SendRequest(Part, frozen=True, rename={"from_": "from"}):
    """A message to be sent.

    It is written from its fields, or given whole as `raw` (RFC 5322, in base64); beside `raw`, `to`, `cc` and
    `bcc` replace its recipients. One recipient is needed; a subject, a text or an attachment is not, so that
    an empty message is sent as one. `from` is the account's own address or left out. `on_unknown` says what
    happens when nobody knows whether the server took the message: it is sent again (the recipients may get
    it twice), or kept until somebody resolves it. `expires_in` is in seconds. With the same `idempotency_key`
    the same request is accepted once.
    """

    account: str
    from_: Who | None = None
    to: list[Who] | None = None
    cc: list[Who] | None = None
    bcc: list[Who] | None = None
    reply_to: list[Who] | None = None
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    attachments: list[Attachment] | None = None
    headers: dict[str, str] | None = None
    raw: bytes | None = None
    idempotency_key: str | None = None
    on_unknown: Literal["resend", "keep"] = "resend"
    expires_in: int = DAY


def read(request: bytes | Mapping[str, Any]) -> SendRequest:
    """The request as a value, from JSON text or from what JSON text was parsed into.

    Raises MalformedRequest for what is not one JSON object, and InvalidInput, naming the field, for a
    field that is unknown, missing, or does not fit.
    """
    found = reading.read(request, SendRequest)
    _check(found)
    return found


def key_of(request: SendRequest, header: str | None) -> str | None:
    """The idempotency key, from the request or from the header beside it.

    Raises MalformedRequest for a key that is none, and InvalidInput when the two differ.
    """
    inside = request.idempotency_key
    if header is not None and inside is not None and header != inside:
        raise InvalidInput(
            "The header and the field name different idempotency keys.",
            fix="Send one of them.",
            field="idempotency_key",
        )
    key = inside if header is None else header
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise MalformedRequest(
            "This is not an idempotency key.",
            fix=f"Use 1 to {LONGEST_KEY} printable ASCII characters, such as a UUID.",
            field="idempotency_key",
        )
    return key


def fingerprint(request: SendRequest, account: str) -> str:
    """The SHA-256 of what is asked for, however it was written: order of fields, defaults, name or id.

    `account` is the account's id. The idempotency key itself is left out.
    """
    plain = msgspec.to_builtins(msgspec.structs.replace(request, account=account, idempotency_key=None))
    given = {name: value for name, value in plain.items() if value is not None}
    return hashlib.sha256(json.dumps(given, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _check(request: SendRequest) -> None:
    if not MIN_EXPIRES_IN <= request.expires_in <= MAX_EXPIRES_IN:
        raise InvalidInput(
            f"expires_in is not between {MIN_EXPIRES_IN} and {MAX_EXPIRES_IN} seconds.",
            fix="Leave it out to try for one day.",
            field="expires_in",
        )
    if request.raw is None:
        return
    for name in WRITTEN:
        if getattr(request, name) is not None:
            shown = name.removesuffix("_")
            raise InvalidInput(
                f"raw is the whole message, so {shown} cannot be given beside it.",
                fix=f"Write {shown} into the raw message, or leave raw out.",
                field=shown,
            )
