"""Views of callers: parse, ask, answer."""

from __future__ import annotations

from dataclasses import fields

from msgspec import UNSET, UnsetType

from chalicelib import clock
from chalicelib.callers.models import ALL_ACCOUNTS, Caller, CallerKind, SendLimits
from chalicelib.callers.permissions import require_everything
from chalicelib.errors import InvalidInput, NotFound
from chalicelib.web.api import bodies, limits, records
from chalicelib.web.api.calls import Call, decoded
from chalicelib.web.api.queries import CallerNamed
from chalicelib.web.api.shown import caller_record, extended

BELONGS_TO = {"arn": CallerKind.ROLE, "alias": CallerKind.FUNCTION, "expires_in": CallerKind.KEY}
"""Field → the one kind of caller that has it."""
LIMITS = tuple(field.name for field in fields(SendLimits))


def create(call: Call) -> records.CreatedCaller:
    """Makes an API key, whose text is in this answer only, or allows a role or an alias of `send`."""
    require_everything(call.caller)
    asked = call.body(bodies.NewCaller)
    _check_fields(asked)
    accounts = [_account_id(call, named, place) for place, named in enumerate(asked.accounts)]
    held_to = SendLimits(**limits.checked({field: getattr(asked, field) for field in LIMITS}))
    what = (asked.name, asked.scopes, accounts)
    callers = call.services.callers
    if asked.kind is CallerKind.ROLE:
        return _created(callers.allow_role(asked.arn, *what, held_to))
    if asked.kind is CallerKind.FUNCTION:
        return _created(callers.allow_alias(asked.alias, *what, held_to))
    caller, key = callers.create_key(*what, _expires_at(asked.expires_in), held_to)
    return _created(caller, key=key.reveal())


def listed(call: Call) -> records.CallerList:
    """Every caller, also the revoked ones, the oldest first."""
    require_everything(call.caller)
    return records.CallerList(callers=[caller_record(caller) for caller in call.services.callers.all()])


def limit(call: Call) -> records.Caller:
    """Gives the caller that the parameter `id` names other limits.

    They hold for its new messages, and for those that wait: one that is no longer allowed fails. What is left
    out stays as it is; an empty list, or null, takes a limit away. It takes up to 30 seconds.
    """
    require_everything(call.caller)
    asked = bodies.given(call.body(bodies.CallerChange))
    if not asked:
        raise InvalidInput("The request names no limit.", fix=f"Give one of {', '.join(LIMITS)}.")
    caller = call.query(CallerNamed).id
    return caller_record(call.services.callers.limit(caller, **limits.checked(asked)))


def revoke(call: Call, caller: str) -> records.Caller:
    """Revokes a caller for ever; what it has handed in and is not sent yet stops."""
    require_everything(call.caller)
    return caller_record(call.services.callers.revoke(decoded(caller)))


def revoke_by_query(call: Call) -> records.Caller:
    """Revokes the caller that the parameter `id` names: a role's id holds slashes, which no path takes."""
    require_everything(call.caller)
    caller = call.query(CallerNamed).id
    return caller_record(call.services.callers.revoke(caller))


def whoami(call: Call) -> records.WhoAmI:
    """The caller itself: who it is, what it may do and with which accounts."""
    return extended(caller_record(call.caller), records.WhoAmI, stage=call.services.settings.stage)


def _created(caller: Caller, *, key: str | UnsetType = UNSET) -> records.CreatedCaller:
    return extended(caller_record(caller), records.CreatedCaller, key=key)


def _check_fields(asked: bodies.NewCaller) -> None:
    for field, kind in BELONGS_TO.items():
        if getattr(asked, field) and asked.kind is not kind:
            raise InvalidInput(f"{field} belongs to the kind {kind} only.", fix="Leave it out.", field=field)


def _expires_at(expires_in: int | None) -> int | None:
    if expires_in is None:
        return None
    if not 1 <= expires_in <= bodies.LONGEST_LIFE:
        fix = f"Give seconds, 1 to {bodies.LONGEST_LIFE}, or leave it out."
        raise InvalidInput("A key cannot live that long, or that short.", fix=fix, field="expires_in")
    return clock.now() + expires_in * clock.SECOND


def _account_id(call: Call, named: str, place: int) -> str:
    if named == ALL_ACCOUNTS:
        return named
    try:
        return call.services.registry.account(named).id
    except NotFound as error:
        fix = 'Give ids or names of accounts, or "*".'
        raise InvalidInput("There is no such account.", fix=fix, field=f"accounts[{place}]") from error
