"""IMAP and POP3 by Dovecot, which takes the provider's tokens and app passwords."""

from __future__ import annotations

import base64
import imaplib
import poplib
import ssl
from typing import TYPE_CHECKING

import pytest

from sandbox.certs import ServerCertificate
from sandbox.dovecot import Dovecot
from tests.sandbox.provider.world import CALLBACK, IMAP, MICROSOFT_TOKEN, SMTP_SEND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.provider import Provider
    from tests.sandbox.provider.world import Certificates, World

ANNA, BOB = "anna@contoso.example", "bob@gmail.example"


@pytest.fixture(scope="module")
def dovecot(_running_provider: Provider, provider_certificates: Certificates) -> Iterator[Dovecot]:
    """A running server."""
    if missing := Dovecot.missing():
        pytest.skip(missing)
    files = provider_certificates
    with Dovecot(ServerCertificate(files.cert, files.key), _running_provider.url, files.ca) as server:
        yield server


def imap(dovecot: Dovecot, world: World) -> imaplib.IMAP4:
    """A connection that began with TLS."""
    context = ssl.create_default_context(cafile=world.cafile)
    return imaplib.IMAP4_SSL("127.0.0.1", dovecot.ports["imaps"], ssl_context=context, timeout=10)


def authenticate(client: imaplib.IMAP4, mechanism: str, user: str, token: str) -> str:
    """What the server says to that token."""
    response = {
        "XOAUTH2": f"user={user}\x01auth=Bearer {token}\x01\x01",
        "OAUTHBEARER": f"n,a={user},\x01host=127.0.0.1\x01port=993\x01auth=Bearer {token}\x01\x01",
    }[mechanism]
    steps = iter((response.encode(), b"\x01" if mechanism == "OAUTHBEARER" else b""))
    try:
        return client.authenticate(mechanism, lambda _: next(steps))[0]
    except imaplib.IMAP4.error as refused:
        return str(refused)


def microsoft_token(world: World, scope: str = IMAP) -> str:
    """Anna's token for reading mail."""
    answer = world.consent(world.microsoft_url(f"offline_access {scope}", prompt="consent"), ANNA)
    token: str = world.redeem(MICROSOFT_TOKEN, answer, "ms-client", scope=scope).json()["access_token"]
    return token


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_imap_takes_a_token_for_reading_mail(dovecot: Dovecot, world: World, mechanism: str) -> None:
    with imap(dovecot, world) as client:
        assert authenticate(client, mechanism, ANNA, microsoft_token(world)) == "OK"
        assert client.select()[0] == "OK"


def test_imap_takes_googles_token(dovecot: Dovecot, world: World) -> None:
    with imap(dovecot, world) as client:
        assert authenticate(client, "XOAUTH2", BOB, world.google_tokens()["access_token"]) == "OK"


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
@pytest.mark.parametrize("wrong", ["token", "user", "scope", "revoked"])
def test_imap_refuses_a_token_that_does_not_fit(
    dovecot: Dovecot, world: World, mechanism: str, wrong: str
) -> None:
    token = "unknown" if wrong == "token" else microsoft_token(world, SMTP_SEND if wrong == "scope" else IMAP)
    if wrong == "revoked":
        world.control.revoke(ANNA)

    with imap(dovecot, world) as client:
        said = authenticate(client, mechanism, BOB if wrong == "user" else ANNA, token)

    assert "AUTHENTICATIONFAILED" in said


def test_imap_says_when_the_provider_cannot_be_asked(dovecot: Dovecot, world: World) -> None:
    world.control.inject("introspect", status=500)

    with imap(dovecot, world) as client:
        said = authenticate(client, "XOAUTH2", ANNA, microsoft_token(world))

    assert "UNAVAILABLE" in said


def test_imap_takes_an_app_password_and_no_other(dovecot: Dovecot, world: World) -> None:
    world.control.register_user(BOB, provider="google", app_password="app-password-2")
    token = world.google_tokens()["access_token"]

    with imap(dovecot, world) as client:
        for wrong in ("app-password-3", token):
            with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
                client.login(BOB, wrong)
        assert client.login(BOB, "app-password-2")[0] == "OK"


def test_pop3_takes_tokens_and_app_passwords(dovecot: Dovecot, world: World) -> None:
    world.control.register_client("ms-client", "ms-client-secret", [CALLBACK], "microsoft")
    world.control.register_user(ANNA, app_password="app-password-4")
    context = ssl.create_default_context(cafile=world.cafile)
    by_token = poplib.POP3_SSL("127.0.0.1", dovecot.ports["pop3s"], context=context, timeout=10)
    by_password = poplib.POP3("127.0.0.1", dovecot.ports["pop3"], timeout=10)
    by_password.stls(context=context)
    response = f"user={ANNA}\x01auth=Bearer {microsoft_token(world)}\x01\x01"

    by_token._putcmd("AUTH XOAUTH2")  # type: ignore[attr-defined]  # poplib has no AUTH
    by_token._getline()  # type: ignore[attr-defined]
    token_said = by_token._shortcmd(base64.b64encode(response.encode()).decode())  # type: ignore[attr-defined]
    by_password.user(ANNA)
    password_said = by_password.pass_("app-password-4")

    assert token_said.startswith(b"+OK")
    assert password_said.startswith(b"+OK")
    by_token.quit()
    by_password.quit()


def test_what_dovecot_logs_holds_no_credential(dovecot: Dovecot, world: World) -> None:
    token = microsoft_token(world)
    with imap(dovecot, world) as client:
        authenticate(client, "XOAUTH2", BOB, token)
        authenticate(client, "XOAUTH2", ANNA, token)

    assert "Login: user=<anna@contoso.example>" in dovecot.log()
    assert token not in dovecot.log()
