"""The one rule for mail addresses: what is one, and when two of them are the same."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from chalicelib import addresses
from chalicelib.accounts.admin import checks
from chalicelib.accounts.connecting import outcomes
from chalicelib.accounts.models.account import Account
from chalicelib.accounts.models.grant import Identity, TokenSet
from chalicelib.callers.models import Caller, CallerKind, Scope, SendLimits
from chalicelib.errors import InvalidInput, MailgrantError
from chalicelib.mail.allowed import require_allowed
from chalicelib.mail.composing import request
from chalicelib.mail.composing.compose import compose
from chalicelib.mail.composing.frozen import Frozen
from chalicelib.mail.composing.senders import may_use
from chalicelib.mail.ports import Limits
from chalicelib.providers import google, microsoft, openid
from chalicelib.secret import Secret
from chalicelib.web.api import limits
from cli import imports

KELVIN, LONG_S = "\u212a", "\u017f"


def account(address: str, *others: str) -> Account:
    """An account with that address, as it is stored."""
    stored = tuple(checks.address(other) for other in others)
    return Account("acc_1", "one", checks.address(address), "con_1", 0, from_addresses=stored)


def sent(sender: Account, **fields: object) -> Frozen:
    """The message that is composed."""
    asked = request.read({"account": "one", "to": ["ada@example.net"], "text": "x", **fields})
    return compose(asked, sender, "msg_x", now=0, limits=Limits())


def accepted_by(address: str) -> set[str]:
    """Which of those that take an address take this one."""
    sender = account("ada@example.com")
    takers: dict[str, Callable[[], object]] = {
        "account": lambda: checks.address(address),
        "signs_in_as": lambda: checks.description(signs_in_as=address),
        "from_addresses": lambda: checks.description(from_addresses=[address]),
        "import": lambda: imports.read(f'[{{"address": "{address}"}}]', lambda _: ""),
        "to": lambda: sent(sender, to=[address]),
        "reply_to": lambda: sent(sender, reply_to=[{"address": address, "name": "Ada"}]),
        "caller": lambda: limits.checked({"from_addresses": [address]}),
    }
    return {name for name, take in takers.items() if _takes(take)}


def _takes(take: Callable[[], object]) -> bool:
    try:
        take()
    except (MailgrantError, ValueError):
        return False
    return True


EVERYBODY = {"account", "signs_in_as", "from_addresses", "import", "to", "reply_to", "caller"}


@pytest.mark.parametrize(
    "address",
    [
        "ada@corp.test",
        "ada@mail.local",
        "ada@mail.internal",
        "ada@mail.lan",
        "ada@mail.localhost",
        "ada@home.arpa",
        "ada@bücher.example",
        "ada@xn--bcher-kva.example",
        "o'hara+news@example.com",
        "ädä@example.com",
        " ada@example.com ",
    ],
)
def test_ud7_an_address_is_taken_everywhere(address: str) -> None:
    assert accepted_by(address) == EVERYBODY


@pytest.mark.parametrize(
    "address",
    [
        "ada",
        "ada@",
        "@example.com",
        "ada@mailhost",
        "ada@example..com",
        "ada@-example.com",
        "ada@[127.0.0.1]",
        "'ada lovelace'@example.com",
        "ada@example.com, bob@example.com",
        "Ada <ada@example.com>",
        "=?utf-8?q?ada?=@example.com",
        "a" * 65 + "@example.com",
        "ada@" + "x." * 200 + "com",
        f"{KELVIN}ate@example.com",
    ],
)
def test_ud7_what_is_none_is_refused_everywhere(address: str) -> None:
    assert accepted_by(address) == set()


def test_ud7_what_is_wrong_with_an_address_is_said_and_where() -> None:
    with pytest.raises(InvalidInput, match=r"not one mail address: .*period") as refused:
        addresses.checked("ada@nowhere", "to[1]")
    assert (refused.value.field, refused.value.status) == ("to[1]", 422)

    with pytest.raises(InvalidInput, match=r"U\+212A"):
        addresses.checked(f"{KELVIN}ate@example.com", "to")
    with pytest.raises(InvalidInput, match=r"100,012 characters"):
        addresses.checked("a" * 100_000 + "@example.com", "to")


@pytest.mark.parametrize(
    ("address", "other"),
    [
        ("ada@example.com", "ADA@Example.COM"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@bücher.example", "ADA@BÜCHER.EXAMPLE"),
        ("ada@bücher.example", "ada@XN--BCHER-KVA.example"),
        ("ada@bu\u0308cher.example", "ada@bücher.example"),
        ("a\u0308da@example.com", "äda@example.com"),
        ("ada@\uff45xample.com", "ada@example.com"),
    ],
)
def test_ud7_two_spellings_of_one_address_are_the_same(address: str, other: str) -> None:
    assert addresses.same(address, other)
    assert may_use(other, account(address))
    assert may_use(other, account("boss@example.org", address))


@pytest.mark.parametrize(
    ("address", "other"),
    [
        ("kate@example.com", f"{KELVIN}ate@example.com"),
        ("sales@example.com", f"{LONG_S}ales@example.com"),
        ("strasse@example.com", "straße@example.com"),
        ("ada@strasse.example", "ada@straße.example"),
        ("fine@example.com", "\ufb01ne@example.com"),
        ("ada@example.com", "ada@example.org"),
        ("ädä@example.com", "ÄDÄ@example.com"),
        ("i@example.com", "\u0130@example.com"),
    ],
)
def test_ud7_no_character_becomes_another_ones(address: str, other: str) -> None:
    assert not addresses.same(address, other)
    assert not may_use(other, account(address))
    assert outcomes.objection_to_import(account(address), _tokens(other)) is not None


def _tokens(address: str) -> TokenSet:
    return TokenSet(
        access_token=Secret("x"),
        expires_at=1,
        refresh_token=Secret("y"),
        scopes=None,
        identity=Identity("iss", "sub", (addresses.lowered(address),)),
    )


def test_ud7_what_a_provider_says_is_not_folded_into_another_address() -> None:
    said = f"{KELVIN}ate@example.com"
    claims = {"iss": "i", "sub": "s", "tid": "t", "oid": "o", "email": said, "email_verified": True}
    claims |= {"preferred_username": said, "upn": said}

    for identity in (
        google._identity(claims),
        openid._identity("i", claims),
        microsoft._identity(claims, one_tenant=True),
    ):
        assert identity is not None
        assert not addresses.among("kate@example.com", identity.addresses)
        assert addresses.among(said, identity.addresses)


def test_ud7_a_callers_addresses_are_compared_as_an_accounts() -> None:
    sender = account("ada@bücher.example")
    held = limits.checked({"from_addresses": ["ADA@BÜCHER.example"], "reply_to_domains": ["BÜCHER.example"]})
    caller = Caller(
        "key_1", CallerKind.KEY, "c", frozenset({Scope.SEND}), frozenset({"*"}), 0, limits=SendLimits(**held)
    )
    raw = base64.b64encode(b"From: Ada@XN--bcher-kva.example\n\nx").decode()

    require_allowed(caller, sent(sender, reply_to=["x@xn--bcher-kva.example"]).body, is_raw=False)
    whole = request.read({"account": "one", "to": ["ada@example.net"], "raw": raw})
    require_allowed(caller, compose(whole, sender, "m", now=0, limits=Limits()).body, is_raw=True)


def test_ud7_an_address_that_was_stored_before_is_compared_as_ever() -> None:
    """Rows hold addresses of before in Unicode, grants in small letters."""
    stored = Account("acc_1", "one", "Sales@bücher.example", "con_1", 0)

    assert stored.owner_address == "sales@bücher.example"
    assert outcomes.objection_to_import(stored, _tokens("sales@bücher.example")) is None
    assert outcomes.objection_to_import(stored, _tokens("SALES@xn--bcher-kva.example")) is None
