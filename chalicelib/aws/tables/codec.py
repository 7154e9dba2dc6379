"""Python values to DynamoDB attributes and back."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

AttributeMap = dict[str, Any]
"""An item as the low-level client takes and gives it: ``{"name": {"S": "…"}}``."""


def to_item(values: Mapping[str, Any]) -> AttributeMap:
    """The item for the given values.

    str, int, bool, bytes, and lists, tuples and mappings of them are taken; a None is left out, also inside a
    mapping, so that an absent value and an absent attribute are the same thing; a set becomes a sorted list.
    Raises TypeError for anything else (a float, for example).
    """
    serialize = _serializer().serialize
    return {name: serialize(_plain(value)) for name, value in values.items() if value is not None}


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """The values of an item: numbers as int, binary as bytes."""
    deserialize = _deserializer().deserialize
    return {name: _python(deserialize(value)) for name, value in item.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return str(value)  # a StrEnum becomes its text
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items() if one is not None}
    if isinstance(value, AbstractSet):
        return [_plain(one) for one in sorted(value)]
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _python(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value)
    if isinstance(value, dict):
        return {name: _python(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_python(one) for one in value]
    return bytes(value.value) if type(value).__name__ == "Binary" else value


@cache
def _serializer() -> TypeSerializer:
    from boto3.dynamodb.types import TypeSerializer

    return TypeSerializer()


@cache
def _deserializer() -> TypeDeserializer:
    from boto3.dynamodb.types import TypeDeserializer

    return TypeDeserializer()
