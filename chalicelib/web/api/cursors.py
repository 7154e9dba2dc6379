"""Cursors: where a list goes on, as text for a URL, good for one caller and one query.

What is in them is a place among things that the caller may see, or a time, so that nothing has to be hidden.
The digest before it tells a text that was made up, or is of another list, from one that was given.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import TYPE_CHECKING

from chalicelib.errors import InvalidInput

if TYPE_CHECKING:
    from chalicelib.callers.models import Caller
    from chalicelib.web.api.queries import Page

DIGEST = 12
"""Bytes of the digest: nobody meets it by chance."""

LONGEST = 200
"""Characters of the longest text that is looked at."""


def cursor_of(place: str | None, caller: Caller, of: str, query: Page) -> str | None:
    """The cursor of a place in the list `of` that the query asks for; None at its end."""
    if place is None:
        return None
    sealed = _digest(place, caller, of, query) + place.encode()
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def place_of(caller: Caller, of: str, query: Page) -> str | None:
    """The place where the query wants its list to go on; None for the beginning.

    Raises InvalidInput for a cursor that was not given to this caller for this query; only its `limit` may
    be another one.
    """
    if query.cursor is None:
        return None
    try:
        sealed = _decoded(query.cursor)
        place = sealed[DIGEST:].decode()
    except ValueError as error:
        raise no_cursor() from error
    if sealed[:DIGEST] != _digest(place, caller, of, query):
        raise no_cursor()
    return place


def no_cursor() -> InvalidInput:
    """The error for a text that is no cursor here."""
    return InvalidInput(
        "This is not a cursor of this list.",
        fix="Use the cursor of the last answer to the same query, or none.",
        field="cursor",
    )


def _decoded(cursor: str) -> bytes:
    """The bytes of the text. Raises ValueError, also for another spelling of the same bytes."""
    if len(cursor) > LONGEST:
        raise ValueError("too long")
    text = cursor.encode("ascii")
    sealed = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if base64.urlsafe_b64encode(sealed).rstrip(b"=") != text:
        raise binascii.Error("not the usual spelling")
    return sealed


def _digest(place: str, caller: Caller, of: str, query: Page) -> bytes:
    fields = [name for name in query.__struct_fields__ if name not in {"limit", "cursor"}]
    asked = {name: getattr(query, name) for name in fields}
    bound = json.dumps([place, caller.id, of, asked], sort_keys=True, default=str)
    return hashlib.sha256(bound.encode()).digest()[:DIGEST]
