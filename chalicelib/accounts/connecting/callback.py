"""Reading a callback's parameters (RFC 6749, sections 4.1.2 and 4.1.2.1; RFC 9207 for ``iss``)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chalicelib.errors import MalformedRequest
from chalicelib.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT = 4_096
"""Characters of one parameter."""

ONCE = ("state", "code", "error", "error_description", "iss")
_STATE = re.compile(r"[A-Za-z0-9_\-]{43}")
_VISIBLE = re.compile(r"[\x20-\x7e]+")
"""What a code or an issuer may hold (RFC 6749, appendices A.11 and A.12); never nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a code or an error. Where both came, it is an error."""

    state: str = field(repr=False)
    code: Secret | None
    error: Mapping[str, str]
    issuer: str | None


def read(params: Mapping[str, list[str]]) -> Answer:
    """The answer that the parameters are.

    Raises MalformedRequest unless they hold exactly one state, and a code or an error, none of them twice,
    and code and issuer are visible ASCII.
    """
    values = {name: _once(params.get(name, [])) for name in ONCE}
    state, code, error = values["state"], values["code"], values["error"]
    if state is None or not _STATE.fullmatch(state):
        raise unknown_state()
    if (code is None and error is None) or not all(map(_is_visible, (code, values["iss"]))):
        raise _malformed()
    refused = (
        {} if error is None else {"error": error, "error_description": values["error_description"] or ""}
    )
    return Answer(state, Secret(code) if code is not None and error is None else None, refused, values["iss"])


def unknown_state() -> MalformedRequest:
    """The error for a state that nobody waits for: never made, expired, or of another connector."""
    return MalformedRequest(
        "This sign-in is not waited for: it was not begun here, or more than 10 minutes ago.",
        fix="Open your connect link again.",
        code="unknown_state",
    )


def _once(values: list[str]) -> str | None:
    if len(values) > 1 or any(len(value) > LIMIT for value in values):
        raise _malformed()
    return values[0] if values else None


def _is_visible(value: str | None) -> bool:
    return value is None or _VISIBLE.fullmatch(value) is not None


def _malformed() -> MalformedRequest:
    return MalformedRequest(
        "The sign-in came back without what belongs to it.",
        fix="Begin again from the connect link, and do not change the address on the way.",
        code="malformed_callback",
    )
