"""In whose name a message goes out: the account's own, an allowed one, or what its policy makes of it."""

from __future__ import annotations

import base64
from dataclasses import replace
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.models.account import Account, FromPolicy
from chalicelib.errors import Forbidden
from chalicelib.mail.composing import request
from chalicelib.mail.composing.compose import compose
from chalicelib.mail.ports import Limits

if TYPE_CHECKING:
    from email.message import EmailMessage

ACCOUNT = Account("acc_1", "sales", "sales@contoso.test", "con_1", 0, display_name="Sales")
ALIAS = "info@contoso.test"
BOSS = {"address": "boss@contoso.test", "name": "The Böss"}
RAW = (
    b"From: =?utf-8?q?The_B=C3=B6ss?= <boss@contoso.test>\r\n"
    b"Sender: boss@contoso.test\r\nX-Own: 1\r\n\r\nHello\r\n"
)


def message(account: Account, **fields: Any) -> EmailMessage:
    """What the account sends for these fields."""
    asked = request.read({"account": "sales", "to": ["ada@example.net"], **fields})
    frozen = compose(asked, account, "msg_x", now=0, limits=Limits())
    assert frozen.envelope.mail_from == account.address
    return message_from_bytes(frozen.body, policy=policy.default)


def raw(content: bytes) -> str:
    """A raw message as a request has it."""
    return base64.b64encode(content).decode()


def rewriting(how: FromPolicy) -> Account:
    """The account with that policy."""
    return replace(ACCOUNT, from_policy=how)


def test_an_allowed_address_is_kept_with_its_name() -> None:
    sent = message(replace(ACCOUNT, from_addresses=(ALIAS,)), **{"from": {"address": ALIAS, "name": "Info"}})

    assert sent["From"] == f"Info <{ALIAS}>"


def test_an_address_that_is_not_allowed_is_refused_and_the_allowed_ones_are_named() -> None:
    with pytest.raises(Forbidden) as refused:
        message(replace(ACCOUNT, from_addresses=(ALIAS,)), **{"from": BOSS})

    assert refused.value.error_code == "from_not_allowed"
    assert ALIAS in refused.value.message


def test_a_policy_replaces_the_address_and_keeps_the_name() -> None:
    sent = message(rewriting(FromPolicy.REWRITE), **{"from": BOSS})

    assert sent["From"] == "The Böss <sales@contoso.test>"
    assert sent["Reply-To"] is None


def test_answers_go_to_who_was_replaced_where_the_policy_says_so() -> None:
    sent = message(rewriting(FromPolicy.REWRITE_REPLY_TO), **{"from": BOSS})

    assert sent["Reply-To"] == "The Böss <boss@contoso.test>"


def test_a_reply_to_of_the_message_itself_stays() -> None:
    account = rewriting(FromPolicy.REWRITE_REPLY_TO)

    sent = message(account, **{"from": BOSS, "reply_to": ["desk@contoso.test"]})

    assert sent["Reply-To"] == "desk@contoso.test"


def test_the_accounts_name_is_used_in_any_case_where_that_is_wanted() -> None:
    account = replace(ACCOUNT, always_name=True)

    assert message(account, **{"from": {"address": account.address, "name": "X"}})["From"] == (
        "Sales <sales@contoso.test>"
    )
    assert message(account, raw=raw(b"From: X <sales@contoso.test>\r\n\r\nHello\r\n"))["From"] == (
        "Sales <sales@contoso.test>"
    )


def test_a_raw_message_is_rewritten_in_its_sender_only() -> None:
    sent = message(rewriting(FromPolicy.REWRITE_REPLY_TO), raw=raw(RAW))

    assert sent["From"] == "The Böss <sales@contoso.test>"
    assert sent["Reply-To"] == "The Böss <boss@contoso.test>"
    assert sent["Sender"] is None
    assert sent["X-Own"] == "1"
    assert sent.get_content() == "Hello\r\n"
