"""Histories of the simulation of refreshing: who works, whose turn it is when, and what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from chalicelib.clock import MINUTE


class Fate(StrEnum):
    """What goes wrong at a step."""

    DIE = "die"
    FAIL = "fail"
    """The service does not answer; after its work, the answer is lost."""
    PAUSE = "pause"
    FREEZE = "freeze"
    THROTTLE = "throttle"
    """From here on all tables refuse, for half a lease."""
    OUTAGE = "outage"
    """As before, for longer than any lease."""
    REFUSE = "refuse"
    """The provider says once that a token is no good although it is."""


class Service(StrEnum):
    """Whose steps are counted together."""

    TABLES = "tables"
    KEYS = "keys"
    PROVIDER = "provider"
    QUEUE = "queue"


class Kind(StrEnum):
    """What a worker is there for."""

    REPLACE = "replace"
    """The mail server has refused the access token."""
    USE = "use"
    """Any access token that is good will do."""
    TICK = "tick"
    CHUNK = "chunk"


@dataclass(frozen=True)
class Job:
    """A worker: for which account, begun after how many milliseconds, with how much time."""

    kind: Kind = Kind.REPLACE
    account: int = 0
    after: int = 0
    time: int = MINUTE


@dataclass(frozen=True)
class Plan:
    """A history: `switches` as Turns.play has them, `faults` by service and the number of its step."""

    jobs: tuple[Job, ...] = (Job(),)
    switches: Mapping[int, int] = field(default_factory=dict)
    faults: Mapping[tuple[Service, int], Fate] = field(default_factory=dict)
