"""``mailgrant init`` by every way to connect a mailbox: what it asks, tells beforehand, and tries again."""

from __future__ import annotations

import json
import re
import secrets
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests

from chalicelib.accounts.models.account import Account, AuthMode, GrantState
from cli import local, wizard
from cli.output import Out
from cli.shown import show_steps
from sandbox.credentials import ClientCertificate, ServiceAccountKey
from sandbox.provider.scripted import consent
from tests.unit.applications import GMAIL, ROLE, TENANT, WORKSPACE, aws_signs, service_account
from tests.unit.cli_world import terminal
from tests.unit.test_init import STAGE, _at_a_terminal, _nothing, answered, connectors, empty, mailboxes

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.mailserver.client import MailServerClient
    from sandbox.mailserver.server import MailServer
    from tests.unit.accounts_world import World
    from tests.unit.cli_world import Terminal

__all__ = ["_at_a_terminal", "_nothing", "terminal"]

MISUSED, FELL_SHORT = 2, 4
MICROSOFT, GOOGLE, OTHER = "1", "2", "8"
"""What is chosen where the mailboxes' provider is asked."""
BY_ITSELF, OWN_SERVERS_PASSWORD, SHARED, BY_TOKEN = "2", "2", "3", "4"
"""What is chosen where the way is asked. A connector for several tenants has no app that acts by itself."""


@pytest.fixture
def world(mailing: World, mail: MailServerClient) -> World:
    """The services of a deployment whose providers have a mail server."""
    del mail
    return mailing


def someone(domain: str = "mail.example") -> str:
    """A new address."""
    return f"init-{secrets.token_hex(4)}@{domain}"


def the_account(terminal: Terminal) -> Account:
    """The only one."""
    (found,) = mailboxes(terminal)
    return terminal.world.registry.account(found.id)


def after_a_failure(monkeypatch: pytest.MonkeyPatch, mend: Any) -> None:
    """What is done elsewhere after the wizard has told why a try failed."""

    def show(*arguments: Any) -> int:
        mend()
        return show_steps(*arguments)

    monkeypatch.setattr(wizard, "show_steps", show)


@pytest.mark.parametrize(("kind", "choice"), [("certificate", "1"), ("federated", "2"), ("secret", "3")])
def test_an_app_that_acts_by_itself_is_tried_until_exchange_lets_it_in(
    terminal: Terminal,
    mail: MailServerClient,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: str,
    choice: str,
) -> None:
    """Entra's part is told before the app is asked for, Exchange's lines before the mailbox is tried."""
    world, address, client_id, secret = (
        terminal.world,
        someone(TENANT),
        f"app-{secrets.token_hex(4)}",
        "s" * 20,
    )
    made = ClientCertificate.create()
    (tmp_path / "client.pem").write_text(made.pem)
    known = {"keys": [made.certificate], "federated": [aws_signs(world).trusted(ROLE)]}
    world.control.register_client(
        client_id, secret, [], "microsoft", tenant=TENANT, roles=["SMTP.SendAsApp"], **known
    )
    world.control.register_user(address, provider="microsoft", tenant=TENANT)
    after_a_failure(monkeypatch, lambda: mail.mailbox(address, applications=[client_id]))
    credential = {"certificate": [str(tmp_path / "client.pem")], "secret": [secret], "federated": []}[kind]

    result = answered(
        terminal, STAGE, MICROSOFT, BY_ITSELF, choice, client_id, TENANT, *credential, address, "", "y"
    )

    order = [
        "upload a certificate without its key",
        "Saved. Microsoft ",
        "Address of the mailbox",
        f"New-ServicePrincipal -AppId '{client_id}'",
        f"Set-CASMailbox -Identity '{address}'",
        "Press Enter when that is done",
        "Fix: ",
        "Try again?",
        f"{address} is connected.",
        "4. A test message",
    ]
    places = [result.output.find(one) for one in order]
    assert places == sorted(places), result.output
    assert -1 not in places, result.output
    account = the_account(terminal)
    assert (account.auth_mode, account.grant_state) == (AuthMode.CLIENT_CREDENTIALS, GrantState.ACTIVE)
    assert secret not in result.output
    assert "redirect URI, character" not in result.output


def test_a_service_account_is_allowed_in_the_admin_console_before_it_is_tried(
    terminal: Terminal, tmp_path: Path
) -> None:
    key, address = ServiceAccountKey.create(), someone(WORKSPACE)
    (tmp_path / "key.json").write_text(key.text)
    terminal.world.control.register_service_account(key.values, key.public, {WORKSPACE: [GMAIL]})
    terminal.world.control.register_user(address, provider="google", tenant=WORKSPACE)
    files = (str(tmp_path / "nowhere.json"), str(tmp_path / "key.json"))

    result = answered(terminal, STAGE, GOOGLE, "2", *files, address, "")

    assert f"There is no file {tmp_path / 'nowhere.json'}." in result.output
    told, _, tried = result.output.partition("Press Enter when that is done")
    assert f"Client ID: {key.values['client_id']}\nOAuth scopes: {GMAIL}\n" in told
    assert f"{address} is connected." in tried
    assert key.values["private_key"] not in result.output


def test_a_password_that_is_wrong_is_asked_for_again(terminal: Terminal, mail_server: MailServer) -> None:
    """At a server of one's own, of which only the host is asked."""
    address, password = someone(), secrets.token_urlsafe(12)
    terminal.world.control.register_user(address, provider="openid", app_password=password)
    host, port = mail_server.other

    result = answered(
        terminal, STAGE, OTHER, OWN_SERVERS_PASSWORD, f"{host}:{port}", address, "mistyped", "y", password
    )

    assert "Its server of outgoing mail, HOST:PORT: " in result.output
    assert result.output.index("Fix: ") < result.output.index(f"{address} is connected.")
    assert the_account(terminal).auth_mode is AuthMode.PASSWORD
    assert "mistyped" not in result.output
    assert password not in result.output


def test_a_server_that_is_wrong_is_mended_when_it_goes_on(
    terminal: Terminal, mail_server: MailServer
) -> None:
    address, password = someone(), secrets.token_urlsafe(12)
    terminal.world.control.register_user(address, provider="openid", app_password=password)
    host, port = mail_server.other

    wrong = f"{host}:{port + 1}/tls"
    first = answered(terminal, STAGE, OTHER, OWN_SERVERS_PASSWORD, "me@here", wrong, address, "x")
    again = answered(terminal, STAGE, "", "y", f"{host}:{port}", "", password)

    assert "Write it as HOST:PORT" in first.output
    assert f"[{wrong}]" in again.output
    assert f"{address} is connected." in again.output
    assert len(connectors(terminal)) == 1


def test_a_refresh_token_of_another_system_is_typed_unseen(terminal: Terminal) -> None:
    world = terminal.world
    elsewhere = world.connected("microsoft")
    grant = world.grants_table.get(elsewhere.id)
    assert grant is not None
    token, connector = world.keeper.reveal(grant).reveal(), world.registry.connector(elsewhere.connector)
    empty(terminal, "accounts")
    options = ("--client-id", connector.client_id, "--mailbox", elsewhere.address, "--name", "moved")

    result = answered(terminal, STAGE, "", "", BY_TOKEN, "of nobody", "y", token, options=options)

    assert result.output.index("Try again?") < result.output.index(f"{elsewhere.address} is connected.")
    assert world.registry.account("moved").grant_state is GrantState.ACTIVE
    assert token not in result.output
    assert "of nobody" not in result.output


def test_a_shared_mailbox_has_a_person_who_opens_the_link(terminal: Terminal) -> None:
    connector, shared, person = terminal.world.connector("microsoft"), someone(), someone()

    result = answered(
        terminal, STAGE, "", "", shared, SHARED, person, "", options=("--client-id", connector.client_id)
    )

    told, _, then = result.output.partition("Press Enter when that is done")
    assert f"Add-RecipientPermission -Identity '{shared}' -Trustee '{person}'" in told
    assert f"\n{person} opens this link, signs in and agrees:\n" in then
    assert the_account(terminal).signs_in_as == person


def test_a_provider_is_found_by_its_issuer(terminal: Terminal, mail_server: MailServer) -> None:
    """What is wrong with an answer is told, and all is asked again with what was typed."""
    issuer = f"{terminal.world.settings.provider_endpoints['microsoft']['login']}/openid"
    client_id, secret, address = f"client-{secrets.token_hex(4)}", secrets.token_urlsafe(24), someone()
    terminal.world.control.register_client(client_id, secret, [], "openid")
    host, port = mail_server.other
    wrong = (f"{issuer}/nowhere", "mail:smtp", f"{host}:{port}", client_id, secret)

    result = answered(terminal, STAGE, OTHER, "1", *wrong, issuer, "", "", "", "", "", address)

    assert result.output.index("Fix: ") < result.output.index("Saved. ")
    assert f"[{host}:{port}]" in result.output
    assert "opens this link, signs in and agrees" in result.output
    connector = terminal.world.registry.connector(the_account(terminal).connector)
    assert connector.facts["token"] == f"{issuer}/token"
    assert connector.facts["smtp_host"] == host


def test_somebody_signs_in_on_this_machine_and_tries_it_again(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first time whoever signs in does not allow it."""
    world, connector = terminal.world, terminal.world.connector("microsoft")
    with socket.create_server(("127.0.0.1", 0)) as free:
        uri = f"http://localhost:{free.getsockname()[1]}/callback"
    monkeypatch.setattr(local, "ELSE", uri)
    monkeypatch.setenv("PROVIDER_ENDPOINTS", json.dumps(world.settings.provider_endpoints))
    (tmp_path / "ca.pem").write_text(world.authority.pem)
    terminal.ca = str(tmp_path / "ca.pem")
    secret, address = secrets.token_urlsafe(24), someone()
    world.control.register_client(connector.client_id, secret, [uri], "microsoft")
    world.credentials.save(connector.id, secret)
    world.control.register_user(address, provider="microsoft")
    invited: list[str] = []
    tell = Out.tell

    def read(self: Out, text: str) -> None:
        tell(self, text)
        for url in re.findall(r"https://\S+authorize\S+", text):
            invited.append(url)
            signing_in = threading.Thread(target=comes_back, args=(world, url, address, len(invited) > 1))
            signing_in.start()

    monkeypatch.setattr(Out, "tell", read)
    options = ("--client-id", connector.client_id, "--local", "--timeout", "20")

    result = answered(terminal, STAGE, "", address, "", secret, "", "", secret, options=options)

    assert f"{uri}\n" in result.output
    assert result.output.index("Fix: ") < result.output.index("Try again?")
    assert len(invited) == 2
    assert f"{address} is connected." in result.output
    assert secret not in result.output


def comes_back(world: World, url: str, address: str, accept: bool) -> None:  # noqa: FBT001 - a thread's
    """Signs in, and follows the way back to this machine."""
    back = consent(url, mailbox=address, cafile=world.authority.cafile, accept=accept)
    requests.get(back, timeout=5)


# Going on


def test_what_was_interrupted_goes_on_in_the_same_way(terminal: Terminal) -> None:
    """Ctrl-D before the first try: the account is there, and nobody is asked again how it is connected."""
    connector, address = service_account(terminal.world), someone(WORKSPACE)
    terminal.world.control.register_user(address, provider="google", tenant=WORKSPACE)

    ended = answered(terminal, STAGE, "", "", address, "1")
    again = answered(terminal, STAGE, "", "", "", "")

    assert "Press Enter when that is done" in ended.output
    assert "How is it connected?" not in again.output
    assert f"{address} is connected." in again.output
    assert the_account(terminal).connector == connector.id


# Without anybody


def test_a_script_names_everything_by_options(terminal: Terminal, tmp_path: Path) -> None:
    """What is secret comes from a file, the environment or standard input."""
    address, password = someone(), secrets.token_urlsafe(12)
    terminal.world.control.register_user(address, provider="google", app_password=password)
    options = ("--yes", "--provider", "google", "--password", "--mailbox", address)
    key, robot = ServiceAccountKey.create(), someone(WORKSPACE)
    (tmp_path / "key.json").write_text(key.text)
    terminal.world.control.register_service_account(key.values, key.public, {WORKSPACE: [GMAIL]})
    terminal.world.control.register_user(robot, provider="google", tenant=WORKSPACE)
    files = ("--service-account-key", str(tmp_path / "key.json"))

    answered(terminal, password, options=options)
    answered(terminal, options=("--yes", "--provider", "google", *files, "--mailbox", robot))

    connected = {one.address: one.auth_mode for one in mailboxes(terminal) if one.grant_state == "active"}
    assert connected == {address: AuthMode.PASSWORD, robot: AuthMode.SERVICE_ACCOUNT}


def test_a_script_names_one_of_the_connectors_that_have_no_client(terminal: Terminal) -> None:
    address, password = someone(), secrets.token_urlsafe(12)
    terminal.world.control.register_user(address, provider="google", app_password=password)
    for name in ("first", "second"):
        terminal.says("connectors", "add", "--provider", "google", "--name", name, "--no-secret")
    options = ("--yes", "--password", "--mailbox", address)

    strange = answered(terminal, options=(*options, "--connector", "third"))
    answered(terminal, password, options=(*options, "--connector", "second"))

    assert "There is no connector third" in strange.stderr
    used = terminal.world.registry.connector(the_account(terminal).connector)
    assert (used.name, the_account(terminal).grant_state) == ("second", GrantState.ACTIVE)


def test_a_script_is_told_why_a_mailbox_cannot_send(terminal: Terminal) -> None:
    address = someone()
    terminal.world.control.register_user(address, provider="google", app_password="x" * 16)
    options = ("--yes", "--json", "--provider", "google", "--password", "--mailbox", address)

    result = answered(terminal, "mistyped", options=options)

    assert result.exit_code == FELL_SHORT
    assert result.stdout == ""
    error = json.loads(result.stderr.splitlines()[-1])["error"]
    assert error["fix"]
    assert address in error["message"]
    assert "mistyped" not in result.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--password", "--refresh-token"), "more than one way: authorization_code and password"),
        (("--auth-mode", "client_credentials", "--password"), "more than one way"),
        (("--local", "--refresh-token"), "leave --refresh-token out"),
        (("--federated", "--no-secret"), "An app has one credential."),
        (
            ("--provider", "google", "--auth-mode", "client_credentials"),
            "no mailboxes of the auth mode client_credentials",
        ),
        (
            ("--provider", "microsoft", "--auth-mode", "client_credentials"),
            "add --certificate, --federated or --client-secret",
        ),
        (
            ("--provider", "other", "--password"),
            "add --smtp (",
        ),
    ],
)
def test_options_that_do_not_go_together_or_lack_one_are_named(
    terminal: Terminal, options: tuple[str, ...], said: str
) -> None:
    result = answered(terminal, options=("--yes", *options))

    assert result.exit_code == MISUSED
    assert said in result.stderr
