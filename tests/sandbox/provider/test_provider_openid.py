"""The sandbox's provider playing any OpenID provider."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from sandbox.credentials import KeyPair
from tests.sandbox.provider.world import CALLBACK

if TYPE_CHECKING:
    from tests.sandbox.provider.world import World

OLGA = "olga@mail.example"
SCOPE = "openid email mail:smtp"
TOKEN = "/openid/token"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture(scope="module")
def keys() -> KeyPair:
    """The client's key."""
    return KeyPair.create()


def register(world: World, **options: Any) -> None:
    """Register the client and a person."""
    secret = "" if options.get("auth_method") in ("private_key_jwt", "none") else "o-client-secret"
    world.control.register_client("o-client", secret, [CALLBACK], "openid", **options)
    world.control.register_user(OLGA, provider="openid")


def url(world: World, scope: str = SCOPE, **more: str) -> str:
    """An authorization URL."""
    return world.authorize_url("/openid/authorize", scope, {"client_id": "o-client"} | more)


def tokens(world: World) -> dict[str, Any]:
    """Connect the mailbox."""
    answer: dict[str, Any] = world.redeem(TOKEN, world.consent(url(world), OLGA), "o-client").json()
    return answer


def test_discovery_says_where_everything_is(world: World) -> None:
    issuer = f"{world.provider.url}/openid"

    found = world.http.get(f"{issuer}/.well-known/openid-configuration", timeout=10).json()

    assert found["issuer"] == issuer
    assert found["token_endpoint"] == world.provider.url + TOKEN


def test_a_mailbox_is_connected_and_named_by_id_token_and_userinfo(world: World) -> None:
    register(world)

    callback = world.consent(url(world, nonce="n-1"), OLGA)
    found = world.redeem(TOKEN, callback, "o-client").json()

    published = world.http.get(f"{world.provider.url}/openid/jwks", timeout=10).json()
    claims = jwt.decode(found["id_token"], KeySet.import_key_set(published), algorithms=["RS256"]).claims
    bearer = {"Authorization": f"Bearer {found['access_token']}"}
    person = world.http.get(f"{world.provider.url}/openid/userinfo", headers=bearer, timeout=10).json()
    issuer = f"{world.provider.url}/openid"
    assert callback["iss"] == issuer
    assert (claims["iss"], claims["email"], claims["nonce"]) == (issuer, OLGA, "n-1")
    assert (person["sub"], person["email"]) == (claims["sub"], OLGA)
    assert world.control.introspect(found["access_token"])["scope"] == SCOPE


def test_no_id_token_comes_without_the_scope_openid(world: World) -> None:
    register(world)

    found = world.redeem(TOKEN, world.consent(url(world, "email mail:smtp"), OLGA), "o-client").json()

    assert "id_token" not in found
    assert found["refresh_token"]


def test_refresh_tokens_rotate_and_an_old_one_ends_them_all(world: World) -> None:
    register(world)
    first = tokens(world)["refresh_token"]

    second = world.refresh(TOKEN, first, "o-client").json()["refresh_token"]
    again = world.refresh(TOKEN, first, "o-client")

    assert second != first
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert world.refresh(TOKEN, second, "o-client").json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("method", "ways"),
    [
        ("client_secret_post", {"post"}),
        ("client_secret_basic", {"basic"}),
        ("private_key_jwt", {"jwt"}),
        ("none", {"none"}),
    ],
)
def test_a_client_proves_itself_in_its_own_way_only(
    world: World, keys: KeyPair, method: str, ways: set[str]
) -> None:
    register(world, auth_method=method, keys=[keys.public])

    assert {way for way in ("post", "basic", "jwt", "none") if _redeems(world, keys, way)} == ways


def _redeems(world: World, keys: KeyPair, way: str) -> bool:
    callback = world.consent(url(world, prompt="consent"), OLGA)
    now = int(time.time())
    claims = {"iss": "o-client", "sub": "o-client", "aud": f"{world.provider.url}/openid", "exp": now + 60}
    proofs: dict[str, dict[str, str]] = {
        "post": {"client_id": "o-client", "client_secret": "o-client-secret"},
        "none": {"client_id": "o-client"},
        "jwt": {
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": jwt.encode({"alg": "RS256"}, claims, RSAKey.import_key(keys.private)),
        },
        "basic": {},
    }
    form = {
        "grant_type": "authorization_code",
        "code": callback["code"],
        "redirect_uri": CALLBACK,
        "code_verifier": world.verifiers[callback["state"]],
        **proofs[way],
    }
    basic = ("o-client", "o-client-secret") if way == "basic" else None
    answer = world.http.post(world.provider.url + TOKEN, data=form, auth=basic, timeout=10)
    assert answer.ok or answer.json()["error"] == "invalid_client"
    return answer.ok


def test_an_assertion_that_another_key_has_signed_is_refused(world: World, keys: KeyPair) -> None:
    register(world, auth_method="private_key_jwt", keys=[KeyPair.create().public])

    assert not _redeems(world, keys, "jwt")


def test_pkce_is_required_unless_the_client_is_registered_without_it(world: World) -> None:
    without = url(world, code_challenge="", code_challenge_method="")
    register(world)
    refused = world.http.get(without, allow_redirects=False, timeout=10)
    register(world, pkce=False)

    found = world.redeem(TOKEN, world.consent(without, OLGA), "o-client", code_verifier="")

    assert "PKCE" in refused.text + refused.headers.get("Location", "")
    assert found.ok


def test_revocation_ends_the_grant_and_does_not_tell_what_it_knows(world: World) -> None:
    register(world)
    held = tokens(world)
    proof = {"client_id": "o-client", "client_secret": "o-client-secret"}

    nobody = world.post("/openid/revoke", {"token": held["refresh_token"]})
    unknown = world.post("/openid/revoke", {"token": "unknown", **proof})
    ended = world.post("/openid/revoke", {"token": held["refresh_token"], **proof})

    assert (nobody.status_code, unknown.status_code, ended.status_code) == (401, 200, 200)
    assert world.refresh(TOKEN, held["refresh_token"], "o-client").json()["error"] == "invalid_grant"
    assert not world.control.introspect(held["access_token"])["active"]


def test_an_app_password_is_known_and_kept_to_oneself(world: World) -> None:
    shown = world.control.register_user(OLGA, provider="openid", app_password="app-password-1")
    password = "app-password-1"

    found = world.http.post(
        f"{world.provider.url}/_control/introspect-password", json={"token": password}, timeout=10
    ).json()

    assert (found["active"], found["user"]) == (True, OLGA)
    assert password not in str(shown)
    assert password in world.control.secrets()["app password"]
    assert not world.control.introspect(password)["active"]


def test_an_app_password_is_that_of_one_person(world: World) -> None:
    for address in (OLGA, "oleg@mail.example"):
        world.control.register_user(address, provider="openid", app_password="app-password-1")

    found = world.http.post(
        f"{world.provider.url}/_control/introspect-password", json={"token": "app-password-1"}, timeout=10
    ).json()

    assert found["user"] == "oleg@mail.example"
