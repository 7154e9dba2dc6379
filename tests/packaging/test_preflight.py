"""What stops a deployment before anything is created, and how each is told with its fix."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

import cli.package
from cli import permissions
from cli.package import PackageError, package
from cli.preflight import Identity
from cli.trouble import Trouble
from sandbox.aws.emulator import REGION
from sandbox.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.packaging.conftest import Account

pytestmark = [pytest.mark.aws, pytest.mark.xdist_group("packaging")]

DEPLOY = ("deploy", "--stage", "prod")
NONE: dict[str, Any] = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}


@pytest.fixture(autouse=True)
def nothing_is_created(account: Account) -> Iterator[None]:
    yield
    assert account.stack("mailgrant-prod-data") is None


class Refusing(BaseHTTPRequestHandler):
    """An AWS that refuses every request with `code`, as its query services do."""

    code: ClassVar[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = (
            '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
            f"<Code>{self.code}</Code><Message>No ({self.code}).</Message></Error></ErrorResponse>"
        ).encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has there
        """Nothing: the test looks at what the command says."""


@pytest.mark.parametrize(
    ("env", "code", "said"),
    [
        (NONE, "aws_credentials_missing", "credentials"),
        ({"AWS_SECRET_ACCESS_KEY": None}, "aws_credentials_missing", "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_PROFILE": "nobody"}, "aws_credentials_missing", "nobody"),
        ({"AWS_REGION": None}, "aws_region_missing", "region"),
        ({"AWS_REGION": "not a region"}, "aws_region_missing", "not a region"),
        ({"AWS_ACCESS_KEY_ID": "AKIA IOSFODNN7EXAMPLE"}, "aws_credentials_invalid", "access key id"),
        ({"AWS_SECRET_ACCESS_KEY": "secret\n"}, "aws_credentials_invalid", "secret key"),
        ({"AWS_SECRET_ACCESS_KEY": "geheimer-schlüssel"}, "aws_credentials_invalid", "secret key"),
        ({"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"}, "aws_credentials_invalid", "token"),
    ],
    ids=["none", "half", "profile", "no-region", "bad-region", "blank", "newline", "umlaut", "unknown"],
)
def test_credentials_that_are_not_good(env: dict[str, Any], code: str, said: str, account: Account) -> None:
    error = account.refused(*DEPLOY, **env)

    assert error["code"] == code
    assert said in error["message"]
    assert error["message"].endswith("Nothing was changed.")
    assert "schlüssel" not in json.dumps(error, ensure_ascii=False)


def test_a_profile_and_a_region_may_be_named(account: Account) -> None:
    (account.home / "credentials").write_text(
        "[mine]\naws_access_key_id = test\naws_secret_access_key = test\n"
    )

    said = account.run(*DEPLOY, "--profile", "mine", "--region", "eu-central-1", stdin="n\n", **NONE)

    assert "deploying prod in eu-central-1 of account 000000000000" in said.output


@pytest.mark.parametrize(
    ("refusal", "code", "fix"),
    [
        ("ExpiredToken", "aws_credentials_expired", "aws sso login"),
        ("ExpiredTokenException", "aws_credentials_expired", "--profile"),
        ("InvalidClientTokenId", "aws_credentials_invalid", "clock"),
        ("SignatureDoesNotMatch", "aws_credentials_invalid", "clock"),
        ("AccessDenied", "aws_denied", "docs/operations.md"),
        ("OptInRequired", "aws_region_missing", "--region"),
        ("SomethingNew", "aws_refused", "AWS"),
    ],
)
def test_what_aws_refuses(refusal: str, code: str, fix: str, account: Account) -> None:
    handler = type("Handler", (Refusing,), {"code": refusal})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        error = account.refused(*DEPLOY, AWS_ENDPOINT_URL=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()

    assert error["code"] == code
    assert "GetCallerIdentity" in error["message"]
    assert f"({refusal})" in error["message"]
    assert fix in error["fix"]


def test_no_network(account: Account) -> None:
    error = account.refused(*DEPLOY, exit_code=3, AWS_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}")

    assert error["code"] == "aws_unreachable"
    assert "network" in error["fix"]


def test_a_region_that_is_misspelt(account: Account) -> None:
    """It has no endpoint, so nothing else than a network that fails is seen of it."""
    nowhere = f"http://127.0.0.1:{free_port()}"

    error = account.refused(*DEPLOY, AWS_REGION="eu-wset-1", AWS_ENDPOINT_URL=nowhere)

    assert error["code"] == "aws_region_missing"
    assert "eu-wset-1" in error["message"]
    assert "Did you mean eu-west-1?" in error["fix"]


def test_who_has_nothing_yet_is_told_all_that_is_needed(account: Account) -> None:
    error = account.refused(*DEPLOY, **NONE, AWS_REGION=None)

    assert error["code"] == "aws_credentials_missing"
    assert "--profile" in error["fix"]
    assert "--region" in error["fix"]


class TestPermissions:
    def test_who_lacks_rights_is_told_which(self, account: Account) -> None:
        mine = user(account, "reader", allow("iam:Simulate*"), allow("dynamodb:*"))

        error = account.refused(*DEPLOY, **mine)

        assert error["code"] == "aws_denied"
        assert "user/reader may not: " in error["message"]
        assert "iam:CreateRole" in error["message"]
        assert "dynamodb:CreateTable" not in error["message"]

    def test_who_may_not_ask_is_told_that_it_was_not_checked(self, account: Account) -> None:
        result = account.run(*DEPLOY, "--yes", **user(account, "blind", allow("s3:*")))

        assert result.exit_code == 1
        assert "not checked: whether these credentials may do all of it" in result.output
        assert "AWS refused DescribeStacks" in result.output
        assert "Code: aws_denied" in result.output

    def test_a_wrong_simulation_can_be_passed_over(self, account: Account) -> None:
        mine = user(account, "simulated", allow("iam:Simulate*"), allow("cloudformation:*"))

        result = account.run(*DEPLOY, "--unchecked", stdin="n\n", **mine)

        assert "may not" not in result.output
        assert "dynamodb:DescribeTable" in result.output

    def test_who_may_do_everything_passes_as_user_and_as_role(self, account: Account) -> None:
        user(account, "admin", allow("*"))
        iam = account.session.client("iam")
        trust = json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
            }
        )
        iam.create_role(RoleName="deployer", AssumeRolePolicyDocument=trust)
        iam.put_role_policy(RoleName="deployer", PolicyName="all", PolicyDocument=policy(allow("*")))
        session = "arn:aws:sts::000000000000:assumed-role/deployer/ci-1"

        for arn in ("arn:aws:iam::000000000000:user/admin", session):
            assert permissions.check(account.session, Identity(arn, "000000000000", REGION), "prod") is None

    def test_only_resources_of_the_stage_are_needed(self, account: Account) -> None:
        own = [
            {
                "Effect": "Allow",
                "Action": list(actions),
                "Resource": pattern.format(
                    partition="aws", region=REGION, account="000000000000", stage="prod"
                ),
            }
            for pattern, actions in permissions.NEEDED.items()
        ]
        user(account, "narrow", *own)
        identity = Identity("arn:aws:iam::000000000000:user/narrow", "000000000000", REGION)

        assert permissions.check(account.session, identity, "prod") is None
        with pytest.raises(Trouble):
            permissions.check(account.session, identity, "test")


def test_a_python_that_lambda_does_not_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.package, "NEWEST_PYTHON", (3, 10))

    with pytest.raises(PackageError, match=rf"no Python {sys.version_info.major}\.") as caught:
        package(tmp_path)

    assert "make install PYTHON=python3.10" in caught.value.fix


def test_a_wheel_that_cannot_be_had(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise PackageError("the locked wheels for Lambda could not be fetched", "Run make install")

    monkeypatch.setattr("cli.deployment.packaged", missing)

    error = account.refused(*DEPLOY)

    assert error == {
        "code": "package_failed",
        "message": "the locked wheels for Lambda could not be fetched. Nothing was changed.",
        "fix": "Run make install",
        "docs": "docs/errors.md#package-failed",
    }


def allow(action: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": "*"}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def user(account: Account, name: str, *statements: dict[str, Any]) -> dict[str, Any]:
    """Make an IAM user, and return its credentials as variables."""
    iam = account.session.client("iam")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="rights", PolicyDocument=policy(*statements))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
