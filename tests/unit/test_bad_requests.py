"""Every route of the API: whoever has no key, and what cannot be read, is refused in the one shape."""

from __future__ import annotations

import gzip
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from chalicelib.web.api.table import BODY_METHODS, ROUTES
from chalicelib.web.openapi import document
from chalicelib.web.openapi.operations import OPERATIONS, parameters_of
from tests.unit.web_services import FakeServices, bearer, client, error_of

if TYPE_CHECKING:
    from chalicelib.web.openapi.operations import Operation

WITH_BODY = [(method, path) for method, path, view in ROUTES if OPERATIONS[view].body]
WITH_QUERY = [
    (method, path, parameter.name)
    for method, path, view in ROUTES
    for parameter in parameters_of(path, view)
    if parameter.where == "query"
]

COMPLETE: dict[str, Any] = {
    "NewConnector": {"provider": "google", "name": "x", "client_id": "x", "client_secret": "x"},
    "ConnectorChange": {"name": "x"},
    "NewSecret": {"client_secret": "x"},
    "NewAccount": {"connector": "x", "address": "a@example.com"},
    "DirectConnection": {"password": "x"},
    "AccountChange": {"name": "x"},
    "Pause": {"reason": "x"},
    "SendRequest": {"account": "x"},
    "Resolution": {"as": "sent"},
    "NewCaller": {"kind": "key", "name": "x", "scopes": ["send"], "accounts": ["*"]},
    "CallerChange": {"from_addresses": ["a@example.com"]},
    "Rewrap": {"cursor": "x"},
}
"""Type of a body → its smallest form."""


def address(path: str) -> str:
    """A path of that form."""
    return "/v1" + re.sub(r"{\w+}", "x", path)


def ask(method: str, path: str, body: bytes = b"", **headers: str) -> Any:
    """The answer to an administrator's request; headers are written with underscores."""
    services = FakeServices()
    services.connected_account()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client(services).http.request(
        method, address(path), headers={**bearer(services.key()), **named}, body=body
    )


def operation_of(method: str, path: str) -> Operation:
    """What is known of a route."""
    return next(OPERATIONS[view] for other, where, view in ROUTES if (other, where) == (method, path))


@pytest.mark.parametrize(("method", "path"), [(method, path) for method, path, _ in ROUTES])
def test_nobody_asks_without_a_key(method: str, path: str) -> None:
    headers = {"Content-Type": "application/json"}

    response = client(FakeServices()).http.request(method, address(path), headers=headers, body=b"{}")

    assert response.status_code == 401
    assert error_of(response)["code"] == "key_missing"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"a":1,"a":1}', b'{"a":NaN}', b'{"a":' * 10_000, b"\xff"],
    ids=["empty", "cut off", "list", "null", "key twice", "NaN", "deep", "no UTF-8"],
)
@pytest.mark.parametrize(("method", "path"), [pair for pair in WITH_BODY if pair[1] != "/messages"])
def test_a_body_that_is_not_one_json_object(method: str, path: str, body: bytes) -> None:
    response = ask(method, path, body)

    if not body and operation_of(method, path).optional:
        assert response.status_code in {200, 404}  # there is no account x
        return
    assert response.status_code == 400
    assert error_of(response)["code"] == "malformed_request"


@pytest.mark.parametrize(("method", "path"), [pair for pair in WITH_BODY if pair[1] != "/messages"])
def test_a_field_that_is_unknown_or_no_text_is_named(method: str, path: str) -> None:
    body = operation_of(method, path).body
    assert body is not None
    complete = COMPLETE[body.__name__]
    name = next(iter(complete))

    unknown = error_of(ask(method, path, json.dumps({**complete, f"{name}s": "x"}).encode()))
    surrogate = error_of(ask(method, path, json.dumps({**complete, name: "\udc80"}).encode()))
    number = error_of(ask(method, path, json.dumps({**complete, name: 7}).encode()))

    assert (unknown["field"], surrogate["field"], number["field"]) == (f"{name}s", name, name)
    assert f"Did you mean {name}?" in unknown["fix"]


def test_what_is_missing_is_named() -> None:
    body = error_of(ask("POST", "/accounts", b'{"connector": "x"}'))
    query = error_of(ask("DELETE", "/callers"))

    assert (body["field"], body["message"]) == ("address", "address is missing.")
    assert (query["field"], query["message"]) == ("id", "id is missing.")


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_a_compressed_body_is_refused_unread(method: str, path: str) -> None:
    response = ask(method, path, gzip.compress(b"{}"), Content_Encoding="gzip")

    assert response.status_code == 415
    assert "Content-Encoding" in error_of(response)["fix"]


@pytest.mark.parametrize(
    ("method", "path"), [(method, path) for method, path, _ in ROUTES if method in BODY_METHODS]
)
def test_another_content_type_is_refused(method: str, path: str) -> None:
    response = ask(method, path, b"{}", Content_Type="text/xml")

    assert response.status_code == 415
    assert error_of(response)["code"] == "unsupported_media_type"


@pytest.mark.parametrize(("method", "path", "name"), WITH_QUERY)
def test_a_parameter_that_is_given_twice_is_named(method: str, path: str, name: str) -> None:
    read = operation_of(method, path).body
    body = json.dumps(COMPLETE[read.__name__]).encode() if read else b""

    response = ask(method, f"{path}?{name}=1&{name}=2", body)

    assert response.status_code == 422
    assert error_of(response)["field"] == name


@pytest.mark.parametrize(("method", "path"), [(method, path) for method, path, _ in ROUTES])
def test_ug7_a_parameter_that_is_unknown_is_named(method: str, path: str) -> None:
    read = operation_of(method, path).body
    body = json.dumps(COMPLETE[read.__name__]).encode() if read else b""

    response = ask(method, f"{path}?limits=5", body)

    assert response.status_code == 422
    assert error_of(response)["field"] == "limits"


def test_ug7_the_nearest_parameter_is_asked_for() -> None:
    error = error_of(ask("GET", "/messages?status=failed&acount=sales"))

    assert error["fix"] == "Did you mean state? There is limit, cursor, account, state, since, until."


def test_ug7_the_parameters_of_a_signature_are_left_alone() -> None:
    assert ask("GET", "/whoami?X-Amz-Signature=0&x-amz-date=0").status_code == 200


@pytest.mark.parametrize("state", ["gone", "FAILED", "null", ""])
def test_ug7_a_state_that_is_none_is_refused(state: str) -> None:
    error = error_of(ask("GET", f"/messages?state={state}"))

    assert error["field"] == "state"


@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize(
    "time", ["today", "2026-13-01T00:00:00Z", "2026-12-01", "2026-12-01T00:00:00", "1764582000", "null", ""]
)
def test_ug7_a_time_that_is_none_is_refused(name: str, time: str) -> None:
    response = ask("GET", f"/messages?{name}={time}")

    assert response.status_code == 422
    assert error_of(response)["field"] == name


NO_UTF8 = (b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe4", b"\xc0\xaf")


@pytest.mark.parametrize("wrong", NO_UTF8, ids=repr)
def test_ug7_bytes_that_are_not_utf8_are_refused(wrong: bytes) -> None:
    quoted = quote(wrong, safe="")
    services = FakeServices()
    asked = (
        ask("POST", "/accounts", b'{"connector": "x", "address": "' + wrong + b'"}'),
        ask("POST", "/accounts", b'{"' + wrong + b'": "x"}'),
        ask("GET", f"/messages?account={quoted}"),
        client(services).http.get(f"/v1/accounts/{quoted}", headers=bearer(services.key())),
    )

    assert [response.status_code for response in asked] == [400] * 4
    assert {error_of(response)["code"] for response in asked} == {"malformed_request"}


def test_ug7_utf16_is_not_utf8_and_a_byte_order_mark_is() -> None:
    body = '{"connector": "x", "address": "a@example.com"}'

    assert ask("POST", "/accounts", body.encode("utf-16")).status_code == 400
    assert error_of(ask("POST", "/accounts", body.encode("utf-8-sig"))).get("code") != "malformed_request"


def test_ug7_the_character_of_lost_bytes_is_taken_where_it_is_written_so() -> None:
    """API Gateway writes it in the place of bytes that it cannot read."""
    plain = ask("PATCH", "/accounts/sales", '{"display_name": "\ufffd"}'.encode())
    escaped = ask("PATCH", "/accounts/sales", b'{"display_name": "\\ufffd"}')

    assert plain.status_code == 400
    assert "\\ufffd" in error_of(plain)["fix"]
    assert escaped.status_code != 400


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({"accounts": "acc_x"}, "accounts", "accounts must be a list, not a text."),
        ({"accounts": [{}]}, "accounts[0]", "accounts[0] must be a text, not an object."),
        ({"name": 7}, "name", "name must be a text, not a whole number."),
        ({"expires_in": "soon"}, "expires_in", "expires_in must be a whole number, not a text."),
        ({"kind": "robot"}, "kind", "kind is none of the values that it may have."),
    ],
)
def test_ug3_a_value_that_does_not_fit_is_told_in_plain_words(
    body: dict[str, Any], field: str, message: str
) -> None:
    error = error_of(ask("POST", "/callers", json.dumps({**COMPLETE["NewCaller"], **body}).encode()))

    assert (error["field"], error["message"]) == (field, message)
    assert "`" not in error["message"] + error["fix"]


def test_the_description_is_for_everybody() -> None:
    response = client(FakeServices()).http.get("/openapi.json")

    assert response.status_code == 200
    assert response.json_body == json.loads(json.dumps(document()))
