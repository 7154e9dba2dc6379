"""Connectors over the API: their accounts, another client, another secret, and their end."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import pytest

from chalicelib.callers.models import Scope
from chalicelib.clock import HOUR
from chalicelib.ids import new_id
from tests.unit.accounts_world import world
from tests.unit.api_world import Api

if TYPE_CHECKING:
    from chalicelib.accounts.models.connector import Connector
    from tests.unit.accounts_world import World

__all__ = ["world"]

PROVIDERS: list[Literal["microsoft", "google"]] = ["microsoft", "google"]
MICROSOFTS_SECRET_ID = "7b0cd24e-51b5-4f8e-9d3e-6f1f9f1f2a11"
GOOGLES_CLIENT_ID = "1234-abcd.apps.googleusercontent.com"


@pytest.fixture
def api(world: World) -> Api:
    """The API, asked by an administrator."""
    return Api(world)


def version(world: World, connector: Connector, stage: str) -> str:
    """The secret that is AWSCURRENT or AWSPREVIOUS."""
    name = world.settings.secret_name(connector.id)
    found = world.clients.secretsmanager.get_secret_value(SecretId=name, VersionStage=stage)
    return found["SecretString"]


def at_provider(world: World, connector: Connector, secret: str) -> str:
    """Gives the connector's client that secret at the provider, as an administrator does in its console."""
    redirect_uri = f"{world.public_url()}/oauth/callback/{connector.id}"
    world.control.register_client(connector.client_id, secret, [redirect_uri], connector.provider)  # type: ignore[arg-type]
    return secret


def new_secret() -> str:
    """A secret that no client has yet."""
    return secrets.token_urlsafe(24)


# Accounts of a connector


def test_a_connector_lists_its_accounts_page_by_page(world: World, api: Api) -> None:
    connector = world.connector("google")
    other = world.account(world.connector("google"))
    accounts = sorted(world.account(connector).id for _ in range(3))

    first = api.done("GET", f"/connectors/{connector.id}?limit=2")
    second = api.done("GET", f"/connectors/{connector.id}?limit=2&cursor={first['cursor']}")

    assert [account["id"] for account in (*first["accounts"], *second["accounts"])] == accounts
    assert other.id not in accounts
    assert second["cursor"] is None
    assert first["accounts"][0].keys() == {"id", "name", "address", "status"}
    assert first["accounts"][0]["status"] == "disconnected"


def test_a_caller_sees_only_its_own_accounts_of_a_connector(world: World) -> None:
    connector = world.connector("google")
    own, _ = world.account(connector), world.account(connector)

    shown = Api(world, Scope.READ, accounts=(own.id,)).done("GET", f"/connectors/{connector.id}")

    assert [account["id"] for account in shown["accounts"]] == [own.id]


def test_a_cursor_that_is_none_is_named(world: World, api: Api) -> None:
    connector = world.connector("google")

    error = api.refused("GET", f"/connectors/{connector.id}?cursor=x")

    assert (error["status"], error["field"]) == (422, "cursor")


# Changes


def test_a_change_that_another_one_overtook_is_refused_and_loses_nothing(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = world.connector("google")
    describe, path = world.connectors_table.describe, f"/connectors/{connector.id}"
    facts = {"scopes": ["https://mail.google.com/"]}

    def overtaken(before: Connector, changed: Connector) -> bool:
        describe(before, replace(before, facts=facts))
        return describe(before, changed)

    with monkeypatch.context() as patched:
        patched.setattr(world.connectors_table, "describe", overtaken)
        refused = api.refused("PATCH", path, {"name": "Sales"})
    changed = api.done("PATCH", path, {"name": "Sales"})

    assert (refused["status"], refused["code"]) == (409, "conflict")
    assert changed["name"] == "Sales"
    assert world.registry.connector(connector.id).facts == facts


def test_a_connector_gets_another_name_at_any_time(world: World, api: Api) -> None:
    account = world.connected("google")

    changed = api.done("PATCH", f"/connectors/{account.connector}", {"name": " Sales "})

    assert changed["name"] == "Sales"
    assert world.registry.connector(account.connector).name == "Sales"
    assert world.read(account).name == account.name


@pytest.mark.parametrize("change", [{"client_id": "other"}, {"tenant": "contoso.com"}], ids=repr)
def test_another_client_is_refused_while_accounts_are_connected_with_the_old_one(
    world: World, api: Api, change: dict[str, str]
) -> None:
    account = world.connected("microsoft")
    waiting = world.account(world.registry.connector(account.connector))
    path = f"/connectors/{account.connector}"

    refused = api.refused("PATCH", path, change)
    world.disconnecting.disconnect(account.id, by="tests")
    changed = api.done("PATCH", path, change)

    assert (refused["status"], refused["code"]) == (409, "connector_in_use")
    assert account.name in refused["message"]
    assert waiting.name not in refused["message"]
    assert change.items() <= changed.items()


def test_the_same_client_again_is_no_other_client(world: World, api: Api) -> None:
    account = world.connected("microsoft")
    connector = world.registry.connector(account.connector)

    again = {"client_id": connector.client_id, "tenant": connector.tenant.upper(), "name": "x"}

    assert api.done("PATCH", f"/connectors/{connector.id}", again)["name"] == "x"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"client_id": "a b"}, "client_id"),
        ({"tenant": "contoso.com"}, "tenant"),
        ({"provider": "microsoft"}, "provider"),
        ({"client_secret": "x"}, "client_secret"),
        ({"name": None}, "name"),
    ],
    ids=repr,
)
def test_a_change_that_is_none_is_named(world: World, api: Api, change: dict[str, Any], field: str) -> None:
    connector = world.connector("google")

    error = api.refused("PATCH", f"/connectors/{connector.id}", change)

    assert (error["status"], error["field"]) == (422, field)
    assert world.registry.connector(connector.id) == connector


# Secrets


@pytest.mark.parametrize("provider", PROVIDERS)
def test_V11_a_new_secret_that_the_provider_takes_replaces_the_old_one_which_is_kept(
    world: World, api: Api, provider: Literal["microsoft", "google"]
) -> None:
    connector = world.connector(provider)
    old = version(world, connector, "AWSCURRENT")
    new = at_provider(world, connector, new_secret())

    done = api.done("PUT", f"/connectors/{connector.id}/secret", {"client_secret": new})

    assert done["check"] == {"ok": True}
    assert done["previous_kept"] is True
    assert (version(world, connector, "AWSCURRENT"), version(world, connector, "AWSPREVIOUS")) == (new, old)
    assert new not in str(done)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_V11_a_secret_that_the_provider_does_not_take_leaves_the_old_one(
    world: World, api: Api, provider: Literal["microsoft", "google"]
) -> None:
    connector = world.connector(provider)
    old = version(world, connector, "AWSCURRENT")

    error = api.refused("PUT", f"/connectors/{connector.id}/secret", {"client_secret": new_secret()})

    code = "AADSTS7000215" if provider == "microsoft" else "invalid_client"
    assert (error["status"], error["code"], error["field"]) == (422, "secret_refused", "client_secret")
    assert code in error["message"]
    assert ("Value" in error["fix"]) == (provider == "microsoft")
    assert version(world, connector, "AWSCURRENT") == old


@pytest.mark.parametrize(
    ("provider", "secret"), [("microsoft", MICROSOFTS_SECRET_ID), ("google", GOOGLES_CLIENT_ID)]
)
def test_an_id_in_the_place_of_a_secret_is_told_without_asking_the_provider(
    world: World, api: Api, provider: Literal["microsoft", "google"], secret: str
) -> None:
    connector = world.connector(provider)
    before = len(world.control.token_requests())

    error = api.refused("PUT", f"/connectors/{connector.id}/secret", {"client_secret": secret})

    assert "secret_is_an_id" in error["message"]
    assert len(world.control.token_requests()) == before


@pytest.mark.parametrize("fault", [{"status": 503}, {"drop": "before"}, {"status": 429}], ids=repr)
def test_a_provider_that_cannot_be_asked_is_tried_again_or_passed_over(
    world: World, api: Api, fault: dict[str, Any]
) -> None:
    connector = world.connector("google")
    old, new = version(world, connector, "AWSCURRENT"), new_secret()
    path = f"/connectors/{connector.id}/secret"
    world.control.inject("token", **fault)

    error = api.refused("PUT", path, {"client_secret": new})
    kept = version(world, connector, "AWSCURRENT")
    done = api.done("PUT", path, {"client_secret": new, "check": False})

    assert (error["status"], kept) == (503, old)
    assert done["check"] == {"ok": None}
    assert version(world, connector, "AWSCURRENT") == new


def test_a_new_secret_ends_the_problem_of_the_old_one(world: World, api: Api) -> None:
    connector = world.connector("microsoft")
    world.credentials.save(connector.id, "another secret")
    world.sign_in(world.account(connector))
    broken = world.registry.connector(connector.id).problem
    new = at_provider(world, connector, new_secret())

    done = api.done("PUT", f"/connectors/{connector.id}/secret", {"client_secret": new})

    assert broken is not None
    assert done["problem"] is None


def test_ug5_the_end_of_a_secret_is_that_of_the_new_one(world: World, api: Api) -> None:
    connector = world.connector("microsoft")
    path, new = f"/connectors/{connector.id}/secret", at_provider(world, connector, new_secret())

    saved_with_end = api.done("PUT", path, {"client_secret": new, "secret_expires_at": "2027-01-31"})
    saved_without = api.done("PUT", path, {"client_secret": new})
    changed = api.done("PATCH", f"/connectors/{connector.id}", {"secret_expires_at": "2027-02-28"})
    emptied = api.done("PATCH", f"/connectors/{connector.id}", {"secret_expires_at": ""})

    ends = [answer["facts"] for answer in (saved_with_end, saved_without, changed, emptied)]
    assert ends == [{"secret_expires_at": "2027-01-31"}, {}, {"secret_expires_at": "2027-02-28"}, {}]


def test_ug5_a_certificate_has_no_end_to_be_told(world: World, api: Api) -> None:
    connector = world.connector("microsoft")
    body = {"credential": "certificate", "certificate": {"pem": "-"}, "secret_expires_at": "2027-01-31"}

    error = api.refused("PUT", f"/connectors/{connector.id}/secret", body)

    assert (error["status"], error["field"]) == (422, "secret_expires_at")
    assert error["fix"] == "Leave it out."


@pytest.mark.parametrize("day", ["2027-02-31", "31.01.2027", "soon", " "])
def test_ug5_a_secret_with_an_end_that_is_no_day_is_not_saved(world: World, api: Api, day: str) -> None:
    connector = world.connector("microsoft")
    old, new = version(world, connector, "AWSCURRENT"), at_provider(world, connector, new_secret())

    error = api.refused(
        "PUT", f"/connectors/{connector.id}/secret", {"client_secret": new, "secret_expires_at": day}
    )

    assert (error["status"], error["field"]) == (422, "secret_expires_at")
    assert version(world, connector, "AWSCURRENT") == old


@pytest.mark.parametrize("provider", PROVIDERS)
def test_ug5_a_refused_client_stays_visible_until_it_is_taken(
    world: World, api: Api, provider: Literal["microsoft", "google"]
) -> None:
    connector = world.connector(provider)
    good = version(world, connector, "AWSCURRENT")
    world.credentials.save(connector.id, new_secret())
    world.connectors_table.rest(connector.id, world.now() + HOUR)
    rest_until = world.registry.connector(connector.id).retry_at
    world.credentials.check(connector.id)
    problem = api.done("GET", f"/connectors/{connector.id}")["problem"]
    assert world.registry.connector(connector.id).retry_at == rest_until
    world.credentials.save(connector.id, good)
    world.credentials.check(connector.id)

    assert problem["class"] == "admin"
    assert api.done("GET", f"/connectors/{connector.id}")["problem"] is None


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_new_connector_is_made_whatever_the_provider_says_of_its_secret(
    world: World, api: Api, provider: str
) -> None:
    body = {"provider": provider, "name": "n", "client_id": new_id("client"), "client_secret": new_secret()}

    made = api.done("POST", "/connectors", body)

    assert made["check"]["ok"] is False
    assert made["check"]["diagnosis"]["class"] == "admin"
    assert made["problem"] is None  # nobody has used it yet: an administrator may register the client now
    assert made["secret_saved_at"]


def test_a_new_connectors_right_secret_is_told(world: World, api: Api) -> None:
    client_id, secret = new_id("client"), new_secret()
    world.control.register_client(client_id, secret, [], "google")
    body = {"provider": "google", "name": "n", "client_id": client_id, "client_secret": secret}

    assert api.done("POST", "/connectors", body)["check"] == {"ok": True}


def test_a_provider_that_is_down_tells_nothing_of_a_new_secret(world: World, api: Api) -> None:
    world.control.inject("token", status=503)
    body = {"provider": "google", "name": "n", "client_id": new_id("client"), "client_secret": new_secret()}

    assert api.done("POST", "/connectors", body)["check"]["ok"] is None


# The end


def test_a_connector_with_accounts_is_not_deleted(world: World, api: Api) -> None:
    account = world.account(world.connector("google"))

    error = api.refused("DELETE", f"/connectors/{account.connector}")

    assert (error["status"], error["code"]) == (409, "connector_in_use")
    assert account.name in error["message"]
    assert world.registry.connector(account.connector).secret_saved_at is not None


def test_a_connector_without_accounts_is_deleted_and_its_secret_can_be_restored_for_a_while(
    world: World, api: Api
) -> None:
    connector = world.connector("google")

    done = api.done("DELETE", f"/connectors/{connector.id}")
    secret = world.clients.secretsmanager.describe_secret(SecretId=world.settings.secret_name(connector.id))

    assert done["deleted"] is True
    assert "DeletedDate" in secret
    left = datetime.fromisoformat(done["secret_recoverable_until"]) - datetime.now(UTC)
    assert timedelta(days=29) < left <= timedelta(days=30)
    assert api.refused("GET", f"/connectors/{connector.id}")["status"] == 404


def test_a_deletion_that_broke_off_is_done_by_asking_again(world: World, api: Api) -> None:
    connector = world.connector("google")
    world.credentials.delete(connector.id)

    assert api.done("DELETE", f"/connectors/{connector.id}")["deleted"] is True
    assert api.refused("DELETE", f"/connectors/{connector.id}")["status"] == 404


def test_who_administers_some_accounts_changes_no_connector(world: World) -> None:
    account = world.account(world.connector("google"))
    api = Api(world, Scope.ADMIN, accounts=(account.id,))
    path = f"/connectors/{account.connector}"

    errors = [
        api.refused("PATCH", path, {"name": "x"}),
        api.refused("DELETE", path),
        api.refused("PUT", f"{path}/secret", {"client_secret": "x"}),
    ]

    assert [(error["status"], error["code"]) for error in errors] == [(403, "all_accounts_needed")] * 3
