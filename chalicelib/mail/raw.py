"""A message that the caller wrote itself (RFC 5322): checked, and left as it is.

Three things are changed, and nothing else: line ends become CRLF, Bcc fields are taken out, and a Date or a
Message-ID that is missing is put on top.
"""

from __future__ import annotations

import re
from email.headerregistry import AddressHeader
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.policy import SMTP

from chalicelib.accounts.models import Account
from chalicelib.errors import Forbidden, InvalidInput
from chalicelib.mail import addresses, frozen
from chalicelib.mail.addresses import Address
from chalicelib.mail.frozen import Frozen
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

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:.*\r\n(?:[ \t].*\r\n)*")


def freeze(
    raw: bytes, account: Account, groups: dict[str, list[Address]], message_id: str, *, date: str
) -> Frozen:
    """The message with its envelope.

    `groups` are the recipients that the request names; where it names none, they are those of To, Cc and
    Bcc. `message_id` and `date` are used where the message has none. Raises InvalidInput (field ``raw``)
    for a message that cannot be read, and Forbidden (``from_not_allowed``) for a foreign From or Sender.
    """
    head, end, body = frozen.with_crlf(raw).partition(b"\r\n\r\n")
    fields = _fields(head + b"\r\n" if end else head)
    _check_once(fields)
    kept = [field for name, field in fields if name not in HIDDEN]
    headers = _headers([field for _, field in fields])
    _check_sender(headers, account)
    own_id = str(headers["Message-ID"] or "").strip() or message_id
    top = _missing(headers, message_id, date)
    return Frozen(
        envelope=Envelope(account.address, _recipients(headers, groups)),
        body=frozen.with_crlf(b"".join([*top, *kept]) + b"\r\n" + body)
        if body
        else b"".join([*top, *kept]) + b"\r\n",
        message_id=own_id[:SHOWN_SUBJECT],
        subject="".join(letter if letter.isprintable() else " " for letter in str(headers["Subject"] or ""))[
            :SHOWN_SUBJECT
        ],
    )


def _fields(head: bytes) -> list[tuple[str, bytes]]:
    """The header fields, in order, each with its lower-case name and its exact bytes."""
    found, start = [], 0
    while start < len(head):
        field = _FIELD.match(head, start)
        if field is None:
            raise _unreadable("a line of its header is not a header field")
        if not field[0].isascii():
            raise _unreadable("a header field holds bytes outside ASCII; encode it by RFC 2047")
        found.append((field[1].decode("ascii").lower(), field[0]))
        start = field.end()
    return found


def _check_once(fields: list[tuple[str, bytes]]) -> None:
    names = [name for name, _ in fields]
    for name in SINGLE:
        if names.count(name) > 1:
            raise _unreadable(f"it has more than one {name.title()} field")
    if "from" not in names:
        raise _unreadable("it has no From field")


def _headers(fields: list[bytes]) -> EmailMessage:
    return BytesHeaderParser(policy=SMTP).parsebytes(b"".join(fields) + b"\r\n")


def _check_sender(headers: EmailMessage, account: Account) -> None:
    for name in ("From", "Sender"):
        people = _people(headers, name)
        if name in headers and (len(people) != 1 or not addresses.same(people[0], account.address)):
            raise Forbidden(
                f"The account sends as {account.address} only, and {name} names another.",
                fix=f"Write the account's own address into {name}.",
                field="raw",
                code="from_not_allowed",
            )


def _recipients(headers: EmailMessage, groups: dict[str, list[Address]]) -> tuple[str, ...]:
    named = [one.address for group in groups.values() for one in group]
    if named:
        return addresses.unique(named)
    found = [address for name in ("To", "Cc", "Bcc") for address in _people(headers, name)]
    return addresses.unique(addresses.checked(address, "raw").address for address in found)


def _people(headers: EmailMessage, name: str) -> list[str]:
    header = headers[name]
    return [one.addr_spec for one in header.addresses] if isinstance(header, AddressHeader) else []


def _missing(headers: EmailMessage, message_id: str, date: str) -> list[bytes]:
    wanted = {"Date": date, "Message-ID": message_id}
    return [f"{name}: {value}\r\n".encode() for name, value in wanted.items() if not headers[name]]


def _unreadable(why: str) -> InvalidInput:
    return InvalidInput(
        f"The raw message cannot be used: {why}.",
        fix="Send one message as RFC 5322 has it, in base64.",
        field="raw",
    )
