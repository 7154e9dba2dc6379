"""AUTH XOAUTH2: the credentials are read, the provider is asked, and each temperament refuses its own way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.mailserver import replies, sasl
from sandbox.mailserver.introspection import ProviderUnavailable
from sandbox.mailserver.replies import Reply

if TYPE_CHECKING:
    from sandbox.mailserver.dialogue import Dialogue

_CANCEL = b"*"


def authenticate(dialogue: Dialogue, argument: str) -> Reply:
    """Answer ``AUTH XOAUTH2``, with an initial response or in two steps (RFC 4954 section 4)."""
    mechanism, _, initial = argument.partition(" ")
    if (refused := _not_now(dialogue, mechanism)) is not None:
        return refused
    response = initial.encode("utf-8", "surrogateescape") or dialogue.ask(Reply(334, ""))
    if response == _CANCEL:
        return replies.AUTH_CANCELLED
    try:
        credentials = sasl.decode(response)
    except sasl.MalformedResponse:
        return replies.CANNOT_DECODE
    return dialogue.fault("AUTH", dialogue.situation(user=credentials.user)) or _decide(dialogue, credentials)


def _not_now(dialogue: Dialogue, mechanism: str) -> Reply | None:
    if not dialogue.tls:
        return replies.STARTTLS_FIRST
    if not dialogue.greeted or dialogue.user is not None or dialogue.envelope is not None:
        return replies.BAD_SEQUENCE
    return None if mechanism.upper() == "XOAUTH2" else replies.UNKNOWN_MECHANISM


def _decide(dialogue: Dialogue, credentials: sasl.Credentials) -> Reply:
    temperament = dialogue.temperament
    try:
        reason = dialogue.services.tokens.refusal(credentials, temperament)
    except ProviderUnavailable as error:
        dialogue.log.authentication(credentials.user, str(error))
        return replies.TEMPORARY_AUTH_FAILURE
    dialogue.log.authentication(credentials.user, reason)
    if reason is None:
        dialogue.user = credentials.user
        return temperament.reply(temperament.authenticated)
    if temperament.challenges_on_failure:
        dialogue.ask(Reply(334, sasl.failure_challenge(temperament.scope)))
    return temperament.reply(temperament.authentication_refused)
