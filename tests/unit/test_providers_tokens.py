"""ID tokens and token answers."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from chalicelib.clock import HOUR
from chalicelib.errors import Diagnosed
from chalicelib.providers.base import lifetime, token_set
from chalicelib.providers.id_tokens import verify
from chalicelib.providers.microsoft import CONSUMERS, _identity

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
JWKS = {"keys": [jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"kid": "1"}]}


def signed(key: Any = KEY, algorithm: str = "RS256", kid: str = "1", **changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": "https://p", "aud": "client", "sub": "s", "iat": now, "exp": now + 60, "nonce": "n"}
    return jwt.encode(claims | changes, key, algorithm=algorithm, headers={"kid": kid})


def test_a_good_id_token_gives_its_claims() -> None:
    assert verify(signed(), keys=JWKS, audience="client", nonce="n")["sub"] == "s"


@pytest.mark.parametrize(
    "token",
    [
        signed(nonce="another"),
        signed(aud="another"),
        signed(exp=int(time.time()) - 600),
        signed(OTHER),
        signed(kid="2"),
        signed(None, "none"),
        signed("a secret that is long enough for HS256", "HS256"),
        "abc",
        None,
    ],
    ids=["nonce", "audience", "expired", "signature", "key id", "alg none", "alg HS256", "garbage", "none"],
)
def test_b11_a_wrong_id_token_proves_nothing(token: str | None) -> None:
    with pytest.raises(Diagnosed) as refused:
        verify(token, keys=JWKS, audience="client", nonce="n")

    assert refused.value.diagnosis.code == "id_token_invalid"


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (None, 3600),
        (0, 60),
        (-5, 60),
        (3599, 3599),
        ("3599", 3599),
        (10**9, 86_400),
        ("soon", 3600),
        (True, 3600),
        ("²", 3600),
        ("9" * 5_000, 3600),
        (float("nan"), 60),
        (float("inf"), 86_400),
    ],
)
def test_r13_a_life_is_between_a_minute_and_a_day(expires_in: object, seconds: int) -> None:
    assert lifetime(expires_in) == seconds


def test_f39_an_answer_may_hold_the_access_token_alone() -> None:
    tokens = token_set({"access_token": "a"}, now=0, scopes=None)

    assert tokens.refresh_token is None
    assert tokens.scopes is None
    assert tokens.expires_at == HOUR


def test_an_answer_without_an_access_token_is_none() -> None:
    with pytest.raises(Diagnosed):
        token_set({"refresh_token": "r"}, now=0, scopes=None)


@pytest.mark.parametrize(
    ("claims", "one_tenant", "counts"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"xms_edov": True}, False, True),
        ({"xms_edov": "1"}, False, True),
        ({"xms_edov": False}, False, False),
        ({"xms_edov": "false"}, False, False),
        ({"tid": CONSUMERS}, False, True),
    ],
)
def test_o10_the_claim_email_counts_where_its_writer_is_trusted(
    claims: dict[str, Any],
    one_tenant: bool,  # noqa: FBT001 - a table
    counts: bool,  # noqa: FBT001 - a table
) -> None:
    written = {"iss": "https://p", "tid": "t", "oid": "o", "preferred_username": "Eve@evil.example"}

    identity = _identity(written | {"email": "ada@mail.example"} | claims, one_tenant=one_tenant)

    assert ("ada@mail.example" in identity.addresses) is counts
    assert identity.addresses[0] == "eve@evil.example"
    assert identity.claimed == ("ada@mail.example",)
