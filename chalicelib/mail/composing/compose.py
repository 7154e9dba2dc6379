"""A request becomes frozen bytes and an envelope: written from its fields here, or taken raw (raw.py)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

from chalicelib.accounts.models.account import Account
from chalicelib.addresses import unique
from chalicelib.errors import InvalidInput
from chalicelib.mail.composing import addresses, attachments, fields, frozen, raw, readback, senders, text
from chalicelib.mail.composing.addresses import Address
from chalicelib.mail.composing.frozen import LONGEST_HEADER, LONGEST_SHOWN, Frozen
from chalicelib.mail.composing.further_headers import further_headers
from chalicelib.mail.composing.request import NamedAddress, SendRequest, Who
from chalicelib.mail.composing.senders import Sender
from chalicelib.mail.models import Envelope
from chalicelib.mail.ports import Limits

MOST_RECIPIENTS = 1_000
LONGEST_RECIPIENTS = 60_000
"""Recipients, and octets of their addresses, of which a message's row can hold what became of each."""

MOST_LISTED = 5_000
"""Addresses of one list of a request that are looked at; more than any provider takes at a time."""


def compose(request: SendRequest, account: Account, message: str, *, now: int, limits: Limits) -> Frozen:
    """The message as it will be sent: Date and Message-ID are set here, once.

    `message` is our message id, `now` in milliseconds. Raises InvalidInput that names the field,
    Forbidden (``from_not_allowed``) for a foreign From, TooLarge for too many bytes.
    """
    own_id = f"<{message}@{senders.own_address(account).rpartition('@')[2]}>"
    groups = {name: _all(getattr(request, name), name) for name in ("to", "cc", "bcc")}
    if request.raw is not None:
        result = raw.freeze(request.raw, account, groups, own_id, date=_date(now))
    else:
        asked = None if request.from_ is None else _one(request.from_, "from")
        sender = senders.sender(asked, account, "from")
        body = _written(request, sender, groups, own_id, now)
        result = Frozen(_envelope(account, groups), body, own_id, (request.subject or "")[:LONGEST_SHOWN])
    _count(result.envelope.recipients, limits.recipients)
    frozen.check(result.body, limit=limits.size, field=None if request.raw is None else "raw")
    return result


def _all(people: list[Who] | None, field: str) -> list[Address]:
    if people is not None and len(people) > MOST_LISTED:
        raise InvalidInput(
            f"The list has {len(people)} addresses; {MOST_LISTED} are the most.",
            fix="Send several messages.",
            field=field,
        )
    return [_one(who, f"{field}[{index}]") for index, who in enumerate(people or [])]


def _one(who: Who, field: str) -> Address:
    if isinstance(who, NamedAddress):
        name = text.header_text(who.name, f"{field}.name", longest=text.LONGEST_NAME)
        return addresses.checked(who.address, f"{field}.address", name=name)
    return addresses.checked(who, field)


def _envelope(account: Account, groups: dict[str, list[Address]]) -> Envelope:
    people = [one.address for group in groups.values() for one in group]
    return Envelope(senders.own_address(account), unique(people))


def _count(recipients: tuple[str, ...], limit: int) -> None:
    if not recipients:
        raise InvalidInput("The message has no recipient.", fix="Name one in to, cc or bcc.", field="to")
    limit = min(limit, MOST_RECIPIENTS)
    if len(recipients) > limit:
        raise InvalidInput(
            f"The message has {len(recipients)} recipients; {limit} are the most at a time.",
            fix="Send several messages.",
            field="to",
        )
    octets = sum(len(address.encode()) for address in recipients)
    if octets > LONGEST_RECIPIENTS:
        raise InvalidInput(
            f"The recipients' addresses have {octets:,} bytes; {LONGEST_RECIPIENTS:,} are the most.",
            fix="Send several messages.",
            field="to",
        )


def _written(
    request: SendRequest, sender: Sender, groups: dict[str, list[Address]], own_id: str, now: int
) -> bytes:
    """The message's bytes, read back before anybody gets them."""
    reply_to = _all(request.reply_to, "reply_to") or [one for one in (sender.reply_to,) if one]
    named = {"From": [sender.shown], "To": groups["to"], "Cc": groups["cc"], "Reply-To": reply_to}
    people = {name: addresses for name, addresses in named.items() if addresses}
    body = attachments.body(request, own_id)
    header = {
        "Date": fields.verbatim("Date", _date(now)),
        "Message-ID": fields.verbatim("Message-ID", own_id),
        **{name: fields.address_list(name, addresses) for name, addresses in people.items()},
        **_subject(request),
        **further_headers(request.headers or {}),
        "MIME-Version": fields.verbatim("MIME-Version", "1.0"),
    }
    _require_length(header)
    lines = [*header.values(), *body.fields]
    written = b"".join([*lines, b"\r\n", body.content])
    names = [line.partition(b":")[0].decode() for line in lines]
    shown = {name: [one.address for one in addresses] for name, addresses in people.items()}
    readback.require_header(written, names, body.content, addresses=shown)
    return written


def _subject(request: SendRequest) -> dict[str, bytes]:
    if request.subject is None:
        return {}
    return {"Subject": fields.text("Subject", text.header_text(request.subject, "subject"))}


def _require_length(header: dict[str, bytes]) -> None:
    """Raises InvalidInput, naming the longest field, for a header that servers would not take."""
    if sum(map(len, header.values())) <= LONGEST_HEADER:
        return
    longest = max(header, key=lambda name: len(header[name]))
    field = text.RESERVED.get(longest.lower(), "headers")
    raise InvalidInput(
        f"The message's header is longer than {LONGEST_HEADER // 1024} KiB; its longest field is {longest}.",
        fix="Shorten it, or send several messages.",
        field=field,
    )


def _date(now: int) -> str:
    return format_datetime(datetime.fromtimestamp(now // 1000, UTC))
