"""The SMTP session: extensions, TLS, the order of commands, and its record."""

from __future__ import annotations

import smtplib
import socket
import ssl
import time

import pytest

from sandbox.mailserver.client import MailServerError
from sandbox.mailserver.server import Certificate, MailServer
from tests.sandbox.mailserver.support import ALICE, BOB, World, message

LISTENERS = pytest.mark.parametrize("listener", ["microsoft", "google"])


def ending_of_last_session(world: World) -> str:
    """Return how the latest session ended, once it has."""
    for _ in range(100):
        if (ending := world.client.sessions()[-1]["ending"]) is not None:
            return ending
        time.sleep(0.02)
    pytest.fail("the session did not end")


@LISTENERS
def test_auth_is_advertised_only_under_tls(world: World, listener: str) -> None:
    with world.connect(listener) as smtp:
        smtp.ehlo()
        before = set(smtp.esmtp_features)
        smtp.starttls(context=ssl.create_default_context(cafile=world.cafile))
        smtp.ehlo()
        after = set(smtp.esmtp_features)

    common = {"size", "pipelining", "enhancedstatuscodes", "8bitmime", "smtputf8"}
    assert before == {*common, "starttls"}
    assert after == {*common, "auth"}


@pytest.mark.parametrize(
    ("listener", "words"),
    [("microsoft", b"Microsoft ESMTP MAIL Service ready at"), ("google", b"gsmtp")],
    ids=["microsoft", "google"],
)
def test_the_greeting_is_in_the_providers_style(world: World, listener: str, words: bytes) -> None:
    with smtplib.SMTP(timeout=10) as smtp:
        code, text = smtp.connect(*getattr(world.server, listener))

    assert code == 220
    assert words in text


@LISTENERS
def test_auth_before_tls_is_refused_and_recorded_without_its_credentials(world: World, listener: str) -> None:
    with world.connect(listener) as smtp:
        smtp.ehlo()
        reply = smtp.docmd("AUTH", "XOAUTH2 c2VjcmV0")

    command = world.client.sessions()[-1]["commands"][1]
    assert reply[0] == 530
    assert (command["command"], command["tls"], command["reply"]) == ("AUTH XOAUTH2 [redacted]", False, 530)


def test_a_line_that_is_no_command_is_not_recorded(world: World) -> None:
    with world.connect("microsoft") as smtp:
        code, _ = smtp.docmd("c2VjcmV0LXRva2Vu")

    assert code == 500
    assert world.client.sessions()[-1]["commands"][0]["command"] == "[unrecognised]"


def test_mail_needs_tls_and_then_authentication(world: World) -> None:
    with world.connect("microsoft") as smtp:
        smtp.ehlo()
        plain = smtp.docmd("MAIL", f"FROM:<{ALICE}>")
        smtp.starttls(context=ssl.create_default_context(cafile=world.cafile))
        smtp.ehlo()
        encrypted = smtp.docmd("MAIL", f"FROM:<{ALICE}>")

    assert plain == (530, b"5.7.0 Must issue a STARTTLS command first")
    assert encrypted[0] == 530
    assert encrypted[1].startswith(b"5.7.57 Client not authenticated")


def test_the_session_is_recorded_from_greeting_to_quit(world: World) -> None:
    with world.sign_in("google") as smtp:
        smtp.noop()
        smtp.rset()

    assert ending_of_last_session(world) == "closed after 221"
    session = world.client.sessions()[-1]
    verbs = [command["command"].split()[0] for command in session["commands"]]
    assert verbs == ["EHLO", "STARTTLS", "EHLO", "AUTH", "[response", "NOOP", "RSET", "QUIT"]
    assert (session["listener"], session["user"], session["tls_version"]) == ("google", ALICE, "TLSv1.3")
    assert [command["tls"] for command in session["commands"]] == [False] * 2 + [True] * 6


def test_a_client_that_refuses_the_certificate_leaves_a_trace(
    certificate: Certificate, wrong_name: Certificate, world: World
) -> None:
    server = MailServer(
        certificate.certfile,
        certificate.keyfile,
        world.provider.url,
        world.cafile,
        google_certificate=wrong_name,
    )
    other = World(server, type(world.client)(server.url), world.provider, world.cafile)

    with server:
        with pytest.raises(ssl.SSLCertVerificationError), other.connect("google") as smtp:
            smtp.starttls(context=ssl.create_default_context(cafile=world.cafile))
        ending = ending_of_last_session(other)
        with other.secure("microsoft") as smtp:
            accepted, _ = smtp.noop()

    assert ending.startswith(("the TLS handshake failed", "the connection was lost", "the client went away"))
    assert accepted == 250


def test_plain_text_pipelined_after_starttls_ends_the_session(world: World) -> None:
    with socket.create_connection(world.server.microsoft, timeout=10) as plain:
        plain.sendall(b"EHLO x\r\nSTARTTLS\r\nMAIL FROM:<smuggled@x.test>\r\n")
        while plain.recv(4096):
            pass

    assert ending_of_last_session(world) == "plain text was pipelined after STARTTLS"


def test_pipelined_commands_are_answered_in_order(world: World) -> None:
    with world.sign_in("microsoft") as smtp:
        smtp.send(f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\nDATA\r\n".encode())
        codes = [smtp.getreply()[0] for _ in range(3)]
        smtp.send(message() + b".\r\n")
        final, _ = smtp.getreply()

    assert codes == [250, 250, 354]
    assert final == 250


def test_starttls_can_be_left_out(world: World) -> None:
    world.client.settings("microsoft", starttls=False)

    with world.connect("microsoft") as smtp:
        smtp.ehlo()
        offered = smtp.has_extn("starttls")
        answer, _ = smtp.docmd("STARTTLS")

    assert not offered
    assert answer == 500


def test_extensions_that_are_off_are_neither_offered_nor_accepted(world: World) -> None:
    world.client.settings(size=None, eightbitmime=False, smtputf8=False, enhancedstatuscodes=False)

    with world.sign_in("google") as smtp:
        offered = set(smtp.esmtp_features)
        replies = [
            smtp.docmd("MAIL", f"FROM:<{ALICE}> {parameter}")
            for parameter in ("SIZE=10", "BODY=8BITMIME", "SMTPUTF8")
        ]

    assert offered == {"pipelining", "auth"}
    assert replies == [(555, b"Unsupported option")] * 3


def test_reset_brings_every_extension_back(world: World) -> None:
    before = world.client.settings("google")
    changed = world.client.settings("google", size=1000)

    world.client.reset()

    assert changed["google"]["size"] == 1000
    assert changed["microsoft"] == before["microsoft"]
    assert world.client.settings("google") == before


@pytest.mark.parametrize(
    "body", [{"authentication": False}, {"size": "big"}, {"starttls": 1}, {"listener": "yahoo"}], ids=str
)
def test_a_setting_that_does_not_exist_is_refused(world: World, body: dict[str, object]) -> None:
    with pytest.raises(MailServerError, match="400"):
        world.client.settings(**body)  # type: ignore[arg-type]


def test_a_command_line_that_is_too_long_ends_the_session(world: World) -> None:
    with world.connect("google") as smtp:
        code, _ = smtp.docmd("NOOP", "x" * 20_000)

    assert code == 500
    assert ending_of_last_session(world) == "the client sent a line that is too long"


def test_what_was_said_before_tls_is_forgotten(world: World) -> None:
    with world.connect("microsoft") as smtp:
        smtp.starttls(context=ssl.create_default_context(cafile=world.cafile))
        code, _ = smtp.docmd("AUTH", "XOAUTH2")

    assert code == 503
