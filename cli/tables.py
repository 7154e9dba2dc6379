"""Tables of docs/api.md, from JSON schemas."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from chalicelib.web.openapi import schemas

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

JsonObject = dict[str, Any]

LIMITS: Final = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " entries"),
)
"""Two keywords of JSON Schema, and what they count."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fields(name: str) -> str:
    """The fields of a type; of what callers send also which are required."""
    schema = schemas.components()[name]
    required = schema.get("required", ())
    rows = [
        (f"`{field}`", type_of(one), "yes" if field in required else "", _meaning(one))
        for field, one in schema["properties"].items()
    ]
    if schema.get("additionalProperties") is False:
        return table(("field", "type", "required", "meaning"), rows)
    return table(("field", "type", "meaning"), [(name, kind, said) for name, kind, _, said in rows])


def choices(name: str) -> str:
    """The values of an enumeration, each with what its source says of it."""
    (kind,) = (one for one in _below(StrEnum) if one.__name__ == name)
    return table(("value", "meaning"), [(f"`{value}`", said) for value, said in _explained(kind)])


def _below(kind: type[Any]) -> Iterator[type[Any]]:
    for below in kind.__subclasses__():
        yield from (below, *_below(below))


def _explained(kind: type[Any]) -> Iterator[tuple[str, str]]:
    """Each value, and the text below it in the source."""
    (definition,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 - the source of a class is one
    for line, after in itertools.pairwise([*definition.body, ast.Pass()]):
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant):
            said = after.value if isinstance(after, ast.Expr) else ast.Constant("")
            yield str(line.value.value), ast.literal_eval(said)


def type_of(schema: JsonObject) -> str:
    """A schema's type in a few words, with a link to one that has a name."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_of(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{_plain(value)}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {type_of(schema['items'])}"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"object of {type_of(inner)}" if inner else "object"
    return _scalar(schema)


def _scalar(schema: JsonObject) -> str:
    named = {
        "date-time": "time",
        "uri": "URL",
        "email": "address",
        "idn-email": "address",
        "hostname": "domain",
    }
    if "contentEncoding" in schema:
        return "text in base64"
    if "format" in schema:
        return named[schema["format"]]
    if re.match(r"\^(con|acc|msg)_", schema.get("pattern", "")):
        return "id"
    words = {"string": "text", "integer": "number", "boolean": "true or false", "null": "null"}
    return words[schema["type"]]


def _meaning(schema: JsonObject) -> str:
    parts = [schema.get("description", "")]
    flat = {**schema, **{key: value for one in schema.get("anyOf", ()) for key, value in one.items()}}
    parts += [_limits(flat.get(least), flat.get(most), what) for least, most, what in LIMITS]
    if schema.get("default") not in (None, "", True, False):
        parts.append(f"Else `{_plain(schema['default'])}`.")
    if isinstance(schema.get("default"), bool):
        parts.append(f"Else {str(schema['default']).lower()}.")
    return " ".join(part for part in parts if part)


def _limits(least: int | None, most: int | None, what: str) -> str:
    if most is None:
        return "Not empty." if least else ""
    return f"At most {most:,}{what}." if least is None else f"{least:,} to {most:,}{what}."


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
