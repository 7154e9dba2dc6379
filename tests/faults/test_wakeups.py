"""Rows F33 F34: wake-ups that are none, and dead letters that are sent again."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers import copies, in_state, letter, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.cast import Cast
    from sandbox.stack import Sandbox

POISON = ("this is no JSON", '{"accounts": ["acc_00000000000000000000"], "version": 2}')
"""Bodies that no relay can read: no JSON, and a schema that is not ours."""


class Queues:
    """The relay's queue and its dead letters, as their operator has them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sqs = sandbox.emulator.session().client("sqs")
        self.relay = sandbox.environment["RELAY_QUEUE_URL"]
        self.dead = self._sqs.get_queue_url(QueueName=f"{self.relay.rpartition('/')[2]}-dlq")["QueueUrl"]

    def put(self, body: str) -> None:
        """Puts a body into the relay's queue."""
        self._sqs.send_message(QueueUrl=self.relay, MessageBody=body)

    def attribute(self, name: str) -> str:
        """An attribute of the relay's queue."""
        found = self._sqs.get_queue_attributes(QueueUrl=self.relay, AttributeNames=[name])
        return str(found["Attributes"][name])

    def be_quick(self) -> None:
        """Lets what fails come to the dead letters soon, and not after five times an hour and a half."""
        policy = {**json.loads(self.attribute("RedrivePolicy")), "maxReceiveCount": 1}
        self.change(VisibilityTimeout="8", RedrivePolicy=json.dumps(policy))

    def change(self, **attributes: str) -> None:
        """Sets attributes of the relay's queue."""
        self._sqs.set_queue_attributes(QueueUrl=self.relay, Attributes=attributes)

    def dead_letters(self) -> set[str]:
        """The bodies of the dead letters, left where they are."""
        found = self._sqs.receive_message(QueueUrl=self.dead, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return {one["Body"] for one in found.get("Messages", [])}

    def purge(self) -> None:
        """Forgets what is in either queue, also what is hidden."""
        for queue in (self.relay, self.dead):
            self._sqs.purge_queue(QueueUrl=queue)

    def empty(self) -> bool:
        """Whether nothing is in the relay's queue, nor being worked on."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return all(self.attribute(name) == "0" for name in names)

    def buried(self) -> list[str]:
        """The bodies of the dead letters, taken out."""
        found = []
        while batch := self._sqs.receive_message(QueueUrl=self.dead, MaxNumberOfMessages=10).get("Messages"):
            for one in batch:
                self._sqs.delete_message(QueueUrl=self.dead, ReceiptHandle=one["ReceiptHandle"])
                found.append(one["Body"])
        return found

    def bury(self, body: str) -> None:
        """Puts a body among the dead letters, as SQS does after five failures."""
        self._sqs.send_message(QueueUrl=self.dead, MessageBody=body)


@pytest.fixture
def queues(sandbox: Sandbox) -> Iterator[Queues]:
    """The queues, empty and as they were deployed after the test too."""
    found = Queues(sandbox)
    usual = {name: found.attribute(name) for name in ("VisibilityTimeout", "RedrivePolicy")}
    yield found
    found.change(**usual)
    found.purge()


@pytest.fixture
def account(cast: Cast) -> dict[str, Any]:
    """A connected Microsoft mailbox of its own."""
    return cast.connected("microsoft", f"owner-{secrets.token_hex(4)}@example.com")


def test_F33_wake_ups_that_are_none(
    sandbox: Sandbox, cast: Cast, queues: Queues, account: dict[str, Any]
) -> None:
    """They end among the dead letters, each as it was, and mail that comes between them is sent."""
    in_state(cast, cast.api.post("/v1/messages", letter(account["id"]))["id"], "sent")
    queues.be_quick()
    queues.put(POISON[0])
    accepted = cast.api.post("/v1/messages", letter(account["id"]))
    queues.put(POISON[1])

    sent = in_state(cast, accepted["id"], "sent")
    until(lambda: queues.dead_letters() >= set(POISON))

    assert len(copies(sandbox, sent["message_id"])) == 1


def test_F34_dead_letters_that_are_sent_again(
    sandbox: Sandbox, cast: Cast, queues: Queues, account: dict[str, Any]
) -> None:
    """The wake-ups of mail that was sent long ago make no connection and no second copy."""
    ids = [cast.api.post("/v1/messages", letter(account["id"]))["id"] for _ in range(3)]
    records = [in_state(cast, one, "sent") for one in ids]
    connections = len(sandbox.mail.sessions())
    for one in ids:
        queues.bury(json.dumps({"account": account["id"], "message": one}))

    redriven = queues.buried()
    for body in redriven:
        queues.put(body)

    until(queues.empty)
    assert len(redriven) == len(ids)
    assert len(sandbox.mail.sessions()) == connections
    assert queues.buried() == []
    assert [len(copies(sandbox, one["message_id"])) for one in records] == [1, 1, 1]
