"""The token by which AWS says who we are: who may have it, and what its refusals mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from botocore.stub import Stubber

from chalicelib.aws.identity import AUDIENCE, LIFE, WebIdentity
from chalicelib.errors import ConfigurationError, Diagnosed, Unavailable

POLICIES = Path(__file__).resolve().parents[2] / ".chalice"
ASKED = {"Audience": [AUDIENCE], "SigningAlgorithm": "RS256", "DurationSeconds": LIFE}
ASKS_PROVIDERS = {"connect", "tokens", "refresh", "refresh_tokens"}
"""The functions that speak to providers in a connector's name."""


@pytest.fixture
def sts() -> Any:
    """A client of STS that asks nobody."""
    return boto3.client("sts", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")


def test_the_token_is_for_entra_alone_and_short_lived(sts: Any) -> None:
    with Stubber(sts) as stub:
        stub.add_response("get_web_identity_token", {"WebIdentityToken": "a.b.c"}, ASKED)

        assert WebIdentity(lambda: sts)() == "a.b.c"


@pytest.mark.parametrize(
    ("code", "diagnosed"),
    [
        ("OutboundWebIdentityFederationDisabledException", "aws_identity_off"),
        ("AccessDenied", "aws_identity_denied"),
    ],
)
def test_what_an_administrator_of_the_aws_account_can_mend_is_told(
    sts: Any, code: str, diagnosed: str
) -> None:
    with Stubber(sts) as stub:
        stub.add_client_error("get_web_identity_token", code, http_status_code=403)

        with pytest.raises(Diagnosed) as refused:
            WebIdentity(lambda: sts)()

    assert refused.value.diagnosis.code == diagnosed
    assert refused.value.fix


def test_uf10_a_library_that_does_not_know_the_call_is_told() -> None:
    """The runtime brings it: what is older than botocore 1.41 makes no such method."""

    class OlderClient:
        """A client of STS as an older botocore makes it."""

        def get_caller_identity(self) -> dict[str, str]:
            return {}

    with pytest.raises(Diagnosed) as refused:
        WebIdentity(lambda: cast("Any", OlderClient()))()

    assert refused.value.diagnosis.code == "aws_identity_unknown"
    assert "newer Python" in refused.value.fix


def test_uf10_the_botocore_of_the_tests_knows_the_call(sts: Any) -> None:
    assert "GetWebIdentityToken" in sts.meta.service_model.operation_names


@pytest.mark.parametrize(
    ("code", "status", "raised"),
    [
        ("Throttling", 400, Unavailable),
        ("InternalFailure", 500, Unavailable),
        ("New", 400, ConfigurationError),
    ],
)
def test_other_refusals_mean_what_they_mean_everywhere(
    sts: Any, code: str, status: int, raised: type[Exception]
) -> None:
    with Stubber(sts) as stub:
        stub.add_client_error("get_web_identity_token", code, http_status_code=status)

        with pytest.raises(raised):
            WebIdentity(lambda: sts)()


def test_only_functions_that_ask_providers_may_have_it_and_for_entra_only() -> None:
    allowed = {}
    for path in POLICIES.glob("policy-*.json"):
        for statement in json.loads(path.read_text())["Statement"]:
            if "sts:" in json.dumps(statement["Action"]):
                allowed[path.stem.removeprefix("policy-")] = statement

    assert set(allowed) == ASKS_PROVIDERS
    for statement in allowed.values():
        conditions = cast("dict[str, Any]", statement["Condition"])
        assert statement["Action"] == "sts:GetWebIdentityToken"
        assert conditions["ForAllValues:StringEquals"] == {"sts:IdentityTokenAudience": AUDIENCE}
        assert conditions["NumericLessThanEquals"] == {"sts:DurationSeconds": LIFE}
