"""A message that the caller wrote itself (RFC 5322): checked, and left as it is.

Three things are changed, and nothing else: line ends become CRLF, Bcc fields are taken out, and a Date or a
Message-ID that is missing or empty is put on top.

Who a message is from and for is read here and again by servers and mail programs. Where two readers may
differ, the message is refused: it could show another sender than the account, or miss a recipient.
"""

from __future__ import annotations

import re
from email.headerregistry import AddressHeader, HeaderRegistry
from email.utils import getaddresses

from chalicelib.accounts.models.account import Account
from chalicelib.errors import Forbidden, InvalidInput
from chalicelib.mail.composing import addresses, frozen, readback, senders, text
from chalicelib.mail.composing import fields as header_fields
from chalicelib.mail.composing.addresses import Address
from chalicelib.mail.composing.frozen import Frozen
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

SHOWN_SUBJECT = 998

LONGEST_ADDRESSES = 20_000
"""Octets of one field of addresses; the library's parser takes the square of that in time."""

_FIELD = re.compile(rb"([!-9;-~]+):.*\r\n(?:[ \t].*\r\n)*")
"""A header field; white space before its colon (RFC 5322, section 4.5) is refused, as most readers do."""

Fields = list[tuple[str, bytes]]
"""Header fields in order, each with its lower-case name and its exact bytes."""


def freeze(
    raw: bytes, account: Account, groups: dict[str, list[Address]], message_id: str, *, date: str
) -> Frozen:
    """The message with its envelope.

    `groups` are the recipients that the request names; where it names none, they are those of To, Cc and
    Bcc. `message_id` and `date` are used where the message has none. Raises InvalidInput (field ``raw``)
    for a message that cannot be read, and Forbidden (``from_not_allowed``) for a foreign From or Sender.
    """
    head, end, body = frozen.with_crlf(raw).partition(b"\r\n\r\n")
    fields = header(head + b"\r\n" if end else head)
    _check(fields)
    fields = _from_sender(fields, account)
    own = {"date": date, "message-id": message_id}
    missing = [name for name in own if not _text(fields, name)]
    kept = [field for name, field in fields if name not in (*HIDDEN, *missing)]
    top = [f"{name.title().replace('-Id', '-ID')}: {own[name]}\r\n".encode() for name in missing]
    lines = [*top, *kept]
    body = frozen.with_crlf(body) if body else b""
    whole = b"".join([*lines, b"\r\n", body])
    readback.require_header(whole, [line.partition(b":")[0].decode() for line in lines], body, addresses={})
    return Frozen(
        envelope=Envelope(senders.own_address(account), _recipients(fields, groups)),
        body=whole,
        message_id=(_text(fields, "message-id") or message_id)[:SHOWN_SUBJECT],
        subject=_subject(fields),
    )


def header(head: bytes) -> Fields:
    """The fields of a header whose every line ends. Raises InvalidInput for a line that is none of them."""
    found, start = [], 0
    while start < len(head):
        field = _FIELD.match(head, start)
        if field is None:
            raise _unreadable("a line of its header is not a header field")
        found.append((field[1].decode("ascii").lower(), field[0]))
        start = field.end()
    return found


def _check(fields: Fields) -> None:
    if not all(field.isascii() for _, field in fields):
        raise _unreadable("a header field holds bytes outside ASCII; encode it by RFC 2047")
    names = [name for name, _ in fields]
    for name in SINGLE:
        if names.count(name) > 1:
            raise _unreadable(f"it has more than one {name.title()} field")
    if "from" not in names:
        raise _unreadable("it has no From field")


def _from_sender(fields: Fields, account: Account) -> Fields:
    """The fields as they are, or with From, Sender and Reply-To as the account's policy has them."""
    shown = _named(fields, "from")
    sender = _named(fields, "sender") if "sender" in dict(fields) else shown
    foreign = next((one for one in (shown, sender) if not senders.may_use(one.address, account)), None)
    if foreign is None and not account.always_name:
        return fields
    found = senders.sender(foreign or shown, account, "raw")
    new = {"from": found.shown}
    if found.reply_to is not None and "reply-to" not in dict(fields):
        new["reply-to"] = found.reply_to
    kept = [(name, field) for name, field in fields if name not in ("from", "sender")]
    return [*((name, header_fields.address_list(name.title(), [one])) for name, one in new.items()), *kept]


def _named(fields: Fields, name: str) -> Address:
    """The one address of the field with its name."""
    people = addresses_of(fields, name, groups=False)
    if len(people) != 1:
        raise Forbidden(
            f"The message's {name.title()} field has not exactly one address.",
            fix=f"Write the account's own address into {name.title()}.",
            field="raw",
            code="from_not_allowed",
        )
    shown = getaddresses([str(_parsed(name, _text(fields, name)))])[0][0]
    return Address(people[0], text.single_line(shown, "raw"))


def _recipients(fields: Fields, groups: dict[str, list[Address]]) -> tuple[str, ...]:
    named = [one.address for group in groups.values() for one in group]
    if named:
        return addresses.unique(named)
    found = [address for name in ("to", "cc", "bcc") for address in addresses_of(fields, name)]
    return addresses.unique(addresses.checked(address, "raw").address for address in found)


def addresses_of(fields: Fields, name: str, *, groups: bool = True) -> list[str]:
    """The addresses of a field, as two parsers read them alike: one decodes words, the other does not.

    Raises InvalidInput (field ``raw``) where they do not, or the field has LONGEST_ADDRESSES octets.
    """
    text = _text(fields, name)
    if len(text) > LONGEST_ADDRESSES:
        raise _unreadable(
            f"its {name.title()} field is longer than {LONGEST_ADDRESSES} bytes; name recipients beside raw"
        )
    header = _parsed(name, text)
    if not isinstance(header, AddressHeader):
        raise _unreadable(f"its {name.title()} field cannot be read")
    found = [one.addr_spec for one in header.addresses]
    grouped = not groups and any(group.display_name is not None for group in header.groups)
    if grouped or found != [address for _, address in getaddresses([text]) if address]:
        raise _unreadable(f"its {name.title()} field can be read in more than one way")
    return found


def _subject(fields: Fields) -> str:
    text = str(_parsed("subject", _text(fields, "subject")[: 2 * SHOWN_SUBJECT]))
    return "".join(letter if letter.isprintable() else " " for letter in text)[:SHOWN_SUBJECT]


def _parsed(name: str, text: str) -> object:
    try:
        return HeaderRegistry()(name, text)
    except Exception as error:
        # The parser fails in many ways at what it was not made for: ValueError, IndexError, RecursionError.
        raise _unreadable(f"its {name.title()} field cannot be read") from error


def _text(fields: Fields, name: str) -> str:
    """A field's text on one line, without its name; empty where there is none."""
    field = dict(fields).get(name, b"")
    return field.decode().partition(":")[2].replace("\r\n", "").strip()


def _unreadable(why: str) -> InvalidInput:
    return InvalidInput(
        f"The raw message cannot be used: {why}.",
        fix="Send one message as RFC 5322 has it, in base64.",
        field="raw",
    )
