"""Views of messages: parse, ask, answer."""

from __future__ import annotations

from chalice.app import Response

from chalicelib.callers.models import Scope
from chalicelib.callers.permissions import require
from chalicelib.errors import InvalidInput
from chalicelib.mail.models import Message
from chalicelib.mail.shown import message_record
from chalicelib.web import bodies
from chalicelib.web.calls import Call, decoded
from chalicelib.web.tracing import request_id

ACCEPTED = 202


def accept(call: Call) -> Response:
    """Takes a message in: it is kept safely, and will be relayed."""
    require(call.caller, Scope.SEND)
    accepted = call.services.send.accept(
        call.caller,
        call.raw_body,
        idempotency_key=call.request.headers.get("idempotency-key"),
        request_id=request_id(call.request),
    )
    return Response(accepted.to_json(), status_code=ACCEPTED)


def show(call: Call, message: str) -> Response:
    """One message's record with every attempt; never its body."""
    return _record(*call.services.outbox.get(call.caller, decoded(message)))


def listed(call: Call) -> Response:
    """One page of an account's records, the newest first, and the cursor of the next page.

    Who may not read the account sees the messages that it handed in itself.
    """
    named = call.query("account")
    if not named:
        fix = "Add ?account= and the account's id or name."
        raise InvalidInput("Records are listed by account.", fix=fix, field="account")
    found = call.services.outbox.list(call.caller, named, call.limit(), call.query("cursor"))
    return Response(found.to_json())


def resolve(call: Call, message: str) -> Response:
    """Settles a message of which nobody knows whether the server took it."""
    asked = call.body(bodies.Resolution)
    return _record(*call.services.outbox.resolve(call.caller, decoded(message), asked.as_))


def cancel(call: Call, message: str) -> Response:
    """Stops a message, as long as no server can have it whole. Cancelling it again changes nothing."""
    return _record(*call.services.outbox.cancel(call.caller, decoded(message)))


def _record(message: Message, held: bool) -> Response:  # noqa: FBT001 - a pair as the outbox returns it
    return Response(message_record(message, held=held))
