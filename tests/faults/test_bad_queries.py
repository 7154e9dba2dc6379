"""Requests to the deployed API that are not what a path reads: methods, parameters, cursors, bytes."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.web.api.table import ROUTES
from tests.faults.doors import error_of, post
from tests.helpers import in_state, letter, until

if TYPE_CHECKING:
    from sandbox.cast import Cast

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PATHS: dict[str, list[str]] = {}
for _method, _path, _ in ROUTES:
    PATHS.setdefault(_path, []).append(_method)


@pytest.fixture
def account(cast: Cast) -> dict[str, Any]:
    """A connected mailbox of its own."""
    return cast.connected("google", f"queries-{secrets.token_hex(4)}@example.com")


def refusal(cast: Cast, method: str, path: str, status: int, **options: Any) -> dict[str, Any]:
    """The error with which a request is refused."""
    answer = cast.api.request(method, path, **options)
    return error_of((answer.status_code, answer.json()), status)


@pytest.mark.parametrize("path", PATHS)
def test_ug7_a_method_that_a_path_does_not_have_is_not_allowed(cast: Cast, path: str) -> None:
    """405 with the methods that there are (RFC 9110, 15.5.6)."""
    for method in set(METHODS) - set(PATHS[path]):
        asked = "/v1" + path.replace("{", "").replace("}", "")

        answer = cast.api.request(method, asked, json={})

        assert error_of((answer.status_code, answer.json()), 405)["code"] == "method_not_allowed"
        assert set(answer.headers["Allow"].replace(" ", "").split(",")) == set(PATHS[path])


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/healthz", {"GET", "HEAD"}),
        ("/openapi.json", {"GET", "HEAD"}),
        ("/connect/kD3v0Q8mZp1rT6yLwB2sN9xHcF4jG7aE", {"GET", "HEAD", "POST"}),
        ("/oauth/callback/con_00000000000000000000", {"GET", "HEAD", "POST"}),
    ],
)
def test_ug7_nor_is_one_that_a_page_does_not_have(cast: Cast, path: str, methods: set[str]) -> None:
    answer = cast.api.request("PUT", path)

    assert error_of((answer.status_code, answer.json()), 405)["code"] == "method_not_allowed"
    assert set(answer.headers["Allow"].replace(" ", "").split(",")) == methods


def test_ug7_an_unknown_parameter_is_refused(cast: Cast, account: dict[str, Any]) -> None:
    error = refusal(cast, "GET", f"/v1/messages?account={account['id']}&stat=failed", 422)

    assert (error["field"], error["fix"][:20]) == ("stat", "Did you mean state? ")


@pytest.mark.parametrize("wrong", [b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xe4"], ids=repr)
def test_ug7_bytes_that_are_not_utf8_are_refused(cast: Cast, account: dict[str, Any], wrong: bytes) -> None:
    body = json.dumps({**letter(account["id"]), "subject": "MARK"}).encode().replace(b"MARK", wrong)
    quoted = "".join(f"%{byte:02X}" for byte in wrong)

    assert error_of(post(cast, body), 400)["code"] == "malformed_request"
    assert refusal(cast, "GET", f"/v1/messages?account={quoted}", 400)["code"] == "malformed_request"
    assert refusal(cast, "GET", f"/v1/accounts/{quoted}", 400)["code"] == "malformed_request"


@pytest.mark.parametrize(
    "cursor", ["x", "W10=", "WzFlOTk5LCAieCJd", "%00", "acc_00000000000000000000", "../../x", "A" * 5_000]
)
def test_ud4_a_cursor_that_was_made_up_is_a_422(cast: Cast, account: dict[str, Any], cursor: str) -> None:
    for path in (
        "accounts",
        f"connectors/{account['connector']}",
        "messages",
        f"messages?account={account['id']}",
    ):
        asked = f"/v1/{path}{'&' if '?' in path else '?'}cursor={cursor}"

        assert refusal(cast, "GET", asked, 422)["field"] == "cursor"


def test_ug7_which_mail_of_all_accounts_failed(cast: Cast, account: dict[str, Any]) -> None:
    sent = in_state(cast, cast.api.post("/v1/messages", letter(account["id"]))["id"], "sent")

    def listed(query: str) -> list[str]:
        return [one["id"] for one in cast.api.get(f"/v1/messages?limit=100&{query}")["messages"]]

    until(lambda: sent["id"] in listed(f"state=sent&since={sent['accepted_at']}"))  # the index may lag
    assert sent["id"] not in listed(f"state=failed&since={sent['accepted_at']}")
    assert sent["id"] not in listed(f"until={sent['accepted_at']}")


def test_ug7_a_message_that_was_stopped_is_listed_as_cancelled(cast: Cast, account: dict[str, Any]) -> None:
    cast.api.post(f"/v1/accounts/{account['id']}/pause", {})
    message = cast.api.post("/v1/messages", letter(account["id"]))["id"]

    def listed(state: str) -> list[str]:
        query = f"account={account['id']}&state={state}"
        return [one["id"] for one in cast.api.get(f"/v1/messages?{query}")["messages"]]

    until(lambda: listed("held") == [message])  # when a relay has looked
    assert (listed("queued"), listed("cancelled")) == ([], [])
    cast.api.post(f"/v1/messages/{message}/cancel", {})
    assert (listed("held"), listed("queued"), listed("cancelled")) == ([], [], [message])
