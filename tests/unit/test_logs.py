"""Lines of the log: one JSON object each, one id from a request to the server's reply, nobody's address."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib import logs
from chalicelib.callers.models import CallerKind, Scope
from tests.unit.log_lines import STAGE, lines
from tests.unit.mail_world import post, running_post, world
from tests.unit.web_services import bearer, client

if TYPE_CHECKING:
    from tests.unit.log_lines import Lines
    from tests.unit.mail_world import World

__all__ = ["lines", "post", "running_post", "world"]

ROOT = Path(__file__).resolve().parents[2]
SEND = "arn:aws:lambda:eu-west-1:000000000000:function:mailgrant-unit-send"


def test_a_line_is_one_object_with_what_happened_and_its_facts(lines: Lines) -> None:
    logs.logger("x").info("it\nhappened", extra={"facts": {"message": "msg_1", "count": 2}})

    (line,) = lines.all()
    assert line["event"] == "it\nhappened"
    assert line["message"] == "msg_1"
    assert (line["stage"], line["level"], line["logger"], line["count"]) == (STAGE, "INFO", "mailgrant.x", 2)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])


def test_an_exception_stays_in_its_line(lines: Lines) -> None:
    logs.logger("x").error("failed", exc_info=ValueError("no"))

    assert lines.text.count("\n") == 1
    assert "ValueError: no" in lines.all("failed")[0]["exception"]


def test_what_a_block_is_about_stands_in_its_lines_only(lines: Lines) -> None:
    with logs.about(request_id="r", caller="outer"):
        with logs.about(caller="inner", account=None):
            logs.logger("x").info("inside")
        logs.logger("x").info("between")
        thread = threading.Thread(target=logs.logger("x").info, args=("elsewhere",))
        thread.start()
        thread.join()
    logs.logger("x").info("after")

    told = [(line["event"], line.get("request_id"), line.get("caller")) for line in lines.all()]
    assert ("inside", "r", "inner") in told
    assert ("between", "r", "outer") in told
    assert told[2:] == [("elsewhere", None, None), ("after", None, None)]
    assert "account" not in lines.all("inside")[0]


@pytest.mark.parametrize("allowed", [False, True])
def test_people_are_named_only_where_the_stage_allows_it(*, allowed: bool, lines: Lines) -> None:
    lines.name_people(allowed=allowed)

    logs.logger("x").info("said", extra={"personal": {"rcpt_to": ["ada@example.net"]}})

    assert ("ada@example.net" in lines.text) is allowed


def test_the_stage_and_the_permission_come_with_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger(logs.ROOT)
    before, propagates, level = list(root.handlers), root.propagate, root.level
    root.handlers.clear()
    try:
        logs.configure()
        logs.identify("prod", personal=True)
        logs.logger("x").info("said", extra={"personal": {"subject": "Hi"}})
    finally:
        root.handlers[:], root.propagate = before, propagates
        root.setLevel(level)

    assert '"stage": "prod", "subject": "Hi"}' in capsys.readouterr().out


@pytest.mark.aws
class TestOneMessage:
    """Its way from the request to the server's reply, through the real API and the real relay."""

    def accepted(self, world: World, **changes: Any) -> dict[str, Any]:
        key = world.callers.create_key("orders", (Scope.SEND,), ("*",))[1].reveal()
        asked = {
            "account": world.account_id,
            "to": ["bob@example.net"],
            "subject": "Very private",
            "text": "Hello.",
            **changes,
        }
        with client(world) as http:  # type: ignore[arg-type]
            answer = http.http.post("/v1/messages", headers=bearer(key), body=_json(asked))
        assert answer.status_code == 202, answer.body
        body: dict[str, Any] = answer.json_body
        return body

    def test_one_id_leads_through_all_its_steps(self, world: World, lines: Lines) -> None:
        message = self.accepted(world)["id"]
        world.serve()

        request_id = world.record(message)["request_id"]
        told = [line["event"] for line in lines.all(request_id=request_id)]
        assert told == [
            *("accepted", "answered"),
            *("attempt began", "signed in", "handed over but for its end", "attempt ended"),
        ]
        assert len(lines.all(request_id=request_id, message=message)) == len(told) - 1
        (ended,) = lines.all("attempt ended", message=message)
        assert (ended["reply"], ended["state"], ended["provider"]) == (250, "sent", "microsoft")
        assert ended["account"] == world.account_id

    def test_an_invoke_of_send_leads_through_it_as_well(self, world: World, lines: Lines) -> None:
        alias = f"orders-{world.account_id[-6:]}"
        world.callers_table.add(replace(world.caller, id=f"lambda:{alias}", kind=CallerKind.FUNCTION))
        asked = {"account": world.account_id, "to": ["bob@example.net"], "subject": "s", "text": "t"}

        message = world.send_operations.run(asked, function_arn=f"{SEND}:{alias}", request_id="invoke-1")
        world.serve()

        assert lines.all("attempt ended", request_id="invoke-1")[0]["message"] == message["id"]

    def test_a_refused_request_is_found_by_its_id_too(self, world: World, lines: Lines) -> None:
        with client(world) as http:  # type: ignore[arg-type]
            http.http.get("/v1/messages/msg_none", headers=bearer("mg_wrong"))

        (line,) = lines.all("answered")
        assert line["request_id"]
        assert (line["status"], line["method"], line["route"]) == (401, "GET", "/v1/messages/{message}")

    @pytest.mark.parametrize("allowed", [False, True])
    def test_its_addresses_and_subject_are_named_only_where_that_is_allowed(
        self, *, allowed: bool, world: World, lines: Lines
    ) -> None:
        lines.name_people(allowed=allowed)
        world.post.client.inject("RCPT", code=451, text="4.3.0 bob@example.net is busy")

        self.accepted(world)
        world.serve()

        assert lines.all("attempt ended")[0]["state"] == "deferred"
        for private in ("bob@example.net", "Very private"):
            assert (private in json.dumps(lines.all("attempt ended"))) is allowed, private
        for private in ("bob@example.net", "Very private", world.account.address):
            assert (private in lines.text) is allowed, private

    def test_each_attempt_is_counted_once(self, world: World, lines: Lines) -> None:
        world.post.client.inject("RCPT", code=451, text="4.3.0 Busy", times=1)

        self.accepted(world)
        world.serve()
        world.ahead += 3_600_000
        world.serve()

        figures = [name for name, _ in lines.figures()]
        assert figures == ["Accepted", "AcceptTime", "Deferred", "Sent"]
        assert all(line["provider"] == "microsoft" for line in lines.all("attempt ended"))

    def test_a_request_that_comes_again_is_no_second_message(self, world: World, lines: Lines) -> None:
        first = self.accepted(world, idempotency_key="one")
        with client(world) as http:  # type: ignore[arg-type]
            key = world.callers.create_key("again", (Scope.SEND,), ("*",))[1].reveal()
            asked = {"account": world.account_id, "to": ["bob@example.net"], "subject": "s", "text": "t"}
            headers = {**bearer(key), "Idempotency-Key": "two"}
            answers = [
                http.http.post("/v1/messages", headers=headers, body=_json(asked)).json_body for _ in range(2)
            ]

        again = lines.all("accepted", message=answers[0]["id"])
        assert first["id"] != answers[0]["id"]
        assert [line["replayed"] for line in again] == [False, True]
        assert again[0]["request_id"] != again[1]["request_id"]
        assert world.record(answers[0]["id"])["request_id"] == again[0]["request_id"]
        assert [name for name, _ in lines.figures()].count("Accepted") == 2


def test_logs_and_figures_load_nothing_heavy() -> None:
    """So they cost a cold start less than a millisecond: beside their own bytecode only what is built in."""
    script = (
        "import sys, chalice.app; before = set(sys.modules); import chalicelib.logs;"
        "print(*(set(sys.modules) - before))"
    )
    command = [sys.executable, "-c", script]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    ours = {"chalicelib", "chalicelib.logs", "chalicelib.metrics"}
    assert set(done.stdout.split()) == ours | {"__future__", "contextvars", "_contextvars"}


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()
