"""The document itself: paths, answers, refusals, and the ways to say who is asking."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from chalicelib.errors import docs_of
from chalicelib.web.api.installation import Health
from chalicelib.web.api.table import ROUTES, STATUSES
from chalicelib.web.openapi import answers, examples, problems, schemas
from chalicelib.web.openapi.operations import OPERATIONS, Operation, Parameter, answer_of, parameters_of

if TYPE_CHECKING:
    from chalicelib.web.api.table import ApiView

JsonObject = dict[str, Any]

VERSION = "1"

ABOUT = """\
Mail from mailboxes whose owners have agreed to it.

Every operation is there twice: under `/v1` for API keys, and under `/iam/v1` for IAM roles and users, who
sign with AWS Signature Version 4. What a caller may do is said by its scopes; `admin` holds the others.
Every refusal has the one shape `Error`. Fields and parameters that are not known are refused. Times are
RFC 3339 in UTC.
"""

SERVERS: list[JsonObject] = [
    {"url": "v1", "description": "With an API key."},
    {"url": "iam/v1", "description": "With requests that are signed."},
]
"""Relative to where the document stands: an API Gateway has its stage in the path."""

SECURITY_SCHEMES: JsonObject = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, `mg_…`, under `/v1`. `POST /callers` makes one.",
    },
    "sigv4": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "x-amazon-apigateway-authtype": "awsSigv4",
        "description": "AWS Signature Version 4 for the service `execute-api`, under `/iam/v1`. The role or"
        " user is a caller that was allowed by `POST /callers`.",
    },
}

TAGS: JsonObject = {
    "providers": "What connectors can be made for.",
    "connectors": "OAuth clients that are registered at a provider, and what is known of its servers.",
    "accounts": "The mailboxes that mail is sent from, and the ways to connect them.",
    "messages": "Mail on its way.",
    "callers": "Who may use the API or the function `send`: API keys, IAM roles, aliases.",
    "status": "How the installation is.",
    "encryption": "The data keys under which tokens and passwords are stored.",
}
"""Noun → what it is; the name of a view's module."""

WORDS = {
    400: "The request cannot be read.",
    401: "No caller could be recognised.",
    403: "The caller may not do this.",
    404: "There is no such thing, or the caller may not know of it.",
    409: "The thing is in another state than this needs.",
    413: "It is too large.",
    415: "The body is of a type that is not read here.",
    422: "A value is wrong; `field` names it.",
    429: "API Gateway limits the requests, or the caller has handed in as much as it may.",
    500: "Something in the installation is broken.",
    502: "A provider refused, with a code of its own, or the function failed.",
    503: "Something of ours did not answer; `fix` says what can be sent again.",
    504: "The function did not answer in time; with an idempotency key the same request can be sent again.",
}

RETRY_AFTER: JsonObject = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}
}
HEADERS: dict[int, JsonObject] = {
    401: {
        name: {"description": description, "schema": {"type": "string"}}
        for name, description in (
            ("WWW-Authenticate", "How to authenticate, where something else than API Gateway hands it on."),
            ("x-amzn-Remapped-WWW-Authenticate", "The same, as API Gateway renames it."),
        )
    },
    429: RETRY_AFTER,
    502: RETRY_AFTER,
    503: RETRY_AFTER,
}
"""Status → headers that a refusal may have."""


@cache
def document() -> JsonObject:
    """The whole description, as JSON."""
    paths: JsonObject = {}
    for method, path, view in ROUTES:
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, view)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {
            "title": "Mailgrant",
            "version": VERSION,
            "description": ABOUT,
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": SERVERS,
        "tags": [{"name": name, "description": meaning} for name, meaning in TAGS.items()],
        "paths": {**paths, "/healthz": _health()},
        "components": {
            "schemas": schemas.components(),
            "responses": _shared_refusals(),
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def noun_of(view: ApiView) -> str:
    """The tag of an operation."""
    return view.__module__.rpartition(".")[2]


def words_of(view: ApiView) -> tuple[str, str]:
    """What an operation does, in a sentence, and what else there is to say."""
    summary, _, rest = (view.__doc__ or "").partition("\n")
    return summary, " ".join(rest.split())


def _operation(method: str, path: str, view: ApiView) -> JsonObject:
    known = OPERATIONS[view]
    summary, more = words_of(view)
    scopes = [] if known.scope is None else [str(known.scope)]
    operation: JsonObject = {
        "operationId": f"{noun_of(view)}.{view.__name__}",
        "tags": [noun_of(view)],
        "summary": summary,
        "parameters": [_parameter(one) for one in parameters_of(path, view)],
        "responses": _responses(method, view, known),
        "security": [{"key": scopes}, {"sigv4": scopes}],
    }
    if known.body is not None:
        operation["requestBody"] = _body(view, known)
    return {**operation, "description": more} if more else operation


def _parameter(one: Parameter) -> JsonObject:
    return {
        "in": one.where,
        "name": one.name,
        "description": one.meaning,
        "required": one.required,
        "schema": one.schema,
    }


def _body(view: ApiView, known: Operation) -> JsonObject:
    asked = {
        name.replace(" ", "_"): {"summary": name, "value": value}
        for name, value in examples.REQUESTS[view].items()
    }
    content = {"schema": schemas.reference(known.body), "examples": asked}
    return {"required": not known.optional, "content": {"application/json": content}}


def _responses(method: str, view: ApiView, known: Operation) -> JsonObject:
    done = {
        "description": "Done.",
        "content": {
            "application/json": {
                "schema": schemas.reference(answer_of(view)),
                "example": answers.ANSWERS[view].to_json(),
            }
        },
    }
    found: JsonObject = {str(STATUSES.get(view, 200)): done}
    own = problems.by_status(problems.own_codes(method, known))
    for status, codes in problems.by_status(problems.EVERYWHERE).items():
        if status not in own:
            found[str(status)] = {"$ref": f"#/components/responses/{status}"}
        else:
            own[status] += codes
    return {**found, **{str(status): refusal(status, codes) for status, codes in own.items()}}


def _shared_refusals() -> JsonObject:
    everywhere = problems.by_status(problems.EVERYWHERE)
    return {str(status): refusal(status, codes) for status, codes in everywhere.items()}


def refusal(status: int, codes: list[str]) -> JsonObject:
    """A refusal with one of these codes; at 502 the code may be a provider's own.

    The codes stand beside the schema: as choices of it they would make a type of each operation and status.
    """
    shown = ", ".join(f"[`{code}`]({docs_of(code)})" for code in codes)
    answer: JsonObject = {
        "description": f"{WORDS[status]} {shown}",
        "content": {"application/json": {"schema": schemas.ERROR_REFERENCE}},
    }
    if status != problems.BAD_GATEWAY:
        answer["x-codes"] = list(dict.fromkeys(codes))
    return {**answer, "headers": HEADERS[status]} if status in HEADERS else answer


def _health() -> JsonObject:
    done = {
        "description": "It runs.",
        "content": {
            "application/json": {
                "schema": schemas.reference(Health),
                "example": Health(status="ok", stage="prod").to_json(),
            }
        },
    }
    asked = {
        "operationId": "healthz",
        "tags": ["status"],
        "summary": "Whether the API can be reached. It needs no key, and asks nothing else.",
        "responses": {"200": done},
        "security": [],
    }
    return {"servers": [{"url": "."}], "get": asked}
