"""What a person sees at the sandbox's provider."""

from __future__ import annotations

from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests

from sandbox.provider.scripted import ConsentError, consent
from tests.sandbox.provider.world import CALLBACK, MICROSOFT_TOKEN, World

ANNA, BOB, CARL = "anna@contoso.example", "bob@gmail.example", "carl@outlook.example"


def test_sign_in_lists_the_mailboxes_of_that_provider_and_preselects_the_hint(world: World) -> None:
    page = world.http.get(world.microsoft_url(login_hint=ANNA), timeout=10).text

    assert 'value="anna@contoso.example" id="mailbox-1" aria-current="true"' in page
    assert CARL in page
    assert BOB not in page
    assert 'name="mailbox" id="mailbox" value="anna@contoso.example"' in page


def test_every_page_says_that_it_is_the_sandbox_and_may_run_nothing(world: World) -> None:
    answer = world.http.get(world.google_url(), timeout=10)

    assert "This is the Mailgrant sandbox playing Google" in answer.text
    assert "<script" not in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_consent_names_who_asks_and_each_scope(world: World) -> None:
    page = world.http.get(world.google_url(), timeout=10)

    page = world.http.post(page.url, data={"mailbox": BOB}, timeout=10)

    assert "Acme Mail asks for access to bob@gmail.example" in page.text
    assert 'type="checkbox" name="scope" value="https://mail.google.com/"' in page.text
    assert 'value="openid"' not in page.text


def test_microsoft_has_no_tick_boxes(world: World) -> None:
    with pytest.raises(ConsentError, match="no box for"):
        world.consent(world.microsoft_url(), ANNA, untick=["https://outlook.office.com/SMTP.Send"])


def test_what_is_typed_is_escaped(world: World) -> None:
    page = world.http.get(world.google_url(), timeout=10)

    page = world.http.post(page.url, data={"mailbox": "<b>x</b>"}, timeout=10)

    assert page.status_code == 400
    assert "<b>x</b>" not in page.text


@pytest.mark.parametrize(
    ("mailbox", "tenant", "number"),
    [("nobody@x.example", "common", 50034), (BOB, "common", 50034), (CARL, "organizations", 50020)],
    ids=["nobody", "mailbox of the other provider", "personal account at organizations"],
)
def test_a_mailbox_that_may_not_sign_in_is_told_so(
    world: World, mailbox: str, tenant: str, number: int
) -> None:
    url = world.microsoft_url().replace("/common/", f"/{tenant}/", 1)

    with pytest.raises(ConsentError, match=f"AADSTS{number}"):
        world.consent(url, mailbox)


def test_another_mailbox_than_the_hint_may_be_chosen(world: World) -> None:
    callback = world.consent(world.microsoft_url(login_hint=ANNA), CARL)

    tokens = world.redeem(MICROSOFT_TOKEN, callback, "ms-client").json()

    assert world.control.introspect(tokens["access_token"])["user"] == CARL


def test_a_signed_in_browser_may_switch_on_the_consent_page(world: World) -> None:
    consent(world.microsoft_url(), mailbox=ANNA, session=world.http)

    callback = consent(world.microsoft_url(prompt="consent"), mailbox=CARL, session=world.http)

    code = parse_qs(urlsplit(callback).query)
    answer = {name: values[0] for name, values in code.items()}
    tokens = world.redeem(MICROSOFT_TOKEN, answer, "ms-client").json()
    assert world.control.introspect(tokens["access_token"])["user"] == CARL


def test_a_signed_in_browser_that_consented_is_sent_back_without_a_page(world: World) -> None:
    consent(world.microsoft_url(), mailbox=ANNA, session=world.http)

    answer = world.http.get(world.microsoft_url(), allow_redirects=False, timeout=10)
    chosen = world.http.get(world.microsoft_url(prompt="select_account"), allow_redirects=False, timeout=10)

    assert answer.headers["Location"].startswith(f"{CALLBACK}?code=")
    assert "/_pages/" in chosen.headers["Location"]


@pytest.mark.parametrize("side", ["microsoft", "google"])
def test_prompt_none_never_shows_a_page(world: World, side: str) -> None:
    url = world.microsoft_url(prompt="none") if side == "microsoft" else world.google_url(prompt="none")

    answer = world.http.get(url, allow_redirects=False, timeout=10)

    error = parse_qs(urlsplit(answer.headers["Location"]).query)["error"]
    assert error == ["login_required" if side == "microsoft" else "interaction_required"]


def test_a_remembered_consent_cannot_be_refused(world: World) -> None:
    world.consent(world.microsoft_url(), ANNA)

    with pytest.raises(ConsentError, match="remembers"):
        world.consent(world.microsoft_url(), ANNA, accept=False)


def test_a_finished_sign_in_cannot_be_sent_twice(world: World) -> None:
    page = world.http.get(world.google_url(), timeout=10)
    page = world.http.post(page.url, data={"mailbox": BOB}, timeout=10)
    form = {"decision": "refuse"}
    world.http.post(page.url, data=form, allow_redirects=False, timeout=10)

    again = world.http.post(page.url, data=form, allow_redirects=False, timeout=10)

    assert again.status_code == 410


def test_an_alias_signs_in_as_its_mailbox(world: World) -> None:
    callback = world.consent(world.microsoft_url(), "a@contoso.example")

    tokens = world.redeem(MICROSOFT_TOKEN, callback, "ms-client").json()

    assert world.control.introspect(tokens["access_token"])["user"] == ANNA


def test_a_page_of_an_unknown_sign_in_is_gone(world: World) -> None:
    answer = world.http.get(urljoin(world.provider.url, "/_pages/nonsense/consent"), timeout=10)

    assert answer.status_code == 410


def test_the_script_trusts_only_the_ca_that_it_is_given(world: World) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        consent(world.microsoft_url(), mailbox=ANNA)
