"""Accounts over the API: their names, and what becomes of them there."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from chalicelib.callers.models import Scope
from chalicelib.clock import DAY, HOUR, MINUTE
from chalicelib.errors import Conflict, NotFound
from tests.unit.accounts_world import world
from tests.unit.api_world import Api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.accounts.models.account import Account
    from tests.unit.accounts_world import World

__all__ = ["world"]

ACTIONS = ("pause", "resume", "verify", "disconnect")


@pytest.fixture
def api(world: World) -> Api:
    """The API, asked by an administrator."""
    return Api(world)


def new_name() -> str:
    """A name that no account has."""
    return f"sales {secrets.token_hex(4)}"


# Names


def test_an_account_is_found_by_its_new_name_and_no_longer_by_the_old_one(world: World, api: Api) -> None:
    account, name = world.account(world.connector("google")), new_name()

    changed = api.done("PATCH", f"/accounts/{account.name}", {"name": name, "display_name": "Sales"})
    taken = world.registry.create_account(account.connector, account.address, account.name)

    assert (changed["id"], changed["name"], changed["display_name"]) == (account.id, name, "Sales")
    assert api.done("GET", f"/accounts/{name.upper().replace(' ', '%20')}")["id"] == account.id
    assert api.done("GET", f"/accounts/{account.name}")["id"] == taken.id


def test_a_name_of_another_account_is_refused(world: World, api: Api) -> None:
    account = world.account(world.connector("google"))
    other = world.account(world.connector("google"))

    error = api.refused("PATCH", f"/accounts/{account.id}", {"name": other.name.upper()})

    assert (error["status"], error["code"], error["field"]) == (409, "name_taken", "name")
    assert world.registry.account(account.name) == account
    assert world.registry.account(other.name) == other


def test_letters_of_a_name_become_large_and_small(world: World, api: Api) -> None:
    account = world.account(world.connector("google"))

    changed = api.done("PATCH", f"/accounts/{account.id}", {"name": account.name.upper()})

    assert changed["name"] == account.name.upper()
    assert world.registry.account(account.name).id == account.id


def test_what_is_left_out_stays_and_an_empty_display_name_is_none(world: World, api: Api) -> None:
    account = world.account(world.connector("google"))
    path = f"/accounts/{account.id}"

    named = api.done("PATCH", path, {"display_name": "Sales"})
    unchanged = api.done("PATCH", path, {})
    unnamed = api.done("PATCH", path, {"display_name": ""})

    assert [one["display_name"] for one in (named, unchanged, unnamed)] == ["Sales", "Sales", ""]
    assert unnamed["name"] == account.name


def test_two_changes_of_one_name_at_once_are_not_mixed(world: World) -> None:
    account = world.account(world.connector("google"))
    first = world.changing.change_account(account, name=new_name())

    with pytest.raises(Conflict, match="at the same moment"):
        world.changing.change_account(account, name=new_name())

    assert world.registry.account(first.name).name == first.name


# Actions


def test_an_account_is_paused_and_resumed_over_the_api(world: World, api: Api) -> None:
    account = world.connected("google")

    paused = api.done("POST", f"/accounts/{account.id}/pause", {"reason": "an audit"})
    resumed = api.done("POST", f"/accounts/{account.id}/resume")
    silently = api.done("POST", f"/accounts/{account.id}/pause")

    assert paused["status"] == "paused"
    assert (paused["paused"]["by"], paused["paused"]["reason"]) == (api.caller.id, "an audit")
    assert paused["paused"]["at"]
    assert (resumed["status"], resumed["paused"]) == ("connected", None)
    assert silently["paused"]["reason"] == ""


def test_a_paused_accounts_token_is_kept_alive(world: World, api: Api) -> None:
    account = world.connected("microsoft")
    api.done("POST", f"/accounts/{account.id}/pause")
    world.later = 60 * DAY

    world.tokens.refresh([account.id], until=world.now() + DAY)

    assert world.refreshes(account) == 1
    assert world.read(account).paused_by is not None


def test_an_account_is_disconnected_over_the_api(world: World, api: Api) -> None:
    account = world.connected("google")

    done = api.done("POST", f"/accounts/{account.name}/disconnect")
    shown = api.done("GET", f"/accounts/{account.id}")

    assert (done["status"], done["revocation"], done["withdraw"]) == ("disconnected", "revoked", [])
    assert done["disconnected"]["by"] == api.caller.id
    assert shown["disconnected"] == {**done["disconnected"], "revocation": "revoked"}


@pytest.mark.parametrize("action", ACTIONS)
def test_only_an_administrator_of_the_account_does_anything_to_it(world: World, action: str) -> None:
    account, other = (world.account(world.connector("google")) for _ in range(2))
    path = f"/accounts/{account.id}"

    reader = Api(world, Scope.READ, Scope.SEND, accounts=(account.id,))
    stranger = Api(world, Scope.ADMIN, accounts=(other.id,))

    assert reader.refused("POST", f"{path}/{action}")["code"] == "scope_missing"
    assert reader.refused("PATCH", path, {"name": "x"})["code"] == "scope_missing"
    assert stranger.refused("POST", f"{path}/{action}")["code"] == "account_not_found"
    assert stranger.refused("PATCH", path, {"name": "x"})["code"] == "account_not_found"


# The end


def test_a_deleted_account_is_gone_with_its_tokens_and_its_name_stays_taken(world: World, api: Api) -> None:
    account = world.connected("google")

    done = api.done("DELETE", f"/accounts/{account.id}")

    left = datetime.fromisoformat(done["restorable_until"]) - datetime.now(UTC)
    assert (done["deleted"], done["revocation"]) == (True, "revoked")
    assert timedelta(days=6) < left <= timedelta(days=7)
    assert world.grants_table.get(account.id) is None
    for method, path in (("GET", ""), ("POST", "/connect-link"), ("POST", "/disconnect"), ("DELETE", "")):
        assert api.refused(method, f"/accounts/{account.name}{path}")["code"] == "account_not_found"
    with pytest.raises(Conflict):
        world.registry.create_account(account.connector, account.address, account.name)


def test_a_deleted_account_is_in_no_list(world: World, api: Api) -> None:
    kept, deleted = (world.account(world.connector("google")) for _ in range(2))
    api.done("DELETE", f"/accounts/{deleted.id}")

    own = Api(world, Scope.READ, accounts=(kept.id, deleted.id)).done("GET", "/accounts")
    everything = [account.id for account in every_account(world)]
    of_connector = api.done("GET", f"/connectors/{deleted.connector}")

    assert [account["id"] for account in own["accounts"]] == [kept.id]
    assert kept.id in everything
    assert deleted.id not in everything
    assert of_connector["accounts"] == []


def every_account(world: World) -> Iterator[Account]:
    """All accounts, page by page."""
    cursor: str | None = None
    while True:
        found, cursor = world.registry.accounts(100, cursor)
        yield from found
        if cursor is None:
            return


@pytest.mark.parametrize("by", ["id", "name"])
def test_a_deletion_is_taken_back_within_seven_days_and_the_owner_connects_again(
    world: World, api: Api, by: str
) -> None:
    account = world.connected("google")
    api.done("DELETE", f"/accounts/{account.id}")
    world.later = 7 * DAY - MINUTE

    restored = api.done("POST", f"/accounts/{getattr(account, by)}/restore")
    again = api.done("POST", f"/accounts/{getattr(account, by)}/restore")

    assert (restored["id"], restored["name"]) == (account.id, account.name)
    assert restored["status"] == again["status"] == "disconnected"
    assert restored["connect_link"]
    assert world.registry.account(account.name).deleted_at is None
    assert world.sign_in(account)["outcome"] == "connected"


def test_after_seven_days_the_account_does_not_come_back_and_its_name_is_free(world: World, api: Api) -> None:
    account = world.account(world.connector("google"))
    api.done("DELETE", f"/accounts/{account.id}")
    world.later = 7 * DAY + MINUTE

    error = api.refused("POST", f"/accounts/{account.id}/restore")
    new = world.registry.create_account(account.connector, account.address, account.name)

    assert (error["status"], error["code"]) == (409, "not_restorable")
    assert world.registry.account(account.name).id == new.id


def test_a_connector_waits_until_none_of_its_accounts_can_come_back(world: World, api: Api) -> None:
    account = world.account(world.connector("google"))
    api.done("DELETE", f"/accounts/{account.id}")
    path = f"/connectors/{account.connector}"

    refused = api.refused("DELETE", path)
    world.later = 8 * DAY
    done = api.done("DELETE", path)

    assert f"{account.name} (deleted)" in refused["message"]
    assert done["deleted"] is True


def test_a_sign_in_that_comes_back_to_a_deleted_account_saves_nothing(world: World, api: Api) -> None:
    account = world.account(world.connector("google"))
    url, cookie = world.begin(account)
    params = world.approve(url, account.address)
    api.done("DELETE", f"/accounts/{account.id}")

    with pytest.raises(NotFound):
        world.connect.complete(account.connector, params, cookie)

    assert world.grants_table.get(account.id) is None


def test_O20_waiting_mail_of_a_deleted_account_is_given_up(world: World, api: Api) -> None:
    account = world.connected("google")
    message = {"account": account.id, "to": ["bob@example.net"], "text": "hello"}
    accepted = api.done("POST", "/messages", message)["id"]

    api.done("DELETE", f"/accounts/{account.id}")
    world.relay.run(account.id, until=world.now() + HOUR)

    record = api.done("GET", f"/messages/{accepted}")
    assert record["state"] == "failed"
    assert record["attempts"][-1]["diagnosis"]["code"] == "account_gone"


def test_only_who_administers_everything_deletes_accounts(world: World) -> None:
    account = world.account(world.connector("google"))
    api = Api(world, Scope.ADMIN, accounts=(account.id,))

    errors = [
        api.refused("DELETE", f"/accounts/{account.id}"),
        api.refused("POST", f"/accounts/{account.id}/restore"),
    ]

    assert [error["code"] for error in errors] == ["all_accounts_needed"] * 2
