"""How many messages callers hand in each minute, where they have a limit."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from chalicelib import clock, ids
from chalicelib.callers.models import SendLimits
from chalicelib.errors import Forbidden, InvalidInput, RateLimited
from chalicelib.operations import SendOperations
from tests.unit.api_world import Api
from tests.unit.lost_answers import losing
from tests.unit.mail_world import World, post, running_post, world
from tests.unit.web_services import bearer, client, error_of

if TYPE_CHECKING:
    from chalice.test import HTTPResponse

    from tests.unit.aws_tables import Aws

__all__ = ["post", "running_post", "world"]

SEND = "arn:aws:lambda:eu-west-1:000000000000:function:mailgrant-unit-send"


@pytest.fixture
def still(world: World) -> World:
    """The world in the thirteenth second of a minute, which does not pass."""
    world.ahead = clock.now() // clock.MINUTE * clock.MINUTE + 12_300
    world.clock = lambda: world.ahead
    return world


def limit(world: World, messages_per_minute: int | None) -> None:
    world.caller = replace(world.caller, limits=SendLimits(messages_per_minute=messages_per_minute))


def test_V9_a_caller_hands_in_as_many_messages_a_minute_as_it_may(still: World) -> None:
    limit(still, 2)
    still.accept()
    still.accept()

    with pytest.raises(RateLimited) as refused:
        still.accept()
    still.ahead += 48 * clock.SECOND
    still.accept()

    assert refused.value.retry_after == 48
    assert "48 seconds" in refused.value.fix


def test_each_caller_has_a_rate_of_its_own(still: World) -> None:
    limit(still, 1)
    still.accept()

    still.caller = replace(still.caller, id=ids.new_id("key"))

    still.accept()


def test_what_is_refused_for_another_reason_is_not_counted(still: World) -> None:
    limits = SendLimits(reply_to_domains=frozenset({"z.example"}), messages_per_minute=1)
    still.caller = replace(still.caller, limits=limits)
    with pytest.raises(Forbidden, match=r"z\.example only"):
        still.accept(reply_to=["desk@y.example"])
    with pytest.raises(InvalidInput):
        still.accept(to=[])

    still.accept()


@pytest.mark.parametrize("text", ["small", "x" * 9_000], ids=["row", "object"])
def test_V9_the_same_request_counts_once_and_is_answered_also_at_the_limit(still: World, text: str) -> None:
    limit(still, 2)
    first = still.accept(idempotency_key="k", text=text)
    again = still.accept(idempotency_key="k", text=text)
    still.accept()

    at_the_limit = still.accept(idempotency_key="k", text=text)

    assert first == again == at_the_limit
    with pytest.raises(RateLimited):
        still.accept(idempotency_key="other")


def test_another_message_with_a_key_that_was_used_is_not_counted(still: World) -> None:
    limit(still, 2)
    still.accept(idempotency_key="k")
    with pytest.raises(InvalidInput):
        still.accept(idempotency_key="k", text="other")

    still.accept()

    with pytest.raises(InvalidInput):
        still.accept(idempotency_key="k", text="other")


def test_a_caller_without_a_limit_is_not_counted(still: World) -> None:
    """Not a single call more."""
    still.__dict__["rates_table"] = None

    still.accept()


def test_V9_a_key_is_held_to_its_limits_over_http(still: World) -> None:
    """From the request that makes it to the refusals of its messages."""
    administrator, account = Api(cast("Any", still)), still.account
    limits = {"reply_to_domains": ["z.example"], "messages_per_minute": 1}
    made = administrator.done(
        "POST",
        "/callers",
        {"kind": "key", "name": "shop", "scopes": ["send"], "accounts": [account.id], **limits},
    )
    headers, letter = bearer(made["key"]), {"account": account.id, "to": ["ada@example.net"]}
    http = client(cast("Any", still)).http

    def sent(**fields: Any) -> HTTPResponse:
        return http.post("/v1/messages", headers=headers, body=json.dumps({**letter, **fields}).encode())

    elsewhere, first, second = sent(reply_to=["desk@y.example"]), sent(reply_to=["desk@z.example"]), sent()

    assert [one.status_code for one in (elsewhere, first, second)] == [403, 202, 429]
    assert error_of(elsewhere)["field"] == "reply_to"
    assert (error_of(second)["code"], second.headers["Retry-After"]) == ("rate_limited", "48")


def test_V9_the_function_send_leaves_one_too_many_to_be_invoked_again(still: World) -> None:
    """An answer would be read by nobody where the invoke is asynchronous."""
    limit(still, 1)
    still.accept()
    send = SendOperations(still.send, lambda _: still.caller)

    with pytest.raises(RuntimeError, match="rate_limited"):
        send.run({"account": still.account.id, "to": ["a@b.example"]}, function_arn=f"{SEND}:shop")


def test_V9_two_processes_at_the_limit_at_once_take_no_message_too_many(aws: Aws, still: World) -> None:
    other = World(aws, still.post)
    other.clock, other.caller = still.clock, still.caller
    together = threading.Barrier(8)

    def accepted(one: World) -> bool:
        together.wait()
        try:
            one.accept()
        except RateLimited:
            return False
        return True

    for one in (still, other):
        one.accept()
        limit(one, 5)
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(accepted, [still, other] * 4))

    assert sum(outcomes) == 5


@pytest.mark.parametrize("most", [1, 2, 5])
def test_ud5_a_count_that_the_client_repeats_counts_once(still: World, most: int) -> None:
    limit(still, most)
    for _ in range(most):
        with losing(still.clients.dynamodb, "UpdateItem", 1) as lost:
            assert still.rates.count(still.caller) is not None
        assert len(lost) == 1

    with pytest.raises(RateLimited):
        still.rates.count(still.caller)


def test_ud5_a_count_that_is_given_back_twice_by_the_client_is_given_back_once(still: World) -> None:
    limit(still, 2)
    minute = still.rates.count(still.caller)
    still.rates.count(still.caller)
    with losing(still.clients.dynamodb, "UpdateItem", 1):
        still.rates.give_back(still.caller, minute)

    still.rates.count(still.caller)

    with pytest.raises(RateLimited):
        still.rates.count(still.caller)


def test_ud5_nothing_is_given_back_of_a_minute_in_which_nothing_was_counted(still: World) -> None:
    limit(still, 1)
    still.rates.give_back(still.caller, still.now() // clock.MINUTE)

    still.rates.count(still.caller)

    with pytest.raises(RateLimited):
        still.rates.count(still.caller)
