"""The sandbox's provider playing Google, with google-auth unchanged as the client."""

from __future__ import annotations

import base64

import google.auth.exceptions
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.sandbox.provider.world import CALLBACK, GMAIL, World

BOB = "bob@gmail.example"
EMAIL_SCOPE = "https://www.googleapis.com/auth/userinfo.email"


def test_a_code_brings_tokens_and_an_id_token(world: World) -> None:
    tokens = world.google_tokens(nonce="n-1")
    keys = world.http.get(f"{world.provider.url}/oauth2/v3/certs", timeout=10).json()

    claims = jwt.decode(tokens["id_token"], KeySet.import_key_set(keys), algorithms=["RS256"]).claims

    assert tokens["scope"].split() == ["openid", EMAIL_SCOPE, GMAIL]
    assert claims["iss"] == world.provider.url
    assert (claims["email"], claims["email_verified"]) == (BOB, True)
    assert (claims["aud"], claims["nonce"]) == ("g-client", "n-1")
    assert "at_hash" in claims
    assert "hd" not in claims


def test_the_callback_names_its_issuer(world: World) -> None:
    callback = world.consent(world.google_url(), BOB)

    assert callback["iss"] == world.provider.url


def test_a_workspace_mailbox_has_hd(world: World) -> None:
    tokens = world.google_tokens("dora@acme.example")

    info = world.http.get(
        f"{world.provider.url}/v1/userinfo",
        headers={"Authorization": f"Bearer {tokens['access_token']}"},
        timeout=10,
    ).json()

    assert (info["hd"], info["email"]) == ("acme.example", "dora@acme.example")


def test_google_auth_refreshes_and_keeps_its_refresh_token(world: World) -> None:
    refresh_token = world.google_tokens()["refresh_token"]
    creds = world.google_credentials(refresh_token)

    world.google_refresh(creds)

    assert world.control.introspect(str(creds.token))["user"] == BOB
    assert creds.refresh_token == refresh_token
    assert world.control.token_requests()[-1].issued_refresh is None


def test_google_auth_reports_a_revoked_grant(world: World) -> None:
    tokens = world.google_tokens()
    creds = world.google_credentials(tokens["refresh_token"])

    revoked = world.post("/revoke", {"token": tokens["access_token"]})

    assert revoked.status_code == 200
    with pytest.raises(google.auth.exceptions.RefreshError, match="Token has been expired or revoked"):
        world.google_refresh(creds)
    assert world.control.introspect(tokens["access_token"]) == {
        "active": False,
        "reads_mail": False,
        "reason": "revoked",
    }
    assert world.post("/revoke", {"token": tokens["refresh_token"]}).json()["error"] == "invalid_token"


def test_an_unticked_scope_is_not_granted(world: World) -> None:
    callback = world.consent(world.google_url(), BOB, untick=[GMAIL])

    tokens = world.redeem("/token", callback, "g-client").json()

    assert tokens["scope"].split() == ["openid", EMAIL_SCOPE]
    assert world.control.introspect(tokens["access_token"])["scope"].split() == ["openid", EMAIL_SCOPE]


def test_unticking_everything_refuses(world: World) -> None:
    callback = world.consent(world.google_url(scope=GMAIL), BOB, untick=[GMAIL])

    assert callback["error"] == "access_denied"


def test_a_refresh_token_comes_with_the_first_consent_and_then_with_prompt_consent_only(world: World) -> None:
    first = world.google_tokens()
    repeated = world.google_tokens()
    prompted = world.google_tokens(prompt="consent")
    online = world.google_tokens(prompt="consent", access_type="online")

    assert "refresh_token" in first
    assert "refresh_token" not in repeated
    assert "refresh_token" in prompted
    assert "refresh_token" not in online


def test_included_granted_scopes_come_back_too(world: World) -> None:
    world.google_tokens()

    tokens = world.google_tokens(
        scope="https://www.googleapis.com/auth/gmail.send", include_granted_scopes="true"
    )

    assert GMAIL in tokens["scope"].split()


def test_the_client_may_authenticate_by_basic(world: World) -> None:
    refresh_token = world.google_tokens()["refresh_token"]
    basic = base64.b64encode(b"g-client:g-client-secret").decode()

    answer = world.http.post(
        f"{world.provider.url}/token",
        data={"grant_type": "refresh_token", "refresh_token": refresh_token},
        headers={"Authorization": f"Basic {basic}"},
        timeout=10,
    )

    assert answer.ok
    assert world.control.token_requests()[-1].client_id == "g-client"


@pytest.mark.parametrize(
    ("change", "status", "error", "description"),
    [
        ({"code_verifier": "x" * 43}, 400, "invalid_grant", "Invalid code verifier."),
        ({"code_verifier": ""}, 400, "invalid_grant", "Missing code verifier."),
        ({"redirect_uri": CALLBACK + "/"}, 400, "redirect_uri_mismatch", "Bad Request"),
        ({"code": "nonsense"}, 400, "invalid_grant", "Malformed auth code."),
        ({"client_secret": "wrong"}, 401, "invalid_client", "Unauthorized"),
        ({"client_id": "nobody"}, 401, "invalid_client", "The OAuth client was not found."),
    ],
    ids=["wrong verifier", "no verifier", "redirect URI", "code", "secret", "client"],
)
def test_a_code_exchange_that_is_wrong_is_refused(
    world: World, change: dict[str, str], status: int, error: str, description: str
) -> None:
    callback = world.consent(world.google_url(), BOB)

    answer = world.redeem("/token", callback, "g-client", **change)

    assert answer.status_code == status
    assert answer.json() == {"error": error, "error_description": description}


def test_a_code_is_good_for_one_exchange_and_its_tokens_stay(world: World) -> None:
    callback = world.consent(world.google_url(), BOB)
    tokens = world.redeem("/token", callback, "g-client").json()

    again = world.redeem("/token", callback, "g-client")

    assert again.json() == {"error": "invalid_grant", "error_description": "Bad Request"}
    assert world.control.introspect(tokens["access_token"])["active"]


def test_a_code_that_is_too_old_is_refused(world: World) -> None:
    world.control.set_lifetime(code=1)
    callback = world.consent(world.google_url(), BOB)
    world.control.inject("token", delay=1.1)

    answer = world.redeem("/token", callback, "g-client")

    assert answer.json()["error"] == "invalid_grant"


def test_errors_of_an_authorization_request_are_shown_as_a_page(world: World) -> None:
    answer = world.http.get(world.google_url(scope="nonsense"), allow_redirects=False, timeout=10)

    assert answer.status_code == 400
    assert "invalid_scope" in answer.text


def test_a_refresh_for_more_than_was_granted_is_refused(world: World) -> None:
    refresh_token = world.google_tokens()["refresh_token"]
    more = "https://www.googleapis.com/auth/gmail.send"

    answer = world.refresh("/token", refresh_token, "g-client", scope=more)

    assert answer.json()["error"] == "invalid_scope"


def test_discovery_has_the_base_url_as_issuer(world: World) -> None:
    document = world.http.get(f"{world.provider.url}/.well-known/openid-configuration", timeout=10).json()

    assert document["issuer"] == world.provider.url
    assert document["revocation_endpoint"] == f"{world.provider.url}/revoke"
