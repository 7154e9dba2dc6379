"""What each function's role may reach, tried with the role's own credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from sandbox.stack import Sandbox

DENIED = {"AccessDenied", "AccessDeniedException"}
TOKEN_TABLES = ("grants", "access-tokens")


def role_session(sandbox: Sandbox, function: str) -> boto3.Session:
    """A session with the credentials that the function runs with."""
    root = sandbox.emulator.session()
    role = root.client("lambda").get_function_configuration(FunctionName=f"mailgrant-sandbox-{function}")[
        "Role"
    ]
    given = root.client("sts").assume_role(RoleArn=role, RoleSessionName="tests")["Credentials"]
    return boto3.Session(
        given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name="eu-west-1"
    )


def answer(sandbox: Sandbox, session: boto3.Session, service: str, call: str, **arguments: Any) -> str:
    """The error code of a call, or "done"."""
    client: Any = session.client(service, endpoint_url=sandbox.emulator.endpoint)  # type: ignore[call-overload]
    try:
        getattr(client, call)(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "done"


def read_row(sandbox: Sandbox, session: boto3.Session, table: str) -> str:
    """The outcome of reading any row of a table."""
    key = {"account": {"S": "acc_x"}} | ({"resource": {"S": "mail"}} if table == "access-tokens" else {})
    return answer(sandbox, session, "dynamodb", "get_item", TableName=f"mailgrant-sandbox-{table}", Key=key)


def make_key(sandbox: Sandbox, session: boto3.Session, key: str) -> str:
    """The outcome of asking a KMS key for a data key."""
    arn = sandbox.environment[key]
    return answer(sandbox, session, "kms", "generate_data_key", KeyId=arn, KeySpec="AES_256")


@pytest.mark.parametrize("key", ["GRANTS_KEY_ARN", "ACCESS_TOKENS_KEY_ARN"])
def test_V6_api_and_send_are_refused_both_keys(sandbox: Sandbox, key: str) -> None:
    """Neither can wrap or unwrap anything."""
    for function in ("api", "send"):
        session = role_session(sandbox, function)

        assert make_key(sandbox, session, key) in DENIED
        blob = root_data_key(sandbox, key)
        assert (
            answer(sandbox, session, "kms", "decrypt", CiphertextBlob=blob, KeyId=sandbox.environment[key])
            in DENIED
        )


def root_data_key(sandbox: Sandbox, key: str) -> bytes:
    """A wrapped data key that an allowed role could unwrap."""
    client = sandbox.emulator.session().client("kms")
    made = client.generate_data_key(KeyId=sandbox.environment[key], KeySpec="AES_256")
    return bytes(made["CiphertextBlob"])


def test_V6_api_is_refused_every_secret(sandbox: Sandbox, cast: Any) -> None:
    """A connector's secret that was just written through the API cannot be read by it."""
    connector = cast.connector("google")
    name = f"mailgrant-sandbox/connector/{connector['id']}"

    refused = answer(
        sandbox, role_session(sandbox, "api"), "secretsmanager", "get_secret_value", SecretId=name
    )
    allowed = answer(
        sandbox, role_session(sandbox, "connect"), "secretsmanager", "get_secret_value", SecretId=name
    )

    assert refused in DENIED
    assert allowed == "done"


def test_V6_relay_is_refused_the_grants_key(sandbox: Sandbox) -> None:
    """It can unwrap access tokens and nothing of a grant; it can wrap neither."""
    session = role_session(sandbox, "relay")

    outcomes = {
        key: answer(
            sandbox,
            session,
            "kms",
            "decrypt",
            CiphertextBlob=root_data_key(sandbox, key),
            KeyId=sandbox.environment[key],
        )
        for key in ("GRANTS_KEY_ARN", "ACCESS_TOKENS_KEY_ARN")
    }

    assert outcomes["GRANTS_KEY_ARN"] in DENIED
    assert outcomes["ACCESS_TOKENS_KEY_ARN"] == "done"
    assert make_key(sandbox, session, "ACCESS_TOKENS_KEY_ARN") in DENIED
    assert read_row(sandbox, session, "grants") in DENIED


@pytest.mark.parametrize("function", ["send", "api"])
def test_V6_send_and_api_are_refused_the_token_tables(sandbox: Sandbox, function: str) -> None:
    """Not even the ciphertexts can be read."""
    session = role_session(sandbox, function)

    assert {read_row(sandbox, session, table) for table in TOKEN_TABLES} <= DENIED


BOTH_KEYS = {"seal grants", "open grants", "seal tokens", "open tokens"}
CONNECTING = {*BOTH_KEYS, *TOKEN_TABLES, "secret", "rescue queue"}
REFRESHING = CONNECTING
RELAYING = {"open tokens", "access-tokens", "callers"}
REACH: dict[str, set[str]] = {
    "api": {"callers", "authorizations"},
    "connect": {*CONNECTING, "authorizations", "rewrap grants", "rewrap tokens"},
    "tokens": REFRESHING,
    "refresh": REFRESHING,
    "refresh-tokens": REFRESHING,
    "send": {"callers"},
    "relay": RELAYING,
    "relay-due": RELAYING,
}
"""Function → what its role reaches of everything that is secret or decides who may do what."""


@pytest.mark.parametrize("function", REACH)
def test_V6_a_role_reaches_what_its_function_needs_and_no_more(
    sandbox: Sandbox, cast: Any, function: str
) -> None:
    """Everything is tried with the role's own credentials."""
    session = role_session(sandbox, function)
    secret = f"mailgrant-sandbox/connector/{cast.connector('google')['id']}"
    tried = {
        "secret": answer(sandbox, session, "secretsmanager", "get_secret_value", SecretId=secret),
        **{table: read_row(sandbox, session, table) for table in TOKEN_TABLES},
        **{table: read_named(sandbox, session, table) for table in ("callers", "authorizations")},
        "rescue queue": take_rescued(sandbox, session),
    }
    for name, key in (("grants", "GRANTS_KEY_ARN"), ("tokens", "ACCESS_TOKENS_KEY_ARN")):
        blob = root_data_key(sandbox, key)
        opened = answer(
            sandbox, session, "kms", "decrypt", CiphertextBlob=blob, KeyId=sandbox.environment[key]
        )
        tried |= {f"open {name}": opened, f"seal {name}": make_key(sandbox, session, key)}
        both = {"SourceKeyId": sandbox.environment[key], "DestinationKeyId": sandbox.environment[key]}
        tried[f"rewrap {name}"] = answer(sandbox, session, "kms", "re_encrypt", CiphertextBlob=blob, **both)

    assert {name for name, outcome in tried.items() if outcome == "done"} == REACH[function]
    assert {outcome for outcome in tried.values() if outcome != "done"} <= DENIED


def test_V9_who_counts_a_callers_messages_writes_no_caller(sandbox: Sandbox) -> None:
    """Else `send`, which reads what strangers wrote, could give itself other rights."""

    def write(function: str, table: str, key: dict[str, Any]) -> str:
        return answer(
            sandbox,
            role_session(sandbox, function),
            "dynamodb",
            "update_item",
            TableName=f"mailgrant-sandbox-{table}",
            Key=key,
            UpdateExpression="ADD counted :none",
            ExpressionAttributeValues={":none": {"N": "0"}},
        )

    row = {"caller": {"S": "key_x"}, "minute": {"N": "0"}}
    assert {write(function, "rates", row) for function in ("api", "send")} == {"done"}
    assert write("relay", "rates", row) in DENIED
    assert write("send", "callers", {"caller": row["caller"]}) in DENIED


def read_named(sandbox: Sandbox, session: boto3.Session, table: str) -> str:
    """The outcome of reading any row of a table whose key is named like the table, but for its s."""
    key = {table.removesuffix("s"): {"S": "x"}}
    return answer(sandbox, session, "dynamodb", "get_item", TableName=f"mailgrant-sandbox-{table}", Key=key)


def take_rescued(sandbox: Sandbox, session: boto3.Session) -> str:
    """The outcome of looking for rescued grants, which hides none from those who do so rightly."""
    queue = sandbox.environment["RESCUE_QUEUE_URL"]
    return answer(sandbox, session, "sqs", "receive_message", QueueUrl=queue, VisibilityTimeout=0)
