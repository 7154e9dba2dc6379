"""Waiting for AWS: how often it is asked, and how long SQS keeps a name to itself."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError

from cli import changes, cloudformation, removal, stacks
from cli.cloudformation import StackError
from cli.preflight import Identity
from cli.stacks import Telling
from sandbox.aws.emulator import REGION
from tests.packaging.moving import Time

if TYPE_CHECKING:
    from tests.packaging.conftest import Account

MINUTE = 60


class Planning:
    """A CloudFormation that takes so many seconds to make a change set, and describes it on two pages."""

    def __init__(self, time: Time, seconds: float) -> None:
        self.time = time
        self.done_at = time.now + seconds
        self.asked_at: list[float] = []

    def create_change_set(self, **_: Any) -> dict[str, str]:
        return {"Id": "change-set", "StackId": "stack"}

    def describe_change_set(self, **request: str) -> dict[str, Any]:
        self.asked_at.append(self.time.now)
        if self.time.now < self.done_at:
            return {"Status": "CREATE_IN_PROGRESS", "Changes": []}
        second = {"Action": "Add", "LogicalResourceId": "Second", "ResourceType": "AWS::SQS::Queue"}
        first = {**second, "LogicalResourceId": "First"}
        page: dict[str, Any] = {"Status": "CREATE_COMPLETE"}
        if "NextToken" in request:
            return {**page, "Changes": [{"ResourceChange": second}]}
        return {**page, "Changes": [{"ResourceChange": first}], "NextToken": "more"}


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """The clock of everything that waits for AWS; it moves by waiting only."""
    time = Time()
    for module in (changes, cloudformation, removal):
        monkeypatch.setattr(module, "time", time)
    return time


def propose(client: Planning) -> tuple[str, ...]:
    found = changes.propose(cast("Any", client), "stack", None, {}, [], holds_data=True)
    assert found is not None
    return tuple(change.resource for change in found.changes)


def test_uf14_a_change_set_is_asked_for_at_growing_intervals(time: Time) -> None:
    client = Planning(time, 5 * MINUTE)

    assert propose(client) == ("First", "Second")

    waits = [later - earlier for earlier, later in pairwise(client.asked_at[:-1])]
    assert waits == sorted(waits)
    assert waits[-1] == 8
    assert len(waits) < 50  # asked five times a second it would be 1,500


def test_uf14_a_change_set_that_is_there_is_described_once(time: Time) -> None:
    client = Planning(time, 0)

    assert propose(client) == ("First", "Second")

    assert client.asked_at == [time.now] * 2  # its two pages


class KeepingNames:
    """The queues of the emulator, where a deleted queue's name is kept for 60 s, as SQS does."""

    def __init__(self, client: Any, time: Time) -> None:
        self._client = client
        self._time = time
        self._deleted_at: dict[str, float] = {}

    def get_queue_url(self, **request: Any) -> Any:
        return self._client.get_queue_url(**request)

    def delete_queue(self, *, QueueUrl: str) -> None:  # noqa: N803 - its name
        self._client.delete_queue(QueueUrl=QueueUrl)
        self._deleted_at[QueueUrl.rpartition("/")[2]] = self._time.now

    def create_queue(self, *, QueueName: str) -> Any:  # noqa: N803 - its name
        if self._time.now - self._deleted_at.get(QueueName, -MINUTE) < MINUTE:
            code = "AWS.SimpleQueueService.QueueDeletedRecently"
            raise ClientError({"Error": {"Code": code}}, "CreateQueue")
        return self._client.create_queue(QueueName=QueueName)


@pytest.mark.aws
@pytest.mark.xdist_group("packaging")
class TestNamesOfQueues:
    def removed(self, account: Account, time: Time, stage: str) -> tuple[KeepingNames, list[str]]:
        """The queues after the data of a stage was removed, and what was said."""
        sqs, said = KeepingNames(account.session.client("sqs"), time), list[str]()
        session = SimpleNamespace(client=lambda name: sqs if name == "sqs" else account.session.client(name))
        identity = Identity("arn:aws:iam::000000000000:root", "000000000000", REGION)
        removal.remove_data(cast("Any", session), identity, stage, Telling(said.append))
        return sqs, said

    def test_uf8_a_stage_can_be_deployed_again_as_soon_as_its_data_is_removed(
        self, account: Account, time: Time
    ) -> None:
        stacks.deploy_data_stack(account.session, "anew", lambda _: None)

        sqs, said = self.removed(account, time, "anew")

        for name in removal.QUEUES:
            assert sqs.create_queue(QueueName=f"mailgrant-anew-{name}")
        waiting = [line for line in said if "gives the queues' names back in" in line]
        assert len(waiting) == 6
        assert "in 60 s" in waiting[0]
        assert "in 10 s" in waiting[-1]

    def test_uf8_the_script_refuses_who_does_not_wait(self, account: Account, time: Time) -> None:
        sqs = KeepingNames(account.session.client("sqs"), time)
        url = sqs.create_queue(QueueName="hasty")["QueueUrl"]
        sqs.delete_queue(QueueUrl=url)

        with pytest.raises(ClientError, match="QueueDeletedRecently"):
            sqs.create_queue(QueueName="hasty")

    def test_uf8_where_no_queue_was_nobody_waits(self, account: Account, time: Time) -> None:
        began = time.now

        _, said = self.removed(account, time, "nowhere")

        assert time.now == began
        assert not [line for line in said if "names back" in line]

    @pytest.mark.parametrize(
        "reason",
        [
            "RescueQueue: You must wait 60 seconds after deleting a queue before you can create another.",
            "RescueQueue: AWS.SimpleQueueService.QueueDeletedRecently (Service: Sqs, Status Code: 400)",
        ],
    )
    def test_uf8_who_broke_the_waiting_off_is_told_to_wait(self, reason: str) -> None:
        assert StackError(reason).fix.startswith("Wait for a minute")
        assert "--with-data" in StackError(reason).fix
        assert "Wait for a minute" not in StackError("Taken: /taken already exists").fix
