"""The control API of the sandbox's provider: lifetimes, faults, revocation, the log."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time

import msal
import pytest
import requests

from sandbox.provider import ControlClient, Provider
from tests.sandbox.provider.world import (
    MICROSOFT_TOKEN,
    SMTP_SEND,
    Certificates,
    World,
)

ANNA, BOB = "anna@contoso.example", "bob@gmail.example"


def test_introspection_tells_what_a_token_is_good_for(world: World) -> None:
    token = world.microsoft_tokens()["access_token"]

    answer = world.control.introspect(token)

    assert answer["active"]
    assert (answer["user"], answer["client_id"]) == (ANNA, "ms-client")
    assert (answer["aud"], answer["scope"]) == ("https://outlook.office.com", SMTP_SEND)
    world.control.set_lifetime(access=7200)
    later = world.control.introspect(world.microsoft_tokens()["access_token"])
    assert later["expires_at"] - answer["expires_at"] >= 3600


def test_introspection_takes_a_form_as_rfc_7662_has_it(world: World) -> None:
    token = world.microsoft_tokens()["access_token"]

    assert world.post("/_control/introspect", {"token": token}).json()["username"] == ANNA


def test_a_token_of_one_second_turns_inactive(world: World) -> None:
    world.control.set_lifetime(access=1)
    tokens = world.microsoft_tokens()

    time.sleep(1.05)

    assert int(tokens["expires_in"]) == 1
    assert world.control.introspect(tokens["access_token"]) == {
        "active": False,
        "reads_mail": False,
        "reason": "expired",
    }


def test_a_refresh_token_expires(world: World) -> None:
    world.control.set_lifetime(refresh=1)
    tokens = world.microsoft_tokens()
    time.sleep(1.05)

    answer = world.refresh(MICROSOFT_TOKEN, tokens["refresh_token"], "ms-client")

    assert answer.json()["error_codes"] == [700082]


def test_refresh_tokens_and_unknown_tokens_are_inactive(world: World) -> None:
    tokens = world.microsoft_tokens()

    assert world.control.introspect("x") == {"active": False, "reads_mail": False, "reason": "unknown"}
    assert world.control.introspect(tokens["refresh_token"])["active"] is False


@pytest.mark.parametrize(
    ("what", "access_lives", "refresh_lives"),
    [("all", False, False), ("refresh", True, False), ("access", False, True)],
)
def test_revocation_ends_what_it_names(
    world: World, *, what: str, access_lives: bool, refresh_lives: bool
) -> None:
    tokens = world.microsoft_tokens()

    revoked = world.control.revoke(ANNA, what=what)  # type: ignore[arg-type]

    assert revoked == 1
    assert world.control.introspect(tokens["access_token"])["active"] is access_lives
    assert world.refresh(MICROSOFT_TOKEN, tokens["refresh_token"], "ms-client").ok is refresh_lives


def test_a_revoked_grant_is_reported_with_its_number_and_can_be_given_again(world: World) -> None:
    tokens = world.microsoft_tokens()
    world.control.revoke(ANNA)

    refused = world.msal_app().acquire_token_by_refresh_token(tokens["refresh_token"], [SMTP_SEND])
    fresh = world.microsoft_tokens()

    assert (refused["error"], refused["error_codes"]) == ("invalid_grant", [50173])
    assert world.refresh(MICROSOFT_TOKEN, fresh["refresh_token"], "ms-client").ok


def test_a_429_carries_retry_after_and_happens_as_often_as_ordered(world: World) -> None:
    refresh_token = world.google_tokens()["refresh_token"]
    world.control.inject("token", status=429, body="slow down", retry_after=60, times=2)

    answers = [world.refresh("/token", refresh_token, "g-client") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "60"
    assert world.control.faults() == []


def test_msal_sees_an_injected_aadsts_error(world: World) -> None:
    refresh_token = world.microsoft_tokens()["refresh_token"]
    world.control.inject("token", error="AADSTS50196")

    answer = world.msal_app().acquire_token_by_refresh_token(refresh_token, [SMTP_SEND])

    assert (answer["error"], answer["error_codes"]) == ("invalid_grant", [50196])
    assert world.control.token_requests()[-1].code == "AADSTS50196"
    assert world.control.token_requests()[-1].injected


def test_msal_sees_a_500(world: World) -> None:
    app = world.msal_app()
    world.control.inject("token", status=500, body="<html>oops</html>")

    with pytest.raises(msal.exceptions.MsalServiceError):
        app.acquire_token_by_refresh_token("x", [SMTP_SEND])


def test_google_auth_retries_a_503_by_itself(world: World) -> None:
    creds = world.google_credentials(world.google_tokens()["refresh_token"])
    world.control.inject("token", error="temporarily_unavailable")

    world.google_refresh(creds)

    outcomes = [(entry.status, entry.outcome) for entry in world.control.token_requests()[-2:]]
    assert outcomes == [(503, "temporarily_unavailable"), (200, "ok")]


def test_a_fault_hits_only_what_it_matches(world: World) -> None:
    tokens = world.google_tokens()
    world.control.inject("token", error="invalid_grant", user=ANNA, times=None)
    world.control.inject("token", error="invalid_grant", grant_type="authorization_code", times=None)
    world.control.inject("token", error="invalid_grant", client_id="ms-client", times=None)
    world.control.inject("token", error="invalid_grant", provider="microsoft", times=None)

    answer = world.refresh("/token", tokens["refresh_token"], "g-client")

    assert answer.ok
    assert len(world.control.faults()) == 4


def test_cleared_faults_do_not_happen(world: World) -> None:
    world.control.inject("jwks", status=503, times=None)
    url = f"{world.provider.url}/oauth2/v3/certs"
    before = world.http.get(url, timeout=10).status_code

    world.control.clear_faults()

    assert (before, world.http.get(url, timeout=10).status_code) == (503, 200)


@pytest.mark.parametrize(("drop", "issued"), [("before", False), ("after", True)])
def test_a_dropped_connection_comes_before_or_after_the_work(
    world: World, *, drop: str, issued: bool
) -> None:
    refresh_token = world.microsoft_tokens()["refresh_token"]
    world.control.inject("token", drop=drop)

    with pytest.raises(requests.exceptions.ConnectionError):
        world.refresh(MICROSOFT_TOKEN, refresh_token, "ms-client")

    entry = world.control.token_requests()[-1]
    assert (entry.outcome, entry.status, entry.injected) == ("dropped", 0, True)
    assert (entry.issued_refresh is not None) is issued


def test_an_answer_can_lack_fields(world: World) -> None:
    refresh_token = world.microsoft_tokens()["refresh_token"]
    world.control.inject("token", omit=["refresh_token", "scope", "expires_in"])

    answer = world.refresh(MICROSOFT_TOKEN, refresh_token, "ms-client").json()

    assert "access_token" in answer
    assert not {"refresh_token", "scope", "expires_in"} & answer.keys()


@pytest.mark.parametrize("endpoint", ["authorize", "discovery", "revoke", "userinfo", "introspect"])
def test_each_endpoint_can_fail(world: World, endpoint: str) -> None:
    world.control.inject(endpoint, status=503, body="down")
    calls = {
        "authorize": lambda: world.http.get(world.google_url(), timeout=10),
        "discovery": lambda: world.http.get(
            f"{world.provider.url}/.well-known/openid-configuration", timeout=10
        ),
        "revoke": lambda: world.post("/revoke", {"token": "x"}),
        "userinfo": lambda: world.http.get(f"{world.provider.url}/v1/userinfo", timeout=10),
        "introspect": lambda: world.post("/_control/introspect", {"token": "x"}),
    }

    assert calls[endpoint]().status_code == 503


def test_the_log_names_tokens_by_serial_and_never_by_value(world: World) -> None:
    tokens = world.microsoft_tokens()
    renewed = world.refresh(MICROSOFT_TOKEN, tokens["refresh_token"], "ms-client").json()

    exchange, refresh = world.control.token_requests()
    text = json.dumps(world.control.tokens()) + repr(world.control.token_requests())

    assert (exchange.number, exchange.grant_type, exchange.user) == (1, "authorization_code", ANNA)
    assert refresh.presented == exchange.issued_refresh
    assert refresh.issued_refresh not in (None, refresh.presented)
    assert all(value not in text for value in (tokens["access_token"], renewed["refresh_token"]))


@pytest.mark.parametrize(
    ("path", "order"),
    [
        ("faults", {"endpoint": "nowhere"}),
        ("faults", {"endpoint": "token", "surprise": 1}),
        ("clients", {"client_id": "x"}),
        ("settings", {"access_token_lifetime": 0}),
    ],
    ids=["endpoint", "unknown field", "missing fields", "lifetime"],
)
def test_an_order_that_makes_no_sense_is_refused(world: World, path: str, order: dict[str, object]) -> None:
    answer = world.http.post(f"{world.provider.url}/_control/{path}", json=order, timeout=10)

    assert answer.status_code == 400


def test_a_control_call_that_a_web_page_could_send_is_refused(world: World) -> None:
    url = f"{world.provider.url}/_control/revoke"

    answer = world.http.post(url, data=b'{"user": "x"}', headers={"Content-Type": "text/plain"}, timeout=10)

    assert answer.status_code == 415


def test_reset_forgets_everything(world: World) -> None:
    token = world.google_tokens()["access_token"]
    world.control.inject("token", status=500)

    world.control.reset()

    assert world.control.introspect(token)["reason"] == "unknown"
    assert world.control.faults() == world.control.tokens() == []
    assert world.control.token_requests() == []


def test_a_provider_that_was_stopped_comes_back_with_its_memory(provider_certificates: Certificates) -> None:
    files = provider_certificates
    provider = Provider(certfile=files.cert, keyfile=files.key).start()
    url = provider.url
    control = ControlClient(url, files.ca)
    control.set_lifetime(access=7)

    provider.stop()
    with pytest.raises(requests.exceptions.ConnectionError):
        control.faults()
    provider.start()

    assert provider.url == url
    assert control.set_lifetime()["access_token_lifetime"] == 7
    provider.stop()
    control.close()


def test_a_provider_refuses_to_listen_beyond_loopback(provider_certificates: Certificates) -> None:
    with pytest.raises(ValueError, match="loopback only"):
        Provider("192.0.2.1", certfile=provider_certificates.cert, keyfile=provider_certificates.key)


def test_a_silent_peer_blocks_nobody(world: World) -> None:
    host, port = world.provider.url.removeprefix("https://").split(":")

    with socket.create_connection((host, int(port))):
        answer = world.http.get(f"{world.provider.url}/oauth2/v3/certs", timeout=5)

    assert answer.ok


def test_it_runs_as_a_process_until_sigterm(provider_certificates: Certificates) -> None:
    files = provider_certificates
    command = [sys.executable, "-m", "sandbox.provider", "--cert", str(files.cert), "--key", str(files.key)]

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        word, url = process.stdout.readline().split()
        control = ControlClient(url, files.ca)
        faults = control.faults()
        control.close()
        process.send_signal(signal.SIGTERM)

    assert (word, faults, process.returncode) == ("ready", [], 0)
