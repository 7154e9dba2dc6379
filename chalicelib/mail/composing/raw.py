"""A message that the caller wrote itself (RFC 5322): checked, and left as it is.

Four things are changed, and nothing else: line ends become CRLF, what stands before the first field (a byte
order mark, the ``From `` line of a mailbox file) and Bcc fields are taken out, and a Date or a Message-ID
that is missing or empty is put on top.

Who a message is from and for is read here and again by servers and mail programs. Where two readers may
differ, the message is refused: it could show another sender than the account, or miss a recipient.
"""

from __future__ import annotations

import re
from collections import Counter

from chalicelib.accounts.models.account import Account
from chalicelib.addresses import unique
from chalicelib.errors import Forbidden
from chalicelib.mail.composing import addresses, raw_header, readback, senders, text
from chalicelib.mail.composing import fields as header_fields
from chalicelib.mail.composing.addresses import Address
from chalicelib.mail.composing.decoding import decoded
from chalicelib.mail.composing.frozen import LONGEST_SHOWN, Frozen
from chalicelib.mail.composing.raw_header import Field, first, unreadable
from chalicelib.mail.models import Envelope

SINGLE = (
    "from",
    "sender",
    "to",
    "cc",
    "bcc",
    "date",
    "message-id",
    "subject",
    "reply-to",
    "in-reply-to",
    "references",
)
"""Fields that may stand once at most (RFC 5322, section 3.6); Bcc too, though it is taken out."""

HIDDEN = ("bcc", "resent-bcc")

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""All but tabs and line ends: some readers take VT, FF, FS, GS and RS for line ends, too."""


def freeze(
    raw: bytes, account: Account, groups: dict[str, list[Address]], message_id: str, *, date: str
) -> Frozen:
    """The message with its envelope.

    `groups` are the recipients that the request names; where it names none, they are those of To, Cc and
    Bcc. `message_id` and `date` are used where the message has none. Raises InvalidInput (field ``raw``)
    for a message that cannot be read, and Forbidden (``from_not_allowed``) for a foreign From or Sender.
    """
    fields, body = raw_header.parted(raw)
    _check(fields)
    fields = _from_sender(fields, account)
    own = {"date": date, "message-id": message_id}
    missing = [name for name in own if not first(fields, name)]
    top = [f"{name.title().replace('-Id', '-ID')}: {own[name]}\r\n".encode() for name in missing]
    lines = [*top, *(field.octets for field in fields if field.name not in (*HIDDEN, *missing))]
    whole = b"".join([*lines, b"\r\n", body])
    readback.require_header(whole, [line.partition(b":")[0].decode() for line in lines], body, addresses={})
    return Frozen(
        envelope=Envelope(senders.own_address(account), _recipients(fields, groups)),
        body=whole,
        message_id=(first(fields, "message-id") or message_id)[:LONGEST_SHOWN],
        subject=_subject(fields),
    )


def _check(fields: list[Field]) -> None:
    for field in fields:
        if not field.octets.isascii():
            raise unreadable(
                f"its {field.shown} field (line {field.line}) holds bytes outside ASCII;"
                " encode it by RFC 2047"
            )
        if _CONTROL.search(field.octets):
            raise unreadable(
                f"its {field.shown} field (line {field.line}) holds a control character;"
                " leave it out, or encode it by RFC 2047"
            )
    count = Counter(field.name for field in fields)
    for name in SINGLE:
        if count[name] > 1:
            line = [field.line for field in fields if field.name == name][1]
            raise unreadable(f"it has more than one {name.title()} field (line {line})")
    if not count["from"]:
        raise unreadable("it has no From field")


def _from_sender(fields: list[Field], account: Account) -> list[Field]:
    """The fields as they are, or with From, Sender and Reply-To as the account's policy has them."""
    by_name = {field.name: field for field in fields}
    shown = _only(by_name["from"])
    sender = _only(by_name["sender"]) if "sender" in by_name else shown
    foreign = next((one for one in (shown, sender) if not senders.may_use(one.address, account)), None)
    if foreign is None and not account.always_name:
        return fields
    decided = senders.sender(foreign or shown, account, "raw")
    new = {"from": decided.shown}
    if decided.reply_to is not None and "reply-to" not in by_name:
        new["reply-to"] = decided.reply_to
    written = [Field(name, header_fields.address_list(name.title(), [who])) for name, who in new.items()]
    return [*written, *(field for field in fields if field.name not in ("from", "sender"))]


def _only(field: Field) -> Address:
    """The one address of a field, its name as readers see it."""
    people, has_group = raw_header.addresses_of(field)
    if has_group:
        raise unreadable(f"its {field.shown} field names a group")
    if len(people) != 1:
        raise Forbidden(
            f"The message's {field.shown} field has not exactly one address.",
            fix=f"Write the account's own address into {field.shown}.",
            field="raw",
            code="from_not_allowed",
        )
    name = text.header_text(people[0].name, "raw", longest=text.LONGEST_NAME)
    return Address(people[0].address, text.single_line(decoded(name), "raw"))


def _recipients(fields: list[Field], groups: dict[str, list[Address]]) -> tuple[str, ...]:
    named = [one.address for group in groups.values() for one in group]
    if named:
        return unique(named)
    people = [
        person
        for name in ("to", "cc", "bcc")
        for field in fields
        if field.name == name
        for person in raw_header.addresses_of(field).people
    ]
    return unique(addresses.checked(person.address, "raw").address for person in people)


def _subject(fields: list[Field]) -> str:
    subject = decoded(first(fields, "subject")[: 2 * LONGEST_SHOWN])
    return "".join(letter if letter.isprintable() else " " for letter in subject)[:LONGEST_SHOWN]
