"""Which characters may stand where in a message; what is refused here could end a line or a field."""

from __future__ import annotations

import re
import unicodedata

from chalicelib.errors import InvalidInput

LINE_ENDS = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories of controls (with CR, LF, VT, FF, NEL, NUL), surrogates and separators of lines."""

JOINERS = "\u200c\u200d"
"""Format characters that writing needs (Persian, the scripts of India, emoji). All others are refused in file
names: direction (U+202E shows photo_gnp.exe as photo_exe.png), and what has no width (UTR 36, 3.1)."""

LONGEST_FILE_NAME = 255

LONGEST_TEXT = 10_000
"""Characters of a subject or of a further header: a thread of a hundred messages fits into References."""
LONGEST_NAME = 2_000

_NAME = re.compile(r"[!-9;-~]{1,76}")
"""A field name: printable ASCII without the colon (RFC 5322, section 3.6.8)."""

_CONTENT_ID = re.compile(r"[A-Za-z0-9._+-]{1,200}(@[A-Za-z0-9.-]{1,200})?")

RESERVED = {
    "from": "from",
    "to": "to",
    "cc": "cc",
    "bcc": "bcc",
    "reply-to": "reply_to",
    "subject": "subject",
    "sender": None,
    "return-path": None,
    "received": None,
    "date": None,
    "message-id": None,
    "mime-version": None,
    "dkim-signature": None,
    "authentication-results": None,
}
"""Headers that the caller cannot set by `headers`, and the field that sets them where there is one."""

RESERVED_PREFIXES = ("content-", "resent-", "arc-")


def single_line(value: str, field: str) -> str:
    """The value, if it holds neither a control character nor a line separator; raises InvalidInput."""
    if any(unicodedata.category(letter) in LINE_ENDS for letter in value):
        raise InvalidInput(
            "The value holds a control character or a line end.",
            fix="Write it on one line, as text.",
            field=field,
        )
    return value


def header_text(value: str, field: str, *, longest: int = LONGEST_TEXT) -> str:
    """The value, if it is one line of at most `longest` characters; raises InvalidInput."""
    if len(value) > longest:
        raise InvalidInput(
            f"The value has {len(value):,} characters; {longest:,} are the most.",
            fix="Shorten it.",
            field=field,
        )
    return single_line(value, field)


def content(value: str, field: str) -> str:
    """The text of a body, if it holds neither NUL nor half a surrogate pair; raises InvalidInput."""
    if any(letter == "\0" or unicodedata.category(letter) == "Cs" for letter in value):
        raise InvalidInput(
            "The text holds characters that are no text.", fix="Send valid Unicode.", field=field
        )
    return value


def header_name(name: str, field: str) -> str:
    """A header's name, if the caller may set it; raises InvalidInput."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            "This is not the name of a header.",
            fix="Use printable ASCII without spaces and colons.",
            field=field,
        )
    lower = name.lower()
    if lower in RESERVED or lower.startswith(RESERVED_PREFIXES):
        own = RESERVED.get(lower)
        raise InvalidInput(
            f"The header {name} cannot be set here.",
            fix=f"Use the field {own}."
            if own
            else "Leave it out: it is written by Mailgrant or by the servers.",
            field=field,
        )
    return name


def content_id(value: str, field: str) -> str:
    """A content id without its angle brackets; raises InvalidInput."""
    if not _CONTENT_ID.fullmatch(value):
        raise InvalidInput(
            "This is not a content id.",
            fix="Use letters, digits, dots and hyphens, such as logo.1",
            field=field,
        )
    return value


def file_name(value: str, field: str) -> str:
    """The name of an attachment, if it names a file and no path; raises InvalidInput."""
    is_path = value.strip() in ("", ".", "..") or "/" in value or "\\" in value
    if is_path or len(single_line(value, field)) > LONGEST_FILE_NAME:
        raise InvalidInput(
            "This is not a file name.",
            fix=f"Use 1 to {LONGEST_FILE_NAME} characters without / and \\.",
            field=field,
        )
    for place, letter in enumerate(value):
        if unicodedata.category(letter) == "Cf" and letter not in JOINERS:
            raise InvalidInput(
                f"The file name holds U+{ord(letter):04X} at {place}, which is not seen, and can make an"
                " ending look like another.",
                fix="Leave it out.",
                field=field,
            )
    return value
