"""What an OpenID provider says of itself and of people is believed only as far as the standards go."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import jwt
import pytest
from joserfc.jwk import ECKey, RSAKey

from chalicelib.accounts.models.connector import Connector
from chalicelib.accounts.models.grant import Identity
from chalicelib.errors import Diagnosed, InvalidInput
from chalicelib.network import Trust, resolve
from chalicelib.providers.catalogue import OTHER
from chalicelib.providers.discovery import WELL_KNOWN, discover
from chalicelib.providers.facts import merged
from chalicelib.providers.http import ProviderHttp
from chalicelib.providers.openid import OpenId
from chalicelib.secret import Secret
from tests.unit.https_server import Answer, Server, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENT = Connector("con_x", "other", "Ours", "the-client", "", 0)
OLGA = "olga@mail.example"
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa"})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """A provider's HTTPS, of which each test lays down what it answers."""
    running.answers.clear()
    running.asked.clear()
    says(running, "/jwks", {"keys": [RSA.as_dict(private=False), EC.as_dict(private=False)]})
    return running


def says(server: Server, path: str, values: Any, status: int = 200, **more: Any) -> None:
    """Lays down a JSON answer."""
    server.answers[path] = Answer(status, json.dumps(values).encode(), **more)


def provider(server: Server, **facts: Any) -> OpenId:
    """What speaks to it."""
    base = server.url
    known = {
        "issuer": base,
        "authorize": f"{base}/authorize",
        "token": f"{base}/token",
        "jwks": f"{base}/jwks",
        "scopes": ["openid", "email", "mail"],
        **facts,
    }
    known = {name: value for name, value in known.items() if value is not None}
    return OpenId(merged(OTHER, known), trust=Trust(server.authority.pem))


def redeemed(server: Server, claims: dict[str, Any], **facts: Any) -> Identity | None:
    """Who has signed in, by an ID token with these claims in the place of the right ones."""
    spoken = provider(server, **facts)
    begun = spoken.begin(CLIENT, redirect_uri="https://us.example/", state="s", login_hint=OLGA)
    key, algorithm = claims.pop("key", RSA), claims.pop("alg", "RS256")
    right = {
        "iss": server.url,
        "sub": "7",
        "aud": CLIENT.client_id,
        "iat": int(time.time()),
        "exp": int(time.time()) + 600,
        "nonce": begun.flow["nonce"],
        "email": OLGA,
        "email_verified": True,
    }
    told = {name: value for name, value in {**right, **claims}.items() if value is not None}
    private = key if isinstance(key, str) else key.as_pem(private=True)
    kid = {} if isinstance(key, str) else {"kid": key.kid}
    token = jwt.encode(told, private, algorithm=algorithm, headers=kid)
    says(server, "/token", {"access_token": "at", "refresh_token": "rt", "id_token": token})
    return spoken.redeem(CLIENT, Secret("s"), begun.flow, "code").identity


@pytest.mark.parametrize("claims", [{}, {"key": EC, "alg": "ES256"}, {"alg": "PS256"}, {"azp": "the-client"}])
def test_an_id_token_says_who_signed_in(server: Server, claims: dict[str, Any]) -> None:
    assert redeemed(server, dict(claims)) == Identity(server.url, "7", (OLGA,))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"azp": "another-client"},
        {"nonce": "of another sign-in"},
        {"nonce": None},
        {"exp": int(time.time()) - 600},
        {"sub": None},
        {"key": STRANGER},
        {"key": "the-client-secret-that-we-both-know-well", "alg": "HS256"},
        {"key": "", "alg": "none"},
    ],
)
def test_O10_an_id_token_that_proves_nothing_is_refused(server: Server, claims: dict[str, Any]) -> None:
    with pytest.raises(Diagnosed) as refused:
        redeemed(server, dict(claims))

    assert refused.value.diagnosis.code == "id_token_invalid"


@pytest.mark.parametrize("verified", [False, None, "yes", 1.5])
def test_O10_an_address_that_nobody_verified_proves_nothing(server: Server, verified: object) -> None:
    found = redeemed(server, {"email_verified": verified})

    assert found is not None
    assert (found.subject, found.addresses, found.claimed) == ("7", (), (OLGA,))


def test_userinfo_says_what_the_id_token_leaves_out(server: Server) -> None:
    says(server, "/me", {"sub": "7", "email": "Olga@Mail.example", "email_verified": True})

    found = redeemed(server, {"email": None}, userinfo=f"{server.url}/me")

    assert found == Identity(server.url, "7", (OLGA,))
    assert server.headers["Authorization"] == "Bearer at"


def test_O10_userinfo_of_somebody_else_is_refused(server: Server) -> None:
    says(server, "/me", {"sub": "8", "email": OLGA, "email_verified": True})

    with pytest.raises(Diagnosed) as refused:
        redeemed(server, {"email": None}, userinfo=f"{server.url}/me")

    assert refused.value.diagnosis.code == "id_token_invalid"


@pytest.mark.parametrize("person", [{"email": OLGA, "email_verified": True}, {"sub": 7, "email": OLGA}])
def test_O10_userinfo_without_a_person_says_nothing(server: Server, person: dict[str, Any]) -> None:
    says(server, "/me", person)

    assert redeemed(server, {}, scopes=["mail"], userinfo=f"{server.url}/me") is None


def test_without_keys_an_id_token_is_not_looked_at(server: Server) -> None:
    assert redeemed(server, {}, jwks=None) is None
    assert server.asked == ["/token"]


def test_a_refresh_token_that_comes_is_kept_and_one_that_does_not_is_not_made_up(server: Server) -> None:
    spoken = provider(server)
    says(server, "/token", {"access_token": "a", "refresh_token": "new", "expires_in": 60, "scope": "mail x"})
    rotated = spoken.refresh(CLIENT, Secret("s"), Secret("old"))
    says(server, "/token", {"access_token": "a"})
    same = spoken.refresh(CLIENT, Secret("s"), Secret("old"))

    assert rotated.refresh_token is not None
    assert (rotated.refresh_token.reveal(), rotated.scopes) == ("new", frozenset({"mail", "x"}))
    assert (same.refresh_token, same.scopes, same.identity) == (None, None, None)


def test_O20_the_answer_to_a_revocation_may_be_empty(server: Server) -> None:
    server.answers["/revoke"] = Answer(200, b"")

    assert provider(server, revoke=f"{server.url}/revoke").revoke(CLIENT, Secret("s"), Secret("rt"))
    form = parse_qs(server.http.forms[-1])
    assert (form["token"], form["token_type_hint"], form["client_secret"]) == (
        ["rt"],
        ["refresh_token"],
        ["s"],
    )


def test_a_secret_is_encoded_for_basic_authentication(server: Server) -> None:
    says(server, "/token", {"access_token": "a"})

    provider(server, client_auth="basic").refresh(CLIENT, Secret("s:é+ "), Secret("rt"))

    assert server.headers["Authorization"] == "Basic dGhlLWNsaWVudDpzJTNBJUMzJUE5JTJCKw=="
    assert "client_id" not in server.http.forms[-1]


def document(server: Server, **members: Any) -> None:
    """Lays down a provider's configuration, with these members in the place of the right ones."""
    base = server.url
    right = {
        "issuer": base,
        "authorization_endpoint": f"{base}/authorize",
        "token_endpoint": f"{base}/token",
        "jwks_uri": f"{base}/jwks",
    }
    values = {name: value for name, value in {**right, **members}.items() if value is not None}
    says(server, WELL_KNOWN, values)


def found(server: Server, url: str = "") -> dict[str, Any]:
    """What is found there."""
    return discover(url or server.url, ProviderHttp("other", Trust(server.authority.pem)))


def test_an_issuer_with_a_slash_is_kept_as_it_names_itself(server: Server) -> None:
    document(server, issuer=f"{server.url}/")

    assert found(server)["facts"]["issuer"] == f"{server.url}/"
    assert found(server, f" {server.url}/ ") == found(server, f"{server.url}{WELL_KNOWN}")


def test_a_provider_that_names_no_way_takes_basic_authentication(server: Server) -> None:
    document(server, userinfo_endpoint="", scopes_supported="openid")

    assert found(server) == {
        "facts": {
            "issuer": server.url,
            "authorize": f"{server.url}/authorize",
            "token": f"{server.url}/token",
            "jwks": f"{server.url}/jwks",
            "client_auth": "basic",
        },
        "scopes_supported": [],
        "client_auth_supported": ["basic"],
    }


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"issuer": "https://evil.example"}, "issuer_mismatch"),
        ({"issuer": None}, "issuer_mismatch"),
        ({"token_endpoint": None}, "discovery_failed"),
        ({"token_endpoint": "http://id.example/token"}, "discovery_failed"),
        ({"token_endpoint": "https://u:p@id.example/token"}, "discovery_failed"),
        ({"jwks_uri": ["https://id.example"]}, "discovery_failed"),
        ({"revocation_endpoint": "https://id.example/#x"}, "discovery_failed"),
    ],
)
def test_B59_a_document_that_cannot_be_trusted_is_refused(
    server: Server, members: dict[str, Any], code: str
) -> None:
    document(server, **members)

    with pytest.raises(InvalidInput) as refused:
        found(server)

    assert refused.value.error_code == code


def test_B59_a_redirect_is_not_followed(server: Server) -> None:
    metadata = {"Location": "https://169.254.169.254/latest/meta-data/"}
    says(server, WELL_KNOWN, {}, status=302, headers=metadata)

    with pytest.raises(InvalidInput):
        found(server)

    assert server.asked == [WELL_KNOWN]


def test_B57_an_issuer_at_a_private_address_is_not_asked(server: Server) -> None:
    document(server)

    with pytest.raises(InvalidInput) as refused:
        discover(server.url, ProviderHttp("other", Trust(server.authority.pem, resolve)))

    assert refused.value.error_code == "private_address"
    assert server.asked == []
