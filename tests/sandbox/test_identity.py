"""STS of the sandbox gives tokens that an issuer has signed whom others can trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from joserfc import jwt
from joserfc.jwk import RSAKey

from chalicelib.aws.identity import AUDIENCE, WebIdentity
from sandbox.aws.emulator import Emulator, EmulatorSession
from sandbox.aws.identity import SUBJECT, Identity

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.aws


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Identity]:
    """STS of a local AWS."""
    emulator = Emulator(tmp_path_factory.mktemp("identity") / "aws")
    identity = Identity(emulator.port)
    emulator.start()
    identity.start()
    yield identity
    identity.stop()
    emulator.stop()


def test_the_token_is_the_accounts_and_signed_as_entra_wants_it(identity: Identity) -> None:
    token = WebIdentity(lambda: EmulatorSession(identity.url).client("sts"))()

    key = RSAKey.import_key(identity.trusted["public_key"])
    claims = jwt.decode(token, key, algorithms=["RS256"]).claims
    assert (claims["iss"], claims["sub"], claims["aud"]) == (identity.trusted["issuer"], SUBJECT, AUDIENCE)
    assert 0 < claims["exp"] - claims["iat"] <= 300


@pytest.mark.parametrize(
    "changes",
    [{"Audience": ["sts.amazonaws.com"]}, {"Audience": [AUDIENCE, "other"]}, {"DurationSeconds": 600}],
)
def test_no_more_is_given_than_the_policies_allow(identity: Identity, changes: dict[str, Any]) -> None:
    asked = {"Audience": [AUDIENCE], "SigningAlgorithm": "RS256", "DurationSeconds": 300} | changes

    with pytest.raises(ClientError, match="AccessDenied"):
        EmulatorSession(identity.url).client("sts").get_web_identity_token(**asked)


def test_all_else_is_as_the_emulator_says_it(identity: Identity) -> None:
    caller = EmulatorSession(identity.url).client("sts").get_caller_identity()

    assert caller["Account"] == "000000000000"
