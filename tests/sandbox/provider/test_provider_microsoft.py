"""The sandbox's provider playing Microsoft, with msal unchanged as the client."""

from __future__ import annotations

import msal
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.sandbox.provider.world import (
    CALLBACK,
    GRAPH_SEND,
    IMAP,
    MICROSOFT_TOKEN,
    SMTP_SEND,
    World,
)

ANNA = "anna@contoso.example"
# msal recommends form_post on every flow; the application takes a GET, whose cookie may be Lax.
pytestmark = pytest.mark.filterwarnings("ignore:response_mode='form_post' is recommended:UserWarning")


def test_msal_connects_a_mailbox_with_pkce_and_nonce(world: World) -> None:
    app = world.msal_app()
    flow = app.initiate_auth_code_flow([SMTP_SEND], redirect_uri=CALLBACK, login_hint=ANNA)

    callback = world.consent(flow["auth_uri"], ANNA)
    tokens = app.acquire_token_by_auth_code_flow(flow, callback)

    assert tokens["scope"] == SMTP_SEND
    assert tokens["id_token_claims"]["preferred_username"] == ANNA
    assert tokens["id_token_claims"]["aud"] == "ms-client"
    assert tokens["refresh_token"]
    assert app.get_accounts()[0]["username"] == ANNA


def test_id_token_is_signed_by_a_published_key_and_names_tenant_and_person(world: World) -> None:
    tokens = world.microsoft_tokens(nonce="n-1")
    keys = world.http.get(f"{world.provider.url}/common/discovery/v2.0/keys", timeout=10).json()

    claims = jwt.decode(tokens["id_token"], KeySet.import_key_set(keys), algorithms=["RS256"]).claims

    assert claims["iss"] == f"{world.provider.url}/{claims['tid']}/v2.0"
    assert claims["nonce"] == "n-1"
    assert claims["email"] == ANNA
    assert claims["name"] == "Anna Arendt"
    assert {"oid", "sub", "exp", "iat", "ver"} <= claims.keys()


def test_msal_refresh_rotates_and_the_old_token_stays_valid(world: World) -> None:
    first = world.microsoft_tokens()["refresh_token"]

    second = world.msal_app().acquire_token_by_refresh_token(first, [SMTP_SEND])
    again = world.msal_app().acquire_token_by_refresh_token(first, [SMTP_SEND])

    assert second["refresh_token"] != first
    assert again["access_token"] != second["access_token"]
    assert world.control.introspect(again["access_token"])["active"]


def test_a_strict_client_that_uses_a_replaced_refresh_token_loses_them_all(world: World) -> None:
    world.control.register_client(
        "ms-client", "ms-client-secret", [CALLBACK], "microsoft", temperament="strict"
    )
    first = world.microsoft_tokens()["refresh_token"]

    second = world.refresh(MICROSOFT_TOKEN, first, "ms-client").json()["refresh_token"]
    third = world.refresh(MICROSOFT_TOKEN, second, "ms-client").json()["refresh_token"]

    assert world.refresh(MICROSOFT_TOKEN, first, "ms-client").json()["error_codes"] == [50173]
    assert world.refresh(MICROSOFT_TOKEN, third, "ms-client").json()["error_codes"] == [50173]


def test_one_refresh_token_serves_each_resource_by_itself(world: World) -> None:
    scope = f"openid offline_access {SMTP_SEND} {IMAP} {GRAPH_SEND}"
    refresh_token = world.microsoft_tokens(scope=scope)["refresh_token"]

    outlook = world.msal_app().acquire_token_by_refresh_token(refresh_token, [SMTP_SEND])
    graph = world.msal_app().acquire_token_by_refresh_token(refresh_token, [GRAPH_SEND])

    assert world.control.introspect(outlook["access_token"])["aud"] == "https://outlook.office.com"
    assert outlook["scope"] == f"{SMTP_SEND} {IMAP}"
    assert world.control.introspect(graph["access_token"])["aud"] == "https://graph.microsoft.com"
    assert graph["scope"] == f"openid {GRAPH_SEND}"


def test_scopes_of_two_resources_at_the_token_endpoint_are_refused(world: World) -> None:
    refresh_token = world.microsoft_tokens(scope=f"offline_access {SMTP_SEND} {GRAPH_SEND}")["refresh_token"]

    answer = world.refresh(MICROSOFT_TOKEN, refresh_token, "ms-client", scope=f"{SMTP_SEND} {GRAPH_SEND}")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    assert answer.json()["error_codes"] == [28000]


def test_a_scope_that_was_not_consented_needs_the_person_again(world: World) -> None:
    refresh_token = world.microsoft_tokens()["refresh_token"]

    answer = world.refresh(MICROSOFT_TOKEN, refresh_token, "ms-client", scope=GRAPH_SEND).json()

    assert (answer["error"], answer["suberror"]) == ("invalid_grant", "consent_required")


def test_no_refresh_token_comes_without_offline_access(world: World) -> None:
    tokens = world.microsoft_tokens(scope=f"openid {SMTP_SEND}")

    assert "access_token" in tokens
    assert "refresh_token" not in tokens


def test_error_bodies_have_the_fields_of_the_real_service(world: World) -> None:
    answer = world.refresh(MICROSOFT_TOKEN, "nonsense", "ms-client").json()

    assert answer.keys() == {
        "error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id", "error_uri"
    }  # fmt: skip
    assert answer["error_description"].startswith("AADSTS70000: ")
    assert f"Trace ID: {answer['trace_id']} Correlation ID: " in answer["error_description"]


@pytest.mark.parametrize(
    ("change", "status", "error", "number"),
    [
        ({"code_verifier": "x" * 43}, 400, "invalid_grant", 501481),
        ({"code_verifier": ""}, 400, "invalid_grant", 501481),
        ({"redirect_uri": CALLBACK + "/"}, 400, "invalid_client", 500112),
        ({"code": "nonsense"}, 400, "invalid_grant", 70000),
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_secret": ""}, 401, "invalid_client", 7000218),
        ({"client_id": "nobody"}, 400, "unauthorized_client", 700016),
        ({"client_id": "g-client"}, 400, "unauthorized_client", 700016),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"scope": "https://outlook.office.com/Nonsense"}, 400, "invalid_scope", 70011),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else str(value),
)
def test_a_code_exchange_that_is_wrong_is_refused(
    world: World, change: dict[str, str], status: int, error: str, number: int
) -> None:
    callback = world.consent(world.microsoft_url(), ANNA)

    answer = world.redeem(MICROSOFT_TOKEN, callback, "ms-client", **change)

    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_codes"] == [number]


def test_a_code_is_good_for_one_exchange_and_its_tokens_stay(world: World) -> None:
    callback = world.consent(world.microsoft_url(), ANNA)
    tokens = world.redeem(MICROSOFT_TOKEN, callback, "ms-client").json()

    again = world.redeem(MICROSOFT_TOKEN, callback, "ms-client")

    assert again.json()["error_codes"] == [54005]
    assert world.control.introspect(tokens["access_token"])["active"]
    assert world.refresh(MICROSOFT_TOKEN, tokens["refresh_token"], "ms-client").ok


def test_a_refused_consent_comes_back_as_access_denied_with_the_state(world: World) -> None:
    app = world.msal_app()
    flow = app.initiate_auth_code_flow([SMTP_SEND], redirect_uri=CALLBACK)

    callback = world.consent(flow["auth_uri"], ANNA, accept=False)
    result = app.acquire_token_by_auth_code_flow(flow, callback)

    assert callback["state"] == flow["state"]
    assert result["error"] == "access_denied"
    assert "AADSTS65004" in result["error_description"]


def test_an_unknown_scope_goes_back_to_the_client(world: World) -> None:
    url = world.microsoft_url(scope="https://outlook.office.com/Nonsense")

    answer = world.http.get(url, allow_redirects=False, timeout=10)

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"{CALLBACK}?error=invalid_scope&")


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({"redirect_uri": CALLBACK + "/"}, 50011),
        ({"redirect_uri": ""}, 50011),
        ({"client_id": "nobody"}, 700016),
    ],
    ids=["other redirect URI", "no redirect URI", "unknown client"],
)
def test_nothing_is_sent_to_a_redirect_uri_that_cannot_be_trusted(
    world: World, change: dict[str, str], number: int
) -> None:
    answer = world.http.get(world.microsoft_url(**change), allow_redirects=False, timeout=10)

    assert answer.status_code == 400
    assert f"AADSTS{number}" in answer.text
    assert "Location" not in answer.headers


@pytest.mark.parametrize("change", [{"code_challenge": ""}, {"code_challenge_method": "plain"}], ids=str)
def test_pkce_with_s256_is_required(world: World, change: dict[str, str]) -> None:
    answer = world.http.get(world.microsoft_url(**change), allow_redirects=False, timeout=10)

    assert answer.headers["Location"].startswith(f"{CALLBACK}?error=invalid_request&")


def test_a_single_tenant_client_is_refused_at_common(world: World) -> None:
    world.control.register_client(
        "ms-client", "ms-client-secret", [CALLBACK], "microsoft", tenant="contoso.example"
    )

    page = world.http.get(world.microsoft_url(), allow_redirects=False, timeout=10)
    own_url = world.microsoft_url().replace("/common/", "/contoso.example/", 1)
    callback = world.consent(own_url, ANNA)

    assert "AADSTS50194" in page.text
    assert world.redeem("/contoso.example/oauth2/v2.0/token", callback, "ms-client").ok


@pytest.mark.parametrize(
    ("tenant", "issuer_tenant"),
    [("common", "{tenantid}"), ("consumers", "9188040d-6c67-4c5b-b112-36a304b66dad")],
)
def test_discovery_names_endpoints_and_issuer(world: World, tenant: str, issuer_tenant: str) -> None:
    url = f"{world.provider.url}/{tenant}/v2.0/.well-known/openid-configuration"

    document = world.http.get(url, timeout=10).json()

    assert document["issuer"] == f"{world.provider.url}/{issuer_tenant}/v2.0"
    assert document["token_endpoint"] == f"{world.provider.url}/{tenant}/oauth2/v2.0/token"


def test_an_oidc_authority_of_one_tenant_satisfies_msals_issuer_check(world: World) -> None:
    documents = f"{world.provider.url}/contoso.example/v2.0/.well-known/openid-configuration"
    issuer = world.http.get(documents, timeout=10).json()["issuer"]

    app = msal.ConfidentialClientApplication(
        "ms-client",
        client_credential="ms-client-secret",
        oidc_authority=issuer,
        verify=str(world.cafile),
    )
    flow = app.initiate_auth_code_flow([SMTP_SEND], redirect_uri=CALLBACK)
    tokens = app.acquire_token_by_auth_code_flow(flow, world.consent(flow["auth_uri"], ANNA))

    assert tokens["id_token_claims"]["iss"] == issuer


def test_an_unknown_tenant_has_no_discovery(world: World) -> None:
    url = f"{world.provider.url}/nowhere.example/v2.0/.well-known/openid-configuration"

    answer = world.http.get(url, timeout=10)

    assert (answer.status_code, answer.json()["error_codes"]) == (400, [90002])
