"""Relaying: from an accepted message to the mail server's own log."""

from __future__ import annotations

import base64
import threading
from typing import TYPE_CHECKING

import pytest

from chalicelib.clock import DAY, HOUR, MINUTE, SECOND
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import Unavailable
from chalicelib.mail.models import ClosedReason, State
from tests.unit.mail_world import post, running_post, world

if TYPE_CHECKING:
    from tests.unit.mail_world import World

__all__ = ["post", "running_post", "world"]

RECONNECT = Diagnosis(DiagnosisClass.RECONNECT, "invalid_grant", "The consent is gone.", "Connect again.")


def test_an_accepted_message_arrives_byte_for_byte(world: World) -> None:
    message = world.accept(text=".\r\n..\r\n.x\r\nend", html="<p>ä</p>")

    outcomes = world.serve()

    record = world.record(message)
    (entry,) = world.post.client.log()
    assert outcomes == {"sent": 1}
    assert record["state"] == "sent"
    assert record["recipients"] == [{"address": "bob@example.net", "state": "sent", "reply": None}]
    assert record["attempts"][0]["reply"]["code"] == 250
    stored = world.messages_table.get(world.account.id, message)
    assert stored is not None
    assert world.post.client.raw(1) == stored.body
    assert entry["message_id"] == record["message_id"]
    assert not entry["bare_newlines"]
    assert world.lane.state(world.account.id).next_due_at is None


def test_a_long_message_goes_by_the_bucket(world: World) -> None:
    content = base64.b64encode(bytes(range(256)) * 200).decode()
    message = world.accept(attachments=[{"filename": "a.bin", "content": content}])

    world.serve()

    stored = world.messages_table.get(world.account.id, message)
    assert stored is not None
    assert stored.body is None
    assert world.post.client.raw(1) == world.blobs.get(stored.blob or "")


def test_many_messages_share_one_connection_and_one_token(world: World) -> None:
    for _ in range(30):
        world.accept()

    outcomes = world.serve()

    assert outcomes == {"sent": 30}
    assert len(world.post.client.sessions()) == 1
    assert world.desk.asked == [None]


def test_a_wake_up_for_a_lane_without_work_opens_no_connection(world: World) -> None:
    world.accept()
    world.serve()
    connections = len(world.post.client.sessions())

    report = world.relay.run(world.account.id, until=world.now() + HOUR)

    assert not report.served
    assert len(world.post.client.sessions()) == connections


def test_two_workers_at_once_send_each_message_once(world: World) -> None:
    ids = [world.accept() for _ in range(20)]
    workers = [threading.Thread(target=world.serve) for _ in range(3)]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    arrived = [entry["message_id"] for entry in world.post.client.log()]
    assert len(arrived) == len(set(arrived)) == 20
    assert {world.record(one)["state"] for one in ids} == {"sent"}


def test_a_refused_token_is_replaced_once(world: World) -> None:
    world.post.desk.users.pop(world.desk.value)
    world.accept()

    outcomes = world.serve()

    assert outcomes == {"sent": 1}
    assert world.desk.asked == [None, 1]


def test_a_server_that_refuses_fresh_tokens_blocks_the_account(world: World) -> None:
    world.post.client.inject("AUTH", code=535, text="5.7.3 Authentication unsuccessful", times=None)
    message = world.accept()

    world.serve()

    record = world.record(message)
    lane = world.lane.state(world.account.id)
    assert world.desk.asked == [None, 1]
    assert record["state"] == "held"
    assert world.account.transport_block is not None
    assert world.account.transport_block.code == "smtp_535_5.7.3"
    assert lane.closed is ClosedReason.BLOCKED
    assert lane.live_slots(world.now()) == 0


def test_a_blocked_lane_is_probed_and_opens_when_the_server_lets_it_in(world: World) -> None:
    text = "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox."
    world.post.client.inject("AUTH", code=535, text=text)
    ids = [world.accept(), world.accept()]
    world.serve()
    assert world.desk.asked == [None]
    assert world.serve() == {}

    world.ahead = 16 * MINUTE
    outcomes = world.serve()

    assert outcomes == {"sent": 2}
    assert world.account.transport_block is None
    assert world.lane.state(world.account.id).closed is None
    assert {world.record(one)["state"] for one in ids} == {"sent"}


def test_a_lost_consent_holds_the_mail_until_the_lane_is_opened(world: World) -> None:
    world.desk.refusal = RECONNECT
    message = world.accept()
    world.serve()
    assert world.record(message)["state"] == "held"
    assert world.accept() != message
    world.wakeups_sent()

    world.desk.refusal = None
    world.lane.open(world.account.id)

    assert world.wakeups_sent() == 1
    assert world.serve() == {"sent": 2}


def test_a_reconnect_between_refusal_and_closing_is_not_overlooked(world: World) -> None:
    world.desk.refusal = RECONNECT
    message = world.accept()
    close = world.lanes_table.close

    def reconnected_meanwhile(*arguments: object, **named: object) -> None:
        world.change(connected_at=world.now() + 1)
        world.desk.refusal = None
        world.lane.open(world.account.id)
        close(*arguments, **named)  # type: ignore[arg-type]

    world.lanes_table.close = reconnected_meanwhile  # type: ignore[method-assign]
    world.serve()

    world.serve()
    assert world.record(message)["state"] == "sent"


def test_held_mail_expires_on_time(world: World) -> None:
    world.desk.refusal = RECONNECT
    message = world.accept(expires_in=3600)
    world.serve()
    assert (
        world.lane.state(world.account.id).next_due_at
        == world.messages_table.waiting(world.account.id, 1)[0].expires_at
    )

    world.ahead = HOUR + SECOND
    world.serve()

    record = world.record(message)
    assert record["state"] == "failed"
    assert record["attempts"][-1]["diagnosis"]["code"] == "expired"
    assert world.lane.state(world.account.id).next_due_at is None


def test_a_refused_recipient_does_not_keep_the_others_from_it(world: World) -> None:
    world.post.client.inject(
        "RCPT", code=550, text="5.1.1 no such user", recipient="b@example.net", times=None
    )
    message = world.accept(to=["a@example.net", "b@example.net", "c@example.net"])

    world.serve()

    record = world.record(message)
    assert record["state"] == "sent"
    assert [one["state"] for one in record["recipients"]] == ["sent", "failed", "sent"]
    assert record["recipients"][1]["reply"]["enhanced"] == "5.1.1"
    assert world.post.client.log()[0]["recipients"] == ["a@example.net", "c@example.net"]


def test_a_recipient_refused_for_now_gets_the_message_later_and_alone(world: World) -> None:
    world.post.client.inject("RCPT", code=450, text="4.2.1 later", recipient="b@example.net")
    message = world.accept(to=["a@example.net", "b@example.net"])
    assert world.serve() == {"deferred": 1}

    world.ahead = MINUTE
    world.serve()

    assert world.record(message)["state"] == "sent"
    assert [entry["recipients"] for entry in world.post.client.log()] == [
        ["a@example.net"],
        ["b@example.net"],
    ]


def test_all_recipients_refused_is_a_failure(world: World) -> None:
    world.post.client.inject("RCPT", code=550, text="5.1.1 no such user", times=None)
    message = world.accept()
    other = world.accept()

    world.serve()

    assert world.record(message)["state"] == "failed"
    assert world.record(other)["attempts"][0]["diagnosis"]["class"] == "caller"
    assert world.post.client.log() == []


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_a_connection_lost_before_the_dot_defers_the_message(world: World, command: str) -> None:
    world.post.client.inject(command, "drop")
    message = world.accept()
    assert world.serve() == {"deferred": 1}

    world.ahead = MINUTE
    world.serve()

    assert world.record(message)["state"] == "sent"
    assert world.record(message)["may_be_duplicate"] is False
    assert len(world.post.client.log()) == 1


@pytest.mark.parametrize("when", ["before_store", "after_store"])
def test_a_connection_lost_after_the_dot_is_unknown_and_the_same_bytes_go_again(
    world: World, when: str
) -> None:
    world.post.client.inject("DOT", "drop", when=when)
    message = world.accept()
    assert world.serve() == {"unknown": 1}
    assert world.record(message)["state"] == "unknown"

    world.ahead = 2 * MINUTE
    world.serve()

    record = world.record(message)
    assert record["state"] == "sent"
    assert record["may_be_duplicate"] is True
    assert len({entry["sha256"] for entry in world.post.client.log()}) == 1
    assert len(world.post.client.log()) == (2 if when == "after_store" else 1)


def test_on_unknown_keep_waits_for_a_person(world: World) -> None:
    world.post.client.inject("DOT", "drop", when="after_store")
    message = world.accept(on_unknown="keep")
    world.serve()
    world.ahead = 2 * HOUR
    world.serve()
    assert world.record(message)["state"] == "unknown"

    resolved, _ = world.outbox.resolve(world.caller, message, "sent")

    assert resolved.state is State.SENT
    assert resolved.resolved_by == world.caller.id
    assert len(world.post.client.log()) == 1


def test_a_worker_that_died_in_committing_leaves_an_unknown_message(world: World) -> None:
    message = world.accept()
    now = world.now()
    slot = world.lane.take(world.account.id, "wrk_dead", slots=3)
    claimed = world.messages_table.claim(
        world.account.id, message, worker="wrk_dead", now=now, until=now + 5 * MINUTE
    )
    assert slot is not None
    assert claimed.row is not None
    assert world.messages_table.commit(claimed.row, until=now + 5 * MINUTE)

    world.ahead = 6 * MINUTE
    assert world.serve() == {"unknown": 1}
    assert world.record(message)["attempts"][0]["diagnosis"]["code"] == "worker_lost"
    world.ahead = 8 * MINUTE
    world.serve()

    assert world.record(message)["state"] == "sent"


def test_a_worker_that_died_before_the_dot_costs_nothing(world: World) -> None:
    message = world.accept()
    now = world.now()
    world.lane.take(world.account.id, "wrk_dead", slots=3)
    world.messages_table.claim(world.account.id, message, worker="wrk_dead", now=now, until=now + 5 * MINUTE)

    world.ahead = 6 * MINUTE
    world.serve()

    record = world.record(message)
    assert record["state"] == "sent"
    assert record["may_be_duplicate"] is False
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["abandoned", "sent"]


def test_a_worker_that_lost_its_claim_drops_the_message_before_the_dot(world: World) -> None:
    message = world.accept()
    commit = world.messages_table.commit

    def too_late(*arguments: object, **named: object) -> bool:
        world.messages_table.claim(
            world.account.id, message, worker="other", now=world.now() + HOUR, until=world.now() + DAY
        )
        return commit(*arguments, **named)  # type: ignore[arg-type]

    world.messages_table.commit = too_late  # type: ignore[method-assign]
    outcomes = world.serve()

    assert outcomes == {"skipped": 1}
    assert world.post.client.log() == []
    assert world.record(message)["state"] == "sending"


@pytest.mark.parametrize("landed", [True, False], ids=["the write landed", "it did not"])
def test_when_committing_cannot_be_written_there_is_no_dot(world: World, landed: bool) -> None:  # noqa: FBT001
    message = world.accept()
    commit = world.messages_table.commit

    def unanswered(*arguments: object, **named: object) -> bool:
        world.messages_table.commit = commit  # type: ignore[method-assign]
        if landed:
            commit(*arguments, **named)  # type: ignore[arg-type]
        raise Unavailable("The table did not answer.", fix="Try again.")

    world.messages_table.commit = unanswered  # type: ignore[method-assign]
    assert world.relay.run(world.account.id, until=world.now() + HOUR).stopped == "unavailable"
    assert world.record(message)["state"] == "deferred"
    assert world.post.client.log() == []

    world.ahead = 2 * MINUTE
    world.serve()

    assert world.record(message)["may_be_duplicate"] is False
    assert len(world.post.client.log()) == 1


def test_a_busy_server_lets_the_lane_rest_and_blames_no_message(world: World) -> None:
    world.post.client.inject("CONNECT", code=421, text="4.3.2 busy")
    message, other = world.accept(), world.accept()
    report = world.relay.run(world.account.id, until=world.now() + HOUR)
    assert report.stopped == "smtp_421_4.3.2"
    assert world.lane.state(world.account.id).resting(world.now())
    assert world.serve() == {}

    world.ahead = MINUTE
    assert world.serve() == {"sent": 2}

    assert world.record(message)["attempts"][0]["phase"] == "connect"
    assert world.record(other)["attempts"][0]["outcome"] == "sent"
    assert world.lane.state(world.account.id).rests == 0


def test_a_daily_limit_pauses_the_lane_and_fails_nothing(world: World) -> None:
    world.post.client.inject("DOT", code=550, text="5.4.5 Daily user sending limit exceeded.")
    message = world.accept()
    world.serve()
    rest_until = world.lane.state(world.account.id).rest_until
    assert rest_until is not None
    assert rest_until > world.now() + 3 * HOUR

    world.ahead = 5 * HOUR
    world.serve()

    assert world.record(message)["state"] == "sent"


def test_a_connection_that_the_server_has_closed_is_made_anew(world: World) -> None:
    first = world.accept()
    second = world.accept()
    fault = world.post.client.inject("MAIL", "drop")
    world.post.client.clear_faults()
    finish = world.messages_table.finish

    def then_the_server_leaves(*arguments: object, **named: object) -> bool:
        world.messages_table.finish = finish  # type: ignore[method-assign]
        world.post.client.inject("MAIL", code=421, text="4.4.2 idle")
        return finish(*arguments, **named)  # type: ignore[arg-type]

    world.messages_table.finish = then_the_server_leaves  # type: ignore[method-assign]
    outcomes = world.serve()

    assert fault
    assert outcomes == {"sent": 2}
    assert [len(world.record(one)["attempts"]) for one in (first, second)] == [1, 1]
    assert len(world.post.client.sessions()) == 2


def test_a_caller_whose_permission_was_taken_sends_no_more(world: World) -> None:
    message = world.accept()
    world.callers.revoke(world.caller.id)

    world.serve()

    record = world.record(message)
    assert record["state"] == "failed"
    assert record["attempts"][0]["diagnosis"]["code"] == "caller_not_permitted"
    assert world.post.client.sessions() == []


def test_with_too_little_time_left_the_next_worker_goes_on(world: World) -> None:
    message = world.accept()
    world.wakeups_sent()

    assert world.serve(minutes=3) == {}

    lane = world.lane.state(world.account.id)
    assert world.wakeups_sent() == 1
    assert lane.live_slots(world.now()) == 0
    assert world.serve() == {"sent": 1}
    assert world.record(message)["state"] == "sent"


def test_the_look_at_due_lanes_serves_what_no_wake_up_found(world: World) -> None:
    message = world.accept()
    world.wakeups_sent()

    for _ in range(20):
        world.relay.run_due(until=world.now() + HOUR)
        if world.record(message)["state"] == "sent" or world.wakeups_sent():
            break

    world.serve()
    assert world.record(message)["state"] == "sent"
