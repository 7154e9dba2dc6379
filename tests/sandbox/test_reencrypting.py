"""KMS of the sandbox wraps data keys anew, as the real one does."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from sandbox.aws.emulator import REGION, Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.aws

CONTEXT = {"account": "acc"}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A local AWS."""
    emulator = Emulator(tmp_path_factory.mktemp("reencrypting") / "aws")
    emulator.start()
    yield emulator
    emulator.stop()


@pytest.fixture(scope="module")
def key(emulator: Emulator) -> str:
    """The ARN of a key."""
    return str(emulator.session().client("kms").create_key()["KeyMetadata"]["Arn"])


def request(emulator: Emulator, key: str, **changes: Any) -> dict[str, Any]:
    """A request to wrap a new data key anew."""
    made = (
        emulator.session()
        .client("kms")
        .generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=CONTEXT)
    )
    return {
        "CiphertextBlob": made["CiphertextBlob"],
        "SourceKeyId": key,
        "SourceEncryptionContext": CONTEXT,
        "DestinationKeyId": key,
        "DestinationEncryptionContext": CONTEXT,
    } | changes


def test_the_data_key_stays_the_same(emulator: Emulator, key: str) -> None:
    client = emulator.session().client("kms")
    asked = request(emulator, key)

    anew = client.re_encrypt(**asked)["CiphertextBlob"]

    assert anew != asked["CiphertextBlob"]
    opened = [
        client.decrypt(KeyId=key, CiphertextBlob=blob, EncryptionContext=CONTEXT)["Plaintext"]
        for blob in (asked["CiphertextBlob"], anew)
    ]
    assert opened[0] == opened[1]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"SourceEncryptionContext": {"account": "another"}}, "InvalidCiphertextException"),
        ({"CiphertextBlob": b"no ciphertext"}, "IncorrectKeyException"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    emulator: Emulator, key: str, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError, match=code):
        emulator.session().client("kms").re_encrypt(**request(emulator, key, **changes))


@pytest.mark.parametrize("action", ["kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:ReEncrypt*"])
def test_a_role_needs_both_rights(emulator: Emulator, key: str, action: str) -> None:
    session, name = emulator.session(), f"tests-{secrets.token_hex(4)}"
    iam = session.client("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": action, "Resource": key}],
    }
    iam.put_role_policy(RoleName=name, PolicyName="keys", PolicyDocument=json.dumps(policy))
    given = session.client("sts").assume_role(RoleArn=arn, RoleSessionName="tests")["Credentials"]
    role = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    client = role.client("kms", region_name=REGION, endpoint_url=emulator.endpoint)

    try:
        client.re_encrypt(**request(emulator, key))
        answer = "done"
    except ClientError as error:
        answer = error.response["Error"]["Code"]

    assert answer == ("done" if action == "kms:ReEncrypt*" else "AccessDeniedException")
