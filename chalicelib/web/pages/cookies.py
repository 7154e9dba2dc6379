"""The cookies of the pages: one binds a sign-in to its browser, one is for trying again, one for a visit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chalicelib import ids
from chalicelib.accounts.connecting.visits import LENGTH
from chalicelib.clock import SECOND

if TYPE_CHECKING:
    from chalice.app import Request

BROWSER = "__Host-mailgrant"
"""Binds a sign-in to the browser that began it; its hash is stored with the state (RFC 9700, 4.7.1)."""

RETRY = "__Host-mailgrant-retry"
"""``<authorization>.<token of the connect link>``: lets the page of a failed sign-in offer another try."""

LIFETIME = 3_600
"""Seconds. The state itself lives ten minutes; the result page may be looked at a little longer."""

VISIT = "__Host-mailgrant-visit"
"""The token of an owner's visit. Lax, not Strict: it is first needed when the provider leads back."""

VISIT_LIFETIME = LENGTH // SECOND

_RETRY = re.compile(rf"(aut_[{ids.ALPHABET}]{{{ids.LONG}}})\.([A-Za-z0-9_-]{{16,64}})")


def read(request: Request, name: str) -> str | None:
    """The cookie's value, or None. Several Cookie headers count as one (RFC 9113, section 8.2.3)."""
    headers = request.to_original_event().get("multiValueHeaders") or {}
    lines = [line for header, values in headers.items() if header.lower() == "cookie" for line in values]
    pairs = "; ".join(lines or [request.headers.get("cookie", "")]).split(";")
    found = [value for key, _, value in (pair.strip().partition("=") for pair in pairs) if key == name]
    return found[0] if found else None


def written(name: str, value: str, lifetime: int = LIFETIME) -> str:
    """The Set-Cookie line: for this host only, unreadable by scripts, sent when the provider leads back."""
    return f"{name}={value}; Max-Age={lifetime}; Path=/; Secure; HttpOnly; SameSite=Lax"


def retry_link(request: Request, authorization: str) -> str | None:
    """The connect link's token of this very authorization, where the reader's browser began it."""
    found = _RETRY.fullmatch(read(request, RETRY) or "")
    return found.group(2) if found and found.group(1) == authorization else None
