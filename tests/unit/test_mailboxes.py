"""What is remembered of an account and its connector, and for how long."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.accounts.mailboxes import CONNECTOR_MEMORY, Mailboxes
from chalicelib.accounts.models.account import Account
from chalicelib.accounts.models.connector import Connector


class Registry:
    """An account and its connector, and how often each was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.found = Account("acc_1", "ada", "ada@contoso.com", "con_1", created_at=0)

    def account(self, named: str) -> Account:
        self.asked.append(named)
        return self.found

    def connector(self, named: str) -> Connector:
        self.asked.append(named)
        return Connector("con_1", "microsoft", "Microsoft", "client", "", created_at=0)


class Clock:
    """A clock that is moved."""

    now = 1_000_000

    def __call__(self) -> int:
        return self.now


def test_without_memory_an_account_is_read_each_time_and_its_connector_once() -> None:
    registry: Any = Registry()
    mailboxes = Mailboxes(registry, memory=0, now=Clock())

    mailboxes.find("acc_1")
    registry.found = replace(registry.found, smtp_user="other@contoso.com")
    account, connector = mailboxes.find("acc_1")

    assert account.user == "other@contoso.com"
    assert connector.provider == "microsoft"
    assert registry.asked == ["acc_1", "con_1", "acc_1"]


def test_a_connector_is_read_again_after_its_time() -> None:
    registry: Any = Registry()
    now = Clock()
    mailboxes = Mailboxes(registry, memory=0, now=now)

    mailboxes.find("acc_1")
    now.now += CONNECTOR_MEMORY
    mailboxes.find("acc_1")

    assert registry.asked == ["acc_1", "con_1", "acc_1", "con_1"]


def test_with_memory_an_account_is_read_again_after_that_time() -> None:
    registry: Any = Registry()
    now = Clock()
    mailboxes = Mailboxes(registry, memory=30_000, now=now)

    mailboxes.find("acc_1")
    now.now += 29_999
    mailboxes.find("acc_1")
    now.now += 1
    mailboxes.find("acc_1")

    assert registry.asked.count("acc_1") == 2
