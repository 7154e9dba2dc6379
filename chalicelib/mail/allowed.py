"""Whether a caller's limits allow what a message says of its sender and of where answers go.

The bytes themselves are read, as they leave: when they are accepted, and again before they are relayed, for a
caller may have got other limits since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.callers import permissions

if TYPE_CHECKING:
    from chalicelib.callers.models import Caller
    from chalicelib.mail.composing.raw_header import Field

SENDERS = frozenset({"from", "sender", "resent-from", "resent-sender"})
"""Fields that say who sends (RFC 5322, sections 3.6.2 and 3.6.6)."""

ANSWERED = frozenset(
    {
        "disposition-notification-to",
        "errors-to",
        "mail-followup-to",
        "mail-reply-to",
        "read-receipt-to",
        "reply-to",
        "resent-reply-to",
        "return-receipt-to",
        "x-confirm-reading-to",
        "x-errors-to",
        "x-reply-to",
    }
)
"""Fields to whose addresses programs send answers, receipts (RFC 8098, section 2.1) and reports of errors."""

_OF_REQUEST = {"from": "from", "sender": "from", "reply-to": "reply_to"}


def require_allowed(caller: Caller, body: bytes, *, is_raw: bool) -> None:
    """Returns when the caller may send these bytes; `is_raw` says which fields of the request made them.

    Raises Forbidden, and InvalidInput for a field that can be read in more than one way.
    """
    limits = caller.limits
    if not limits.from_addresses and not limits.reply_to_domains:
        return
    # What reads addresses is loaded where it is needed: few callers have such limits.
    from chalicelib.mail.composing import raw_header

    for field in raw_header.fields(body.partition(b"\r\n\r\n")[0] + b"\r\n"):
        place = "raw" if is_raw else _OF_REQUEST.get(field.name, f"headers.{field.shown}")
        if field.name in SENDERS and limits.from_addresses:
            permissions.require_senders(caller, _addresses(field, place), place, field.shown)
        if field.name in ANSWERED and limits.reply_to_domains:
            permissions.require_reply_to(caller, _addresses(field, place), place, field.shown)


def _addresses(field: Field, place: str) -> set[str]:
    from chalicelib.addresses import folded
    from chalicelib.mail.composing import raw_header

    return {folded(person.address) for person in raw_header.addresses_of(field, place=place).people}
