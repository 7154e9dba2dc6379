"""AUTH: the credentials are read, the provider is asked, and each temperament refuses its own way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.mailserver import replies, sasl
from sandbox.mailserver.introspection import ProviderUnavailable, Refused
from sandbox.mailserver.replies import Reply

if TYPE_CHECKING:
    from sandbox.mailserver.dialogue import Dialogue

_CANCEL = b"*"
_DECODERS = {
    "XOAUTH2": sasl.decode,
    "OAUTHBEARER": sasl.decode_oauthbearer,
    "PLAIN": sasl.decode_plain,
}


class _Cancelled(Exception):
    """The client has broken the exchange off."""


def authenticate(dialogue: Dialogue, argument: str) -> Reply:
    """Answer ``AUTH``, with an initial response or step by step (RFC 4954 section 4)."""
    mechanism, _, initial = argument.partition(" ")
    mechanism = mechanism.upper()
    if (refused := _not_now(dialogue, mechanism)) is not None:
        return refused
    try:
        credentials = _credentials(dialogue, mechanism, initial.encode("utf-8", "surrogateescape"))
    except _Cancelled:
        return replies.AUTH_CANCELLED
    except sasl.MalformedResponse:
        return replies.CANNOT_DECODE
    fault = dialogue.fault("AUTH", dialogue.situation(user=credentials.user))
    return fault or _decide(dialogue, mechanism, credentials)


def _not_now(dialogue: Dialogue, mechanism: str) -> Reply | None:
    if not dialogue.tls:
        return replies.STARTTLS_FIRST
    if not dialogue.greeted or dialogue.user is not None or dialogue.envelope is not None:
        return replies.BAD_SEQUENCE
    return None if mechanism in dialogue.extensions.auth else replies.UNKNOWN_MECHANISM


def _credentials(dialogue: Dialogue, mechanism: str, initial: bytes) -> sasl.Credentials:
    if mechanism != "LOGIN":
        return _DECODERS[mechanism](_uncancelled(initial or dialogue.ask(Reply(334, ""))))
    user = _uncancelled(initial or dialogue.ask(Reply(334, sasl.ASK_USER)))
    password = _uncancelled(dialogue.ask(Reply(334, sasl.ASK_PASSWORD)))
    return sasl.Credentials(sasl.decode_text(user), sasl.decode_text(password), by_password=True)


def _uncancelled(response: bytes) -> bytes:
    if response == _CANCEL:
        raise _Cancelled
    return response


def _decide(dialogue: Dialogue, mechanism: str, credentials: sasl.Credentials) -> Reply:
    temperament, user = dialogue.temperament, credentials.user
    mailbox = dialogue.services.mailboxes.of(user)
    try:
        holder = dialogue.services.tokens.holder(credentials, temperament)
    except ProviderUnavailable as error:
        dialogue.log.authentication(user, str(error))
        return replies.TEMPORARY_AUTH_FAILURE
    except Refused as refused:
        return _refuse(dialogue, mechanism, user, str(refused))
    if not mailbox.may_sign_in(holder, dialogue.extensions.smtp_user):
        return _refuse(dialogue, mechanism, user, "the token is for another mailbox")
    if not mailbox.smtp_auth:
        dialogue.log.authentication(user, "SMTP AUTH is disabled for the mailbox")
        return temperament.reply(temperament.smtp_disabled)
    dialogue.log.authentication(user, None)
    dialogue.user, dialogue.holder = user, holder
    return temperament.reply(temperament.authenticated)


def _refuse(dialogue: Dialogue, mechanism: str, user: str, reason: str) -> Reply:
    temperament = dialogue.temperament
    dialogue.log.authentication(user, reason)
    if mechanism == "OAUTHBEARER":
        answer = dialogue.ask(Reply(334, sasl.failure_challenge(temperament.scope, "invalid_token")))
        if answer != sasl.ACKNOWLEDGED:
            return replies.CANNOT_DECODE
    elif mechanism == "XOAUTH2" and temperament.challenges_on_failure:
        dialogue.ask(Reply(334, sasl.failure_challenge(temperament.scope)))
    return temperament.reply(temperament.authentication_refused)
