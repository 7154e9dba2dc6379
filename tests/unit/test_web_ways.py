"""Every way to connect a mailbox, over the API."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.clock import MINUTE
from chalicelib.errors import Diagnosed, NotFound
from chalicelib.ids import new_id
from sandbox.cast import other_facts
from sandbox.credentials import ClientCertificate, ServiceAccountKey
from tests.unit.api_world import Api
from tests.unit.applications import GMAIL, TENANT, WORKSPACE, application, service_account
from tests.unit.test_telling import listening

if TYPE_CHECKING:
    from sandbox.mailserver.client import MailServerClient
    from sandbox.mailserver.server import MailServer
    from tests.unit.accounts_world import World

pytestmark = pytest.mark.aws


@pytest.fixture
def world(mailing: World) -> World:
    """The services of a deployment whose providers have a mail server."""
    return mailing


@pytest.fixture
def api(world: World) -> Api:
    """The API, asked by an administrator."""
    return Api(world)


@pytest.fixture
def facts(world: World, mail_server: MailServer) -> dict[str, Any]:
    """What a connector says of the provider that follows the standards."""
    url = world.settings.provider_endpoints["microsoft"]["login"]
    return other_facts(url, mail_server.other)


def someone(domain: str = "mail.example") -> str:
    """A new address."""
    return f"someone-{secrets.token_hex(4)}@{domain}"


def new_account(world: World, api: Api, connector: str, **asked: Any) -> dict[str, Any]:
    """The answer to the request for an account of a mailbox that the tenant or Workspace has."""
    provider = world.registry.connector(connector).provider
    domain = TENANT if provider == "microsoft" else WORKSPACE
    address = someone(domain)
    world.control.register_user(address, provider=provider, tenant=domain)
    return api.done("POST", "/accounts", {"connector": connector, "address": address, **asked})


def with_password(world: World, address: str) -> str:
    """An app password of a new mailbox."""
    password = secrets.token_urlsafe(24)
    world.control.register_user(address, provider="openid", app_password=password)
    return password


def passwords_only(api: Api, facts: dict[str, Any]) -> str:
    """A connector without a client."""
    asked = {"provider": "other", "name": "Own server", "credential": "none", "facts": facts}
    return str(api.done("POST", "/connectors", asked)["id"])


# Providers


def test_the_catalogue_is_listed_with_the_scopes_to_copy(api: Api) -> None:
    listed = {one["name"]: one for one in api.done("GET", "/providers")["providers"]}

    microsoft, other = listed["microsoft"], listed["other"]
    assert [one["cloud"] for one in microsoft["clouds"]] == ["global", "gcc_high", "dod", "china"]
    assert "client_credentials" in microsoft["auth_modes"]
    for cloud in microsoft["clouds"]:
        assert set(cloud["protocol_scopes"].values()) <= set(cloud["scopes"].split())
        assert cloud["smtp"]["host"]
    assert (other["clouds"][0]["smtp"], other["clouds"][0]["scopes"]) == (None, "")


# Connectors


def test_a_certificate_is_saved_and_only_its_name_is_shown(world: World, api: Api) -> None:
    made, client_id = ClientCertificate.create(), f"app-{secrets.token_hex(4)}"
    world.control.register_client(
        client_id, "", [], "microsoft", tenant=TENANT, keys=[made.certificate], roles=["SMTP.SendAsApp"]
    )
    asked = {"provider": "microsoft", "client_id": client_id, "tenant": TENANT}

    answer = api.done("POST", "/connectors", {**asked, "certificate": {"pem": made.pem}})

    assert (answer["credential"], answer["check"]) == ("certificate", {"ok": True})
    assert set(answer["certificate"]) == {"thumbprint", "ends_at"}
    assert "PRIVATE" not in json.dumps(answer)
    assert api.done("GET", f"/connectors/{answer['id']}")["credential"] == "certificate"


def test_a_service_accounts_key_holds_its_client_id(world: World, api: Api) -> None:
    key = ServiceAccountKey.create()
    world.control.register_service_account(key.values, key.public, {WORKSPACE: [GMAIL]})

    answer = api.done("POST", "/connectors", {"provider": "google", "service_account_key": key.text})

    assert (answer["credential"], answer["client_id"]) == ("service_account", key.values["client_id"])
    assert answer["service_account"]["client_email"] == key.values["client_email"]
    assert answer["check"] == {"ok": True}
    assert key.values["private_key"][40:80] not in json.dumps(answer)


def test_where_there_is_no_client_nothing_is_saved_or_asked(api: Api, facts: dict[str, Any]) -> None:
    asked = {"provider": "other", "name": "Own server", "credential": "none", "facts": facts}

    answer = api.done("POST", "/connectors", asked)

    assert (answer["client_id"], answer["secret_saved_at"], answer["check"]) == ("", None, {"ok": None})


def test_the_discovery_document_fills_in_and_own_facts_win(api: Api, facts: dict[str, Any]) -> None:
    own = {name: facts[name] for name in ("smtp_host", "smtp_port", "smtp_tls", "scopes", "required_scopes")}
    asked = {"provider": "other", "client_id": "x", "client_secret": "y", "discovery": facts["issuer"]}

    answer = api.done("POST", "/connectors", {**asked, "facts": {**own, "client_auth": "basic"}})

    assert answer["facts"]["token"] == facts["token"]
    assert answer["facts"]["client_auth"] == "basic"


def test_another_issuers_document_is_not_believed(api: Api, facts: dict[str, Any]) -> None:
    asked = {"provider": "other", "client_id": "x", "client_secret": "y", "facts": facts}

    error = api.refused("POST", "/connectors", {**asked, "discovery": f"{facts['issuer']}/nowhere"})

    assert (error["status"], error["field"]) == (422, "discovery")


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"provider": "microsoft", "client_id": "x"}, "client_secret"),
        ({"provider": "microsoft", "client_id": "x", "credential": "certificate"}, "certificate"),
        ({"provider": "microsoft", "client_secret": "x"}, "client_id"),
        ({"provider": "google", "service_account_key": "{}"}, "service_account_key"),
        ({"provider": "google", "client_id": "x", "client_secret": "x", "cloud": "china"}, "cloud"),
        ({"provider": "google", "client_id": "x", "client_secret": "x", "scopes": ["EWS.All"]}, "scopes"),
        ({"provider": "google", "client_id": "x", "client_secret": "x", "facts": {"x": 1}}, "facts"),
        ({"provider": "google", "client_id": "x", "certificate": {"pem": "x"}}, "credential"),
    ],
)
def test_what_is_missing_or_does_not_fit_is_named(api: Api, asked: dict[str, Any], field: str) -> None:
    before = api.done("GET", "/connectors")

    error = api.refused("POST", "/connectors", {"name": "x", **asked})

    assert error["field"] == field
    assert api.done("GET", "/connectors") == before


def test_scopes_and_facts_are_changed(world: World, api: Api) -> None:
    connector = world.connector("microsoft")
    path = f"/connectors/{connector.id}"
    imap = world.catalogue["microsoft"].protocol_scopes["imap"]

    chosen = api.done("PATCH", path, {"scopes": [imap]})
    moved = api.done("PATCH", path, {"facts": {**chosen["facts"], "smtp_port": 465}})

    assert chosen["facts"]["required_scopes"] == [imap]
    assert (moved["facts"]["required_scopes"], moved["facts"]["smtp_port"]) == ([imap], 465)
    assert world.catalogue.of(world.registry.connector(connector.id)).smtp_port == 465


def test_other_endpoints_are_refused_while_accounts_are_connected(world: World, api: Api) -> None:
    account = world.connected("google")

    error = api.refused(
        "PATCH", f"/connectors/{account.connector}", {"facts": {"token": "https://elsewhere.example/token"}}
    )

    assert error["code"] == "connector_in_use"


def test_V11_a_certificate_takes_the_place_of_a_secret_over_the_api(world: World, api: Api) -> None:
    connector = application(world)
    made = ClientCertificate.create()
    world.control.register_client(
        connector.client_id, "", [], "microsoft", tenant=TENANT, keys=[made.certificate]
    )

    answer = api.done("PUT", f"/connectors/{connector.id}/secret", {"certificate": {"pem": made.pem}})

    assert (answer["credential"], answer["check"]["ok"]) == ("certificate", True)
    assert answer["certificate"]["ends_at"]


def test_the_doctor_examines_a_connector(world: World, api: Api) -> None:
    found = api.done("GET", f"/connectors/{world.connector('google').id}/doctor")

    assert found["checks"]
    assert {one["result"] for one in found["checks"]} <= {"pass", "warn", "fail", "skip"}


# Accounts


def test_an_account_without_an_owner_is_connected_at_once(
    world: World, api: Api, mail: MailServerClient
) -> None:
    connector = service_account(world)

    answer = new_account(world, api, connector.id)

    assert answer["connection"]["ok"] is True
    assert [step["step"] for step in answer["connection"]["steps"]][-2:] == ["auth", "quit"]
    assert (answer["auth_mode"], answer["status"]) == ("service_account", "connected")
    assert "connect_link" not in answer
    assert mail.messages() == []


def test_an_account_that_could_not_be_connected_stays_and_says_how_to_go_on(
    world: World, api: Api, mail: MailServerClient
) -> None:
    connector = application(world)

    answer = new_account(world, api, connector.id, auth_mode="client_credentials")
    path = f"/accounts/{answer['id']}/connect"
    again = api.done("POST", path, {})
    mail.mailbox(answer["address"], applications=[connector.client_id])
    mended = api.done("POST", path, {})

    connection = answer["connection"]
    assert (connection["ok"], connection["connected"], answer["status"]) == (False, False, "disconnected")
    assert connection["diagnosis"]["fix"]
    assert path in connection["next"]
    assert again["connection"]["ok"] is False
    assert (mended["connection"]["ok"], mended["status"]) == (True, "connected")
    assert "next" not in mended["connection"]


def test_an_account_is_made_first_and_its_doctor_says_what_to_prepare(world: World, api: Api) -> None:
    connector = application(world)

    made = new_account(world, api, connector.id, auth_mode="client_credentials", connect=False)
    by_link = new_account(world, api, connector.id, connect=False)
    asked = len(world.control.token_requests())
    examined = api.done("GET", f"/accounts/{made['id']}/doctor")

    assert (made["auth_mode"], made["status"]) == ("client_credentials", "disconnected")
    assert not {"connection", "connect_link"} & (made.keys() | by_link.keys())
    assert any(made["address"] in line for one in examined["instructions"] for line in one["lines"])
    assert len(world.control.token_requests()) == asked


def test_a_password_connects_and_is_never_shown(world: World, api: Api, facts: dict[str, Any]) -> None:
    connector, address = passwords_only(api, facts), someone()
    password = with_password(world, address)
    asked = {"connector": connector, "address": address}

    wrong = api.done("POST", "/accounts", {**asked, "password": f"not-{password}"})
    right = api.done("POST", f"/accounts/{wrong['id']}/connect", {"password": password})

    assert (wrong["auth_mode"], wrong["connection"]["diagnosis"]["class"]) == ("password", "reconnect")
    assert (right["status"], right["connection"]["ok"]) == ("connected", True)
    assert password not in json.dumps([wrong, right, api.done("GET", f"/accounts/{wrong['id']}")])


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "password"),
        ({"auth_mode": "password"}, "password"),
        ({"password": "x" * 8193}, "password"),
        ({"auth_mode": "client_credentials", "password": "x"}, "auth_mode"),
        ({"auth_mode": "password", "password": "x", "refresh_token": "y"}, "refresh_token"),
        ({"password": "x", "signs_in_as": "nobody"}, "signs_in_as"),
        ({"password": "x", "from_addresses": ["a@example.com", "b"]}, "from_addresses[1]"),
    ],
)
def test_an_account_that_cannot_be_connected_is_not_made(
    api: Api, facts: dict[str, Any], asked: dict[str, Any], field: str
) -> None:
    connector = passwords_only(api, facts)

    error = api.refused("POST", "/accounts", {"connector": connector, "address": someone(), **asked})

    assert error["field"] == field
    assert api.done("GET", f"/connectors/{connector}")["accounts"] == []


def test_what_an_account_may_do_is_shown_and_changed(world: World, api: Api) -> None:
    connector = world.connector("google")
    described = {
        "signs_in_as": "ada@example.com",
        "smtp_user": "ada",
        "from_policy": "rewrite",
        "from_addresses": ["sales@example.com"],
        "always_name": True,
    }
    asked = {"connector": connector.id, "address": someone(), **described}

    made = api.done("POST", "/accounts", asked)
    path = f"/accounts/{made['id']}"
    changed = api.done("PATCH", path, {"from_addresses": [], "always_name": False})
    other = api.done("PATCH", path, {"signs_in_as": "bob@example.com"})

    assert {name: made[name] for name in described} == described
    assert made["connect_link"]
    assert (changed["from_addresses"], changed["always_name"]) == ([], False)
    assert (changed["from_policy"], changed["smtp_user"]) == ("rewrite", "ada")
    assert (other["signs_in_as"], other["smtp_user"]) == ("bob@example.com", "")


def test_there_is_no_connect_link_where_nobody_can_consent(world: World, api: Api) -> None:
    account = new_account(world, api, service_account(world).id)

    error = api.refused("POST", f"/accounts/{account['id']}/connect-link", {})

    assert (error["status"], error["field"]) == (422, "auth_mode")


def test_the_auth_mode_is_switched_and_had_back(world: World, api: Api, mail: MailServerClient) -> None:
    account = world.connected("microsoft")
    password = secrets.token_urlsafe(24)
    world.control.register_user(account.address, provider="microsoft", app_password=password)
    path = f"/accounts/{account.id}"

    switched = api.done("POST", f"{path}/connect", {"password": password})
    back = api.done("POST", f"{path}/rollback")

    assert (switched["auth_mode"], switched["connection"]["ok"]) == ("password", True)
    assert (back["auth_mode"], back["connection"]["ok"]) == ("authorization_code", True)


def test_an_account_that_was_not_switched_cannot_be_had_back(world: World, api: Api) -> None:
    account = world.connected("google")

    error = api.refused("POST", f"/accounts/{account.id}/rollback")

    assert (error["status"], error["code"]) == (409, "nothing_to_roll_back")


def test_a_smtp_user_stays_when_the_account_is_connected_anew(
    world: World, api: Api, mail: MailServerClient
) -> None:
    old = world.connected("microsoft")
    grant = world.grants_table.get(old.id)
    assert grant is not None
    asked = {"connector": old.connector, "address": old.address, "name": new_id("key")}

    answer = api.done(
        "POST",
        "/accounts",
        {**asked, "smtp_user": old.address.upper(), "refresh_token": world.keeper.reveal(grant).reveal()},
    )

    assert (answer["connection"]["ok"], answer["smtp_user"]) == (True, old.address.upper())


def test_an_account_without_an_owner_comes_back_without_a_link(world: World, api: Api) -> None:
    account = new_account(world, api, service_account(world).id)
    path = f"/accounts/{account['id']}"
    api.done("DELETE", path)

    restored = api.done("POST", f"{path}/restore")
    connected = api.done("POST", f"{path}/connect", {})

    assert "connect_link" not in restored
    assert connected["status"] == "connected"


def test_of_a_shared_mailbox_the_person_is_asked_to_sign_in(world: World, api: Api) -> None:
    person, somebody = someone(), someone()
    for address in (person, somebody):
        world.control.register_user(address, provider="google")
    asked = {"connector": world.connector("google").id, "address": someone(), "signs_in_as": person}
    account = world.registry.account(api.done("POST", "/accounts", asked)["id"])

    page = world.registry.page(world.invite(account))
    wrong = world.sign_in(account, somebody)
    right = world.sign_in(account, person)

    assert (page.address, page.signs_in_as) == (asked["address"], person)
    assert (wrong["outcome"], wrong["expected"]) == ("wrong_mailbox", person)
    assert right["outcome"] == "connected"


def test_owners_are_told_a_name_that_they_know(world: World, facts: dict[str, Any]) -> None:
    def called(provider: str, **more: Any) -> str:
        connector = world.registry.new_connector(provider, "Ours", "x", **more)
        account = world.registry.create_account(world.registry.add_connector(connector).id, someone())
        return world.registry.page(world.invite(account)).provider

    assert called("other", facts=facts) == "Ours"
    assert called("yahoo") == "Yahoo Mail"
    assert called("google") == "Google"


def test_nobody_visits_an_account_without_an_owner(world: World, api: Api) -> None:
    account = new_account(world, api, service_account(world).id)

    with pytest.raises(NotFound) as refused:
        world.connect.begin_visit(account["id"])

    assert refused.value.error_code == "nothing_connected"


def test_an_account_is_verified_by_another_protocol_and_examined(world: World, api: Api) -> None:
    account = new_account(world, api, service_account(world).id)
    path = f"/accounts/{account['id']}"

    unknown = api.refused("POST", f"{path}/verify?protocol=nntp")
    seen = api.done("POST", f"{path}/verify?protocol=smtp")
    found = api.done("GET", f"{path}/doctor")

    assert unknown["field"] == "protocol"
    assert (seen["ok"], seen["protocol"], seen["smtp_user"]) == (True, "smtp", account["address"])
    assert {one["result"] for one in found["checks"]} <= {"pass", "warn", "fail", "skip"}


def test_the_news_of_an_account_without_an_owner_say_what_an_administrator_does(
    world: World, api: Api, facts: dict[str, Any]
) -> None:
    bus = listening(world)
    asked = {"connector": passwords_only(api, facts), "address": (address := someone())}
    account = api.done("POST", "/accounts", {**asked, "password": with_password(world, address)})
    for _ in range(2):
        with pytest.raises(Diagnosed):
            world.access_tokens.fresh(account["id"], failed_version=100)
        world.later += 6 * MINUTE

    world.tokens.refresh([account["id"]], until=world.now() + MINUTE)

    ((_, detail),) = bus.heard
    assert f"/v1/accounts/{account['id']}/connect" in detail["to_do"]
    assert "connect_link" not in detail
    assert detail["diagnosis"]["code"] == "password_refused"
