"""An export of another system is imported, mailbox by mailbox."""

from __future__ import annotations

import csv
import json
import re
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.models.account import Account, GrantState
from tests.unit.applications import TENANT, WORKSPACE, application, service_account
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
    rows = [stands(world, first), bad, stands(world, world.read(second))]

    result = terminal("accounts", "import", export(tmp_path, *rows), "--connector", connector.id)

    assert result.exit_code == 4, result.output
    lines = [line for line in result.output.splitlines() if "@" in line]
    assert lines == [
        f"{first.address}  connected",
        f"{first.address}  failed",
        f"{second.address}  connected",
    ]
    assert "3 mailboxes, 1 failed." in result.output
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
    there, other = world.connected("microsoft"), world.account(world.connector("google"))
    new = (there.address, "a token", f"new {there.id}")
    known = (there.address, "a token", there.name)
    stranger = ("other@mail.example", "a token", other.name)
    file = export(tmp_path, new, known, stranger)
    terminal.asked.clear()

    result = terminal("accounts", "import", file, "--connector", there.connector, "--dry-run", "--json")

    assert result.exit_code == 4
    rows = json.loads(result.output)["accounts"]
    assert [row["result"] for row in rows] == ["would be made", "there already", "failed"]
    assert rows[0]["how"] == "its refresh token"
    assert rows[2]["error"]["code"] == "name_taken"
    assert {route.partition(" ")[0] for route in terminal.asked} == {"GET"}


def test_an_account_of_another_mailbox_is_left_alone(terminal: Terminal, tmp_path: Path) -> None:
    account = terminal.world.account(terminal.world.connector("google"))
    file = export(tmp_path, ("other@mail.example", "a token", account.name))

    result = terminal("accounts", "import", file, "--connector", account.connector)

    assert result.exit_code == 4
    assert f"Another account has the name {account.name}." in result.output
    assert terminal.world.read(account).grant_state is GrantState.NONE


@pytest.mark.parametrize("content", [b"\xff\xfe", b"address,refresh_token\nada@no..where,x\n"])
def test_what_cannot_be_read_is_refused_before_anything_is_asked(
    terminal: Terminal, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "export.csv").write_bytes(content)

    result = terminal("accounts", "import", str(tmp_path / "export.csv"), "--connector", "con_1")

    assert result.exit_code == 2
    assert terminal.asked == []


# Every way in one file


def mixed(world: World, mail: MailServerClient) -> tuple[list[dict[str, str]], str]:
    """A row for each way to connect, and the password of the one whose password the file does not have."""
    app, robot, consent = application(world), service_account(world), world.connector("microsoft")
    server = world.registry.add_connector(world.registry.new_connector("google", "", "", credential="none"))
    mark, password, typed = app.id[-8:], token_urlsafe(12), token_urlsafe(12)
    addresses = {name: f"{name}-{mark}@{domain}" for name, domain in DOMAINS.items()}
    for name, address in addresses.items():
        provider: Any = {"app": "microsoft", "owner": "microsoft"}.get(name, "google")
        more = {"known": {"app_password": password}, "asked": {"app_password": typed}}.get(name, {})
        world.control.register_user(address, provider=provider, tenant=DOMAINS[name], **more)
    mail.mailbox(addresses["app"], applications=[app.client_id])
    rows = [
        {"address": addresses["app"], "auth_mode": "client_credentials", "client_id": app.client_id},
        {"address": addresses["robot"], "connector": robot.id, "display_name": "Robot"},
        {"address": addresses["known"], "connector": server.id, "password": password},
        {"address": addresses["asked"], "connector": server.id, "auth_mode": "password"},
        {"address": addresses["owner"], "connector": consent.id},
    ]
    return rows, typed


DOMAINS = {
    "app": TENANT,
    "robot": WORKSPACE,
    "known": "mail.example",
    "asked": "mail.example",
    "owner": "mail.example",
}


def test_O19_each_row_is_connected_in_its_own_way(
    terminal: Terminal, tmp_path: Path, mail: MailServerClient
) -> None:
    """By an application, a service account, a password, one that is typed; and one waits for its owner."""
    world = terminal.world
    rows, typed = mixed(world, mail)
    (tmp_path / "export.json").write_text(json.dumps(rows))
    command = ("accounts", "import", str(tmp_path / "export.json"), "--json")

    planned = json.loads(terminal.says(*command, "--dry-run"))["accounts"]
    done = json.loads(terminal.says(*command, stdin=f"{typed}\n"))["accounts"]
    again = json.loads(terminal.says(*command))["accounts"]

    assert [row["how"] for row in planned] == [
        "the connector's application",
        "the connector's service account",
        "its password",
        "its password",
        "a connect link",
    ]
    assert [row["result"] for row in done] == [*["connected"] * 4, "waits for its owner"]
    assert [row["result"] for row in again] == [*["there already"] * 4, "waits for its owner"]
    assert all(
        row["connect_link"].startswith(f"{world.public_url()}/connect/") for row in (done[4], again[4])
    )
    assert world.registry.account(rows[1]["address"]).display_name == "Robot"


def test_a_row_is_mended_in_the_file_and_the_account_follows(
    terminal: Terminal, tmp_path: Path, mail: MailServerClient
) -> None:
    """What was made with a mistake is changed, not made a second time."""
    del mail
    world = terminal.world
    server = world.registry.add_connector(world.registry.new_connector("google", "", "", credential="none"))
    address, password = f"ada-{server.id[-8:]}@mail.example", token_urlsafe(12)
    world.control.register_user(address, provider="google", app_password=password)
    file = tmp_path / "export.csv"

    def run(held: str, display_name: str) -> Any:
        file.write_text(f"address,password,display_name\n{address},{held},{display_name}\n")
        return terminal("accounts", "import", str(file), "--connector", server.id, "--json")

    first, second = run("mistyped", "Robbot"), run(password, "Robot")

    assert (first.exit_code, second.exit_code) == (4, 0)
    one, other = (json.loads(result.output)["accounts"][0] for result in (first, second))
    assert (one["result"], other["result"]) == ("failed", "connected")
    assert one["id"] == other["id"]
    assert world.registry.account(one["id"]).display_name == "Robot"
    assert password not in first.output


def test_a_password_that_nobody_types_stops_it_before_anything_is_done(
    terminal: Terminal, tmp_path: Path
) -> None:
    world = terminal.world
    server = world.registry.add_connector(world.registry.new_connector("google", "", "", credential="none"))
    file = tmp_path / "export.csv"
    file.write_text("address,password\nbeda@mail.example,known\nceda@mail.example,\n")
    terminal.asked.clear()

    result = terminal("accounts", "import", str(file), "--connector", server.id, "--auth-mode", "password")

    assert result.exit_code == 2
    assert "Password of ceda@mail.example" in result.stderr
    assert {route.partition(" ")[0] for route in terminal.asked} == {"GET"}


def test_what_no_connector_can_do_is_named_by_line_and_nothing_is_done(
    terminal: Terminal, tmp_path: Path
) -> None:
    robot = service_account(terminal.world)
    file = tmp_path / "export.csv"
    file.write_text(
        "address,auth_mode,connector\n"
        f"a@mail.example,,{robot.id}\n"
        f"b@mail.example,client_credentials,{robot.id}\n"
        "c@mail.example,,\n"
        "d@mail.example,,nobody\n"
    )
    terminal.asked.clear()

    result = terminal("accounts", "import", str(file))

    assert result.exit_code == 2
    assert re.findall(r"Line \d: (?:\S+ ){4}", result.stderr) == [
        "Line 3: Gmail or Google Workspace ",
        "Line 4: No connector is known ",
        "Line 5: 0 connectors are called ",
    ]
    assert {route.partition(" ")[0] for route in terminal.asked} == {"GET"}


def test_a_token_needs_the_client_that_it_is_of(terminal: Terminal, tmp_path: Path) -> None:
    """A configuration of email-oauth2-proxy names it; nothing is handed to another client."""
    connector = terminal.world.connector("google")
    file = tmp_path / "emailproxy.config"

    def planned(client_id: str) -> Any:
        file.write_text(f"[ada@mail.example]\nclient_id = {client_id}\nrefresh_token = a-token\n")
        return terminal("accounts", "import", str(file), "--connector", connector.id, "--dry-run")

    own, strange = planned(connector.client_id), planned("nobody")

    assert f"by its refresh token, at {connector.id}" in own.output
    assert strange.exit_code == 2
    assert "[ada@mail.example]: Its token is of the client nobody" in strange.stderr
    assert "a-token" not in strange.output


def test_the_server_of_a_row_tells_its_connector(terminal: Terminal, tmp_path: Path) -> None:
    world = terminal.world
    host = f"smtp-{token_urlsafe(4).lower().replace('_', '-')}.mail.example"
    own = world.registry.add_connector(
        world.registry.new_connector("other", "", "", credential="none", facts={"smtp_host": host})
    )
    file = tmp_path / "export.json"
    auth = {"user": "ada@mail.example", "pass": "secret"}
    file.write_text(json.dumps({"account": f"at {own.id[-8:]}", "smtp": {"host": host, "auth": auth}}))

    result = terminal.says("accounts", "import", str(file), "--dry-run")

    assert result.splitlines()[0] == f"ada@mail.example  would be made, by its password, at {own.id}"
