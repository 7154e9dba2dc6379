"""A TLS connection to a checked address, for servers that are signed in to and then left; bounded in time."""

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
    """The steps of a talk, and why it did not succeed, or None. Ends after `seconds` at the latest.

    `names` are the steps that are waited for; the one that fails is the first that was not noted.
    `broken` is what the protocol's library raises when it cannot read an answer.
    """
    steps, until = Steps(), time.monotonic() + seconds
    try:
        with _connected(place, until) as connection:
            talk(connection, steps)
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
    with _dialled(place, until) as plain:
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


def _dialled(place: Place, until: float) -> socket.socket:
    failure: OSError = OSError(f"{place.host} has no address")
    for address in place.resolve(place.host, place.port):
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("there is no time left")
        try:
            connection = socket.create_connection((address, place.port), left)
        except OSError as error:
            failure = error
        else:
            connection.settimeout(left)
            return connection
    raise failure


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
