"""Servers that are signed in to and then left: what was seen, step by step, bounded in time."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import InvalidInput, Unavailable
from chalicelib.mail.models import Phase
from chalicelib.network import dial, left
from chalicelib.transports.refusals import Concern, Refused, Verdict
from chalicelib.transports.smtp.probe import Step, Steps
from chalicelib.transports.smtp.session import INTERRUPTIONS, Resolve

NOTHING = "Nothing: try again in a moment."


@dataclass(frozen=True, slots=True)
class Place:
    """A server that speaks TLS from the first byte, and how it is trusted and found."""

    host: str
    port: int
    tls: ssl.SSLContext
    resolve: Resolve


BROKEN: tuple[type[Exception], ...] = (OSError, ValueError, InvalidInput, Unavailable)
"""What a connection that breaks raises, and an answer that cannot be read."""

Talk = Callable[[ssl.SSLSocket, Steps], None]
"""Speaks to the server on an open connection and notes what it says. Raises Refused for a refusal."""


def probed(
    place: Place, names: tuple[str, ...], talk: Talk, *, broken: tuple[type[Exception], ...], seconds: float
) -> tuple[list[Step], Refused | None]:
    """As `stepped`, on a connection to that place. Ends after `seconds` at the latest.

    `broken` is what the protocol's library raises when it cannot read an answer.
    """
    until = time.monotonic() + seconds

    def connected(steps: Steps) -> None:
        with _connected(place, until) as connection:
            talk(connection, steps)

    return stepped(names, connected, broken=broken, until=until)


def stepped(
    names: tuple[str, ...],
    talk: Callable[[Steps], None],
    *,
    broken: tuple[type[Exception], ...] = (),
    until: float,
) -> tuple[list[Step], Refused | None]:
    """The steps of a talk that ends by `until`, and why it did not succeed, or None.

    `names` are the steps that are waited for; the one that fails is the first that was not noted.
    """
    steps = Steps()
    try:
        talk(steps)
    except Refused as refused:
        found = refused
    except (*BROKEN, *broken) as error:
        found = _interrupted(error, steps, until)
    else:
        return steps.done, None
    if all(step.ok for step in steps.done):
        why = found.diagnosis.text or found.diagnosis.message
        steps.note(names[min(len(steps.done), len(names) - 1)], why, ok=False)
    return steps.done, found


def said(text: object) -> str:
    """What a server said, short and harmless; octets as the libraries hand them on."""
    shown = text[:400].decode("utf-8", "replace") if isinstance(text, bytes) else str(text)[:400]
    return "".join(letter if letter.isprintable() else " " for letter in shown)[:200].strip()


@contextmanager
def _connected(place: Place, until: float) -> Iterator[ssl.SSLSocket]:
    """A connection that is cut when the time is over, wherever it stands: a server may trickle for ever."""
    with dial(place.resolve(place.host, place.port), place.port, lambda: left(until)) as plain:
        second = plain.dup()
        watchdog = threading.Timer(max(until - time.monotonic(), 0), _cut, [second])
        watchdog.daemon = True
        watchdog.start()
        try:
            with place.tls.wrap_socket(plain, server_hostname=place.host) as connection:
                yield connection
        finally:
            watchdog.cancel()
            second.close()


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _interrupted(error: Exception, steps: Steps, until: float) -> Refused:
    if isinstance(error, InvalidInput):
        found = Diagnosis(DiagnosisClass.ADMIN, error.error_code, error.message, error.fix)
    else:
        # A server that leaves does not always say so in TLS.
        judged = ConnectionResetError() if isinstance(error, ssl.SSLEOFError) else error
        judged = TimeoutError() if time.monotonic() >= until else judged
        code, message = next((code, text) for kind, code, text in INTERRUPTIONS if isinstance(judged, kind))
        found = Diagnosis(DiagnosisClass.RETRY, code.replace("smtp_", "server_"), message, NOTHING)
    phase = Phase.AUTH if steps.done else Phase.CONNECT
    return Refused(Verdict(Concern.LANE, found), phase)
