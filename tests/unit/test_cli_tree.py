"""What holds for every command: help with an example, a route, and one JSON document with ``--json``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click
import pytest
from click.testing import CliRunner

from chalicelib.web.api.table import ROUTES
from cli.exits import MEANINGS
from cli.main import main
from cli.routes import COMMANDS, named
from tests.unit.cli_world import terminal, world

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli_world import Terminal

__all__ = ["terminal", "world"]

ELSEWHERE: Final = {
    "completion": "prints a script for a shell, and has no --json",
    "init": "is run by tests/flows/test_init.py",
    "deploy": "is run by tests/packaging",
    "destroy": "is run by tests/packaging",
    "encryption rewrap": "is run by test_cli_rewrap.py, on tables that no other test fills",
    "status": "is run by test_cli_status.py",
}
"""Commands that are not run here, with the reason."""

WITHOUT_COMMAND: Final = {
    "DELETE /callers/{}": "`callers revoke` names the caller in the query, which takes any id",
}
"""Routes of the API that no command asks for, with the reason."""


def commands(group: click.Group = main, above: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command and group, by what is typed."""
    for name, command in group.commands.items():
        typed = f"{above} {name}".strip()
        yield typed, command
        if isinstance(command, click.Group):
            yield from commands(command, typed)


ALL: Final = dict(commands())
LEAVES: Final = [typed for typed, command in ALL.items() if not isinstance(command, click.Group)]


@pytest.mark.parametrize("typed", ["", *ALL])
def test_help_has_a_sentence_and_an_example_and_fits_a_terminal(typed: str) -> None:
    result = CliRunner().invoke(main, [*typed.split(), "--help"], env={"COLUMNS": "80"})
    text = result.output

    assert result.exit_code == 0
    assert re.search(r"^Usage: .*\n\n  [A-Z].*\.$", text, re.MULTILINE | re.DOTALL)
    assert re.search(rf"^    .*mailgrant .*{typed.rpartition(' ')[2]}", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 80


def test_the_exit_codes_are_in_the_help() -> None:
    text = CliRunner().invoke(main, ["--help"]).output

    assert [int(code) for code in re.findall(r"^ {4}(\d+) ", text, re.MULTILINE)] == list(MEANINGS)


def test_every_route_of_the_api_has_its_command() -> None:
    routes = {f"{method} {re.sub('{.*?}', '{}', path)}" for method, path, _ in ROUTES}

    assert routes == COMMANDS.keys() | WITHOUT_COMMAND.keys()
    assert set(COMMANDS.values()) <= set(LEAVES)


def test_advice_of_the_api_names_the_command() -> None:
    fix = "POST /v1/accounts/{id}/connect-link makes one; GET /v1/accounts lists them. GET /v1/nothing."

    assert (
        named(fix) == "`mailgrant connect` makes one; `mailgrant accounts list` lists them. GET /v1/nothing."
    )


SPOKEN: Final = {"connectors doctor", "accounts doctor"}
"""Commands that answer even though their exit code says that something is wrong."""


def documents(text: str) -> list[Any]:
    """The JSON documents of which the text consists."""
    found, decoder = [], json.JSONDecoder()
    text = text.strip()
    while text:
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:].strip()
    return found


class Everything:
    """Runs every command once with ``--json``, and remembers how it ended."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.run: set[str] = set()

    def __call__(self, typed: str, *arguments: str, code: int = 0, stdin: str = "") -> Mapping[str, Any]:
        """The one document that the command prints; that it asks for its route, and ends with that code."""
        self.terminal.asked.clear()
        result = self.terminal(*typed.split(), *arguments, "--json", stdin=stdin)
        asked = [route.replace(" /v1", " ") for route in self.terminal.asked]

        assert result.exit_code == code, (typed, result.output)
        assert (result.stdout == "") == (code == 1 and typed not in SPOKEN), (typed, result.output)
        (document,) = documents(result.output)
        assert isinstance(document, dict), typed
        for route, command in COMMANDS.items():
            assert command != typed or route in asked, (typed, asked)
        self.run.add(typed)
        return document


def other_ways(run: Everything, made: Mapping[str, Any], export: Path) -> None:
    """The commands that connect an account without a link."""
    account = made["id"]
    again = run("accounts connect", account, "--refresh-token", stdin="of nobody", code=4)
    assert again["connection"]["ok"] is False
    assert run("accounts rollback", account, code=1)["error"]["code"] == "nothing_to_roll_back"
    assert run("accounts update", account, "--from-policy", "rewrite")["from_policy"] == "rewrite"
    export.write_text(f"address,refresh_token,name\n{made['address']},x,{made['name']}\n")
    assert run("accounts import", str(export), "--connector", made["connector"])["failed"] == 0


def test_every_command_prints_one_json_document(terminal: Terminal, tmp_path: Path) -> None:
    run, world = Everything(terminal), terminal.world
    new = ("--provider", "google", "--name", "Ours", "--client-id", "ours")

    run("whoami")
    assert run("providers")["providers"]
    run("login", "--url", terminal.url, stdin=f"{terminal.key}\n")
    run("cost")

    unused = run("connectors add", *new, stdin="a secret")["id"]
    run("connectors update", unused, "--name", "Yours")
    run("connectors secret", unused, "--unchecked", stdin="another secret")
    run("connectors list")
    assert run("connectors delete", unused, "--yes")["deleted"] is True

    connector = world.connector("google").id
    address = world.account(world.registry.connector(connector)).address
    made = run("accounts add", "--connector", connector, "--name", f"n-{connector}", f"x-{address}")
    account = made["id"]
    world.control.register_user(made["address"], provider="google")
    world.sign_in(world.registry.account(account))
    assert len(run("connectors show", connector)["accounts"]) == 2
    run("accounts list")
    assert run("accounts show", account)["status"] == "connected"
    run("accounts rename", account, "--display-name", "Orders")
    for command in ("connect", "accounts reconnect"):
        assert run(command, account)["connect_link"]
    other_ways(run, made, tmp_path / "export.csv")
    assert run("connectors doctor", connector)["checks"]
    assert run("accounts doctor", account, code=1)["checks"]
    assert run("accounts pause", account)["status"] == "paused"

    letter = ("--account", account, "--to", "a@example.net", "--text", "x")
    message = run("send", *letter)["id"]
    assert run("messages list", "--account", account)["messages"]
    assert run("messages show", message)["state"] == "queued"
    assert run("messages resolve", message, "--as", "sent", code=1)["error"]["code"] == "not_unknown"
    assert run("messages cancel", message)["messages"]
    assert run("messages follow", message, code=4)["state"] == "cancelled"

    assert run("accounts resume", account)["paused"] is None
    run("accounts disconnect", account, "--yes")
    assert run("accounts verify", account, code=4)["ok"] is False
    assert run("accounts delete", account, "--yes")["deleted"] is True
    assert run("accounts restore", account)["connect_link"]

    rights = ("--scope", "send", "--account", account)
    key = run("keys create", "shop", *rights)["id"]
    run("keys list")
    assert run("keys revoke", key, "--yes")["revoked_at"]
    caller = run("callers allow", "shop", "--alias", account.replace("_", "-"), *rights)["id"]
    run("callers list")
    assert run("callers limit", caller, "--per-minute", "60")["messages_per_minute"] == 60
    assert run("callers revoke", caller, "--yes")["revoked_at"]

    assert run.run == set(LEAVES) - ELSEWHERE.keys()
