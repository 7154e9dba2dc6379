"""One GET at a provider's mail API, with an access token; bounded in time and size, never redirected."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from chalicelib import https
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.mail.models import Phase
from chalicelib.providers.replies import cleaned
from chalicelib.transports.dialling import stepped
from chalicelib.transports.refusals import Concern, Refused, Verdict

if TYPE_CHECKING:
    from chalicelib.network import Trust
    from chalicelib.secret import Secret
    from chalicelib.transports.smtp.probe import Step, Steps

STEPS = ("connect", "auth", "permission")
OK, UNAUTHORIZED, FORBIDDEN = https.OK, 401, 403
AUDIENCE = "Invalid audience"
"""How Graph says that a token is good, and for somebody else."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where an API is (``https://graph.microsoft.com``), and how it is trusted and found."""

    url: str
    trust: Trust


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said."""

    status: int
    values: Mapping[str, Any] = field(repr=False)
    retry_after: int | None

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
    site: Site, path: str, token: Secret, judge: Judge, *, name: str, seconds: float
) -> tuple[list[Step], Refused | None]:
    """The steps of asking for the path, and why it did not succeed, or None; `name` begins the codes."""
    until = time.monotonic() + seconds

    def talk(steps: Steps) -> None:
        said = https.ask(
            https.Question("GET", f"{site.url}{path}", {"Authorization": f"Bearer {token.reveal()}"}),
            site.trust,
            seconds=seconds,
            connected=lambda version: steps.note("connect", version, ok=True),
        )
        answer = Answer(said.status, _object(said.text), said.retry_after)
        if answer.status == UNAUTHORIZED:
            _unauthorized(name, answer)
        if said.is_busy:
            limited = said.is_limited
            message = "The API limits our requests." if limited else "The API has a failure of its own."
            class_ = DiagnosisClass.PAUSE if limited else DiagnosisClass.RETRY
            code = f"{name}_{answer.status}"
            _refuse(Concern.LANE, class_, code, message, "Nothing: try again later.", answer)
        judge(answer, steps)

    return stepped(STEPS, talk, until=until)


def refuse(class_: DiagnosisClass, code: str, message: str, fix: str, answer: Answer) -> NoReturn:
    """Raises the Refused of an account whose settings are in the way."""
    _refuse(Concern.ACCOUNT, class_, code, message, fix, answer)


def _unauthorized(name: str, answer: Answer) -> NoReturn:
    if AUDIENCE in answer.text:
        message = "The access token is for another API."
        fix = "Check the connector's cloud and facts: it gets tokens for one API, and shows them to another."
        _refuse(Concern.ACCOUNT, DiagnosisClass.ADMIN, f"{name}_wrong_audience", message, fix, answer)
    message = "The API refused the access token."
    fix = "If it stays, check that the scope was granted, or connect the mailbox again."
    _refuse(Concern.TOKEN, DiagnosisClass.RECONNECT, f"{name}_401", message, fix, answer)


def _refuse(
    concern: Concern, class_: DiagnosisClass, code: str, message: str, fix: str, answer: Answer
) -> NoReturn:
    found = Diagnosis(class_, code, message, fix, text=answer.text, retry_after=answer.retry_after)
    raise Refused(Verdict(concern, found), Phase.AUTH)


def _object(text: str) -> Mapping[str, Any]:
    """The JSON object that the text is; an empty one where it is something else."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = {}
    return values if isinstance(values, dict) else {}
