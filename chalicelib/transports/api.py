"""One GET at a provider's mail API, with an access token; bounded in time and size, never redirected."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.mail.models import Phase
from chalicelib.providers.http import retry_after
from chalicelib.providers.replies import cleaned
from chalicelib.transports.dialling import probed
from chalicelib.transports.refusals import Concern, Refused, Verdict

if TYPE_CHECKING:
    import ssl

    from chalicelib.secret import Secret
    from chalicelib.transports.dialling import Place
    from chalicelib.transports.smtp.probe import Step, Steps

STEPS = ("connect", "auth", "permission")
LIMIT = 65_536
OK, UNAUTHORIZED, FORBIDDEN, TOO_MANY, SERVER_ERROR = 200, 401, 403, 429, 500
DEFAULT_RETRY_AFTER = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said."""

    status: int
    values: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    @property
    def error(self) -> Mapping[str, Any]:
        """The object under ``error``, as Graph and Google's APIs have it; empty where there is none."""
        found = self.values.get("error")
        return found if isinstance(found, dict) else {}

    @property
    def text(self) -> str:
        """The status with what the error says."""
        code, message = self.error.get("code", ""), self.error.get("message", "")
        return cleaned(f"{self.status} {code if isinstance(code, str) else ''} {message}")


Judge = Callable[[Answer, "Steps"], None]
"""Notes what an answer means that is neither 401, 429 nor a failure of the server's own."""


def probe(
    place: Place, path: str, token: Secret, judge: Judge, *, name: str, seconds: float
) -> tuple[list[Step], Refused | None]:
    """The steps of asking for the path, and why it did not succeed, or None; `name` begins the codes."""

    def talk(connection: ssl.SSLSocket, steps: Steps) -> None:
        steps.note("connect", connection.version() or "", ok=True)
        answer = _asked(connection, place, path, token)
        if answer.status == UNAUTHORIZED:
            message = "The API refused the access token."
            fix = "If it stays, check that the scope was granted, or connect the mailbox again."
            _refuse(Concern.TOKEN, DiagnosisClass.RECONNECT, f"{name}_401", message, fix, answer)
        if answer.status == TOO_MANY or answer.status >= SERVER_ERROR:
            limited = answer.status == TOO_MANY
            message = "The API limits our requests." if limited else "The API has a failure of its own."
            class_ = DiagnosisClass.PAUSE if limited else DiagnosisClass.RETRY
            code = f"{name}_{answer.status}"
            _refuse(Concern.LANE, class_, code, message, "Nothing: try again later.", answer)
        judge(answer, steps)

    return probed(place, STEPS, talk, broken=(http.client.HTTPException,), seconds=seconds)


def refuse(class_: DiagnosisClass, code: str, message: str, fix: str, answer: Answer) -> None:
    """Raises the Refused of an account whose settings are in the way."""
    _refuse(Concern.ACCOUNT, class_, code, message, fix, answer)


def _refuse(
    concern: Concern, class_: DiagnosisClass, code: str, message: str, fix: str, answer: Answer
) -> None:
    wait = retry_after(answer.headers.get("Retry-After"))
    if answer.status == TOO_MANY and wait is None:
        wait = DEFAULT_RETRY_AFTER
    found = Diagnosis(class_, code, message, fix, text=answer.text, retry_after=wait)
    raise Refused(Verdict(concern, found), Phase.AUTH)


def _asked(connection: ssl.SSLSocket, place: Place, path: str, token: Secret) -> Answer:
    client = http.client.HTTPSConnection(place.host, place.port)
    client.sock = connection
    headers = {"Authorization": f"Bearer {token.reveal()}", "Accept": "application/json"}
    client.request("GET", path, headers=headers)
    with client.getresponse() as response:
        body = response.read(LIMIT)
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        values = {}
    shown = values if isinstance(values, dict) else {}
    return Answer(response.status, shown, dict(response.headers.items()))
