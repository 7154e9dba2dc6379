"""JSON that callers write, read strictly: every door takes the same, and names each problem by its field."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import msgspec

from chalicelib.errors import InvalidInput, MalformedRequest

if TYPE_CHECKING:
    from msgspec.inspect import StructType, Type

Value = TypeVar("Value")

DESCRIBED = "/openapi.json describes each field."

_ONE_OBJECT = "Send one JSON object in UTF-8."
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
        raise _invalid(str(error), type_) from error


def _object(request: bytes | Mapping[str, Any]) -> dict[str, Any]:
    value = _parsed(request) if isinstance(request, bytes) else request
    if not isinstance(value, Mapping):
        raise MalformedRequest("The request is not a JSON object.", fix=_ONE_OBJECT)
    return dict(value)


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw, object_pairs_hook=_once, parse_constant=_no_number)
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


def _invalid(said: str, type_: type[Any]) -> InvalidInput:
    """What msgspec says, such as ``Expected `str`, got `int` - at `$.to[0]```, as our error."""
    message, _, path = said.partition(" - at `$")
    inner = path.rstrip("`").removeprefix(".")
    named = message.partition("field `")[2].partition("`")[0]
    field = ".".join(part for part in (inner, named) if part) or None
    fix = _nearest(named, path, type_) if message.startswith("Object contains unknown") else ""
    if message.startswith("Object missing required"):
        message = f"{named} is missing"
    return InvalidInput(f"{message}.", fix=f"{fix}{DESCRIBED}", field=field)


def _nearest(name: str, path: str, type_: type[Any]) -> str:
    """The question whether a field was meant that is there, for one that is not; else nothing."""
    from msgspec.inspect import type_info

    structs = list(_structs(type_info(type_)))
    for outer in _FIELDS_OF_PATH.findall(path.rstrip("`")):
        inner = [field.type for one in structs for field in one.fields if field.encode_name == outer]
        structs = [struct for one in inner for struct in _structs(one)]
    known = [field.encode_name for struct in structs for field in struct.fields]
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]}? " if near else ""


def _structs(type_: Type) -> Iterator[StructType]:
    from msgspec.inspect import ListType, Metadata, StructType, UnionType

    if isinstance(type_, StructType):
        yield type_
    elif isinstance(type_, UnionType):
        for one in type_.types:
            yield from _structs(one)
    elif isinstance(type_, ListType):
        yield from _structs(type_.item_type)
    elif isinstance(type_, Metadata):
        yield from _structs(type_.type)
