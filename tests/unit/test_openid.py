"""Any OpenID provider, played by the sandbox: connecting, refreshing and ending."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib.accounts.models.account import GrantState
from chalicelib.errors import Conflict, InvalidInput
from sandbox.credentials import ClientCertificate
from tests.unit.accounts_world import World

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from sandbox.certs import Authority
    from sandbox.mailserver.client import MailServerClient
    from sandbox.mailserver.server import MailServer
    from sandbox.provider import Provider

IDENTITY = ("openid", "email")
MAIL = "mail:smtp"
SILENT = {"scopes": [MAIL], "userinfo": None, "jwks": None, "revoke": None}
"""The facts of a provider that never says who signs in."""


@pytest.fixture
def world(mailing: World) -> World:
    """The services of a deployment whose providers have a mail server."""
    return mailing


@pytest.fixture
def facts(world: World, mail_server: MailServer) -> dict[str, Any]:
    """A connector's facts, as they are found by its issuer's address."""
    host, port = mail_server.other
    found = world.providers.discover(issuer(world))["facts"]
    scopes = {"scopes": [*IDENTITY, MAIL], "required_scopes": [MAIL]}
    return {**found, **scopes, "smtp_host": host, "smtp_port": port}


def issuer(world: World) -> str:
    """The provider's name for itself."""
    return f"{world.settings.provider_endpoints['microsoft']['login']}/openid"


def connector(
    world: World, facts: Mapping[str, Any], method: str = "client_secret_post", **client: Any
) -> Connector:
    """A connector of a client that proves itself by this method and no other. None leaves a fact out."""
    kind = {"private_key_jwt": "certificate", "none": "none"}.get(method, "secret")
    client_id, secret = f"client-{secrets.token_hex(4)}", secrets.token_urlsafe(24) + ":%&+"
    own = {name: value for name, value in facts.items() if value is not None}
    made = world.registry.new_connector("other", "", client_id, credential=kind, facts=own)
    callback, certificate = f"{world.public_url()}/oauth/callback/{made.id}", ClientCertificate.create()
    keys = [certificate.certificate] if kind == "certificate" else []
    registered = {"auth_method": method, "keys": keys, **client}
    world.control.register_client(
        client_id, secret if kind == "secret" else "", [callback], "openid", **registered
    )
    given: dict[str, Any] = {
        "secret": {"secret": secret},
        "certificate": {"certificate": {"pem": certificate.pem}},
    }
    world.credentials.save(made.id, kind=kind, **given.get(kind, {}))
    return world.registry.add_connector(made)


def account(world: World, connector: Connector) -> Account:
    """An account, not connected yet, of a mailbox that the provider knows."""
    address = f"olga-{secrets.token_hex(4)}@mail.example"
    world.control.register_user(address, provider="openid")
    return world.registry.create_account(connector.id, address)


def connected(world: World, facts: Mapping[str, Any], *client: str) -> Account:
    """A connected account of a new connector."""
    made = account(world, connector(world, facts, *client))
    outcome = world.sign_in(made)
    assert outcome["outcome"] == "connected", outcome
    return world.read(made)


def refresh_token(world: World, account: Account) -> str:
    """The stored one."""
    grant = world.grants_table.get(account.id)
    assert grant is not None
    return world.keeper.reveal(grant).reveal()


def asked(world: World, account: Account) -> dict[str, str]:
    """The parameters of an authorization request."""
    return {name: values[0] for name, values in parse_qs(urlsplit(world.begin(account)[0]).query).items()}


def test_B59_the_issuers_document_fills_the_endpoints_in(world: World) -> None:
    base = issuer(world)

    found = world.providers.discover(f"{base}/.well-known/openid-configuration")

    assert found == {
        "facts": {
            "issuer": base,
            "authorize": f"{base}/authorize",
            "token": f"{base}/token",
            "jwks": f"{base}/jwks",
            "revoke": f"{base}/revoke",
            "userinfo": f"{base}/userinfo",
            "client_auth": "post",
            "scopes_supported": [*IDENTITY, "profile", "offline_access", MAIL, "mail:imap", "mail:pop"],
        },
        "scopes_supported": [*IDENTITY, "profile", "offline_access", MAIL, "mail:imap", "mail:pop"],
        "client_auth_supported": ["post", "basic", "private_key_jwt", "none"],
    }


@pytest.mark.parametrize(
    ("method", "client_auth"),
    [
        ("client_secret_post", "post"),
        ("client_secret_basic", "basic"),
        ("private_key_jwt", "private_key_jwt"),
        ("none", "none"),
    ],
)
def test_O19_a_mailbox_is_connected_and_refreshed_by_every_way_of_client_authentication(
    world: World, facts: dict[str, Any], method: str, client_auth: str
) -> None:
    made = connected(world, facts | {"client_auth": client_auth}, method)
    first = refresh_token(world, made)

    world.tokens.ensure(made.id, failed_version=1)
    world.tokens.ensure(made.id, failed_version=2)

    grant = world.grants_table.get(made.id)
    assert grant is not None
    assert (grant.version, grant.identity.issuer, grant.identity.addresses) == (
        3,
        issuer(world),
        (made.address,),
    )
    assert refresh_token(world, made) != first  # each was used once: the provider would have ended the family
    token = world.access_tokens.fresh(made.id).value.reveal()
    assert world.control.introspect(token)["user"] == made.address


def test_the_credential_of_a_connector_is_tried_at_the_provider(world: World, facts: dict[str, Any]) -> None:
    made = connector(world, facts)

    assert world.credentials.check(made.id)["ok"] is True
    with pytest.raises(InvalidInput) as refused:
        world.credentials.replace(made.id, "of-somebody-else")
    assert refused.value.error_code == "secret_refused"


def test_the_request_has_pkce_state_and_nonce_which_no_fact_replaces(
    world: World, facts: dict[str, Any]
) -> None:
    own = {"access_type": "offline", "state": "x", "code_challenge_method": "plain", "login_hint": ""}
    made = account(world, connector(world, facts | {"authorize_parameters": own | {"login_hint": "-"}}))

    query = asked(world, made)

    assert (query["access_type"], query["login_hint"]) == ("offline", "-")
    assert (query["code_challenge_method"], len(query["code_challenge"])) == ("S256", 43)
    assert (query["scope"], query["response_type"]) == ("openid email mail:smtp", "code")
    assert query["state"] != "x"
    assert query["nonce"]
    assert "prompt" not in query


def test_offline_access_is_asked_for_with_a_prompt(world: World, facts: dict[str, Any]) -> None:
    made = account(world, connector(world, facts | {"scopes": [*IDENTITY, "offline_access", MAIL]}))

    assert asked(world, made)["prompt"] == "consent"
    assert world.sign_in(made)["outcome"] == "connected"


def test_without_an_id_token_userinfo_says_who_signed_in(world: World, facts: dict[str, Any]) -> None:
    own = facts | {"scopes": ["email", MAIL], "jwks": None}
    made = account(world, connector(world, own))

    assert "nonce" not in asked(world, made)
    stranger = account(world, connector(world, own))
    assert world.sign_in(made, stranger.address)["outcome"] == "wrong_mailbox"
    assert world.sign_in(made)["outcome"] == "connected"


def test_O10_another_mailbox_is_refused(world: World, facts: dict[str, Any], mail: MailServerClient) -> None:
    made = account(world, connector(world, facts))
    other = account(world, world.registry.connector(made.connector))

    outcome = world.sign_in(made, other.address)

    assert (outcome["outcome"], outcome["found"]) == ("wrong_mailbox", other.address)
    assert world.read(made).grant_state is GrantState.NONE
    assert mail.sessions() == []


def test_O10_where_the_provider_does_not_say_the_mail_server_proves_the_mailbox(
    world: World, facts: dict[str, Any], mail: MailServerClient
) -> None:
    made = connected(world, facts | SILENT)

    assert len(mail.sessions()) == 1
    assert mail.messages() == []
    grant = world.grants_table.get(made.id)
    assert grant is not None
    assert (grant.identity.subject, grant.identity.addresses) == ("", (made.address,))
    assert world.sign_in(made)["outcome"] == "connected"  # and again, though nobody knows who they were


def test_O10_a_token_that_the_mail_server_does_not_take_is_not_saved(
    world: World, facts: dict[str, Any], mail: MailServerClient
) -> None:
    made = account(world, connector(world, facts | SILENT))
    other = account(world, world.registry.connector(made.connector))

    outcome = world.sign_in(made, other.address)

    assert outcome["outcome"] == "failed"
    assert outcome["diagnosis"]["code"] == "mailbox_unproven"
    assert len(mail.sessions()) == 1
    assert world.read(made).grant_state is GrantState.NONE


def test_a_mail_server_that_cannot_tell_at_this_moment_is_no_proof(
    world: World, facts: dict[str, Any], mail: MailServerClient
) -> None:
    made = account(world, connector(world, facts | SILENT))
    mail.inject("AUTH", code=454, text="4.7.0 Temporary authentication failure")

    outcome = world.sign_in(made)

    assert (outcome["outcome"], outcome["diagnosis"]["class"]) == ("failed", "retry")
    assert world.read(made).grant_state is GrantState.NONE


def test_an_imported_token_of_nobody_known_is_proved_by_the_mail_server(
    world: World, facts: dict[str, Any]
) -> None:
    old = connected(world, facts | SILENT)
    token = refresh_token(world, old)
    made = world.registry.create_account(old.connector, old.address, name=secrets.token_hex(8))

    answer = world.direct.connect(made.id, "authorization_code", refresh_token=token)

    assert (answer["ok"], answer["connected"]) == (True, True)
    assert refresh_token(world, made) != token
    assert world.sign_in(made)["outcome"] == "connected"


def test_O20_a_disconnected_mailbox_is_revoked_where_that_is_possible(
    world: World, facts: dict[str, Any]
) -> None:
    made = connected(world, facts | {"client_auth": "basic"}, "client_secret_basic")
    token = world.access_tokens.fresh(made.id).value.reveal()

    ended = world.disconnecting.disconnect(made.id, by="Tests")

    assert ended["revocation"] == "revoked"
    assert not world.control.introspect(token)["active"]


def test_a_provider_without_revocation_is_told_nothing(world: World, facts: dict[str, Any]) -> None:
    made = connected(world, facts | SILENT)

    assert world.disconnecting.disconnect(made.id, by="Tests")["revocation"] == "unsupported"


@pytest.mark.parametrize(
    ("error", "class_", "of_connector"),
    [
        ("invalid_grant", "reconnect", False),
        ("invalid_client", "admin", True),
        ("unauthorized_client", "admin", True),
        ("temporarily_unavailable", "retry", False),
    ],
)
def test_a_refused_sign_in_is_diagnosed(
    world: World, facts: dict[str, Any], error: str, class_: str, *, of_connector: bool
) -> None:
    made = account(world, connector(world, facts))
    world.control.inject("token", error=error, client_id=world.registry.connector(made.connector).client_id)

    outcome = world.sign_in(made)

    assert outcome["outcome"] == "failed"
    assert outcome["diagnosis"]["class"] == class_
    assert (world.registry.connector(made.connector).problem is not None) is of_connector


def test_O6_an_answer_of_another_issuer_is_refused(world: World, facts: dict[str, Any]) -> None:
    made = account(world, connector(world, facts))
    url, cookie = world.begin(made)
    params = world.approve(url, made.address) | {"iss": ["https://evil.example"]}

    outcome = world.connect.complete(made.connector, params, cookie)

    assert outcome["diagnosis"]["code"] == "wrong_issuer"


def test_an_owner_is_known_again_without_any_mail_scope(world: World, facts: dict[str, Any]) -> None:
    made = connected(world, facts)

    begun = world.connect.begin_visit(made.id)

    assert parse_qs(urlsplit(begun["authorize_url"]).query)["scope"] == ["openid email"]
    params = world.approve(begun["authorize_url"], made.address)
    assert world.connect.complete(made.connector, params, begun["cookie"])["outcome"] == "visited"


def test_nobody_can_be_known_by_a_provider_that_never_says(world: World, facts: dict[str, Any]) -> None:
    made = connected(world, facts | SILENT)

    with pytest.raises(Conflict) as refused:
        world.connect.begin_visit(made.id)

    assert refused.value.error_code == "identity_unknown"


def test_an_account_of_a_password_can_be_connected_by_its_owner(world: World, facts: dict[str, Any]) -> None:
    made = account(world, connector(world, facts))
    world.control.register_user(made.address, provider="openid", app_password="x-password")
    assert world.direct.connect(made.id, "password", password="x-password")["ok"]

    assert world.sign_in(made)["outcome"] == "connected"
    assert world.direct.roll_back(made.id, chooses_mailbox=True)["ok"]
    assert world.disconnecting.disconnect(made.id, by="Tests")["revocation"] == "nothing"


@pytest.mark.parametrize(
    ("own", "field", "code"),
    [
        ({"smtp_host": "169.254.169.254", "smtp_port": 587}, "facts.smtp_host", "private_address"),
        ({"smtp_host": "::ffff:a9fe:a9fe", "smtp_port": 587}, "facts.smtp_host", "private_address"),
        ({"smtp_host": "2852039166", "smtp_port": 587}, "facts.smtp_host", "private_address"),
        ({"imap_host": "10.0.0.1"}, "facts.imap_host", "private_address"),
        ({"token": "https://169.254.169.254/latest"}, "facts.token", "private_address"),
        ({"issuer": "https://[::ffff:a9fe:a9fe]/"}, "facts.issuer", "private_address"),
        ({"smtp_host": "8.8.8.8", "smtp_port": 6379}, "facts.smtp_host", "port_not_allowed"),
        ({"jwks": "https://8.8.8.8:9001/"}, "facts.jwks", "port_not_allowed"),
    ],
)
def test_B56_B58_a_host_or_port_that_must_not_be_reached_is_not_saved(
    world: World, facts: dict[str, Any], own: dict[str, Any], field: str, code: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        world.registry.new_connector("other", "", "client", facts=facts | own)

    assert (refused.value.field, refused.value.error_code) == (field, code)
    assert refused.value.status == 422


@pytest.mark.parametrize(
    "address",
    ["http://id.example", "https://u@id.example", "https://id.example#x", "https://id.example:99999"],
)
def test_B59_an_address_that_is_none_is_not_saved(world: World, facts: dict[str, Any], address: str) -> None:
    with pytest.raises(InvalidInput):
        world.registry.new_connector("other", "", "client", facts=facts | {"issuer": address})
    with pytest.raises(InvalidInput) as refused:
        world.providers.discover(address)
    assert refused.value.field == "discovery"


def test_a_connector_may_bring_its_own_authorities(
    world: World, facts: dict[str, Any], mail: MailServerClient, people: tuple[Provider, Any, Authority]
) -> None:
    """For its provider's HTTPS and for its mail server; the deployment itself trusts neither."""
    bare = World(world.aws, *people)
    bare.settings = replace(world.settings, extra_ca="")
    base, authority = issuer(world), people[2].pem
    with pytest.raises(InvalidInput):
        bare.providers.discover(base)

    assert bare.providers.discover(base, authority)["facts"]["issuer"] == base
    connected(bare, facts | SILENT | {"extra_ca": authority})
    assert len(mail.sessions()) == 1


def test_B57_a_host_that_is_private_by_now_is_not_connected_to(
    world: World, facts: dict[str, Any], people: tuple[Provider, Any, Authority]
) -> None:
    """What was looked up when the connector was saved counts for nothing."""
    made = account(world, connector(world, facts))
    later = World(world.aws, *people)
    later.settings = replace(world.settings, allowed_private_networks=())

    outcome = later.sign_in(made)

    assert outcome["diagnosis"]["code"] == "private_address"
    client = world.registry.connector(made.connector).client_id
    assert client not in {request.client_id for request in world.control.token_requests()}


def test_authorities_that_are_none_are_not_saved(world: World, facts: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        world.registry.new_connector("other", "", "client", facts=facts | {"extra_ca": "no certificate"})
    with pytest.raises(InvalidInput):
        world.providers.discover(issuer(world), "no certificate")
