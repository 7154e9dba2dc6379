"""An export of another system is imported, mailbox by mailbox."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest

from chalicelib.accounts.models.account import Account, GrantState
from tests.unit.cli_world import terminal

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.mailserver.client import MailServerClient
    from tests.unit.accounts_world import World
    from tests.unit.cli_world import Terminal

__all__ = ["terminal"]


@pytest.fixture
def world(mailing: World, mail: MailServerClient) -> World:
    """The services of a deployment whose providers have a mail server, which is empty."""
    del mail
    return mailing


def token_of(world: World, account: Account) -> str:
    """The refresh token that another system would have."""
    grant = world.grants_table.get(account.id)
    assert grant is not None
    return world.keeper.reveal(grant).reveal()


def export(path: Path, *rows: tuple[str, str, str]) -> str:
    """A file of address, token and name."""
    with (path / "export.csv").open("w", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([("address", "refresh_token", "name"), *rows])
    return file.name


def stands(world: World, account: Account) -> tuple[str, str, str]:
    """The row of a mailbox that another system sends from, under a name of its own."""
    return account.address, token_of(world, account), f"moved {account.id}"


def named(world: World, row: tuple[str, str, str]) -> Account:
    """The account that was made of a row."""
    return world.registry.account(row[2])


def test_one_that_fails_does_not_stop_the_others(terminal: Terminal, tmp_path: Path) -> None:
    world = terminal.world
    first = world.connected("microsoft")
    connector = world.registry.connector(first.connector)
    second = world.account(connector)
    world.sign_in(second)
    bad = (first.address, "of nobody", f"bad {first.id}")
    refused = ("ada@no..where", "a token", "")
    rows = [stands(world, first), bad, refused, stands(world, world.read(second))]

    result = terminal("accounts", "import", export(tmp_path, *rows), "--connector", connector.id)

    assert result.exit_code == 4, result.output
    lines = [line for line in result.output.splitlines() if "@" in line]
    assert lines == [
        f"{first.address}  connected",
        f"{first.address}  failed",
        "ada@no..where  failed",
        f"{second.address}  connected",
    ]
    assert "4 mailboxes, 2 failed." in result.output
    assert "delete it" in result.output
    for row in (rows[0], rows[-1]):
        assert named(world, row).grant_state is GrantState.ACTIVE
        assert row[1] not in result.output


def test_it_can_be_run_again_and_mends_what_failed(terminal: Terminal, tmp_path: Path) -> None:
    world = terminal.world
    account = world.connected("microsoft")
    row = stands(world, account)
    wrong = (row[0], "of nobody", row[2])
    command = ("accounts", "import", "--connector", account.connector, "--json")

    first = terminal(*command, export(tmp_path, wrong))
    second = terminal(*command, export(tmp_path, row))
    third = terminal(*command, export(tmp_path, row))

    assert [result.exit_code for result in (first, second, third)] == [4, 0, 0]
    shown = [json.loads(result.output)["accounts"][0]["result"] for result in (first, second, third)]
    assert shown == ["failed", "connected", "there already"]
    assert json.loads(first.output)["failed"] == 1


def test_a_dry_run_changes_nothing(terminal: Terminal, tmp_path: Path) -> None:
    world = terminal.world
    there = world.connected("microsoft")
    new = (there.address, "a token", f"new {there.id}")
    known = (there.address, "a token", there.name)
    stranger = ("other@mail.example", "a token", there.name)
    file = export(tmp_path, new, known, stranger)
    terminal.asked.clear()

    result = terminal("accounts", "import", file, "--connector", there.connector, "--dry-run", "--json")

    assert result.exit_code == 4
    rows = json.loads(result.output)["accounts"]
    assert [row["result"] for row in rows] == ["would be made", "there already", "failed"]
    assert rows[2]["error"]["code"] == "name_taken"
    assert {route.partition(" ")[0] for route in terminal.asked} == {"GET"}


def test_an_account_of_another_mailbox_is_left_alone(terminal: Terminal, tmp_path: Path) -> None:
    account = terminal.world.account(terminal.world.connector("google"))
    file = export(tmp_path, ("other@mail.example", "a token", account.name))

    result = terminal("accounts", "import", file, "--connector", account.connector)

    assert result.exit_code == 4
    assert f"Another account has the name {account.name}." in result.output
    assert terminal.world.read(account).grant_state is GrantState.NONE


@pytest.mark.parametrize("content", [b"\xff\xfe", b"address\nada@x.example\n"])
def test_what_cannot_be_read_is_refused_before_anything_is_asked(
    terminal: Terminal, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "export.csv").write_bytes(content)

    result = terminal("accounts", "import", str(tmp_path / "export.csv"), "--connector", "con_1")

    assert result.exit_code == 2
    assert terminal.asked == []
