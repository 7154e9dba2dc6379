"""A secret that leaks is found, wherever and however it is written."""

from __future__ import annotations

import base64
import json
import logging
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from chalicelib.callers.keys import new_key
from chalicelib.errors import InvalidInput
from sandbox.aws.front import Exchange
from tests.canary import places
from tests.canary.allowed import Allowed
from tests.canary.canaries import Canaries, Leak
from tests.canary.watch import LeakedError, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.unit.aws_tables import Aws

SECRET = "4/0A" + secrets.token_hex(40)


@pytest.fixture
def watch() -> Watch:
    """A watch of its own that knows one secret."""
    watch = Watch()
    watch.canaries.add("code", SECRET)
    return watch


@pytest.mark.parametrize(
    "spelt",
    [
        lambda secret: secret,
        lambda secret: secret[:30],
        lambda secret: quote(secret, safe=""),
        lambda secret: json.dumps({"error": f"no {secret}!"}),
        lambda secret: base64.b64encode(f"user=ada\1auth=Bearer {secret}\1\1".encode()).decode(),
        lambda secret: base64.b64encode(f"user=adam\1auth=Bearer {secret}\1\1".encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(f"user=adams\1auth=Bearer {secret}\1\1".encode()).decode(),
    ],
    ids=["as it is", "cut", "in a URL", "in JSON", "in base 64", "one byte later", "two bytes later"],
)
def test_a_secret_is_found_however_it_is_written(watch: Watch, spelt: Callable[[str], str]) -> None:
    assert {leak.kind for leak in watch.canaries.find("log", f"seen: {spelt(SECRET)}")} == {"code"}


def test_what_is_no_secret_is_not_found(watch: Watch) -> None:
    text = f"{secrets.token_hex(40)} {SECRET[8:]} 4/0A {'A' * 100}"

    assert not list(watch.canaries.find("log", text.replace(SECRET[8:], SECRET[8:20])))


def test_a_jwt_is_known_by_claims_and_signature_not_by_its_header() -> None:
    canaries = Canaries()
    header, claims, signature = ("eyJ" + secrets.token_hex(20) for _ in range(3))
    canaries.add("ID token", f"{header}.{claims}.{signature}")

    assert [list(canaries.find("log", part)) != [] for part in (header, claims, signature)] == [
        False,
        True,
        True,
    ]


def test_a_leak_names_kind_and_place_and_not_the_secret(watch: Watch) -> None:
    with pytest.raises(LeakedError) as raised:
        watch.search([("log", f"code={SECRET}")])

    assert "code in log: code=[code]" in str(raised.value)
    assert SECRET[:24] not in str(raised.value)


def test_what_is_allowed_in_one_place_is_a_leak_in_another(tmp_path: Path) -> None:
    path = tmp_path / "allowed.toml"
    path.write_text('[[allowed]]\nkind = "code"\nplace = "page *"\nwhy = "It comes by it."\n')
    found = [Leak("code", "page GET /x"), Leak("code", "pages"), Leak("key", "page GET /x")]

    assert Allowed(path).leaks(found) == [Leak("code", "pages"), Leak("key", "page GET /x")]


def test_every_entry_of_the_list_says_why() -> None:
    assert Allowed().leaks([Leak("code", "path"), Leak("code", "table accounts")]) == [
        Leak("code", "table accounts")
    ]


# What this process makes and says


def test_a_key_that_is_made_here_and_logged_here_is_a_leak() -> None:
    def leak() -> None:
        logging.getLogger("mailgrant.test").warning("made %s", new_key("key_01234567890123456789").reveal())

    with pytest.raises(LeakedError, match="API key in log of this process"), Watch().process():
        leak()


def test_a_secret_in_an_error_is_a_leak() -> None:
    watch = Watch()
    watch.canaries.add("state", SECRET)

    with pytest.raises(LeakedError, match="state in error"), watch.process():
        InvalidInput(f"{SECRET} is wrong.", fix="Look.")


# What a sandbox holds


@contextmanager
def row(aws: Aws) -> Iterator[None]:
    """Leaks into a table, in bytes."""
    table, key = aws.settings.table("accounts"), {"account": {"S": "acc_leak"}}
    aws.clients.dynamodb.put_item(TableName=table, Item={**key, "x": {"M": {"y": {"B": SECRET.encode()}}}})
    yield
    aws.clients.dynamodb.delete_item(TableName=table, Key=key)


@contextmanager
def blob(aws: Aws) -> Iterator[None]:
    """Leaks into the bucket."""
    aws.clients.s3.put_object(Bucket=aws.settings.bucket, Key="leak", Body=f"is {SECRET}".encode())
    yield
    aws.clients.s3.delete_object(Bucket=aws.settings.bucket, Key="leak")


@contextmanager
def queue(aws: Aws) -> Iterator[None]:
    """Leaks into a queue."""
    url = aws.clients.sqs.create_queue(QueueName="leaks")["QueueUrl"]
    aws.clients.sqs.send_message(QueueUrl=url, MessageBody=f"is {SECRET}")
    yield
    aws.clients.sqs.delete_queue(QueueUrl=url)


@contextmanager
def function_log(aws: Aws) -> Iterator[None]:
    """Leaks into CloudWatch."""
    logs, group = aws.emulator.session().client("logs"), "/aws/lambda/leaks"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="one")
    event = {"timestamp": 1_800_000_000_000, "message": f"is {SECRET}"}
    logs.put_log_events(logGroupName=group, logStreamName="one", logEvents=[event])
    yield
    logs.delete_log_group(logGroupName=group)


@contextmanager
def parameter(aws: Aws) -> Iterator[None]:
    """Leaks into a parameter."""
    ssm = aws.emulator.session().client("ssm")
    ssm.put_parameter(Name="/leak", Value=SECRET, Type="String")
    yield
    ssm.delete_parameter(Name="/leak")


@pytest.mark.aws
@pytest.mark.parametrize("leak", [row, blob, queue, function_log, parameter], ids=lambda leak: leak.__name__)
def test_a_secret_in_the_cloud_is_found(
    aws: Aws, watch: Watch, leak: Callable[[Aws], AbstractContextManager[None]]
) -> None:
    with leak(aws):
        found = [
            one
            for place, text in places.aws(aws.emulator.session())
            for one in watch.canaries.find(place, text)
        ]

    assert {one.kind for one in found} == {"code"}
    assert Allowed().leaks(found) != []


def test_pages_errors_answers_headers_and_paths_are_told_apart() -> None:
    def seen(status: int, kind: str) -> list[str]:
        one = Exchange("GET", f"/v1/x/{'a' * 30}?code=1", "", status, (("Content-Type", kind),), b"{}")
        return [place for place, _ in places.exchange(one)]

    assert seen(200, "text/html")[-1] == "page GET /v1/x/…"
    assert seen(500, "application/json")[-1] == "error GET /v1/x/…"
    assert seen(200, "application/json") == ["path", "header content-type", "answer GET /v1/x/…"]
