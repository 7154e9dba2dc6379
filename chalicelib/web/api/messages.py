"""Views of messages: parse, ask, answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from chalicelib.callers.models import Scope
from chalicelib.callers.permissions import require
from chalicelib.errors import InvalidInput
from chalicelib.mail import records
from chalicelib.mail.models import Message
from chalicelib.mail.outbox import Filter
from chalicelib.mail.shown import message_record
from chalicelib.web.api import bodies
from chalicelib.web.api.calls import Call, decoded
from chalicelib.web.api.cursors import cursor_of, place_of
from chalicelib.web.api.queries import MessagesWanted
from chalicelib.web.tracing import request_id

LIST = "messages"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    """One page of records, the newest first, and the cursor of the next page.

    They are of one account, or of every account that the caller may use. Who has no scope `read` sees the
    messages that it handed in itself. A page may be short, or empty, and still have a next one. Over all
    accounts, or more than 20, a message that was accepted or changed a moment ago may be missing.
    """
    query = call.query(MessagesWanted)
    since, until = _milliseconds(query.since, "since"), _milliseconds(query.until, "until")
    wanted = Filter(query.account, query.state, since, until)
    after = place_of(call.caller, LIST, query)
    listed = call.services.outbox.list(call.caller, wanted, query.limit, after)
    return listed.record(cursor_of(listed.place, call.caller, LIST, query))


def resolve(call: Call, message: str) -> records.Message:
    """Settles a message of which nobody knows whether the server took it."""
    asked = call.body(bodies.Resolution)
    return _record(*call.services.outbox.resolve(call.caller, decoded(message), asked.as_))


def cancel(call: Call, message: str) -> records.Message:
    """Stops a message, as long as no server can have it whole. Cancelling it again changes nothing."""
    return _record(*call.services.outbox.cancel(call.caller, decoded(message)))


def _milliseconds(text: str | None, field: str) -> int | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise _no_time(field) from error
    if at.tzinfo is None:
        raise _no_time(field)
    return round((at - EPOCH) / timedelta(milliseconds=1))


def _no_time(field: str) -> InvalidInput:
    return InvalidInput(
        f"{field} is no time with an offset from UTC.",
        fix="Write it as RFC 3339 does, such as 2026-11-21T09:30:00Z; in a URL, + is written %2B.",
        field=field,
    )


def _record(message: Message, held: bool) -> records.Message:  # noqa: FBT001 - a pair as the outbox returns it
    return message_record(message, held=held)
