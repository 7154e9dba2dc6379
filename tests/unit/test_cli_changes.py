"""Commands that change something: whom it concerns, what they ask before, and what they say after."""

from __future__ import annotations

import json
import re
import secrets
from typing import TYPE_CHECKING

import pytest

from chalicelib.callers.models import Scope
from chalicelib.errors import NotFound
from tests.unit.cli_world import terminal, world
from tests.unit.test_cli import run, server

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from tests.unit.cli_world import Terminal
    from tests.unit.test_cli import Server

__all__ = ["server", "terminal", "world"]


@pytest.fixture
def account(terminal: Terminal) -> Account:
    """A connected account of Google's, with a name that a shell would split."""
    account = terminal.world.connected("google")
    return terminal.world.changing.change_account(account, name=f"orders {account.id}")


def secret_of(terminal: Terminal, connector: str) -> str:
    """The client secret that is in use."""
    world = terminal.world
    name = world.settings.secret_name(connector)
    return world.clients.secretsmanager.get_secret_value(SecretId=name)["SecretString"]


def taken_by_google(terminal: Terminal, connector: str) -> str:
    """A new secret of the connector's client, as Google's console makes one."""
    secret = secrets.token_urlsafe(24)
    client_id = terminal.world.registry.connector(connector).client_id
    redirect_uri = f"{terminal.world.public_url()}/oauth/callback/{connector}"
    terminal.world.control.register_client(client_id, secret, [redirect_uri], "google")
    return secret


# Connectors


def test_who_lives_by_a_secret_is_named_before_it_is_replaced(terminal: Terminal, account: Account) -> None:
    new = taken_by_google(terminal, account.connector)

    said = terminal.says("connectors", "secret", account.connector, stdin=f"{new}\n")

    assert re.search(
        rf"^This concerns:\n.*\n{account.id} +{account.name} .*\n\nThe secret is", said, re.MULTILINE
    )
    assert said.endswith("The secret is replaced. The former one is kept as AWSPREVIOUS. Google takes it.\n")
    assert new not in said
    assert secret_of(terminal, account.connector) == new


def test_a_secret_that_the_provider_refuses_replaces_none(terminal: Terminal, account: Account) -> None:
    before = secret_of(terminal, account.connector)

    result = terminal("connectors", "secret", account.connector, stdin="mistyped\n")

    assert result.exit_code == 1
    assert "Code: secret_refused" in result.stderr
    assert secret_of(terminal, account.connector) == before


def test_ug5_the_day_on_which_a_secret_ends_is_told_and_changed(terminal: Terminal, account: Account) -> None:
    new = taken_by_google(terminal, account.connector)

    terminal.says("connectors", "secret", account.connector, "--expires", "2027-01-31", stdin=f"{new}\n")
    after_saving = dict(terminal.world.registry.connector(account.connector).facts)
    shown = terminal.says("connectors", "update", account.connector, "--secret-expires", "2027-02-28")
    after_changing = dict(terminal.world.registry.connector(account.connector).facts)
    result = terminal("connectors", "update", account.connector, "--secret-expires", "soon")

    assert after_saving == {"secret_expires_at": "2027-01-31"}
    assert after_changing == {"secret_expires_at": "2027-02-28"}
    assert account.id not in shown
    assert (result.exit_code, "2027-01-31" in result.stderr) == (1, True)


def test_another_client_concerns_accounts_and_another_name_does_not(
    terminal: Terminal, account: Account
) -> None:
    connector = account.connector

    renamed = terminal.says("connectors", "update", connector, "--name", "Ours")
    refused = terminal("connectors", "update", connector, "--client-id", "other")
    terminal.world.disconnecting.disconnect(account.id, by="tests")
    done = terminal.says("connectors", "update", connector, "--client-id", "other")

    assert re.search(r"^name +Ours$", renamed, re.MULTILINE)
    assert account.id not in renamed
    assert (refused.exit_code, account.id in refused.stdout) == (1, True)
    assert "Code: connector_in_use" in refused.stderr
    assert done.index(account.id) < done.index("client id")
    assert terminal.world.registry.connector(connector).client_id == "other"


def test_a_change_of_nothing_is_misuse(terminal: Terminal, account: Account) -> None:
    assert terminal("connectors", "update", account.connector).exit_code == 2
    assert terminal("accounts", "rename", account.id).exit_code == 2
    assert terminal.asked == []


def test_a_connector_is_deleted_after_its_accounts(terminal: Terminal, account: Account) -> None:
    delete = ("connectors", "delete", account.connector, "--yes")
    other = terminal.world.connector("google").id

    refused = terminal(*delete)
    done = terminal.says("connectors", "delete", other, "--yes")

    assert (refused.exit_code, account.id in refused.stdout) == (1, True)
    assert "`mailgrant connectors show` lists them." in refused.stderr
    assert re.search(r"is deleted\. AWS can restore its secret until \d{4}-\d\d-\d\d\.$", done)
    with pytest.raises(NotFound):
        terminal.world.registry.connector(other)


# Accounts


def test_an_account_gets_another_name_and_stays_the_same(terminal: Terminal, account: Account) -> None:
    name = f"sales {account.id}"

    said = terminal.says("accounts", "rename", account.name, name, "--display-name", "Sales")

    assert re.search(rf"^id +{account.id}\nname +{name}\n", said)
    assert re.search(r"^display name +Sales$", said, re.MULTILINE)
    assert terminal("accounts", "show", account.name).exit_code == 1
    assert terminal("accounts", "rename", name, "--display-name", "").exit_code == 0
    assert terminal.world.read(account).display_name == ""


def test_a_pause_ends_with_the_command_that_it_names(terminal: Terminal, account: Account) -> None:
    said = terminal.says("accounts", "pause", account.name, "--reason", "Moving")
    shown = terminal.says("accounts", "show", account.name)
    resumed = terminal.says("accounts", "resume", account.name)

    assert f"`mailgrant accounts resume '{account.name}'`" in said
    assert re.search(r"^status +paused$", shown, re.MULTILINE)
    assert re.search(r"^paused +2\S+ \S+ by key_\w+: Moving$", shown, re.MULTILINE)
    assert resumed == f"{account.name} is connected.\n"


def test_what_cannot_send_is_verified_with_its_fix(terminal: Terminal) -> None:
    account = terminal.world.account(terminal.world.connector("google"))

    result = terminal("accounts", "verify", account.id)

    assert result.exit_code == 4
    assert re.search(r"^token +failed ", result.stdout, re.MULTILINE)
    assert "\nFix: " in result.stdout


def test_a_disconnected_account_names_the_next_step(terminal: Terminal, account: Account) -> None:
    said = terminal.says("accounts", "disconnect", account.name, "--yes")
    shown = terminal.says("accounts", "show", account.name)

    assert said == f"{account.name} is disconnected. The consent is withdrawn at the provider.\n"
    assert f"`mailgrant connect '{account.name}'` prints a link" in shown
    assert terminal.world.read(account).disconnection is not None


def test_where_the_owner_withdraws_the_consent_is_said(terminal: Terminal) -> None:
    account = terminal.world.connected("microsoft")

    said = terminal.says("accounts", "disconnect", account.id, "--yes")

    assert "its owner can do that.\n  https://myapps.microsoft.com\n" in said


def test_where_there_was_no_consent_nothing_is_left_to_withdraw(terminal: Terminal) -> None:
    account = terminal.world.account(terminal.world.connector("google"))

    said = terminal.says("accounts", "disconnect", account.id, "--yes")

    assert said == f"{account.name} is disconnected. There was no consent.\n"


def test_a_deletion_is_undone_by_the_command_that_it_names(terminal: Terminal, account: Account) -> None:
    said = terminal.says("accounts", "delete", account.name, "--yes")
    gone = terminal("accounts", "show", account.name)
    restored = terminal.says("accounts", "restore", account.name)

    assert f"`mailgrant accounts restore '{account.name}'` undoes it until 2" in said
    assert gone.exit_code == 1
    assert re.search(rf"^id +{account.id}$", restored, re.MULTILINE)
    assert re.search(r"^connect link +https://mail\.example/connect/", restored, re.MULTILINE)
    assert f"mailgrant accounts show '{account.name}'" in restored


# Callers


@pytest.mark.parametrize(
    ("kind", "value", "id_"),
    [
        ("--alias", "invoices-{}", "lambda:invoices-{}"),
        ("--role", "arn:aws:iam::000000000000:role/of/{}", "role:arn:aws:iam::000000000000:role/{}"),
    ],
)
def test_other_callers_are_allowed_listed_and_revoked(
    terminal: Terminal, account: Account, kind: str, value: str, id_: str
) -> None:
    value, id_ = value.format(account.id[4:]), id_.format(account.id[4:])

    allowed = terminal.says(
        *("callers", "allow", "invoices", kind, value, "--scope", "send", "--account", account.name)
    )
    listed = terminal.says("callers", "list")
    revoked = terminal.says("callers", "revoke", id_, "--yes")
    after = terminal.says("callers", "list")

    assert re.search(rf"^id +{id_}\n(.*\n)+accounts +{account.id}\n", allowed)
    assert re.search(rf"^{id_} .*  valid$", listed, re.MULTILINE)
    assert revoked == f"{id_} is revoked.\n"
    assert re.search(rf"^{id_} .*  revoked 2", after, re.MULTILINE)


def test_a_callers_limits_are_given_shown_and_changed(terminal: Terminal, account: Account) -> None:
    alias = f"news-{account.id[4:]}"
    limits = ("--from", account.address, "--reply-to-domain", "X.Example", "--per-minute", "60")

    made = terminal.says(
        *("callers", "allow", "news", "--alias", alias, "--scope", "send", "--account", account.name, *limits)
    )
    changed = terminal.says(
        *("callers", "limit", f"lambda:{alias}", "--from", "", "--reply-to-domain", "y.example")
    )
    unlimited = terminal.says("callers", "limit", f"lambda:{alias}", "--per-minute", "0", "--json")

    others = r"\nReply-To at +{}\.example\nper minute +60$"
    assert re.search(rf"^may be From +{account.address}{others.format('x')}", made, re.MULTILINE)
    assert re.search(others.format("y"), changed, re.MULTILINE)
    assert "may be From" not in changed
    assert json.loads(unlimited)["messages_per_minute"] is None


def test_a_change_of_no_limit_is_not_understood(terminal: Terminal) -> None:
    assert terminal("callers", "limit", "lambda:shop").exit_code == 2


# Agreement


@pytest.mark.parametrize(
    "command",
    ["accounts disconnect", "accounts delete", "connectors delete", "keys revoke", "callers revoke"],
)
def test_without_agreement_nothing_changes(terminal: Terminal, command: str) -> None:
    world = terminal.world
    account = world.account(world.connector("google"))
    things = {
        "accounts": account.id,
        "connectors": world.connector("google").id,
        "keys": world.callers.create_key("shop", [Scope.SEND], ["*"])[0].id,
    }
    words = command.split()
    thing = things.get(words[0], things["keys"])

    no, silence = terminal(*words, thing, stdin="n\n"), terminal(*words, thing)
    as_json = terminal(*words, thing, "--json", stdin="y\n")

    assert (no.exit_code, silence.exit_code, as_json.exit_code) == (1, 1, 2)
    assert "Code: not_agreed" in no.stderr
    assert "Code: not_agreed" in silence.stderr
    assert "add --yes" in json.loads(as_json.stderr)["error"]["message"]
    assert {route.partition(" ")[0] for route in terminal.asked} <= {"GET"}


def test_who_is_asked_about_is_named(terminal: Terminal, account: Account) -> None:
    result = terminal("accounts", "delete", account.id, stdin="n\n")

    assert f"Delete {account.name} ({account.address}), with the mail that waits?" in result.stderr


# Where there is nothing yet


@pytest.mark.parametrize(
    ("command", "route", "answer", "advice"),
    [
        ("accounts list", "accounts", {"accounts": [], "cursor": None}, "mailgrant accounts add"),
        ("connectors list", "connectors", {"connectors": []}, "mailgrant init"),
        ("messages list --account x", "messages", {"messages": [], "cursor": None}, "mailgrant send"),
        ("keys list", "callers", {"callers": []}, "mailgrant keys create"),
    ],
)
def test_an_empty_list_says_what_to_do(
    server: Server, command: str, route: str, answer: object, advice: str
) -> None:
    server.lay(f"GET /v1/{route}", (200, answer))

    result = run(server, *command.split())

    assert result.exit_code == 0
    assert advice in result.output
    assert json.loads(run(server, *command.split(), "--json").output)[route] == []
