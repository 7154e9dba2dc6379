"""Lists of messages by state, over accounts and by time, in pages, against the real indexes."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from chalicelib import ids
from chalicelib.aws.tables import message_lists
from chalicelib.callers.models import Caller, CallerKind, Scope
from chalicelib.clock import DAY, HOUR
from chalicelib.errors import InvalidInput, NotFound
from chalicelib.mail.models import ClosedReason, Envelope, Message, Reply, State
from chalicelib.mail.outbox import Filter
from chalicelib.mail.ports import Sought
from tests.unit.mail_world import post, running_post, world

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.unit.mail_world import World

__all__ = ["post", "running_post", "world"]

EVERY = frozenset(State)


def put(world: World, account: str, at: int, state: State = State.SENT, caller: str = "key_1") -> str:
    """The id of a message that is stored in that state, accepted at that time."""
    message = Message(
        id=ids.new_message_id(account),
        account=account,
        caller=caller,
        state=state,
        envelope=Envelope("a@example.com", ("b@example.com",)),
        size=1,
        message_id="<1@example.com>",
        accepted_at=at,
        expires_at=at + DAY,
        fingerprint="f",
        body=b"x",
    )
    assert world.messages_table.add(message, ttl=(at + DAY) // 1000) is None
    return message.id


def pages(world: World, sought: Sought, limit: int) -> list[list[str]]:
    """The ids of every page of a list."""
    found, after = [], None
    while True:
        page = world.message_lists.page(sought, limit, after)
        found.append([message.id for message in page.messages])
        after = page.place
        if after is None:
            return found


def all_of(found: Iterable[list[str]]) -> list[str]:
    """The pages in one list."""
    return [one for page in found for one in page]


@pytest.fixture
def then() -> int:
    """A time at which no other test accepts anything: in the list of all accounts are those of all tests."""
    return (4_000_000_000 + secrets.randbelow(10**9)) * 1000


@pytest.mark.parametrize("many", [1, 3, message_lists.MOST_MERGED + 1])
@pytest.mark.parametrize("limit", [1, 4, 100])
def test_ug7_a_list_has_each_message_once_and_the_newest_first(
    world: World, then: int, many: int, limit: int
) -> None:
    accounts = [ids.new_id("acc") for _ in range(many)]
    at = {}
    for number in range(12):
        state = list(State)[number % len(State)]
        at[put(world, accounts[number * 5 % many], then + number // 3, state)] = then + number // 3
    put(world, ids.new_id("acc"), then)

    listed = pages(world, Sought(frozenset(accounts), EVERY, since=then), limit)

    assert sorted(all_of(listed)) == sorted(at)
    assert [at[one] for one in all_of(listed)] == sorted(at.values(), reverse=True)
    assert all(len(page) <= limit for page in listed)


def test_ug7_all_accounts_are_one_list(world: World, then: int) -> None:
    put_ids = [put(world, ids.new_id("acc"), then + number) for number in range(9)]

    assert pages(world, Sought(None, EVERY, since=then, until=then + 9), 4) == [
        put_ids[:4:-1],
        put_ids[4:0:-1],
        put_ids[:1],
    ]


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("state", list(State))
def test_ug7_a_list_of_one_state(world: World, then: int, state: State, everywhere: bool) -> None:  # noqa: FBT001
    accounts = [ids.new_id("acc") for _ in range(2)]
    by_state = {one: [put(world, account, then, one) for account in accounts] for one in State}
    among = None if everywhere else frozenset(accounts)

    listed = pages(world, Sought(among, frozenset({state}), since=then, until=then + 1), 100)

    assert sorted(all_of(listed)) == sorted(by_state[state])


def test_ug7_since_is_part_of_a_list_and_until_is_not(world: World, then: int) -> None:
    account = ids.new_id("acc")
    put_ids = [put(world, account, then + number) for number in range(5)]
    sought = Sought(frozenset({account}), EVERY)

    assert pages(world, replace(sought, since=then + 1, until=then + 3), 9) == [[put_ids[2], put_ids[1]]]
    assert pages(world, replace(sought, since=then + 3, until=then + 1), 9) == [[]]
    assert pages(world, replace(sought, since=-(10**18), until=10**18), 9) == [put_ids[::-1]]


def test_ug7_a_page_that_examined_enough_is_short_and_goes_on(
    world: World, then: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_lists, "MOST_EXAMINED", 4)
    monkeypatch.setattr(message_lists, "BATCH", 2)
    account = ids.new_id("acc")
    own = put(world, account, then, caller="key_2")
    for number in range(9):
        put(world, account, then + 1 + number)

    listed = pages(world, Sought(frozenset({account}), EVERY, caller="key_2"), 2)

    assert listed == [[], [], [own]]


@pytest.mark.parametrize("after", ["", "x", "1", "01764582000123", "01764582000123.ABCDEFGH", "~", "0" * 400])
def test_ud4_a_place_that_is_none_is_refused(world: World, after: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        world.message_lists.page(Sought(None, EVERY), 10, after)

    assert refused.value.field == "cursor"


def test_ud4_a_place_names_no_message_and_no_account(world: World, then: int) -> None:
    message = put(world, ids.new_id("acc"), then)
    put(world, ids.new_id("acc"), then - 1)

    place = world.message_lists.page(Sought(None, EVERY, since=then - 1, until=then + 1), 1, None).place

    assert place == f"{then:014d}.{message[-ids.LONG :][:8]}"


def test_ug7_a_message_is_listed_by_the_state_that_it_comes_to(world: World) -> None:
    def listed(state: State) -> list[str]:
        return all_of(pages(world, Sought(frozenset({world.account_id}), frozenset({state})), 10))

    sent, failed, cancelled, unknown = (world.accept(on_unknown="keep") for _ in range(4))
    assert sorted(listed(State.QUEUED)) == sorted([sent, failed, cancelled, unknown])
    world.outbox.cancel(world.caller, cancelled)
    for message, state in ((sent, State.SENT), (failed, State.FAILED), (unknown, State.UNKNOWN)):
        finish(world, message, state)

    assert [listed(state) for state in (State.SENT, State.FAILED, State.CANCELLED, State.UNKNOWN)] == [
        [sent],
        [failed],
        [cancelled],
        [unknown],
    ]
    world.outbox.resolve(world.caller, unknown, "failed")
    assert sorted(listed(State.FAILED)) == sorted([failed, unknown])
    assert listed(State.QUEUED) == listed(State.UNKNOWN) == []


def finish(world: World, message: str, state: State) -> None:
    """Lets an attempt of the message end in that state."""
    from chalicelib.mail.ports import Outcome

    now = world.now()
    claimed = world.messages_table.claim(world.account_id, message, worker="w", now=now, until=now + HOUR)
    assert claimed.row is not None
    attempt = replace(claimed.row.attempts[-1], ended_at=now, outcome=state, reply=Reply(250, "", "ok"))
    assert world.messages_table.finish(claimed.row, Outcome(state, attempt))


def test_ug7_held_and_queued_are_told_apart(world: World) -> None:
    message = world.accept()
    world.lane.close(world.account_id, ClosedReason.PAUSED)

    def listed(state: str) -> list[str]:
        wanted = Filter(world.account_id, state)  # type: ignore[arg-type]
        return [one.id for one in world.outbox.list(world.caller, wanted).messages]

    assert listed("held") == [message]
    assert listed("queued") == []
    world.lane.open(world.account_id)
    assert listed("held") == []
    assert listed("queued") == [message]


def sender(*accounts: str, scope: Scope = Scope.SEND) -> Caller:
    """A caller with those accounts."""
    return Caller(ids.new_id("key"), CallerKind.KEY, "x", frozenset({scope}), frozenset(accounts), 0)


@pytest.mark.parametrize("accounts", ["own", "all"])
def test_ug7_who_only_sends_lists_its_own_over_accounts(world: World, then: int, accounts: str) -> None:
    account = ids.new_id("acc")
    caller = sender("*" if accounts == "all" else account)
    own = [put(world, account, then + number, caller=caller.id) for number in range(2)]
    put(world, account, then)
    put(world, ids.new_id("acc"), then, caller=caller.id) if accounts == "own" else None

    listed = world.outbox.list(caller, Filter(since=then, until=then + 2))

    assert [one.id for one in listed.messages] == own[::-1]


def test_ug7_who_reads_some_accounts_lists_these_and_no_others(world: World, then: int) -> None:
    accounts = [ids.new_id("acc") for _ in range(2)]
    own = [put(world, account, then + number) for number, account in enumerate(accounts)]
    put(world, ids.new_id("acc"), then)

    reader = sender(*accounts, scope=Scope.READ)

    assert [one.id for one in world.outbox.list(reader, Filter()).messages] == own[::-1]
    assert world.outbox.list(sender(scope=Scope.READ), Filter()).messages == ()
    with pytest.raises(NotFound):
        world.outbox.list(reader, Filter(world.account_id))
