"""Rows F03 F04 F11 F13 F14 F18 F19 F36: relaying under faults, judged by the server's log and the rows."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.clock import DAY, HOUR, MINUTE, SECOND, shown_at
from chalicelib.mail.lane import LEASE
from chalicelib.mail.outbox import Filter
from chalicelib.mail.relaying.delivery import CLAIM
from chalicelib.mail.relaying.relay import TIME_FOR_ONE
from chalicelib.transports.smtp import wire
from tests.unit.mail_world import post, running_post, world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.mail_world import World

__all__ = ["post", "running_post", "world"]

SENTENCE = "A line of the message.\r\n" * 1_000


@contextmanager
def paused(world: World, command: str, **options: Any) -> Iterator[threading.Thread]:
    """A visit of a worker whose server holds it at the command; let go on and ended afterwards."""
    fault = world.post.client.inject(command, "pause", **options)
    worker = threading.Thread(target=world.serve)
    worker.start()
    try:
        world.post.client.wait_for_fault(fault)
        yield worker
    finally:
        world.post.client.release(fault)
        worker.join()


def verbs(world: World, session: int = 0) -> list[str]:
    """The commands of one connection."""
    return [one["command"].split()[0].upper() for one in world.post.client.sessions()[session]["commands"]]


@pytest.mark.parametrize("text", ["short", "long " * 5_000], ids=["in the row", "in the bucket"])
def test_F03_two_requests_with_one_key(world: World, text: str) -> None:
    """All get the id of the one row there is, and the server gets one copy."""
    found: list[str] = []
    at_once = threading.Barrier(4)

    def ask() -> None:
        at_once.wait()
        found.append(world.accept(idempotency_key="k", text=text))

    callers = [threading.Thread(target=ask) for _ in range(at_once.parties)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    world.serve()

    page = world.outbox.list(world.caller, Filter(world.account.id))
    assert len(found) == at_once.parties
    assert [message.id for message in page.messages] == list(set(found))
    assert len(world.post.client.log()) == 1


def test_F04_one_wake_up_for_two_workers(world: World) -> None:
    """The second finds the message claimed and ends without an error or a connection of its own."""
    message = world.accept()
    body = json.dumps({"account": world.account.id, "message": message})

    with paused(world, "DATA"):
        world.relay_schedule.run_wakeup(body, until=world.now() + HOUR)
        while_held = world.record(message)["state"]

    assert while_held == "sending"
    assert world.record(message)["state"] == "sent"
    assert len(world.record(message)["attempts"]) == 1
    assert len(world.post.client.sessions()) == 1
    assert len(world.post.client.log()) == 1


@pytest.mark.parametrize("after_bytes", [0, 10_000], ids=["at once", "in the middle"])
def test_F11_a_connection_that_is_reset_in_the_body(world: World, after_bytes: int) -> None:
    """What is known to be lost before the final dot is simply tried again, and arrives once."""
    world.post.client.inject("BODY", "drop", after_bytes=after_bytes)
    message = world.accept(text=SENTENCE)
    commit = world.messages_table.commit

    def when_the_server_has_gone(*arguments: Any, **named: Any) -> bool:
        while world.post.client.sessions()[0]["ending"] is None:
            time.sleep(0.01)
        return commit(*arguments, **named)

    world.messages_table.commit = when_the_server_has_gone  # type: ignore[method-assign]
    assert world.serve() == {"deferred": 1}
    world.messages_table.commit = commit  # type: ignore[method-assign]

    world.ahead = MINUTE
    world.serve()

    record = world.record(message)
    assert [attempt["phase"] for attempt in record["attempts"]] == ["data", "done"]
    assert record["may_be_duplicate"] is False
    assert len(world.post.client.log()) == 1


@pytest.mark.parametrize("when", ["before_store", "after_store"])
def test_F13_a_server_that_is_silent_after_the_dot(
    world: World, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Nobody knows whether it took the message: unknown, and the same bytes again later."""
    monkeypatch.setattr(wire, "COMMIT_SECONDS", 0.3)
    world.post.client.inject("DOT", "silence", when=when)
    message = world.accept()
    assert world.serve() == {"unknown": 1}

    world.ahead = 10 * MINUTE
    world.serve()

    record = world.record(message)
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["unknown", "sent"]
    assert record["may_be_duplicate"] is True
    assert len(world.post.client.log()) == (2 if when == "after_store" else 1)
    assert len({entry["sha256"] for entry in world.post.client.log()}) == 1


@pytest.mark.parametrize(
    ("command", "verb"),
    [("CONNECT", None), ("EHLO", "EHLO"), ("MAIL", "MAIL"), ("RCPT", "RCPT"), ("DATA", "DATA")],
)
def test_F14_a_421_at_any_step(world: World, command: str, verb: str | None) -> None:
    """The message is deferred, nothing more is said on the connection, and it arrives over another."""
    world.post.client.inject(command, code=421, text="4.4.2 closing")
    message = world.accept()
    world.serve()
    deferred = world.record(message)
    said = verbs(world)

    world.ahead = 2 * MINUTE
    world.serve()

    assert deferred["state"] == "deferred"
    assert said[-1:] == ([verb] if verb else [])
    assert world.record(message)["state"] == "sent"
    assert len(world.post.client.sessions()) == 2
    assert len(world.post.client.log()) == 1


def test_F14_a_421_at_the_banner_burns_no_attempt(world: World) -> None:
    """A server that is not there for hours blames no message: the waits are the lane's, not the message's."""
    world.post.client.inject("CONNECT", code=421, text="4.3.2 busy", times=None)
    message = world.accept()
    for _ in range(6):
        world.serve()
        world.ahead = (world.lane.state(world.account.id).next_due_at or 0) - time.time_ns() // 1_000_000
    world.post.client.clear_faults()
    world.post.client.inject("DATA", code=451, text="4.3.0 later")

    world.serve()

    due_at = world.messages_table.next_due(world.account.id)
    assert due_at is not None
    assert due_at <= world.now() + 10 * SECOND
    assert len(world.record(message)["attempts"]) == 7


def test_F18_one_of_three_recipients_is_refused(world: World) -> None:
    """The two others get the message once, and each recipient has its own state and reply."""
    world.post.client.inject(
        "RCPT", code=550, text="5.1.1 no such user", recipient="b@example.net", times=None
    )
    message = world.accept(to=["a@example.net", "b@example.net", "c@example.net"])

    world.serve()
    world.ahead = HOUR
    world.serve()

    record = world.record(message)
    (entry,) = world.post.client.log()
    assert record["state"] == "sent"
    assert [one["state"] for one in record["recipients"]] == ["sent", "failed", "sent"]
    assert [one["reply"] and one["reply"]["enhanced"] for one in record["recipients"]] == [
        None,
        "5.1.1",
        None,
    ]
    assert entry["recipients"] == ["a@example.net", "c@example.net"]


def test_F19_all_recipients_are_refused(world: World) -> None:
    """DATA is never said, not even to a server that offers pipelining; the message fails for good."""
    world.post.client.settings(pipelining=True)
    world.post.client.inject("RCPT", code=550, text="5.1.1 no such user", times=None)
    message = world.accept(to=["a@example.net", "b@example.net"])

    world.serve()
    world.ahead = HOUR
    world.serve()

    record = world.record(message)
    assert record["state"] == "failed"
    assert [one["state"] for one in record["recipients"]] == ["failed", "failed"]
    assert [attempt["diagnosis"]["class"] for attempt in record["attempts"]] == ["caller"]
    assert "DATA" not in verbs(world)
    assert world.post.client.log() == []


@pytest.mark.parametrize("left", [0, -SECOND, TIME_FOR_ONE - SECOND], ids=["none", "over", "too little"])
def test_F36_a_worker_without_time_begins_nothing(world: World, left: int) -> None:
    """It holds no slot and no claim when it ends, and the next worker goes on."""
    message = world.accept()

    world.relay.run(world.account.id, until=world.now() + left)

    row = world.lane.state(world.account.id)
    assert row.live_slots(world.now()) == 0
    assert row.next_due_at is not None
    assert row.next_due_at <= world.now()
    assert world.record(message)["attempts"] == []
    assert world.serve() == {"sent": 1}


@pytest.mark.parametrize("step", ["AUTH", "DATA", "DOT"])
def test_F36_what_a_killed_worker_leaves_has_an_end(world: World, step: str) -> None:
    """At every step the slot and the row of the message say when somebody else may have them."""
    message = world.accept()

    with paused(world, step):
        slots, due_at, claim = held_rows(world, message)

    assert claim is not None
    assert [until <= world.now() + LEASE for until in slots] == [True]
    assert due_at is not None
    assert world.now() < due_at <= world.now() + CLAIM


def held_rows(world: World, message: str) -> tuple[list[int], int | None, str | None]:
    """The ends of the lane's leases, the end of the message's claim, and whose it is."""
    found = world.messages_table.get(world.account.id, message)
    assert found is not None
    slots = [until for _, until in world.lane.state(world.account.id).slots]
    return slots, found.next_attempt_at, found.claim


def test_ub3_a_server_that_keeps_its_client_waiting_holds_no_worker_for_the_next_message(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is tried again later, and so is the lane: the worker goes where mail flows."""
    monkeypatch.setattr(wire, "COMMAND_SECONDS", 0.3)
    messages = [world.accept(), world.accept()]
    world.post.client.inject("RCPT", "silence", times=None)

    outcomes = world.serve()

    assert outcomes == {"deferred": 1}
    assert len(world.post.client.sessions()) == 1
    assert world.lane.state(world.account_id).resting(world.now() + 4 * MINUTE)
    world.post.client.clear_faults()
    world.ahead += HOUR
    world.serve()
    assert [world.record(message)["state"] for message in messages] == ["sent", "sent"]


def test_uh8_a_waiting_message_says_when_it_is_really_tried_again(world: World) -> None:
    """Not before its lane has rested, though its own time has come."""
    message = world.accept()
    world.post.client.inject("CONNECT", code=421, text="4.3.2 Service not available")
    world.serve()

    rest_until = world.lane.state(world.account_id).rest_until
    assert rest_until is not None
    shown = world.record(message)["next_attempt_at"]
    (listed,) = world.outbox.list(world.caller, Filter(world.account_id)).messages
    assert shown == shown_at(rest_until)
    assert listed.next_attempt_at == rest_until


def test_uh8_an_attempt_that_expired_is_not_shown_as_sent(world: World) -> None:
    """Sent to one recipient, expired for the other: the message is sent, its last attempt is not."""
    world.post.client.inject("RCPT", code=450, text="4.2.1 later", recipient="b@example.net", times=None)
    message = world.accept(to=["a@example.net", "b@example.net"])
    world.serve()
    world.ahead += 2 * DAY
    world.serve()

    record = world.record(message)
    assert record["state"] == "sent"
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["deferred", "failed"]
    assert record["attempts"][-1]["diagnosis"]["code"] == "expired"


def test_uh6_one_454_at_auth_does_not_pause_a_mailbox(world: World) -> None:
    message = world.accept()
    world.post.client.inject("AUTH", code=454, text="4.7.0 Temporary authentication failure")
    world.serve()

    world.ahead += MINUTE
    world.serve()

    assert world.record(message)["state"] == "sent"


def test_uh6_a_sign_in_that_could_not_be_checked_is_doubted_once(world: World) -> None:
    message = world.accept()
    world.post.client.inject("AUTH", code=535, text="5.7.8 Error: (reason unavailable)", times=2)
    world.serve()

    assert world.account.transport_block is None
    world.ahead += MINUTE
    world.serve()

    assert world.record(message)["state"] == "sent"


def test_uh6_a_sign_in_that_is_refused_again_blocks_the_mailbox(world: World) -> None:
    world.accept()
    world.post.client.inject("AUTH", code=535, text="5.7.8 Error: (reason unavailable)", times=None)
    world.serve()
    world.ahead += MINUTE
    world.serve()

    assert world.account.transport_block is not None
