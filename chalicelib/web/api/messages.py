"""Views of messages: parse, ask, answer."""

from __future__ import annotations

from chalicelib.callers.models import Scope
from chalicelib.callers.permissions import require
from chalicelib.mail import records
from chalicelib.mail.models import Message
from chalicelib.mail.shown import message_record
from chalicelib.web.api import bodies
from chalicelib.web.api.calls import Call, decoded
from chalicelib.web.api.queries import MessagesOf
from chalicelib.web.tracing import request_id


def accept(call: Call) -> records.Accepted:
    """Takes a message in: it is kept safely, and will be relayed."""
    require(call.caller, Scope.SEND)
    return call.services.send.accept(
        call.caller,
        call.raw_body,
        idempotency_key=call.request.headers.get("idempotency-key"),
        request_id=request_id(call.request),
    )


def show(call: Call, message: str) -> records.Message:
    """One message's record with every attempt; never its body."""
    return _record(*call.services.outbox.get(call.caller, decoded(message)))


def listed(call: Call) -> records.MessagePage:
    """One page of an account's records, the newest first, and the cursor of the next page.

    Who may not read the account sees the messages that it handed in itself.
    """
    asked = call.query(MessagesOf)
    return call.services.outbox.list(call.caller, asked.account, asked.limit, asked.cursor).record()


def resolve(call: Call, message: str) -> records.Message:
    """Settles a message of which nobody knows whether the server took it."""
    asked = call.body(bodies.Resolution)
    return _record(*call.services.outbox.resolve(call.caller, decoded(message), asked.as_))


def cancel(call: Call, message: str) -> records.Message:
    """Stops a message, as long as no server can have it whole. Cancelling it again changes nothing."""
    return _record(*call.services.outbox.cancel(call.caller, decoded(message)))


def _record(message: Message, held: bool) -> records.Message:  # noqa: FBT001 - a pair as the outbox returns it
    return message_record(message, held=held)
