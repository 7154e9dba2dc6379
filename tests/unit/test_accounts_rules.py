"""When a grant is refreshed next, what a refusal changes, and what an account's status is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.accounts.models.account import Account, GrantState, Status, status
from chalicelib.accounts.models.connector import Connector
from chalicelib.accounts.models.grant import AccessToken, DueReason, Grant, Identity, SealedToken
from chalicelib.accounts.tokens import rules
from chalicelib.accounts.tokens.keeping import Rescued, packed, unpacked
from chalicelib.clock import DAY, HOUR, MINUTE, SECOND
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.providers.catalogue import MICROSOFT
from chalicelib.secret import Secret

NOW = 1_000 * DAY
GRANT = Grant("acc_1", 2, b"sealed", ("a",), Identity("iss", "sub", ("a@b.c",)), NOW, NOW)
TOKEN = SealedToken("acc_1", b"sealed", 2, NOW + HOUR, NOW)
PROBLEM = Diagnosis(DiagnosisClass.RECONNECT, "invalid_grant", "It ended.", "Reconnect.")
ACCOUNT = Account("acc_1", "a", "a@b.c", "con_1", NOW, grant_state=GrantState.ACTIVE)
CONNECTOR = Connector("con_1", "google", "g", "client", "", NOW)


def test_a_grant_in_use_is_due_before_its_token_expires() -> None:
    due = rules.scheduled(GRANT, TOKEN, MICROSOFT, in_use=True, chance=0.5)

    assert due.refresh_due_at == NOW + 50 * MINUTE
    assert due.due_reason is DueReason.EXPIRY


def test_a_grant_that_is_idle_is_due_at_half_of_the_providers_limit() -> None:
    due = rules.scheduled(GRANT, TOKEN, MICROSOFT, in_use=False, chance=0.5)

    assert due.refresh_due_at == NOW + 45 * DAY


def test_a_short_lived_token_is_not_refreshed_without_pause() -> None:
    short = replace(TOKEN, expires_at=NOW + MINUTE)

    assert (
        rules.scheduled(GRANT, short, MICROSOFT, in_use=True, chance=0.5).refresh_due_at == NOW + 30 * SECOND
    )


@pytest.mark.parametrize(("chance", "due"), [(0, 0.9), (1, 1.1)])
def test_due_times_are_spread_by_a_tenth(chance: float, due: float) -> None:
    scheduled = rules.scheduled(GRANT, TOKEN, MICROSOFT, in_use=False, chance=chance)

    assert scheduled.refresh_due_at == NOW + int(45 * DAY * due)


def test_failures_wait_longer_each_time_up_to_five_minutes() -> None:
    busy = Diagnosis(DiagnosisClass.RETRY, "http_500", "It failed.", "Wait.")
    grant, waits = GRANT, []

    for _ in range(12):
        grant = rules.refusal(grant, busy, MICROSOFT, now=NOW, chance=0).grant
        waits.append((grant.retry_at or 0) - NOW)

    assert waits[:4] == [SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND]
    assert waits == sorted(waits)
    assert waits[-1] == 5 * MINUTE
    assert grant.refresh_token == GRANT.refresh_token


def test_a_refusal_of_one_account_by_its_administrator_keeps_the_grant() -> None:
    blocked = replace(PROBLEM, class_=DiagnosisClass.ADMIN)

    refusal = rules.refusal(GRANT, blocked, MICROSOFT, now=NOW, chance=0)

    assert refusal.state is GrantState.ACTIVE
    assert refusal.grant.retry_at == NOW + 15 * MINUTE


def test_a_second_refusal_that_comes_too_soon_proves_nothing() -> None:
    first = rules.refusal(GRANT, PROBLEM, MICROSOFT, now=NOW, chance=0).grant

    second = rules.refusal(first, PROBLEM, MICROSOFT, now=NOW + MINUTE, chance=0)

    assert second.state is GrantState.ACTIVE
    assert second.grant.first_refused_at == NOW
    assert second.grant.retry_at == NOW + 5 * MINUTE


def test_a_rescued_grant_survives_its_queue() -> None:
    assert unpacked(packed(GRANT)) == Rescued(GRANT, None)
    assert "sealed" not in packed(GRANT)


@pytest.mark.parametrize(
    ("left", "life", "usable"),
    [
        (3 * MINUTE, HOUR, True),
        (2 * MINUTE, HOUR, False),
        (20 * SECOND, MINUTE, True),
        (10 * SECOND, MINUTE, False),
    ],
)
def test_a_token_is_begun_with_only_while_enough_time_is_left(left: int, life: int, *, usable: bool) -> None:
    token = AccessToken(Secret("t"), 1, NOW + left, NOW + left - life)

    assert token.usable(NOW) is usable


@pytest.mark.parametrize(
    ("account", "connector", "expected"),
    [
        ({"grant_state": GrantState.NONE, "paused_by": "key_1"}, {}, Status.DISCONNECTED),
        ({"paused_by": "key_1"}, {"problem": PROBLEM}, Status.PAUSED),
        ({"grant_state": GrantState.NEEDS_RECONNECT}, {"problem": PROBLEM}, Status.MISCONFIGURED),
        ({"grant_state": GrantState.NEEDS_RECONNECT, "transport_block": PROBLEM}, {}, Status.NEEDS_RECONNECT),
        ({"transport_block": PROBLEM}, {}, Status.BLOCKED),
        ({"problem": PROBLEM}, {}, Status.CONNECTED),
        ({}, {}, Status.CONNECTED),
    ],
    ids=lambda value: str(value) if isinstance(value, Status) else "",
)
def test_the_first_fact_that_holds_is_the_status(
    account: dict[str, Any], connector: dict[str, Any], expected: Status
) -> None:
    assert status(replace(ACCOUNT, **account), replace(CONNECTOR, **connector)) is expected


def test_an_account_without_its_connector_is_misconfigured() -> None:
    assert status(ACCOUNT, None) is Status.MISCONFIGURED
