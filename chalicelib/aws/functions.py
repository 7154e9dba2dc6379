"""Our own functions, invoked by each other and waited for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from chalicelib import errors, logs
from chalicelib.aws.failures import translated, unavailable
from chalicelib.diagnosis import Diagnosis

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_lambda import LambdaClient

BY_STATUS: dict[int, type[errors.MailgrantError]] = {
    kind.status: kind
    for kind in (
        errors.MalformedRequest,
        errors.Unauthenticated,
        errors.Forbidden,
        errors.NotFound,
        errors.MethodNotAllowed,
        errors.Conflict,
        errors.TooLarge,
        errors.UnsupportedMediaType,
        errors.InvalidInput,
        errors.Unavailable,
    )
}


class Functions:
    """Invokes `connect` and `tokens`. Their refusals are raised here as they were raised there.

    They are told which request they work for, so that its id stands in their lines of the log too.
    """

    def __init__(self, client: LambdaClient, name: Callable[[str], str]) -> None:
        self._client = client
        self._name = name

    def connect(self, op: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Runs an operation of `connect` and returns its answer."""
        return self._invoke("connect", {"op": op, **payload})

    def tokens(self, account: str, failed_version: int | None, resource: str) -> None:
        """Has the account's access token for the resource made fresh. Raises Diagnosed, or Unavailable."""
        event = {"account": account, "failed_version": failed_version, "resource": resource}
        self._invoke("tokens", event)

    def _invoke(self, function: str, asked: dict[str, Any]) -> dict[str, Any]:
        event = {"request_id": logs.known("request_id"), **asked}
        with translated(f"The function {function}"):
            answer = self._client.invoke(
                FunctionName=self._name(function), Payload=json.dumps(event).encode()
            )
            body = answer["Payload"].read()
        if answer.get("FunctionError"):
            raise unavailable(f"The function {function}", "it failed")
        return _checked(json.loads(body))


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if "diagnosis" in answer and set(answer) == {"diagnosis"}:
        raise errors.Diagnosed(Diagnosis.from_json(answer["diagnosis"]))
    if "error" not in answer:
        return answer
    error = answer["error"]
    if "retry_after" in answer:
        known = {"code": error["code"], "retry_after": answer["retry_after"]}
        raise errors.RateLimited(error["message"], fix=error["fix"], **known)
    kind = BY_STATUS.get(answer.get("status", 0), errors.Unavailable)
    raise kind(error["message"], fix=error["fix"], field=error.get("field"), code=error["code"])
