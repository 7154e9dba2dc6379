"""What answers mean, and the XOAUTH2 mechanism."""

from __future__ import annotations

import base64

import pytest

from chalicelib.diagnosis import DiagnosisClass
from chalicelib.errors import InvalidInput
from chalicelib.mail.models import Phase
from chalicelib.secret import Secret
from chalicelib.transports.refusals import Concern
from chalicelib.transports.smtp import replies, sasl

MESSAGE, RECIPIENT, LANE, TOKEN, ACCOUNT = Concern
AUTH, RCPT, MAIL, COMMIT, CONNECT = Phase.AUTH, Phase.RCPT, Phase.MAIL, Phase.COMMIT, Phase.CONNECT


@pytest.mark.parametrize(
    ("phase", "answer", "concern", "class_"),
    [
        (AUTH, "535 5.7.3 Authentication unsuccessful [X]", TOKEN, "reconnect"),
        (AUTH, "535 5.7.8 Username and Password not accepted. BadCredentials", TOKEN, "reconnect"),
        (AUTH, "535 5.7.139 x, SmtpClientAuthentication is disabled for the Tenant.", ACCOUNT, "admin"),
        (
            AUTH,
            "535 5.7.139 x, user is locked by your organization's security defaults policy",
            ACCOUNT,
            "admin",
        ),
        (AUTH, "535 5.7.139 x, the request did not meet the criteria", ACCOUNT, "admin"),
        (AUTH, "534 5.7.14 Please log in via your web browser", ACCOUNT, "reconnect"),
        (AUTH, "454 4.7.0 Too many login attempts, please try again later", LANE, "pause"),
        (AUTH, "504 5.7.4 Unrecognized authentication type", ACCOUNT, "admin"),
        (CONNECT, "421 4.3.2 Service not available", LANE, "retry"),
        (CONNECT, "554 5.7.1 go away", LANE, "retry"),
        (MAIL, "432 4.3.2 Concurrent connections limit exceeded.", LANE, "pause"),
        (COMMIT, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", LANE, "pause"),
        (MAIL, "530 5.7.57 Client not authenticated to send mail", TOKEN, "reconnect"),
        (MAIL, "451 4.7.500 Access denied, please try again later", LANE, "pause"),
        (MAIL, "421 4.7.0 unusual rate of unsolicited mail", LANE, "pause"),
        (MAIL, "421 4.4.2 timeout", MESSAGE, "retry"),
        (COMMIT, "550 5.4.5 Daily user sending limit exceeded", LANE, "pause"),
        (COMMIT, "554 5.2.0 STOREDRV; SubmissionQuotaExceededException", LANE, "pause"),
        (COMMIT, "554 5.2.2 mailbox full; STOREDRV QuotaExceededException", ACCOUNT, "admin"),
        (COMMIT, "554 5.2.252 SendAsDenied; a not allowed to send as b", MESSAGE, "admin"),
        (COMMIT, "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException", MESSAGE, "admin"),
        (MAIL, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", MESSAGE, "admin"),
        (MAIL, "550 5.1.8 Access denied, bad outbound sender", ACCOUNT, "admin"),
        (COMMIT, "550 5.7.501 Access denied, spam abuse detected", ACCOUNT, "admin"),
        (RCPT, "550 5.1.1 The email account does not exist", RECIPIENT, "caller"),
        (RCPT, "552 5.2.2 recipient's mailbox full", RECIPIENT, "caller"),
        (RCPT, "452 4.5.3 Your message has too many recipients", RECIPIENT, "retry"),
        (RCPT, "450 4.2.1 later", RECIPIENT, "retry"),
        (COMMIT, "552 5.3.4 too big", MESSAGE, "caller"),
        (COMMIT, "552 5.7.0 blocked", MESSAGE, "caller"),
        (COMMIT, "554 5.6.0 Invalid content", MESSAGE, "caller"),
        (COMMIT, "451 whatever", MESSAGE, "retry"),
        (COMMIT, "599 whatever", MESSAGE, "caller"),
    ],
)
def test_an_answer_has_one_meaning(phase: Phase, answer: str, concern: Concern, class_: str) -> None:
    reply = replies.reply(int(answer[:3]), answer[4:].encode())

    found = replies.verdict(reply, phase)

    assert (found.concern, found.diagnosis.class_) == (concern, DiagnosisClass(class_))
    assert found.diagnosis.code.startswith(f"smtp_{answer[:3]}")


def test_a_success_is_no_refusal() -> None:
    with pytest.raises(ValueError, match="250"):
        replies.verdict(replies.reply(250, b"ok"), MAIL)


def test_a_stored_text_is_short_and_harmless() -> None:
    reply = replies.reply(550, b"5.1.1 a\r\n\x1b[31mb\0\xff" + b"x" * 1000)

    assert reply.enhanced == "5.1.1"
    assert len(reply.text) <= 200
    assert reply.text.isprintable()


def test_the_mechanism_is_user_bearer_and_two_controls() -> None:
    exchange = sasl.Login("ada@x.de").exchange(Secret("tok"), {"PLAIN", "XOAUTH2"}, "smtp.x.de", 587)

    assert exchange.mechanism == "XOAUTH2"
    assert base64.b64decode(exchange.lines[0]) == b"user=ada@x.de\x01auth=Bearer tok\x01\x01"


@pytest.mark.parametrize(
    ("by_password", "offered", "mechanism", "lines"),
    [
        (
            False,
            {"OAUTHBEARER"},
            "OAUTHBEARER",
            [b"n,a=a=2Cb@x.de,\x01host=h\x01port=465\x01auth=Bearer s\x01\x01"],
        ),
        (False, set(), "XOAUTH2", [b"user=a,b@x.de\x01auth=Bearer s\x01\x01"]),
        (True, {"PLAIN", "LOGIN"}, "PLAIN", [b"\0a,b@x.de\0s"]),
        (True, {"LOGIN", "XOAUTH2"}, "LOGIN", [b"a,b@x.de", b"s"]),
        (True, {"XOAUTH2"}, "PLAIN", [b"\0a,b@x.de\0s"]),
    ],
)
def test_the_better_mechanism_that_is_offered_is_used(
    *, by_password: bool, offered: set[str], mechanism: str, lines: list[bytes]
) -> None:
    exchange = sasl.Login("a,b@x.de", by_password).exchange(Secret("s"), offered, "h", 465)

    assert exchange.mechanism == mechanism
    assert [base64.b64decode(line) for line in exchange.lines] == lines


@pytest.mark.parametrize(
    ("user", "token"), [("a\x01b", "t0ken"), ("a", "t0ken\x01"), ("a", "t0kén"), ("a", "")]
)
def test_what_would_break_the_mechanism_is_refused_without_being_quoted(user: str, token: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        sasl.Login(user).exchange(Secret(token), {"XOAUTH2"}, "h", 587)

    assert not token or token not in caught.value.message


@pytest.mark.parametrize(
    ("challenge", "status"),
    [
        (base64.b64encode(b'{"status":"400","schemes":"Bearer"}').decode(), "400"),
        (base64.b64encode(b'{"status":"<b>"}').decode(), ""),
        (base64.b64encode(b"[]").decode(), ""),
        ("!", ""),
        ("", ""),
    ],
)
def test_of_an_error_challenge_only_the_status_is_kept(challenge: str, status: str) -> None:
    assert sasl.refused_status(challenge) == status
