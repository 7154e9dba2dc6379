"""What a caller asks for: the one JSON of every door, read and checked for its shape.

What the values mean (addresses, headers, sizes) is checked where the message is composed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from chalicelib import reading
from chalicelib.errors import InvalidInput
from chalicelib.mail.composing.text import LONGEST_FILE_NAME, LONGEST_NAME, LONGEST_TEXT
from chalicelib.records import format_of, limits, says

DAY = 86_400
MIN_EXPIRES_IN, MAX_EXPIRES_IN = 60, 5 * DAY

LONGEST_KEY = 255
KEY = {"minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[ -~]*$"}
"""An idempotency key, for JSON Schema."""

ONE_LINE = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]*$"
BASE64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"

WRITTEN = ("from_", "reply_to", "subject", "text", "html", "attachments", "headers")
"""Fields that make a message; a raw message has all of this inside."""


class Part(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The base of every object of the request: a field that is not known is an error, not a wish ignored."""


class NamedAddress(Part, frozen=True):
    """An address and the name to show beside it."""

    address: Annotated[str, format_of("idn-email", "ada@example.com")]
    name: Annotated[str, limits(pattern=ONE_LINE, maxLength=LONGEST_NAME)] = ""


Who = Annotated[
    str | NamedAddress, Meta(examples=["ada@example.com", {"address": "ada@example.com", "name": "Ada"}])
]
Line = Annotated[str, limits(pattern=ONE_LINE, maxLength=LONGEST_TEXT)]


class Attachment(Part, frozen=True, omit_defaults=True):
    """A file."""

    filename: Annotated[str, limits(minLength=1, maxLength=LONGEST_FILE_NAME)]
    content: Annotated[bytes, limits(pattern=BASE64), says("Its bytes, in base64.")]
    content_type: Annotated[
        str | None,
        says(
            "Such as `application/pdf`, perhaps with parameters, as in `text/calendar; method=REQUEST`."
            " Where it is left out, the ending of the file's name tells it."
        ),
    ] = None
    content_id: Annotated[
        str | None, says("Makes it a part of the HTML, which shows it by `cid:`; needs `html`.")
    ] = None


class SendRequest(Part, frozen=True, rename={"from_": "from"}):
    """A message to be sent: written from its fields, or given whole as `raw`.

    One recipient is needed; a subject, a text or an attachment is not. A field that is null counts as left
    out.
    """

    account: Annotated[str, limits(minLength=1), says("The account to send from, by id or unique name.")]
    from_: Annotated[
        Who | None, says("The account's own address, perhaps with another name; else the account's own.")
    ] = None
    to: Annotated[list[Who] | None, says("Recipients.")] = None
    cc: Annotated[list[Who] | None, says("Further recipients, whom everybody sees.")] = None
    bcc: Annotated[list[Who] | None, says("Recipients that nobody sees.")] = None
    reply_to: Annotated[list[Who] | None, says("Who gets the answers.")] = None
    subject: Line | None = None
    text: Annotated[str | None, says("The plain text. With `html` too, both are sent as alternatives.")] = (
        None
    )
    html: Annotated[str | None, says("The HTML.")] = None
    attachments: list[Attachment] | None = None
    headers: Annotated[
        dict[str, Line] | None, says('Further header fields, such as `{"X-Order": "4711"}`.')
    ] = None
    raw: Annotated[
        bytes | None,
        limits(pattern=BASE64),
        says(
            "A whole message (RFC 5322) in base64, relayed byte for byte but for its Bcc. Lines end with CRLF"
            " or LF, those of the body also with CR; a CR in the header is refused with its line. A byte"
            " order mark and the `From ` line of a mailbox file are left out. Beside it only `to`, `cc` and"
            " `bcc` may be given, which replace its recipients."
        ),
    ] = None
    idempotency_key: Annotated[
        str | None,
        limits(**KEY),
        says("With the same key, caller and account, the same message is accepted once."),
    ] = None
    on_unknown: Annotated[
        Literal["resend", "keep"],
        says(
            "When nobody knows whether the server took it: send it again (recipients may get it twice), or"
            " keep it until somebody resolves it."
        ),
    ] = "resend"
    expires_in: Annotated[
        int,
        limits(minimum=MIN_EXPIRES_IN, maximum=MAX_EXPIRES_IN),
        says("Seconds after which it is given up."),
    ] = DAY


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

    Raises InvalidInput for a key that is none, and when the two differ.
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
        raise InvalidInput(
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
