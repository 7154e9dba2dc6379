"""The API as OpenAPI 3.1, made from the table of routes and from the types by which requests are read."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec

from chalicelib.mail.request import SendRequest
from chalicelib.web import accounts, bodies, callers, connectors, messages
from chalicelib.web.api import ROUTES, ApiView
from chalicelib.web.calls import LARGEST_PAGE, PAGE

VERSION = "1"

JsonObject = dict[str, Any]

BODIES: dict[ApiView, type[msgspec.Struct]] = {
    connectors.create: bodies.NewConnector,
    connectors.change: bodies.ConnectorChange,
    connectors.replace_secret: bodies.NewSecret,
    accounts.create: bodies.NewAccount,
    accounts.change: bodies.AccountChange,
    accounts.pause: bodies.Pause,
    messages.accept: SendRequest,
    messages.resolve: bodies.Resolution,
    callers.create: bodies.NewCaller,
}
"""View → what it reads from the body; any other view reads none."""

OPTIONAL = frozenset({accounts.pause})
"""Views whose body may be left out."""

_TEXT: JsonObject = {"type": "string"}
_PAGING: JsonObject = {
    "limit": {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": PAGE},
    "cursor": _TEXT,
}

QUERIES: dict[ApiView, JsonObject] = {
    connectors.show: _PAGING,
    accounts.listed: _PAGING,
    messages.listed: {"account": _TEXT, **_PAGING},
    callers.revoke_by_query: {"id": _TEXT},
}
"""View → its query parameters."""

REQUIRED = frozenset({"account", "id"})
"""Query parameters that cannot be left out."""

STATUSES: dict[ApiView, str] = {
    connectors.create: "201",
    accounts.create: "201",
    accounts.renew_link: "201",
    callers.create: "201",
    messages.accept: "202",
}
"""View → the status of its success, where it is not 200."""

ERROR: JsonObject = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": dict.fromkeys(("code", "message", "fix", "docs", "field"), _TEXT),
            "required": ["code", "message", "fix", "docs"],
            "additionalProperties": False,
        }
    },
    "required": ["error"],
    "additionalProperties": False,
}
"""The one shape of errors."""

_PARAMETER = re.compile(r"{(\w+)}")


@cache
def document() -> JsonObject:
    """The whole description. The paths are those of API keys; behind /iam/v1 there are the same, signed."""
    types = list(BODIES.values())
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    paths: JsonObject = {"/healthz": {"get": _open("healthz", "Whether the API can be reached.")}}
    for method, path, view in ROUTES:
        paths.setdefault(f"/v1{path}", {})[method.lower()] = _operation(path, view)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mailgrant", "version": VERSION, "description": "Mail from connected mailboxes."},
        "paths": paths,
        "security": [{"key": []}],
        "components": {
            "schemas": {**schemas, "Error": ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(path: str, view: ApiView) -> JsonObject:
    operation: JsonObject = {
        "operationId": f"{view.__module__.rpartition('.')[2]}.{view.__name__}",
        "summary": (view.__doc__ or "").partition("\n")[0],
        "parameters": _parameters(path, view),
        "responses": _responses(STATUSES.get(view, "200")),
    }
    if view in BODIES:
        schema = {"$ref": f"#/components/schemas/{BODIES[view].__name__}"}
        operation["requestBody"] = {
            "required": view not in OPTIONAL,
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _parameters(path: str, view: ApiView) -> list[JsonObject]:
    found = [_parameter("path", name, _TEXT, required=True) for name in _PARAMETER.findall(path)]
    for name, schema in QUERIES.get(view, {}).items():
        found.append(_parameter("query", name, schema, required=name in REQUIRED))
    if view is messages.accept:
        key = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"}
        found.append(_parameter("header", "Idempotency-Key", key, required=False))
    return found


def _parameter(where: str, name: str, schema: JsonObject, *, required: bool) -> JsonObject:
    return {"in": where, "name": name, "schema": schema, "required": required}


def _open(name: str, summary: str) -> JsonObject:
    """An operation that needs no key."""
    return {"operationId": name, "summary": summary, "responses": _responses("200"), "security": []}


def _responses(status: str) -> JsonObject:
    return {
        status: _answer("Done.", {"type": "object"}),
        "default": _answer("Refused.", {"$ref": "#/components/schemas/Error"}),
    }


def _answer(description: str, schema: JsonObject) -> JsonObject:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
