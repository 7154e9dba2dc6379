"""What callers are held to when they send, as requests name it, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chalicelib import addresses
from chalicelib.callers.models import MOST_NAMED, MOST_PER_MINUTE
from chalicelib.errors import InvalidInput


def checked(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of SendLimits that are named, as they are compared later. Raises InvalidInput."""
    return {field: _CHECKS[field](value, field) for field, value in asked.items()}


def _addresses(texts: Sequence[str], field: str) -> frozenset[str]:
    return _each(texts, field, lambda text, place: addresses.folded(addresses.checked(text, place).ascii))


def _domains(texts: Sequence[str], field: str) -> frozenset[str]:
    return _each(texts, field, _domain)


def _domain(text: str, place: str) -> str:
    try:
        return addresses.folded(addresses.checked(f"x@{text.strip(' ')}", place).ascii).removeprefix("x@")
    except InvalidInput as error:
        raise InvalidInput(
            "This is not a domain.", fix="Write one, such as example.com.", field=place
        ) from error


def _each(texts: Sequence[str], field: str, check: Callable[[str, str], str]) -> frozenset[str]:
    if len(texts) > MOST_NAMED:
        raise InvalidInput(f"These are more than {MOST_NAMED}.", fix="Name fewer.", field=field)
    return frozenset(check(text, f"{field}[{place}]") for place, text in enumerate(texts))


def _per_minute(number: int | None, field: str) -> int | None:
    if number is not None and not 1 <= number <= MOST_PER_MINUTE:
        fix = f"Give 1 to {MOST_PER_MINUTE}, or null for no limit."
        raise InvalidInput("A caller cannot be held to that many messages.", fix=fix, field=field)
    return number


_CHECKS: Mapping[str, Callable[[Any, str], Any]] = {
    "from_addresses": _addresses,
    "reply_to_domains": _domains,
    "messages_per_minute": _per_minute,
}
