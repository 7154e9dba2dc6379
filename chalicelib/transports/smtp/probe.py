"""Trying a server out: connects, signs in, hands nothing in and leaves; notes what was said at each step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from chalicelib.mail.models import Reply
from chalicelib.secret import Secret
from chalicelib.transports.refusals import Refused
from chalicelib.transports.smtp.session import SmtpSession
from chalicelib.transports.smtp.wire import COMPLETED

STEPS = ("connect", "ehlo", "starttls", "ehlo again", "auth", "quit")
STEPS_OF_IMPLICIT_TLS = ("connect", "ehlo", "auth", "quit")
"""What is waited for, in this order."""

OpenSession = Callable[[Callable[[Reply], None]], SmtpSession]
"""Makes a session, not connected yet, that tells what its server answers."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, whether it went well, what was said, and how long it took (ms)."""

    step: str
    ok: bool
    said: str
    ms: int


@dataclass(slots=True)
class Steps:
    """The steps so far, timed from one to the next."""

    done: list[Step] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)

    def note(self, step: str, said: str, *, ok: bool) -> None:
        """Adds a step that ends now."""
        now = time.monotonic()
        self.done.append(Step(step, ok, said, round((now - self.since) * 1_000)))
        self.since = now


def probe(open_session: OpenSession, token: Secret, *, seconds: float) -> tuple[list[Step], Refused | None]:
    """The steps of signing in with the access token, and why it did not succeed, or None.

    Ends after `seconds` at the latest.
    """
    steps = Steps()

    def name() -> str:
        names = STEPS_OF_IMPLICIT_TLS if session.implicit_tls else STEPS
        return names[len(steps.done)]

    def heard(reply: Reply) -> None:
        said = f"{reply.code} {reply.text}".strip()
        steps.note(name(), said, ok=reply.code // 100 == COMPLETED)

    session = open_session(heard)
    session.allow(seconds)
    try:
        session.connect()
        session.authenticate(token)
    except Refused as refused:
        if all(step.ok for step in steps.done):  # nothing was heard that says no
            steps.note(name(), refused.diagnosis.message, ok=False)
        return steps.done, refused
    finally:
        session.quit()
    return steps.done, None
