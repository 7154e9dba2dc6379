"""MAIL, RCPT and DATA: the bytes as received, the envelope, and who may send as whom."""

from __future__ import annotations

import hashlib
import smtplib

import pytest

from tests.sandbox.mailserver.support import ALICE, BOB, World, as_bytes, message

LISTENERS = pytest.mark.parametrize("listener", ["microsoft", "google"])


@LISTENERS
@pytest.mark.parametrize(
    "body",
    [
        ".\r\n..\r\n...dots\r\n.end\r\n",
        "\r\n\r\n",
        "x" * 5000 + "\r\n",
        "caf\u00e9\r\n",
        ("0123456789" * 7 + "\r\n") * 20_000,
    ],
    ids=["dots", "empty-lines", "long-line", "eight-bit", "large"],
)
def test_the_stored_bytes_are_those_that_were_sent(world: World, listener: str, body: str) -> None:
    sent = message(body=body)

    with world.sign_in(listener) as smtp:
        smtp.sendmail(ALICE, [BOB], sent)

    entry = world.client.log()[0]
    assert world.client.raw(1) == sent
    assert (entry["size"], entry["sha256"]) == (len(sent), hashlib.sha256(sent).hexdigest())


@LISTENERS
def test_the_log_tells_the_envelope_the_user_and_the_session(world: World, listener: str) -> None:
    with world.sign_in(listener) as smtp:
        smtp.sendmail(ALICE, [BOB, "carol@example.test"], message(), mail_options=["BODY=8BITMIME"])

    entry = world.client.log()[0]
    assert entry["sequence"] == 1
    assert (entry["listener"], entry["user"], entry["mail_from"]) == (listener, ALICE, ALICE)
    assert entry["recipients"] == [BOB, "carol@example.test"]
    assert entry["mail_parameters"] == [f"size={len(message())}", "BODY=8BITMIME"]
    assert entry["message_id"] == "<one@contoso.test>"
    assert entry["session"] == world.client.sessions()[-1]["number"]
    assert (entry["tls_version"], entry["bare_newlines"]) == ("TLSv1.3", False)


@pytest.mark.parametrize(
    ("listener", "words"),
    [
        ("microsoft", b"2.0.0 OK <one@contoso.test> [Hostname=outlook.sandbox.test]"),
        ("google", b"2.0.0 OK  1"),
    ],
    ids=["microsoft", "google"],
)
def test_the_final_reply_is_in_the_providers_style(world: World, listener: str, words: bytes) -> None:
    with world.sign_in(listener) as smtp:
        smtp.mail(ALICE)
        smtp.rcpt(BOB)
        code, text = smtp.data(message())

    assert code == 250
    assert text.startswith(words)


def test_a_message_is_in_the_mailbox_of_each_recipient(world: World) -> None:
    with world.sign_in("microsoft") as smtp:
        smtp.sendmail(ALICE, [BOB, "Carol@Example.test"], message())

    found = [
        world.client.messages(recipient=each) for each in (BOB, "carol@example.TEST", "dan@example.test")
    ]

    assert [len(each) for each in found] == [1, 1, 0]
    assert found[0] == found[1]


def test_several_messages_go_over_one_connection(world: World) -> None:
    with world.sign_in("google") as smtp:
        for number in range(3):
            smtp.sendmail(ALICE, [BOB], message(f"<{number}@contoso.test>"))

    assert [each["message_id"] for each in world.client.log()] == [f"<{n}@contoso.test>" for n in range(3)]
    assert len({each["session"] for each in world.client.log()}) == 1


@pytest.mark.parametrize(
    ("mail_from", "header"), [(ALICE, BOB), (BOB, ALICE)], ids=["from-header", "envelope-sender"]
)
def test_microsoft_refuses_another_sender_after_data(world: World, mail_from: str, header: str) -> None:
    with world.sign_in("microsoft") as smtp, pytest.raises(smtplib.SMTPDataError) as refused:
        smtp.sendmail(mail_from, [BOB], message(sender=header))

    expected = f"5.2.252 SendAsDenied; {ALICE} not allowed to send as {BOB}".encode()
    assert refused.value.smtp_code == 554
    assert as_bytes(refused.value).startswith(expected)
    assert world.client.log() == []


def test_google_rewrites_the_from_header_of_another_sender(world: World) -> None:
    sent = message(sender=BOB)

    with world.sign_in("google") as smtp:
        smtp.sendmail(ALICE, [BOB], sent)

    delivered = world.client.delivered(1)
    assert world.client.raw(1) == sent
    assert delivered.startswith(
        f"From: Alice <{ALICE}>\r\nX-Google-Original-From: Alice <{BOB}>\r\nTo: ".encode()
    )
    assert delivered.partition(b"\r\n\r\n")[2] == sent.partition(b"\r\n\r\n")[2]
    assert world.client.messages()[0]["from_header"] == f"Alice <{ALICE}>"


def test_google_leaves_the_accounts_own_from_header_alone(world: World) -> None:
    with world.sign_in("google") as smtp:
        smtp.sendmail(ALICE, [BOB], message(sender=ALICE.upper()))

    assert world.client.delivered(1) == world.client.raw(1)


def test_a_message_above_the_size_is_refused_at_mail_and_after_the_dot(world: World) -> None:
    world.client.settings("microsoft", size=500)

    with world.sign_in("microsoft") as smtp:
        announced, _ = smtp.mail(ALICE, ["SIZE=501"])
        smtp.mail(ALICE)
        smtp.rcpt(BOB)
        unannounced, _ = smtp.data(message(body="x" * 600 + "\r\n"))

    assert (announced, unannounced) == (552, 552)
    assert world.client.log() == []


def test_a_dot_after_a_bare_line_feed_does_not_end_the_message(world: World) -> None:
    smuggling = message(body="first\n.\r\nMAIL FROM:<evil@x.test>\r\n")

    with world.sign_in("microsoft") as smtp:
        smtp.mail(ALICE)
        smtp.rcpt(BOB)
        smtp.docmd("DATA")
        smtp.send(smuggling + b".\r\n")
        code, _ = smtp.getreply()

    assert code == 250
    assert world.client.raw(1) == smuggling
    assert world.client.log()[0]["bare_newlines"] is True


@pytest.mark.parametrize(("listener", "limit"), [("google", 100), ("microsoft", 500)])
def test_recipients_are_limited_as_the_provider_does(world: World, listener: str, limit: int) -> None:
    with world.sign_in(listener) as smtp:
        refused = smtp.sendmail(ALICE, [f"r{n}@example.test" for n in range(limit + 1)], message())

    assert list(refused) == [f"r{limit}@example.test"]
    assert refused[f"r{limit}@example.test"][0] == 452
    assert len(world.client.log()[0]["recipients"]) == limit


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("RCPT TO:<bob>", 553),
        ("RCPT TO:<a b@example.test>", 553),
        ("RCPT TO:bob@example.test", 501),
        ("RCPT TO:<d\u00e4n@example.test>", 553),
        ('RCPT TO:<"a b"@example.test>', 250),
        ("RCPT TO:<bob@example.test> NOTIFY=NEVER", 501),
        ("MAIL FROM:<alice@contoso.test>", 503),
        ("DATA", 503),
        ("DATA now", 501),
    ],
)
def test_addresses_and_the_order_of_commands_are_checked(world: World, line: str, code: int) -> None:
    with world.sign_in("microsoft") as smtp:
        smtp.mail(ALICE)
        smtp.send(f"{line}\r\n".encode())
        answered, _ = smtp.getreply()

    assert answered == code


def test_a_non_ascii_recipient_is_accepted_with_smtputf8(world: World) -> None:
    with world.sign_in("google") as smtp:
        smtp.mail(ALICE, ["SMTPUTF8"])
        smtp.send("RCPT TO:<d\u00e4n@example.test>\r\n".encode())
        accepted, _ = smtp.getreply()
        smtp.data(message())

    assert accepted == 250
    assert world.client.log()[0]["recipients"] == ["d\u00e4n@example.test"]
