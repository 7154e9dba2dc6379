"""The API over HTTP: who is let in, what is read, how it is answered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.callers.models import Scope
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import ConfigurationError, Diagnosed, Forbidden, Unavailable
from chalicelib.web.api import bodies
from tests.unit.web_services import (
    ACCOUNT,
    CONNECTOR,
    MESSAGE,
    OTHER_ACCOUNT,
    PUBLIC_URL,
    FakeServices,
    application,
    bearer,
    client,
    error_of,
    message,
)

if TYPE_CHECKING:
    from chalice.test import Client

CONNECTOR_BODY = {
    "provider": "microsoft",
    "name": "Microsoft",
    "client_id": "the-client",
    "client_secret": "canary-secret",
    "tenant": "common",
}


@pytest.fixture
def services() -> FakeServices:
    """Services that hold nothing yet."""
    return FakeServices()


@pytest.fixture
def http(services: FakeServices) -> Client:
    """A client of the application."""
    return client(services)


def post(http: Client, path: str, key: str, body: Any) -> Any:
    """The answer to a POST of JSON."""
    return http.http.post(path, headers=bearer(key), body=json.dumps(body).encode())


def test_a_request_without_a_key_is_told_to_send_one(http: Client) -> None:
    """401, with the header that RFC 9110 asks for."""
    response = http.http.get("/v1/whoami")

    assert response.status_code == 401
    assert error_of(response)["code"] == "key_missing"
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("key", ["", "mg_x", "mg_" + "a" * 20 + "_" + "b" * 43, "Basic abc"])
def test_every_wrong_key_is_answered_alike(http: Client, key: str) -> None:
    """Nothing tells a badly shaped key from an unknown one."""
    response = http.http.get("/v1/whoami", headers=bearer(key))

    assert response.status_code == 401
    assert error_of(response)["code"] == "invalid_key"


def test_whoami_names_the_caller(http: Client, services: FakeServices) -> None:
    """The caller's own record, without its hash."""
    key = services.key(Scope.READ, accounts=(ACCOUNT,))

    response = http.http.get("/v1/whoami", headers=bearer(key))

    assert response.status_code == 200
    assert response.json_body["scopes"] == ["read"]
    assert "secret_hash" not in response.json_body


def test_a_signature_is_recognised_by_the_role_behind_its_session(services: FakeServices) -> None:
    """API Gateway names the session; the caller is the role."""
    services.callers.allow_role("arn:aws:iam::123456789012:role/path/reports", "reports", [Scope.READ], ["*"])
    event = _event("/iam/v1/whoami", "arn:aws:sts::123456789012:assumed-role/reports/session")

    answer = application(services)(event, None)

    assert answer["statusCode"] == 200, answer
    assert json.loads(answer["body"])["id"] == "role:arn:aws:iam::123456789012:role/reports"


def test_a_role_that_was_not_allowed_is_refused(services: FakeServices) -> None:
    """A right signature is not yet a caller."""
    event = _event("/iam/v1/whoami", "arn:aws:sts::123456789012:assumed-role/other/session")

    answer = application(services)(event, None)

    assert answer["statusCode"] == 403
    assert json.loads(answer["body"])["error"]["code"] == "unknown_caller"


def test_a_connectors_secret_is_saved_before_its_row_and_never_shown(
    http: Client, services: FakeServices
) -> None:
    """A row without a secret would look like a connector that can be used."""
    response = post(http, "/v1/connectors", services.key(), CONNECTOR_BODY)

    assert response.status_code == 201
    assert [what for what, _ in services.laid.asked] == ["save_secret", "add_connector", "check_secret"]
    saved = services.laid.asked[0][1]
    assert (saved["connector_id"], saved["kind"], saved["secret"]) == (CONNECTOR, "secret", "canary-secret")
    assert response.json_body["redirect_uri"] == f"{PUBLIC_URL}/oauth/callback/{CONNECTOR}"
    assert b"canary-secret" not in response.body


def test_a_connector_whose_secret_cannot_be_saved_is_not_made(http: Client, services: FakeServices) -> None:
    """Nothing is left of it."""
    services.laid.answers["save_secret"] = Unavailable("Secrets Manager did not answer.", fix="Try again.")

    response = post(http, "/v1/connectors", services.key(), CONNECTOR_BODY)

    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert not services.laid.connectors


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"provider": "nobody"}, "provider"),
        ({"client_id": None}, "client_id"),
        ({"clientid": "x"}, "clientid"),
        ({"name": 7}, "name"),
    ],
    ids=["unknown provider", "null", "unknown field (B55)", "wrong type"],
)
def test_a_wrong_value_is_named_by_its_field(
    http: Client, services: FakeServices, change: dict[str, Any], field: str
) -> None:
    """422, and nothing was begun."""
    response = post(http, "/v1/connectors", services.key(), {**CONNECTOR_BODY, **change})

    assert response.status_code == 422
    assert error_of(response)["field"] == field
    assert services.laid.asked == []


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"name":1,"name":2}', b'{"name":NaN}', b"[" * 100_000, b"\xff"],
    ids=["empty", "a list", "cut off", "key twice", "NaN", "100,000 deep", "not UTF-8"],
)
def test_what_is_not_json_is_malformed(http: Client, services: FakeServices, body: bytes) -> None:
    """B53: 400, in the one shape."""
    response = http.http.post("/v1/connectors", headers=bearer(services.key()), body=body)

    assert response.status_code == 400
    assert error_of(response)["code"] == "malformed_request"


def test_another_content_type_is_refused_in_the_one_shape(http: Client, services: FakeServices) -> None:
    """B54: Chalice answers, in our words."""
    headers = {**bearer(services.key()), "Content-Type": "text/plain"}

    response = http.http.post("/v1/messages", headers=headers, body=b"{}")

    assert response.status_code == 415
    assert error_of(response)["code"] == "unsupported_media_type"


def test_an_unknown_method_is_refused_in_the_one_shape(http: Client) -> None:
    """The path is there, the method is not."""
    response = http.http.delete("/healthz")

    assert response.status_code in (403, 405)
    assert response.status_code == 403 or error_of(response)["code"] == "method_not_allowed"


@pytest.mark.parametrize("error", [ConfigurationError("table gone: canary"), ZeroDivisionError("canary")])
def test_what_nobody_foresaw_tells_only_where_to_look(
    http: Client, services: FakeServices, error: Exception
) -> None:
    """500 without the exception's text."""
    services.laid.answers["get"] = error

    response = http.http.get("/v1/messages/msg_1", headers=bearer(services.key()))

    assert response.status_code == 500
    assert error_of(response)["code"] == "internal_error"
    assert b"canary" not in response.body


def test_a_body_does_not_show_its_values() -> None:
    """It may hold a client secret, and a repr may come into a log."""
    asked = bodies.NewConnector(provider="google", name="n", client_id="c", client_secret="canary")

    certificate = bodies.Certificate(pem="canary", passphrase="canary")
    secret = bodies.NewSecret(client_secret="canary", certificate=certificate, service_account_key="canary")
    account = bodies.DirectConnection(password="canary", refresh_token="canary")

    assert "canary" not in f"{asked!r} {asked} {certificate!r} {secret!r} {secret} {account!r} {account}"


def test_a_caller_that_is_too_long_to_be_one_is_unknown(
    http: Client, services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DynamoDB takes no key above 2,048 bytes."""

    def refused(*_: object) -> None:
        raise ConfigurationError("The table of callers: AWS answered ValidationException")

    monkeypatch.setattr(services.store, "revoke", refused)

    response = http.http.delete(f"/v1/callers?id={'x' * 3_000}", headers=bearer(services.key()))

    assert response.status_code == 404


def test_a_new_account_comes_with_its_connect_link(http: Client, services: FakeServices) -> None:
    """The link is ready to be handed on."""
    services.connected_account()
    body = {"connector": CONNECTOR, "address": "info@mail.example"}

    response = post(http, "/v1/accounts", services.key(), body)

    assert response.status_code == 201
    assert response.json_body["status"] == "disconnected"
    assert response.json_body["connect_link"].startswith(f"{PUBLIC_URL}/connect/")
    assert response.json_body["connect_link_expires_at"] == "2023-11-14T22:13:20.000Z"


def test_an_unknown_and_a_forbidden_account_are_answered_alike(http: Client, services: FakeServices) -> None:
    """Byte for byte, whatever the scopes."""
    services.connected_account()
    headers = bearer(services.key(Scope.SEND, accounts=(OTHER_ACCOUNT,)))

    forbidden = http.http.get(f"/v1/accounts/{ACCOUNT}", headers=headers)
    unknown = http.http.get("/v1/accounts/nobody", headers=headers)

    assert forbidden.status_code == unknown.status_code == 404
    assert forbidden.body == unknown.body


def test_an_account_is_found_by_an_encoded_name(http: Client, services: FakeServices) -> None:
    """Path parameters arrive percent-encoded."""
    services.laid.accounts[ACCOUNT] = services.connected_account()

    response = http.http.get("/v1/accounts/%73ales", headers=bearer(services.key(Scope.READ)))

    assert response.status_code == 200
    assert response.json_body["status"] == "connected"
    assert response.json_body["lane"]["closed"] is None


def test_a_list_shows_only_the_callers_own_accounts(http: Client, services: FakeServices) -> None:
    """The others are not even counted."""
    services.connected_account()

    response = http.http.get(
        "/v1/accounts", headers=bearer(services.key(Scope.READ, accounts=(OTHER_ACCOUNT,)))
    )

    assert response.json_body == {"accounts": [], "cursor": None}


def test_a_message_is_handed_on_as_it_came(http: Client, services: FakeServices) -> None:
    """202 with its id; the key of the header goes along."""
    services.laid.answers["accept"] = {"id": MESSAGE, "state": "queued"}
    headers = {**bearer(services.key(Scope.SEND)), "Idempotency-Key": "k-1"}

    response = http.http.post("/v1/messages", headers=headers, body=b'{"account": "sales"}')

    assert response.status_code == 202
    assert response.json_body == {"id": MESSAGE, "state": "queued"}
    assert services.laid.asked == [("accept", (b'{"account": "sales"}', "k-1"))]


def test_reading_does_not_let_send(http: Client, services: FakeServices) -> None:
    """403, before the body is read."""
    response = post(http, "/v1/messages", services.key(Scope.READ), {})

    assert response.status_code == 403
    assert error_of(response)["code"] == "scope_missing"


@pytest.mark.parametrize("limit", ["0", "101", "ten", "-1", "٣"])
def test_an_impossible_page_size_is_named(http: Client, services: FakeServices, limit: str) -> None:
    """422 with the field."""
    response = http.http.get(f"/v1/messages?account=sales&limit={limit}", headers=bearer(services.key()))

    assert response.status_code == 422
    assert error_of(response)["field"] == "limit"


def test_a_message_is_resolved_as_one_of_three(http: Client, services: FakeServices) -> None:
    """Another word is refused by its field's name."""
    key = services.key()
    services.laid.answers["resolve"] = message()

    done = post(http, "/v1/messages/msg_1/resolve", key, {"as": "sent"})
    refused = post(http, "/v1/messages/msg_1/resolve", key, {"as": "gone"})

    assert done.status_code == 200
    assert services.laid.asked == [("resolve", ("msg_1", "sent"))]
    assert error_of(refused)["field"] == "as"


def test_a_message_is_cancelled_with_or_without_a_body(http: Client, services: FakeServices) -> None:
    """Its record comes back."""
    key = services.key()
    services.laid.answers["cancel"] = message()

    bare = http.http.post("/v1/messages/msg_1/cancel", headers=bearer(key))
    done = post(http, "/v1/messages/msg_1/cancel", key, {})

    assert (bare.status_code, done.status_code) == (200, 200)
    assert bare.json_body == done.json_body
    assert services.laid.asked == [("cancel", "msg_1")] * 2


def test_a_diagnosis_is_answered_with_its_own_code(http: Client, services: FakeServices) -> None:
    """502: the provider refused, and says when to come back."""
    diagnosis = Diagnosis(DiagnosisClass.RETRY, "AADSTS50196", "Too many.", "Wait.", retry_after=17)
    services.laid.answers["get"] = Diagnosed(diagnosis)

    response = http.http.get("/v1/messages/msg_1", headers=bearer(services.key()))

    assert response.status_code == 502
    assert error_of(response)["code"] == "AADSTS50196"
    assert response.headers["Retry-After"] == "17"


def test_a_keys_text_is_shown_once(http: Client, services: FakeServices) -> None:
    """In the answer that makes it, and in no list."""
    made = post(
        http,
        "/v1/callers",
        services.key(),
        {"kind": "key", "name": "shop", "scopes": ["send"], "accounts": ["*"]},
    )
    listed = http.http.get("/v1/callers", headers=bearer(services.key()))

    assert made.status_code == 201
    assert made.json_body["key"].startswith("mg_")
    assert made.json_body["key"].encode() not in listed.body


def test_a_revoked_key_is_refused(http: Client, services: FakeServices) -> None:
    """At once in the environment that revoked it."""
    key = services.key(Scope.READ)
    revoked = http.http.get("/v1/whoami", headers=bearer(key)).json_body["id"]

    http.http.delete(f"/v1/callers/{revoked}", headers=bearer(services.key()))

    assert http.http.get("/v1/whoami", headers=bearer(key)).status_code == 401


def test_a_role_is_revoked_by_query(http: Client, services: FakeServices) -> None:
    """Its id has slashes."""
    body = {
        "kind": "role",
        "name": "reports",
        "scopes": ["read"],
        "accounts": ["*"],
        "arn": "arn:aws:iam::123456789012:role/reports",
    }
    made = post(http, "/v1/callers", services.key(), body).json_body

    path = f"/v1/callers?id={made['id'].replace(':', '%3A').replace('/', '%2F')}"
    response = http.http.delete(path, headers=bearer(services.key()))

    assert response.status_code == 200
    assert response.json_body["revoked_at"] is not None


def test_an_alias_is_allowed_once(http: Client, services: FakeServices) -> None:
    """Its rights are not changed behind its back."""
    body = {"kind": "lambda", "name": "shop", "scopes": ["send"], "accounts": ["*"], "alias": "shop"}

    made, again = (post(http, "/v1/callers", services.key(), body) for _ in range(2))

    assert made.status_code == 201
    assert error_of(again)["code"] == "caller_exists"


def test_an_administrator_of_one_account_makes_no_callers(http: Client, services: FakeServices) -> None:
    """It could make itself one of all accounts."""
    key = services.key(Scope.ADMIN, accounts=(ACCOUNT,))

    response = post(
        http, "/v1/callers", key, {"kind": "key", "name": "x", "scopes": ["admin"], "accounts": ["*"]}
    )

    assert response.status_code == 403
    assert error_of(response)["code"] == "all_accounts_needed"


def test_the_health_check_needs_no_key(http: Client) -> None:
    """It names the stage."""
    response = http.http.get("/healthz")

    assert response.json_body == {"status": "ok", "stage": "test"}


def test_every_answer_is_guarded(http: Client, services: FakeServices) -> None:
    """No cache keeps it, no frame shows it."""
    services.laid.answers["get"] = Forbidden("no", fix="no")

    for response in (
        http.http.get("/healthz"),
        http.http.get("/v1/messages/m", headers=bearer(services.key())),
    ):
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]


def _event(path: str, principal: str) -> dict[str, Any]:
    return {
        "multiValueQueryStringParameters": None,
        "headers": {},
        "pathParameters": None,
        "requestContext": {"httpMethod": "GET", "resourcePath": path, "identity": {"userArn": principal}},
        "body": None,
        "stageVariables": None,
    }
