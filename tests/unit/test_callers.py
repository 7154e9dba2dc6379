"""Callers: keys, principals, what they may do, and how long they are remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chalicelib import ids
from chalicelib.callers import keys
from chalicelib.callers.models import Caller, CallerKind, Scope
from chalicelib.callers.permissions import require, require_everything, require_sight
from chalicelib.callers.registry import REMEMBERED, Callers, principal_of
from chalicelib.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from chalicelib.secret import Secret
from tests.unit.web_services import DictionaryStore

if TYPE_CHECKING:
    from collections.abc import Collection

OWN = "acc_" + "a" * ids.SHORT
OTHER = "acc_" + "b" * ids.SHORT
ROLE = "arn:aws:iam::123456789012:role/reports"


class Time:
    """A clock that a test moves."""

    now = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def store() -> DictionaryStore:
    return DictionaryStore()


@pytest.fixture
def callers(store: DictionaryStore, time: Time) -> Callers:
    return Callers(store, time)


def caller(scopes: Collection[Scope], accounts: Collection[str] = (OWN,)) -> Caller:
    """A caller with these rights."""
    return Caller("key_x", CallerKind.KEY, "test", frozenset(scopes), frozenset(accounts), 0)


def test_a_key_finds_its_caller(callers: Callers) -> None:
    made, key = callers.create_key("shop", [Scope.SEND], [OWN])

    assert key.reveal().startswith(f"mg_{made.id.removeprefix('key_')}_")
    assert callers.by_key(key).id == made.id


def test_a_key_is_stored_as_a_hash_only(callers: Callers, store: DictionaryStore) -> None:
    made, key = callers.create_key("shop", [Scope.SEND], [OWN])

    assert store.rows[made.id].secret_hash == keys.hashed(key)
    assert key.reveal() not in repr(store.rows)


def test_a_key_with_one_wrong_letter_is_refused(callers: Callers) -> None:
    _, key = callers.create_key("shop", [Scope.SEND], [OWN])
    wrong = key.reveal()[:-1] + ("A" if key.reveal()[-1] != "A" else "B")

    with pytest.raises(Unauthenticated):
        callers.by_key(Secret(wrong))


def test_a_caller_that_is_no_key_cannot_be_used_as_one(callers: Callers, store: DictionaryStore) -> None:
    """A row without a hash fits no key, not even an empty one."""
    row = Caller("key_" + "a" * ids.SHORT, CallerKind.KEY, "odd", frozenset({Scope.ADMIN}), frozenset("*"), 0)
    store.add(row)

    with pytest.raises(Unauthenticated):
        callers.by_key(Secret("mg_" + "a" * ids.SHORT + "_" + "-" * 43))


def test_an_expired_key_is_refused(callers: Callers, time: Time) -> None:
    _, key = callers.create_key("shop", [Scope.SEND], [OWN], expires_at=time.now + 10)
    callers.by_key(key)

    time.now += 10

    with pytest.raises(Unauthenticated):
        callers.by_key(key)


def test_a_revocation_elsewhere_takes_effect_in_thirty_seconds(
    callers: Callers, store: DictionaryStore, time: Time
) -> None:
    made, key = callers.create_key("shop", [Scope.SEND], [OWN])
    callers.by_key(key)
    Callers(store, time).revoke(made.id)

    time.now += REMEMBERED - 1
    callers.by_key(key)
    time.now += 1

    with pytest.raises(Unauthenticated):
        callers.by_key(key)


def test_revoking_twice_keeps_the_first_time(callers: Callers, time: Time) -> None:
    made, _ = callers.create_key("shop", [Scope.SEND], [OWN])
    first = callers.revoke(made.id)
    time.now += 5

    assert callers.revoke(made.id).revoked_at == first.revoked_at


def test_an_unknown_caller_cannot_be_revoked(callers: Callers) -> None:
    with pytest.raises(NotFound):
        callers.revoke("key_unknown")


@pytest.mark.parametrize(
    ("arn", "principal"),
    [
        ("arn:aws:sts::123456789012:assumed-role/reports/session@x", ROLE),
        (ROLE, ROLE),
        ("arn:aws:iam::123456789012:role/a/path/reports", ROLE),
        ("arn:aws:iam::123456789012:user/a/path/ann", "arn:aws:iam::123456789012:user/a/path/ann"),
        ("arn:aws-cn:sts::123456789012:assumed-role/r/s", "arn:aws-cn:iam::123456789012:role/r"),
        ("arn:aws:iam::123456789012:root", None),
        ("arn:aws:iam::123456789012:role/*", None),
        ("role/reports", None),
        ("", None),
    ],
)
def test_a_principal_is_the_role_behind_its_session(arn: str, principal: str | None) -> None:
    assert principal_of(arn) == principal


def test_a_role_is_allowed_once_and_again_after_its_revocation(callers: Callers) -> None:
    made = callers.allow_role(ROLE, "reports", [Scope.READ], ["*"])
    with pytest.raises(Conflict):
        callers.allow_role(ROLE, "reports", [Scope.ADMIN], ["*"])

    callers.revoke(made.id)
    callers.allow_role(ROLE, "reports", [Scope.SEND], ["*"])

    assert callers.by_principal(ROLE).scopes == {Scope.SEND}


def test_an_alias_is_a_caller_of_its_own(callers: Callers) -> None:
    callers.allow_alias("orders", "orders", [Scope.SEND], [OWN])

    assert callers.by_function("lambda:orders").accounts == {OWN}
    with pytest.raises(Forbidden):
        callers.by_function("lambda")


@pytest.mark.parametrize("alias", ["7", "a b", "$LATEST", "x" * 129])
def test_what_cannot_be_an_alias_is_refused(callers: Callers, alias: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        callers.allow_alias(alias, "x", [Scope.SEND], ["*"])

    assert refused.value.field == "alias"


@pytest.mark.parametrize(
    ("name", "scopes", "accounts", "field"),
    [
        ("", [Scope.SEND], ["*"], "name"),
        ("a\nb", [Scope.SEND], ["*"], "name"),
        ("x" * 101, [Scope.SEND], ["*"], "name"),
        ("x", [], ["*"], "scopes"),
        ("x", [Scope.SEND], [], "accounts"),
        ("x", [Scope.SEND], ["sales"], "accounts"),
    ],
)
def test_a_caller_needs_name_scopes_and_accounts(
    callers: Callers, name: str, scopes: list[Scope], accounts: list[str], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        callers.create_key(name, scopes, accounts)

    assert refused.value.field == field


@pytest.mark.parametrize("scope", list(Scope))
def test_admin_holds_every_scope(scope: Scope) -> None:
    require(caller([Scope.ADMIN]), scope, OWN)


@pytest.mark.parametrize(
    ("has", "needs"), [(Scope.SEND, Scope.READ), (Scope.READ, Scope.SEND), (Scope.READ, Scope.ADMIN)]
)
def test_no_other_scope_holds_another(has: Scope, needs: Scope) -> None:
    with pytest.raises(Forbidden):
        require(caller([has]), needs, OWN)


def test_a_foreign_account_is_answered_before_a_missing_scope() -> None:
    """Else the kind of refusal would tell which accounts there are."""
    with pytest.raises(NotFound):
        require(caller([Scope.READ]), Scope.SEND, OTHER)


def test_only_an_administrator_of_all_accounts_administers_the_rest() -> None:
    require_everything(caller([Scope.ADMIN], ["*"]))

    with pytest.raises(Forbidden):
        require_everything(caller([Scope.ADMIN]))
    with pytest.raises(Forbidden):
        require_everything(caller([Scope.READ], ["*"]))


def test_a_sender_sees_only_what_it_handed_in() -> None:
    sender, reader = caller([Scope.SEND]), caller([Scope.READ])
    require_sight(sender, OWN, sender.id)
    require_sight(reader, OWN, "key_other")

    with pytest.raises(NotFound):
        require_sight(sender, OWN, "key_other")
    with pytest.raises(NotFound):
        require_sight(reader, OTHER, reader.id)


def test_what_a_revoked_caller_handed_in_may_not_be_relayed(callers: Callers) -> None:
    made, _ = callers.create_key("shop", [Scope.SEND], [OWN])
    assert callers.permitted(made.id, OWN)
    assert not callers.permitted(made.id, OTHER)

    callers.revoke(made.id)

    assert not callers.permitted(made.id, OWN)
