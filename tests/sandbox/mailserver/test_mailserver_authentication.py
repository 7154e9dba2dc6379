"""AUTH XOAUTH2: who is let in, and how each temperament refuses."""

from __future__ import annotations

import base64
import json
import smtplib
import time

import pytest

from sandbox.mailserver.sasl import Credentials
from tests.sandbox.mailserver.support import ALICE, BOB, World, as_bytes, authenticate

LISTENERS = pytest.mark.parametrize("listener", ["microsoft", "google"])


@LISTENERS
def test_a_good_token_is_accepted_in_two_steps(world: World, listener: str) -> None:
    token = world.issue(ALICE, listener)

    with world.secure(listener) as smtp:
        code, _ = authenticate(smtp, ALICE.upper(), token)

    assert code == 235


@LISTENERS
def test_a_good_token_is_accepted_as_initial_response(world: World, listener: str) -> None:
    response = f"user={ALICE}\x01auth=Bearer {world.issue(ALICE, listener)}\x01\x01".encode()

    with world.secure(listener) as smtp:
        code, _ = smtp.docmd("AUTH", "XOAUTH2 " + base64.b64encode(response).decode())

    assert code == 235


@pytest.mark.parametrize(
    ("listener", "changes", "reason"),
    [
        ("microsoft", {"active": False, "reason": "revoked"}, "revoked"),
        ("microsoft", {"user": BOB}, "the token is for another mailbox"),
        ("microsoft", {"aud": "https://graph.microsoft.com"}, "the token's audience is not"),
        (
            "microsoft",
            {"scope": "https://outlook.office.com/IMAP.AccessAsUser.All"},
            "the token lacks the scope",
        ),
        ("microsoft", {"expires_at": time.time() - 1}, "the token has expired"),
        ("google", {"user": BOB}, "the token is for another mailbox"),
        ("google", {"scope": "https://www.googleapis.com/auth/gmail.send"}, "the token lacks the scope"),
    ],
    ids=["revoked", "user", "audience", "scope", "expired", "google-user", "google-scope"],
)
def test_a_token_that_does_not_fit_is_refused(
    world: World, listener: str, changes: dict[str, object], reason: str
) -> None:
    token = world.issue(ALICE, listener, **changes)

    with world.secure(listener) as smtp, pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        authenticate(smtp, ALICE, token)

    noted = world.client.sessions()[-1]["authentications"][0]
    assert refused.value.smtp_code == 535
    assert noted["accepted"] is False
    assert (noted["reason"] or "").startswith(reason)


def test_microsoft_refuses_at_once(world: World) -> None:
    with world.secure("microsoft") as smtp, pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        authenticate(smtp, ALICE, "unknown")

    commands = [each["command"] for each in world.client.sessions()[-1]["commands"]]
    assert as_bytes(refused.value) == b"5.7.3 Authentication unsuccessful [outlook.sandbox.test]"
    assert commands[-2:] == ["AUTH XOAUTH2", "[response redacted]"] or commands[-1] == "QUIT"
    assert "[empty response]" not in commands


def test_google_challenges_with_json_and_refuses_after_an_empty_line(world: World) -> None:
    response = base64.b64encode(f"user={ALICE}\x01auth=Bearer unknown\x01\x01".encode()).decode()

    with world.secure("google") as smtp:
        first = smtp.docmd("AUTH", "XOAUTH2")
        challenge_code, challenge = smtp.docmd(response)
        final_code, final = smtp.docmd("")

    assert first == (334, b"")
    assert challenge_code == 334
    assert json.loads(base64.b64decode(challenge)) == {
        "status": "400",
        "schemes": "Bearer",
        "scope": "https://mail.google.com/",
    }
    assert final_code == 535
    assert final.startswith(b"5.7.8 Username and Password not accepted")


@LISTENERS
def test_a_client_may_try_again_after_a_refusal(world: World, listener: str) -> None:
    token = world.issue(ALICE, listener)

    with world.secure(listener) as smtp:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            authenticate(smtp, ALICE, "unknown")
        code, _ = authenticate(smtp, ALICE, token)

    assert code == 235


@LISTENERS
@pytest.mark.parametrize("status", [500, 404])
def test_a_provider_that_is_down_is_a_temporary_failure(world: World, listener: str, status: int) -> None:
    token = world.issue(ALICE, listener)
    world.provider.status = status

    with world.secure(listener) as smtp, pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        authenticate(smtp, ALICE, token)

    assert refused.value.smtp_code == 454
    assert b"4.7.0 Cannot authenticate" in as_bytes(refused.value)


@pytest.mark.parametrize(
    ("argument", "code"),
    [
        ("XOAUTH2 not*base64", 501),
        ("XOAUTH2 " + base64.b64encode(b"user=a\x01auth=Basic x\x01\x01").decode(), 501),
        ("XOAUTH2 " + base64.b64encode(b"user=a\x01auth=Bearer x\x01").decode(), 501),
        ("XOAUTH2 =", 501),
        ("XOAUTH2 *", 501),
        ("OAUTHBEARER", 504),
        ("", 504),
    ],
    ids=["base64", "scheme", "unterminated", "empty", "cancelled", "mechanism", "nothing"],
)
def test_what_is_no_xoauth2_response_is_refused(world: World, argument: str, code: int) -> None:
    with world.secure("microsoft") as smtp:
        answered, _ = smtp.docmd("AUTH", argument)

    assert answered == code


def test_a_second_authentication_is_out_of_sequence(world: World) -> None:
    with world.sign_in("microsoft") as smtp:
        code, _ = smtp.docmd("AUTH", "XOAUTH2")

    assert code == 503


def test_no_token_is_in_the_record_of_the_sessions(world: World) -> None:
    token = world.issue(ALICE, "google", user=BOB)
    with world.secure("google") as smtp, pytest.raises(smtplib.SMTPAuthenticationError):
        authenticate(smtp, ALICE, token)

    shown = json.dumps(world.client.sessions())

    assert token not in shown
    assert base64.b64encode(token.encode()).decode()[:12] not in shown
    assert token not in repr(Credentials(ALICE, token))
