"""Connecting from this machine: a real browser's part is played by script, over a real callback."""

from __future__ import annotations

import json
import re
import secrets
import socket
import threading
from typing import TYPE_CHECKING, Any

import click
import pytest
import requests

from chalicelib.accounts.connecting import callback
from chalicelib.accounts.models.account import GrantState
from chalicelib.errors import Diagnosed
from cli import desk, local
from cli.output import Out
from sandbox.cast import other_facts
from sandbox.credentials import ClientCertificate
from sandbox.provider.scripted import consent
from tests.unit.cli_world import terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from sandbox.mailserver.client import MailServerClient
    from sandbox.mailserver.server import MailServer
    from tests.unit.accounts_world import World
    from tests.unit.cli_world import Terminal

__all__ = ["terminal"]


@pytest.fixture
def world(mailing: World) -> World:
    """The services of a deployment whose providers have a mail server."""
    return mailing


@pytest.fixture
def redirect_uri() -> str:
    """An address of this machine on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://localhost:{free.getsockname()[1]}/callback"


@pytest.fixture
def here(world: World, terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """The command line, told where the providers of this deployment are."""
    monkeypatch.setenv("PROVIDER_ENDPOINTS", json.dumps(world.settings.provider_endpoints))
    (tmp_path / "ca.pem").write_text(world.authority.pem)
    terminal.ca = str(tmp_path / "ca.pem")
    return terminal


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[str], None]]:
    """What a person does with the address that is told; each in a thread of its own."""
    doing: list[Callable[[str], None]] = []
    threads: list[threading.Thread] = []

    def tell(_out: Out, text: str) -> None:
        for url in re.findall(r"https://\S+", text):
            threads.extend(threading.Thread(target=one, args=(url,)) for one in doing)
            for thread in threads:
                thread.start()

    monkeypatch.setattr(Out, "tell", tell)
    return doing


def registered(world: World, provider: Any, redirect_uri: str, **client: Any) -> tuple[Connector, str]:
    """A connector whose client has that redirect URI too, and its secret."""
    connector = world.connector(provider, **client)
    secret = secrets.token_urlsafe(24)
    world.control.register_client(connector.client_id, secret, [redirect_uri], provider, **client)
    world.credentials.save(connector.id, secret)
    return connector, secret


def of_others(world: World, redirect_uri: str, smtp: tuple[str, int]) -> tuple[Connector, str]:
    """As registered, at the provider that follows the standards."""
    client_id, secret = f"client-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
    facts = other_facts(world.settings.provider_endpoints["google"]["issuer"], smtp)
    connector = world.registry.new_connector("other", "", client_id, facts=facts)
    world.control.register_client(client_id, secret, [redirect_uri], "openid")
    world.credentials.save(connector.id, secret)
    return world.registry.add_connector(connector), secret


def goes_back(world: World, mailbox: str, **answer: Any) -> Callable[[str], None]:
    """Signs in, and follows the way back."""

    def run(url: str) -> None:
        callback = consent(url, mailbox=mailbox, cafile=world.authority.cafile, **answer)
        assert requests.get(callback, timeout=5).status_code == 200

    return run


def connect(here: Terminal, account: Account, redirect_uri: str, *more: str, stdin: str = "") -> Any:
    """The result of the command."""
    options = ("--local", "--redirect-uri", redirect_uri, "--timeout", "20", *more)
    return here("accounts", "connect", account.id, *options, stdin=stdin)


@pytest.mark.parametrize("provider", ["microsoft", "google"])
def test_a_sign_in_on_this_machine_connects_the_account(
    here: Terminal,
    browser: list[Callable[[str], None]],
    redirect_uri: str,
    provider: str,
    mail: MailServerClient,
) -> None:
    connector, secret = registered(here.world, provider, redirect_uri)
    account = here.world.account(connector)
    browser.append(goes_back(here.world, account.address))

    result = connect(here, account, redirect_uri, stdin=f"{secret}\n")

    assert result.exit_code == 0, result.output
    assert "It is connected." in result.output
    assert here.world.read(account).grant_state is GrantState.ACTIVE
    grant = here.world.grants_table.get(account.id)
    assert grant is not None
    assert here.world.keeper.reveal(grant).reveal() not in result.output
    assert secret not in result.output
    assert mail.messages() == []


@pytest.mark.usefixtures("mail")
def test_any_provider_that_follows_the_standards_will_do(
    here: Terminal, browser: list[Callable[[str], None]], redirect_uri: str, mail_server: MailServer
) -> None:
    connector, secret = of_others(here.world, redirect_uri, mail_server.other)
    address = f"ada-{secrets.token_hex(4)}@mail.example"
    here.world.control.register_user(address, provider="openid")
    account = here.world.registry.create_account(connector.id, address)
    browser.append(goes_back(here.world, address))

    result = connect(here, account, redirect_uri, stdin=f"{secret}\n")

    assert result.exit_code == 0, result.output
    assert here.world.read(account).grant_state is GrantState.ACTIVE


def test_another_mailbox_is_not_connected(
    here: Terminal, browser: list[Callable[[str], None]], redirect_uri: str
) -> None:
    connector, secret = registered(here.world, "google", redirect_uri)
    account, other = here.world.account(connector), here.world.account(connector)
    browser.append(goes_back(here.world, other.address))

    here.asked.clear()

    result = connect(here, account, redirect_uri, "--json", stdin=f"{secret}\n")

    assert result.exit_code == 4
    told = json.loads(result.stderr.splitlines()[-1])["error"]
    assert told["code"] == "wrong_mailbox"
    assert told["message"].startswith(f"{other.address} signed in, and not {account.address}.")
    assert f"sign in as {account.address}" in told["fix"]
    assert here.asked == ["GET /v1/accounts/{}", "GET /v1/connectors/{}"]
    assert here.world.read(account).grant_state is GrantState.NONE


def test_who_declines_is_told(
    here: Terminal, browser: list[Callable[[str], None]], redirect_uri: str
) -> None:
    connector, secret = registered(here.world, "google", redirect_uri)
    account = here.world.account(connector)
    browser.append(goes_back(here.world, account.address, accept=False))

    result = connect(here, account, redirect_uri, "--json", stdin=f"{secret}\n")

    assert result.exit_code == 4
    assert json.loads(result.stderr.splitlines()[-1])["error"]["code"] == "access_denied"


def test_a_wrong_secret_is_told_and_nothing_is_handed_on(
    here: Terminal, browser: list[Callable[[str], None]], redirect_uri: str
) -> None:
    connector, _ = registered(here.world, "google", redirect_uri)
    account = here.world.account(connector)
    browser.append(goes_back(here.world, account.address))
    here.asked.clear()

    result = connect(here, account, redirect_uri, stdin="another\n")

    assert result.exit_code == 4
    assert "invalid_client" in result.output
    assert here.asked == ["GET /v1/accounts/{}", "GET /v1/connectors/{}"]


def test_only_the_one_callback_counts(
    here: Terminal, browser: list[Callable[[str], None]], redirect_uri: str
) -> None:
    connector, secret = registered(here.world, "google", redirect_uri)
    account = here.world.account(connector)
    statuses: list[int] = []

    def others_first(url: str) -> None:
        strange = {"state": "x" * 43, "code": "theirs"}
        for where, query in (
            (redirect_uri, strange),
            (redirect_uri, {"code": "theirs"}),
            (redirect_uri.replace("callback", ""), strange),
        ):
            answer = requests.get(where, params=query, timeout=5)
            assert "theirs" not in answer.text
            assert answer.headers["Cache-Control"] == "no-store"
            statuses.append(answer.status_code)
        goes_back(here.world, account.address)(url)

    browser.append(others_first)

    assert connect(here, account, redirect_uri, stdin=f"{secret}\n").exit_code == 0
    assert statuses == [400, 400, 404]


def test_nobody_comes_back(here: Terminal, redirect_uri: str) -> None:
    connector, secret = registered(here.world, "google", redirect_uri)
    account = here.world.account(connector)

    result = connect(here, account, redirect_uri, "--timeout", "0", stdin=f"{secret}\n")

    assert result.exit_code == 4
    assert "Code: not_in_time" in result.output


def test_a_port_that_is_taken_is_told(here: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        uri = f"http://localhost:{taken.getsockname()[1]}/callback"
        connector, secret = registered(here.world, "google", uri)

        result = connect(here, here.world.account(connector), uri, stdin=f"{secret}\n")

    assert result.exit_code == 2
    assert "--redirect-uri" in result.output


@pytest.mark.parametrize(
    "uri",
    [
        "https://localhost:9999/callback",
        "http://mail.example:9999/callback",
        "http://localhost/callback",
        "http://localhost:99999/callback",
        "http://localhost:9999/callback?a=b",
    ],
)
def test_the_way_back_leads_to_this_machine(here: Terminal, uri: str) -> None:
    account = here.world.account(here.world.connector("google"))

    assert connect(here, account, uri).exit_code == 2


def test_the_usual_ways_back_are_those_that_desks_have_registered() -> None:
    assert local.redirect_uri_of("microsoft", None) == "http://localhost:9999/callback"
    assert local.redirect_uri_of("google", None) == "http://localhost:8888/Callback"


def test_what_another_provider_sends_back_is_not_taken(world: World) -> None:
    connector = world.connector("google")
    answer = callback.read({"state": ["x" * 43], "code": ["c"], "iss": ["https://evil.example"]})

    with pytest.raises(Diagnosed) as refused:
        local._code(world.providers.of(connector), connector, answer)

    assert refused.value.diagnosis.code == "wrong_issuer"


def known(credential: str) -> Connector:
    """A connector of Microsoft's, as the API shows it."""
    usual = dict.fromkeys(("id", "name", "client_id", "tenant"), "x")
    more = {"provider": "microsoft", "cloud": "global", "credential": credential, "facts": {}}
    return local.connector_of({**usual, **more})


@pytest.mark.parametrize("credential", ["federated", "service_account"])
def test_what_works_elsewhere_only_is_told(credential: str) -> None:
    with pytest.raises(click.UsageError, match=credential):
        desk._credential(known(credential), "post", None)


def test_a_certificate_is_read_from_a_file_and_a_public_client_has_nothing(tmp_path: Path) -> None:
    made = ClientCertificate.create()
    (tmp_path / "client.pem").write_text(made.pem)
    (tmp_path / "other.pem").write_text(made.certificate)

    read = desk._credential(known("certificate"), "post", tmp_path / "client.pem")

    assert made.certificate in read.reveal()
    assert desk._credential(known("none"), "post", None).reveal() == ""
    for file in (None, tmp_path / "other.pem"):
        with pytest.raises(click.UsageError, match="certificate"):
            desk._credential(known("certificate"), "post", file)


@pytest.mark.parametrize("endpoints", ["{", "[1]", '{"nobody": {}}', '{"google": {"token": "http://x"}}'])
def test_endpoints_that_cannot_be_used_are_told(endpoints: str) -> None:
    with pytest.raises(click.UsageError, match="PROVIDER_ENDPOINTS"):
        local.provider_of(known("secret"), None, {"PROVIDER_ENDPOINTS": endpoints})
