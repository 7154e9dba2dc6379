"""Health as deployed: the log of one message over two functions, figures, alarms, and the status."""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Any

from sandbox.provider.scripted import consent
from tests.helpers import in_state, invoke, letter, until, with_expired_token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.cast import Cast
    from sandbox.stack import Sandbox

ALARMS = 22
RECENT = 120
"""Seconds; the other tests of a run fill the log, too."""


def lines(sandbox: Sandbox, function: str) -> Iterator[dict[str, Any]]:
    """The recent lines of JSON in a function's log."""
    logs = sandbox.emulator.session().client("logs")
    group = f"/aws/lambda/mailgrant-sandbox-{function}"
    since = int((time.time() - RECENT) * 1000)
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since):
        for event in page["events"]:
            for text in event["message"].splitlines():
                if text.startswith("{"):
                    yield json.loads(text)


def told(sandbox: Sandbox, function: str, **facts: Any) -> list[dict[str, Any]]:
    """The lines that have these facts, as soon as there are some."""
    return until(lambda: [line for line in lines(sandbox, function) if facts.items() <= line.items()])


def test_one_id_leads_from_the_request_to_the_servers_reply(sandbox: Sandbox, cast: Cast) -> None:
    """The id in the answer, over three functions; and nothing of it names a mailbox or the subject."""
    account = with_expired_token(cast, "google")
    subject = f"Private {secrets.token_hex(8)}"
    recipient = f"charles-{secrets.token_hex(4)}@example.net"
    body = letter(account["id"], subject=subject, to=[recipient])
    answer = cast.api.request("POST", "/v1/messages", json=body)
    message, request_id = answer.json()["id"], answer.headers["X-Request-Id"]
    assert in_state(cast, message, "sent")["request_id"] == request_id

    accepted = told(sandbox, "api", event="accepted", request_id=request_id)
    refreshed = told(sandbox, "tokens", event="refreshed", request_id=request_id)
    ended = told(sandbox, "relay", event="attempt ended", request_id=request_id)

    assert [line["message"] for line in (*accepted, *ended)] == [message, message]
    assert [line["account"] for line in refreshed] == [account["id"]]
    assert (ended[0]["reply"], ended[0]["provider"], ended[0]["Sent"]) == (250, "google", 1)
    assert ended[0]["invocation"]
    assert (accepted[0]["stage"], accepted[0]["Accepted"]) == ("sandbox", 1)
    steps = [line["event"] for line in told(sandbox, "relay", request_id=request_id)]
    assert steps == ["attempt began", "signed in", "handed over but for its end", "attempt ended"]
    everything = json.dumps([*lines(sandbox, "api"), *lines(sandbox, "tokens"), *lines(sandbox, "relay")])
    for private in (subject, recipient, account["address"]):
        assert private not in everything


def test_an_id_leads_from_a_click_to_the_end_of_its_sign_in(sandbox: Sandbox, cast: Cast) -> None:
    """The answer to the button names its request; all lines of the sign-in name it, the last one too."""
    account = cast.account(cast.connector("google"), cast.mailbox("google", "clicks@example.com"))
    person = cast.person()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    pressed = person.session.post(account["connect_link"], headers=form, allow_redirects=False, timeout=30)
    request_id = pressed.headers["X-Request-Id"]
    callback = consent(pressed.headers["Location"], mailbox="clicks@example.com", session=person.session)
    person.session.get(callback, timeout=30).raise_for_status()

    (answered,) = told(sandbox, "api", event="answered", request_id=request_id)
    (began,) = told(sandbox, "connect", event="sign-in began", request_id=request_id)
    (ended,) = told(sandbox, "connect", event="sign-in concluded", authorization=began["authorization"])

    assert (answered["method"], answered["route"]) == ("POST", "/connect/{token}")
    assert (began["account"], began["purpose"]) == (account["id"], "connect")
    assert (ended["account"], ended["outcome"]) == (account["id"], "connected")
    assert told(sandbox, "api", event="answered", request_id=ended["request_id"], status=303)


def test_the_status_shows_what_the_schedules_saw(sandbox: Sandbox, cast: Cast) -> None:
    """Each function's own role may note and read it."""
    for function in ("relay-due", "refresh-tokens"):
        invoke(sandbox, function)

    found = cast.api.get("/v1/status")

    schedules = found["schedules"]
    assert [run["silent"] for run in schedules.values()] == [False, False]
    assert schedules["relay_due"]["oldest_due"] >= 0
    assert schedules["refresh_tokens"]["need_owner"] >= 0
    assert set(found["dead_letters"]) == {"relay", "refresh"}
    assert found["rescue_queue"] >= 0
    assert found["version"] == sandbox.package.sha256[:12]
    assert found["accounts"]["complete"]
    assert told(sandbox, "relay-due", event="looked", stage="sandbox")[0]["_aws"]


def test_alarms_and_dashboard_are_deployed(sandbox: Sandbox) -> None:
    """They watch this stage's own functions, queues and figures."""
    watch = sandbox.emulator.session().client("cloudwatch")

    alarms = watch.describe_alarms(MaxRecords=100)["MetricAlarms"]
    dashboard = json.loads(watch.get_dashboard(DashboardName="mailgrant-sandbox")["DashboardBody"])

    assert len([alarm for alarm in alarms if alarm["AlarmName"].startswith("mailgrant-sandbox-")]) == ALARMS
    watched = {dimension["Value"] for alarm in alarms for dimension in alarm["Dimensions"]}
    assert {"sandbox", "mailgrant-sandbox-api", "mailgrant-sandbox-rescue"} <= watched
    assert "${" not in json.dumps(dashboard)
    assert dashboard["widgets"][0]["properties"]["region"] == "eu-west-1"
