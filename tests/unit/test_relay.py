"""Relaying: from an accepted message to the mail server's own log."""

from __future__ import annotations

import base64
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib import ids
from chalicelib.accounts.models.account import GrantState
from chalicelib.clock import DAY, HOUR, MINUTE, SECOND
from chalicelib.errors import ConfigurationError, Unavailable
from chalicelib.ids import lane_shard_of
from chalicelib.mail.models import ClosedReason, State
from chalicelib.mail.relaying import delivery, outcomes, schedule
from chalicelib.transports.smtp.session import SmtpSession
from tests.unit.mail_world import post, running_post, world

if TYPE_CHECKING:
    from chalicelib.accounts.models.grant import AccessToken
    from chalicelib.mail.models import Envelope, Reply
    from tests.unit.mail_world import World

__all__ = ["post", "running_post", "world"]


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
    assert (world.lane.state(world.account.id).next_due_at or 0) > world.now() + 23 * HOUR


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
    world.lose_consent()
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
    world.lose_consent()
    message = world.accept()
    close = world.lanes_table.close

    def reconnected_meanwhile(*arguments: object, **named: object) -> None:
        world.change(grant_state=GrantState.ACTIVE)
        world.desk.refusal = None
        world.lane.open(world.account.id)
        close(*arguments, **named)  # type: ignore[arg-type]

    world.lanes_table.close = reconnected_meanwhile  # type: ignore[method-assign]
    for _ in ("closes", "opens", "sends"):
        world.serve()

    assert world.record(message)["state"] == "sent"


def test_held_mail_expires_on_time(world: World) -> None:
    world.lose_consent()
    message = world.accept(expires_in=3600)
    world.serve()
    world.serve()
    due_at = world.lane.state(world.account.id).next_due_at
    assert due_at is not None
    assert due_at <= world.messages_table.waiting(world.account.id, 1)[0].expires_at

    world.ahead = HOUR + SECOND
    world.serve()

    record = world.record(message)
    assert record["state"] == "failed"
    assert record["attempts"][-1]["diagnosis"]["code"] == "expired"
    assert world.lane.state(world.account.id).next_due_at is None


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


def test_V9_a_caller_whose_permission_was_taken_sends_no_more(world: World) -> None:
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


def test_a_message_that_was_stored_and_never_announced_is_found_a_day_later(world: World) -> None:
    world.accept()
    world.serve()
    announce, world.lane.announce = world.lane.announce, lambda _: None  # type: ignore[method-assign, assignment]
    message = world.accept(expires_in=2 * DAY // SECOND)
    world.lane.announce = announce  # type: ignore[method-assign]
    assert world.serve() == {}

    world.ahead = DAY + HOUR
    assert world.account.id in world.lane.due(lane_shard_of(world.account.id), world.now(), 1000)
    world.serve()

    assert world.record(message)["state"] == "sent"


def test_a_token_that_was_refreshed_for_a_visit_is_older_than_its_last_use(world: World) -> None:
    world.accept()
    fresh = world.desk.__call__
    refreshed: list[int] = []

    def slowly(account: str, *, failed_version: int | None = None, **_: Any) -> AccessToken:
        time.sleep(0.02)
        refreshed.append(world.now())
        return fresh(account, failed_version=failed_version)

    world.__dict__["access_tokens"].fresh = slowly
    world.serve()

    used_at = world.lane.used_at(world.account.id)
    assert used_at is not None
    assert used_at > refreshed[-1]


@pytest.fixture
def quick_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "RECORD_PAUSES", (0.0, 0.0, 0.0))


@pytest.mark.usefixtures("quick_records")
def test_a_yes_that_cannot_be_recorded_is_unknown_and_never_simply_sent_again(world: World) -> None:
    message = world.accept()
    finish, failures = world.messages_table.finish, iter(range(4))

    def broken(*arguments: Any) -> bool:
        if next(failures, None) is not None:
            raise Unavailable("The table did not answer.", fix="Try again.")
        return finish(*arguments)

    world.messages_table.finish = broken  # type: ignore[method-assign, assignment]
    with pytest.raises(Unavailable):
        world.serve()
    assert world.record(message)["state"] == "committing"
    world.ahead = 10 * MINUTE
    world.serve()
    assert world.record(message)["state"] == "unknown"
    world.ahead = 30 * MINUTE
    world.serve()

    record = world.record(message)
    assert record["state"] == "sent"
    assert record["may_be_duplicate"] is True
    assert len(world.post.client.log()) == 2


UNAVAILABLE = Unavailable("It did not answer.", fix="Try again.")


def unavailable(*_: object) -> Any:
    raise UNAVAILABLE


@pytest.mark.parametrize("what", ["tokens", "bucket", "callers"])
def test_trouble_of_our_own_lets_the_lane_rest_and_counts_no_attempt(world: World, what: str) -> None:
    message, other = world.accept(text="x" * 10_000), world.accept()
    with pytest.MonkeyPatch.context() as patch:
        if what == "tokens":
            patch.setattr(world.desk, "trouble", UNAVAILABLE)
        else:
            patch.setattr(world.blobs if what == "bucket" else world.callers_table, "get", unavailable)
        assert world.serve() == {}

    found = world.messages_table.get(world.account.id, message)
    assert found is not None
    assert (found.state, schedule.spent(found)) == (State.DEFERRED, 0)
    assert world.record(message)["attempts"][0]["diagnosis"]["code"] == "unavailable"
    assert world.lane.state(world.account.id).resting(world.now())
    world.ahead = MINUTE
    assert world.serve() == {"sent": 2}
    assert len(world.record(other)["attempts"]) == 1


def test_a_broken_installation_is_raised_and_damages_nothing(world: World) -> None:
    message = world.accept()
    world.desk.trouble = ConfigurationError("AWS answered AccessDeniedException")

    with pytest.raises(ConfigurationError):
        world.serve()

    assert world.record(message)["state"] == "deferred"
    assert world.lane.state(world.account.id).resting(world.now())
    world.desk.trouble = None
    world.ahead = MINUTE
    assert world.serve() == {"sent": 1}


def test_a_message_without_its_bytes_fails_and_holds_up_no_other(world: World) -> None:
    message, other = world.accept(text="x" * 10_000), world.accept()
    found = world.messages_table.get(world.account.id, message)
    assert found is not None
    world.clients.s3.delete_object(Bucket=world.settings.bucket, Key=found.blob or "")

    world.serve()

    assert world.record(message)["state"] == "failed"
    assert world.record(message)["attempts"][0]["diagnosis"]["code"] == "body_gone"
    assert world.record(other)["state"] == "sent"


def test_copies_of_a_message_of_unknown_outcome_become_rarer(world: World) -> None:
    world.post.client.inject("DOT", "drop", when="after_store", times=None)
    message = world.accept()
    for _ in range(30):
        world.ahead += max(0, (world.lane.state(world.account.id).next_due_at or 0) - world.now())
        world.serve()

    record = world.record(message)
    assert (record["state"], record["next_attempt_at"]) == ("unknown", None)
    assert 5 <= len(world.post.client.log()) <= 20


def test_no_final_dot_is_written_without_the_time_to_wait_for_its_answer(world: World) -> None:
    message = world.accept()
    until = world.now() + 5 * MINUTE
    fresh = world.desk.__call__

    def slowly(account: str, *, failed_version: int | None = None, **_: Any) -> AccessToken:
        world.ahead = 2 * MINUTE
        return fresh(account, failed_version=failed_version)

    world.__dict__["access_tokens"].fresh = slowly
    begin = SmtpSession.transfer

    def slow_transfer(session: SmtpSession, envelope: Envelope, body: bytes) -> dict[str, Reply]:
        refused = begin(session, envelope, body)
        world.ahead = 3 * MINUTE
        return refused

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SmtpSession, "transfer", slow_transfer)
        world.relay.run(world.account.id, until=until)

    record = world.record(message)
    assert record["state"] == "deferred"
    assert record["attempts"][0]["diagnosis"]["code"] == "smtp_too_slow"
    assert world.post.client.log() == []


def test_a_burst_that_a_server_slows_down_goes_on_after_each_pause(world: World) -> None:
    for _ in range(6):
        world.accept()
    text = "4.3.2 Concurrent connections limit exceeded."

    for _ in range(2):
        world.serve_two_then(code=432, text=text)
        assert world.lane.state(world.account.id).resting(world.now())
        assert not world.lane.state(world.account.id).resting(world.now() + 31 * SECOND)
        world.ahead += 31 * SECOND
    world.serve()

    assert len(world.post.client.log()) == 6


def test_the_mail_of_an_account_that_is_gone_fails_and_its_lane_is_left_alone(world: World) -> None:
    message = world.accept()
    world.forget_account()

    report = world.relay.run(world.account_id, until=world.now() + HOUR)

    found = world.messages_table.get(world.account_id, message)
    assert found is not None
    assert not report.served
    assert found.state is State.FAILED
    assert found.attempts[-1].diagnosis == outcomes.ACCOUNT_GONE
    assert world.lane.state(world.account_id).next_due_at is None


def test_a_wake_up_for_an_account_that_never_was_does_nothing(world: World) -> None:
    account = ids.new_id("acc")

    assert not world.relay.run(account, until=world.now() + HOUR).served
    assert world.lanes_table.get(account) is None


def test_a_wake_up_for_an_account_without_a_lane_does_nothing(world: World) -> None:
    assert world.serve() == {}
    assert world.lanes_table.get(world.account.id) is None


def test_a_worker_that_died_in_committing_is_noticed_while_the_lane_is_closed(world: World) -> None:
    message = world.accept(expires_in=3600)
    now = world.now()
    claimed = world.messages_table.claim(
        world.account.id, message, worker="wrk_dead", now=now, until=now + 5 * MINUTE
    )
    assert claimed.row is not None
    world.messages_table.commit(claimed.row, until=now + 5 * MINUTE)
    world.change(grant_state=GrantState.NEEDS_RECONNECT)
    world.lane.close(world.account.id, ClosedReason.NEEDS_RECONNECT)

    for _ in range(3):
        world.ahead += HOUR + SECOND
        world.serve()

    assert world.record(message)["state"] == "unknown"
    assert world.lane.state(world.account.id).next_due_at is None


def test_one_lane_that_fails_does_not_keep_the_others_from_being_served(world: World) -> None:
    message = world.accept()
    run = world.relay.run
    failing = ids.new_id("acc")

    def first_fails(account: str, *, until: int, named: str | None = None) -> Any:
        if account == failing:
            raise ConfigurationError("broken")
        return run(account, until=until, named=named)

    world.lane.due = lambda shard, *_: [failing, world.account.id] if shard == "0" else []  # type: ignore[method-assign]
    world.lane.wake = lambda *_: False  # type: ignore[method-assign]
    world.relay.run = first_fails  # type: ignore[method-assign]

    world.relay.run_due(until=world.now() + HOUR)

    assert world.record(message)["state"] == "sent"
