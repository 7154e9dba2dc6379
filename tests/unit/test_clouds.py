"""Microsoft in all its ways: clouds, tenants, and several resources from one consent."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib.accounts.models.account import GrantState
from chalicelib.accounts.models.grant import GRAPH, MAIL
from chalicelib.clock import HOUR
from chalicelib.errors import ConfigurationError, Diagnosed, InvalidInput
from chalicelib.providers.catalogue import GOOGLE, MICROSOFT, MICROSOFT_CHINA, Catalogue
from sandbox.provider.microsoft import CONSUMER_TENANT, tenant_id
from tests.unit.applications import CLOUDS, TENANT, application, opened

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from sandbox.mailserver.client import MailServerClient
    from tests.unit.accounts_world import World

SMTP, IMAP, POP = (MICROSOFT.protocol_scopes[name] for name in ("smtp", "imap", "pop"))
SEND = MICROSOFT.protocol_scopes["graph"]


@pytest.fixture
def world(mailing: World) -> World:
    """The services of a deployment whose providers have a mail server, in every cloud."""
    known = mailing.settings.provider_endpoints
    microsoft = known["microsoft"]
    clouds = {
        f"microsoft/{cloud}": {**microsoft, "login": f"{microsoft['login']}/{path}"}
        for cloud, path in CLOUDS.items()
    }
    mailing.settings = replace(mailing.settings, provider_endpoints={**known, **clouds})
    return mailing


def delegated(world: World, tenant: str = "", cloud: str = "global", **facts: Any) -> Connector:
    """A connector whose accounts' owners consent."""
    client_id, secret = f"client-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
    connector = world.registry.new_connector("microsoft", "", client_id, tenant, cloud=cloud, **facts)
    redirect_uri = f"{world.public_url()}/oauth/callback/{connector.id}"
    world.control.register_client(
        client_id, secret, [redirect_uri], "microsoft", cloud=CLOUDS.get(cloud, "global")
    )
    world.credentials.save(connector.id, secret)
    return world.registry.add_connector(connector)


def connected(world: World, connector: Connector, **person: Any) -> Account:
    """An account of the connector that its owner has connected."""
    address = f"ada-{secrets.token_hex(4)}@{TENANT}"
    world.control.register_user(address, provider="microsoft", **person)
    account = world.registry.create_account(connector.id, address)
    assert world.sign_in(account)["outcome"] == "connected"
    return world.read(account)


def audience(world: World, account: Account, resource: str = MAIL) -> str:
    """What the account's token for a resource is good for at the provider."""
    token = world.access_tokens.fresh(account.id, resource=resource)
    return str(world.control.introspect(token.value.reveal())["aud"])


# Clouds


@pytest.mark.parametrize(
    ("cloud", "mail_host", "graph_host"),
    [
        ("global", "outlook.office.com", "graph.microsoft.com"),
        ("gcc_high", "outlook.office365.us", "graph.microsoft.us"),
        ("dod", "outlook-dod.office365.us", "dod-graph.microsoft.us"),
        ("china", "partner.outlook.cn", "microsoftgraph.chinacloudapi.cn"),
    ],
)
def test_each_cloud_has_its_own_hosts_for_sign_in_mail_and_graph(
    world: World, cloud: str, mail_host: str, graph_host: str
) -> None:
    offered = Catalogue()["microsoft" if cloud == "global" else f"microsoft/{cloud}"].protocol_scopes
    account = connected(world, delegated(world, cloud=cloud, scopes=[offered["smtp"], offered["graph"]]))

    world.tokens.ensure(account.id, failed_version=1)

    assert audience(world, account) == f"https://{mail_host}"
    assert audience(world, account, GRAPH) == f"https://{graph_host}"


@pytest.mark.parametrize("cloud", ["gcc_high", "dod", "china"])
def test_an_application_of_each_cloud_connects_by_itself(
    world: World, mail: MailServerClient, cloud: str
) -> None:
    account = opened(world, mail, application(world, "certificate", cloud=cloud))

    assert world.direct.connect(account.id, "client_credentials")["ok"] is True


def test_an_application_of_another_cloud_is_told(world: World) -> None:
    connector = delegated(world, cloud="china")
    elsewhere = world.registry.new_connector("microsoft", "", connector.client_id, TENANT)
    world.credentials.save(elsewhere.id, "any secret")
    world.registry.add_connector(elsewhere)

    diagnosis = world.credentials.check(elsewhere.id)["diagnosis"]

    assert diagnosis["code"] == "AADSTS900432"
    assert "cloud" in diagnosis["message"]


def test_only_microsoft_has_clouds(world: World) -> None:
    for provider, cloud in (("google", "china"), ("microsoft", "moon")):
        with pytest.raises(InvalidInput) as refused:
            world.registry.new_connector(provider, "", "client", cloud=cloud)

        assert refused.value.field == "cloud"


# Tenants


@pytest.mark.parametrize("tenant", [tenant_id(TENANT), TENANT, "common", "organizations"])
def test_a_person_of_the_tenant_connects(world: World, tenant: str) -> None:
    account = connected(world, delegated(world, tenant))

    assert account.grant_state is GrantState.ACTIVE


@pytest.mark.parametrize("tenant", ["consumers", "common"])
def test_a_personal_account_connects(world: World, tenant: str) -> None:
    account = connected(world, delegated(world, tenant), tenant="consumers")

    grant = world.grants_table.get(account.id)
    assert grant is not None
    assert grant.identity.subject.startswith(CONSUMER_TENANT)


# Scopes


def test_scopes_are_chosen_from_those_of_each_protocol_and_asked_for_in_one_consent(world: World) -> None:
    asked = f"{SMTP.lower()} {IMAP} {SEND} offline_access openid".split()
    connector = world.registry.new_connector("microsoft", "", "client", scopes=asked)

    begun = world.providers.of(connector).begin(
        connector, redirect_uri="https://x/", state="s", login_hint="a@b.c"
    )

    sent = parse_qs(urlsplit(begun.url).query)["scope"][0].split()
    assert set(sent) == {SMTP, IMAP, SEND, "email", "openid", "profile", "offline_access"}
    assert connector.facts["scopes_in_words"] == [
        "Send mail as this mailbox",
        "Read, change and delete the mail of this mailbox",
        "See the address of the mailbox",
    ]


@pytest.mark.parametrize("facts", [MICROSOFT, MICROSOFT_CHINA, GOOGLE], ids=lambda facts: facts.name)
def test_the_string_to_copy_can_be_given_back_as_it_is(world: World, facts: Any) -> None:
    name, _, cloud = facts.name.partition("/")

    connector = world.registry.new_connector(
        name, "", "client", cloud=cloud or "global", scopes=facts.scopes_to_copy.split()
    )

    assert set(connector.facts["required_scopes"]) == set(facts.protocol_scopes.values())


def test_without_a_choice_the_usual_scopes_are_asked_for(world: World) -> None:
    assert world.registry.new_connector("microsoft", "", "client").facts == {}


@pytest.mark.parametrize(
    ("scope", "says"),
    [
        ("https://outlook.office.com/EWS.AccessAsUser.All", "2027-04-01"),
        ("full_access_as_app", "2027-04-01"),
        ("EWS.AccessAsUser.All", SEND),
        ("https://graph.microsoft.com/SMTP.Send", f"Ask for {SMTP}."),
        ("SMTP.Send", f"Ask for {SMTP}."),
        ("https://graph.microsoft.com/Calendars.Read", IMAP),
        ("offline_access", IMAP),
    ],
)
def test_a_scope_that_opens_no_mailbox_is_told_with_the_right_one(
    world: World, scope: str, says: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        world.registry.new_connector("microsoft", "", "client", scopes=[scope])

    assert refused.value.field == "scopes"
    assert says in f"{refused.value.message} {refused.value.fix}"


@pytest.mark.parametrize(
    ("provider", "more", "field"),
    [
        ("microsoft", {"credential": "service_account"}, "credential"),
        ("google", {"credential": "federated"}, "credential"),
        ("google", {"credential": "magic"}, "credential"),
        ("microsoft", {"facts": {"smtp_hots": "x"}}, "facts"),
        ("microsoft", {"facts": {"login": "http://x"}}, "facts"),
        ("other", {}, "facts"),
        ("other", {"facts": {"smtp_host": "mail.example"}}, "facts"),
    ],
)
def test_what_does_not_go_together_makes_no_connector(
    world: World, provider: str, more: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        world.registry.new_connector(provider, "", "client", **more)

    assert refused.value.field == field
    assert refused.value.fix


def test_a_mail_server_that_takes_passwords_needs_no_client(world: World) -> None:
    connector = world.registry.new_connector(
        "other", "Ours", "", credential="none", facts={"smtp_host": "mail.example", "smtp_port": 465}
    )

    assert world.catalogue.of(connector).smtp_port == 465
    assert connector.has_credential


def test_O11_the_person_who_may_use_a_shared_mailbox_is_the_one_who_signs_in(world: World) -> None:
    person, connector = f"ada-{secrets.token_hex(4)}@{TENANT}", delegated(world, TENANT)
    world.control.register_user(person, provider="microsoft")
    shared = world.registry.create_account(
        connector.id, f"info-{secrets.token_hex(4)}@{TENANT}", signs_in_as=person
    )

    url, _ = world.begin(shared)
    outcome = world.sign_in(shared, person)["outcome"]

    assert parse_qs(urlsplit(url).query)["login_hint"] == [person]
    assert outcome == "connected"
    assert world.sign_in(world.account(connector), person)["outcome"] == "wrong_mailbox"


# Several resources


@pytest.fixture
def both(world: World) -> Account:
    """An account whose owner has consented to mail and Graph at once."""
    return connected(world, delegated(world, scopes=[SMTP, SEND]))


def test_one_consent_gives_each_resource_its_own_token(world: World, both: Account) -> None:
    assert audience(world, both) == "https://outlook.office.com"
    assert audience(world, both, GRAPH) == "https://graph.microsoft.com"

    grant = world.grants_table.get(both.id)
    assert grant is not None
    assert {SMTP, SEND} <= set(grant.scopes)
    assert world.refreshes(both) == 1


def test_each_resource_is_refreshed_apart(world: World, both: Account) -> None:
    world.access_tokens.fresh(both.id, resource=GRAPH)
    graph = world.access_tokens_table.get(both.id, GRAPH)
    world.tokens.ensure(both.id, failed_version=1)
    again = world.access_tokens.fresh(both.id, failed_version=2, resource=GRAPH)

    assert world.access_tokens_table.get(both.id).version == 3  # type: ignore[union-attr]
    assert graph is not None
    assert (graph.version, again.version) == (2, 4)
    assert world.access_tokens.fresh(both.id).version == 3
    assert world.read(both).token_expires_at == world.access_tokens_table.get(both.id).expires_at  # type: ignore[union-attr]


def test_what_is_due_by_itself_is_the_token_for_mail(world: World, both: Account) -> None:
    before = world.grants_table.get(both.id)

    world.access_tokens.fresh(both.id, resource=GRAPH)

    after = world.grants_table.get(both.id)
    assert before is not None
    assert after is not None
    assert (after.refresh_due_at, after.due_reason) == (before.refresh_due_at, before.due_reason)


def test_a_token_of_one_resource_cannot_be_passed_off_as_that_of_another(world: World, both: Account) -> None:
    world.access_tokens.fresh(both.id, resource=GRAPH)
    row = world.access_tokens_table.get(both.id, GRAPH)
    assert row is not None
    forged = replace(row, resource=MAIL)
    world.access_tokens_table._table.transact([world.access_tokens_table.put_part(forged)])

    with pytest.raises(ConfigurationError, match="does not open"):
        world.access_tokens.fresh(both.id)


def test_O20_disconnecting_deletes_the_tokens_of_all_resources(world: World, both: Account) -> None:
    world.access_tokens.fresh(both.id, resource=GRAPH)

    world.disconnecting.disconnect(both.id, by="tests")

    assert world.access_tokens_table.get(both.id) is None
    assert world.access_tokens_table.get(both.id, GRAPH) is None


def test_a_new_consent_leaves_no_token_of_the_one_before(world: World, both: Account) -> None:
    world.access_tokens.fresh(both.id, resource=GRAPH)

    assert world.sign_in(both)["outcome"] == "connected"

    assert world.access_tokens_table.get(both.id, GRAPH) is None


def test_a_resource_that_was_not_asked_for_is_told_without_asking(world: World) -> None:
    account = connected(world, delegated(world))

    with pytest.raises(Diagnosed) as refused:
        world.access_tokens.fresh(account.id, resource=GRAPH)

    assert refused.value.diagnosis.code == "resource_not_asked_for"
    assert world.refreshes(account) == 0


@pytest.mark.parametrize("code", ["AADSTS65001", "AADSTS650052"])
def test_a_refusal_of_one_resource_leaves_the_others(world: World, both: Account, code: str) -> None:
    world.control.inject("token", error=code, user=both.address)

    with pytest.raises(Diagnosed) as refused:
        world.access_tokens.fresh(both.id, resource=GRAPH)
    world.tokens.ensure(both.id, failed_version=1)

    assert refused.value.diagnosis.code == code
    assert "Add https://graph.microsoft.com/Mail.Send to the API permissions" in refused.value.diagnosis.fix
    assert world.read(both).grant_state is GrantState.ACTIVE
    assert world.registry.connector(both.connector).problem is None


def test_R7_a_dead_grant_is_asked_for_no_resource(world: World, both: Account) -> None:
    world.control.revoke(both.address)
    for later in (0, HOUR):
        world.later = later
        with pytest.raises(Diagnosed):
            world.tokens.ensure(both.id, failed_version=1, resource=GRAPH)
    asked = world.refreshes(both)

    for resource in (MAIL, GRAPH):
        with pytest.raises(Diagnosed):
            world.tokens.ensure(both.id, failed_version=1, resource=resource)
    world.tokens.refresh_due(until=world.now() + HOUR)

    assert world.read(both).grant_state is GrantState.NEEDS_RECONNECT
    assert world.refreshes(both) == asked == 2
