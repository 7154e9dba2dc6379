"""Faults: each kind, on several commands, for whom they were asked and as often."""

from __future__ import annotations

import smtplib
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from sandbox.mailserver.client import MailServerError
from tests.sandbox.mailserver.support import ALICE, BOB, World, message

if TYPE_CHECKING:
    from collections.abc import Callable

CAROL = "carol@contoso.test"


def send(world: World, listener: str = "microsoft", timeout: float = 10.0) -> None:
    """Sign in as Alice and send one message, with NOOP and RSET in between, so that every command is used."""
    with world.sign_in(listener, timeout=timeout) as smtp:
        smtp.noop()
        smtp.rset()
        smtp.sendmail(ALICE, [BOB], message())


@pytest.mark.parametrize("command", ["CONNECT", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("code", [451, 554, 421])
def test_a_reply_takes_the_commands_place(world: World, command: str, code: int) -> None:
    world.client.inject(command, code=code, text="4.3.2 as asked", times=None)

    with pytest.raises(smtplib.SMTPException):
        send(world)

    replies = [each["reply"] for each in world.client.sessions()[-1]["commands"]]
    assert command == "CONNECT" or code in replies
    assert world.client.faults()[0]["hits"] >= 1
    assert world.client.log() == []


@pytest.mark.parametrize(
    ("command", "act"),
    [("RSET", smtplib.SMTP.rset), ("NOOP", smtplib.SMTP.noop), ("QUIT", smtplib.SMTP.quit)],
)
def test_the_small_commands_can_fail_too(
    world: World, command: str, act: Callable[[smtplib.SMTP], tuple[int, bytes]]
) -> None:
    world.client.inject(command, code=450, text="4.2.1 first line\nsecond line")

    with world.sign_in("google") as smtp:
        reply = act(smtp)
        if command == "QUIT":
            smtp.close()

    assert reply == (450, b"4.2.1 first line\nsecond line")


def test_a_421_closes_the_connection(world: World) -> None:
    world.client.inject("MAIL", code=421, text="4.3.2 Service not available")

    with world.sign_in("microsoft") as smtp:
        code, _ = smtp.mail(ALICE)
        with pytest.raises(smtplib.SMTPServerDisconnected):
            smtp.noop()

    assert code == 421


@pytest.mark.parametrize(
    "command", ["CONNECT", "EHLO", "STARTTLS", "TLS", "AUTH", "MAIL", "RCPT", "DATA", "BODY", "DOT", "RSET"]
)
def test_a_drop_closes_the_connection_without_a_reply(world: World, command: str) -> None:
    world.client.inject(command, "drop")

    with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
        send(world)

    assert world.client.faults()[0]["hits"] == 1
    assert world.client.sessions()[-1]["ending"] == f"a fault dropped the connection at {command}"
    assert world.client.log() == []


@pytest.mark.parametrize("command", ["CONNECT", "AUTH", "RCPT", "DOT"])
def test_silence_lasts_until_the_client_goes(world: World, command: str) -> None:
    world.client.inject(command, "silence")

    with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
        send(world, "google", timeout=0.3)

    assert world.client.log() == []


@pytest.mark.parametrize("command", ["CONNECT", "EHLO", "AUTH", "BODY", "DOT"])
def test_a_delay_holds_the_command_back_and_then_lets_it_work(
    world: World, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    stopping, waits = world.server._services.stopping, list[float]()

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return stopping.is_set()

    monkeypatch.setattr(stopping, "wait", wait)
    world.client.inject(command, "delay", delay=60)

    send(world)

    assert 60 in waits
    assert len(world.client.log()) == 1


@pytest.mark.parametrize(("when", "stored"), [("before_store", 0), ("after_store", 1)])
@pytest.mark.parametrize("action", ["drop", "reply"])
def test_after_the_final_dot_the_message_is_stored_or_not(
    world: World, when: str, stored: int, action: str
) -> None:
    options = {"code": 451, "text": "4.3.0 lost"} if action == "reply" else {}
    world.client.inject("DOT", action, when=when, **options)  # type: ignore[arg-type]

    with pytest.raises(smtplib.SMTPException):
        send(world)

    assert len(world.client.log()) == stored


def test_the_connection_can_be_dropped_inside_the_message(world: World) -> None:
    fault = world.client.inject("BODY", "drop", after_bytes=100_000)

    send(world)
    with world.sign_in("microsoft") as smtp, pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
        smtp.sendmail(ALICE, [BOB], message(body=("x" * 78 + "\r\n") * 50_000))

    world.client.wait_for_fault(fault)
    assert len(world.client.log()) == 1


@pytest.mark.parametrize(("drop", "stored"), [(False, 1), (True, 0)], ids=["goes-on", "dropped"])
def test_a_paused_session_waits_for_its_release(world: World, drop: bool, stored: int) -> None:  # noqa: FBT001
    fault = world.client.inject("DOT", "pause")
    outcomes: list[str] = []

    def run() -> None:
        try:
            send(world)
            outcomes.append("sent")
        except smtplib.SMTPException:
            outcomes.append("lost")

    sender = threading.Thread(target=run)
    sender.start()
    world.client.wait_for_fault(fault)
    waiting = (world.client.faults()[0]["waiting"], len(world.client.log()), list(outcomes))
    released = world.client.release(fault, drop=drop)
    sender.join(10)

    assert waiting == (1, 0, [])
    assert released == 1
    assert outcomes == ["lost" if drop else "sent"]
    assert len(world.client.log()) == stored


def test_a_message_whose_client_died_at_the_pause_is_stored_when_it_is_released(world: World) -> None:
    fault = world.client.inject("DOT", "pause")
    smtp = world.sign_in("google")
    smtp.mail(ALICE)
    smtp.rcpt(BOB)
    smtp.docmd("DATA")
    smtp.send(message() + b".\r\n")
    world.client.wait_for_fault(fault)

    smtp.close()
    world.client.release()

    assert world.client.wait_for("<one@contoso.test>")["number"] == 1


def test_a_fault_is_met_as_often_as_asked(world: World) -> None:
    world.client.inject("MAIL", code=451, text="4.3.0 twice", times=2)

    with world.sign_in("google") as smtp:
        codes = [smtp.mail(ALICE)[0] for _ in range(3)]

    assert codes == [451, 451, 250]


def test_a_fault_for_one_recipient_leaves_the_others_alone(world: World) -> None:
    world.client.inject("RCPT", code=550, text="5.1.1 no such user", recipient=BOB.upper(), times=None)

    with world.sign_in("google") as smtp:
        refused = smtp.sendmail(ALICE, [BOB, CAROL], message())

    assert refused == {BOB: (550, b"5.1.1 no such user")}
    assert world.client.log()[0]["recipients"] == [CAROL]


def test_a_fault_for_one_user_leaves_the_others_alone(world: World) -> None:
    world.client.inject("AUTH", code=535, text="5.7.3 Authentication unsuccessful", user=ALICE, times=None)

    with world.sign_in("microsoft", CAROL) as smtp:
        accepted, _ = smtp.noop()
    with pytest.raises(smtplib.SMTPAuthenticationError):
        world.sign_in("microsoft", ALICE)

    assert accepted == 250


def test_a_fault_for_one_listener_leaves_the_other_alone(world: World) -> None:
    world.client.inject("CONNECT", code=421, text="4.3.2 busy", listener="google", times=None)

    with world.connect("microsoft") as smtp:
        accepted, _ = smtp.noop()
    with pytest.raises(smtplib.SMTPConnectError):
        world.connect("google")

    assert accepted == 250


def test_clearing_forgets_every_fault(world: World) -> None:
    world.client.inject("MAIL", code=451, times=None)
    world.client.inject("RCPT", "drop")

    world.client.clear_faults()

    send(world)
    assert world.client.faults() == []


def test_waiting_for_a_fault_that_is_not_met_times_out(world: World) -> None:
    fault = world.client.inject("MAIL", "pause")

    with pytest.raises(TimeoutError):
        world.client.wait_for_fault(fault, 0.05)


@pytest.mark.parametrize(
    "body",
    [
        {"command": "LUNCH", "code": 451},
        {"command": "MAIL"},
        {"command": "MAIL", "code": 99},
        {"command": "MAIL", "action": "explode"},
        {"command": "BODY", "code": 451},
        {"command": "MAIL", "action": "delay"},
        {"command": "MAIL", "action": "drop", "times": 0},
        {"command": "MAIL", "action": "drop", "listener": ["google"]},
        {"command": "DOT", "action": "drop", "when": "later"},
        {"command": "MAIL", "action": "drop", "colour": "red"},
    ],
    ids=str,
)
def test_a_fault_that_cannot_be_played_is_refused(world: World, body: dict[str, object]) -> None:
    with pytest.raises(MailServerError, match="400"):
        world.client.inject(**body)  # type: ignore[arg-type]


def test_a_paused_session_does_not_keep_the_other_listener_waiting(world: World) -> None:
    world.client.inject("CONNECT", "pause", listener="google")

    with socket.create_connection(world.server.google, timeout=10):
        send(world, "microsoft")

    assert len(world.client.log()) == 1
    assert world.client.release() == 1
