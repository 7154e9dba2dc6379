"""The secrets of a run, and the search for them: as they are, in an URL's encoding, and in base 64."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

LENGTH = 24
"""How many letters of a secret are looked for: a log that cuts it is a leak too."""

_RUN = re.compile(rf"[A-Za-z0-9_.~-]{{{LENGTH},}}")
_URL_SAFE = str.maketrans("+/", "-_")


@dataclass(frozen=True, order=True)
class Leak:
    """A secret of that kind was found in that place."""

    kind: str
    place: str
    around: str = ""

    def __str__(self) -> str:
        return f"{self.kind} in {self.place}: {self.around}"


class Canaries:
    """Secrets by kind. Only their first LENGTH letters are kept; a shorter text is no secret."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many spellings of secrets are known."""
        return len(self._kinds)

    def add(self, kind: str, secret: str) -> None:
        """Remembers a secret. Of a JWT that is its claims and its signature: all headers are alike."""
        parts = secret.split(".")[1:] if secret.startswith("eyJ") and secret.count(".") == 2 else [secret]
        for part in parts:
            with self._lock:
                self._kinds.update((spelling, kind) for spelling in _spellings(part))

    def find(self, place: str, text: str) -> Iterator[Leak]:
        """The secrets that are in the text, with what stands before each in place of the secret itself."""
        for run in set(_RUN.findall(_plain(text))):
            for start in range(len(run) - LENGTH + 1):
                if kind := self._kinds.get(run[start : start + LENGTH]):
                    yield Leak(kind, place, f"{_before(text, run[start : start + LENGTH])}[{kind}]")


def _spellings(secret: str) -> Iterator[str]:
    """How the beginning of a secret looks as it is, and inside a longer text that was put into base 64."""
    plain = _plain(secret)
    if found := _RUN.search(plain):
        yield found[0][:LENGTH]
        for offset, spoilt in ((0, 0), (1, 2), (2, 3)):
            inside = base64.urlsafe_b64encode(bytes(offset) + secret.encode())[spoilt:].decode()
            yield inside[:LENGTH]


def _plain(text: str) -> str:
    """One spelling for what means the same: no percent signs, one alphabet of base 64."""
    return (unquote(text) if "%" in text else text).translate(_URL_SAFE)


def _before(text: str, found: str) -> str:
    place = _plain(text).find(found)
    return _plain(text)[max(0, place - 40) : place]
