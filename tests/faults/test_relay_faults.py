"""Rows F01 F02 F05-F10 F12 F17: mail when something breaks, judged by the mail server's own log."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.clock import MINUTE, now
from chalicelib.secret import Secret
from tests.faults import kills
from tests.helpers import copies, in_state, invoke, letter, record, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.wiring import Gateway
    from sandbox.api import Api
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox

    Killed = Callable[..., list[str]]

SESSION = ("chalicelib.transports.smtp.session", "SmtpSession")
WIRE = ("chalicelib.transports.smtp.wire", "Wire")
MESSAGES = ("chalicelib.aws.tables.messages", "MessagesTable")


@pytest.fixture
def account(cast: Cast) -> dict[str, Any]:
    """A connected Microsoft mailbox of its own."""
    return cast.connected("microsoft", f"owner-{secrets.token_hex(4)}@example.com")


def accept_and_die(
    sandbox: Sandbox, cast: Cast, message: dict[str, Any], at: tuple[str, str, bool], key: str
) -> Api:
    """Accepts a message in a process that is killed at a step; returns an API client of the same caller."""
    from sandbox.api import Api

    made = cast.api.post(
        "/v1/callers", {"kind": "key", "name": "killed", "scopes": ["send"], "accounts": ["*"]}
    )
    call = {"caller": made["id"], "message": message, "die_at": at, "key": key}
    kills.dies(kills.start(sandbox, kills.ACCEPT, json.dumps(call)))
    return Api(sandbox.url, made["key"], sandbox.authority.cafile)


def the_only_message(cast: Cast, account: dict[str, Any]) -> dict[str, Any]:
    """The record of the account's one message."""
    found = cast.api.get(f"/v1/messages?account={account['id']}")["messages"]
    assert len(found) == 1
    return dict(found[0])


def test_F01_killed_between_the_row_and_the_wake_up(
    sandbox: Sandbox, cast: Cast, account: dict[str, Any]
) -> None:
    """The minute's look finds the lane that was rung but woke nobody; the message is delivered once."""
    accept_and_die(sandbox, cast, letter(account["id"]), ("wakeups", "wake", False), "f01")
    accepted = the_only_message(cast, account)

    # The index of what is due may be behind; the look comes again.
    sent = in_state(cast, accepted["id"], "sent", meanwhile=lambda: invoke(sandbox, "relay-due"))

    assert len(copies(sandbox, sent["message_id"])) == 1


def test_F01_killed_between_the_row_and_the_ring(
    sandbox: Sandbox, cast: Cast, account: dict[str, Any]
) -> None:
    """Nobody was told 202; the account's next mail brings the silent one along, once."""
    accept_and_die(sandbox, cast, letter(account["id"]), ("lane", "ring", False), "f01")
    silent = the_only_message(cast, account)

    cast.api.post("/v1/messages", letter(account["id"], subject="The next one"))

    sent = in_state(cast, silent["id"], "sent")
    assert len(copies(sandbox, sent["message_id"])) == 1


def test_F02_killed_before_the_answer_and_the_client_tries_again(
    sandbox: Sandbox, cast: Cast, account: dict[str, Any]
) -> None:
    """The same key gives the same message id and one delivery."""
    message = letter(account["id"])
    same_caller = accept_and_die(sandbox, cast, message, ("wakeups", "wake", True), "f02")

    again = same_caller.post("/v1/messages", message, headers={"Idempotency-Key": "f02"})

    assert again["id"] == the_only_message(cast, account)["id"]
    sent = in_state(cast, again["id"], "sent")
    assert len(copies(sandbox, sent["message_id"])) == 1


def test_F05_a_wake_up_that_comes_again_after_sent(
    sandbox: Sandbox, cast: Cast, account: dict[str, Any]
) -> None:
    """The late wake-up is taken from the queue, and no connection is made for it."""
    accepted = cast.api.post("/v1/messages", letter(account["id"]))
    sent = in_state(cast, accepted["id"], "sent")
    connections = len(sandbox.mail.sessions())
    sqs, queue = sandbox.emulator.session().client("sqs"), sandbox.environment["RELAY_QUEUE_URL"]

    sqs.send_message(
        QueueUrl=queue, MessageBody=json.dumps({"account": account["id"], "message": accepted["id"]})
    )

    until(lambda: _empty(sqs, queue))
    assert len(sandbox.mail.sessions()) == connections
    assert len(copies(sandbox, sent["message_id"])) == 1


def _empty(sqs: Any, queue: str) -> bool:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return all(int(counts[name]) == 0 for name in names)


def test_F06_killed_before_connecting(killed: Killed) -> None:
    """The claim ends, and the message is delivered once."""
    assert killed(*SESSION, "connect", "before") == []


def test_F07_killed_between_auth_and_mail(killed: Killed) -> None:
    """The claim ends, and the message is delivered once."""
    said = killed(*SESSION, "authenticate", "after")

    assert "AUTH" in said
    assert "MAIL" not in said


def test_F08_killed_in_the_body(killed: Killed) -> None:
    """The server throws half a message away; the claim ends, and the message is delivered once."""
    assert killed(*WIRE, "body", "halfway")[-1] == "DATA"


@pytest.fixture
def killed(
    sandbox: Sandbox, cast: Cast, account: dict[str, Any], gateway: Gateway, later: Callable[[int], Gateway]
) -> Killed:
    """Kills a worker at a step before the final dot, and returns what it had said to the server by then.

    Checks that nobody touches the message while its claim lasts, and that it arrives once afterwards.
    """

    def at(*step: str) -> list[str]:
        message = accept_silently(gateway, sandbox, account, text="A line.\n" * 1_000)
        relay_and_die(sandbox, account, *step)
        said = commands_of(sandbox, account)
        gateway.relay.run(account["id"], until=now() + 15 * MINUTE)
        assert record(cast, message)["state"] == "sending"
        later(6 * MINUTE).relay.run(account["id"], until=now() + 21 * MINUTE)

        sent = record(cast, message)
        assert [attempt["outcome"] for attempt in sent["attempts"]] == ["abandoned", "sent"]
        assert sent["may_be_duplicate"] is False
        assert len(copies(sandbox, sent["message_id"])) == 1
        return said

    return at


def commands_of(sandbox: Sandbox, account: dict[str, Any]) -> list[str]:
    """The verbs that the mail server has heard from the mailbox, those before its sign-in included."""
    sessions = [one for one in sandbox.mail.sessions() if one["user"] == account["address"]]
    return [one["command"].split()[0].upper() for session in sessions for one in session["commands"]]


def accept_silently(gateway: Gateway, sandbox: Sandbox, account: dict[str, Any], **changes: Any) -> str:
    """The id of a message for which no relay was woken."""
    gateway.lane.wake = lambda *_: True  # type: ignore[method-assign]
    caller = gateway.callers.by_key(Secret(sandbox.key))
    return gateway.send.accept(caller, letter(account["id"], **changes)).id


def relay_and_die(sandbox: Sandbox, account: dict[str, Any], *step: str) -> None:
    """Serves the account in a process that is killed at a step of the relay."""
    kills.dies(kills.start(sandbox, kills.RELAY_AND_DIE + kills.RELAY, account["id"], *step))


@pytest.mark.parametrize("stored", [True, False], ids=["the server has it", "the server has it not"])
def test_F09_killed_after_the_dot(
    sandbox: Sandbox, cast: Cast, account: dict[str, Any], later: Callable[[int], Gateway], *, stored: bool
) -> None:
    """Nobody heard the answer: the message is unknown on record, and the same bytes are sent again."""
    accepted = killed_after_the_dot(sandbox, cast, account, stored=stored)

    later(6 * MINUTE).relay.run(account["id"], until=now() + 15 * MINUTE)
    unknown = record(cast, accepted["id"])
    later(20 * MINUTE).relay.run(account["id"], until=now() + 30 * MINUTE)

    assert [attempt["outcome"] for attempt in unknown["attempts"]] == ["unknown"]
    sent = in_state(cast, accepted["id"], "sent")
    assert sent["may_be_duplicate"] is True
    arrived = copies(sandbox, sent["message_id"])
    assert len(arrived) == (2 if stored else 1)
    assert len({entry["sha256"] for entry in arrived}) == 1


def test_F09_killed_after_the_dot_and_on_unknown_is_keep(
    sandbox: Sandbox, cast: Cast, account: dict[str, Any], later: Callable[[int], Gateway]
) -> None:
    """The message stays unknown until a person says what became of it; it is never sent twice."""
    accepted = killed_after_the_dot(sandbox, cast, account, stored=True, on_unknown="keep")

    later(6 * MINUTE).relay.run(account["id"], until=now() + 15 * MINUTE)
    later(60 * MINUTE).relay.run(account["id"], until=now() + 75 * MINUTE)
    assert record(cast, accepted["id"])["state"] == "unknown"
    cast.api.post(f"/v1/messages/{accepted['id']}/resolve", {"as": "sent"})

    sent = record(cast, accepted["id"])
    assert sent["state"] == "sent"
    assert len(copies(sandbox, sent["message_id"])) == 1


def killed_after_the_dot(
    sandbox: Sandbox, cast: Cast, account: dict[str, Any], *, stored: bool, **changes: Any
) -> dict[str, Any]:
    """A message whose worker was killed while the server held back the answer to the final dot."""
    when = "after_store" if stored else "before_store"
    fault = sandbox.mail.inject("DOT", "pause", when=when, user=account["address"])
    made = cast.api.post(
        "/v1/callers", {"kind": "key", "name": "killed", "scopes": ["send"], "accounts": ["*"]}
    )
    call = {
        "caller": made["id"],
        "message": letter(account["id"], **changes),
        "die_at": ("wakeups", "wake", False),
        "key": "k",
    }
    kills.dies(kills.start(sandbox, kills.ACCEPT, json.dumps(call)))
    worker = kills.start(sandbox, kills.RELAY, account["id"])
    sandbox.mail.wait_for_fault(fault, timeout=30)
    kills.kill(worker)
    sandbox.mail.release(fault, drop=True)
    return the_only_message(cast, account)


@pytest.mark.parametrize("on_unknown", ["resend", "keep"])
def test_F10_killed_after_the_answer(
    sandbox: Sandbox,
    cast: Cast,
    account: dict[str, Any],
    gateway: Gateway,
    later: Callable[[int], Gateway],
    *,
    on_unknown: str,
) -> None:
    """What the server said is lost with the worker: unknown on record, and never sent again in silence."""
    message = accept_silently(gateway, sandbox, account, on_unknown=on_unknown)
    relay_and_die(sandbox, account, *MESSAGES, "finish", "before")

    later(6 * MINUTE).relay.run(account["id"], until=now() + 21 * MINUTE)
    unknown = record(cast, message)
    later(20 * MINUTE).relay.run(account["id"], until=now() + 35 * MINUTE)

    last = record(cast, message)
    arrived = copies(sandbox, last["message_id"])
    assert unknown["attempts"][0]["diagnosis"]["code"] == "worker_lost"
    assert last["state"] == ("unknown" if on_unknown == "keep" else "sent")
    assert last["may_be_duplicate"] is (on_unknown == "resend")
    assert len(arrived) == (1 if on_unknown == "keep" else 2)
    assert len({entry["sha256"] for entry in arrived}) == 1


@pytest.mark.parametrize("stored", [True, False], ids=["the server has it", "the server has it not"])
def test_F12_the_connection_is_lost_after_the_dot(
    sandbox: Sandbox, cast: Cast, account: dict[str, Any], later: Callable[[int], Gateway], *, stored: bool
) -> None:
    """The attempt ends unknown at once, and the same bytes are sent again a while later."""
    when = "after_store" if stored else "before_store"
    sandbox.mail.inject("DOT", "drop", when=when, user=account["address"])

    accepted = cast.api.post("/v1/messages", letter(account["id"]))
    unknown = in_state(cast, accepted["id"], "unknown", "sent")
    later(5 * MINUTE).relay.run(account["id"], until=now() + 15 * MINUTE)

    assert unknown["attempts"][0]["outcome"] == "unknown"
    sent = in_state(cast, accepted["id"], "sent")
    assert sent["may_be_duplicate"] is True
    assert len(copies(sandbox, sent["message_id"])) == (2 if stored else 1)


def test_F17_a_token_that_is_refused_before_it_expires(
    sandbox: Sandbox, cast: Cast, account: dict[str, Any]
) -> None:
    """One forced refresh of the version that failed, one retry, and the message is sent."""
    refreshes = refreshes_of(sandbox, account)
    sandbox.provider.revoke(account["address"], what="access")

    accepted = cast.api.post("/v1/messages", letter(account["id"]))

    sent = in_state(cast, accepted["id"], "sent")
    assert refreshes_of(sandbox, account) == refreshes + 1
    assert len(copies(sandbox, sent["message_id"])) == 1


def test_F17_a_server_that_goes_on_refusing(sandbox: Sandbox, cast: Cast, account: dict[str, Any]) -> None:
    """After one refresh and one retry the account is held; the message waits and burns no more refreshes."""
    refreshes = refreshes_of(sandbox, account)
    text = "5.7.3 Authentication unsuccessful"
    sandbox.mail.inject("AUTH", code=535, text=text, times=None, user=account["address"])

    accepted = cast.api.post("/v1/messages", letter(account["id"]))

    held = in_state(cast, accepted["id"], "held")
    shown = cast.api.get(f"/v1/accounts/{account['id']}")
    assert refreshes_of(sandbox, account) == refreshes + 1
    assert shown["status"] == "blocked"
    assert "535" in json.dumps(held) + json.dumps(shown)


def refreshes_of(sandbox: Sandbox, account: dict[str, Any]) -> int:
    """How many refreshes of this mailbox the provider has seen."""
    requests = sandbox.provider.token_requests()
    return len(
        [one for one in requests if one.user == account["address"] and one.grant_type == "refresh_token"]
    )
