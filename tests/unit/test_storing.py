"""A message that was stored is taken over, whatever is lost afterwards, and comes once."""

from __future__ import annotations

import json
import random
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.models.account import GrantState
from chalicelib.aws.failures import ConditionFailed
from chalicelib.aws.tables import table as tables
from chalicelib.aws.tables.table import BATCH_TRIES
from chalicelib.callers.models import CallerKind, Scope, SendLimits
from chalicelib.clock import MINUTE
from chalicelib.errors import ConfigurationError, Conflict, RateLimited, Unavailable
from chalicelib.mail.models import ClosedReason
from chalicelib.mail.outbox import Filter
from tests.unit.lost_answers import losing
from tests.unit.mail_world import post, running_post, world
from tests.unit.web_services import bearer, client

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.mail_world import World

__all__ = ["post", "running_post", "world"]

ALWAYS = 1_000
SEND = "arn:aws:lambda:eu-west-1:000000000000:function:send"
TROUBLES = (Unavailable("The table of lanes did not answer.", fix="x"), ConfigurationError("denied"))


def breaks(monkeypatch: pytest.MonkeyPatch, thing: object, method: str, error: Exception) -> None:
    """Lets a method of one of the world's parts fail with the error."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(thing, method, fail)


def asked(world: World, **more: Any) -> dict[str, Any]:
    """A small request."""
    return {"account": world.account_id, "to": ["bob@example.net"], "subject": "s", "text": "hello", **more}


def rows(world: World) -> int:
    """How many messages the account has."""
    return len(world.outbox.list(world.caller, Filter(world.account_id), 100).messages)


@pytest.mark.parametrize("error", TROUBLES, ids=["throttled", "denied"])
def test_ud1_a_stored_message_is_accepted_though_its_lane_cannot_be_rung(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    with monkeypatch.context() as broken:
        breaks(broken, world.lanes_table, "ring", error)
        message = world.accept()
    assert world.lane.state(world.account_id).next_due_at is None

    take_wakeups(world)

    assert world.record(message)["state"] == "sent"


def test_ud1_what_could_not_be_announced_is_found_when_the_queue_fails_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring, failures = world.lanes_table.ring, iter(TROUBLES[:1])

    def once(*arguments: Any, **named: Any) -> Any:
        if (error := next(failures, None)) is not None:
            raise error
        return ring(*arguments, **named)

    monkeypatch.setattr(world.lanes_table, "ring", once)
    breaks(monkeypatch, world.wakeups, "wake", TROUBLES[0])

    world.accept()

    assert world.serve() == {"sent": 1}


def test_ud1_nothing_that_fails_after_storing_is_told_as_not_stored(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch, world.lanes_table, "ring", TROUBLES[0])
    breaks(monkeypatch, world.wakeups, "wake", TROUBLES[1])

    accepted = world.send.accept(world.caller, asked(world))

    assert accepted.to_json() == {"id": accepted.id, "state": "queued"}
    assert rows(world) == 1


def test_ud1_mail_of_a_closed_lane_that_was_not_announced_waits_and_expires(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.accept()
    world.lane.close(world.account_id, ClosedReason.PAUSED)
    world.lane.put_off(world.lane.state(world.account_id), due_at=None)
    with monkeypatch.context() as broken:
        breaks(broken, world.lanes_table, "ring", TROUBLES[0])
        message = world.accept()

    take_wakeups(world)

    stored = world.messages_table.get(world.account_id, message)
    due_at = world.lane.state(world.account_id).next_due_at
    assert stored is not None
    assert due_at is not None
    assert due_at <= stored.expires_at


@pytest.mark.parametrize("key", [{}, {"idempotency_key": "k"}], ids=["without a key", "with a key"])
def test_ud1_a_write_whose_answer_is_lost_for_good_is_read_back(world: World, key: dict[str, str]) -> None:
    with losing(world.clients.dynamodb, "PutItem", ALWAYS):
        accepted = world.send.accept(world.caller, asked(world, **key))

    assert accepted.to_json() == {"id": accepted.id, "state": "queued"}
    assert world.serve() == {"sent": 1}


def test_ud1_who_gave_no_key_is_told_to_look_and_not_to_repeat(world: World) -> None:
    with losing(world.clients.dynamodb, "PutItem", ALWAYS, arrives=False), pytest.raises(Unavailable) as told:
        world.send.accept(world.caller, asked(world))

    message = told.value.fix.partition("GET /v1/messages/")[2].split()[0]
    assert "Send the same request again" not in told.value.fix
    assert message.startswith(f"msg_{world.account_id.removeprefix('acc_')}_")
    assert world.messages_table.get(world.account_id, message) is None


def test_ud1_who_gave_a_key_may_repeat_and_sends_once(world: World) -> None:
    request = asked(world, idempotency_key="k")
    with losing(world.clients.dynamodb, "PutItem", ALWAYS, arrives=False), pytest.raises(Unavailable) as told:
        world.send.accept(world.caller, request)

    first, second = (world.send.accept(world.caller, request) for _ in range(2))

    assert "Send the same request again" in told.value.fix
    assert first.id == second.id
    assert rows(world) == 1


def invoke(world: World, request_id: str, **more: Any) -> dict[str, Any]:
    """What the function `send` answers to an invocation with that id."""
    return world.send_operations.run(asked(world, **more), function_arn=SEND, request_id=request_id)


@pytest.fixture
def alias(world: World) -> None:
    """The caller of the function that is invoked without an alias."""
    world.callers_table.add(replace(world.caller, id="lambda", kind=CallerKind.FUNCTION))


@pytest.mark.usefixtures("alias")
def test_ud1_an_invocation_that_lambda_repeats_is_one_message(world: World) -> None:
    first, again, other = (invoke(world, request_id) for request_id in ("one", "one", "two"))

    assert first == {"id": again["id"], "state": "queued"}
    assert again["replayed"] is True
    assert other["id"] != first["id"]
    assert rows(world) == 2


@pytest.mark.usefixtures("alias")
def test_ud1_a_repeated_invocation_after_a_lost_write_is_one_message(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken, losing(world.clients.dynamodb, "PutItem", ALWAYS):
        breaks(broken, world.messages_table, "get", TROUBLES[0])
        with pytest.raises(RuntimeError) as raised:
            invoke(world, "one")

    answer = invoke(world, "one")

    assert "Send the same request again" not in json.loads(str(raised.value))["error"]["fix"]
    assert answer["replayed"] is True
    assert rows(world) == 1


@pytest.mark.usefixtures("alias")
def test_ud1_a_key_counts_more_than_the_invocation(world: World) -> None:
    key = {"idempotency_key": "one"}

    ids = [invoke(world, "one", **key)["id"], invoke(world, "two", **key)["id"], invoke(world, "one")["id"]]

    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("size", [10, 20_000], ids=["in its row", "in the bucket"])
def test_ud5_a_put_that_the_client_repeats_is_no_replay(world: World, size: int) -> None:
    request = asked(world, idempotency_key="k", text="x" * size)
    with losing(world.clients.dynamodb, "PutItem", 1) as lost:
        accepted = world.send.accept(world.caller, request)

    assert len(lost) == 1
    assert "replayed" not in accepted.to_json()
    assert world.send.accept(world.caller, request).replayed is True


def test_ud5_a_put_that_the_client_repeats_counts(world: World) -> None:
    caller = replace(world.caller, limits=SendLimits(messages_per_minute=1))
    with losing(world.clients.dynamodb, "PutItem", 1):
        world.send.accept(caller, asked(world, idempotency_key="k"))

    with pytest.raises(RateLimited):
        world.send.accept(caller, asked(world))
    assert world.send.accept(caller, asked(world, idempotency_key="k")).replayed is True


def test_ud5_a_conditional_put_of_any_row_that_the_client_repeats_is_done(world: World) -> None:
    row = {"authorization": secrets.token_hex(8), "kind": "link", "created_at": 1, "places": ["a", "b"]}
    table = tables.Table(world.clients.dynamodb, world.settings.table("authorizations"), "The table")
    condition = "attribute_not_exists(#authorization)"

    with losing(world.clients.dynamodb, "PutItem", 1) as lost:
        table.put(row, condition)

    assert len(lost) == 1
    with pytest.raises(ConditionFailed):
        table.put({**row, "created_at": 2}, condition)


def throttled(
    world: World, monkeypatch: pytest.MonkeyPatch, times: int
) -> tuple[Callable[[], int], list[float]]:
    """Hands the rows of a batch back unread so often; what reads one row, and the pauses that it makes."""
    real, left, pauses = world.clients.dynamodb.batch_get_item, iter(range(times)), list[float]()

    def handed_back(RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        if next(left, None) is None:
            return dict(real(RequestItems=RequestItems))
        return {"Responses": {}, "UnprocessedKeys": RequestItems}

    monkeypatch.setattr(world.clients.dynamodb, "batch_get_item", handed_back)
    monkeypatch.setattr(tables, "sleep", pauses.append)
    return lambda: len(world.accounts_table.some([world.account_id])), pauses


def test_ud5_unprocessed_keys_are_asked_for_again_after_growing_pauses(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, longest: longest)
    read, pauses = throttled(world, monkeypatch, BATCH_TRIES - 1)

    assert read() == 1
    assert pauses == sorted(set(pauses))
    assert len(pauses) == BATCH_TRIES - 1
    assert sum(pauses) < 5  # the requests of `api` have 29 seconds


def test_ud5_pauses_of_two_readers_differ(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = []
    for _ in range(2):
        read, made = throttled(world, monkeypatch, BATCH_TRIES - 1)
        read()
        pauses.append(made)
        monkeypatch.undo()

    assert pauses[0] != pauses[1]
    assert all(pause > 0 for pause in (*pauses[0], *pauses[1]))


def test_ud5_what_stays_unprocessed_is_told_and_nobody_pauses_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, pauses = throttled(world, monkeypatch, BATCH_TRIES)

    with pytest.raises(Unavailable, match="UnprocessedKeys"):
        read()
    assert len(pauses) == BATCH_TRIES - 1


def take_wakeups(world: World) -> None:
    """Does what the function `relay` does with the queue's wake-ups of this account; empties it."""
    while taken := world.sqs.receive_message(QueueUrl=world.queue, MaxNumberOfMessages=10).get("Messages"):
        for one in taken:
            world.sqs.delete_message(QueueUrl=world.queue, ReceiptHandle=one["ReceiptHandle"])
            if world.account_id in one["Body"]:
                world.relay_schedule.run_wakeup(one["Body"], until=world.now() + 15 * MINUTE)


def test_ud1_a_stored_message_is_a_202_over_http(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks(monkeypatch, world.lanes_table, "ring", TROUBLES[1])
    breaks(monkeypatch, world.wakeups, "wake", TROUBLES[0])
    _, key = world.callers.create_key("tests", {Scope.SEND}, ["*"])
    services: Any = world

    answer = client(services).http.post(
        "/v1/messages", headers=bearer(key.reveal()), body=json.dumps(asked(world)).encode()
    )

    assert answer.status_code == 202
    assert rows(world) == 1


def test_ud1_what_was_not_stored_is_a_503_that_names_where_to_look(world: World) -> None:
    _, key = world.callers.create_key("tests", {Scope.SEND}, ["*"])
    services: Any = world
    with losing(world.clients.dynamodb, "PutItem", ALWAYS, arrives=False):
        answer = client(services).http.post(
            "/v1/messages", headers=bearer(key.reveal()), body=json.dumps(asked(world)).encode()
        )

    assert answer.status_code == 503
    assert "GET /v1/messages/msg_" in answer.json_body["error"]["fix"]
    assert "again in a moment" not in answer.json_body["error"]["fix"]


def test_ug3_who_only_sends_can_follow_what_an_error_advises(world: World) -> None:
    """Such a caller may not list accounts, nor make links."""
    _, key = world.callers.create_key("tests", {Scope.SEND}, [world.account_id])
    services: Any = world
    http, headers = client(services).http, bearer(key.reveal())

    unknown = http.post(
        "/v1/messages",
        headers=headers,
        body=json.dumps({"account": "nobody", "to": ["a@b.example"]}).encode(),
    )

    assert unknown.status_code == 404
    path = unknown.json_body["error"]["fix"].partition("GET ")[2].split()[0]
    advised = http.get(path, headers=headers)
    assert advised.status_code == 200
    assert advised.json_body["accounts"] == [world.account_id]
    world.change(grant_state=GrantState.NONE)
    with pytest.raises(Conflict, match="not connected") as refused:
        world.send.accept(world.caller, asked(world))
    assert "whoever administers the account" in refused.value.fix
