"""Rows F24 and F38: many at once, and the same thing twice; judged by the provider's own log."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.helpers import invoke

if TYPE_CHECKING:
    from sandbox.cast import Cast, ProviderName
    from sandbox.stack import Sandbox

WORKERS = 20
SHORT_LIFE = 2
SLOW_PROVIDER_SECONDS = 1.0


@pytest.mark.parametrize("provider", ["microsoft", "google"])
def test_F24_twenty_workers_need_one_expired_token(
    sandbox: Sandbox, cast: Cast, provider: ProviderName
) -> None:
    """One request reaches the provider; all twenty are answered with the token that it brought."""
    sandbox.provider.set_lifetime(access=SHORT_LIFE)
    account = cast.connected(provider, f"owner-{secrets.token_hex(4)}@example.com")
    time.sleep(SHORT_LIFE + 0.5)
    sandbox.provider.set_lifetime(access=3600)
    sandbox.provider.inject("token", delay=SLOW_PROVIDER_SECONDS)

    with ThreadPoolExecutor(WORKERS) as pool:
        answers = list(
            pool.map(lambda _: invoke(sandbox, "tokens", {"account": account["id"]}), range(WORKERS))
        )

    asked = [one for one in sandbox.provider.token_requests() if one.user == account["address"]]
    assert [one.grant_type for one in asked] == ["authorization_code", "refresh_token"]
    assert answers == [{}] * WORKERS


@pytest.mark.parametrize("provider", ["microsoft", "google"])
def test_F38_a_callback_is_delivered_twice_at_once(
    sandbox: Sandbox, cast: Cast, provider: ProviderName
) -> None:
    """One exchange reaches the provider, and both browsers' tabs end at the page that says what became of it."""
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
