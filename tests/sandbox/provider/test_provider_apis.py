"""Microsoft Graph and the Gmail API, played: whom they answer, and in which words they refuse."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from sandbox.credentials import ServiceAccountKey
from tests.sandbox.provider.test_provider_applications import delegated
from tests.sandbox.provider.world import (
    CALLBACK,
    GMAIL,
    GRAPH_SEND,
    MICROSOFT_TOKEN,
    SMTP_SEND,
    World,
)

if TYPE_CHECKING:
    import requests

ANNA, BOB, CARL = "anna@contoso.example", "bob@gmail.example", "carl@outlook.example"
TENANT = "contoso.example"
USER_READ = "https://graph.microsoft.com/User.Read"
GMAIL_SEND = "https://www.googleapis.com/auth/gmail.send"


def ask(world: World, path: str, token: str | None, **headers: str) -> requests.Response:
    """The answer to a request with that token."""
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return world.http.get(world.provider.url + path, headers=headers, timeout=10)


def user(world: World, token: str | None, mailbox: str = ANNA, cloud: str = "") -> requests.Response:
    """What Graph says of a user."""
    return ask(world, f"{cloud}/v1.0/users/{mailbox}?$select=id", token)


def profile(world: World, token: str | None, mailbox: str = "me") -> requests.Response:
    """What the Gmail API says of a mailbox."""
    return ask(world, f"/gmail/v1/users/{mailbox}/profile", token)


def said(answer: requests.Response) -> tuple[int, str]:
    """Its status and the code or reason of its error."""
    error = answer.json()["error"]
    return answer.status_code, error["errors"][0]["reason"] if "errors" in error else error["code"]


def graph_token(world: World, *scopes: str, mailbox: str = ANNA) -> str:
    """A token of somebody who has consented to mail and to these scopes of Graph, for Graph."""
    asked = f"openid profile offline_access {SMTP_SEND} {' '.join(scopes)}"
    tokens = world.microsoft_tokens(mailbox, scope=asked)
    answer = world.refresh(MICROSOFT_TOKEN, tokens["refresh_token"], "ms-client", scope=scopes[0])
    return str(answer.json()["access_token"])


def app_token(world: World, *roles: str) -> str:
    """A token for Graph of an application with these roles."""
    world.control.register_client(
        "app", "app-secret", [CALLBACK], "microsoft", tenant=TENANT, roles=list(roles)
    )
    form = {
        "grant_type": "client_credentials",
        "client_id": "app",
        "client_secret": "app-secret",
        "scope": "https://graph.microsoft.com/.default",
    }
    return str(world.post(f"/{TENANT}/oauth2/v2.0/token", form).json()["access_token"])


def claims(token: str) -> dict[str, Any]:
    """What a token shows of itself."""
    return jwt.decode(token, options={"verify_signature": False})


def test_graph_tells_a_person_their_own_id_only(world: World) -> None:
    world.control.register_user("emil@contoso.example")
    token = graph_token(world, GRAPH_SEND, USER_READ)

    own = user(world, token)

    assert (own.status_code, own.json()["id"]) == (200, claims(token)["oid"])
    assert user(world, token, own.json()["id"]).status_code == 200
    assert said(user(world, token, "emil@contoso.example")) == (403, "Authorization_RequestDenied")


def test_who_may_send_may_not_read_a_user(world: World) -> None:
    answer = user(world, graph_token(world, GRAPH_SEND))

    assert said(answer) == (403, "Authorization_RequestDenied")
    assert answer.json()["error"]["message"] == "Insufficient privileges to complete the operation."


def test_an_application_reads_the_users_of_its_tenant(world: World) -> None:
    token = app_token(world, "User.Read.All", "Mail.Send", "SMTP.SendAsApp")

    assert user(world, token).status_code == 200
    assert claims(token)["roles"] == ["User.Read.All", "Mail.Send"]
    for stranger in ("nobody@contoso.example", CARL):
        answer = user(world, token, stranger)
        assert said(answer) == (404, "Request_ResourceNotFound")
        assert f"'{stranger}'" in answer.json()["error"]["message"]
    assert said(user(world, app_token(world, "Mail.Send"))) == (403, "Authorization_RequestDenied")


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("missing", "Access token is empty."),
        ("unknown", "IDX14100: JWT is not well formed"),
        ("for mail", "Invalid audience."),
        ("revoked", "TokenIssuedBeforeRevocationTimestamp"),
        ("expired", "Lifetime validation failed, the token is expired."),
    ],
)
def test_graph_says_why_a_token_does_not_count(world: World, trouble: str, message: str) -> None:
    token: str | None = {"missing": None, "unknown": "nonsense"}.get(trouble)
    if trouble == "for mail":
        token = world.microsoft_tokens()["access_token"]
    if trouble == "revoked":
        token = graph_token(world, GRAPH_SEND)
        world.control.revoke(ANNA, what="access")
    if trouble == "expired":
        world.control.set_lifetime(access=1)
        token = graph_token(world, GRAPH_SEND)
        time.sleep(1.05)

    answer = user(world, token)

    assert said(answer) == (401, "InvalidAuthenticationToken")
    assert message in answer.json()["error"]["message"]
    assert set(answer.json()["error"]["innerError"]) == {"date", "request-id", "client-request-id"}
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="", authorization_uri="https://login.')


def test_a_token_for_graph_shows_what_it_is_for_unless_its_owner_has_a_personal_account(world: World) -> None:
    shown = claims(graph_token(world, GRAPH_SEND))

    assert (shown["aud"], shown["upn"]) == ("https://graph.microsoft.com", ANNA)
    assert shown["scp"].split() == ["openid", "profile", "Mail.Send"]
    assert 3590 <= shown["exp"] - shown["iat"] <= 3600
    assert "." not in graph_token(world, GRAPH_SEND, mailbox=CARL)


@pytest.mark.parametrize(
    ("cloud", "graph", "path"),
    [
        ("us", "https://graph.microsoft.us", "/us"),
        ("us", "https://dod-graph.microsoft.us", "/dod"),
        ("cn", "https://microsoftgraph.chinacloudapi.cn", "/cn"),
    ],
)
def test_each_cloud_has_its_own_graph(world: World, cloud: str, graph: str, path: str) -> None:
    client = f"{cloud}-client"
    world.control.register_client(client, f"{client}-secret", [CALLBACK], "microsoft", cloud=cloud)
    url = world.authorize_url(
        f"/{cloud}/common/oauth2/v2.0/authorize", f"{graph}/User.Read", {"client_id": client}
    )
    tokens = world.redeem(f"/{cloud}/common/oauth2/v2.0/token", world.consent(url, ANNA), client).json()

    there = {other: user(world, tokens["access_token"], cloud=other).status_code for other in PATHS}

    assert there == {other: 200 if other == path else 401 for other in PATHS}


PATHS = ("", "/us", "/dod", "/cn")


@pytest.mark.parametrize("mailbox", ["me", BOB, BOB.upper()])
def test_the_gmail_api_shows_the_profile_of_the_tokens_own_mailbox(world: World, mailbox: str) -> None:
    answer = profile(world, world.google_tokens()["access_token"], mailbox)

    assert answer.status_code == 200
    assert answer.json()["emailAddress"] == BOB
    assert set(answer.json()) == {"emailAddress", "messagesTotal", "threadsTotal", "historyId"}


def test_the_gmail_api_refuses_what_the_token_is_not_for(world: World) -> None:
    sends = world.google_tokens(scope=f"openid {GMAIL_SEND}")["access_token"]
    full = world.google_tokens()["access_token"]

    short, foreign = profile(world, sends), profile(world, full, "dora@acme.example")

    assert said(short) == (403, "insufficientPermissions")
    assert 'error="insufficient_scope"' in short.headers["WWW-Authenticate"]
    assert said(foreign) == (403, "forbidden")
    assert foreign.json()["error"]["message"] == f"Delegation denied for {BOB}"


def test_a_service_account_has_a_mailbox_only_where_it_acts_for_somebody(world: World) -> None:
    key = ServiceAccountKey.create()
    world.control.register_service_account(key.values, key.public, {"acme.example": [GMAIL]})

    for_dora = profile(world, delegated(world, key, "dora@acme.example").token)
    for_nobody = profile(world, delegated(world, key, None).token)

    assert for_dora.json()["emailAddress"] == "dora@acme.example"
    assert said(for_nobody) == (400, "failedPrecondition")


@pytest.mark.parametrize("trouble", ["missing", "unknown", "of another provider", "revoked"])
def test_the_gmail_api_takes_living_tokens_of_google_only(world: World, trouble: str) -> None:
    token = {"missing": None, "unknown": "nonsense"}.get(trouble)
    if trouble == "of another provider":
        token = world.microsoft_tokens()["access_token"]
    if trouble == "revoked":
        token = world.google_tokens()["access_token"]
        world.control.revoke(BOB)

    answer = profile(world, token)

    assert said(answer) == (401, "required" if trouble == "missing" else "authError")
    assert answer.json()["error"]["status"] == "UNAUTHENTICATED"
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="https://accounts.google.com/"')


@pytest.mark.parametrize(
    ("endpoint", "error", "status"),
    [
        ("graph", "MailboxNotEnabledForRESTAPI", 404),
        ("graph", "TooManyRequests", 429),
        ("graph", "InvalidAuthenticationToken", 401),
        ("graph", "SomethingElse", 400),
        ("gmail", "accessNotConfigured", 403),
        ("gmail", "rateLimitExceeded", 429),
        ("gmail", "authError", 401),
        ("gmail", "somethingElse", 400),
    ],
)
def test_faults_are_answered_in_the_words_of_each_api(
    world: World, endpoint: str, error: str, status: int
) -> None:
    world.control.inject(endpoint, error=error, retry_after=7)
    tried = user if endpoint == "graph" else profile

    answer = tried(world, "nonsense")

    assert said(answer) == (status, error)
    assert answer.headers["Retry-After"] == "7"
    assert ("WWW-Authenticate" in answer.headers) is (status == 401)
    assert said(tried(world, "nonsense"))[0] == 401


def test_a_fault_hits_the_client_and_the_mailbox_that_it_is_meant_for(world: World) -> None:
    world.control.inject("gmail", error="backendError", client_id="g-client", user=BOB)
    token = world.google_tokens()["access_token"]

    other = world.google_tokens("dora@acme.example")["access_token"]

    assert profile(world, other).status_code == 200
    assert said(profile(world, token)) == (503, "backendError")
