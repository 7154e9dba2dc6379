"""Each way to connect a mailbox, end to end through the deployed functions: connect, refresh, send."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.cast import DOMAIN, TENANT, other_facts
from tests.helpers import copies, in_state, letter

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.wiring import Gateway
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def address_at(domain: str) -> str:
    """A new address."""
    return f"way-{secrets.token_hex(4)}@{domain}"


def by_secret(cast: Cast) -> dict[str, Any]:
    """An application that acts by itself, with a client secret."""
    connector = cast.application("secret")
    return cast.account(connector, cast.applications_mailbox(connector, address_at(TENANT)), **BY_ITSELF)


def by_certificate(cast: Cast) -> dict[str, Any]:
    """An application that acts by itself, with a certificate."""
    connector = cast.application("certificate")
    return cast.account(connector, cast.applications_mailbox(connector, address_at(TENANT)), **BY_ITSELF)


def in_another_cloud(cast: Cast) -> dict[str, Any]:
    """An application of the United States' government's cloud."""
    connector = cast.application("secret", cloud="gcc_high")
    return cast.account(connector, cast.applications_mailbox(connector, address_at(TENANT)), **BY_ITSELF)


def by_service_account(cast: Cast) -> dict[str, Any]:
    """Google's service account, to which the domain has delegated."""
    mailbox = cast.mailbox("google", address_at(DOMAIN), tenant=DOMAIN)
    return cast.account(cast.delegated(), mailbox)


def by_password(cast: Cast) -> dict[str, Any]:
    """An app password, at a server that begins with TLS."""
    mailbox = address_at("mail.example")
    password = cast.app_password("other", mailbox)
    facts = other_facts(cast.sandbox.provider_url, cast.sandbox.smtp_implicit["other"], tls="implicit")
    asked = {"provider": "other", "name": mailbox, "credential": "none", "facts": facts}
    connector = cast.api.post("/v1/connectors", asked)
    return cast.account(connector, mailbox, password=password)


def by_discovery(cast: Cast) -> dict[str, Any]:
    """Any OpenID provider, whose endpoints come from its discovery document."""
    facts = other_facts(cast.sandbox.provider_url, cast.sandbox.smtp["other"])
    kept = (
        "scopes",
        "required_scopes",
        "protocol_scopes",
        "smtp_host",
        "smtp_port",
        "smtp_tls",
        "client_auth",
    )
    asked = {"discovery": facts["issuer"], "facts": {name: facts[name] for name in kept}}
    return cast.connected("other", address_at("mail.example"), connector=cast.connector("other", asked=asked))


BY_ITSELF = {"auth_mode": "client_credentials"}
WAYS: dict[str, tuple[Callable[[Cast], dict[str, Any]], str, str | None]] = {
    "application by secret": (by_secret, "microsoft", "client_credentials"),
    "application by certificate": (by_certificate, "microsoft", "client_credentials"),
    "another cloud": (in_another_cloud, "microsoft", "client_credentials"),
    "service account": (by_service_account, "google", JWT_BEARER),
    "password": (by_password, "other", None),
    "any OpenID provider": (by_discovery, "other", "refresh_token"),
}
"""Way → how the account is connected, at which mail server it sends, and how a new token is asked for."""


def end_token(sandbox: Sandbox, account: dict[str, Any]) -> None:
    """Puts the end of the account's access token into the past, as if the time had gone by."""
    sandbox.emulator.session().client("dynamodb").update_item(
        TableName="mailgrant-sandbox-access-tokens",
        Key={"account": {"S": account["id"]}, "resource": {"S": "mail"}},
        UpdateExpression="SET expires_at = :past",
        ConditionExpression="attribute_exists(expires_at)",
        ExpressionAttributeValues={":past": {"N": "1"}},
    )


def sent(sandbox: Sandbox, cast: Cast, account: dict[str, Any]) -> dict[str, Any]:
    """What the mail server noted of a message from the account."""
    accepted = cast.api.post("/v1/messages", letter(account["id"]))
    (arrived,) = copies(sandbox, in_state(cast, accepted["id"], "sent")["message_id"])
    return dict(arrived)


@pytest.mark.parametrize("way", WAYS)
def test_O19_a_mailbox_is_connected_refreshed_and_sends(sandbox: Sandbox, cast: Cast, way: str) -> None:
    connect, listener, grant_type = WAYS[way]
    account = connect(cast)
    asked = len(sandbox.provider.token_requests())
    end_token(sandbox, account)

    arrived = sent(sandbox, cast, account)

    refreshed = [one.grant_type for one in sandbox.provider.token_requests()[asked:]]
    assert account["status"] == "connected"
    assert (arrived["listener"], arrived["user"]) == (listener, account["address"])
    assert refreshed == ([grant_type] if grant_type else [])
    assert cast.api.get(f"/v1/accounts/{account['id']}")["status"] == "connected"


def test_an_imported_token_sends_without_its_owner(sandbox: Sandbox, cast: Cast, gateway: Gateway) -> None:
    """The refresh token of another system, for the same client, is taken over and replaced."""
    old = cast.connected("microsoft", address_at("example.com"))
    token = exported(gateway, old)

    account = imported(cast, old, token)

    assert (account["connection"]["ok"], account["auth_mode"]) == (True, "authorization_code")
    assert token not in str(account)
    assert sent(sandbox, cast, account)["mail_from"] == old["address"]


def test_R3_mail_goes_by_a_replaced_token_as_soon_as_the_server_takes_it(
    sandbox: Sandbox, cast: Cast, gateway: Gateway
) -> None:
    """The provider never says whose a token is, so only the mail server can."""
    facts = other_facts(sandbox.provider_url, sandbox.smtp["other"]) | {"scopes": ["mail:smtp"]}
    silent = {name: value for name, value in facts.items() if name not in {"jwks", "userinfo", "revoke"}}
    connector = cast.connector("other", asked={"facts": silent})
    old = cast.connected("other", address_at("mail.example"), connector=connector)
    sandbox.mail.inject("AUTH", code=535, text="5.7.8 Authentication credentials invalid")

    account = imported(cast, old, exported(gateway, old))
    blocked = cast.api.get(f"/v1/accounts/{account['id']}")
    arrived = sent(sandbox, cast, account)

    assert (account["connection"]["ok"], account["connection"]["connected"]) == (False, True)
    assert (blocked["status"], blocked["problem"]) == ("blocked", account["connection"]["diagnosis"])
    assert arrived["user"] == old["address"]
    assert cast.api.get(f"/v1/accounts/{account['id']}")["status"] == "connected"


def exported(gateway: Gateway, account: dict[str, Any]) -> str:
    """The refresh token that another system has of the mailbox."""
    grant = gateway.grants_table.get(account["id"])
    assert grant is not None
    return gateway.keeper.reveal(grant).reveal()


def imported(cast: Cast, old: dict[str, Any], token: str) -> dict[str, Any]:
    """A new account of the same mailbox and client, made with that refresh token."""
    asked = {"connector": old["connector"], "address": old["address"], "name": secrets.token_hex(8)}
    return cast.api.post("/v1/accounts", {**asked, "refresh_token": token})


def test_a_shared_mailbox_sends_by_a_person_who_may_use_it(sandbox: Sandbox, cast: Cast) -> None:
    """The person signs in; verifying finds by whose name the server lets in."""
    person = cast.mailbox("microsoft", address_at("example.com"))
    shared = cast.mailbox("microsoft", address_at("example.com"))
    sandbox.mail.mailbox(shared, full_access=[person], send_as=[person])
    made = cast.account(cast.connector("microsoft"), shared, signs_in_as=person)
    cast.person().connect(made["connect_link"], mailbox=person).raise_for_status()

    verified = cast.api.post(f"/v1/accounts/{made['id']}/verify", {})
    arrived = sent(sandbox, cast, made)

    assert (verified["ok"], verified["smtp_user"]) == (True, person)
    assert (arrived["user"], arrived["mail_from"]) == (person, shared)


def test_a_way_is_switched_and_had_back(sandbox: Sandbox, cast: Cast) -> None:
    """Both work through the deployed functions, and mail goes by each."""
    account = cast.connected("google", address_at("example.com"))
    path = f"/v1/accounts/{account['id']}"
    password = cast.app_password("google", account["address"])

    switched = cast.connect(account, "password", password=password)
    by_password = sent(sandbox, cast, account)
    back = cast.api.post(f"{path}/rollback", {})

    assert (switched["auth_mode"], switched["connection"]["ok"]) == ("password", True)
    assert by_password["user"] == account["address"]
    assert (back["auth_mode"], back["connection"]["ok"]) == ("authorization_code", True)
