"""``mailgrant init`` over the application's real parts: what it asks, what it finds, and where it goes on."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.models.account import GrantState
from cli import accounts, asker, guide, waiting, wizard
from cli.init import BEGINNING, NONE_KNOWN
from tests.unit.cli_world import terminal, world
from tests.unit.test_cli import impatient

if TYPE_CHECKING:
    from click.testing import Result

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from tests.unit.cli_world import Terminal

__all__ = ["impatient", "terminal", "world"]

ASKED, REFUSED, MISUSED, UNREACHABLE, FELL_SHORT = range(5)
LOOK = waiting.Watch.look
STAGE = ""
"""Enter at the first question: the stage that the environment names."""
OWNER = ""
"""Enter where the way is asked: the first is its owner's consent."""


@pytest.fixture(autouse=True)
def _at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody can be asked; looks are quick; nobody waits for an owner or a message, but presses Ctrl-C."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(asker, "at_terminal", lambda: True)
    monkeypatch.setattr(accounts, "POLL", 0.01)
    monkeypatch.setattr(waiting.Watch, "look", interrupted)
    monkeypatch.setattr(wizard, "settled", interrupted)


@pytest.fixture(autouse=True)
def _nothing(terminal: Terminal) -> None:
    """No connector and no account is there, not even of another test."""
    empty(terminal, "connectors", "accounts")


def empty(terminal: Terminal, *names: str) -> None:
    """Takes every row out of these tables."""
    tables, dynamodb = terminal.world.settings.table, terminal.world.clients.dynamodb
    for table in map(tables, names):
        keys = [
            one["AttributeName"] for one in dynamodb.describe_table(TableName=table)["Table"]["KeySchema"]
        ]
        for page in dynamodb.get_paginator("scan").paginate(TableName=table):
            for row in page["Items"]:
                dynamodb.delete_item(TableName=table, Key={name: row[name] for name in keys})


@pytest.fixture
def client(terminal: Terminal) -> tuple[str, str]:
    """An app that Google knows, without a redirect URI: its id and its secret."""
    client_id, secret = f"client-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
    terminal.world.control.register_client(client_id, secret, [], "google")
    return client_id, secret


def answered(terminal: Terminal, *answers: str, options: tuple[str, ...] = ()) -> Result:
    """What happens when a person gives these answers and then goes away (Ctrl-D)."""
    return terminal("init", *options, stdin="".join(f"{one}\n" for one in answers))


def owner_signs_in(monkeypatch: pytest.MonkeyPatch, terminal: Terminal, **answer: Any) -> None:
    """While the wizard waits the owner signs in once."""
    signed_in: list[str] = []

    def look(self: waiting.Watch, shown: dict[str, Any]) -> None:
        if not signed_in:
            signed_in.append(shown["id"])
            terminal.world.control.register_user(shown["address"])
            terminal.world.sign_in(terminal.world.registry.account(shown["id"]), **answer)
        LOOK(self, shown)

    monkeypatch.setattr(waiting.Watch, "look", look)


def connectors(terminal: Terminal) -> list[Connector]:
    """All that there are."""
    return terminal.world.registry.connectors()


def mailboxes(terminal: Terminal) -> list[Account]:
    """All accounts."""
    return terminal.world.registry.accounts(100, None)[0]


# From nothing


def test_every_step_from_nothing_is_told_before_it_is_asked(
    terminal: Terminal, client: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Console steps, client, redirect URI, mailbox, link; then its owner connects it."""
    client_id, secret = client

    def register(self: waiting.Watch, shown: dict[str, Any]) -> None:
        del self
        uri = f"{terminal.world.public_url()}/oauth/callback/{shown['connector']}"
        terminal.world.control.register_client(client_id, secret, [uri], "google")
        terminal.world.control.register_user(shown["address"])
        terminal.world.sign_in(terminal.world.registry.account(shown["id"]))

    monkeypatch.setattr(waiting.Watch, "look", register)

    result = answered(terminal, STAGE, "2", OWNER, client_id, secret, "", "Ada@mail.example")

    order = [
        *("1. The stage", "2. The app", "Clients > Create client > Web application", "Client ID: "),
        *("Saved. Google takes it.", "Register this redirect URI", "Press Enter", "3. The mailbox"),
        *("opens this link", "Ada@mail.example is connected.", "4. A test message", "[Ada@mail.example]"),
    ]
    assert re.search(".*".join(map(re.escape, order)), result.output, re.DOTALL), result.output
    (made,) = connectors(terminal)
    assert f"\n{terminal.world.public_url()}/oauth/callback/{made.id}\n" in result.output
    assert secret not in result.output
    assert [one.grant_state for one in mailboxes(terminal)] == [GrantState.ACTIVE]


def test_no_line_that_is_prepared_is_wider_than_a_terminal() -> None:
    told = [one for name, one in vars(guide).items() if name.isupper()]
    texts = [
        BEGINNING,
        NONE_KNOWN,
        *(text for one in told for text in (one.values() if isinstance(one, dict) else [one])),
    ]

    assert max(len(line) for text in texts for line in text.splitlines()) <= 80


# Refused answers


def test_a_wrong_secret_is_told_at_once_and_asked_for_again(
    terminal: Terminal, client: tuple[str, str]
) -> None:
    """The client id that was typed needs no second typing, and there is one connector in the end."""
    client_id, secret = client

    result = answered(terminal, STAGE, "2", OWNER, client_id, "mistyped", "", secret)

    assert "Google does not take it (invalid_client): The client secret is wrong.\nFix: " in result.output
    assert f"Client ID [{client_id}]" in result.output
    assert "mistyped" not in result.output
    assert result.output.index("Fix: ") < result.output.index("Saved. Google takes it.")
    assert len(connectors(terminal)) == 1


def test_a_refused_option_is_asked_for_like_any_other_answer(
    terminal: Terminal, client: tuple[str, str]
) -> None:
    client_id, secret = client
    options = ("--provider", "google", "--client-id", client_id, "--client-secret", "mistyped")

    result = answered(terminal, STAGE, OWNER, "", secret, options=options)

    assert result.output.count(f"Client ID [{client_id}]") == 1
    assert "Saved. Google takes it." in result.output


def test_a_wrong_client_id_is_changed_in_the_same_connector(
    terminal: Terminal, client: tuple[str, str]
) -> None:
    client_id, secret = client

    result = answered(terminal, STAGE, "2", OWNER, "nobody", secret, client_id, "")

    assert "Saved. Google takes it." in result.output
    assert [one.client_id for one in connectors(terminal)] == [client_id]


def test_a_client_that_has_a_connector_gets_no_second_one(
    terminal: Terminal, client: tuple[str, str]
) -> None:
    client_id, secret = client
    answered(terminal, STAGE, "2", OWNER, client_id, secret)

    again = answered(terminal, STAGE, "2", "2", OWNER, client_id, secret)

    assert "Saved. Google takes it." in again.output
    assert len(connectors(terminal)) == 1


def test_an_address_that_is_none_is_asked_for_again(terminal: Terminal) -> None:
    connector = terminal.world.connector("google")

    result = answered(
        terminal,
        STAGE,
        "",
        "",
        "ada@nowhere",
        OWNER,
        "ada@mail.example",
        options=("--client-id", connector.client_id),
    )

    assert "Fix: Write one address, such as ada@example.com.\n" in result.output
    assert [one.address for one in mailboxes(terminal)] == ["ada@mail.example"]


def test_a_name_that_another_account_has_is_asked_for_again(terminal: Terminal) -> None:
    elsewhere = terminal.world.connected("microsoft")
    connector = terminal.world.connector("google")

    result = answered(
        terminal,
        STAGE,
        "",
        "",
        elsewhere.address,
        OWNER,
        "shop",
        options=("--client-id", connector.client_id),
    )

    assert "Name of the account: " in result.output
    assert sorted(one.name for one in mailboxes(terminal)) == sorted([elsewhere.name, "shop"])


def test_a_key_that_may_not_make_accounts_is_refused_before_anything_is_made(terminal: Terminal) -> None:
    from chalicelib.callers.models import Scope

    _, key = terminal.world.callers.create_key("small", {Scope.READ, Scope.SEND}, ["*"])

    result = terminal("init", "--yes", "--url", terminal.url, "--key", key.reveal())

    assert result.exit_code == MISUSED
    assert (
        'small may not make connectors and accounts: use a key with the scope admin for "*".' in result.stderr
    )


# While the owner is waited for


def test_an_app_that_is_refused_while_the_owner_signs_in_is_corrected_there(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider changed its secret meanwhile: that is told in the wizard, and a new link follows."""
    account = terminal.world.account(terminal.world.connector("google"))
    connector = terminal.world.registry.connector(account.connector)
    uri, new = f"{terminal.world.public_url()}/oauth/callback/{connector.id}", secrets.token_urlsafe(24)
    terminal.world.control.register_client(connector.client_id, new, [uri], "google")
    owner_signs_in(monkeypatch, terminal)

    result = answered(terminal, STAGE, "", "", "", "", "", new, options=("--timeout", "1"))

    assert result.output.count("opens this link") == 2
    assert "The client secret is wrong.\nFix: " in result.output
    assert "Saved. Google takes it." in result.output


@pytest.mark.parametrize("answer", [{"accept": False}, {"mailbox": "somebody@else.example"}])
def test_a_consent_that_fails_leaves_the_wizard_waiting(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]
) -> None:
    """The owner's page tells what was wrong; nothing that is made is lost."""
    account = terminal.world.account(terminal.world.connector("google"))
    terminal.world.control.register_user("somebody@else.example")
    owner_signs_in(monkeypatch, terminal, **answer)
    options = ("--yes", "--mailbox", account.address, "--timeout", "1")

    result = answered(terminal, options=options)

    assert result.exit_code == FELL_SHORT
    assert "It was not connected within 1 s.\nFix: The link still works; " in result.stderr
    assert terminal.world.read(account).grant_state is GrantState.NONE


def test_what_may_hinder_the_owner_is_told_after_a_while(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = terminal.world.account(terminal.world.connector("microsoft"))
    monkeypatch.setattr(waiting, "PATIENCE", 0)
    monkeypatch.setattr(waiting.Watch, "look", LOOK)

    result = answered(terminal, options=("--yes", "--mailbox", account.address, "--timeout", "1"))

    assert result.output.count("AADSTS50011   the redirect URI is not registered exactly") == 1
    assert f"\n{terminal.world.public_url()}/oauth/callback/{account.connector}\nAfter any" in result.output


def test_ctrl_c_while_waiting_leaves_everything_in_place(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = terminal.world.account(terminal.world.connector("google"))

    ended = answered(terminal, STAGE, "", "", "", "", "")
    owner_signs_in(monkeypatch, terminal)
    again = answered(terminal, STAGE, "", "", "", "", "")

    assert ended.exit_code == 130
    assert ended.stderr.strip() == "What is done stays; `mailgrant init` goes on there."
    assert f"{account.address} is connected." in again.output
    assert len(mailboxes(terminal)) == len(connectors(terminal)) == 1


# What exists


def test_a_connected_mailbox_is_found_and_only_the_message_is_left(terminal: Terminal) -> None:
    account = terminal.world.connected("google")

    result = answered(terminal, STAGE, "", "")

    assert f"Its accounts:\n  {account.address}  connected\n" in result.output
    assert f"{account.address} is connected.\n\n4. A test message\n" in result.output
    assert "redirect URI" not in result.output
    assert "opens this link" not in result.output


def test_the_app_whose_mailbox_waits_for_its_owner_comes_first(terminal: Terminal) -> None:
    terminal.world.connected("google")
    waits = terminal.world.account(terminal.world.connector("microsoft"))
    client_id = terminal.world.registry.connector(waits.connector).client_id

    result = answered(terminal, STAGE)

    assert re.search(rf"^  1  .*{client_id}\)$", result.output, re.MULTILINE)


def test_an_app_that_nobody_has_connected_with_shows_its_redirect_uri_again(terminal: Terminal) -> None:
    connector = terminal.world.connector("google")

    result = answered(terminal, STAGE, "", "")

    assert f"/oauth/callback/{connector.id}\n" in result.output


def test_an_app_that_its_provider_refuses_is_mended_first(terminal: Terminal) -> None:
    account = terminal.world.connected("google")
    connector = terminal.world.registry.connector(account.connector)
    uri, new = f"{terminal.world.public_url()}/oauth/callback/{connector.id}", secrets.token_urlsafe(24)
    terminal.world.control.register_client(connector.client_id, new, [uri], "google")
    terminal.world.sign_in(account)

    result = answered(terminal, STAGE, "", "", new, "")

    assert ", refused by its provider" in result.output
    assert result.output.index("The client secret is wrong.") < result.output.index("Saved. Google takes it.")
    assert f"{account.address} is connected.\n" in result.output


def test_a_paused_mailbox_is_resumed_where_the_person_agrees(terminal: Terminal) -> None:
    account = terminal.world.connected("google")
    terminal.world.pausing.pause(account, by="tests")

    refused = answered(terminal, STAGE, "", "", "n")
    agreed = answered(terminal, STAGE, "", "", "y")

    assert refused.exit_code == FELL_SHORT
    assert f"{account.address} cannot send. Somebody has paused it.\nFix: Run `" in refused.stderr
    assert f"{account.address} is connected.\n" in agreed.output


# Without anybody


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ((), "--provider"),
        (("--provider", "google"), "--client-id"),
        (("--provider", "google", "--client-id", "x"), "--client-secret"),
    ],
)
def test_without_a_terminal_nothing_is_asked_and_the_option_is_named(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], missing: str
) -> None:
    monkeypatch.setattr(asker, "at_terminal", lambda: False)

    result = answered(terminal, "never read", options=options)

    assert result.exit_code == MISUSED
    assert f"Nobody can be asked, as the input is no terminal: add {missing} (" in result.stderr
    assert connectors(terminal) == []


def test_with_yes_several_apps_need_a_choice_and_a_new_mailbox_an_address(terminal: Terminal) -> None:
    connector = terminal.world.connector("google")
    alone = answered(terminal, options=("--yes",))
    terminal.world.connector("microsoft")

    several = answered(terminal, options=("--yes",))
    chosen = answered(terminal, options=("--yes", "--client-id", connector.client_id))

    assert "--yes asks nobody: add --mailbox (" in alone.stderr
    assert "--yes asks nobody: add --connector or --client-id (" in several.stderr
    assert "--yes asks nobody: add --mailbox (" in chosen.stderr


def test_with_yes_a_refused_secret_ends_it_in_the_shape_of_every_error(
    terminal: Terminal, client: tuple[str, str]
) -> None:
    options = ("--provider", "google", "--client-id", client[0], "--client-secret", "mistyped")

    result = answered(terminal, options=(*options, "--yes", "--json"))

    assert result.exit_code == REFUSED
    error = json.loads(result.stderr.splitlines()[-1])["error"]
    assert error["code"] == "secret_refused"
    assert {"message", "fix", "docs"} < set(error)
    assert result.stdout == ""


def test_json_asks_nobody(terminal: Terminal) -> None:
    result = answered(terminal, options=("--json",))

    assert result.exit_code == MISUSED
    assert "--json asks nobody: add --yes." in result.stderr


# The stage


def nowhere(terminal: Terminal, tmp_path: Path) -> dict[str, str | None]:
    """An environment in which no stage is known."""
    return {
        "MAILGRANT_URL": None,
        "MAILGRANT_KEY": None,
        "MAILGRANT_SANDBOX_DIRECTORY": str(tmp_path),
        "XDG_CONFIG_HOME": str(terminal.home),
    }


def test_a_stage_that_is_not_known_is_logged_in_to_and_remembered(terminal: Terminal, tmp_path: Path) -> None:
    """A URL that is none and a key that is wrong are asked for again; the last URL is the default."""
    from click.testing import CliRunner

    from cli.main import main

    answers = f"mail.example\n{terminal.url}\nmg_wrong\n\n{terminal.key}\n"

    result = CliRunner().invoke(main, ["init"], env=nowhere(terminal, tmp_path), input=answers)

    assert "None is known here. `make demo` starts" in result.output
    assert "mail.example is not a URL" in result.output
    assert "This API key is not one of this installation" in result.output
    assert f"[{terminal.url}]" in result.output
    saved = terminal.home / "mailgrant" / "config.toml"
    assert f"Speaking to {terminal.url}; saved in {saved}." in result.output
    assert terminal.key in saved.read_text()
    assert terminal.key not in result.output


def test_a_sandbox_that_has_ended_is_named_as_the_reason(terminal: Terminal, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from cli.main import main

    pages = {"provider": "https://127.0.0.1:1", "mailboxes": "http://127.0.0.1:1"}
    told = {"url": terminal.url, "key": terminal.key, "ca": "", "other": {}, "federated": {}, **pages}
    (tmp_path / "cli.json").write_text(json.dumps(told))

    result = CliRunner().invoke(main, ["init"], env=nowhere(terminal, tmp_path), input="1\n2\n\n\n\n")

    assert f"  1  the sandbox that runs here, {terminal.url}\n" in result.output
    assert result.exit_code == UNREACHABLE
    assert "the sandbox has ended; `make demo` starts a new one" in result.stderr
    assert "goes on there" not in result.stderr
