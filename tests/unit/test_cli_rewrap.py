"""The command that wraps data keys anew: through all pages, and how to go on when it ends before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ReadTimeoutError

from chalicelib.accounts.tokens import rewrapping
from cli import api
from cli.output import Out
from tests.unit.cli_world import terminal
from tests.unit.rewrapping_world import (
    MG1,
    MG2,
    aws,
    between,
    grant_of,
    mailbox,
    once,
    rows,
    signed_in,
    values,
    world,
)

if TYPE_CHECKING:
    import pytest

    from tests.unit.cli_world import Terminal

__all__ = ["aws", "signed_in", "terminal", "world"]


def test_the_command_goes_through_all_pages(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrapping, "PAGE", 1)
    for _ in range(2):
        mailbox(terminal.world)

    said = terminal.says("encryption", "rewrap")

    assert "3 wrapped anew so far" in said
    assert "6 grants and access tokens" in said
    assert {value.mark for value in values(terminal.world).values()} == {MG2}


def test_the_command_says_how_to_go_on_after_ctrl_c(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewrapping, "PAGE", 1)
    for _ in range(2):
        mailbox(terminal.world)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Out, "say", interrupted)
        broken_off = terminal("encryption", "rewrap")
    command = broken_off.output.partition("mailgrant ")[2].split()
    halfway = {value.mark for value in values(terminal.world).values()}
    rest = terminal.says(*command, "--json")

    assert broken_off.exit_code == 130
    assert halfway == {MG1, MG2}
    assert '"rewrapped": 3' in rest
    assert {value.mark for value in values(terminal.world).values()} == {MG2}


def test_the_command_asks_again_where_the_service_failed(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "PAUSES", (0.0,))
    mailbox(terminal.world)

    def fail() -> None:
        raise ReadTimeoutError(endpoint_url="kms")

    with between(terminal.world, "before-call.kms.ReEncrypt", once(fail)):
        said = terminal.says("encryption", "rewrap")

    assert len(terminal.asked) == 2
    assert "3 grants and access tokens" in said


def test_the_command_says_what_it_has_left(terminal: Terminal) -> None:
    account = mailbox(terminal.world)
    terminal.world.clients.dynamodb.put_item(
        TableName=terminal.world.settings.table("access-tokens"),
        Item={**rows(terminal.world, "access-tokens")[0], "token": {"B": b"plaintext"}},
    )

    result = terminal("encryption", "rewrap")

    assert result.exit_code == 4
    assert f"Cannot be opened: {account.id}" in result.output
    assert grant_of(terminal.world, account).refresh_token.startswith(MG2)
