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
UNSUCCESSFUL = "535 5.7.139 Authentication unsuccessful"
AUTH, RCPT, MAIL, COMMIT, CONNECT = Phase.AUTH, Phase.RCPT, Phase.MAIL, Phase.COMMIT, Phase.CONNECT


@pytest.mark.parametrize(
    ("phase", "answer", "concern", "class_"),
    [
        # Exchange Online, at AUTH
        (AUTH, "535 5.7.3 Authentication unsuccessful [BN0P.namprd02.prod.outlook.com]", TOKEN, "reconnect"),
        (AUTH, f"{UNSUCCESSFUL}, SmtpClientAuthentication is disabled for the Mailbox.", ACCOUNT, "admin"),
        (AUTH, f"{UNSUCCESSFUL}, SmtpClientAuthentication is disabled for the Tenant. Visit x", ACCOUNT,
         "admin"),
        (AUTH, f"{UNSUCCESSFUL}, basic authentication is disabled.", ACCOUNT, "admin"),
        (AUTH, "550 5.7.30 Basic authentication is not supported for Client Submission.", ACCOUNT, "admin"),
        (AUTH, f"{UNSUCCESSFUL}, user is locked by your organization's security defaults policy.", ACCOUNT,
         "admin"),
        (AUTH, f"{UNSUCCESSFUL}, the request did not meet the criteria to be authenticated successfully.",
         ACCOUNT, "admin"),
        # Exchange Online, later
        (MAIL, "530 5.7.57 Client not authenticated to send mail", TOKEN, "reconnect"),
        (MAIL, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", MESSAGE, "admin"),
        (COMMIT, "554 5.7.60 SMTP; Client does not have permissions to send", MESSAGE, "admin"),
        (COMMIT, "554 5.2.252 SendAsDenied; a not allowed to send as b", MESSAGE, "admin"),
        (COMMIT, "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied",
         MESSAGE, "admin"),
        (COMMIT, "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", LANE, "pause"),
        (COMMIT, "554 5.2.2 Submission quota exceeded", LANE, "pause"),
        (COMMIT, "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException", ACCOUNT,
         "admin"),
        (COMMIT, "430 4.2.0 STOREDRV; mailbox logon failure; STOREDRV.Storage.Exception", ACCOUNT, "admin"),
        (MAIL, "432 4.3.2 Concurrent connections limit exceeded.", LANE, "pause"),
        (COMMIT, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", LANE, "pause"),
        (COMMIT, "421 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", LANE, "pause"),
        (CONNECT, "421 4.3.2 Service not available", LANE, "retry"),
        (MAIL, "451 4.7.0 Temporary server error. Please try again later.", MESSAGE, "retry"),
        (MAIL, "451 4.7.500 Server busy. Please try again later", LANE, "pause"),
        (MAIL, "451 4.7.699 Access denied, please try again later", LANE, "pause"),
        (MAIL, "451 4.7.850 Access denied, please try again later", LANE, "pause"),
        (MAIL, "451 4.7.899 Access denied, please try again later", LANE, "pause"),
        (MAIL, "550 5.1.8 Access denied, bad outbound sender", ACCOUNT, "admin"),
        (COMMIT, "550 5.7.501 Access denied, spam abuse detected", ACCOUNT, "admin"),
        (COMMIT, "550 5.7.502 Access denied, banned sender", ACCOUNT, "admin"),
        (COMMIT, "550 5.7.503 Access denied, banned sender", ACCOUNT, "admin"),
        (COMMIT, "550 5.7.511 Access denied, banned sender", ACCOUNT, "admin"),
        (COMMIT, "550 5.7.705 Access denied, tenant has exceeded threshold", ACCOUNT, "admin"),
        (COMMIT, "550 5.7.708 Access denied, traffic not accepted from this IP", ACCOUNT, "admin"),
        (COMMIT, "550 5.7.750 Client blocked from sending from unregistered domains", ACCOUNT, "admin"),
        (COMMIT, "550 5.7.232 Your message can't be sent: tenant external recipient limit", ACCOUNT, "admin"),
        (COMMIT, "550 5.7.233 Your message can't be sent: trial tenant limit", ACCOUNT, "admin"),
        (RCPT, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found", RECIPIENT, "caller"),
        (RCPT, "550 5.1.1 The email account does not exist", RECIPIENT, "caller"),
        (RCPT, "501 5.1.3 Invalid address", RECIPIENT, "caller"),
        (RCPT, "550 5.4.1 Recipient address rejected: Access denied.", RECIPIENT, "caller"),
        (RCPT, "552 5.2.2 recipient's mailbox full", RECIPIENT, "caller"),
        (MAIL, "552 5.3.4 Message size exceeds fixed maximum message size", MESSAGE, "caller"),
        (MAIL, "552 5.2.3 Message size exceeds fixed maximum message size", MESSAGE, "caller"),
        (COMMIT, "554 5.3.4 Message too big for system", MESSAGE, "caller"),
        (COMMIT, "554 5.6.11 Invalid characters", MESSAGE, "caller"),
        # Gmail
        (AUTH, "535 5.7.8 Username and Password not accepted. For more information, go to BadCredentials",
         TOKEN, "reconnect"),
        (AUTH, "534 5.7.9 Application-specific password required.", ACCOUNT, "reconnect"),
        (AUTH, "534 5.7.14 Please log in via your web browser and then try again.", ACCOUNT, "reconnect"),
        (AUTH, "535 5.7.1 Please log in with your web browser and then try again.", ACCOUNT, "reconnect"),
        (AUTH, "454 4.7.0 Too many login attempts, please try again later", LANE, "pause"),
        (AUTH, "454 4.7.0 Cannot authenticate due to temporary system problem", LANE, "retry"),
        (MAIL, "421 4.3.0 Temporary System Problem. Try again later", MESSAGE, "retry"),
        (CONNECT, "421 4.4.5 Server busy, try again later.", LANE, "retry"),
        (MAIL, "421 4.7.0 Temporary System Problem. Try again later.", MESSAGE, "retry"),
        (MAIL, "421 4.7.0 Try again later, closing connection.", MESSAGE, "retry"),
        (RCPT, "450 4.2.1 The user is receiving mail at a rate that is too high", RECIPIENT, "retry"),
        (COMMIT, "451 4.3.0 Mail server temporarily rejected message", MESSAGE, "retry"),
        (COMMIT, "451 4.4.2 Timeout - closing connection", MESSAGE, "retry"),
        (MAIL, "421 4.7.0 Our system has detected an unusual rate of unsolicited mail", LANE, "pause"),
        (COMMIT, "550 5.4.5 Daily user sending limit exceeded", LANE, "pause"),
        # The rest goes out in another transaction.
        (RCPT, "452 4.5.3 Your message has too many recipients", RECIPIENT, "retry"),
        (MAIL, "530 5.5.1 Authentication Required.", ACCOUNT, "admin"),
        (MAIL, "530 5.7.0 Must issue a STARTTLS command first.", ACCOUNT, "admin"),
        (AUTH, "530 5.7.0 Must issue a STARTTLS command first.", ACCOUNT, "admin"),
        (AUTH, "503 5.5.1 Bad sequence of commands", ACCOUNT, "admin"),
        (AUTH, "504 5.7.4 Unrecognized Authentication Type", ACCOUNT, "admin"),
        (AUTH, "501 5.5.2 Cannot Decode response", ACCOUNT, "admin"),
        (COMMIT, "552 5.7.0 This message was blocked because its content presents a potential security issue",
         MESSAGE, "caller"),
        (COMMIT, "550 5.7.1 Your message violates a policy of the domain. 41si5425gcdp", MESSAGE, "admin"),
        # Any other
        (CONNECT, "554 5.7.1 go away", LANE, "retry"),
        (MAIL, "421 4.4.2 timeout", MESSAGE, "retry"),
        (COMMIT, "451 whatever", MESSAGE, "retry"),
        (COMMIT, "599 whatever", MESSAGE, "caller"),
        (AUTH, "599 whatever", TOKEN, "reconnect"),
        (RCPT, "599 whatever", RECIPIENT, "caller"),
    ],
    ids=str,
)  # fmt: skip
def test_an_answer_has_one_meaning(phase: Phase, answer: str, concern: Concern, class_: str) -> None:
    reply = replies.reply(int(answer[:3]), answer[4:].encode())

    found = replies.verdict(reply, phase)

    assert (found.concern, found.diagnosis.class_) == (concern, DiagnosisClass(class_))
    assert found.diagnosis.code.startswith(f"smtp_{answer[:3]}")
    assert found.diagnosis.text == answer[4:204].strip()
    assert found.diagnosis.fix


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


@pytest.mark.parametrize(
    ("phase", "answer", "concern", "class_"),
    [
        # The server's own trouble (RFC 4954, section 6), such as Dovecot's while its provider is down.
        (AUTH, "454 4.7.0 Temporary authentication failure", LANE, "retry"),
        (AUTH, "454 4.3.0 Try again later", LANE, "retry"),
        (AUTH, "454 4.7.0 Too many login attempts, please try again later.", LANE, "pause"),
        (AUTH, "421 4.7.0 Too many failed login attempts", LANE, "pause"),
        (AUTH, f"{UNSUCCESSFUL}, the user credentials were incorrect. [x.outlook.com]", TOKEN, "reconnect"),
        # Postfix with Dovecot SASL.
        (AUTH, "535 5.7.8 Error: authentication failed: (reason unavailable)", TOKEN, "reconnect"),
        (AUTH, "535 5.7.8 Error: authentication failed: authentication failure", TOKEN, "reconnect"),
        (RCPT, "554 5.7.1 <bob@example.net>: Relay access denied", ACCOUNT, "admin"),
        (RCPT, "454 4.7.1 <bob@example.net>: Relay access denied", ACCOUNT, "admin"),
        (RCPT, "550 5.7.1 Unable to relay", ACCOUNT, "admin"),
        (RCPT, "553 5.7.1 <a@b.test>: Sender address rejected: not owned by user c", ACCOUNT, "admin"),
        (MAIL, "553 5.7.1 <a@b.test>: Sender address rejected: not logged in", ACCOUNT, "admin"),
    ],
)
def test_uh6_a_reply_concerns_what_it_is_about(
    phase: Phase, answer: str, concern: Concern, class_: str
) -> None:
    code, _, text = answer.partition(" ")

    verdict = replies.verdict(replies.reply(int(code), text.encode()), phase)

    assert (verdict.concern, verdict.diagnosis.class_) == (concern, DiagnosisClass(class_))


@pytest.mark.parametrize("answer", [f"{UNSUCCESSFUL}, the user credentials were incorrect.", "535 5.7.8 no"])
def test_uh6_a_password_that_is_refused_is_told_as_one(answer: str) -> None:
    code, _, text = answer.partition(" ")

    verdict = replies.verdict(replies.reply(int(code), text.encode()), AUTH, by_password=True)

    assert "password" in verdict.diagnosis.message
    assert "token" not in verdict.diagnosis.message + verdict.diagnosis.fix
