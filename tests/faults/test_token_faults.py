"""Rows F24 and F38: many at once, and the same thing twice; judged by the provider's own log."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from chalicelib.clock import MINUTE, now
from chalicelib.settings import Settings
from chalicelib.wiring import Gateway
from tests.helpers import invoke, with_expired_token

if TYPE_CHECKING:
    from sandbox.cast import Cast, ProviderName
    from sandbox.stack import Sandbox

WORKERS = 20
FUNCTIONS = 3
"""How many of the workers are deployed functions; the others are the same code in this process."""
SLOW_PROVIDER_SECONDS = 1.0


@pytest.mark.parametrize("provider", ["microsoft", "google"])
def test_F24_twenty_workers_need_one_expired_token(
    sandbox: Sandbox, cast: Cast, provider: ProviderName
) -> None:
    """One request reaches the provider; all twenty are answered with the token that it brought."""
    account = with_expired_token(cast, provider)
    sandbox.provider.inject("token", delay=SLOW_PROVIDER_SECONDS)
    event = {"account": account["id"]}
    functions = [lambda: invoke(sandbox, "tokens", event)] * FUNCTIONS
    gateways = [partial(one.token_operations.run, event, until=now() + MINUTE) for one in several(sandbox)]

    with ThreadPoolExecutor(WORKERS) as pool:
        answers = list(pool.map(lambda work: work(), functions + gateways))

    asked = [one for one in sandbox.provider.token_requests() if one.user == account["address"]]
    assert [one.grant_type for one in asked] == ["authorization_code", "refresh_token"]
    assert answers == [{}] * WORKERS


def several(sandbox: Sandbox) -> list[Gateway]:
    """The application's own code many times in this process, where a cold start costs nothing."""
    gateways = [Gateway(Settings.from_env(sandbox.environment)) for _ in range(WORKERS - FUNCTIONS)]
    session = sandbox.emulator.session()
    for gateway in gateways:
        gateway.clients.__dict__["_session"] = session  # AWS's own descriptions are read once
    return gateways


@pytest.mark.parametrize("provider", ["microsoft", "google"])
def test_F38_a_callback_is_delivered_twice_at_once(
    sandbox: Sandbox, cast: Cast, provider: ProviderName
) -> None:
    """One exchange reaches the provider, and both tabs end at the page that says what became of it."""
    address = cast.mailbox(provider, f"owner-{secrets.token_hex(4)}@example.com")
    account = cast.account(cast.connector(provider), address)
    person = cast.person()
    callback = person.callback(account["connect_link"], mailbox=address)

    with ThreadPoolExecutor(2) as pool:
        shown = list(pool.map(lambda _: person.session.get(callback, timeout=30), range(2)))

    asked = [one for one in sandbox.provider.token_requests() if one.user == address]
    assert [one.grant_type for one in asked] == ["authorization_code"]
    assert [page.ok for page in shown] == [True, True]
    assert cast.api.get(f"/v1/accounts/{account['id']}")["status"] == "connected"
