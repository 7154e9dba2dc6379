"""Failures that a test orders, per endpoint."""

from __future__ import annotations

import itertools
import threading
from typing import Literal

import msgspec

Endpoint = Literal[
    "authorize",
    "token",
    "jwks",
    "discovery",
    "revoke",
    "userinfo",
    "introspect",
    "introspect_password",
    "graph",
    "gmail",
]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What goes wrong at an endpoint, how often and for whom.

    ``error`` is answered in the provider's words (``AADSTS50196``, ``invalid_grant``; those of the mail APIs
    are ``TooManyRequests`` of Graph and ``accessNotConfigured`` of Gmail's, for instance); ``status`` and
    ``body`` (text, or an object that is sent as JSON) replace parts of it, or stand alone. ``delay``
    seconds pass before anything else. ``retry_after`` becomes the header. ``drop`` closes the
    connection without an answer, before the request is carried out or after. ``omit`` removes fields
    from a true answer. With none of these the answer is only late. ``times`` None is for ever.
    ``provider``, ``client_id``, ``user`` and ``grant_type`` choose the requests that it hits.
    """

    endpoint: Endpoint
    error: str | None = None
    status: int | None = None
    body: str | dict[str, object] | None = None
    content_type: str | None = None
    delay: float = 0
    retry_after: int | str | None = None
    drop: Literal["before", "after"] | None = None
    omit: tuple[str, ...] = ()
    times: int | None = 1
    provider: str | None = None
    client_id: str | None = None
    user: str | None = None
    grant_type: str | None = None

    @property
    def answers(self) -> bool:
        """Say whether the fault brings its own answer."""
        return self.error is not None or self.status is not None or self.body is not None

    def hits(self, facts: RequestFacts) -> bool:
        """Say whether the request is one that the fault is meant for."""
        return (
            self.endpoint == facts.endpoint
            and self.provider in (None, facts.provider)
            and self.client_id in (None, facts.client_id)
            and self.grant_type in (None, facts.grant_type)
            and (self.user is None or self.user.lower() == facts.user.lower())
        )


class RequestFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a request before it is carried out; empty where it does not say."""

    endpoint: str
    provider: str = ""
    client_id: str = ""
    user: str = ""
    grant_type: str = ""
    scope: str = ""
    presented: int | None = None


class FaultBook:
    """The faults that are waiting, oldest first; each request takes at most one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[Fault, int | None]] = {}

    def add(self, fault: Fault) -> int:
        """Put a fault at the end and return its number."""
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = (fault, fault.times)
            return number

    def take(self, facts: RequestFacts) -> Fault | None:
        """Return the oldest fault that hits the request, counting it down."""
        with self._lock:
            for number, (fault, left) in self._waiting.items():
                if fault.hits(facts):
                    self._count_down(number, fault, left)
                    return fault
            return None

    def _count_down(self, number: int, fault: Fault, left: int | None) -> None:
        if left is None:
            return
        if left > 1:
            self._waiting[number] = (fault, left - 1)
        else:
            del self._waiting[number]

    def waiting(self) -> dict[int, tuple[Fault, int | None]]:
        """Return the faults with how many times each is still to happen."""
        with self._lock:
            return dict(self._waiting)

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._waiting.clear()
