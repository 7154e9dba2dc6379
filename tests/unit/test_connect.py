"""Connecting a mailbox, against real tables, keys and the sandbox's provider."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

import pytest

from chalicelib.accounts.models.account import GrantState
from chalicelib.clock import DAY, MINUTE
from chalicelib.errors import Forbidden, MalformedRequest, NotFound
from chalicelib.mail.models import ClosedReason
from tests.unit.accounts_world import PUBLIC_URL, world

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.unit.accounts_world import World

__all__ = ["world"]

PROVIDERS: list[Literal["microsoft", "google"]] = ["microsoft", "google"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_mailbox_owner_connects_the_mailbox(world: World, provider: Literal["microsoft", "google"]) -> None:
    account = world.account(world.connector(provider))

    outcome = world.sign_in(account)

    connected = world.read(account)
    grant = world.grants_table.get(account.id)
    assert outcome["outcome"] == "connected"
    assert connected.grant_state is GrantState.ACTIVE
    assert connected.connected_at is not None
    assert grant is not None
    assert grant.version == 1
    assert grant.identity.addresses == (account.address,)
    assert world.access_tokens.fresh(account.id).version == 1


def test_reconnecting_opens_the_lane(world: World) -> None:
    account = world.connected("google")
    world.lanes_table.ring(account.id, due_at=world.now())
    world.lane.close(account.id, ClosedReason.NEEDS_RECONNECT)

    world.sign_in(account)

    assert world.lane.state(account.id).closed is None


@pytest.mark.parametrize("provider", PROVIDERS)
def test_tables_hold_no_token_in_clear(world: World, provider: Literal["microsoft", "google"]) -> None:
    account = world.connected(provider)

    token = world.access_tokens.fresh(account.id).value.reveal()

    grant = world.grants_table.get(account.id)
    stored = world.access_tokens_table.get(account.id)
    assert grant is not None
    assert stored is not None
    refresh_token = world.keeper.reveal(grant).reveal()
    assert refresh_token.encode() not in grant.refresh_token
    assert token.encode() not in stored.token
    assert token not in repr(world.access_tokens.fresh(account.id))
    assert refresh_token not in repr(grant)


def test_b01_a_callback_without_a_state_asks_for_no_token(world: World) -> None:
    account = world.account(world.connector("google"))
    before = len(world.control.token_requests())

    with pytest.raises(MalformedRequest):
        world.connect.complete(account.connector, {"code": ["abc"]}, None)

    assert len(world.control.token_requests()) == before


def test_b02_a_state_is_waited_for_ten_minutes(world: World) -> None:
    account = world.account(world.connector("google"))
    url, cookie = world.begin(account)
    params = world.approve(url, account.address)
    world.later = 11 * MINUTE

    with pytest.raises(MalformedRequest) as refused:
        world.connect.complete(account.connector, params, cookie)

    assert refused.value.error_code == "unknown_state"


def test_b02_a_state_that_nobody_made_is_refused(world: World) -> None:
    account = world.account(world.connector("google"))

    with pytest.raises(MalformedRequest):
        world.connect.complete(account.connector, {"state": ["x" * 43], "code": ["abc"]}, "cookie")


@pytest.mark.parametrize("cookie", [None, "another"], ids=["no cookie", "another browser's"])
def test_b03_another_browser_cannot_complete_a_sign_in(world: World, cookie: str | None) -> None:
    account = world.account(world.connector("google"))
    url, own_cookie = world.begin(account)
    params = world.approve(url, account.address)
    before = len(world.control.token_requests())

    with pytest.raises(Forbidden):
        world.connect.complete(account.connector, params, cookie)

    assert len(world.control.token_requests()) == before
    assert world.connect.complete(account.connector, params, own_cookie)["outcome"] == "connected"


def test_b04_a_state_that_was_used_exchanges_nothing(world: World) -> None:
    account = world.account(world.connector("google"))
    url, cookie = world.begin(account)
    params = world.approve(url, account.address)
    world.connect.complete(account.connector, params, cookie)
    before = len(world.control.token_requests())

    outcome = world.connect.complete(account.connector, params, cookie)

    assert outcome["outcome"] == "already"
    assert len(world.control.token_requests()) == before


def test_f38_a_callback_that_is_delivered_twice_at_once_exchanges_once(world: World) -> None:
    account = world.account(world.connector("microsoft"))
    url, cookie = world.begin(account)
    params = world.approve(url, account.address)
    before = len(world.control.token_requests())

    with ThreadPoolExecutor(4) as pool:
        done = list(
            pool.map(lambda _: world.connect.complete(account.connector, params, cookie)["outcome"], range(4))
        )

    assert sorted(done) == ["already", "already", "already", "connected"]
    assert len(world.control.token_requests()) == before + 1


def test_b06_a_repeated_parameter_is_refused(world: World) -> None:
    account = world.account(world.connector("google"))
    url, cookie = world.begin(account)
    params = world.approve(url, account.address)

    with pytest.raises(MalformedRequest):
        world.connect.complete(account.connector, params | {"code": params["code"] * 2}, cookie)


def test_b07_error_and_code_together_are_an_error(world: World) -> None:
    account = world.account(world.connector("google"))
    url, cookie = world.begin(account)
    params = world.approve(url, account.address) | {"error": ["access_denied"]}

    outcome = world.connect.complete(account.connector, params, cookie)

    assert outcome["outcome"] == "refused"
    assert world.grants_table.get(account.id) is None


@pytest.mark.parametrize("provider", PROVIDERS)
def test_b12_another_mailbox_is_not_saved(world: World, provider: Literal["microsoft", "google"]) -> None:
    account = world.account(world.connector(provider))
    world.control.register_user("eve@mail.example", provider=provider)

    outcome = world.sign_in(account, "eve@mail.example")

    assert outcome["outcome"] == "wrong_mailbox"
    assert (outcome["expected"], outcome["found"]) == (account.address, "eve@mail.example")
    assert world.grants_table.get(account.id) is None
    assert world.read(account).grant_state is GrantState.NONE


def sign_in_with_adas_address(world: World, tenant: str, home: str | None = None) -> Mapping[str, Any]:
    """The outcome for somebody whose own tenant `home` has written ada's address into the claim `email`."""
    ada, mallory = f"ada-{secrets.token_hex(4)}@mail.example", f"mallory-{secrets.token_hex(4)}@evil.example"
    account = world.registry.create_account(world.connector("microsoft", tenant=tenant).id, ada)
    world.control.register_user(mallory, provider="microsoft", email=ada, tenant=home)
    return world.sign_in(account, mallory)


def test_b12_an_address_that_another_tenant_has_written_proves_nothing(world: World) -> None:
    outcome = sign_in_with_adas_address(world, "common")

    assert outcome["outcome"] == "wrong_mailbox"
    assert outcome["unproven"]
    assert outcome["found"].startswith("mallory-")


@pytest.mark.parametrize(
    ("tenant", "home"),
    [
        ("evil.example", "evil.example"),
        ("8bb3e5de-8b4c-4f4b-9b60-5c1d0e5a8d10", "8bb3e5de-8b4c-4f4b-9b60-5c1d0e5a8d10"),
        ("common", "consumers"),
        ("consumers", "consumers"),
    ],
    ids=["one tenant by domain", "one tenant by id", "a personal account", "personal accounts only"],
)
def test_an_address_whose_writer_is_trusted_counts(world: World, tenant: str, home: str) -> None:
    assert sign_in_with_adas_address(world, tenant, home)["outcome"] == "connected"


def test_b13_the_case_of_the_address_does_not_matter(world: World) -> None:
    connector = world.connector("microsoft")
    world.control.register_user("grace.hopper@mail.example", provider="microsoft")
    account = world.registry.create_account(connector.id, " Grace.Hopper@Mail.Example ", "grace-b13")

    assert world.sign_in(account, "grace.hopper@mail.example")["outcome"] == "connected"


def test_b15_an_unticked_scope_is_not_saved(world: World) -> None:
    account = world.account(world.connector("google"))

    outcome = world.sign_in(account, untick=["https://mail.google.com/"])

    assert outcome["outcome"] == "scope_missing"
    assert outcome["missing_scopes"] == ["https://mail.google.com/"]
    assert world.grants_table.get(account.id) is None


@pytest.mark.parametrize("provider", PROVIDERS)
def test_declining_is_an_outcome_of_its_own(world: World, provider: Literal["microsoft", "google"]) -> None:
    account = world.account(world.connector(provider))

    outcome = world.sign_in(account, accept=False)

    assert outcome["outcome"] == "refused"
    assert outcome["diagnosis"]["fix"]


def test_a_wrong_client_secret_is_a_fact_of_the_connector(world: World) -> None:
    connector = world.connector("microsoft")
    account = world.account(connector)
    world.credentials.save(connector.id, "another secret")

    outcome = world.sign_in(account)

    problem = world.registry.connector(connector.id).problem
    assert outcome["outcome"] == "failed"
    assert outcome["diagnosis"]["code"] == "AADSTS7000215"
    assert problem is not None
    assert "Value" in problem.fix


@pytest.mark.parametrize("provider", PROVIDERS)
def test_reconnecting_keeps_the_account(world: World, provider: Literal["microsoft", "google"]) -> None:
    account = world.connected(provider)

    outcome = world.sign_in(account)

    grant = world.grants_table.get(account.id)
    assert outcome["outcome"] == "connected"
    assert grant is not None
    assert grant.version == 2
    assert world.access_tokens.fresh(account.id, failed_version=1).version == 2


def test_reconnecting_as_somebody_else_leaves_the_good_grant(world: World) -> None:
    account = world.connected("google")
    world.control.register_user("mallory@mail.example", provider="google")

    outcome = world.sign_in(account, "mallory@mail.example")

    assert outcome["outcome"] == "wrong_mailbox"
    assert world.access_tokens.fresh(account.id).version == 1


def test_a_connect_link_dies_with_its_success(world: World) -> None:
    account = world.account(world.connector("google"))
    token = world.invite(account)
    begun = world.connect.begin(token)
    params = world.approve(begun["authorize_url"], account.address)
    world.connect.complete(account.connector, params, begun["cookie"])

    with pytest.raises(NotFound) as refused:
        world.connect.begin(token)

    assert refused.value.error_code == "link_used"


def test_a_connect_link_survives_a_sign_in_that_failed(world: World) -> None:
    account = world.account(world.connector("google"))
    token = world.invite(account)
    begun = world.connect.begin(token)
    params = world.approve(begun["authorize_url"], account.address, accept=False)
    world.connect.complete(account.connector, params, begun["cookie"])

    assert world.connect.begin(token)["authorize_url"]


def test_O21_a_connect_link_begins_twenty_sign_ins_at_most(world: World) -> None:
    token = world.invite(world.account(world.connector("google")))
    for _ in range(20):
        world.connect.begin(token)

    for refused in (world.connect.begin, world.registry.page):
        with pytest.raises(NotFound) as raised:
            refused(token)
        assert raised.value.error_code == "link_exhausted"


def test_two_sign_ins_of_one_browser_both_come_back(world: World) -> None:
    first, second = (world.account(world.connector("google")) for _ in range(2))
    begun = world.connect.begin(world.invite(first))
    again = world.connect.begin(world.invite(second), begun["cookie"])
    cookie = again["cookie"]  # what the browser holds now

    outcomes = [
        world.connect.complete(
            account.connector, world.approve(one["authorize_url"], account.address), cookie
        )["outcome"]
        for account, one in ((first, begun), (second, again))
    ]

    assert outcomes == ["connected", "connected"]


@pytest.mark.parametrize("cookie", ["", "x" * 42, "x" * 44, "é" * 43], ids=["empty", "short", "long", "é"])
def test_a_cookie_of_another_shape_is_replaced(world: World, cookie: str) -> None:
    account = world.account(world.connector("google"))

    begun = world.connect.begin(world.invite(account), cookie)

    assert begun["cookie"] != cookie
    assert len(begun["cookie"]) == 43


def test_a_connect_link_ends_after_seven_days(world: World) -> None:
    token = world.invite(world.account(world.connector("google")))
    assert world.registry.page(token).asked_by == "Tests"
    world.later = 7 * DAY + 1

    with pytest.raises(NotFound) as refused:
        world.registry.page(token)

    assert refused.value.error_code == "link_expired"


def test_a_result_names_mailboxes_only_to_its_own_browser(world: World) -> None:
    account = world.account(world.connector("google"))
    url, cookie = world.begin(account)
    outcome = world.connect.complete(account.connector, world.approve(url, account.address), cookie)

    own = world.registry.outcome(outcome["authorization"], cookie)
    foreign = world.registry.outcome(outcome["authorization"], "another")

    assert own["expected"] == account.address
    assert foreign == {"outcome": "connected", "authorization": outcome["authorization"]}


def test_the_redirect_uri_comes_from_the_public_url(world: World) -> None:
    account = world.account(world.connector("microsoft"))

    url, _ = world.begin(account)

    assert f"{PUBLIC_URL}/oauth/callback/{account.connector}".replace(":", "%3A").replace("/", "%2F") in url
    assert "code_challenge_method=S256" in url
    assert "response_type=code" in url


@pytest.mark.parametrize("provider", PROVIDERS)
def test_o14_no_secret_is_logged(
    world: World, provider: Literal["microsoft", "google"], caplog: pytest.LogCaptureFixture
) -> None:
    account = world.account(world.connector(provider))
    caplog.set_level("INFO")
    for library in ("msal", "google", "requests", "urllib3", "mailgrant"):
        caplog.set_level("DEBUG", logger=library)

    url, cookie = world.begin(account)
    logged = caplog.text
    params = world.approve(url, account.address)
    caplog.clear()  # what the browser logged
    world.connect.complete(account.connector, params, cookie)
    refreshed = world.access_tokens.fresh(account.id, failed_version=1)

    grant = world.grants_table.get(account.id)
    assert grant is not None
    hidden = [
        params["code"][0],
        params["state"][0],
        cookie,
        refreshed.value.reveal(),
        world.keeper.reveal(grant).reveal(),
        world.secrets.get(account.connector).reveal(),
    ]
    logged += caplog.text
    assert "refreshed" in logged
    assert [secret for secret in hidden if secret in logged] == []
