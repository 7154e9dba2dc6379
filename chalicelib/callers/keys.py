"""API keys: their text, their hash, and how a presented one is checked.

A key is ``mg_<20 letters>_<43 letters>``. The first part is the caller's id, which finds the row; the second
holds 256 bits of chance. Only the SHA-256 of the whole text is stored. No salt and no slow hash are needed:
they protect what people choose, and 256 random bits cannot be guessed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import TYPE_CHECKING

from chalicelib import ids
from chalicelib.secret import Secret

if TYPE_CHECKING:
    from chalicelib.callers.models import Caller

CHANCE = 32
"""Random bytes of a key; 43 letters in URL-safe base 64."""

_KEY = re.compile(rf"mg_([{ids.ALPHABET}]{{{ids.SHORT}}})_[A-Za-z0-9_-]{{43}}")


def new_key(caller: str) -> Secret:
    """A new key for the caller with that id (``key_…``)."""
    return Secret(f"mg_{caller.removeprefix('key_')}_{secrets.token_urlsafe(CHANCE)}")


def caller_of(key: Secret) -> str | None:
    """The caller's id that a key names, or None when the text does not have the shape of a key."""
    found = _KEY.fullmatch(key.reveal())
    return f"key_{found.group(1)}" if found else None


def hashed(key: Secret) -> str:
    """What is stored of a key: its SHA-256 in hexadecimal digits."""
    return hashlib.sha256(key.reveal().encode()).hexdigest()


def fits(key: Secret, caller: Caller | None) -> bool:
    """Whether the key is the caller's; takes the same time whichever letter is wrong."""
    stored = caller.secret_hash if caller is not None else ""
    return hmac.compare_digest(hashed(key), stored or "-" * 64) and bool(stored)
