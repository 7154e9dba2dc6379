"""How many sign-ins may begin, as browsers meet it: the pages over real tables and the sandbox's provider."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from chalice.local import LambdaEventConverter
from chalice.package import YAMLTemplateSerializer

from chalicelib.accounts.connecting import limits
from chalicelib.accounts.connecting.limits import WINDOW
from chalicelib.clock import SECOND
from chalicelib.errors import RateLimited, Unavailable
from chalicelib.web.pages import connect, owner
from chalicelib.web.pages.languages import LANGUAGES, read
from tests.unit.accounts_world import world
from tests.unit.log_lines import lines
from tests.unit.test_web_owner import Visitor, heading, path_of

if TYPE_CHECKING:
    from chalice.test import HTTPResponse

    from chalicelib.accounts.models.account import Account
    from tests.unit.accounts_world import World
    from tests.unit.log_lines import Lines

__all__ = ["lines", "world"]

pytestmark = pytest.mark.aws

TEMPLATE = Path(__file__).resolve().parents[2] / ".chalice" / "app-stack.yaml"
TOO_MANY = read("en").errors["too_many_sign_ins"]["heading"]
NOBODYS = "/oauth/callback/con_x?code=c&state=" + "s" * 43


def from_address(monkeypatch: pytest.MonkeyPatch, address: str = "") -> str:
    """Lets all requests come from that network address, or from one that no other test has."""
    address = address or ".".join(str(secrets.randbelow(256)) for _ in range(4))
    monkeypatch.setattr(LambdaEventConverter, "LOCAL_SOURCE_IP", address)
    return address


@pytest.fixture
def browser(world: World, monkeypatch: pytest.MonkeyPatch) -> Visitor:
    """A browser at an address of its own, from which two requests may come within the window that begins."""
    from_address(monkeypatch)
    monkeypatch.setattr(limits, "OF_ADDRESS", 2)
    world.later = WINDOW - world.now() % WINDOW
    return Visitor(world)


def waiting(world: World) -> tuple[Account, str]:
    """An account that waits to be connected, and the path of its connect link."""
    account = world.account(world.connector("google"))
    return account, f"/connect/{world.invite(account)}"


def approved(world: World, account: Account, begun: HTTPResponse) -> str:
    """The path of the callback of a sign-in that was begun."""
    params = world.approve(begun.headers["Location"], account.address)
    return f"/oauth/callback/{account.connector}?{urlencode(params, doseq=True)}"


def test_O21_who_begins_too_many_sign_ins_is_told_to_wait(
    world: World, browser: Visitor, lines: Lines
) -> None:
    account, link = waiting(world)
    begun = [browser.ask("POST", link) for _ in range(2)]

    refused = browser.ask("POST", link)
    world.later += int(refused.headers["Retry-After"]) * SECOND
    again = browser.ask("POST", link)

    assert [answer.status_code for answer in (*begun, refused, again)] == [303, 303, 429, 303]
    assert heading(refused.body.decode()) == TOO_MANY
    assert refused.headers["Cache-Control"] == "no-store"
    assert 0 < int(refused.headers["Retry-After"]) <= WINDOW // SECOND
    assert len(lines.all("sign-in began", account=account.id)) == 3  # so `connect` was not asked
    assert len(lines.all("too many sign-ins", counted="address")) == 1
    assert browser.ask("GET", approved(world, account, again)).status_code == 303
    assert world.read(account).connected_at


@pytest.mark.parametrize("name", LANGUAGES)
def test_O21_everybody_is_told_in_their_language(world: World, browser: Visitor, name: str) -> None:
    _, link = waiting(world)

    shown = browser.get(link, Accept_Language=name)
    told = [browser.ask("POST", link, Accept_Language=name).body.decode() for _ in range(3)][-1]

    assert heading(told) == read(name).errors["too_many_sign_ins"]["heading"]
    assert heading(told) != heading(shown)


def test_O21_whatever_leads_nowhere_counts_too(world: World, browser: Visitor) -> None:
    account = world.connected("google")

    answers = [browser.ask("POST", "/connect/" + "L" * 32), browser.ask("GET", NOBODYS)]
    refused = [
        browser.ask("POST", path_of(account)),
        browser.ask("POST", "/connect/" + "L" * 32),
        browser.ask("GET", NOBODYS),
    ]

    assert [answer.status_code for answer in answers] == [404, 400]
    assert [answer.status_code for answer in refused] == [429] * 3


def test_O21_addresses_are_counted_apart_and_no_header_names_another(
    world: World, browser: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, link = waiting(world)
    for _ in range(2):
        browser.ask("POST", link)

    elsewhere = {"X_Forwarded_For": "192.0.2.1", "Forwarded": "for=192.0.2.1"}
    refused = browser.ask("POST", link, **elsewhere)
    from_address(monkeypatch)
    begun = browser.ask("POST", link, **elsewhere)

    assert (refused.status_code, begun.status_code) == (429, 303)


def test_O21_a_sign_in_that_was_begun_always_comes_back(world: World, browser: Visitor) -> None:
    """Its code is given once. Whoever brings it again, or another one's, is counted."""
    account, link = waiting(world)
    callback = approved(world, account, browser.ask("POST", link))
    stranger = Visitor(world)
    assert stranger.ask("GET", callback).status_code == 403
    assert stranger.ask("GET", callback).status_code == 429

    back = browser.ask("GET", callback)
    again = browser.ask("GET", callback)

    assert (back.status_code, again.status_code) == (303, 429)
    assert world.read(account).connected_at


@pytest.mark.parametrize("case", ["too late", "at another connector"])
def test_O21_a_callback_that_nobody_waits_for_is_counted(world: World, browser: Visitor, case: str) -> None:
    account, link = waiting(world)
    if case == "too late":
        callback = approved(world, account, browser.ask("POST", link))
        world.later += WINDOW  # as long as a state lives
    else:
        other = world.connector("google").id
        callback = approved(world, account, browser.ask("POST", link)).replace(account.connector, other)

    answers = [browser.ask("GET", callback).status_code for _ in range(3)]

    assert set(answers) == {400, 429}
    assert world.read(account).connected_at is None


def test_O21_the_installation_begins_so_many_sign_ins_and_no_link_is_used_up(
    world: World, browser: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Visits are counted apart: a flood of them cannot keep owners from connecting."""
    owned = [world.connected("google") for _ in range(2)]
    links = [waiting(world)[1] for _ in range(2)]
    world.later += 1_000 * WINDOW  # where no other test has begun anything
    monkeypatch.setattr(limits, "OF_ADDRESS", 100)
    monkeypatch.setattr(limits, "OF_INSTALLATION", 1)

    visits = [browser.ask("POST", path_of(account)) for account in owned]
    begun = [browser.ask("POST", link) for link in links]
    world.later += WINDOW
    monkeypatch.setattr("chalicelib.accounts.connecting.sign_ins.STARTS", 1)
    again = browser.ask("POST", links[1])

    for first, refused in (visits, begun):
        assert (first.status_code, refused.status_code) == (303, 429)
        assert heading(refused.body.decode()) == TOO_MANY
        assert 0 < int(refused.headers["Retry-After"]) <= WINDOW // SECOND
    assert again.status_code == 303


def test_O21_a_count_that_fails_refuses_nobody(
    world: World, browser: Visitor, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, link = waiting(world)
    table = world.authorizations_table
    get, failed = table.get, Unavailable("The table did not answer.", fix="Wait.")

    def uncounted(*_: object, **__: object) -> bool:
        raise failed

    def once(authorization: str) -> Any:
        monkeypatch.setattr(table, "get", get)
        raise failed

    monkeypatch.setattr(table, "count", uncounted)
    begun = [browser.ask("POST", link) for _ in range(3)]
    monkeypatch.setattr(table, "get", once)
    back = browser.ask("GET", approved(world, account, begun[-1]))

    assert [answer.status_code for answer in (*begun, back)] == [303] * 4
    assert world.read(account).connected_at
    assert len(lines.all("a sign-in was not counted")) == 6  # for the address, and for the installation


@pytest.mark.parametrize(
    ("first", "second", "one"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("test-invoke-source-ip", "test-invoke-source-ip", True),
    ],
)
def test_O21_one_subscriber_is_one_address(
    world: World, monkeypatch: pytest.MonkeyPatch, first: str, second: str, *, one: bool
) -> None:
    """Of version 6 everybody has as many as they like. API Gateway's console has none at all."""
    monkeypatch.setattr(limits, "OF_ADDRESS", 1)
    world.later = secrets.randbelow(1_000_000) * WINDOW
    world.limits.request(first)

    if one:
        with pytest.raises(RateLimited):
            world.limits.request(second)
    else:
        world.limits.request(second)


def test_O21_no_address_is_stored_or_logged_and_the_rows_go(
    world: World, browser: Visitor, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = from_address(monkeypatch)
    for _ in range(3):
        browser.ask("POST", "/connect/" + "L" * 32)

    rows = world.clients.dynamodb.scan(TableName=world.settings.table("authorizations"))["Items"]
    ends_at = (world.now() // WINDOW + 1) * WINDOW
    counts = [row for row in rows if row["authorization"]["S"].startswith("address#")]
    assert address not in str(rows)
    assert address not in lines.text
    assert {"N": str(ends_at // SECOND)} in [row["ttl"] for row in counts]


def test_O21_api_gateway_limits_every_page_more_than_the_api() -> None:
    """A flood of pages leaves the quota that all APIs of an AWS account share to the API."""
    template = YAMLTemplateSerializer().load_template(TEMPLATE.read_text())
    all_methods, *pages = template["Resources"]["RestAPI"]["Properties"]["MethodSettings"]
    routes = [(path, methods) for methods, path, *_ in (*connect.ROUTES, *owner.ROUTES)]
    served = {(path, method) for path, methods in routes for method in methods}

    limited = {(one["ResourcePath"][1:].replace("~1", "/"), one["HttpMethod"]) for one in pages}
    assert served <= limited
    assert {path for path, _ in limited} == {path for path, _ in served} | {"/", "/{proxy+}"}
    assert (all_methods["ResourcePath"], all_methods["HttpMethod"]) == ("/*", "*")
    for name in ("ThrottlingRateLimit", "ThrottlingBurstLimit"):
        assert max(one[name] for one in pages) < all_methods[name]
