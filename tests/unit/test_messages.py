"""Accepting messages, their rows and their records, against the real tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.models.account import GrantState
from chalicelib.callers.models import Scope
from chalicelib.clock import DAY, HOUR, MINUTE, SECOND
from chalicelib.errors import Conflict, Forbidden, InvalidInput, MailgrantError, NotFound, Unavailable
from chalicelib.mail.models import FIRST_KEPT, MOST_KEPT, Phase, Reply, State
from chalicelib.mail.outbox import Filter
from chalicelib.mail.relaying import outcomes
from chalicelib.mail.relaying.outcomes import Ending
from tests.unit.mail_world import post, running_post, world

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.mail.models import Message
    from tests.unit.mail_world import World

__all__ = ["post", "running_post", "world"]


class Death(BaseException):
    """The end of the process: nothing catches it."""


OK = Reply(250, "2.0.0", "2.0.0 OK")


def claim(world: World, message: str, worker: str = "wrk_1") -> Message:
    now = world.now()
    claimed = world.messages_table.claim(
        world.account.id, message, worker=worker, now=now, until=now + 5 * MINUTE
    )
    assert claimed.done
    assert claimed.row is not None
    return claimed.row


def stored(world: World, message: str) -> Message:
    found = world.messages_table.get(world.account.id, message)
    assert found is not None
    return found


def test_the_same_key_and_request_give_the_same_message(world: World) -> None:
    asked = {"account": world.account.id, "to": ["b@x.de"], "idempotency_key": "k"}

    first = world.send.accept(world.caller, asked)
    second = world.send.accept(world.caller, {**asked, "account": world.account.name})

    assert first.to_json() == {"id": first.id, "state": "queued"}
    assert second.to_json() == {"id": first.id, "state": "queued", "replayed": True}


def test_the_same_key_with_another_request_is_refused(world: World) -> None:
    world.accept(idempotency_key="k")

    with pytest.raises(InvalidInput) as caught:
        world.accept(idempotency_key="k", subject="another")

    assert (caught.value.error_code, caught.value.field) == ("idempotency_key_reused", "idempotency_key")


def test_a_key_belongs_to_its_caller(world: World) -> None:
    first = world.accept(idempotency_key="k")
    world.caller = replace(world.caller, id="key_other")

    assert world.accept(idempotency_key="k") != first


def test_one_relay_is_woken_for_many_messages(world: World) -> None:
    world.wakeups_sent()
    world.accept()
    assert world.wakeups_sent() == 1
    world.lane.take(world.account.id, "wrk", slots=3)

    world.accept()

    assert world.wakeups_sent() == 0


def test_a_broken_queue_does_not_keep_a_message_from_being_accepted(world: World) -> None:
    def broken(*_: object) -> None:
        raise Unavailable("x", fix="x")

    world.wakeups.wake = broken  # type: ignore[method-assign, assignment]
    message = world.accept()

    assert world.record(message)["state"] == "queued"
    assert world.lane.state(world.account.id).next_due_at is not None


def test_death_between_put_and_ring_is_mended_by_the_same_request(world: World) -> None:
    ring = world.lane.ring

    def dead(*_: object, **__: object) -> None:
        raise Death

    world.lane.ring = dead  # type: ignore[method-assign, assignment]
    with pytest.raises(Death):
        world.accept(idempotency_key="k")
    world.lane.ring = ring  # type: ignore[method-assign]

    world.accept(idempotency_key="k")

    assert world.serve() == {"sent": 1}


def test_V9_unknown_and_forbidden_accounts_are_one_answer(world: World) -> None:
    answers = []
    stranger = replace(world.caller, accounts=frozenset({"acc_other"}))
    for caller, named in (
        (world.caller, "acc_unknown"),
        (stranger, world.account.id),
        (stranger, world.account.name),
    ):
        with pytest.raises(NotFound) as caught:
            world.send.accept(caller, {"account": named, "to": ["b@x.de"]})
        answers.append(caught.value.to_json())

    assert answers[0] == answers[1] == answers[2]


def test_a_caller_without_the_scope_may_not_send(world: World) -> None:
    world.caller = replace(world.caller, scopes=frozenset({Scope.READ}))

    with pytest.raises(Forbidden):
        world.accept()


def test_an_account_that_was_never_connected_takes_no_mail(world: World) -> None:
    world.change(grant_state=GrantState.NONE)

    with pytest.raises(Conflict) as caught:
        world.accept()

    assert "connect" in caught.value.fix


def test_an_account_that_needs_its_owner_holds_its_mail(world: World) -> None:
    world.change(grant_state=GrantState.NEEDS_RECONNECT)

    assert world.record(world.accept())["state"] == "queued"


def test_only_one_worker_has_a_message(world: World) -> None:
    message = world.accept()
    claim(world, message)

    second = world.messages_table.claim(
        world.account.id, message, worker="wrk_2", now=world.now(), until=world.now() + HOUR
    )

    assert not second.done


def test_a_worker_whose_claim_was_taken_can_write_nothing(world: World) -> None:
    message = world.accept()
    lost = claim(world, message)
    world.ahead = 6 * MINUTE
    claim(world, message, "wrk_2")

    assert not world.messages_table.commit(lost, until=world.now())
    assert not world.messages_table.finish(lost, outcomes.accepted(lost, OK, world.now(), {}))


def test_a_late_yes_turns_unknown_into_sent(world: World) -> None:
    message = world.accept()
    claimed = claim(world, message)
    world.messages_table.commit(claimed, until=world.now() + MINUTE)
    world.messages_table.finish(claimed, outcomes.unknown(claimed, world.now()))

    assert world.messages_table.finish(claimed, outcomes.accepted(claimed, OK, world.now(), {}))

    assert world.record(message)["state"] == "sent"
    assert world.record(message)["next_attempt_at"] is None


def test_a_late_yes_is_too_late_when_a_newer_attempt_has_begun(world: World) -> None:
    message = world.accept()
    claimed = claim(world, message)
    world.messages_table.commit(claimed, until=world.now() + MINUTE)
    world.messages_table.finish(claimed, outcomes.unknown(claimed, world.now()))
    world.ahead = 2 * MINUTE
    claim(world, message, "wrk_2")

    assert not world.messages_table.finish(claimed, outcomes.accepted(claimed, OK, world.now(), {}))

    assert world.record(message)["may_be_duplicate"] is True


def test_giving_up_what_may_have_arrived_is_no_failure(world: World) -> None:
    message = world.accept()
    claimed = claim(world, message)
    world.messages_table.finish(claimed, outcomes.unknown(claimed, world.now()))
    world.ahead = 2 * MINUTE
    again = claim(world, message, "wrk_2")

    over = outcomes.given_up(again, Ending(Phase.CLAIMED, world.now(), outcomes.EXPIRED))

    assert over.state is State.UNKNOWN
    assert over.next_attempt_at is None
    assert [one.state for one in over.recipients] == [State.QUEUED]


@pytest.mark.parametrize("refused", [True, False], ids=["refused in the end", "expired in the end"])
def test_a_person_can_have_sent_again_what_was_given_up(world: World, refused: bool) -> None:  # noqa: FBT001
    message = world.accept(expires_in=3600)
    claimed = claim(world, message)
    world.messages_table.finish(claimed, outcomes.unknown(claimed, world.now()))
    world.ahead = 2 * MINUTE if refused else 2 * HOUR
    if refused:
        world.post.client.inject("RCPT", code=550, text="5.1.1 no such user")
    assert world.serve() == {"unknown": 1}

    world.outbox.resolve(world.caller, message, "resend")

    assert world.serve() == {"sent": 1}
    assert len(world.post.client.log()) == 1


@pytest.mark.parametrize(("word", "state"), [("sent", "sent"), ("failed", "failed"), ("resend", "queued")])
def test_a_person_decides_what_nobody_knows(world: World, word: str, state: str) -> None:
    message = world.accept(on_unknown="keep")
    claimed = claim(world, message)
    world.messages_table.finish(claimed, outcomes.unknown(claimed, world.now()))

    world.outbox.resolve(world.caller, message, word)

    record = world.record(message)
    assert record["state"] == state
    assert [one["state"] for one in record["recipients"]] == [state]
    assert record["resolved_by"] == world.caller.id
    assert not world.messages_table.finish(claimed, outcomes.accepted(claimed, OK, world.now(), {}))
    with pytest.raises(Conflict):
        world.outbox.resolve(replace(world.caller, id="key_other"), message, word)


def test_a_word_that_was_written_and_not_rung_is_rung_when_it_is_given_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = world.accept(on_unknown="keep")
    world.post.client.inject("DOT", "drop")
    assert world.serve() == {"unknown": 1}

    with monkeypatch.context() as patched:
        patched.setattr(world.lane, "announce", lambda _: None)
        world.outbox.resolve(world.caller, message, "resend")
    assert world.serve() == {}
    world.outbox.resolve(world.caller, message, "resend")

    assert world.serve() == {"sent": 1}


def test_an_unknown_word_and_a_caller_without_the_right_decide_nothing(world: World) -> None:
    message = world.accept()
    with pytest.raises(InvalidInput):
        world.outbox.resolve(world.caller, message, "lost")

    with pytest.raises(Forbidden):
        world.outbox.resolve(replace(world.caller, scopes=frozenset({Scope.SEND})), message, "sent")


def test_a_list_is_newest_first_and_goes_on_where_it_stopped(world: World) -> None:
    ids = []
    for _ in range(5):
        ids.append(world.accept())
        world.ahead += 10

    seen: list[str] = []
    cursor = None
    while True:
        page = world.outbox.list(world.caller, Filter(world.account.name), 2, cursor)
        seen += [message.id for message in page.messages]
        assert all(message.body is None for message in page.messages)
        cursor = page.place
        if cursor is None:
            break

    assert seen == ids[::-1]
    assert page.record(None).cursor is None


@pytest.mark.parametrize(("limit", "cursor"), [(0, None), (101, None), (10, "x"), (10, "W10="), (10, "ä")])
def test_a_bad_limit_or_cursor_is_refused(world: World, limit: int, cursor: str | None) -> None:
    with pytest.raises(InvalidInput):
        world.outbox.list(world.caller, Filter(world.account.id), limit, cursor)


def test_who_only_sends_sees_its_own_messages(world: World) -> None:
    others = world.accept()
    sender = replace(world.caller, id="key_sender", scopes=frozenset({Scope.SEND}))
    own = world.send.accept(sender, {"account": world.account.id, "to": ["b@x.de"]}).id

    listed = world.outbox.list(sender, Filter(world.account.id))

    assert [message.id for message in listed.messages] == [own]
    assert world.outbox.get(sender, own)[0].id == own
    for unseen in (others, "msg_1", own[:-1] + ("1" if own.endswith("0") else "0")):
        with pytest.raises(NotFound):
            world.outbox.get(sender, unseen)


def test_a_record_holds_no_body_and_reads_as_json(world: World) -> None:
    message = world.accept(text="the secret text", bcc=["eve@x.de"])
    world.serve()

    record = world.record(message)

    assert "secret text" not in repr(record)
    assert record["envelope"]["recipients"] == ["bob@example.net", "eve@x.de"]
    assert record["attempts"][0]["phase"] == "done"
    assert _plain(record)


def _plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(type(name) is str and _plain(one) for name, one in value.items())
    if isinstance(value, list):
        return all(_plain(one) for one in value)
    return value is None or type(value) in (str, int, bool)


def counted(world: World, work: Callable[[], object]) -> list[str]:
    """The AWS calls that some work makes."""
    calls: list[str] = []
    clients = (world.clients.dynamodb, world.sqs, world.clients.s3)
    for client in clients:
        client.meta.events.register(
            "before-call", lambda model, **_: calls.append(model.name), unique_id="count"
        )
    try:
        work()
    finally:
        for client in clients:
            client.meta.events.unregister("before-call", unique_id="count")
    return calls


def test_accepting_costs_two_calls_while_a_relay_is_at_work_and_three_before(world: World) -> None:
    world.accept()

    idle = counted(world, world.accept)
    world.lane.take(world.account.id, "wrk", slots=3)
    busy = counted(world, world.accept)

    assert idle == ["PutItem", "UpdateItem", "SendMessage"]
    assert busy == ["PutItem", "UpdateItem"]


def test_relaying_costs_three_calls_a_message_and_seven_a_visit(world: World) -> None:
    for _ in range(5):
        world.accept()

    calls = counted(world, world.serve)

    assert len(calls) == 5 * 3 + 7
    assert calls.count("Query") == 2


def test_a_wake_up_that_comes_again_costs_three_calls(world: World) -> None:
    world.accept()
    world.serve()

    assert counted(world, world.serve) == ["GetItem", "UpdateItem", "GetItem"]


def test_a_message_that_comes_again_does_not_put_off_what_else_is_due(world: World) -> None:
    late = world.accept(idempotency_key="late")
    claim(world, late)
    world.messages_table.finish(
        row := stored(world, late),
        replace(
            outcomes.put_back(row, Ending(Phase.CLAIMED, world.now())), next_attempt_at=world.now() + HOUR
        ),
    )
    world.accept()

    world.accept(idempotency_key="late")

    due_at = world.lane.state(world.account.id).next_due_at
    assert due_at is not None
    assert due_at <= world.now()


def test_a_claim_whose_answer_was_lost_is_the_workers_own(world: World) -> None:
    message = world.accept()
    account, now = world.account.id, world.now()

    for _ in range(2):
        claimed = world.messages_table.claim(account, message, worker="wrk_1", now=now, until=now + MINUTE)

    assert claimed.done
    assert claimed.row is not None
    assert len(claimed.row.attempts) == 1


def test_a_commit_whose_answer_was_lost_is_the_workers_own(world: World) -> None:
    claimed = claim(world, world.accept())

    assert world.messages_table.commit(claimed, until=world.now() + MINUTE)
    assert world.messages_table.commit(claimed, until=world.now() + MINUTE)


def test_a_message_that_fails_for_days_keeps_its_first_and_its_last_attempts(world: World) -> None:
    message = world.accept(expires_in=432_000)
    for number in range(MOST_KEPT + 5):
        world.ahead += MINUTE
        claimed = claim(world, message, f"wrk_{number + 1}")
        outcome = outcomes.put_back(claimed, Ending(Phase.TOKEN, world.now()))
        if number == FIRST_KEPT:
            outcome = outcomes.unknown(claimed, world.now())
        world.messages_table.finish(claimed, outcome)

    record = world.record(message)
    kept = stored(world, message)
    assert [one.worker for one in kept.attempts] == [f"wrk_{one.number}" for one in kept.attempts]
    assert [one["number"] for one in record["attempts"]] == [*range(1, 11), *range(16, 56)]
    assert record["attempts_left_out"] == 5
    assert record["may_be_duplicate"] is True
    assert kept.perhaps_taken()


def test_a_message_that_is_sent_again_at_the_end_of_its_time_is_kept_until_it_is_over(world: World) -> None:
    message = world.accept(on_unknown="keep")
    claimed = claim(world, message)
    world.messages_table.finish(claimed, outcomes.unknown(claimed, world.now()))
    world.ahead = 30 * DAY - HOUR

    world.outbox.resolve(world.caller, message, "resend")

    row: Any = world.clients.dynamodb.get_item(
        TableName=world.settings.table("messages"),
        Key={"account": {"S": world.account.id}, "message": {"S": message}},
    )["Item"]
    assert int(row["ttl"]["N"]) > int(row["expires_at"]["N"]) // SECOND


def test_every_refusal_names_a_fix(world: World) -> None:
    for asked in ({}, {"account": world.account.id}, {"account": world.account.id, "to": ["x"]}):
        with pytest.raises(MailgrantError) as caught:
            world.send.accept(world.caller, asked)
        assert caught.value.fix
