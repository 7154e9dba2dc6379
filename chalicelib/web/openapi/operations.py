"""What each operation of the API reads, whom it serves, and with which errors of its own it may refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from chalicelib import ids
from chalicelib.accounts.admin.checks import NAME_LIMIT
from chalicelib.callers.models import Scope
from chalicelib.mail.composing.request import KEY, SendRequest
from chalicelib.web.api import (
    accounts,
    bodies,
    callers,
    connectors,
    encryption,
    messages,
    providers,
    status,
)
from chalicelib.web.api.table import QUERIES

if TYPE_CHECKING:
    from chalicelib.records import Record
    from chalicelib.web.api.queries import Query
    from chalicelib.web.api.table import ApiView

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter beside the body: its name, where it stands, its JSON schema and its meaning."""

    name: str
    schema: JsonObject
    meaning: str
    where: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Operation:
    """What is known of a view beside its route.

    `scope` is what a caller needs, None where any will do; `everything` says that it needs all accounts too.
    `errors` are the codes of its own: those of every operation, of a body and of parameters come on top.
    """

    scope: Scope | None
    errors: tuple[str, ...] = ()
    everything: bool = False
    body: type[msgspec.Struct] | None = None
    optional: bool = False
    headers: tuple[Parameter, ...] = ()


def of_everything(*errors: str, **more: Any) -> Operation:
    """An operation on what belongs to no single account."""
    return Operation(Scope.ADMIN, errors, everything=True, **more)


ACCOUNT: JsonObject = {"type": "string", "minLength": 1, "maxLength": NAME_LIMIT}

PATH: Mapping[str, Parameter] = {
    "connector": Parameter(
        "connector",
        {"type": "string", "pattern": f"^{ids.shape('con')}$"},
        "The connector's id.",
        where="path",
    ),
    "account": Parameter("account", ACCOUNT, "The account's id or name.", where="path"),
    "message": Parameter(
        "message",
        {"type": "string", "pattern": f"^{ids.MESSAGE_SHAPE}$"},
        "The message's id.",
        where="path",
    ),
    "caller": Parameter(
        "caller",
        {"type": "string", "minLength": 1},
        "The caller's id, percent-encoded; one with slashes goes into the query of `DELETE /callers`.",
        where="path",
    ),
}
"""Name of a path's parameter → what it is."""

_PARAMETER = re.compile(r"{(\w+)}")

OPERATIONS: Mapping[ApiView, Operation] = {
    providers.listed: Operation(Scope.READ),
    connectors.create: of_everything(
        "discovery_failed",
        "issuer_mismatch",
        "private_address",
        "port_not_allowed",
        body=bodies.NewConnector,
    ),
    connectors.listed: Operation(Scope.READ),
    connectors.show: Operation(Scope.READ),
    connectors.change: of_everything(
        "connector_in_use",
        "conflict",
        "private_address",
        "port_not_allowed",
        body=bodies.ConnectorChange,
    ),
    connectors.delete: of_everything("connector_in_use"),
    connectors.replace_secret: of_everything("secret_refused", body=bodies.NewSecret),
    connectors.doctor: of_everything(),
    accounts.create: of_everything("account_not_found", "name_taken", body=bodies.NewAccount),
    accounts.listed: Operation(Scope.READ),
    accounts.show: Operation(Scope.READ, ("account_not_found",)),
    accounts.change: Operation(
        Scope.ADMIN,
        ("account_not_found", "all_accounts_needed", "name_taken", "conflict"),
        body=bodies.AccountChange,
    ),
    accounts.renew_link: Operation(Scope.ADMIN, ("account_not_found", "invalid_input")),
    accounts.connect: Operation(
        Scope.ADMIN,
        ("account_not_found", "all_accounts_needed", "connector_without_secret"),
        body=bodies.DirectConnection,
    ),
    accounts.roll_back: Operation(
        Scope.ADMIN,
        (
            "account_not_found",
            "all_accounts_needed",
            "nothing_to_roll_back",
            "connector_without_secret",
            "invalid_input",
        ),
    ),
    accounts.pause: Operation(Scope.ADMIN, ("account_not_found",), body=bodies.Pause, optional=True),
    accounts.resume: Operation(Scope.ADMIN, ("account_not_found",)),
    accounts.verify: Operation(Scope.ADMIN, ("account_not_found", "connector_without_secret")),
    accounts.doctor: Operation(Scope.ADMIN, ("account_not_found", "connector_without_secret")),
    accounts.disconnect: Operation(Scope.ADMIN, ("account_not_found",)),
    accounts.delete: of_everything("account_not_found", "account_in_use", "conflict"),
    accounts.restore: of_everything("account_not_found", "not_restorable"),
    messages.accept: Operation(
        Scope.SEND,
        (
            "account_not_found",
            "from_not_allowed",
            "reply_to_not_allowed",
            "account_disconnected",
            "idempotency_key_reused",
            "rate_limited",
        ),
        body=SendRequest,
        headers=(
            Parameter(
                "Idempotency-Key",
                {"type": "string", **KEY},
                "The same as the field `idempotency_key`.",
                where="header",
                required=False,
            ),
        ),
    ),
    messages.listed: Operation(None, ("account_not_found",)),
    messages.show: Operation(None, ("message_not_found",)),
    messages.resolve: Operation(Scope.ADMIN, ("message_not_found", "not_unknown"), body=bodies.Resolution),
    messages.cancel: Operation(Scope.SEND, ("message_not_found", "too_late_to_cancel")),
    callers.create: of_everything("caller_exists", body=bodies.NewCaller),
    callers.listed: of_everything(),
    callers.limit: of_everything(body=bodies.CallerChange),
    callers.revoke_by_query: of_everything(),
    callers.revoke: of_everything(),
    callers.whoami: Operation(None),
    status.show: Operation(Scope.READ),
    encryption.rewrap: of_everything(body=bodies.Rewrap, optional=True),
}


def parameters_of(path: str, view: ApiView) -> tuple[Parameter, ...]:
    """Those of the path, then those of the query, then headers."""
    named = (PATH[name] for name in _PARAMETER.findall(path))
    return (*named, *_of_query(QUERIES.get(view)), *OPERATIONS[view].headers)


def _of_query(type_: type[Query] | None) -> Iterator[Parameter]:
    if type_ is None:
        return
    _, found = msgspec.json.schema_components([type_])
    schema = found[type_.__name__]
    for name, one in schema["properties"].items():
        meaning = one.pop("description")
        yield Parameter(name, _without_null(one), meaning, "query", name in schema.get("required", ()))


def _without_null(schema: JsonObject) -> JsonObject:
    """A query has no null: there, a parameter is left out."""
    if "anyOf" not in schema:
        return schema
    (one,) = (one for one in schema["anyOf"] if one != {"type": "null"})
    return dict(one)


def answer_of(view: ApiView) -> type[Record]:
    """The type of a view's answer: what it says that it returns."""
    found: type[Record] = get_type_hints(view)["return"]
    return found
