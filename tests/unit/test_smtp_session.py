"""The SMTP session against a real server: what goes over the wire, and how each failure ends."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from chalicelib import network
from chalicelib.mail.models import Envelope, Phase
from chalicelib.secret import Secret
from chalicelib.transports.refusals import Concern, Refused
from chalicelib.transports.smtp.sasl import Login
from chalicelib.transports.smtp.session import NoRecipients, Server, SmtpSession
from sandbox.certs import Authority
from sandbox.mailserver.server import Certificate, MailServer
from tests.unit.mail_world import Post, post, resolve, running_post

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["post", "running_post"]

USER = "ada@contoso.test"
ENVELOPE = Envelope(USER, ("bob@example.net",))
BODY = b"From: ada@contoso.test\r\nMessage-ID: <1@x>\r\n\r\n.\r\n..\r\n.x\r\nend\r\n"


@pytest.fixture
def session(post: Post) -> Iterator[SmtpSession]:
    """A signed-in session."""
    found = signed_in(post)
    yield found
    found.quit()


def signed_in(post: Post, server: Server | None = None) -> SmtpSession:
    session = post.session(USER, server=server)
    session.connect()
    session.authenticate(Secret(post.desk.issue(USER)))
    return session


def commands(post: Post, number: int = 0) -> list[str]:
    return [record["command"].split()[0].upper() for record in post.client.sessions()[number]["commands"]]


@pytest.mark.parametrize("listener", ["microsoft", "google"])
def test_a_message_arrives_as_it_was_frozen(post: Post, listener: str) -> None:
    session = signed_in(post, getattr(post, listener))

    refused = session.transfer(ENVELOPE, BODY)
    reply = session.commit()
    session.quit()

    assert refused == {}
    assert reply.code == 250
    assert post.client.raw(1) == BODY
    assert session.phase is Phase.DONE


def test_the_token_is_sent_in_two_steps_and_only_under_tls(post: Post, session: SmtpSession) -> None:
    (record,) = post.client.sessions()

    auth = next(one for one in record["commands"] if one["command"].startswith("AUTH"))
    assert auth["command"] == "AUTH XOAUTH2"
    assert auth["tls"]
    assert record["tls_version"] in ("TLSv1.2", "TLSv1.3")


def test_no_byte_waits_for_the_acknowledgement_of_those_before_it(session: SmtpSession) -> None:
    assert session._wire is not None
    connection = session._wire.sock
    assert connection is not None

    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_second_message_needs_no_second_connection(post: Post, session: SmtpSession) -> None:
    for _ in range(2):
        session.transfer(ENVELOPE, BODY)
        session.commit()

    assert session.sent == 2
    assert len(post.client.sessions()) == 1
    assert "RSET" not in commands(post)


def test_after_a_refusal_the_session_is_reset_and_goes_on(post: Post, session: SmtpSession) -> None:
    post.client.inject("RCPT", code=550, text="5.1.1 unknown")
    with pytest.raises(NoRecipients) as caught:
        session.transfer(ENVELOPE, BODY)

    session.transfer(ENVELOPE, BODY)
    session.commit()

    assert caught.value.verdict.concern is Concern.RECIPIENT
    assert "RSET" in commands(post)
    assert len(post.client.log()) == 1


def test_some_recipients_refused_are_returned(post: Post, session: SmtpSession) -> None:
    post.client.inject("RCPT", code=450, text="4.2.1 later", recipient="b@x.de")

    refused = session.transfer(Envelope(USER, ("a@x.de", "b@x.de")), BODY)
    session.commit()

    assert [(address, reply.code) for address, reply in refused.items()] == [("b@x.de", 450)]
    assert post.client.log()[0]["recipients"] == ["a@x.de"]


@pytest.mark.parametrize("listener", ["microsoft", "google"])
def test_a_bad_token_is_a_matter_of_the_token(post: Post, listener: str) -> None:
    session = post.session(USER, server=getattr(post, listener))
    session.connect()

    with pytest.raises(Refused) as caught:
        session.authenticate(Secret("bad"))

    assert caught.value.verdict.concern is Concern.TOKEN
    assert caught.value.phase is Phase.AUTH
    assert caught.value.reply is not None
    assert caught.value.reply.code == 535


@pytest.mark.parametrize(
    ("command", "phase"),
    [
        ("CONNECT", Phase.CONNECT),
        ("EHLO", Phase.CONNECT),
        ("STARTTLS", Phase.STARTTLS),
        ("TLS", Phase.STARTTLS),
        ("AUTH", Phase.AUTH),
        ("MAIL", Phase.MAIL),
        ("RCPT", Phase.RCPT),
        ("DATA", Phase.DATA),
        ("DOT", Phase.COMMIT),
    ],
)
def test_a_lost_connection_knows_how_far_it_came(post: Post, command: str, phase: Phase) -> None:
    post.client.inject(command, "drop")

    with pytest.raises(Refused) as caught:
        whole_way(post)

    assert caught.value.phase is phase
    assert caught.value.reply is None
    assert caught.value.undecided == (command == "DOT")
    assert caught.value.verdict.passes


def whole_way(post: Post) -> None:
    session = signed_in(post)
    session.transfer(ENVELOPE, BODY)
    session.commit()


def test_without_time_no_connection_is_made(post: Post) -> None:
    session = post.session(USER)
    session.allow(0)

    with pytest.raises(Refused) as caught:
        session.connect()

    assert caught.value.verdict.concern is Concern.LANE
    assert post.client.sessions() == []


def test_a_server_that_leaves_during_the_body_has_not_taken_it(post: Post, session: SmtpSession) -> None:
    post.client.inject("BODY", "drop")
    session.transfer(ENVELOPE, BODY)
    while post.client.sessions()[0]["ending"] is None:
        time.sleep(0.01)

    with pytest.raises(Refused) as caught:
        session.commit()

    assert not caught.value.undecided
    assert caught.value.phase is Phase.DATA


def test_without_starttls_nothing_secret_is_sent(post: Post) -> None:
    post.client.settings(starttls=False)

    with pytest.raises(Refused) as caught:
        post.session(USER).connect()

    assert caught.value.verdict.diagnosis.code == "starttls_missing"
    assert "AUTH" not in commands(post)


def test_an_unknown_authority_is_not_believed(post: Post) -> None:
    with pytest.raises(Refused) as caught:
        post.session(USER, tls=network.tls_context()).connect()

    assert caught.value.verdict.diagnosis.code == "tls_certificate"
    assert "AUTH" not in commands(post)


def test_a_certificate_for_another_name_is_not_believed(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path)
    usual, other = authority.issue("usual"), authority.issue("other", ("mail.example.net",))
    wrong = Certificate(other.certfile, other.keyfile)
    with MailServer(
        usual.certfile, usual.keyfile, "https://127.0.0.1:1", authority.cafile, microsoft_certificate=wrong
    ) as server:
        tls = network.tls_context(authority.pem)
        session = SmtpSession(Server(*server.microsoft), Login(USER), tls=tls, resolve=resolve)

        with pytest.raises(Refused) as caught:
            session.connect()

    assert caught.value.verdict.diagnosis.code == "tls_certificate"


@pytest.mark.parametrize(
    "answer",
    [b"garbage\r\n", b"220-x\r\n" * 200, b"x" * 10_000, b"999 x\r\n", b"350 x\r\n"],
    ids=["no reply", "too many lines", "too long a line", "no such code", "out of turn"],
)
def test_an_answer_that_is_none_ends_the_session(post: Post, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=says, args=(listener, answer), daemon=True).start()
        session = post.session(USER, server=Server("127.0.0.1", listener.getsockname()[1]))

        with pytest.raises(Refused) as caught:
            session.connect()

    assert caught.value.reply is None
    assert caught.value.verdict.concern is Concern.LANE


def says(listener: socket.socket, answer: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(answer)
        connection.recv(100)


def test_a_server_that_takes_no_connections_is_a_matter_of_the_lane(post: Post) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(Refused) as caught:
        post.session(USER, server=Server("127.0.0.1", port)).connect()

    assert caught.value.verdict.diagnosis.code == "connection_refused"
    assert caught.value.verdict.concern is Concern.LANE


def test_a_private_address_is_not_connected_to(post: Post) -> None:
    session = SmtpSession(post.microsoft, Login(USER), tls=post.tls, resolve=network.resolve)

    with pytest.raises(Refused) as caught:
        session.connect()

    assert caught.value.verdict.diagnosis.code == "private_address"
    assert post.client.sessions() == []


def test_eight_bit_bytes_go_only_to_a_server_that_takes_them(post: Post, session: SmtpSession) -> None:
    body = b"From: ada@contoso.test\r\n\r\n\xc3\xa4\r\n"
    session.transfer(ENVELOPE, body)
    session.commit()
    assert post.client.raw(1) == body
    assert "BODY=8BITMIME" in post.client.log()[0]["mail_parameters"]

    post.client.settings(eightbitmime=False)
    second = signed_in(post)
    with pytest.raises(Refused) as caught:
        second.transfer(ENVELOPE, body)
    second.drop()

    assert caught.value.verdict.diagnosis.code == "smtp_extension_missing"
    assert not caught.value.verdict.passes


def test_an_international_address_goes_only_to_a_server_that_takes_it(
    post: Post, session: SmtpSession
) -> None:
    envelope = Envelope(USER, ("jürgen@example.net",))
    session.transfer(envelope, BODY)
    session.commit()
    assert post.client.log()[0]["recipients"] == ["jürgen@example.net"]

    post.client.settings(smtputf8=False)
    second = signed_in(post)
    with pytest.raises(Refused) as caught:
        second.transfer(envelope, BODY)
    second.drop()

    assert not caught.value.verdict.passes


def test_a_token_shows_in_no_error(post: Post) -> None:
    session = post.session(USER)
    session.connect()

    with pytest.raises(Refused) as caught:
        session.authenticate(Secret("ya29.canary"))

    error: BaseException | None = caught.value
    while error is not None:
        assert "canary" not in repr(error) + str(error)
        error = error.__cause__ or error.__context__
