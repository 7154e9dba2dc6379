"""Verifying accounts at Microsoft Graph and the Gmail API, as the sandbox's provider plays them."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.models.grant import GRAPH, MAIL
from chalicelib.providers.catalogue import GOOGLE, MICROSOFT, Catalogue
from chalicelib.providers.facts import merged
from tests.unit.api_world import Api
from tests.unit.applications import CLOUDS, application, mailbox, opened, service_account

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from sandbox.mailserver.client import MailServerClient
    from tests.unit.accounts_world import World

SMTP, MAIL_SEND = (MICROSOFT.protocol_scopes[name] for name in ("smtp", "graph"))
GMAIL_SEND = GOOGLE.protocol_scopes["gmail"]
PATHS = {"global": "", "gcc_high": "/us", "dod": "/dod", "china": "/cn"}
"""Where the sandbox's provider has the Graph of each cloud."""


@pytest.fixture
def world(mailing: World) -> World:
    """The services of a deployment whose providers have a mail server, and a mail API in every cloud."""
    known = mailing.settings.provider_endpoints
    microsoft = known["microsoft"]
    clouds = {
        f"microsoft/{cloud}": {
            **microsoft,
            "login": f"{microsoft['login']}/{name}",
            "graph": f"{microsoft['graph']}{PATHS[cloud]}",
        }
        for cloud, name in CLOUDS.items()
    }
    mailing.settings = replace(mailing.settings, provider_endpoints={**known, **clouds})
    return mailing


def connector(
    world: World, provider: Any, *scopes: str, cloud: str = "global", facts: dict[str, Any] | None = None
) -> Connector:
    """A connector that asks owners for these scopes."""
    client_id, secret = f"client-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
    made = world.registry.new_connector(
        provider, "", client_id, cloud=cloud, scopes=list(scopes), facts=facts or {}
    )
    redirect_uri = f"{world.public_url()}/oauth/callback/{made.id}"
    known = {"cloud": CLOUDS[cloud]} if cloud in CLOUDS else {}
    world.control.register_client(client_id, secret, [redirect_uri], provider, **known)
    world.credentials.save(made.id, secret)
    return world.registry.add_connector(made)


def connected(world: World, made: Connector, **person: Any) -> Account:
    """An account of the connector, whose owner has consented."""
    account = world.account(made)
    if person:
        world.control.register_user(account.address, provider=made.provider, **person)
    assert world.sign_in(account)["outcome"] == "connected"
    return world.read(account)


def verify(world: World, account: Account, protocol: str = "") -> dict[str, Any]:
    """The answer of the API."""
    query = f"?protocol={protocol}" if protocol else ""
    return Api(world).done("POST", f"/accounts/{account.id}/verify{query}")


def told(answer: dict[str, Any]) -> dict[str, str]:
    """What each step said, of those that went well."""
    return {step["step"]: step["said"] for step in answer["steps"] if step["ok"]}


@pytest.mark.parametrize("cloud", PATHS)
def test_a_mailbox_of_each_cloud_verifies_at_its_own_graph(world: World, cloud: str) -> None:
    offered = Catalogue()["microsoft" if cloud == "global" else f"microsoft/{cloud}"].protocol_scopes
    account = connected(world, connector(world, "microsoft", offered["graph"], cloud=cloud))

    answer = verify(world, account)

    assert (answer["ok"], answer["protocol"]) == (True, "graph")
    assert list(told(answer)) == ["token", "connect", "auth", "permission"]
    assert told(answer)["auth"] == "403: the token is taken"
    assert told(answer)["permission"] == "Mail.Send"


def test_one_consent_verifies_at_smtp_and_at_graph_by_a_token_each(world: World) -> None:
    account = connected(world, connector(world, "microsoft", SMTP, MAIL_SEND))

    answers = [verify(world, account, protocol) for protocol in ("smtp", "graph")]

    assert [answer["ok"] for answer in answers] == [True, True]
    tokens = [
        world.access_tokens.fresh(account.id, resource=resource).value.reveal() for resource in (MAIL, GRAPH)
    ]
    audiences = [world.control.introspect(token)["aud"] for token in tokens]
    assert audiences == ["https://outlook.office.com", "https://graph.microsoft.com"]
    assert not any(token in str(answers) for token in tokens)


def test_a_token_that_graph_does_not_show_is_taken_at_its_word(world: World) -> None:
    """Those of personal accounts are opaque."""
    account = connected(world, connector(world, "microsoft", MAIL_SEND), tenant="consumers")

    answer = verify(world, account)

    assert answer["ok"] is True
    assert told(answer)["permission"] == "the token does not show its permissions"


def test_a_token_that_graph_refuses_is_refreshed_once(world: World) -> None:
    account = connected(world, connector(world, "microsoft", SMTP, MAIL_SEND))
    assert verify(world, account, "graph")["ok"] is True
    world.control.revoke(account.address, what="access")
    before = world.refreshes(account)

    answer = verify(world, account, "graph")

    assert answer["ok"] is True
    assert [step["ok"] for step in answer["steps"] if step["step"] == "auth"] == [False, True]
    assert world.refreshes(account) == before + 1


def test_a_token_for_another_graph_is_told_with_what_graph_says(world: World) -> None:
    """The connector names the Graph of another cloud."""
    elsewhere = world.catalogue["microsoft/dod"].graph
    made = connector(world, "microsoft", SMTP, MAIL_SEND, facts={"graph": elsewhere})
    account = connected(world, made)

    answer = verify(world, account, "graph")

    assert (answer["ok"], answer["diagnosis"]["code"]) == (False, "graph_wrong_audience")
    assert answer["steps"][-1]["said"].endswith("Access token validation failure. Invalid audience.")


@pytest.mark.parametrize(
    ("roles", "ok", "says"),
    [
        (["SMTP.SendAsApp"], False, "graph_no_mail_send"),
        (["SMTP.SendAsApp", "User.Read.All"], False, "graph_no_mail_send"),
        (["SMTP.SendAsApp", "Mail.Send"], True, "403: the token is taken"),
        (["SMTP.SendAsApp", "Mail.Send", "User.Read.All"], True, "200: the token is taken"),
    ],
)
def test_an_application_that_may_not_send_at_graph_is_told(
    world: World, mail: MailServerClient, roles: list[str], *, ok: bool, says: str
) -> None:
    account = opened(world, mail, application(world, roles=roles))
    assert world.direct.connect(account.id, "client_credentials")["ok"] is True

    answer = verify(world, account, "graph")

    assert answer["ok"] is ok
    assert says == (told(answer)["auth"] if ok else answer["diagnosis"]["code"])
    if not ok:
        assert "Mail.Send" in answer["diagnosis"]["fix"]


def test_a_mailbox_that_graph_does_not_know_is_told(world: World, mail: MailServerClient) -> None:
    made = application(world, roles=["SMTP.SendAsApp", "Mail.Send", "User.Read.All"])
    account = opened(world, mail, made)
    assert world.direct.connect(account.id, "client_credentials")["ok"] is True
    world.control.register_user(account.address, provider="microsoft", tenant="elsewhere.example")

    answer = verify(world, account, "graph")

    assert answer["diagnosis"]["code"] == "graph_404"
    assert f"Resource '{account.address}' does not exist" in answer["steps"][-1]["said"]


@pytest.mark.parametrize(
    ("error", "retry_after", "code", "class_"),
    [
        ("MailboxNotEnabledForRESTAPI", None, "graph_404", "admin"),
        ("TooManyRequests", 7, "graph_429", "pause"),
        ("ServiceUnavailable", None, "graph_503", "retry"),
    ],
)
def test_what_graph_answers_is_diagnosed(
    world: World, error: str, retry_after: int | None, code: str, class_: str
) -> None:
    account = connected(world, connector(world, "microsoft", SMTP, MAIL_SEND))
    world.control.inject("graph", error=error, retry_after=retry_after, user=account.address)

    found = verify(world, account, "graph")["diagnosis"]

    assert (found["code"], found["class"], found.get("retry_after")) == (code, class_, retry_after)
    assert verify(world, account, "graph")["ok"] is True


def test_the_doctor_reads_from_graphs_token_what_it_is_for(world: World) -> None:
    account = connected(world, connector(world, "microsoft", MAIL_SEND))

    found = Api(world).done("GET", f"/accounts/{account.id}/doctor")["checks"]

    said = {one["check"]: (one["result"], one["message"]) for one in found}
    assert said["audience"] == ("pass", "It is for https://graph.microsoft.com.")
    assert said["sign_in"] == ("pass", "The server let the account in (graph).")


def test_a_google_mailbox_verifies_at_the_gmail_api(world: World) -> None:
    account = world.connected("google")

    answer = verify(world, account, "gmail")

    assert answer["ok"] is True
    assert told(answer)["auth"] == "200: the token is taken"
    assert told(answer)["permission"] == f"the mailbox is {account.address}"


def test_a_google_mailbox_that_may_only_send_verifies_at_the_gmail_api(world: World) -> None:
    account = connected(world, connector(world, "google", GMAIL_SEND))

    answer = verify(world, account)

    assert (answer["ok"], answer["protocol"]) == (True, "gmail")
    assert told(answer)["auth"] == "403 insufficientPermissions: the token is taken, and may not read"


def test_a_service_account_verifies_at_the_gmail_api_as_each_mailbox(world: World) -> None:
    account = mailbox(world, service_account(world))
    assert world.direct.connect(account.id, "service_account")["ok"] is True

    answer = verify(world, account, "gmail")

    assert told(answer)["permission"] == f"the mailbox is {account.address}"


@pytest.mark.parametrize(
    ("error", "class_", "text"),
    [
        ("accessNotConfigured", "admin", "Gmail API has not been used in project"),
        ("rateLimitExceeded", "pause", "User-rate limit exceeded"),
        ("userRateLimitExceeded", "retry", "User Rate Limit Exceeded"),
        ("failedPrecondition", "admin", "Precondition check failed"),
        ("backendError", "retry", "Backend Error"),
    ],
)
def test_what_the_gmail_api_answers_is_diagnosed(world: World, error: str, class_: str, text: str) -> None:
    account = world.connected("google")
    world.control.inject("gmail", error=error, user=account.address)

    answer = verify(world, account, "gmail")

    assert answer["ok"] is False
    assert answer["diagnosis"]["class"] == class_
    assert text in answer["steps"][-1]["said"]


def test_O11_the_profile_of_an_alias_is_that_of_the_person_who_signs_in(world: World) -> None:
    made, person = world.connector("google"), f"ada-{secrets.token_hex(4)}@mail.example"
    alias = f"info-{secrets.token_hex(4)}@mail.example"
    world.control.register_user(person, provider="google", aliases=[alias])
    account = world.registry.create_account(made.id, alias, signs_in_as=person)
    assert world.sign_in(account, person)["outcome"] == "connected"

    answer = verify(world, account, "gmail")

    assert answer["ok"] is True
    assert told(answer)["permission"] == f"the mailbox is {person}"


def test_graph_is_reached_at_its_address_and_asked_for_by_its_name() -> None:
    """Where a connector asks with an address of its own, that is the name."""
    moved = merged(MICROSOFT, {"graph": "https://graph.example/ms"})
    own = f"{moved.graph}/Mail.Send"
    renamed = merged(moved, {"required_scopes": [own]})

    assert [moved.resource_of(scope) for scope in (MAIL_SEND, SMTP, own)] == [GRAPH, MAIL, MAIL]
    assert moved.app_scope_of(GRAPH) == "https://graph.microsoft.com/.default"
    assert [renamed.resource_of(scope) for scope in (own, SMTP)] == [GRAPH, MAIL]
    assert renamed.app_scope_of(GRAPH) == "https://graph.example/ms/.default"
