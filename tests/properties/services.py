"""Models of keys, secrets, events and the rescue queue, for the simulation of refreshing.

As in stores.py, every call goes through `io`. test_stores.py holds the queue to the behaviour of SQS.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from chalicelib.accounts.tokens.keeping import TAG
from chalicelib.secret import Secret
from tests.properties.stores import Io

HIDDEN = 30_000
"""Milliseconds for which nobody else is handed what was taken from the queue."""


class Vault:
    """Seals by naming what it is sealed for, and ends with a tag; opening for anything else fails."""

    def __init__(self, io: Io) -> None:
        self._io = io

    def sealer(self, account: str) -> _Sealer:
        self._io("data key")
        return _Sealer(account)

    def open(self, account: str, field: str, version: int, sealed: bytes) -> bytes:
        self._io("open")
        head, plain, _ = sealed.split(b"|")
        assert head == f"{account}/{field}/{version}".encode()
        return plain


class _Sealer:
    def __init__(self, account: str) -> None:
        self._account = account

    def seal(self, field: str, version: int, plaintext: bytes) -> bytes:
        text = f"{self._account}/{field}/{version}|".encode() + plaintext
        return text + b"|" + hashlib.sha256(text).hexdigest()[:TAG].encode()


class Rescue:
    """A queue whose messages come again until they are done. `ever` is what was ever put there."""

    def __init__(self, now: Callable[[], int], io: Io) -> None:
        self._now = now
        self._io = io
        self.ever: list[str] = []
        self._bodies: dict[str, str] = {}
        self._shown_at: dict[str, int] = {}

    def put(self, body: str) -> None:
        self._io("put")
        self._bodies[str(len(self.ever))] = body
        self.ever.append(body)
        self._io("put, answer")

    def take(self, *, wait: int = 0) -> list[tuple[str, str]]:
        self._io("take")
        found = [one for one in self._bodies if self._shown_at.get(one, 0) <= self._now()][:10]
        self._shown_at.update(dict.fromkeys(found, self._now() + HIDDEN))
        taken = [(one, self._bodies[one]) for one in found]
        self._io("take, answer")
        return taken

    def depth(self) -> int:
        self._io("depth")
        return len(self._bodies)

    def put_back(self, receipt: str) -> None:
        self._io("put back")
        self._shown_at[receipt] = 0

    def done(self, receipt: str) -> None:
        self._io("done")
        self._bodies.pop(receipt, None)
        self._io("done, answer")


class Secrets:
    """The connector's credential."""

    def __init__(self, io: Io) -> None:
        self._io = io

    def get(self, _: str) -> Secret:
        self._io("secret")
        return Secret("secret")

    def forget(self, _: str) -> None:
        """It is the same for ever."""


class Events:
    """What was published."""

    def __init__(self, io: Io) -> None:
        self._io = io
        self.heard: list[Mapping[str, Any]] = []

    def put(self, _: str, detail: Mapping[str, Any]) -> None:
        self._io("publish")
        self.heard.append(detail)
        self._io("published, answer")
