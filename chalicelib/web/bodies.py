"""What the API reads: JSON bodies as typed values, each problem named by its field."""

from __future__ import annotations

import json
from typing import Any, Literal, NoReturn, TypeVar

import msgspec

from chalicelib.callers.models import CallerKind, Scope
from chalicelib.errors import InvalidInput, MalformedRequest

Body = TypeVar("Body", bound="Request")


class Request(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The base of every body: a field that is not known is an error, since a typing mistake must not pass."""


class NewConnector(Request, frozen=True, kw_only=True):
    """POST /v1/connectors."""

    provider: Literal["microsoft", "google"]
    name: str
    client_id: str
    client_secret: str
    tenant: str = ""


class NewSecret(Request, frozen=True):
    """PUT /v1/connectors/{connector}/secret."""

    client_secret: str


class NewAccount(Request, frozen=True, kw_only=True):
    """POST /v1/accounts."""

    connector: str
    address: str
    name: str = ""
    display_name: str = ""


class Resolution(Request, frozen=True, rename={"as_": "as"}):
    """POST /v1/messages/{message}/resolve."""

    as_: Literal["sent", "failed", "resend"]


class NewCaller(Request, frozen=True, kw_only=True):
    """POST /v1/callers. `arn` belongs to a role, `alias` to a lambda, `expires_in` (seconds) to a key."""

    kind: CallerKind
    name: str
    scopes: list[Scope]
    accounts: list[str]
    arn: str = ""
    alias: str = ""
    expires_in: int | None = None


def read(raw: bytes, type_: type[Body]) -> Body:
    """The body as a value of that type.

    Raises MalformedRequest for what is not one JSON object, or repeats a key, or nests too deeply, and
    InvalidInput, naming the field, for a value that does not fit.
    """
    value = _parsed(raw)
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        raise InvalidInput(
            f"{message}.", fix="docs/api.md describes each field.", field=_field(message, path)
        ) from error


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw, object_pairs_hook=_once, parse_constant=_no_number)
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is no text
    except UnicodeEncodeError as error:
        raise InvalidInput("A text holds half of a surrogate pair.", fix="Send valid Unicode.") from error
    except (ValueError, RecursionError) as error:
        raise MalformedRequest("The body is not valid JSON.", fix="Send one JSON object in UTF-8.") from error
    if not isinstance(value, dict):
        raise MalformedRequest("The body is not a JSON object.", fix="Send one JSON object in UTF-8.")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; two values for one key are refused, because readers differ on which one counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is repeated")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _field(message: str, path: str) -> str | None:
    """The field that msgspec names: in its path (``$.scopes[0]``), or quoted in its sentence."""
    inner = path.rstrip("`").removeprefix("$").removeprefix(".")
    quoted = message.partition("field `")[2].partition("`")[0]
    return ".".join(part for part in (inner, quoted) if part) or None
