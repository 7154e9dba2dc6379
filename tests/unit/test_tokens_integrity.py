"""A refresh that is answered with something else than was consented to, or in a way that makes no sense."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import jwt
import pytest

from chalicelib.accounts.models.account import GrantState
from chalicelib.clock import HOUR, MINUTE
from chalicelib.diagnosis import DiagnosisClass
from chalicelib.errors import Diagnosed
from tests.unit.accounts_world import world

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from tests.unit.accounts_world import World

__all__ = ["world"]

PROVIDERS: list[Literal["microsoft", "google"]] = ["microsoft", "google"]
SCOPES = {"microsoft": "https://outlook.office.com/SMTP.Send", "google": "https://mail.google.com/ openid"}


def answer(world: World, account: Account, **changes: Any) -> None:
    """Lets the provider answer the account's next refresh with these values."""
    provider = world.registry.connector(account.connector).provider
    body = {
        "access_token": "another",
        "token_type": "Bearer",
        "expires_in": 3600,
        "refresh_token": "the next",
        "scope": SCOPES[provider],
    }
    world.control.inject("token", status=200, body=body | changes)


def id_token(**claims: str) -> str:
    """An ID token; nobody looks at its signature."""
    return jwt.encode(claims, "a key that is long enough for HS256", algorithm="HS256")


def reveal(world: World, account: Account) -> str:
    """The stored refresh token."""
    grant = world.grants_table.get(account.id)
    assert grant is not None
    return world.keeper.reveal(grant).reveal()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_refresh_for_another_person_holds_the_account_and_keeps_the_token(
    world: World, provider: Literal["microsoft", "google"]
) -> None:
    account = world.connected(provider)
    other = id_token(iss="https://p", sub="somebody", tid="else", oid="somebody")
    answer(world, account, id_token=other)

    with pytest.raises(Diagnosed) as refused:
        world.access_tokens.fresh(account.id, failed_version=1)

    held = world.read(account)
    stored = world.access_tokens_table.get(account.id)
    assert refused.value.diagnosis.code == "identity_changed"
    assert held.grant_state is GrantState.NEEDS_RECONNECT
    assert held.problem == refused.value.diagnosis
    assert reveal(world, account) == "the next"
    assert stored is not None
    assert stored.version == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_refresh_with_fewer_scopes_holds_the_account_and_keeps_the_token(
    world: World, provider: Literal["microsoft", "google"]
) -> None:
    account = world.connected(provider)
    answer(world, account, scope="openid email")
    world.later = 2 * HOUR

    for _ in range(2):
        with pytest.raises(Diagnosed) as refused:
            world.access_tokens.fresh(account.id)

    assert refused.value.diagnosis.class_ is DiagnosisClass.RECONNECT
    assert refused.value.diagnosis.code == "scope_lost"
    assert reveal(world, account) == "the next"
    assert world.refreshes(account) == 1  # once, though it was asked for twice
    assert world.sign_in(world.read(account))["outcome"] == "connected"


@pytest.mark.parametrize(
    "changes",
    [{"id_token": "no token"}, {"expires_in": 10**40}, {"expires_in": "9" * 5000}, {"scope": ""}],
    ids=["id token", "a life of ages", "a life of digits", "no scope"],
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_R3_a_token_is_kept_although_what_came_with_it_makes_no_sense(
    world: World, provider: Literal["microsoft", "google"], changes: dict[str, Any]
) -> None:
    account = world.connected(provider)
    answer(world, account, **changes)

    token = world.access_tokens.fresh(account.id, failed_version=1)

    assert token.value.reveal() == "another"
    assert token.expires_at > world.now() + MINUTE
    assert reveal(world, account) == "the next"
