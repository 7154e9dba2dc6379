"""What callers are held to when they send, over HTTP: given, shown, changed, and told when it is reached."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.callers.models import Scope
from chalicelib.errors import RateLimited
from tests.unit.web_services import ACCOUNT, FakeServices, bearer, client, error_of

if TYPE_CHECKING:
    from chalice.test import Client

LIMITED = {
    "kind": "lambda",
    "name": "news",
    "scopes": ["send"],
    "accounts": ["*"],
    "alias": "news",
    "from_addresses": ["News@BÜCHER.example"],
    "reply_to_domains": ["Bücher.example", "x.example"],
    "messages_per_minute": 5,
}
SHOWN = {
    "from_addresses": ["news@xn--bcher-kva.example"],
    "reply_to_domains": ["x.example", "xn--bcher-kva.example"],
    "messages_per_minute": 5,
}


@pytest.fixture
def services() -> FakeServices:
    """Services that hold nothing yet."""
    return FakeServices()


@pytest.fixture
def http(services: FakeServices) -> Client:
    """A client of the application."""
    return client(services)


def made(http: Client, services: FakeServices, **changes: Any) -> dict[str, Any]:
    """The answer by which a caller is made."""
    sent = json.dumps({**LIMITED, **changes}).encode()
    answer: dict[str, Any] = http.http.post(
        "/v1/callers", headers=bearer(services.key()), body=sent
    ).json_body
    return answer


def limits_of(answer: dict[str, Any]) -> dict[str, Any]:
    """The limits that a caller's record shows."""
    return {field: answer[field] for field in SHOWN}


def change_limits(http: Client, services: FakeServices, body: dict[str, Any], caller: str) -> Any:
    """The answer to a change of a caller's limits."""
    sent = json.dumps(body).encode()
    return http.http.request("PATCH", f"/v1/callers?id={caller}", bearer(services.key()), sent)


def test_V9_a_callers_limits_are_shown_as_they_are_compared(http: Client, services: FakeServices) -> None:
    alias = made(http, services)
    role = made(http, services, kind="role", arn="arn:aws:iam::123456789012:role/news", alias="")
    key = made(http, services, kind="key", alias="")

    assert [limits_of(one) for one in (alias, role, key)] == [SHOWN] * 3


def test_V9_limits_are_changed_one_by_one(http: Client, services: FakeServices) -> None:
    caller = made(http, services)["id"]

    narrowed = change_limits(http, services, {"messages_per_minute": 1}, caller).json_body
    widened = change_limits(http, services, {"from_addresses": [], "messages_per_minute": None}, caller)

    assert limits_of(narrowed) == {**SHOWN, "messages_per_minute": 1}
    assert limits_of(widened.json_body) == {**SHOWN, "from_addresses": [], "messages_per_minute": None}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"from_addresses": ["a@x.example", "nobody"]}, "from_addresses[1]"),
        ({"from_addresses": ["a@x.example"] * 101}, "from_addresses"),
        ({"reply_to_domains": ["@x.example"]}, "reply_to_domains[0]"),
        ({"reply_to_domains": ["x.example."]}, "reply_to_domains[0]"),
        ({"messages_per_minute": 0}, "messages_per_minute"),
        ({"messages_per_minute": 10_001}, "messages_per_minute"),
        ({}, None),
        ({"name": "x"}, "name"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_limits_that_cannot_be_are_named(
    http: Client, services: FakeServices, body: dict[str, Any], field: str | None
) -> None:
    caller = made(http, services)["id"]

    response = change_limits(http, services, body, caller)

    assert response.status_code == 422
    assert error_of(response).get("field") == field
    assert limits_of(change_limits(http, services, {"messages_per_minute": 5}, caller).json_body) == SHOWN


def test_an_unknown_caller_has_no_limits_to_change(http: Client, services: FakeServices) -> None:
    assert change_limits(http, services, {"messages_per_minute": 1}, "key_x").status_code == 404


def test_only_an_administrator_of_everything_changes_limits(http: Client, services: FakeServices) -> None:
    """A caller could take its own away."""
    key = services.key(Scope.ADMIN, accounts=(ACCOUNT,))
    caller = http.http.get("/v1/whoami", headers=bearer(key)).json_body["id"]

    change = b'{"messages_per_minute": null}'
    response = http.http.request("PATCH", f"/v1/callers?id={caller}", bearer(key), change)

    assert error_of(response)["code"] == "all_accounts_needed"


def test_V9_one_message_too_many_is_told_when_to_come_again(http: Client, services: FakeServices) -> None:
    services.laid.answers["accept"] = RateLimited("Too many.", fix="Wait for 48 seconds.", retry_after=48)

    response = http.http.post("/v1/messages", headers=bearer(services.key()), body=b"{}")

    assert response.status_code == 429
    assert error_of(response)["code"] == "rate_limited"
    assert response.headers["Retry-After"] == "48"
