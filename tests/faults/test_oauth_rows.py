"""The O rows that the deployed pages show, and bad input at every edge of them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sandbox.person import SEE_OTHER
from sandbox.provider.scripted import consent

if TYPE_CHECKING:
    from requests import Response

    from sandbox.cast import Cast
    from sandbox.stack import Sandbox

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def invited(cast: Cast) -> dict[str, Any]:
    """An account that nobody has connected yet, with its connect link."""
    return cast.account(
        cast.connector("google"), cast.mailbox("google", f"owner-{secrets.token_hex(4)}@example.com")
    )


def press(cast: Cast, link: str, **headers: str) -> Response:
    """What the button of a connect link answers."""
    return cast.person().session.post(link, headers=FORM | headers, allow_redirects=False, timeout=30)


def exchanges(sandbox: Sandbox, account: dict[str, Any]) -> int:
    """How many codes of this mailbox the provider has been shown."""
    return sum(one.user == account["address"] for one in sandbox.provider.token_requests())


def test_O4_the_cookie_is_for_this_host_only_and_unreadable_by_scripts(
    cast: Cast, invited: dict[str, Any]
) -> None:
    """The prefix __Host- makes browsers insist on Secure, Path=/ and no Domain."""
    answer = press(cast, invited["connect_link"])

    written = answer.raw.headers.getlist("Set-Cookie")
    (binding,) = [line for line in written if line.startswith("__Host-mailgrant=")]
    assert answer.status_code == SEE_OTHER
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(binding.split("; "))
    assert "domain" not in binding.lower()
    assert len(binding.split(";")[0].partition("=")[2]) == 43


def test_O5_a_sign_in_that_somebody_else_began_connects_nothing(
    sandbox: Sandbox, cast: Cast, invited: dict[str, Any]
) -> None:
    """An attacker who begins and sends the provider's address to the owner gets nothing of their consent."""
    attacker, owner = cast.person(), cast.person()
    authorize_url = attacker.begin(invited["connect_link"])
    callback = consent(authorize_url, mailbox=invited["address"], session=owner.session)

    shown = owner.session.get(callback, timeout=30)

    assert shown.status_code == 403
    assert exchanges(sandbox, invited) == 0
    assert cast.api.get(f"/v1/accounts/{invited['id']}")["status"] == "disconnected"


def test_O5_the_page_says_who_asks_for_which_mailbox_and_for_what(
    cast: Cast, invited: dict[str, Any]
) -> None:
    """And asks nobody anything: it is a page with a button, and sets no cookie."""
    reader = cast.person()

    shown = reader.session.get(invited["connect_link"], timeout=30)

    assert invited["address"] in shown.text
    assert "Read, compose, send and delete all mail" in shown.text
    assert 'method="post"' in shown.text.lower()
    assert not reader.session.cookies


def test_O7_the_redirect_uri_is_the_registered_one_whatever_host_says(
    sandbox: Sandbox, cast: Cast, invited: dict[str, Any]
) -> None:
    """The provider compares it byte for byte, in the request and in the exchange."""
    owner = cast.person()
    forged = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example;proto=http"}
    owner.session.headers.update(forged | {"X-Forwarded-Proto": "http"})

    callback = owner.callback(invited["connect_link"], mailbox=invited["address"])
    answer = owner.session.get(callback, timeout=30, allow_redirects=False)

    assert callback.startswith(f"{sandbox.url}/oauth/callback/{invited['connector']}?")
    assert answer.headers["Location"].startswith(f"{sandbox.url}/authorizations/aut_")
    assert cast.api.get(f"/v1/accounts/{invited['id']}")["status"] == "connected"


def test_O15_the_callback_leads_to_a_clean_address_and_every_page_is_guarded(
    cast: Cast, invited: dict[str, Any]
) -> None:
    """303 to an address without a query; nothing is stored, referred to others, framed or loaded."""
    owner = cast.person()
    confirm = owner.session.get(invited["connect_link"], timeout=30)
    callback = owner.callback(invited["connect_link"], mailbox=invited["address"])
    answer = owner.session.get(callback, timeout=30, allow_redirects=False)
    result = owner.session.get(answer.headers["Location"], timeout=30)

    assert answer.status_code == SEE_OTHER
    assert urlsplit(answer.headers["Location"]).query == ""
    for page in (confirm, answer, result):
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    for page in (confirm, result):
        assert "base-uri 'none'" in page.headers["Content-Security-Policy"]
        assert "<script" not in page.text
        assert "src=" not in page.text


def test_O8_the_pages_send_nobody_to_an_address_that_a_request_names(
    cast: Cast, invited: dict[str, Any]
) -> None:
    """Not from the link, not from the button, not from the callback."""
    owner = cast.person()
    elsewhere = "return_to=https%3A%2F%2Fevil.example&redirect_uri=https%3A%2F%2Fevil.example"

    begun = owner.session.post(
        f"{invited['connect_link']}?{elsewhere}", headers=FORM, allow_redirects=False, timeout=30
    )
    callback = owner.callback(invited["connect_link"], mailbox=invited["address"])
    back = owner.session.get(f"{callback}&{elsewhere}", timeout=30, allow_redirects=False)
    shown = owner.session.get(f"{back.headers['Location']}?{elsewhere}", timeout=30)

    for answer in (begun, back, shown):
        assert "evil.example" not in f"{answer.headers} {answer.text}"
    assert shown.ok


def test_B17_a_line_end_in_a_parameter_splits_no_header(cast: Cast, invited: dict[str, Any]) -> None:
    """On the wire, through API Gateway."""
    owner = cast.person()
    callback = owner.callback(invited["connect_link"], mailbox=invited["address"])

    back = owner.session.get(
        f"{callback}&return_to=/a%0D%0ASet-Cookie:%20evil=1&next=%00", timeout=30, allow_redirects=False
    )

    assert back.status_code == SEE_OTHER
    assert "evil" not in f"{back.headers}"
    assert urlsplit(back.headers["Location"]).query == ""


def test_B08_html_in_a_providers_error_is_shown_as_text_or_not_at_all(
    cast: Cast, invited: dict[str, Any]
) -> None:
    """Escaped, and blocked by the page's policy if it were not."""
    owner = cast.person()
    authorize_url = owner.begin(invited["connect_link"])
    asked = parse_qs(urlsplit(authorize_url).query)
    state, callback = asked["state"][0], asked["redirect_uri"][0]
    script = "%3Cscript%3Ealert(1)%3C/script%3E%22%27%3E"

    shown = owner.session.get(
        f"{callback}?state={state}&error={script}&error_description={script * 20}", timeout=30
    )

    assert shown.ok
    assert "<script" not in shown.text
    assert "default-src 'none'; style-src 'sha256-" in shown.headers["Content-Security-Policy"]
    assert cast.api.get(f"/v1/accounts/{invited['id']}")["status"] == "disconnected"


STATE = "s" * 43
EDGES: dict[str, tuple[str, str, dict[str, str], int]] = {
    "B05: a state of 10 KB": ("GET", f"/oauth/callback/con_x?state={'x' * 10_000}&code=c", {}, 400),
    "B05: a binary state": ("GET", f"/oauth/callback/con_x?state={'%00%FF' * 20}&code=c", {}, 400),
    "B06: two states": ("GET", f"/oauth/callback/con_x?state={STATE}&state={STATE}&code=c", {}, 400),
    "B06: two codes": ("GET", f"/oauth/callback/con_x?state={STATE}&code=c&code=d", {}, 400),
    "an unknown connector": ("GET", f"/oauth/callback/con_x?state={STATE}&code=c", {}, 400),
    "a strange connector": ("GET", f"/oauth/callback/%2e%2e%2fv1?state={STATE}&code=c", {}, 404),
    "an unknown link": ("GET", "/connect/" + "L" * 32, {}, 404),
    "a link of bytes": ("GET", "/connect/%00%FF%0d%0a", {}, 404),
    "a long link": ("GET", "/connect/" + "L" * 4_000, {}, 404),
    "an unknown button": ("POST", "/connect/" + "L" * 32, FORM, 404),
    "a button with JSON": ("POST", "/connect/" + "L" * 32, {"Content-Type": "application/json"}, 415),
    "another site's button": ("POST", "/connect/" + "L" * 32, FORM | {"Sec-Fetch-Site": "cross-site"}, 403),
    "a method that is none": ("DELETE", "/connect/" + "L" * 32, {}, 405),
    "an unknown result": ("GET", "/authorizations/aut_x", {}, 404),
    "a result of bytes": ("GET", "/authorizations/%FF%FE", {}, 404),
    "a cookie of bytes": (
        "GET",
        f"/oauth/callback/con_x?state={STATE}&code=c",
        {"Cookie": "__Host-mailgrant=\xff\xfe; ;=; a"},
        400,
    ),
    "a long cookie": (
        "GET",
        f"/oauth/callback/con_x?state={STATE}&code=c",
        {"Cookie": f"__Host-mailgrant={'x' * 7_000}"},
        400,
    ),
    "an error without a name": ("GET", f"/oauth/callback/con_x?state={STATE}&error=", {}, 400),
}


@pytest.mark.parametrize(("method", "path", "headers", "status"), EDGES.values(), ids=EDGES.keys())
def test_a_page_that_is_asked_wrongly_says_what_to_do(
    sandbox: Sandbox, cast: Cast, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """Never a 5xx: a page for people, the one error shape for what no page answers."""
    before = len(sandbox.provider.token_requests())

    answer = cast.person().session.request(
        method, f"{sandbox.url}{path}", headers=headers, timeout=30, allow_redirects=False
    )

    assert answer.status_code == status
    assert len(sandbox.provider.token_requests()) == before
    if answer.headers["Content-Type"].startswith("text/html"):
        assert "<h1" in answer.text
    else:
        assert {"code", "message", "fix", "docs"} <= answer.json()["error"].keys()
