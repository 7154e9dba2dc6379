"""Callers without an API key: IAM roles sign their requests (SigV4) and are known by their ARN."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.helpers import copies, in_state, letter

if TYPE_CHECKING:
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}
INVOKE = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}],
}


@pytest.fixture(scope="module")
def role(shared_sandbox: Sandbox) -> tuple[str, Credentials]:
    """A role that IAM lets call the API: its ARN and credentials of a session."""
    return made_role(shared_sandbox, policy=INVOKE)


def made_role(sandbox: Sandbox, *, policy: dict[str, Any] | None) -> tuple[str, Credentials]:
    """A role with the policy, or with none."""
    name = f"orders-{secrets.token_hex(4)}"
    session = sandbox.emulator.session()
    iam = session.client("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    if policy:
        iam.put_role_policy(RoleName=name, PolicyName="call", PolicyDocument=json.dumps(policy))
    given = session.client("sts").assume_role(RoleArn=arn, RoleSessionName="tests")["Credentials"]
    return arn, Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


def signed(sandbox: Sandbox, credentials: Credentials, path: str, body: dict[str, Any]) -> requests.Response:
    """A POST signed with SigV4."""
    data = json.dumps(body)
    request = AWSRequest(
        "POST", f"{sandbox.url}{path}", data=data, headers={"Content-Type": "application/json"}
    )
    SigV4Auth(credentials, "execute-api", "eu-west-1").add_auth(request)
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(sandbox.authority.cafile)
        return session.post(str(request.url), data=data, headers=dict(request.headers), timeout=30)


def test_a_role_sends_once_it_is_allowed(sandbox: Sandbox, cast: Cast, role: tuple[str, Credentials]) -> None:
    """Refused while it is no caller; its mail flows when an administrator has allowed the role."""
    arn, credentials = role
    account = cast.connected("google", f"owner-{secrets.token_hex(4)}@example.com")
    stranger = signed(sandbox, credentials, "/iam/v1/messages", letter(account["id"]))

    caller = {"kind": "role", "arn": arn, "name": "orders", "scopes": ["send"], "accounts": [account["id"]]}
    cast.api.post("/v1/callers", caller)
    accepted = signed(sandbox, credentials, "/iam/v1/messages", letter(account["id"]))

    assert stranger.status_code == 403
    assert stranger.json()["error"]["code"] == "unknown_caller"
    assert accepted.status_code == 202
    sent = in_state(cast, accepted.json()["id"], "sent")
    assert sent["caller"].endswith(arn)
    assert len(copies(sandbox, sent["message_id"])) == 1


def test_a_signature_is_no_key(sandbox: Sandbox, cast: Cast, role: tuple[str, Credentials]) -> None:
    """The path of the keys does not take a signature, nor the other way round."""
    _, credentials = role

    with_signature = signed(sandbox, credentials, "/v1/messages", letter("nobody"))
    with_key = cast.api.request("POST", "/iam/v1/messages", json=letter("nobody"))

    assert with_signature.status_code == 401
    assert with_key.status_code in {401, 403}
    assert {"code", "message", "fix", "docs"} <= with_key.json()["error"].keys()


def test_a_role_that_iam_denies_is_told_so_in_the_shape_of_every_error(sandbox: Sandbox) -> None:
    """As the template has it: the answer of API Gateway itself, which no function sees."""
    _, credentials = made_role(sandbox, policy=None)
    template = json.loads(sandbox.package.template.read_text())
    definition = template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]
    denied = definition["x-amazon-apigateway-gateway-responses"]["ACCESS_DENIED"]

    answer = signed(sandbox, credentials, "/iam/v1/messages", letter("nobody"))

    assert answer.status_code == int(denied["statusCode"])
    assert answer.json() == json.loads(denied["responseTemplates"]["application/json"])
