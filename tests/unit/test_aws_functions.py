"""What another function answered, as it is raised here."""

from __future__ import annotations

import io
import json
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from chalicelib import errors, logs
from chalicelib.aws.functions import BY_STATUS, Functions
from chalicelib.diagnosis import Diagnosis, DiagnosisClass


class Lambda:
    """Answers one invoke with what it was made with, and keeps what it was asked."""

    def __init__(self, answer: Any, *, error: str = "") -> None:
        self._answer = answer
        self._error = error
        self.asked: dict[str, Any] = {}

    def invoke(self, **request: Any) -> dict[str, Any]:
        self.asked = request
        answer = {"Payload": io.BytesIO(json.dumps(self._answer).encode())}
        return answer | ({"FunctionError": self._error} if self._error else {})


def functions(client: Lambda) -> Functions:
    return Functions(cast("Any", client), lambda noun: f"mailgrant-test-{noun}")


def test_an_operation_and_its_request_are_named_in_the_event() -> None:
    client = Lambda({"authorize_url": "https://p"})

    with logs.about(request_id="r-1"):
        answer = functions(client).connect("begin", {"link_token": "abc"})

    assert answer == {"authorize_url": "https://p"}
    assert client.asked["FunctionName"] == "mailgrant-test-connect"
    assert json.loads(client.asked["Payload"]) == {"op": "begin", "request_id": "r-1", "link_token": "abc"}


@pytest.mark.parametrize(
    "error",
    [
        errors.MalformedRequest("No.", fix="Do.", code="unknown_state"),
        errors.Forbidden("No.", fix="Do.", code="wrong_browser"),
        errors.NotFound("No.", fix="Do."),
        errors.Conflict("No.", fix="Do."),
        errors.MethodNotAllowed("No.", fix="Do."),
        errors.TooLarge("No.", fix="Do."),
        errors.UnsupportedMediaType("No.", fix="Do."),
        errors.InvalidInput("No.", fix="Do.", field="name"),
        errors.Unavailable("No.", fix="Do."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_refusal_is_raised_as_it_was_raised_there(error: errors.MailgrantError) -> None:
    client = Lambda({**error.to_json(), "status": error.status})

    with pytest.raises(errors.MailgrantError) as raised:
        functions(client).connect("begin", {})

    assert type(raised.value) is type(error)
    assert raised.value.to_json() == error.to_json()


def test_a_diagnosis_is_raised() -> None:
    diagnosis = Diagnosis(DiagnosisClass.RECONNECT, "invalid_grant", "It ended.", "Reconnect.")

    with pytest.raises(errors.Diagnosed) as raised:
        functions(Lambda({"diagnosis": diagnosis.to_json()})).tokens("acc_1", None, "mail")

    assert raised.value.diagnosis == diagnosis


def test_an_outcome_with_a_diagnosis_is_an_answer() -> None:
    outcome = {"outcome": "failed", "diagnosis": {"code": "x"}}

    assert functions(Lambda(outcome)).connect("complete", {}) == outcome


def test_every_kind_of_refusal_is_known_by_its_status() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    answered = {kind for kind in kinds if issubclass(kind, errors.MailgrantError)}

    others = {errors.MailgrantError, errors.Diagnosed, errors.RateLimited}
    assert set(BY_STATUS.values()) == answered - others


def test_a_limit_says_when_it_goes_on() -> None:
    error = errors.RateLimited("No.", fix="Wait.", code="too_many_visits", retry_after=7)
    client = Lambda({**error.to_json(), "status": 429, "retry_after": 7})

    with pytest.raises(errors.RateLimited) as raised:
        functions(client).connect("begin_visit", {})

    assert raised.value.to_json() == error.to_json()
    assert raised.value.retry_after == 7


@pytest.mark.parametrize(
    "failure",
    [
        ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke"),
        ClientError({"Error": {"Code": "ServiceException"}}, "Invoke"),
        ReadTimeoutError(endpoint_url="https://lambda"),
        ConnectTimeoutError(endpoint_url="https://lambda"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_an_invoke_that_is_throttled_or_lost_is_tried_again(failure: Exception) -> None:
    """A deferral that burns no attempt."""

    class Throttled:
        def invoke(self, **_: Any) -> None:
            raise failure

    with pytest.raises(errors.Unavailable):
        functions(cast("Any", Throttled())).tokens("acc_1", None, "mail")


def test_a_function_that_fails_is_tried_again() -> None:
    with pytest.raises(errors.Unavailable):
        functions(Lambda({"errorMessage": "boom"}, error="Unhandled")).tokens("acc_1", 1, "mail")
