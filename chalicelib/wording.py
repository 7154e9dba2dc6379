"""What msgspec says of a value that does not fit, in plain words."""

from __future__ import annotations

import re

TYPES = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "bytes": "a text in base64",
    "datetime": "a time",
    "null": "null",
}
"""Type, as msgspec names it → what people call it."""

BOUNDS = (
    (r"of length >= 1", "must not be empty"),
    (r"of length >= (\d+)", r"must be \1 long or longer"),
    (r"of length <= (\d+)", r"must be \1 long at most"),
    (r">= (\S+)", r"must be \1 or more"),
    (r"<= (\S+)", r"must be \1 or less"),
    (r"matching regex .*", "does not have the form that it must have"),
    (r"with a timezone component", "must name its offset from UTC, such as Z"),
)
"""How a bound is told → what is told instead."""

_EXPECTED = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_BOUND = re.compile(r"Expected `[^`]+` (.+)", re.DOTALL)


def plain(told: str, field: str) -> str:
    """What is wrong with the field, without a full stop; `told` is msgspec's message without its path."""
    if types := _EXPECTED.fullmatch(told):
        return f"{field} must be {_any_of(types[1])}, not {TYPES.get(types[2], types[2])}"
    if told.startswith("Invalid enum value"):
        return f"{field} is none of the values that it may have"
    if told.startswith("Invalid RFC3339"):
        return f"{field} is no time as RFC 3339 writes it, such as 2026-11-21T09:30:00Z"
    if told.startswith("Invalid base64"):
        return f"{field} is no base64 (RFC 4648)"
    if bound := _BOUND.fullmatch(told):
        return f"{field} {_bounded(bound[1])}"
    return f"{field} does not fit: {told}"


def mended(told: str) -> str:
    """How to mend it, where that follows from what msgspec says; else nothing."""
    types = _EXPECTED.fullmatch(told)
    if types is None:
        return ""
    wanted, found = types[1].split(" | "), types[2]
    if "array" in wanted and found in {"str", "object"}:
        return "Write brackets around it, also around a single one. "
    return "Write quotation marks around it. " if "str" in wanted and found in {"int", "float"} else ""


def _any_of(types: str) -> str:
    """The types that are expected; null is not offered beside others, as it means the same as leaving out."""
    named = [name for name in types.split(" | ") if name != "null"] or ["null"]
    return " or ".join(TYPES.get(name, name) for name in named)


def _bounded(bound: str) -> str:
    for pattern, words in BOUNDS:
        if found := re.fullmatch(pattern, bound, re.DOTALL):
            return found.expand(words)
    return f"must be {bound}"
