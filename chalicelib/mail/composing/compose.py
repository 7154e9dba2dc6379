"""A request becomes frozen bytes and an envelope: written from its fields here, or taken raw (raw.py)."""

from __future__ import annotations

import mimetypes
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from chalicelib.accounts.models.account import Account
from chalicelib.errors import InvalidInput
from chalicelib.mail.composing import addresses, folding, frozen, raw, senders, text
from chalicelib.mail.composing.addresses import Address
from chalicelib.mail.composing.frozen import Frozen
from chalicelib.mail.composing.request import Attachment, NamedAddress, SendRequest, Who
from chalicelib.mail.composing.senders import Sender
from chalicelib.mail.models import Envelope
from chalicelib.mail.ports import Limits

OCTETS = ("application", "octet-stream")


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
        body = _bytes(_written(request, sender, groups, own_id, now))
        result = Frozen(_envelope(account, groups), body, own_id, request.subject or "")
    _count(result.envelope.recipients, limits.recipients)
    frozen.check(result.body, limit=limits.size, field=None if request.raw is None else "raw")
    return result


def _all(people: list[Who] | None, field: str) -> list[Address]:
    return [_one(who, f"{field}[{index}]") for index, who in enumerate(people or [])]


def _one(who: Who, field: str) -> Address:
    if isinstance(who, NamedAddress):
        name = text.single_line(who.name, f"{field}.name")
        return addresses.checked(who.address, f"{field}.address", name=name)
    return addresses.checked(who, field)


def _envelope(account: Account, groups: dict[str, list[Address]]) -> Envelope:
    people = [one.address for group in groups.values() for one in group]
    return Envelope(senders.own_address(account), addresses.unique(people))


def _count(recipients: tuple[str, ...], limit: int) -> None:
    if not recipients:
        raise InvalidInput("The message has no recipient.", fix="Name one in to, cc or bcc.", field="to")
    if len(recipients) > limit:
        raise InvalidInput(
            f"The message has {len(recipients)} recipients; its provider takes {limit} at a time.",
            fix="Send several messages.",
            field="to",
        )


def _written(
    request: SendRequest, sender: Sender, groups: dict[str, list[Address]], own_id: str, now: int
) -> EmailMessage:
    reply_to = _all(request.reply_to, "reply_to") or [one for one in (sender.reply_to,) if one]
    shown = [sender.shown, *groups["to"], *groups["cc"], *reply_to]
    plain = all(one.address.isascii() for one in shown)
    message = EmailMessage(policy=folding.SEVEN_BIT if plain else folding.INTERNATIONAL)
    message["Date"] = _date(now)
    message["Message-ID"] = own_id
    message["From"] = sender.shown.header()
    for name, people in (("To", groups["to"]), ("Cc", groups["cc"]), ("Reply-To", reply_to)):
        if people:
            message[name] = [one.header() for one in people]
    if request.subject is not None:
        message["Subject"] = text.single_line(request.subject, "subject")
    _add_headers(message, request.headers or {})
    _add_bodies(message, request)
    return message


def _add_headers(message: EmailMessage, headers: dict[str, str]) -> None:
    for name, value in headers.items():
        field = f"headers.{text.single_line(name, 'headers')}"
        message[text.header_name(name, field)] = text.single_line(value, field)


def _add_bodies(message: EmailMessage, request: SendRequest) -> None:
    plain, html = text.content(request.text or "", "text"), request.html
    if html is None:
        message.set_content(plain)
    elif request.text is None:
        message.set_content(text.content(html, "html"), subtype="html")
    else:
        message.set_content(plain)
        message.add_alternative(text.content(html, "html"), subtype="html")
    # Parts of the HTML go first: attaching turns the message into multipart/mixed around what it was.
    numbered = list(enumerate(request.attachments or []))
    for index, file in sorted(numbered, key=lambda pair: pair[1].content_id is None):
        _attach(message, file, f"attachments[{index}]")


def _attach(message: EmailMessage, file: Attachment, field: str) -> None:
    name = text.file_name(file.filename, f"{field}.filename")
    maintype, subtype = _media_type(file, f"{field}.content_type")
    if file.content_id is None:
        message.add_attachment(file.content, maintype, subtype, filename=name)
        return
    html = message.get_body(("html",))
    if not isinstance(html, EmailMessage):
        raise InvalidInput(
            "A content id is for a part of the HTML, and there is none.",
            fix="Add html, or leave content_id out.",
            field=f"{field}.content_id",
        )
    own = text.content_id(file.content_id, f"{field}.content_id")
    html.add_related(file.content, maintype, subtype, cid=f"<{own}>", filename=name, disposition="inline")


def _media_type(file: Attachment, field: str) -> tuple[str, str]:
    if file.content_type is not None:
        return text.media_type(file.content_type, field)
    # Without the files of the machine, so that every machine guesses alike.
    guess = mimetypes.MimeTypes().guess_type(file.filename)[0]
    maintype, _, subtype = (guess or "").partition("/")
    return OCTETS if maintype in ("", "message", "multipart") else (maintype, subtype)


def _bytes(message: EmailMessage) -> bytes:
    return frozen.with_crlf(message.as_bytes())


def _date(now: int) -> str:
    return format_datetime(datetime.fromtimestamp(now // 1000, UTC))
