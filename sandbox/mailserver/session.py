"""One SMTP session: the greeting, the table of commands, and how it ends."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from typing import Final

from sandbox.mailserver import authentication, delivery, replies
from sandbox.mailserver.dialogue import Dialogue
from sandbox.mailserver.replies import Reply
from sandbox.mailserver.wire import LineTooLong, SessionOver

_Command = Callable[[Dialogue, str], Reply]


def serve(dialogue: Dialogue, context: ssl.SSLContext, *, implicit: bool = False) -> None:
    """Hold the whole conversation with one client and note how it ended.

    ``context`` is for STARTTLS, or for the ``implicit`` TLS with which the conversation begins.
    """
    ending = "the server failed"
    try:
        if implicit:
            _start_tls(dialogue, context)
        ending = _converse(dialogue, context)
    except SessionOver as over:
        ending = str(over)
    except OSError as error:
        ending = f"the connection was lost: {type(error).__name__}"
    finally:
        dialogue.log.closed(ending)
        dialogue.connection.close()


def _converse(dialogue: Dialogue, context: ssl.SSLContext) -> str:
    temperament = dialogue.temperament
    reply = dialogue.fault("CONNECT") or temperament.reply(temperament.greeting)
    dialogue.send(reply)
    while not reply.closes:
        reply = _answer(dialogue)
        dialogue.send(reply)
        if reply is replies.READY_FOR_TLS:
            _start_tls(dialogue, context)
    # The farewell is sent; a client that does not close in time changes nothing.
    with contextlib.suppress(OSError):
        dialogue.connection.finish()
    return f"closed after {reply.code}"


def _answer(dialogue: Dialogue) -> Reply:
    try:
        line = dialogue.connection.read_line()
    except LineTooLong as error:
        dialogue.send(replies.LINE_TOO_LONG)
        raise SessionOver("the client sent a line that is too long") from error
    written = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
    verb, _, argument = written.partition(" ")
    verb, argument = verb.upper(), argument.strip()
    dialogue.log.command(_redacted(verb, argument), len(line), tls=dialogue.tls)
    if not line.endswith(b"\r\n"):
        return replies.BAD_LINE_END
    command = _COMMANDS.get(verb)
    return replies.UNKNOWN_COMMAND if command is None else command(dialogue, argument)


def _redacted(verb: str, argument: str) -> str:
    """Return what the record may show of a line: a credential may stand in AUTH or in an unknown command."""
    if verb not in _COMMANDS:
        return "[unrecognised]"
    if verb != "AUTH":
        return f"{verb} {argument}".strip()
    mechanism, _, initial = argument.partition(" ")
    shown = (
        mechanism.upper()
        if mechanism.upper() in {"XOAUTH2", "OAUTHBEARER", "PLAIN", "LOGIN"}
        else "[redacted]"
    )
    return f"AUTH {shown} [redacted]" if initial else f"AUTH {shown}"


def _start_tls(dialogue: Dialogue, context: ssl.SSLContext) -> None:
    dialogue.fault("TLS")
    try:
        dialogue.connection.start_tls(context)
    except ssl.SSLError as error:
        raise SessionOver(f"the TLS handshake failed: {error.reason}") from error
    dialogue.log.encrypted(dialogue.connection.tls_version or "")
    dialogue.forget()


def _ehlo(dialogue: Dialogue, argument: str) -> Reply:
    if not argument:
        return replies.BAD_SYNTAX
    if (fault := dialogue.fault("EHLO")) is not None:
        return fault
    dialogue.greeted = True
    dialogue.envelope = None
    hello = dialogue.temperament.reply(dialogue.temperament.hello, client=dialogue.connection.client_host)
    return Reply(hello.code, "\n".join([hello.text, *dialogue.extensions.keywords(tls=dialogue.tls)]))


def _starttls(dialogue: Dialogue, argument: str) -> Reply:
    if argument:
        return replies.BAD_SYNTAX
    if not dialogue.extensions.starttls:
        return replies.UNKNOWN_COMMAND
    if dialogue.tls or not dialogue.greeted:
        return replies.BAD_SEQUENCE
    return dialogue.fault("STARTTLS") or replies.READY_FOR_TLS


def _mail(dialogue: Dialogue, argument: str) -> Reply:
    fault = dialogue.fault("MAIL")
    if fault is not None and not fault.succeeds:
        return fault
    reply = delivery.mail(dialogue, argument)
    return fault if fault is not None and reply.succeeds else reply


def _rset(dialogue: Dialogue, _argument: str) -> Reply:
    if (fault := dialogue.fault("RSET")) is not None:
        return fault
    dialogue.envelope = None
    return replies.RESET


def _noop(dialogue: Dialogue, _argument: str) -> Reply:
    return dialogue.fault("NOOP") or replies.NOOP


def _quit(dialogue: Dialogue, _argument: str) -> Reply:
    return dialogue.fault("QUIT") or dialogue.temperament.reply(dialogue.temperament.goodbye)


_COMMANDS: Final[dict[str, _Command]] = {
    "EHLO": _ehlo,
    "STARTTLS": _starttls,
    "AUTH": authentication.authenticate,
    "MAIL": _mail,
    "RCPT": delivery.recipient,
    "DATA": delivery.data,
    "RSET": _rset,
    "NOOP": _noop,
    "QUIT": _quit,
}
