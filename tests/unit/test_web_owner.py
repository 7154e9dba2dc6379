"""The mailbox owner's own page, with real tables and the sandbox's provider behind it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

import pytest
from chalice.app import Chalice
from chalice.test import Client

from chalicelib import ids
from chalicelib.accounts.connecting.visits import LENGTH
from chalicelib.accounts.models.account import GrantState
from chalicelib.callers.models import Scope
from chalicelib.web import register
from tests.unit.accounts_world import PUBLIC_URL, world

if TYPE_CHECKING:
    from chalice.test import HTTPResponse

    from chalicelib.accounts.models.account import Account
    from tests.unit.accounts_world import World

__all__ = ["world"]

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PROVIDERS: list[Literal["microsoft", "google"]] = ["microsoft", "google"]


def client_of(services: Any) -> Client:
    """A client of an application that has these services."""
    app = Chalice("test", configure_logs=False)
    register(app, lambda: services)
    return Client(app)


@dataclass
class Visitor:
    """Somebody with a browser that keeps cookies."""

    world: World
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, **headers: str) -> HTTPResponse:
        """The answer; its cookies are kept."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {
            **FORM,
            "Cookie": cookie,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        response = client_of(self.world).http.request(method, path, headers=sent)
        for line in response.headers.get("Set-Cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return response

    def get(self, path: str, **headers: str) -> str:
        """The page at that path."""
        return self.ask("GET", path, **headers).body.decode()

    def sign_in(self, account: Account, mailbox: str | None = None) -> HTTPResponse:
        """Presses the button of the first page and goes the whole way; the answer to the callback."""
        begun = self.ask("POST", path_of(account))
        params = self.world.approve(begun.headers["Location"], mailbox or account.address)
        return self.ask("GET", f"/oauth/callback/{account.connector}?{urlencode(params, doseq=True)}")


@pytest.fixture
def visitor(world: World) -> Visitor:
    """Somebody whom nobody knows yet."""
    return Visitor(world)


def path_of(account: Account | str) -> str:
    """The page of an account."""
    return f"/mailboxes/{account if isinstance(account, str) else account.id}"


def heading(html: str) -> str:
    """The page's heading."""
    found = re.search(r"<h1>(.*?)</h1>", html)
    assert found is not None
    return found.group(1)


def test_a_stranger_sees_the_same_first_page_whatever_the_account_is(world: World, visitor: Visitor) -> None:
    """Connected, never connected or unknown: not a byte differs."""
    connected = world.connected("google")
    waiting = world.account(world.registry.connector(connected.connector))

    shown = {visitor.get(path_of(one)) for one in (connected, waiting, ids.new_id("acc"))}

    assert len(shown) == 1
    assert heading(shown.pop()) == "Sign in to see what Mailgrant may do with this mailbox"


@pytest.mark.parametrize("cookie", ["", "__Host-mailgrant=other"])
def test_the_first_page_asks_nothing_of_anybody(cookie: str) -> None:
    """The services here have nothing that could be asked."""
    http = client_of(SimpleNamespace()).http

    response = http.get(path_of(ids.new_id("acc")), headers={"Cookie": cookie})

    assert response.status_code == 200


@pytest.mark.parametrize(
    "name", ["sales", "sales@mail.example", "acc_1", "acc_" + "A" * 20, "con_" + "a" * 20, "..%2Fv1"]
)
@pytest.mark.parametrize(
    ("method", "end"), [("GET", ""), ("POST", ""), ("GET", "/disconnect"), ("POST", "/disconnect")]
)
def test_names_and_addresses_lead_nowhere(name: str, method: str, end: str) -> None:
    """404 without a look into any table, so nobody can try them out."""
    response = client_of(SimpleNamespace()).http.request(method, f"/mailboxes/{name}{end}", headers=FORM)

    assert response.status_code == 404
    assert b"nothing_connected" in response.body


def test_a_sign_in_begins_alike_for_no_account_and_one_that_nobody_connected(
    world: World, visitor: Visitor
) -> None:
    account = world.account(world.connector("google"))

    answers = [visitor.ask("POST", path_of(one)) for one in (account, ids.new_id("acc"))]

    assert {answer.status_code for answer in answers} == {404}
    assert answers[0].body == answers[1].body
    assert account.address.encode() not in answers[0].body


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_page_of_success_leads_to_the_owners_page_and_to_one_provider(
    world: World, visitor: Visitor, provider: Literal["microsoft", "google"]
) -> None:
    """In the browser that signed in; whoever has only the address sees neither."""
    account = world.account(world.connector(provider))
    begun = visitor.ask("POST", f"/connect/{world.invite(account)}")
    params = urlencode(world.approve(begun.headers["Location"], account.address), doseq=True)
    done = visitor.ask("GET", f"/oauth/callback/{account.connector}?{params}")
    result = done.headers["Location"].removeprefix(PUBLIC_URL)

    own, foreign = visitor.get(result), Visitor(world).get(result)

    assert f'href="..{path_of(account)}"' in own
    assert ("myaccount.google.com" in own) is (provider == "google")
    assert ("myapps.microsoft.com" in own) is (provider == "microsoft")
    assert heading(foreign) == "The mailbox is connected"
    assert "href=" not in foreign


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_owner_signs_in_and_sees_what_is_connected(
    world: World, visitor: Visitor, provider: Literal["microsoft", "google"]
) -> None:
    account = world.connected(provider)

    done = visitor.sign_in(account)
    shown = visitor.get(path_of(account))

    assert done.status_code == 303
    assert done.headers["Location"] == f"{PUBLIC_URL}{path_of(account)}"
    assert heading(shown) == account.address
    assert "Connected" in shown
    assert "See the address of the mailbox" in shown
    assert ">Tests<" in shown
    assert "Not used yet" in shown
    assert "None" in shown
    assert ("myaccount.google.com" in shown) is (provider == "google")
    assert ("myapps.microsoft.com" in shown) is (provider == "microsoft")


def test_the_visits_cookie_is_for_this_host_and_a_quarter_of_an_hour(world: World, visitor: Visitor) -> None:
    done = visitor.sign_in(world.connected("google"))

    (line,) = list(done.headers["Set-Cookie"])
    assert line.startswith("__Host-mailgrant-visit=")
    assert {"Max-Age=900", "Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(line.split("; "))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_somebody_else_is_told_nothing(
    world: World, visitor: Visitor, provider: Literal["microsoft", "google"]
) -> None:
    """The page of a wrong mailbox, without a word about the account."""
    account = world.connected(provider)
    other = world.account(world.registry.connector(account.connector))

    done = visitor.sign_in(account, other.address)
    shown = visitor.get(done.headers["Location"].removeprefix(PUBLIC_URL))

    assert "__Host-mailgrant-visit" not in visitor.cookies
    assert heading(shown) == "This page belongs to another mailbox"
    assert account.address not in shown
    assert "Tests" not in shown
    assert heading(visitor.get(path_of(account))).startswith("Sign in")


def test_who_declines_to_sign_in_may_try_again(world: World, visitor: Visitor) -> None:
    account = world.connected("google")
    begun = visitor.ask("POST", path_of(account))
    state = re.findall(r"state=([^&]+)", begun.headers["Location"])[0]

    done = visitor.ask("GET", f"/oauth/callback/{account.connector}?state={state}&error=access_denied")
    shown = visitor.get(done.headers["Location"].removeprefix(PUBLIC_URL))

    assert heading(shown) == "You did not sign in"
    assert f'href="..{path_of(account)}"' in shown
    assert account.address not in shown


def test_a_callback_that_comes_twice_leads_back_to_the_page(world: World, visitor: Visitor) -> None:
    account = world.connected("google")
    begun = visitor.ask("POST", path_of(account))
    params = urlencode(world.approve(begun.headers["Location"], account.address), doseq=True)
    callback = f"/oauth/callback/{account.connector}?{params}"

    visitor.ask("GET", callback)
    again = visitor.ask("GET", callback)
    last = visitor.ask("GET", again.headers["Location"].removeprefix(PUBLIC_URL))

    assert last.status_code == 303
    assert last.headers["Location"] == f"{PUBLIC_URL}{path_of(account)}"


def test_a_visit_shows_no_other_account_and_ends(world: World, visitor: Visitor) -> None:
    account, other = world.connected("google"), world.connected("google")
    visitor.sign_in(account)

    elsewhere = visitor.get(path_of(other))
    world.later = LENGTH + 1
    afterwards = visitor.get(path_of(account))

    assert heading(elsewhere).startswith("Sign in")
    assert heading(afterwards).startswith("Sign in")


@pytest.mark.parametrize("token", ["", "x" * 43, "x" * 5_000, "ä"])
def test_a_token_that_nobody_gave_opens_nothing(world: World, visitor: Visitor, token: str) -> None:
    account = world.connected("google")
    visitor.cookies["__Host-mailgrant-visit"] = token

    assert heading(visitor.get(path_of(account))).startswith("Sign in")


@pytest.mark.parametrize("end", ["", "/disconnect"])
def test_another_site_presses_no_button(world: World, visitor: Visitor, end: str) -> None:
    account = world.connected("google")
    visitor.sign_in(account)

    response = visitor.ask("POST", f"{path_of(account)}{end}", Sec_Fetch_Site="cross-site")

    assert response.status_code == 403
    assert world.read(account).grant_state is GrantState.ACTIVE


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_who_is_not_signed_in_disconnects_nothing(world: World, visitor: Visitor, method: str) -> None:
    """Led to the first page, whether the account exists or not."""
    account = world.connected("google")

    answers = [visitor.ask(method, f"{path_of(one)}/disconnect") for one in (account, ids.new_id("acc"))]

    assert {answer.status_code for answer in answers} == {303}
    assert answers[0].headers["Location"] == f"{PUBLIC_URL}{path_of(account)}"
    assert world.read(account).grant_state is GrantState.ACTIVE


def test_asking_to_disconnect_disconnects_nothing(world: World, visitor: Visitor) -> None:
    """The second page only says what would happen."""
    account = world.connected("google")
    visitor.sign_in(account)

    shown = visitor.get(f"{path_of(account)}/disconnect")

    assert heading(shown) == f"Disconnect {account.address}?"
    assert "withdrawn at Google" in shown
    assert "No mail is waiting." in shown
    assert world.read(account).grant_state is GrantState.ACTIVE


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ("google", "The permission was withdrawn at Google too."),
        ("microsoft", "Microsoft lets only you withdraw the permission itself."),
    ],
)
def test_an_owner_disconnects(
    world: World, visitor: Visitor, provider: Literal["microsoft", "google"], words: str
) -> None:
    """The record says that it was the owner; the page stays open and says what is left to do."""
    account = world.connected(provider)
    visitor.sign_in(account)

    done = visitor.ask("POST", f"{path_of(account)}/disconnect")
    shown = visitor.get(path_of(account))

    ended = world.read(account)
    assert done.headers["Location"] == f"{PUBLIC_URL}{path_of(account)}"
    assert ended.grant_state is GrantState.NONE
    assert ended.disconnection is not None
    assert ended.disconnection.by == "owner"
    assert world.grants_table.get(account.id) is None
    assert heading(shown) == f"{account.address} is disconnected"
    assert words in shown
    assert ("myapps.microsoft.com" in shown) is (provider == "microsoft")
    assert "myaccount.google.com" not in shown


def test_a_disconnected_owner_has_nothing_more_to_disconnect(world: World, visitor: Visitor) -> None:
    account = world.connected("google")
    visitor.sign_in(account)
    visitor.ask("POST", f"{path_of(account)}/disconnect")
    first = world.read(account).disconnection

    again = visitor.ask("POST", f"{path_of(account)}/disconnect")
    asked = visitor.ask("GET", f"{path_of(account)}/disconnect")

    assert again.status_code == asked.status_code == 303
    assert world.read(account).disconnection == first


def test_waiting_mail_is_counted_and_told_of(world: World, visitor: Visitor) -> None:
    account = world.connected("google")
    caller, _ = world.callers.create_key("shop", (Scope.SEND,), (account.id,))
    for number in range(2):
        message = {"account": account.id, "to": ["ada@mail.example"], "subject": f"{number}"}
        world.send.accept(caller, message)
    visitor.sign_in(account)

    shown, asked = visitor.get(path_of(account)), visitor.get(f"{path_of(account)}/disconnect")

    assert "2 messages" in shown
    assert "Mail that is waiting is not sent." in asked


def test_the_page_is_shown_in_the_owners_language(world: World, visitor: Visitor) -> None:
    account = world.connected("google")
    visitor.sign_in(account)

    shown = visitor.get(path_of(account), Accept_Language="zh-CN,zh;q=0.9")

    assert '<html lang="zh-Hans">' in shown
    assert "查看邮箱地址" in shown
    assert account.address in shown
