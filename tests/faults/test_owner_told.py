"""Row F20: a grant is revoked while mail is waiting; what the rest of the AWS account hears of it."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers import SHORT_LIFE, in_state, invoke, letter, token_expired

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.cast import Cast
    from sandbox.stack import Sandbox


@pytest.fixture
def heard(sandbox: Sandbox) -> Callable[[], list[dict[str, Any]]]:
    """The events of Mailgrant since the last look, as a rule of EventBridge puts them on a queue."""
    session = sandbox.emulator.session()
    sqs, events, name = session.client("sqs"), session.client("events"), f"owners-{secrets.token_hex(4)}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["mailgrant"]}))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])

    def look() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while taken := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            found += [json.loads(one["Body"]) for one in taken]
            for one in taken:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        return found

    return look


@pytest.mark.aws
def test_F20_a_grant_is_revoked_in_a_batch(
    sandbox: Sandbox, cast: Cast, heard: Callable[[], list[dict[str, Any]]]
) -> None:
    """One is sent, the rest is held, its owner is told once, and it goes on in order after the consent."""
    sandbox.provider.set_lifetime(access=SHORT_LIFE + 2)
    account = cast.connected("google", f"owner-{secrets.token_hex(4)}@example.com")
    first = cast.api.post("/v1/messages", letter(account["id"], subject="0"))
    in_state(cast, first["id"], "sent")
    sandbox.provider.revoke(account["address"])
    token_expired(cast.api.get(f"/v1/accounts/{account['id']}"))
    sandbox.provider.set_lifetime(access=3600)

    rest = [cast.api.post("/v1/messages", letter(account["id"], subject=str(n)))["id"] for n in range(1, 4)]
    for message in rest:
        in_state(cast, message, "held", meanwhile=lambda: invoke(sandbox, "relay-due"))
    for _ in range(3):
        invoke(sandbox, "refresh-tokens")
    (event,) = [one for one in heard() if one["detail"]["account"] == account["id"]]
    cast.person().connect(event["detail"]["connect_link"], mailbox=account["address"])
    sent = [in_state(cast, message, "sent") for message in rest]
    invoke(sandbox, "refresh-tokens")

    assert event["source"] == "mailgrant"
    assert event["detail-type"] == "Account needs its owner"
    assert event["detail"]["diagnosis"]["class"] == "reconnect"
    assert account["address"] not in json.dumps(event)
    arrived = [one["message_id"] for one in sandbox.mail.log() if account["address"] in json.dumps(one)]
    assert arrived[-3:] == [message["message_id"] for message in sent]
    assert cast.api.get(f"/v1/accounts/{account['id']}")["status"] == "connected"
    assert [one for one in heard() if one["detail"]["account"] == account["id"]] == []
