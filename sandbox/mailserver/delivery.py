"""MAIL, RCPT and DATA: from the envelope to the stored message."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandbox.mailserver import content, replies
from sandbox.mailserver.faults import AFTER_STORE
from sandbox.mailserver.store import Envelope, Message

if TYPE_CHECKING:
    from sandbox.mailserver.dialogue import Dialogue
    from sandbox.mailserver.replies import Reply
    from sandbox.mailserver.settings import Extensions

_PATH = r'\s*<((?:"(?:[^"\\]|\\.)*"|[^<>"])*)>(?:\s+(.*))?$'
_SENDER = re.compile("FROM:" + _PATH, re.IGNORECASE)
_RECIPIENT = re.compile("TO:" + _PATH, re.IGNORECASE)
_ADDRESS = re.compile(r'(?:"(?:[^"\\]|\\.)+"|[^\s"@]+)@[^\s@]+')
_END_OF_DATA = b".\r\n"


def mail(dialogue: Dialogue, argument: str) -> Reply:
    """Answer MAIL: begin an envelope (RFC 5321 section 4.1.1.2, parameters of RFC 1870, 6152 and 6531)."""
    if (refused := _not_now(dialogue)) is not None:
        return refused
    if (written := _SENDER.match(argument)) is None:
        return replies.BAD_SYNTAX
    address, parameters = written[1], tuple((written[2] or "").split())
    problem = _parameter_problem(parameters, dialogue.extensions) or (
        _address_problem(address, parameters) if address else None
    )
    if problem is not None:
        return problem
    dialogue.envelope = Envelope(address, parameters)
    return dialogue.temperament.reply(dialogue.temperament.sender_ok)


def recipient(dialogue: Dialogue, argument: str) -> Reply:
    """Answer RCPT: one recipient more, up to the provider's limit; every well-formed address exists here."""
    if dialogue.envelope is None:
        return replies.BAD_SEQUENCE
    if (written := _RECIPIENT.match(argument)) is None or written[2]:
        return replies.BAD_SYNTAX
    address, temperament = written[1], dialogue.temperament
    fault = dialogue.fault("RCPT", dialogue.situation(recipients=(address,)))
    if fault is not None and not fault.succeeds:
        return fault
    if (problem := _address_problem(address, dialogue.envelope.parameters)) is not None:
        return problem
    if len(dialogue.envelope.recipients) >= temperament.max_recipients:
        return temperament.reply(temperament.too_many_recipients)
    dialogue.envelope = dialogue.envelope.with_recipient(address)
    return fault or temperament.reply(temperament.recipient_ok)


def data(dialogue: Dialogue, argument: str) -> Reply:
    """Answer DATA: take the message's bytes, and answer for the final dot."""
    if argument:
        return replies.BAD_SYNTAX
    envelope = dialogue.envelope
    if envelope is None or not envelope.recipients:
        return replies.BAD_SEQUENCE
    if (fault := dialogue.fault("DATA")) is not None:
        return fault
    dialogue.send(dialogue.temperament.reply(dialogue.temperament.go_ahead))
    raw = _read_message(dialogue)
    dialogue.log.command("[message]", len(raw), tls=dialogue.tls)
    reply = dialogue.fault("DOT") or _accept(dialogue, envelope, raw)
    dialogue.envelope = None
    return reply


def _not_now(dialogue: Dialogue) -> Reply | None:
    if not dialogue.tls:
        return replies.STARTTLS_FIRST
    if dialogue.user is None:
        return dialogue.temperament.reply(dialogue.temperament.authentication_required)
    return None if dialogue.greeted and dialogue.envelope is None else replies.BAD_SEQUENCE


def _parameter_problem(parameters: tuple[str, ...], extensions: Extensions) -> Reply | None:
    for parameter in parameters:
        keyword, _, value = parameter.upper().partition("=")
        if keyword == "SIZE" and extensions.size is not None and value.isdecimal():
            if int(value) > extensions.size:
                return replies.TOO_LARGE
        elif keyword == "BODY" and extensions.eightbitmime:
            if value not in {"7BIT", "8BITMIME"}:
                return replies.BAD_SYNTAX
        elif not (parameter.upper() == "SMTPUTF8" and extensions.smtputf8):
            return replies.UNKNOWN_PARAMETER
    return None


def _address_problem(address: str, parameters: tuple[str, ...]) -> Reply | None:
    if _ADDRESS.fullmatch(address) is None:
        return replies.BAD_ADDRESS
    if not address.isascii() and "SMTPUTF8" not in {each.upper() for each in parameters}:
        return replies.NEEDS_SMTPUTF8
    return None


def _read_message(dialogue: Dialogue) -> bytes:
    """Read up to the final dot and return the bytes with their dots unstuffed.

    Only CRLF ends a line here: a dot after a bare LF neither ends the message nor is unstuffed, so that no
    second message can be smuggled in. What passes the size limit is read and forgotten.
    """
    fault = dialogue.services.faults.find("BODY", dialogue.situation())
    message, received, at_line_start = bytearray(), 0, True
    while (line := dialogue.connection.read_line(None)) != _END_OF_DATA or not at_line_start:
        received += len(line)
        if len(message) <= _size_limit(dialogue):
            message += line[1:] if at_line_start and line.startswith(b".") else line
        at_line_start = line.endswith(b"\r\n")
        if fault is not None and received >= fault.after_bytes:
            dialogue.fault("BODY")
            fault = None
    return bytes(message)


def _size_limit(dialogue: Dialogue) -> int:
    offered = dialogue.extensions.size
    return dialogue.temperament.max_size if offered is None else offered


def _accept(dialogue: Dialogue, envelope: Envelope, raw: bytes) -> Reply:
    temperament, user, tls_version = dialogue.temperament, dialogue.user, dialogue.connection.tls_version
    authors = content.from_addresses(raw)
    if user is None or tls_version is None:
        return replies.BAD_SEQUENCE
    if len(raw) > _size_limit(dialogue):
        return replies.TOO_LARGE
    delivered = raw
    if temperament.rewrites_from:
        delivered = content.rewrite_from(raw, user) if _foreign(dialogue, authors) else raw
    elif (sender := _foreign(dialogue, [envelope.mail_from, *authors])) is not None:
        known = dialogue.services.mailboxes.has(sender)
        refusal = temperament.no_permission if known else temperament.send_as_denied
        return temperament.reply(refusal, user=user, sender=sender)
    message = dialogue.services.store.add(
        Message(temperament.name, dialogue.log.number, user, envelope, raw, delivered, tls_version)
    )
    message_id = message.message_id or f"<{message.number}@{temperament.host}>"
    return dialogue.fault("DOT", when=AFTER_STORE) or temperament.reply(
        temperament.accepted, message_id=message_id
    )


def _foreign(dialogue: Dialogue, addresses: list[str]) -> str | None:
    """Return the first address in whose name whoever signed in may not send."""
    holder, user, mailboxes = dialogue.holder, dialogue.user, dialogue.services.mailboxes
    if holder is None or user is None:
        return next(iter(addresses), None)
    return next((one for one in addresses if one and not mailboxes.of(one).may_send_as(holder, user)), None)
