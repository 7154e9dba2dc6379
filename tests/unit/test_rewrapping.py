"""Data keys are wrapped anew: all of them, a page at a time, however often the sweep is cut off."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib import ids
from chalicelib.accounts.tokens import rewrapping
from chalicelib.accounts.tokens.rewrapping import CALL_TIME, Rewrapping
from chalicelib.callers.models import Scope
from chalicelib.errors import ConfigurationError, InvalidInput, Unavailable
from tests.unit.rewrapping_world import (
    MG1,
    MG2,
    aws,
    between,
    mailbox,
    opened,
    rows,
    sealed_as_mg1,
    signed_in,
    values,
    world,
)
from tests.unit.test_vault_rows import outage
from tests.unit.web_services import bearer, client

if TYPE_CHECKING:
    from tests.unit.accounts_world import World

__all__ = ["aws", "signed_in", "world"]

DONE = {"rewrapped": 3, "busy": [], "unreadable": [], "cursor": None}
"""The answer to a sweep of one mailbox."""


class Killed(BaseException):
    """The worker is gone."""


def test_V4_every_data_key_is_wrapped_anew_and_no_ciphertext_is_touched(world: World) -> None:
    mailbox(world)
    before, texts = values(world), opened(world)
    versions = [row["version"] for row in rows(world, "grants")]

    assert world.rewrapping.rewrap() == DONE

    after = values(world)
    assert len(before) == 4
    assert opened(world) == opened(world, with_memory=True) == texts
    assert [row["version"] for row in rows(world, "grants")] == versions
    for place, old in before.items():
        assert (old.mark, after[place].mark) == (MG1, MG2), place
        assert (after[place].key_id, after[place].encrypted) == (old.key_id, old.encrypted), place
        assert after[place].wrapped != old.wrapped, place


def test_V4_values_of_earlier_versions_are_read_and_wrapped_anew(world: World) -> None:
    """They are MG1, made here without the product; a roll-back to them is not possible after the sweep."""
    account = world.connected("google")
    for table, column, field in (
        ("grants", "refresh_token", "refresh_token"),
        ("access-tokens", "token", "access_token"),
    ):
        value = sealed_as_mg1(world, table, account.id, field, 1, b"an old value")
        (row,) = rows(world, table)
        name = world.settings.table(table)
        world.clients.dynamodb.put_item(TableName=name, Item={**row, column: {"B": value}})
    texts = {(account.id, place): "an old value" for place in ("refresh_token", "mail")}

    assert opened(world) == texts
    assert world.rewrapping.rewrap()["rewrapped"] == 2
    assert opened(world) == texts
    assert {value.mark for value in values(world).values()} == {MG2}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("request_", ["kms.ReEncrypt", "dynamodb.UpdateItem"])
def test_V4_a_sweep_that_dies_anywhere_leaves_all_readable_and_is_begun_again(
    world: World, moment: str, request_: str
) -> None:
    """Between KMS and the write, and between two values; what was written by then is not the worse for it."""
    mailbox(world)
    texts, deaths = opened(world), 0

    for last in count(1):
        left = iter(range(last))

        def die(left: Any = left, last: int = last) -> None:
            if next(left) == last - 1:
                raise Killed

        try:
            with between(world, f"{moment}-call.{request_}", die):
                world.rewrapping.rewrap()
            break
        except Killed:
            deaths += 1
        assert opened(world, with_memory=True) == texts, last
        assert opened(world) == texts, last

    before = values(world)
    assert deaths == {"kms.ReEncrypt": 4, "dynamodb.UpdateItem": 3}[request_]
    assert world.rewrapping.rewrap() == DONE
    assert opened(world) == texts
    assert all(value.wrapped != before[place].wrapped for place, value in values(world).items())


def test_V4_a_sweep_goes_on_from_its_cursor_and_misses_no_mailbox(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewrapping, "PAGE", 1)
    for _ in range(3):
        mailbox(world)
    texts = opened(world)
    cursors = [world.rewrapping.rewrap()["cursor"]]

    while cursors[-1] is not None:
        assert opened(world) == texts
        cursors.append(world.rewrapping.rewrap(cursors[-1])["cursor"])

    before = values(world)
    assert opened(world) == texts
    assert [value.mark for value in before.values()] == [MG2] * 12
    world.rewrapping.rewrap(cursors[1])
    changed = {place[0] for place, value in values(world).items() if value.wrapped != before[place].wrapped}
    assert len(changed) == 1
    assert changed.isdisjoint(cursors[:2])


def test_V4_one_call_is_bounded_in_time_and_says_where_to_go_on(world: World) -> None:
    accounts = {mailbox(world).id for _ in range(2)}
    clock = count(0, CALL_TIME + 1)
    slow = Rewrapping(
        world.grants_table,
        world.access_tokens_table,
        world.grants_vault,
        world.access_tokens_vault,
        lambda: next(clock),
    )

    first = slow.rewrap()
    second = slow.rewrap(first["cursor"])

    assert first["cursor"] in accounts
    assert [first["rewrapped"], second] == [3, DONE]
    assert {value.mark for value in values(world).values()} == {MG2}


def test_V4_a_value_that_does_not_open_is_named_and_left_as_it_is(world: World) -> None:
    """One that was moved from another account, and one of no known format; the others are done."""
    victim, thief, broken = (mailbox(world) for _ in range(3))
    stolen = next(row for row in rows(world, "access-tokens") if row["account"]["S"] == victim.id)
    moved = {**stolen, "account": {"S": thief.id}, "resource": {"S": "mail"}}
    plain = {**stolen, "account": {"S": broken.id}, "resource": {"S": "mail"}, "token": {"B": b"plaintext"}}
    for row in (moved, plain):
        world.clients.dynamodb.put_item(TableName=world.settings.table("access-tokens"), Item=row)

    answer = world.rewrapping.rewrap()

    assert answer == DONE | {"rewrapped": 7, "unreadable": sorted([thief.id, broken.id])}
    stored = rows(world, "access-tokens")
    assert moved in stored
    assert plain in stored


def test_V4_an_outage_ends_the_call_and_names_no_value_as_damaged(world: World) -> None:
    mailbox(world)
    before = values(world)

    with outage(world), pytest.raises(Unavailable):
        world.rewrapping.rewrap()
    world.clients.kms.disable_key(KeyId=world.settings.access_tokens_key_arn)
    try:
        with pytest.raises(ConfigurationError, match="Disabled"):
            world.rewrapping.rewrap()
    finally:
        world.clients.kms.enable_key(KeyId=world.settings.access_tokens_key_arn)

    unchanged = {place for place, value in values(world).items() if value == before[place]}
    assert {name for _, name in unchanged} == {"mail", "graph"}
    assert world.rewrapping.rewrap() == DONE


def test_nothing_stored_is_nothing_to_do(world: World) -> None:
    assert world.rewrapping.rewrap() == DONE | {"rewrapped": 0}


@pytest.mark.parametrize("cursor", ["", "next", "con_7h2k9m4p1r6t3w8y5b0d"])
def test_another_text_than_a_cursor_is_refused(world: World, cursor: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        world.rewrapping.rewrap(cursor)

    assert refused.value.field == "cursor"


def test_only_an_administrator_of_everything_may_ask(world: World) -> None:
    account = mailbox(world)

    assert asked(world, {Scope.ADMIN}, [account.id]) == (403, "all_accounts_needed")
    assert asked(world, {Scope.READ, Scope.SEND}, ["*"]) == (403, "scope_missing")
    assert {value.mark for value in values(world).values()} == {MG1}


@pytest.mark.parametrize("body", [b'{"cursor": 1}', b'{"curser": null}', b"[]", b"{"])
def test_a_body_of_another_shape_is_refused(world: World, body: bytes) -> None:
    status, code = asked(world, {Scope.ADMIN}, ["*"], body)

    assert (status, code) in {(400, "malformed_request"), (422, "invalid_input")}


def asked(world: World, scopes: set[Scope], accounts: list[str], body: bytes = b"") -> tuple[int, str]:
    """The status, and the code of the error, with which a caller with these rights is answered."""
    services: Any = world
    _, key = world.callers.create_key("tests", scopes, accounts)
    headers = {**bearer(key.reveal()), "Content-Type": "application/json"}
    answer = client(services).http.post("/v1/encryption/rewrap", headers=headers, body=body)
    return answer.status_code, answer.json_body["error"]["code"]


def test_an_account_that_does_not_exist_is_a_place_to_begin_at(world: World) -> None:
    """The account that a cursor names may have gone meanwhile."""
    mailbox(world)

    answers = [world.rewrapping.rewrap(ids.new_id("acc")) for _ in range(4)]

    assert all(answer["cursor"] is None for answer in answers)
