"""The two doors through which messages come in, each asked in the same way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests

    from chalicelib.wiring import Gateway
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox

DOORS = ("https", "function")

Answer = tuple[int, dict[str, Any]]
Ask = Callable[[dict[str, Any]], Answer]


def error_of(answer: Answer, status: int) -> dict[str, Any]:
    """The error of an answer, after checking its status and its one shape."""
    found, body = answer
    assert found == status, body
    error: dict[str, Any] = body["error"]
    assert {"code", "message", "fix", "docs"} <= error.keys() <= {"code", "message", "fix", "docs", "field"}
    assert all(error.values())
    return error


@dataclass(frozen=True)
class Door:
    """Hands messages in for one account; `kept` counts the rows that the account has in the table."""

    ask: Ask
    kept: Callable[[], int]

    def refuses(self, message: dict[str, Any], status: int, field: str | None) -> dict[str, Any]:
        """The error with which a message is refused, of which nothing was stored."""
        before = self.kept()

        error = error_of(self.ask(message), status)

        assert error.get("field") == field, error
        assert self.kept() == before
        return error

    def accepts(self, message: dict[str, Any]) -> str:
        """The id of an accepted message."""
        status, answer = self.ask(message)
        assert status == 202, answer
        return str(answer["id"])


def deployed(name: str, sandbox: Sandbox, cast: Cast, alias: str, account: str) -> Door:
    """A door of the deployed application."""

    def by_https(message: dict[str, Any]) -> Answer:
        return _read(cast.api.request("POST", "/v1/messages", json=message))

    def by_function(message: dict[str, Any]) -> Answer:
        invoked = aws(sandbox, "lambda").invoke(
            FunctionName="mailgrant-sandbox-send", Payload=json.dumps(message), Qualifier=alias
        )
        answer = json.load(invoked["Payload"])
        assert "FunctionError" not in invoked, answer
        return int(answer.get("status", 202)), answer

    return Door(by_https if name == "https" else by_function, lambda: kept(sandbox, account))


def in_process(name: str, gateway: Gateway, sandbox: Sandbox, alias: str, account: str) -> Door:
    """A door of the same code in this process, where a test can set the gateway's settings."""
    from chalice.app import Chalice
    from chalice.test import Client

    from chalicelib.web import register

    app = Chalice("mailgrant", configure_logs=False)
    register(app, lambda: gateway)
    headers = {"Authorization": f"Bearer {sandbox.key}", "Content-Type": "application/json"}

    def by_https(message: dict[str, Any]) -> Answer:
        answer = Client(app).http.post("/v1/messages", headers=headers, body=json.dumps(message).encode())
        return answer.status_code, answer.json_body

    def by_function(message: dict[str, Any]) -> Answer:
        arn = f"arn:aws:lambda:eu-west-1:000000000000:function:send:{alias}"
        answer = gateway.send_operations.run(message, function_arn=arn)
        return int(answer.get("status", 202)), answer

    return Door(by_https if name == "https" else by_function, lambda: kept(sandbox, account))


def gateway_with(sandbox: Sandbox, **facts: Any) -> Gateway:
    """The application's own code in this process, with other facts about Microsoft."""
    from chalicelib.settings import Settings
    from chalicelib.wiring import Gateway

    settings = Settings.from_env(sandbox.environment)
    endpoints = dict(settings.provider_endpoints)
    endpoints["microsoft"] = {**endpoints["microsoft"], **facts}
    return Gateway(replace(settings, provider_endpoints=endpoints))


def post(cast: Cast, body: bytes, **headers: str | bytes) -> Answer:
    """The answer to bytes that are handed in by HTTPS; headers are written with underscores."""
    named = {"Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return _read(cast.api.request("POST", "/v1/messages", data=body, headers=named))


def kept(sandbox: Sandbox, account: str) -> int:
    """How many rows the account has in the table of messages."""
    found = aws(sandbox, "dynamodb").query(
        TableName="mailgrant-sandbox-messages",
        KeyConditionExpression="account = :account",
        ExpressionAttributeValues={":account": {"S": account}},
        ConsistentRead=True,
        Select="COUNT",
    )
    return int(found["Count"])


@cache
def aws(sandbox: Sandbox, service: str) -> Any:
    """A client of the sandbox's AWS, made once: making one takes longer than what is asked of it."""
    return sandbox.emulator.session().client(service)


def _read(answer: requests.Response) -> Answer:
    return answer.status_code, answer.json()
