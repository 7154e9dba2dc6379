"""The table of callers, by the real client against a local AWS."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from chalicelib import ids
from chalicelib.aws.tables.callers import CallersTable
from chalicelib.aws.tables.codec import to_item
from chalicelib.callers.models import Caller, CallerKind, Scope, SendLimits

if TYPE_CHECKING:
    from tests.unit.aws_tables import Aws

pytestmark = pytest.mark.aws


@pytest.fixture
def table(aws: Aws) -> CallersTable:
    """The table of callers."""
    return CallersTable(aws.clients.dynamodb, aws.settings.table("callers"))


def caller() -> Caller:
    """A caller with a value in every field, revoked_at excepted."""
    return Caller(
        id=ids.new_id("key"),
        kind=CallerKind.KEY,
        name="shop",
        scopes=frozenset({Scope.SEND, Scope.READ}),
        accounts=frozenset({ids.new_id("acc"), ids.new_id("acc")}),
        created_at=1,
        secret_hash="ab" * 32,
        expires_at=2,
        limits=SendLimits(frozenset({"a@x.example"}), frozenset({"x.example", "y.example"}), 60),
    )


def test_a_caller_comes_back_as_it_was_added(table: CallersTable) -> None:
    added = caller()

    assert table.add(added)
    assert table.get(added.id) == added
    assert added in table.all()


def test_an_unknown_caller_is_none(table: CallersTable) -> None:
    nobody = ids.new_id("key")

    assert table.get(nobody) is None
    assert table.revoke(nobody, 1) is None
    assert table.limit(nobody, {"messages_per_minute": 1}) is None
    assert table.get(nobody) is None


def test_a_live_caller_is_not_replaced(table: CallersTable) -> None:
    added = caller()
    table.add(added)

    assert not table.add(dataclasses.replace(added, scopes=frozenset({Scope.ADMIN})))
    assert table.get(added.id) == added


def test_a_revoked_caller_may_be_replaced(table: CallersTable) -> None:
    added = caller()
    table.add(added)
    table.revoke(added.id, 5)

    assert table.add(added)
    assert table.get(added.id) == added


def test_the_first_revocation_stays(table: CallersTable) -> None:
    added = caller()
    table.add(added)

    first = table.revoke(added.id, 5)
    second = table.revoke(added.id, 6)

    assert first == second == dataclasses.replace(added, revoked_at=5)


def test_the_limits_that_are_named_are_replaced_and_no_others(table: CallersTable) -> None:
    added = caller()
    table.add(added)

    narrowed = table.limit(added.id, {"from_addresses": frozenset({"b@x.example"})})
    widened = table.limit(added.id, {"reply_to_domains": frozenset(), "messages_per_minute": None})

    limits = dataclasses.replace(added.limits, from_addresses=frozenset({"b@x.example"}))
    assert narrowed == dataclasses.replace(added, limits=limits)
    assert widened == dataclasses.replace(added, limits=SendLimits(frozenset({"b@x.example"})))
    assert table.get(added.id) == widened


def test_a_row_from_before_there_were_limits_has_none(aws: Aws, table: CallersTable) -> None:
    old = dataclasses.replace(caller(), limits=SendLimits())
    row = {
        "caller": old.id,
        "kind": old.kind,
        "name": old.name,
        "scopes": old.scopes,
        "accounts": old.accounts,
        "created_at": old.created_at,
        "secret_hash": old.secret_hash,
        "expires_at": old.expires_at,
    }
    aws.clients.dynamodb.put_item(TableName=aws.settings.table("callers"), Item=to_item(row))

    assert table.get(old.id) == old
