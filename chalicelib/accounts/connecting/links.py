"""Connect links, and the cookie that binds a sign-in to the browser which began it."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from chalicelib import clock, ids
from chalicelib.errors import NotFound

if TYPE_CHECKING:
    from chalicelib.accounts.models.authorization import ConnectLink

LINK_LIFE = 7 * clock.DAY
STARTS = 20
"""How often one connect link may begin a sign-in."""


def link_id(token: str) -> str:
    """The stored name of a connect link; its token cannot be found from it."""
    return ids.digest(token)


def live_link(link: ConnectLink | None, now: int) -> ConnectLink:
    """The link, if a sign-in may still begin with it. Raises NotFound, whose code says why not."""
    if link is None:
        raise NotFound(
            "There is no such connect link.",
            fix="Open it exactly as you were given it.",
            code="link_not_found",
        )
    if link.used_at is not None:
        raise NotFound(
            "This connect link was used already: its mailbox is connected.",
            fix="Nothing to do; to connect again, ask for a new link.",
            code="link_used",
        )
    if link.expires_at <= now:
        raise NotFound("This connect link has expired.", fix="Ask for a new one.", code="link_expired")
    if link.starts >= STARTS:
        raise exhausted()
    return link


def exhausted() -> NotFound:
    """The error for a connect link with which too many sign-ins were begun."""
    return NotFound(
        f"With this connect link {STARTS} sign-ins were begun, which is as many as it allows.",
        fix="Ask for a new one.",
        code="link_exhausted",
    )


def hash_cookie(cookie: str) -> str:
    """What is stored of a browser's cookie."""
    # What a browser sends as a cookie is anything; half a surrogate pair is just another browser's.
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()


def is_browser(cookie_hash: str, cookie: str | None) -> bool:
    """Whether the cookie is that of the browser which began the sign-in; compared in constant time."""
    return cookie is not None and hmac.compare_digest(hash_cookie(cookie), cookie_hash)
