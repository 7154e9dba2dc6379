"""docs/operations.md shows events, lines of the log and lines of `mailgrant status` as they are."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from chalicelib.aws.events import SOURCE
from tests.docs.test_operations import PAGE, cells, documents, section
from tests.unit.accounts_world import world
from tests.unit.log_lines import lines
from tests.unit.mail_world import post, running_post
from tests.unit.mail_world import world as mail
from tests.unit.test_cli import run, server
from tests.unit.test_cli_status import found
from tests.unit.test_telling import dead, listening, look

if TYPE_CHECKING:
    from tests.unit.accounts_world import World
    from tests.unit.log_lines import Lines
    from tests.unit.mail_world import World as MailWorld
    from tests.unit.test_cli import Server

__all__ = ["lines", "mail", "post", "running_post", "server", "world"]


def test_every_line_of_status_is_explained(server: Server) -> None:
    server.lay("GET /v1/status", (200, found()))

    page = run(server, "status").output

    shown = {line[4:19].strip() for line in page.splitlines() if line.startswith("ok")}
    assert shown == {name for row in cells(section("What to do when")) for name in row[1]}


@pytest.mark.aws
def test_the_event_is_as_it_is_shown(world: World) -> None:
    bus = listening(world)
    look(world, dead(world))
    ((kind, detail),) = bus.heard

    (shown,) = documents(section("The event that a mailbox needs its owner"))

    assert (shown["source"], shown["detail-type"]) == (SOURCE, kind)
    assert set(shown["detail"]) == {"stage", *detail}
    assert set(shown["detail"]["diagnosis"]) == set(detail["diagnosis"])
    (pattern,) = re.findall(r"--event-pattern \\\n  '(.+)'", PAGE)
    rule = json.loads(pattern)
    assert (rule["source"], rule["detail-type"]) == ([SOURCE], [kind])


@pytest.mark.aws
def test_the_fields_of_the_log_are_those_of_an_attempt(mail: MailWorld, lines: Lines) -> None:
    mail.send.accept(mail.caller, {"account": mail.account_id, "to": ["bob@example.net"]}, request_id="one")
    mail.serve()

    (ended,) = lines.all("attempt ended", request_id="one")
    fields = [row[0] for row in cells(section("Logs")) if row[0]]
    attempt = next(names for names in fields if "attempt" in names)
    assert {"time", "level", "logger", "stage", "event", "account", "message", "caller", *attempt} <= set(
        ended
    )
    assert set(ended) - {name for names in fields for name in names} <= {
        "recorded",
        "provider",
        "Sent",
        "_aws",
    }
