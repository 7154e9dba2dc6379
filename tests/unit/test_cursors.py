"""Cursors of every list: opaque, bound to caller and query, and refused where they are made up."""

from __future__ import annotations

import base64
import json
import string
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib import ids
from chalicelib.callers.models import Scope
from tests.unit.accounts_world import world
from tests.unit.api_world import Api

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.accounts_world import World

__all__ = ["world"]

SHAPES = st.sampled_from(
    ["", "acc_" + "0" * 20, "01764582000123.2c5f8h1k", "[1e999, 1]", "[null]", "\x00" * 40]
)
RAW = st.binary(max_size=60) | st.builds(
    lambda head, tail: head + tail.encode(), st.binary(min_size=12, max_size=12), SHAPES
)
MADE_UP = (
    st.text(max_size=30)
    | st.text(alphabet=string.ascii_letters + string.digits + "-_=", max_size=300)
    | RAW.map(lambda raw: base64.urlsafe_b64encode(raw).decode())
    | RAW.map(lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode())
    | st.builds(
        lambda at, message: base64.urlsafe_b64encode(json.dumps([at, message]).encode()).decode(),
        st.floats() | st.integers(),
        st.text(max_size=9) | st.none(),
    )
)


@pytest.fixture
def three(world: World) -> tuple[str, list[str]]:
    """A connector and its three accounts."""
    connector = world.connector("google")
    return connector.id, sorted(world.account(connector).id for _ in range(3))


def lists(connector: str) -> tuple[str, ...]:
    """Every list that comes in pages."""
    return "/accounts", f"/connectors/{connector}", "/messages", "/messages?state=failed"


def at(path: str, **parameters: object) -> str:
    """The path with further parameters."""
    more = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in parameters.items())
    return f"{path}{'&' if '?' in path else '?'}{more}"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(cursor=MADE_UP)
def test_ud4_a_cursor_that_was_made_up_is_a_422_of_its_field(
    world: World, three: tuple[str, list[str]], cursor: str
) -> None:
    api = Api(world)
    for path in lists(three[0]):
        status, answer = api.ask("GET", at(path, cursor=cursor))

        if "\ufffd" in cursor:
            assert status == 400
            continue
        assert (status, answer["error"]["field"]) == (422, "cursor"), cursor


def test_ud4_a_cursor_of_another_caller_or_query_is_refused(
    world: World, three: tuple[str, list[str]]
) -> None:
    connector, accounts = three
    one, other = (Api(world, Scope.READ, accounts=tuple(accounts)) for _ in range(2))
    cursors = {path: one.done("GET", at(path, limit=1))["cursor"] for path in lists(connector)[:2]}

    for path in lists(connector):
        for given_for, cursor in cursors.items():
            status, _ = one.ask("GET", at(path, cursor=cursor, limit=2))
            assert status == (200 if path == given_for else 422)
    for path, cursor in cursors.items():
        assert other.refused("GET", at(path, cursor=cursor))["field"] == "cursor"


@pytest.mark.parametrize(
    "change", [lambda text: text + "=", lambda text: text[:-1], lambda text: text.swapcase()]
)
def test_ud4_a_cursor_that_was_changed_is_refused(
    world: World, three: tuple[str, list[str]], change: Callable[[str], str]
) -> None:
    api = Api(world)
    cursor = api.done("GET", "/accounts?limit=1")["cursor"]

    assert api.refused("GET", at("/accounts", cursor=change(cursor)))["field"] == "cursor"


@pytest.mark.parametrize("limit", [1, 2])
def test_ud4_a_cursor_names_no_account_that_its_caller_may_not_use(world: World, limit: int) -> None:
    connector = world.connector("google")
    accounts = sorted(world.account(connector).id for _ in range(7))
    own = accounts[1::3]
    api = Api(world, Scope.READ, accounts=(*own, ids.new_id("acc")))

    for path in (f"/connectors/{connector.id}", "/accounts"):
        seen, cursor = [], None
        while True:
            page = api.done("GET", at(path, limit=limit, **({"cursor": cursor} if cursor else {})))
            seen += [account["id"] for account in page["accounts"]]
            cursor = page["cursor"]
            if cursor is None:
                break
            inside = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            assert not any(account.encode() in inside for account in accounts if account not in own)
        assert seen == own
