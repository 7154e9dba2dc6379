"""Cancelling: who may, when it is too late, and that nothing is sent after it was answered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.callers.models import Scope
from chalicelib.clock import HOUR, MINUTE
from chalicelib.errors import Conflict, Forbidden, MailgrantError, NotFound
from chalicelib.mail.models import FIRST_KEPT, MOST_KEPT, Message, Phase, Reply, State
from chalicelib.mail.ports import Cancellation
from chalicelib.mail.relaying import outcomes
from chalicelib.mail.relaying.outcomes import Ending
from chalicelib.transports.smtp.session import SmtpSession
from tests.unit.mail_world import post, running_post, world

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.mail_world import World

__all__ = ["post", "running_post", "world"]

OK = Reply(250, "2.0.0", "2.0.0 OK")
LATER = Reply(450, "4.2.1", "4.2.1 later")
NEVER = Reply(550, "5.1.1", "5.1.1 no such user")


def claim(world: World, message: str) -> Message:
    """The message in `sending`, held by a worker."""
    now = world.now()
    claimed = world.messages_table.claim(
        world.account_id, message, worker="wrk_1", now=now, until=now + 5 * MINUTE
    )
    assert claimed.done
    assert claimed.row is not None
    return claimed.row


def stored(world: World, message: str) -> Message:
    found = world.messages_table.get(world.account_id, message)
    assert found is not None
    return found


def row(world: World, message: str) -> dict[str, Any]:
    key: Any = {"account": {"S": world.account_id}, "message": {"S": message}}
    found: Any = world.clients.dynamodb.get_item(TableName=world.settings.table("messages"), Key=key)["Item"]
    return dict(found)


def test_a_queued_message_is_cancelled_and_never_sent(world: World) -> None:
    message, other = world.accept(), world.accept()
    before = row(world, message)

    cancelled, _ = world.outbox.cancel(world.caller, message)

    record = world.record(message)
    assert cancelled.state is State.CANCELLED
    assert record["state"] == "cancelled"
    assert [one["state"] for one in record["recipients"]] == ["cancelled"]
    assert record["cancelled_by"] == world.caller.id
    assert record["cancelled_at"]
    assert record["next_attempt_at"] is None
    assert row(world, message)["ttl"] == before["ttl"]
    assert world.serve() == {"sent": 1}
    assert world.record(other)["state"] == "sent"
    assert len(world.post.client.log()) == 1


def test_cancelling_again_is_the_same_answer(world: World) -> None:
    message = world.accept()
    first = world.outbox.cancel(world.caller, message)
    world.ahead = HOUR
    other = replace(world.caller, id="key_other")

    assert world.outbox.cancel(other, message) == first


def test_a_request_that_comes_again_after_it_was_cancelled_sends_nothing(world: World) -> None:
    message = world.accept(idempotency_key="k")
    world.outbox.cancel(world.caller, message)

    assert world.accept(idempotency_key="k") == message

    assert world.record(message)["state"] == "cancelled"
    assert world.serve() == {}


def test_held_mail_is_cancelled_too(world: World) -> None:
    message = world.accept()
    world.change(paused_by="key_1")
    world.serve()
    assert world.record(message)["state"] == "held"

    world.outbox.cancel(world.caller, message)

    assert world.record(message)["state"] == "cancelled"
    assert world.messages_table.next_due(world.account_id) is None


def test_who_got_it_before_and_who_was_refused_stays_on_record(world: World) -> None:
    message = world.accept(to=["a@x.de", "b@x.de", "c@x.de"])
    claimed = claim(world, message)
    refused = {"b@x.de": (LATER, True), "c@x.de": (NEVER, False)}
    world.messages_table.finish(claimed, outcomes.accepted(claimed, OK, world.now(), refused))

    world.outbox.cancel(world.caller, message)

    record = world.record(message)
    assert record["state"] == "cancelled"
    assert {one["address"]: one["state"] for one in record["recipients"]} == {
        "a@x.de": "sent",
        "b@x.de": "cancelled",
        "c@x.de": "failed",
    }


def test_what_may_have_arrived_before_it_was_cancelled_is_not_denied(world: World) -> None:
    message = world.accept()
    claimed = claim(world, message)
    world.messages_table.finish(claimed, outcomes.unknown(claimed, world.now()))
    world.ahead = 2 * MINUTE
    again = claim(world, message)
    world.messages_table.finish(again, outcomes.deferred(again, Ending(Phase.MAIL, world.now())))

    world.outbox.cancel(world.caller, message)

    record = world.record(message)
    assert record["state"] == "cancelled"
    assert [one["state"] for one in record["recipients"]] == ["unknown"]


STEPS = ("connect", "authenticate", "transfer")


@pytest.mark.parametrize("step", STEPS)
def test_F37_cancelled_before_the_dot_it_is_thrown_away(
    world: World, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker cannot write `committing`, drops the connection, and goes on with the next message."""
    message, answers = world.accept(), []
    cancelled_after(monkeypatch, step, lambda: answers.append(world.outbox.cancel(world.caller, message)))
    world.ahead = 1
    other = world.accept()

    served = world.serve()

    record = world.record(message)
    assert [answer[0].state for answer in answers] == [State.CANCELLED]
    assert served == {"skipped": 1, "sent": 1}
    assert record["state"] == "cancelled"
    assert [one["outcome"] for one in record["attempts"]] == ["cancelled"]
    assert record["attempts"][0]["ended_at"] == record["cancelled_at"]
    (arrived,) = world.post.client.log()
    assert arrived["message_id"] == world.record(other)["message_id"]
    lost = world.post.client.sessions()[0]["commands"]
    assert [one["command"] for one in lost][-1].upper().startswith("DATA")


def cancelled_after(monkeypatch: pytest.MonkeyPatch, step: str, cancel: Callable[[], object]) -> None:
    """Cancels once, as soon as a session has made the step."""
    original = getattr(SmtpSession, step)

    def made(*arguments: Any) -> Any:
        answer = original(*arguments)
        monkeypatch.setattr(SmtpSession, step, original)
        cancel()
        return answer

    monkeypatch.setattr(SmtpSession, step, made)


def test_F37_cancelled_once_committing_is_written_it_is_too_late(world: World) -> None:
    """The cancellation is refused, and the message goes its way."""
    message, refusals = world.accept(), []
    commit = world.messages_table.commit

    def committed(*arguments: Any, **named: Any) -> bool:
        done = commit(*arguments, **named)
        with pytest.raises(Conflict) as caught:
            world.outbox.cancel(world.caller, message)
        refusals.append(caught.value)
        return done

    world.messages_table.commit = committed  # type: ignore[method-assign]

    assert world.serve() == {"sent": 1}

    assert refusals[0].error_code == "too_late_to_cancel"
    assert "committing" in refusals[0].message
    assert len(world.post.client.log()) == 1


@pytest.mark.parametrize("step", ["claimed", "committing", "deferred", "sent"])
def test_F37_what_happens_between_look_and_write_decides(world: World, step: str) -> None:
    """The write fails, the message is looked at again, and the answer is about what it is then."""
    message = world.accept(to=["a@x.de", "b@x.de"])
    get = world.messages_table.get
    looked: list[Message | None] = []

    def overtaken(account: str, message: str) -> Message | None:
        found = get(account, message)
        if not looked:
            looked.append(found)
            goes_on(world, message, step)
        return found

    world.messages_table.get = overtaken  # type: ignore[method-assign]
    refused = None
    try:
        world.outbox.cancel(world.caller, message)
    except Conflict as error:
        refused = error

    found = stored(world, message)
    recipients = [str(one.state) for one in found.recipients]
    if step in ("claimed", "deferred"):
        assert refused is None
        assert found.state is State.CANCELLED
        assert recipients == (["cancelled"] * 2 if step == "claimed" else ["sent", "cancelled"])
    else:
        assert refused is not None
        assert f" {found.state}." in refused.message
        assert found.state == step


def test_an_attempt_that_ended_since_keeps_what_it_has_done(world: World) -> None:
    """Neither who saw it begin nor who saw the attempt before it can write over the recipients it reached."""
    message = world.accept(to=["a@x.de", "b@x.de"])
    first = claim(world, message)
    world.messages_table.finish(first, outcomes.deferred(first, Ending(Phase.MAIL, world.now())))
    before = stored(world, message)
    world.ahead = HOUR
    running = claim(world, message)
    refused = {"b@x.de": (LATER, True)}
    world.messages_table.finish(running, outcomes.accepted(running, OK, world.now(), refused))

    for seen in (before, running):
        assert not world.messages_table.cancel(seen, Cancellation("key", world.now(), ()))

    assert world.messages_table.cancel(stored(world, message), Cancellation("key", world.now(), ()))


def goes_on(world: World, message: str, step: str) -> None:
    """A worker brings the message as far as that."""
    claimed = claim(world, message)
    if step == "claimed":
        return
    assert world.messages_table.commit(claimed, until=world.now() + MINUTE)
    if step == "committing":
        return
    refused = {"b@x.de": (LATER, True)} if step == "deferred" else {}
    assert world.messages_table.finish(claimed, outcomes.accepted(claimed, OK, world.now(), refused))


@pytest.mark.parametrize("state", ["sent", "failed", "unknown"])
def test_what_is_over_is_refused_with_its_state_and_a_fix(world: World, state: str) -> None:
    message = world.accept(on_unknown="keep")
    claimed = claim(world, message)
    ends = {
        "sent": outcomes.accepted(claimed, OK, world.now(), {}),
        "failed": outcomes.given_up(claimed, Ending(Phase.CLAIMED, world.now(), outcomes.EXPIRED)),
        "unknown": outcomes.unknown(claimed, world.now()),
    }
    world.messages_table.finish(claimed, ends[state])
    before = row(world, message)

    with pytest.raises(Conflict) as caught:
        world.outbox.cancel(world.caller, message)

    assert caught.value.error_code == "too_late_to_cancel"
    assert state in caught.value.message
    assert caught.value.fix
    assert row(world, message) == before


def test_a_worker_whose_message_was_cancelled_can_write_nothing(world: World) -> None:
    message = world.accept()
    lost = claim(world, message)

    world.outbox.cancel(world.caller, message)

    assert not world.messages_table.commit(lost, until=world.now())
    assert not world.messages_table.finish(lost, outcomes.accepted(lost, OK, world.now(), {}))
    world.ahead = HOUR
    assert not world.messages_table.claim(
        world.account_id, message, worker="wrk_2", now=world.now(), until=world.now() + MINUTE
    ).done
    assert world.record(message)["state"] == "cancelled"


def test_a_message_with_more_attempts_than_its_row_holds_is_cancelled(world: World) -> None:
    message = world.accept(expires_in=432_000)
    for _ in range(MOST_KEPT + 2):
        world.ahead += 6 * MINUTE
        claimed = claim(world, message)
        world.messages_table.finish(claimed, outcomes.put_back(claimed, Ending(Phase.TOKEN, world.now())))
    seen = stored(world, message)
    world.ahead += 6 * MINUTE
    claimed = claim(world, message)
    world.messages_table.finish(claimed, outcomes.put_back(claimed, Ending(Phase.TOKEN, world.now())))

    stopped_as_it_was = world.messages_table.cancel(seen, Cancellation("key", world.now(), ()))
    world.outbox.cancel(world.caller, message)

    assert not stopped_as_it_was
    assert len(seen.attempts) == len(stored(world, message).attempts) > FIRST_KEPT
    assert world.record(message)["state"] == "cancelled"


SENDER = frozenset({Scope.SEND})


@pytest.mark.parametrize(
    ("scopes", "own", "accounts", "answer"),
    [
        (SENDER, True, "*", None),
        (frozenset({Scope.ADMIN}), False, "*", None),
        (frozenset({Scope.READ}), True, "*", Forbidden),
        (frozenset({Scope.SEND, Scope.READ}), False, "*", Forbidden),
        (SENDER, False, "*", NotFound),
        (SENDER, True, "acc_other", NotFound),
        (frozenset({Scope.ADMIN}), False, "acc_other", NotFound),
    ],
)
def test_a_sender_cancels_its_own_and_an_administrator_any(
    world: World,
    scopes: frozenset[Scope],
    own: bool,  # noqa: FBT001
    accounts: str,
    answer: type[MailgrantError] | None,
) -> None:
    message = world.accept()
    identity = world.caller.id if own else "key_other"
    caller = replace(world.caller, id=identity, scopes=scopes, accounts=frozenset({accounts}))

    if answer is None:
        world.outbox.cancel(caller, message)
    else:
        with pytest.raises(answer):
            world.outbox.cancel(caller, message)

    assert world.record(message)["state"] == ("cancelled" if answer is None else "queued")


def test_there_is_nothing_to_cancel_by_an_unknown_id(world: World) -> None:
    with pytest.raises(NotFound):
        world.outbox.cancel(world.caller, "msg_1")
