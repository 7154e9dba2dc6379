"""The pages of connecting: what begins a sign-in, what comes back, what is shown."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from chalicelib import ids
from chalicelib.errors import Forbidden, MalformedRequest, NotFound
from chalicelib.providers.catalogue import CATALOGUE
from chalicelib.web.pages import cookies
from tests.unit.web_services import AUTHORIZATION, CONNECTOR, PUBLIC_URL, FakeServices, client

if TYPE_CHECKING:
    from chalice.test import Client

    from chalicelib.providers.facts import ProviderFacts

STATE = "s" * 43
LINK = "Link_of-the-test_0123456789abcdef"
CALLBACK = f"/oauth/callback/{CONNECTOR}"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PROVIDER = "https://login.example/authorize?client_id=c&state=the+state"


@pytest.fixture
def services() -> FakeServices:
    """Services with one open connect link."""
    services = FakeServices()
    services.laid.answers["page"] = SimpleNamespace(
        address="sales@mail.example",
        signs_in_as="",
        provider="Google",
        asked_by="The <Shop> & sons",
        scopes_in_words=("Send mail as this mailbox",),
        expires_at=1_700_000_000_000,
    )
    services.laid.answers["begin"] = {"authorize_url": PROVIDER, "cookie": "the-cookie"}
    services.laid.answers["complete"] = {"authorization": AUTHORIZATION, "outcome": "connected"}
    return services


@pytest.fixture
def http(services: FakeServices) -> Client:
    """A client of the application."""
    return client(services)


def asked(services: FakeServices) -> list[str]:
    """What the services were asked, by name."""
    return [what for what, _ in services.laid.asked]


def test_of_a_shared_mailbox_the_page_names_the_person(http: Client, services: FakeServices) -> None:
    """The mailbox itself cannot sign in."""
    services.laid.answers["page"].signs_in_as = "ada@mail.example"

    html = http.http.get(f"/connect/{LINK}").body.decode()

    assert "You sign in as" in html
    assert "ada@mail.example" in html
    assert "Sign in with the mailbox" not in html


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_O5_opening_a_link_starts_nothing(http: Client, services: FakeServices, method: str) -> None:
    """Mail scanners open links too."""
    response = http.http.request(method, f"/connect/{LINK}")

    assert response.status_code == 200
    assert asked(services) == ["page"]
    assert "Set-Cookie" not in response.headers


def test_the_page_says_who_asks_for_what(http: Client) -> None:
    """Names are shown as text, never as HTML; the form may lead to the provider."""
    response = http.http.get(f"/connect/{LINK}")

    html = response.body.decode()
    assert "sales@mail.example" in html
    assert "The &lt;Shop&gt; &amp; sons" in html
    assert "Send mail as this mailbox" in html
    assert "form-action 'self' https:" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("code", "status"),
    [("link_not_found", 404), ("link_expired", 410), ("link_used", 410), ("link_exhausted", 410)],
)
def test_a_link_that_does_not_work_says_so(
    http: Client, services: FakeServices, code: str, status: int
) -> None:
    """A page, with the way out, in the language of the browser."""
    services.laid.answers["page"] = NotFound("This link has ended.", fix="Ask for a new one.", code=code)

    response = http.http.get(f"/connect/{LINK}")
    german = http.http.get(f"/connect/{LINK}", headers={"Accept-Language": "de-CH,de;q=0.9"})

    assert response.status_code == german.status_code == status
    assert code.encode() in response.body
    assert re.search(rb"[Aa]sk for a new (one|link)", response.body)
    assert "neuen" in german.body.decode()
    assert german.headers["Content-Language"] == "de"
    assert german.headers["Vary"] == "Accept-Language"


def test_O4_the_button_binds_the_browser_and_leads_to_the_provider(
    http: Client, services: FakeServices
) -> None:
    """303 with cookies that only this host gets back."""
    response = http.http.post(f"/connect/{LINK}", headers=FORM)

    assert response.status_code == 303
    assert response.headers["Location"] == PROVIDER
    bound, again = list(response.headers["Set-Cookie"])
    assert bound.startswith("__Host-mailgrant=the-cookie;")
    assert again.startswith(f"__Host-mailgrant-retry={AUTHORIZATION}.{LINK};")
    for cookie in (bound, again):
        assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
    assert services.laid.asked == [("begin", {"link_token": LINK, "cookie": None})]


def test_the_button_hands_on_the_browsers_own_cookie(http: Client, services: FakeServices) -> None:
    """A sign-in that was begun in another tab can still come back."""
    http.http.post(f"/connect/{LINK}", headers={**FORM, "Cookie": f"{cookies.BROWSER}=first"})

    assert services.laid.asked == [("begin", {"link_token": LINK, "cookie": "first"})]


def test_another_site_cannot_press_the_button(http: Client, services: FakeServices) -> None:
    """403, and no sign-in is begun."""
    response = http.http.post(f"/connect/{LINK}", headers={**FORM, "Sec-Fetch-Site": "cross-site"})

    assert response.status_code == 403
    assert asked(services) == []


def test_a_callback_is_handed_on_with_its_cookie(http: Client, services: FakeServices) -> None:
    """Everything the provider sent, and the browser's proof; 303 to an address without it."""
    headers = {"Cookie": "other=1; __Host-mailgrant=the-cookie"}

    response = http.http.get(f"{CALLBACK}?state={STATE}&code=c&iss=https%3A%2F%2Fi", headers=headers)

    assert response.status_code == 303
    assert response.headers["Location"] == f"{PUBLIC_URL}/authorizations/{AUTHORIZATION}"
    params = {"state": [STATE], "code": ["c"], "iss": ["https://i"]}
    assert services.laid.asked == [
        ("complete", {"connector_id": CONNECTOR, "params": params, "cookie": "the-cookie"})
    ]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?code=c",
        f"?state={STATE}",
        f"?state={STATE}&state={STATE}&code=c",
        f"?state={STATE}&code=c&code=d",
        f"?state={STATE}&code=",
        f"?state={STATE}&code=%0d%0a",
        f"?state={STATE}&code=c&iss=",
    ],
    ids=["nothing", "no state", "no code", "two states", "two codes", "empty code", "line end", "empty iss"],
)
def test_O17_a_callback_that_is_none_asks_nobody(http: Client, services: FakeServices, query: str) -> None:
    """400 before any function is invoked."""
    response = http.http.get(f"{CALLBACK}{query}")

    assert response.status_code == 400
    assert asked(services) == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MalformedRequest("unknown state", fix="Begin again.", code="unknown_state"), 400),
        (Forbidden("another browser", fix="Begin again.", code="wrong_browser"), 403),
    ],
    ids=["B02", "B03"],
)
def test_a_callback_that_is_refused_is_a_page(
    http: Client, services: FakeServices, error: Exception, status: int
) -> None:
    """With the refusal's own status."""
    services.laid.answers["complete"] = error

    response = http.http.get(f"{CALLBACK}?state={STATE}&code=c")

    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("text/html")
    assert b"pen your connect link" in response.body


@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_b18_only_a_get_is_a_callback(http: Client, services: FakeServices, method: str) -> None:
    """405, and nothing is exchanged."""
    response = http.http.request(method, f"{CALLBACK}?state={STATE}&code=c", headers=FORM)

    assert response.status_code == 405
    assert asked(services) == []


def test_b04_a_second_callback_says_that_it_was_done(http: Client, services: FakeServices) -> None:
    """The result page says so, by an address without the state."""
    services.laid.answers["complete"] = {"authorization": AUTHORIZATION, "outcome": "already"}
    services.laid.answers["outcome"] = {"outcome": "connected", "expected": "sales@mail.example"}

    first = http.http.get(f"{CALLBACK}?state={STATE}&code=c")
    shown = http.http.get(first.headers["Location"].removeprefix(PUBLIC_URL))

    assert first.status_code == 303
    assert b"already completed" in shown.body


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (
            {"outcome": "connected", "expected": "a@x.example"},
            ["a@x.example is connected", "What happens next"],
        ),
        (
            {"outcome": "refused", "expected": "a@x.example"},
            ["a@x.example is not connected", "Nothing was saved"],
        ),
        (
            {"outcome": "wrong_mailbox", "expected": "a@x.example", "found": "b@x.example"},
            ["a@x.example", "b@x.example", "nothing was saved"],
        ),
        (
            {"outcome": "wrong_mailbox", "expected": "a@x.example", "found": "b@x.example", "unproven": True},
            ["a@x.example", "b@x.example", "it proves nothing", "tenant (its id or domain)"],
        ),
        (
            {"outcome": "scope_missing", "missing_scopes": ["https://mail.google.com/"]},
            ["permanently delete all your email from Gmail"],
        ),
        ({"outcome": "identity_missing"}, ["did not say for whom"]),
        (
            {
                "outcome": "failed",
                "diagnosis": {"message": "<b>no</b>", "fix": "Renew the secret.", "code": "AADSTS7000222"},
            },
            ["&lt;b&gt;no&lt;/b&gt;", "Renew the secret.", "AADSTS7000222"],
        ),
        ({"outcome": "pending"}, ["has not come back"]),
    ],
    ids=lambda value: value["outcome"] if isinstance(value, dict) else "",
)
def test_each_outcome_has_its_page(
    http: Client, services: FakeServices, outcome: dict[str, Any], words: list[str]
) -> None:
    """What happened, and what to do."""
    services.laid.answers["outcome"] = outcome

    response = http.http.get(f"/authorizations/{AUTHORIZATION}")

    assert response.status_code == 200
    for word in words:
        assert word in response.body.decode()


@pytest.mark.parametrize(
    "facts", [one for one in CATALOGUE if one.speaks == "microsoft"], ids=lambda one: one.name
)
def test_a_missing_permission_is_called_the_same_in_each_cloud(
    http: Client, services: FakeServices, facts: ProviderFacts
) -> None:
    """Its scope begins with another host in each."""
    services.laid.answers["outcome"] = {
        "outcome": "scope_missing",
        "missing_scopes": list(facts.required_scopes),
    }

    response = http.http.get(f"/authorizations/{AUTHORIZATION}")

    assert "Send emails from your mailbox using SMTP AUTH" in response.body.decode()
    assert "https://outlook" not in response.body.decode()


def test_trying_again_is_offered_to_the_browser_that_began(http: Client, services: FakeServices) -> None:
    """The link is in its cookie; another authorization's cookie is of no use."""
    services.laid.answers["outcome"] = {"outcome": "refused"}
    own = {"Cookie": f"{cookies.RETRY}={AUTHORIZATION}.{LINK}"}
    others = {"Cookie": f"{cookies.RETRY}={ids.authorization_id('another')}.{LINK}"}

    offered = http.http.get(f"/authorizations/{AUTHORIZATION}", headers=own)
    not_offered = http.http.get(f"/authorizations/{AUTHORIZATION}", headers=others)

    assert f"../connect/{LINK}" in offered.body.decode()
    assert LINK not in not_offered.body.decode()


def test_the_result_is_asked_with_the_browsers_proof(http: Client, services: FakeServices) -> None:
    """Whoever has only the address learns no mailbox."""
    services.laid.answers["outcome"] = {"outcome": "connected"}

    http.http.get(f"/authorizations/{AUTHORIZATION}", headers={"Cookie": "__Host-mailgrant=proof"})

    assert services.laid.asked == [("outcome", "proof")]


@pytest.mark.parametrize(
    "path", ["/authorizations/x", "/connect/short", "/connect/" + "x" * 65, "/connect/..%2Fv1"]
)
def test_what_has_not_the_shape_of_a_link_asks_nobody(
    http: Client, services: FakeServices, path: str
) -> None:
    """404 without a look into any table."""
    response = http.http.get(path)

    assert response.status_code == 404
    assert asked(services) == []


def test_O15_every_page_is_guarded(http: Client, services: FakeServices) -> None:
    """Nothing is loaded, framed, cached, or told to others."""
    services.laid.answers["outcome"] = {"outcome": "connected"}

    for path in (f"/connect/{LINK}", CALLBACK, f"/authorizations/{AUTHORIZATION}", "/connect/x"):
        headers = http.http.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'; style-src 'sha256-" in policy
        assert "frame-ancestors 'none'; base-uri 'none'" in policy
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("state", ["x" * 10_000, "%00%FF%FE" * 16, "%F0%9F%92%8C" * 43, "%0A" + "x" * 42])
def test_B05_a_state_that_is_none_asks_nobody(http: Client, services: FakeServices, state: str) -> None:
    """400 by its shape alone, whatever it holds."""
    response = http.http.get(f"{CALLBACK}?state={state}&code=c")

    assert response.status_code == 400
    assert asked(services) == []


def unmoved(http: Client, target: str) -> None:
    """Fails unless a request that names a place to return to is answered like one that names none."""
    query = "".join(f"&{name}={quote(target, safe='')}" for name in ("return_to", "redirect_uri", "next"))

    begun = http.http.post(f"/connect/{LINK}?{query[1:]}", headers=FORM)
    back = http.http.get(f"{CALLBACK}?state={STATE}&code=c{query}")
    shown = http.http.get(f"/authorizations/{AUTHORIZATION}?{query[1:]}")

    assert begun.headers["Location"] == PROVIDER
    assert back.headers["Location"] == f"{PUBLIC_URL}/authorizations/{AUTHORIZATION}"
    assert shown.status_code == 200
    for answer in (begun, back, shown):
        said = f"{answer.headers}{answer.body!r}"
        assert "evil" not in said


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https:evil.example", "javascript:evil()", "/evil"]
)
def test_B16_a_place_to_return_to_leads_to_the_usual_page(
    http: Client, services: FakeServices, target: str
) -> None:
    """There is no such parameter: whoever sends one is shown what everybody is shown."""
    services.laid.answers["outcome"] = {"outcome": "connected"}

    unmoved(http, target)


@pytest.mark.parametrize("target", ["/a\r\nSet-Cookie: evil=1", "/a\nevil: 1", "/\x00evil"])
def test_B17_a_place_to_return_to_splits_no_header(http: Client, services: FakeServices, target: str) -> None:
    """The usual page, and no header more than usual."""
    services.laid.answers["outcome"] = {"outcome": "connected"}

    unmoved(http, target)


@pytest.mark.parametrize("host", ["evil.example", "mail.example:444", "mail.example.evil.example"])
def test_O7_addresses_come_from_the_settings_whatever_the_headers_say(
    http: Client, services: FakeServices, host: str
) -> None:
    """Host and its relatives are the sender's own words."""
    headers = {
        "Host": host,
        "X-Forwarded-Host": host,
        "Forwarded": f"host={host}",
        "X-Forwarded-Proto": "http",
    }

    response = http.http.get(f"{CALLBACK}?state={STATE}&code=c", headers=headers)

    assert response.headers["Location"] == f"{PUBLIC_URL}/authorizations/{AUTHORIZATION}"
    assert host not in str(services.laid.asked)
