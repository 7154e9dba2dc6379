"""JSON that callers write, read strictly: every door takes the same, and names each problem by its field."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import msgspec

from chalicelib.errors import InvalidInput, MalformedRequest
from chalicelib.wording import mended, plain

if TYPE_CHECKING:
    from msgspec.inspect import Type

Value = TypeVar("Value")

DESCRIBED = "/openapi.json describes each field."

_ONE_OBJECT = "Send one JSON object in UTF-8."
_KINDS = {
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    list: "array",
    dict: "object",
    type(None): "null",
}
"""Type of a value from JSON → how msgspec names it."""

_FIELDS_OF_PATH = re.compile(r"\.([^.\[]+)")


def read(request: bytes | Mapping[str, Any], type_: type[Value]) -> Value:
    """The request as a value of that type, from JSON text or from what JSON text was parsed into.

    Raises MalformedRequest for what is not one JSON object, repeats a key, holds a number that JSON does not
    have, or nests too deeply; InvalidInput, naming the field, for a field that is unknown, missing, or does
    not fit, and for half a surrogate pair, which is no text: it could be neither stored nor sent.
    """
    return convert(_object(request), type_)


def convert(value: Mapping[str, Any], type_: type[Value], *, strict: bool = True) -> Value:
    """As read, of what was parsed already; not strict for values that can only come as text."""
    try:
        _refuse_surrogates(value)
        return msgspec.convert(value, type_, strict=strict)
    except RecursionError as error:
        raise MalformedRequest("The request nests too deeply.", fix=_ONE_OBJECT) from error
    except msgspec.ValidationError as error:
        raise _invalid(str(error), type_, value) from error


def require_utf8(text: str, what: str) -> None:
    """Returns when nothing in the text stands for bytes that were not UTF-8. Raises MalformedRequest.

    API Gateway writes U+FFFD in their place before we see them. `what` names the text, as in "The body".
    """
    if "\ufffd" in text:
        raise MalformedRequest(
            f"{what} holds bytes that are not UTF-8, or U+FFFD, which stands for such bytes.",
            fix="Send UTF-8. In JSON, U+FFFD itself is written as \\ufffd.",
        )


def _object(request: bytes | Mapping[str, Any]) -> dict[str, Any]:
    value = _parsed(request) if isinstance(request, bytes) else request
    if not isinstance(value, Mapping):
        raise MalformedRequest("The request is not a JSON object.", fix=_ONE_OBJECT)
    return dict(value)


def _parsed(raw: bytes) -> Any:
    try:
        text = raw.decode("utf-8-sig")  # a byte order mark may be ignored (RFC 8259, 8.1)
    except UnicodeDecodeError as error:
        raise MalformedRequest(
            f"The body is not UTF-8: the byte at {error.start} cannot be read.", fix=_ONE_OBJECT
        ) from error
    require_utf8(text, "The body")
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise MalformedRequest("The request is not valid JSON.", fix=_ONE_OBJECT) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; two values for one key are refused, because readers differ on which one counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is repeated")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _refuse_surrogates(value: Mapping[str, Any]) -> None:
    for path, text in _texts(value, ""):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput(
                "A text holds half of a surrogate pair.", fix="Send valid Unicode.", field=path or None
            ) from error


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text in the value, keys too, with the path of where it stands."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield path, key
            yield from _texts(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{path}[{index}]")


def _invalid(said: str, type_: type[Any], value: Mapping[str, Any]) -> InvalidInput:
    """What msgspec says, such as ``Expected `str`, got `int` - at `$.to[0]```, as our error."""
    message, _, path = said.partition(" - at `$")
    path = _keys_named(path.rstrip("`"), value, message.rpartition("got `")[2].rstrip("`"))
    inner = path.removeprefix(".")
    named = message.partition("field `")[2].partition("`")[0]
    field = ".".join(part for part in (inner, named) if part) or None
    if message.startswith("Object contains unknown"):
        fix, text = _nearest(named, path, type_), f"There is no field {named} here"
    elif message.startswith("Object missing required"):
        fix, text = "", f"{named} is missing"
    else:
        fix, text = mended(message) or _choices(path, type_), plain(message, field or "The request")
    return InvalidInput(f"{text}.", fix=f"{fix}{DESCRIBED}", field=field)


def _keys_named(path: str, value: Any, got: str) -> str:
    """The path with names of keys for each ``[...]``: that of the first value of the type that was met."""
    for part in re.findall(r"\.[^.\[]+|\[\d+\]|\[\.\.\.\]", path):
        if part == "[...]" and isinstance(value, Mapping):
            key = next((name for name, one in value.items() if _KINDS.get(type(one)) == got), None)
            if key is None:
                return path
            path, value = path.replace("[...]", f".{key}", 1), value[key]
        elif part.startswith("["):
            value = value[int(part[1:-1])] if part != "[...]" else None
        else:
            value = value.get(part[1:]) if isinstance(value, Mapping) else None
    return path


def _choices(path: str, type_: type[Any]) -> str:
    """The values to choose from, where only some are allowed; else nothing."""
    from msgspec.inspect import EnumType, LiteralType

    values: list[Any] = []
    for one in _types_at(path, type_):
        if isinstance(one, LiteralType):
            values += one.values
        elif isinstance(one, EnumType):
            values += [member.value for member in one.cls]
    return f"Use {' or '.join(map(str, values))}. " if values else ""


def _nearest(name: str, path: str, type_: type[Any]) -> str:
    """The question whether a field was meant that is there, for one that is not; else nothing."""
    from msgspec.inspect import StructType

    structs = [one for one in _types_at(path, type_) if isinstance(one, StructType)]
    known = [field.encode_name for struct in structs for field in struct.fields]
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]}? " if near else ""


def _types_at(path: str, type_: type[Any]) -> list[Type]:
    """The types, one of which the value at the path may be."""
    from msgspec.inspect import StructType, type_info

    types = list(_single(type_info(type_)))
    for outer in _FIELDS_OF_PATH.findall(path):
        fields = [field for one in types if isinstance(one, StructType) for field in one.fields]
        types = [single for field in fields if field.encode_name == outer for single in _single(field.type)]
    return types


def _single(type_: Type) -> Iterator[Type]:
    """The types that a union, a list or an annotated type is made of."""
    from msgspec.inspect import ListType, Metadata, UnionType

    if isinstance(type_, UnionType):
        for one in type_.types:
            yield from _single(one)
    elif isinstance(type_, ListType):
        yield from _single(type_.item_type)
    elif isinstance(type_, Metadata):
        yield from _single(type_.type)
    else:
        yield type_
