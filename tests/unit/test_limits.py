"""Which addresses callers are held to, when a message is accepted and again before it leaves."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.accounts.models.account import Account, FromPolicy
from chalicelib.callers.models import Caller, CallerKind, Scope, SendLimits
from chalicelib.errors import Forbidden, MailgrantError
from chalicelib.mail.allowed import require_allowed
from chalicelib.mail.composing import request
from chalicelib.mail.composing.compose import compose
from chalicelib.mail.outbox import Filter
from chalicelib.mail.ports import Limits
from tests.unit.mail_world import World, post, running_post, world

__all__ = ["post", "running_post", "world"]

OWN, NEWS = "sales@contoso.test", "news@contoso.test"
ACCOUNT = Account("acc_1", "sales", OWN, "con_1", 0, from_addresses=(NEWS,))


def require(limits: SendLimits, account: Account = ACCOUNT, **fields: Any) -> None:
    """Composes the message and asks whether a caller with these limits may send it."""
    caller = Caller("key_1", CallerKind.KEY, "c", frozenset({Scope.SEND}), frozenset({"*"}), 0, limits=limits)
    asked = request.read({"account": "sales", "to": ["ada@example.net"], **fields})
    composed = compose(asked, account, "msg_x", now=0, limits=Limits())
    require_allowed(caller, composed.body, is_raw=asked.raw is not None)


def refusal(limits: SendLimits, account: Account = ACCOUNT, **fields: Any) -> tuple[str, str | None]:
    """Code and field with which it is refused."""
    with pytest.raises(MailgrantError) as refused:
        require(limits, account, **fields)
    return refused.value.error_code, refused.value.field


def raw(header: str) -> dict[str, Any]:
    """A whole message with that header."""
    return {"raw": base64.b64encode(f"{header}\n\nHello\n".encode()).decode()}


def sends_from(*addresses: str) -> SendLimits:
    return SendLimits(from_addresses=frozenset(addresses))


def answered_at(*domains: str) -> SendLimits:
    return SendLimits(reply_to_domains=frozenset(domains))


FOREIGN = ("from_not_allowed", "from")
FOREIGN_RAW = ("from_not_allowed", "raw")


@pytest.mark.parametrize(
    "fields",
    [
        {"from": NEWS},
        {"from": {"address": NEWS.upper(), "name": "Die Böse, <x@y.z>"}},
        raw(f"From: {NEWS}"),
        raw(f"From: =?utf-8?q?B=C3=B6se?= <{NEWS.title()}>\nSender: {NEWS}"),
    ],
    ids=["from", "named", "raw", "sender"],
)
def test_V9_a_caller_sends_from_its_addresses(fields: dict[str, Any]) -> None:
    require(sends_from(NEWS), **fields)


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({}, FOREIGN),
        ({"from": OWN}, FOREIGN),
        (raw(f"From: {OWN}"), FOREIGN_RAW),
        (raw(f"From: {NEWS}\nSender: {OWN}"), FOREIGN_RAW),
        (raw(f"From: {OWN}\nSender: {NEWS}"), FOREIGN_RAW),
        (raw(f"From: {NEWS}, {OWN}"), FOREIGN_RAW),
        (raw(f"From: {NEWS}\nFrom: {OWN}"), ("invalid_input", "raw")),
        (raw(f'From: "{NEWS}" <{OWN}>'), FOREIGN_RAW),
    ],
    ids=["left out", "own", "raw", "sender", "from", "two", "twice", "name"],
)
def test_V9_a_caller_sends_from_no_other_address(fields: dict[str, Any], refused: tuple[str, str]) -> None:
    assert refusal(sends_from(NEWS), **fields) == refused


def test_V9_a_domain_may_be_spelt_in_both_ways() -> None:
    account = replace(ACCOUNT, address="sales@bücher.example")
    ascii_form = "sales@xn--bcher-kva.example"

    for fields in ({}, {"from": "Sales@BÜCHER.example"}, {"from": ascii_form}, raw(f"From: {ascii_form}")):
        require(sends_from(ascii_form), account, **fields)
    assert refusal(sends_from(NEWS), account) == FOREIGN


def test_V9_what_the_account_may_not_use_is_refused_whatever_the_caller_may() -> None:
    boss = "boss@contoso.test"

    assert refusal(sends_from(boss), ACCOUNT, **{"from": boss}) == FOREIGN


def test_V9_the_address_counts_that_the_accounts_policy_writes() -> None:
    rewriting = replace(ACCOUNT, from_policy=FromPolicy.REWRITE)

    require(sends_from(OWN), rewriting, **{"from": "boss@contoso.test"})
    assert refusal(sends_from(NEWS), rewriting, **{"from": "boss@contoso.test"}) == FOREIGN


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"reply_to": ["a@Example.COM", {"address": "ö@bücher.example", "name": "Ö"}]},
        raw(f"From: {OWN}"),
        raw(f"From: {OWN}\nReply-To: desk: a@EXAMPLE.com, B <b@xn--bcher-kva.example>;"),
        raw(f"From: {OWN}\nReply-To:"),
    ],
    ids=["none", "fields", "raw", "group", "empty"],
)
def test_V9_answers_go_to_the_callers_domains(fields: dict[str, Any]) -> None:
    require(answered_at("example.com", "xn--bcher-kva.example"), **fields)


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"reply_to": ["a@example.com", "b@evil.test"]}, ("reply_to_not_allowed", "reply_to")),
        ({"reply_to": ["a@sub.example.com"]}, ("reply_to_not_allowed", "reply_to")),
        (raw(f"From: {OWN}\nReply-To: a@example.com,\n b@evil.test"), ("reply_to_not_allowed", "raw")),
        (raw(f"From: {OWN}\nReply-To: g: a@evil.test;"), ("reply_to_not_allowed", "raw")),
        (raw(f"From: {OWN}\nReply-To: a@example.com, =?utf-8?q?b=40evil.test?="), ("invalid_input", "raw")),
        (raw(f"From: {OWN}\nReply-To: <a@evil.test> a@example.com"), ("invalid_input", "raw")),
    ],
    ids=["second", "subdomain", "raw", "group", "encoded", "two readings"],
)
def test_V9_answers_go_to_no_other_domain(fields: dict[str, Any], refused: tuple[str, str]) -> None:
    assert refusal(answered_at("example.com"), **fields) == refused


def test_V9_a_policy_that_lets_others_be_answered_is_held_to_the_domains() -> None:
    account = replace(ACCOUNT, from_policy=FromPolicy.REWRITE_REPLY_TO)

    require(answered_at("example.com"), account, **{"from": "boss@example.com"})
    code, _ = refusal(answered_at("example.com"), account, **{"from": "boss@evil.test"})
    assert code == "reply_to_not_allowed"


def test_a_caller_without_limits_sends_what_others_could_read_in_two_ways() -> None:
    require(SendLimits(), **raw(f"From: {OWN}\nReply-To: <a@evil.test> a@example.com"))


def test_V9_what_a_callers_limits_forbid_is_not_accepted(world: World) -> None:
    world.caller = replace(world.caller, limits=sends_from(NEWS))
    own = world.account.address

    for asked in ({"from": own}, raw(f"From: {own}")):
        with pytest.raises(Forbidden, match=rf"{NEWS} only"):
            world.send.accept(world.caller, {"account": own, "to": ["a@b.example"], **asked})

    assert world.outbox.list(world.caller, Filter(world.account.id)).messages == ()


# What waits, when the caller's limits change.


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"from_addresses": frozenset({"x@y.example"})}, "from_not_allowed"),
        ({"reply_to_domains": frozenset({"y.example"})}, "reply_to_not_allowed"),
    ],
    ids=["from", "reply-to"],
)
@pytest.mark.parametrize("text", ["small", "x" * 9_000], ids=["row", "object"])
def test_V9_a_caller_whose_limits_were_narrowed_sends_no_more(
    world: World, limits: dict[str, Any], code: str, text: str
) -> None:
    message = world.accept(reply_to=["desk@z.example"], text=text)
    world.callers.limit(world.caller.id, **limits)

    world.serve()

    record = world.record(message)
    assert record["state"] == "failed"
    assert record["attempts"][0]["diagnosis"]["code"] == code
    assert world.post.client.sessions() == []


def test_V9_what_waits_goes_where_the_limits_still_allow_it_and_is_not_counted_again(world: World) -> None:
    messages = [world.accept(reply_to=["desk@z.example"], text=text) for text in ("small", "x" * 9_000)]
    address = world.account.address.casefold()
    world.callers.limit(
        world.caller.id,
        from_addresses=frozenset({address}),
        reply_to_domains=frozenset({"z.example"}),
        messages_per_minute=1,
    )

    assert world.serve() == {"sent": len(messages)}


ANSWERED = [
    "Mail-Reply-To",
    "Mail-Followup-To",
    "Disposition-Notification-To",
    "Return-Receipt-To",
    "X-Confirm-Reading-To",
    "Errors-To",
]


@pytest.mark.parametrize("name", [*ANSWERED, "mAIL-rEPLY-tO", "DISPOSITION-NOTIFICATION-TO"])
def test_ud6_a_callers_domains_hold_for_every_field_that_answers_go_by(name: str) -> None:
    limits = answered_at("example.com")
    twice = f"From: {OWN}\n{name}: a@evil.test\n{name}: b@example.com"

    require(limits, headers={name: "desk@EXAMPLE.com"})
    require(limits, **raw(f"From: {OWN}\n{name}: Desk <desk@example.com>"))
    refused = "reply_to_not_allowed"
    assert refusal(limits, headers={name: "desk@evil.test"}) == (refused, f"headers.{name}")
    assert refusal(limits, headers={name: "a@example.com, b@evil.test"}) == (refused, f"headers.{name}")
    assert refusal(limits, headers={name: "<a@evil.test> a@example.com"}) == (
        "invalid_input",
        f"headers.{name}",
    )
    for header in (f"From: {OWN}\n{name}: desk@evil.test", f"From: {OWN}\n{name}: g: desk@evil.test;", twice):
        assert refusal(limits, **raw(header)) == (refused, "raw")
    with pytest.raises(Forbidden, match=rf"and {name} names another"):
        require(limits, **raw(f"From: {OWN}\n{name}: desk@evil.test"))


def test_ud6_a_message_that_is_sent_again_is_held_to_the_limits() -> None:
    def resent(name: str, address: str) -> dict[str, Any]:
        return raw(f"Resent-{name}: {address}\nResent-{name}: {NEWS}\nFrom: {NEWS}")

    for name in ("From", "Sender"):
        require(sends_from(NEWS), **resent(name, NEWS))
        assert refusal(sends_from(NEWS), **resent(name, "boss@contoso.test")) == FOREIGN_RAW
    require(answered_at("contoso.test"), **resent("Reply-To", OWN))
    assert refusal(answered_at("contoso.test"), **resent("Reply-To", "a@evil.test")) == (
        "reply_to_not_allowed",
        "raw",
    )
    assert refusal(sends_from(NEWS), ACCOUNT, **{"from": NEWS, "headers": {"Resent-From": NEWS}}) == (
        "invalid_input",
        "headers.Resent-From",
    )


def test_ud6_a_caller_without_limits_names_whom_it_likes() -> None:
    require(SendLimits(), headers=dict.fromkeys(ANSWERED, "desk@anywhere.test"))


def test_ud6_what_waits_is_held_to_limits_of_now_in_every_field(world: World) -> None:
    message = world.accept(headers={"Mail-Reply-To": "desk@z.example"})
    world.callers.limit(world.caller.id, reply_to_domains=frozenset({"y.example"}))

    world.serve()

    record = world.record(message)
    assert record["attempts"][0]["diagnosis"]["code"] == "reply_to_not_allowed"
    assert "Mail-Reply-To" in record["attempts"][0]["diagnosis"]["message"]
    assert world.post.client.sessions() == []
