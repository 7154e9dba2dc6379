"""The JSON schemas of everything that is read and answered, made from its types."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from chalicelib.mail.composing.request import WRITTEN, SendRequest
from chalicelib.web.api.installation import Health
from chalicelib.web.api.table import ROUTES
from chalicelib.web.openapi.operations import OPERATIONS, answer_of

if TYPE_CHECKING:
    from chalicelib.records import Record

JsonObject = dict[str, Any]

PLACE = "#/components/schemas/"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TEXT: JsonObject = {"type": "string"}
_ERRORS: JsonObject = {
    "Error": {
        "title": "Error",
        "description": "The one shape of every refusal.",
        "type": "object",
        "properties": {"error": {"$ref": f"{PLACE}ErrorDetails"}},
        "required": ["error"],
        "additionalProperties": False,
    },
    "ErrorDetails": {
        "title": "ErrorDetails",
        "description": "What is wrong, where, and how to mend it.",
        "type": "object",
        "properties": {
            "code": {**_TEXT, "description": "For programs; it does not change."},
            "message": {**_TEXT, "description": "What is wrong."},
            "fix": {**_TEXT, "description": "How to mend it."},
            "docs": {**_TEXT, "description": "Where the documentation explains the code."},
            "field": {**_TEXT, "description": "Where it is, such as `attachments[2].content`."},
        },
        "required": ["code", "message", "fix", "docs"],
        "additionalProperties": False,
    },
}
ERROR_REFERENCE: JsonObject = {"$ref": f"{PLACE}Error"}


def _has(field: str) -> JsonObject:
    """The field is there, with something in it."""
    return {"required": [field], "properties": {field: {"not": {"enum": [None, []]}}}}


_RAW = _has("raw")
_ONLY_IN_FIELDS: JsonObject = {"properties": {name.removesuffix("_"): {"type": "null"} for name in WRITTEN}}
MESSAGE_RULES: JsonObject = {
    "if": _RAW,
    "then": _ONLY_IN_FIELDS,
    "else": {"anyOf": [_has("to"), _has("cc"), _has("bcc")]},
}
"""What no single field can say: one recipient is needed, and a raw message has everything inside.

Who makes clients leaves such conditions alone; of a bare ``anyOf`` it would make a choice of types."""


@cache
def components() -> JsonObject:
    """Name → schema of each type of the API, and of the errors."""
    bodies = [known.body for known in OPERATIONS.values() if known.body is not None]
    answers: list[type[Record]] = [answer_of(view) for _, _, view in ROUTES]
    asked = _schemas(bodies, f"{PLACE}{{name}}")
    for schema in asked.values():
        _tell_defaults(schema)
    asked[SendRequest.__name__] |= MESSAGE_RULES
    shown = _schemas([*answers, Health], f"{PLACE}{{name}}")
    for schema in shown.values():
        # Answers may grow; whoever reads them must not mind.
        schema.pop("additionalProperties", None)
    return {**asked, **shown, **_ERRORS}


def message() -> JsonObject:
    """The schema of a message, for the doors that have no HTTP."""
    definitions = _schemas([SendRequest], "#/$defs/{name}")
    own = definitions.pop(SendRequest.__name__)
    return {"$schema": DIALECT, **own, **MESSAGE_RULES, "title": "Message", "$defs": definitions}


def reference(type_: type[Any] | None) -> JsonObject:
    """Where the schema of a type stands."""
    return {"$ref": f"{PLACE}{type_.__name__}"} if type_ is not None else {}


def _tell_defaults(schema: JsonObject) -> None:
    """Writes the defaults of fields into their descriptions.

    Who makes types takes a field with a default for one that is always there, and null for a value.
    """
    for field in schema.get("properties", {}).values():
        default = field.pop("default", None)
        if default not in (None, "", [], {}, False):
            told = f"`{json.dumps(default)}` where it is left out."
            field["description"] = f"{field['description']} {told}" if "description" in field else told


def _schemas(types: Iterable[type[Any]], place: str) -> JsonObject:
    _, found = msgspec.json.schema_components(types, ref_template=place)
    for schema in found.values():
        for field in schema.get("properties", {}).values():
            if field.get("enum") == [True]:
                field.pop("enum")
                field["type"] = "boolean"
        schema["description"] = " ".join(inspect.cleandoc(schema.get("description", "")).split())
    return dict(found)
