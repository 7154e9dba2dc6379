"""Every way to sign in: mechanisms, TLS from the first octet, shared mailboxes and applications."""

from __future__ import annotations

import base64
import json
import smtplib
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.mailserver.client import MailServerError
from tests.sandbox.mailserver.support import ALICE, BOB, as_bytes, authenticate, message

if TYPE_CHECKING:
    from tests.sandbox.mailserver.support import World

SHARED = "info@contoso.test"
APP = "app-1"


def b64(text: str) -> str:
    """Base64, as SASL has it."""
    return base64.b64encode(text.encode()).decode()


def oauthbearer(user: str, token: str) -> str:
    """An OAUTHBEARER response (RFC 7628)."""
    return b64(f"n,a={user},\x01host=mail.test\x01port=587\x01auth=Bearer {token}\x01\x01")


@pytest.mark.parametrize("listener", ["google", "other"])
@pytest.mark.parametrize("mechanism", ["plain", "login"])
def test_an_app_password_opens_its_own_mailbox(world: World, listener: str, mechanism: str) -> None:
    with world.secure(listener) as smtp:
        smtp.user, smtp.password = ALICE, world.password(ALICE)
        code, _ = smtp.auth(mechanism.upper(), getattr(smtp, f"auth_{mechanism}"))

    assert code == 235


@pytest.mark.parametrize("mechanism", ["plain", "login"])
def test_a_wrong_password_and_that_of_another_are_refused(world: World, mechanism: str) -> None:
    for password in ("wrong", world.password(BOB), world.issue(ALICE, "other")):
        with world.secure("other") as smtp:
            smtp.user, smtp.password = ALICE, password
            with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
                smtp.auth(mechanism.upper(), getattr(smtp, f"auth_{mechanism}"))

        assert refused.value.smtp_code == 535
        assert password not in json.dumps(world.client.sessions())


def test_a_password_is_no_token(world: World) -> None:
    with world.secure("other") as smtp, pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        authenticate(smtp, ALICE, world.password(ALICE))

    assert refused.value.smtp_code == 535


@pytest.mark.parametrize("listener", ["google", "other"])
def test_oauthbearer_takes_a_token(world: World, listener: str) -> None:
    with world.secure(listener) as smtp:
        code, _ = smtp.docmd("AUTH", f"OAUTHBEARER {oauthbearer(ALICE, world.issue(ALICE, listener))}")

    assert code == 235


def test_oauthbearer_refuses_after_the_client_has_acknowledged_it(world: World) -> None:
    with world.secure("google") as smtp:
        challenge_code, challenge = smtp.docmd("AUTH", f"OAUTHBEARER {oauthbearer(ALICE, 'unknown')}")
        code, text = smtp.docmd("AQ==")
        smtp.docmd("AUTH", f"OAUTHBEARER {oauthbearer(ALICE, 'unknown')}")
        careless, _ = smtp.docmd("")

    assert challenge_code == 334
    assert json.loads(base64.b64decode(challenge))["status"] == "invalid_token"
    assert (code, text[:5]) == (535, b"5.7.8")
    assert careless == 501


@pytest.mark.parametrize(
    "argument",
    [
        "PLAIN " + b64("alice"),
        "PLAIN " + b64("bob\0alice\0secret"),
        "PLAIN not*base64",
        "OAUTHBEARER " + b64("user=a\x01auth=Bearer x\x01\x01"),
        "OAUTHBEARER " + b64("n,,\x01auth=Bearer x\x01\x01"),
    ],
)
def test_what_is_no_response_of_the_mechanism_is_refused(world: World, argument: str) -> None:
    with world.secure("google") as smtp:
        code, _ = smtp.docmd("AUTH", argument)

    assert code == 501


def test_a_listener_offers_what_it_is_set_to(world: World) -> None:
    world.client.settings("other", auth=["LOGIN"])

    with world.secure("other") as smtp:
        offered = smtp.esmtp_features["auth"]
        code, _ = smtp.docmd("AUTH", "PLAIN " + b64("\0a\0b"))

    assert offered.split() == ["LOGIN"]
    assert code == 504


@pytest.mark.parametrize("listener", ["microsoft", "google", "other"])
def test_a_second_port_begins_with_tls(world: World, listener: str) -> None:
    host, port = world.server.implicit[listener]
    context = ssl.create_default_context(cafile=world.cafile)

    with smtplib.SMTP_SSL(host, port, timeout=10, context=context) as smtp:
        smtp.ehlo()
        offered = dict(smtp.esmtp_features)
        code, _ = authenticate(smtp, ALICE, world.issue(ALICE, listener))
        smtp.sendmail(ALICE, BOB, message())

    assert "starttls" not in offered
    assert code == 235
    assert world.client.sessions()[-1]["tls_version"] == "TLSv1.3"
    assert world.client.messages()[0]["listener"] == listener


def send_as(world: World, sender: str, user: str = ALICE, **credentials: Any) -> None:
    """Sign in at Microsoft and send in that name."""
    token = world.issue(credentials.pop("holder", ALICE), "microsoft", **credentials)
    with world.secure("microsoft") as smtp:
        authenticate(smtp, user, token)
        smtp.sendmail(sender, BOB, message(sender=sender))


def refusal(world: World, sender: str, user: str = ALICE, **credentials: Any) -> str:
    """What the server says to that."""
    with pytest.raises(smtplib.SMTPResponseException) as refused:
        send_as(world, sender, user, **credentials)
    return f"{refused.value.smtp_code} {as_bytes(refused.value).decode()}"


def test_the_name_that_opens_a_shared_mailbox_is_the_persons(world: World) -> None:
    world.client.mailbox(SHARED, full_access=[ALICE], send_as=[ALICE])

    send_as(world, SHARED)

    assert world.client.messages()[0]["user"] == ALICE
    assert refusal(world, SHARED, user=SHARED).startswith("535 5.7.3")


def test_the_name_that_opens_a_shared_mailbox_may_be_its_own(world: World) -> None:
    world.client.settings("microsoft", smtp_user="mailbox")
    world.client.mailbox(SHARED, full_access=[ALICE], send_as=[ALICE])

    send_as(world, SHARED, user=SHARED)

    assert world.client.messages()[0]["user"] == SHARED
    assert refusal(world, SHARED, user=SHARED, holder=BOB).startswith("535 5.7.3")


@pytest.mark.parametrize("rights", [{"full_access": [ALICE]}, {"send_as": [BOB]}])
def test_a_shared_mailbox_without_send_as_is_no_sender(world: World, rights: dict[str, Any]) -> None:
    world.client.mailbox(SHARED, **rights)

    assert refusal(world, SHARED).startswith("550 5.7.60 SMTP; Client does not have permissions")
    assert refusal(world, BOB).startswith("554 5.2.252 SendAsDenied; ")


def test_google_leaves_a_from_address_that_the_account_may_use(world: World) -> None:
    world.client.mailbox(SHARED, send_as=[ALICE])

    with world.sign_in("google") as smtp:
        smtp.sendmail(ALICE, BOB, message(sender=SHARED))

    assert SHARED in world.client.messages()[0]["from_header"]


def test_an_application_needs_a_role_and_permission_on_the_mailbox(world: World) -> None:
    def token(**changes: Any) -> dict[str, Any]:
        aud = "https://outlook.office365.com"
        return {"holder": "", "client_id": APP, "roles": ["SMTP.SendAsApp"], "aud": aud} | changes

    assert refusal(world, ALICE, **token()).startswith("535 5.7.3")
    world.client.mailbox(ALICE, applications=[APP])

    send_as(world, ALICE, **token())

    assert refusal(world, ALICE, **token(roles=[])).startswith("535 5.7.3")
    assert refusal(world, ALICE, **token(client_id="app-2")).startswith("535 5.7.3")
    assert refusal(world, BOB, **token()).startswith("554 5.2.252")


@pytest.mark.parametrize("resource", ["https://outlook.office365.us", "https://partner.outlook.cn"])
def test_a_token_of_another_cloud_needs_that_clouds_scope(world: World, resource: str) -> None:
    send_as(world, ALICE, aud=resource, scope=f"{resource}/SMTP.Send")

    assert refusal(world, ALICE, aud=resource).startswith("535 5.7.3")


def test_a_mailbox_without_smtp_says_so(world: World) -> None:
    world.client.mailbox(ALICE, smtp_auth=False)

    said = refusal(world, ALICE)

    assert said.startswith("535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled")


def test_rights_are_checked_and_forgotten(world: World) -> None:
    with pytest.raises(MailServerError, match="unknown field"):
        world.client.mailbox(SHARED, owner=ALICE)  # type: ignore[call-arg]
    world.client.mailbox(SHARED, send_as=[ALICE])

    world.client.reset()

    assert refusal(world, SHARED).startswith("554 5.2.252")
