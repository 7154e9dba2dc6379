"""The header fields that a request names itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from chalicelib.errors import InvalidInput
from chalicelib.mail.composing import fields, text

MOST = 100

STRUCTURED = frozenset(
    {
        "auto-submitted",
        "disposition-notification-options",
        "disposition-notification-to",
        "errors-to",
        "in-reply-to",
        "list-archive",
        "list-help",
        "list-id",
        "list-owner",
        "list-post",
        "list-subscribe",
        "list-unsubscribe",
        "list-unsubscribe-post",
        "mail-followup-to",
        "mail-reply-to",
        "original-message-id",
        "references",
        "return-receipt-to",
        "supersedes",
        "x-confirm-reading-to",
    }
)
"""Fields whose values programs read: ids, addresses and URLs, which no encoded word may replace."""


def further_headers(headers: Mapping[str, str]) -> dict[str, bytes]:
    """The fields as they are written, by name. Raises InvalidInput, naming the field."""
    if len(headers) > MOST:
        raise InvalidInput(
            f"There are {len(headers)} headers; {MOST} are the most.", fix="Leave some out.", field="headers"
        )
    written = {name: _field(name, value) for name, value in headers.items()}
    _require_once(written)
    return written


def _require_once(names: Iterable[str]) -> None:
    """Returns when no two names are the same field: case does not count (RFC 5322, section 1.2.2)."""
    by_small_name: dict[str, str] = {}
    for name in names:
        other = by_small_name.setdefault(name.lower(), name)
        if other != name:
            raise InvalidInput(
                f"The headers {other} and {name} are the same field: the case of a name does not count.",
                fix="Leave one of them out.",
                field=f"headers.{name}",
            )


def _field(name: str, value: str) -> bytes:
    field = f"headers.{text.header_text(name, 'headers')}"
    text.header_name(name, field)
    text.header_text(value, field)
    if name.lower() in STRUCTURED and fields.plain_words(name, value.strip(" ")) is None:
        raise InvalidInput(
            f"{name} is read by programs, and this value cannot be written as it is.",
            fix="Use printable ASCII in words of fewer than 900 characters, without encoded words.",
            field=field,
        )
    return fields.text(name, value.strip(" ") if name.lower() in STRUCTURED else value)
