"""Every command of the documentation works, or at least exists where it needs more than the sandbox."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs import pages
from tests.docs.existing import objections
from tests.docs.reader import Reader

if TYPE_CHECKING:
    from sandbox.cast import Cast


def runnable(page: Path) -> list[str]:
    """The page's commands that are run here, each once: all but those of make, which would test tests."""
    found = dict.fromkeys(one.text for one in pages.commands(page) if not one.not_run)
    return [one for one in found if not one.startswith("make ")]


@pytest.mark.aws
@pytest.mark.parametrize("page", [page for page in pages.PAGES if runnable(page)], ids=str)
def test_the_commands_of_a_page_work_one_after_the_other(page: Path, cast: Cast, tmp_path: Path) -> None:
    commands = runnable(page)
    untried = [command for command in commands if command.startswith("curl") and shutil.which("curl") is None]
    reader = Reader(cast, tmp_path, "google" if "google" in page.name else "microsoft")
    reader.settle(commands)

    for command in commands:
        if command not in untried:
            reader.follow(command)

    if untried:
        pytest.skip("all but the requests by curl, which is not installed")


@pytest.mark.parametrize("page", pages.PAGES, ids=str)
def test_the_commands_of_a_page_exist(page: Path) -> None:
    blocks = [command.text for command in pages.commands(page)]
    inline = [span for span in pages.spans(page) if span.startswith(("./mailgrant", "make "))]

    wrong = [f"{command}: {why}" for command in (*blocks, *inline) for why in objections(command)]

    assert wrong == []


@pytest.mark.parametrize(
    "command",
    [
        "./mailgrant acounts list",
        "./mailgrant accounts list --jsn",
        "./mailgrant connectors add --provider zoho",
        "./mailgrant status && make tset",
        "cat letter.txt | ./mailgrant send --acount sales",
    ],
)
def test_a_command_that_does_not_exist_is_found(command: str) -> None:
    assert len(list(objections(command))) == 1


def test_a_block_is_read_command_by_command() -> None:
    """README's example of a request goes over several lines and ends in a comment."""
    found = pages.commands(Path("README.md"))

    (request,) = [command for command in found if command.text.startswith("curl")]
    assert request.text.endswith("}'")
    assert not [command for command in found if command.text.startswith("#")]
