"""Stands where the Gateway stands, so that the shape of HTTP can be looked at alone.

Callers are the real ones over a dictionary; accounts, messages and functions answer what a test lays out and
note what they were asked.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from chalice.app import Chalice
from chalice.test import Client, HTTPResponse, TestHTTPClient

from chalicelib import ids
from chalicelib.accounts.models.account import Account, AuthMode, GrantState
from chalicelib.accounts.models.connector import Connector
from chalicelib.callers.models import Caller, Scope
from chalicelib.callers.registry import Callers
from chalicelib.errors import NotFound
from chalicelib.mail.models import Envelope, LaneRow, Message, State
from chalicelib.providers.catalogue import Catalogue
from chalicelib.settings import Settings
from chalicelib.web import register
from tests.contract import judge

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCOUNT = "acc_" + "a" * ids.SHORT
OTHER_ACCOUNT = "acc_" + "b" * ids.SHORT
CONNECTOR = "con_" + "c" * ids.SHORT
AUTHORIZATION = ids.authorization_id("the state")
MESSAGE = f"msg_{'a' * ids.SHORT}_{'b' * ids.LONG}"
PUBLIC_URL = "https://mail.example"

CONNECTED: dict[str, Any] = {"ok": True, "connected": True, "steps": []}
EXAMINED: dict[str, Any] = {"ok": True, "checks": [], "instructions": []}
DONE: dict[str, Any] = {
    "check_secret": {"ok": True},
    "replace_secret": {"check": {"ok": True}, "previous_kept": True},
    "connect_directly": CONNECTED,
    "roll_back": CONNECTED,
    "doctor_connector": EXAMINED,
    "doctor_account": EXAMINED,
    "discover": {"facts": {"issuer": "https://login.example"}},
    "rewrap": {"rewrapped": 0, "busy": [], "unreadable": [], "cursor": None},
    "accept": {"id": MESSAGE, "state": "queued"},
}
"""What is answered where a test lays out nothing."""


class DictionaryStore:
    """A CallerStore in memory that keeps the store's contract."""

    def __init__(self) -> None:
        self.rows: dict[str, Caller] = {}

    def get(self, caller: str) -> Caller | None:
        return self.rows.get(caller)

    def add(self, caller: Caller) -> bool:
        there = self.rows.get(caller.id)
        if there is not None and there.revoked_at is None:
            return False
        self.rows[caller.id] = caller
        return True

    def all(self) -> list[Caller]:
        return list(self.rows.values())

    def revoke(self, caller: str, at: int) -> Caller | None:
        row = self.rows.get(caller)
        if row is None:
            return None
        self.rows[caller] = row if row.revoked_at is not None else dataclasses.replace(row, revoked_at=at)
        return self.rows[caller]

    def limit(self, caller: str, changes: Mapping[str, Any]) -> Caller | None:
        row = self.rows.get(caller)
        if row is None:
            return None
        self.rows[caller] = dataclasses.replace(row, limits=dataclasses.replace(row.limits, **changes))
        return self.rows[caller]


@dataclass
class Laid:
    """What the services answer, and what they were asked."""

    connectors: dict[str, Connector] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    outcomes: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=lambda: dict(DONE))

    def answer(self, what: str, asked: Any) -> Any:
        """Notes the question; raises the laid out answer if it is an error, else returns it."""
        self.asked.append((what, asked))
        answer = self.answers.get(what, {})
        if isinstance(answer, Exception):
            raise answer
        return answer


class FakeRegistry:
    """Accounts and connectors in memory."""

    def __init__(self, laid: Laid) -> None:
        self._laid = laid

    def new_connector(
        self, provider: str, name: str, client_id: str, tenant: str, *, scopes: list[str], **more: Any
    ) -> Connector:
        return Connector(CONNECTOR, provider, name, client_id, tenant, created_at=0, **more)

    def add_connector(self, connector: Connector) -> Connector:
        self._laid.answer("add_connector", connector)
        self._laid.connectors[connector.id] = connector
        return connector

    def connector(self, connector: str) -> Connector:
        if connector not in self._laid.connectors:
            raise NotFound("no such connector", fix="look")
        return self._laid.connectors[connector]

    def connectors(self) -> list[Connector]:
        return list(self._laid.connectors.values())

    def new_account(
        self, connector: str, address: str, name: str, auth_mode: AuthMode | None, **described: Any
    ) -> Account:
        described["auth_mode"] = auth_mode or AuthMode.AUTHORIZATION_CODE
        reader = described.pop("reads_with", None)
        described["reads_with"] = reader.id if reader else ""
        return Account(ACCOUNT, name or address, address, connector, created_at=0, **described)

    def add_account(self, account: Account) -> None:
        self._laid.accounts[account.id] = account

    def account(self, named: str) -> Account:
        for account in self._laid.accounts.values():
            if named in (account.id, account.name):
                return account
        raise NotFound("no such account", fix="look")

    def accounts(
        self, limit: int, cursor: str | None, *, among: frozenset[str] | None
    ) -> tuple[list[Account], str | None]:
        known = self._laid.accounts.values()
        return [account for account in known if among is None or account.id in among][:limit], None

    def invite(self, account: Account, caller: Caller) -> tuple[str, int]:
        return "L" * 32, 1_700_000_000_000

    def page(self, link_token: str) -> Any:
        return self._laid.answer("page", link_token)

    def outcome(self, authorization: str, cookie: str | None) -> Any:
        return self._laid.answer("outcome", cookie)


class FakeServices:
    """The Gateway's shape."""

    def __init__(self) -> None:
        laid = Laid()
        self.laid = laid
        self.store = DictionaryStore()
        self.time = 1_000
        self.callers = Callers(self.store, lambda: self.time)
        self.settings = Settings(stage="test", region="eu-west-1", bucket="none")
        self.public_url = lambda: PUBLIC_URL
        self.registry = FakeRegistry(laid)
        self.changing = SimpleNamespace(accounts_of=lambda connector, limit, cursor, among: ([], None))
        self.catalogue = Catalogue()
        self.limits = SimpleNamespace(request=lambda address: None, callback=lambda *callback: None)
        self.lane = SimpleNamespace(state=LaneRow)
        self.functions = SimpleNamespace(connect=lambda op, payload: laid.answer(op, dict(payload)))
        self.send = SimpleNamespace(accept=self._accept)
        self.outbox = SimpleNamespace(
            get=lambda caller, message: (laid.answer("get", message), False),
            list=lambda caller, wanted, limit, after: laid.answer("list", (wanted, limit, after)),
            resolve=lambda caller, message, as_: (laid.answer("resolve", (message, as_)), False),
            cancel=lambda caller, message: (laid.answer("cancel", message), False),
        )

    def key(self, *scopes: Scope, accounts: tuple[str, ...] = ("*",)) -> str:
        """The text of a new API key."""
        return self.callers.create_key("test", scopes or (Scope.ADMIN,), accounts)[1].reveal()

    def connected_account(self) -> Account:
        """An account that can send, with its connector."""
        self.laid.connectors[CONNECTOR] = Connector(CONNECTOR, "google", "Google", "client", "", created_at=0)
        account = Account(
            ACCOUNT, "sales", "sales@mail.example", CONNECTOR, created_at=0, grant_state=GrantState.ACTIVE
        )
        self.laid.accounts[ACCOUNT] = account
        return account

    def _accept(self, caller: Caller, request: bytes, *, idempotency_key: str | None, request_id: str) -> Any:
        answer = self.laid.answer("accept", (request, idempotency_key))
        return SimpleNamespace(to_json=lambda: answer)


def application(services: FakeServices) -> Chalice:
    """An application that has these services."""
    app = Chalice("test", configure_logs=False)
    register(app, lambda: cast("Any", services))
    return app


class JudgedHTTPClient(TestHTTPClient):
    """Holds each answer against the description of the API."""

    def request(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> HTTPResponse:
        answer = super().request(method, path, headers, body)
        judge(method, path, answer.status_code, answer.headers, answer.body)
        return answer


def client(services: FakeServices) -> Client:
    """A client of an application that has these services, whose answers are judged."""
    made = Client(application(services))
    made._http_client = JudgedHTTPClient(made._app, made._chalice_config)
    return made


def message() -> Message:
    """A message that waits."""
    return Message(
        id=MESSAGE,
        account=ACCOUNT,
        caller="key_x",
        state=State.QUEUED,
        envelope=Envelope("sales@mail.example", ("a@x.example",)),
        size=1,
        message_id="<1@mail.example>",
        accepted_at=0,
        expires_at=1,
        fingerprint="f",
    )


def bearer(key: str) -> dict[str, str]:
    """The headers of a JSON request with that key."""
    return {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}


def error_of(response: Any) -> dict[str, Any]:
    """The error of an answer; proves its one shape."""
    body = response.json_body
    assert set(body) == {"error"}
    assert (
        {"code", "message", "fix", "docs"}
        <= set(body["error"])
        <= {"code", "message", "fix", "docs", "field"}
    )
    error: dict[str, Any] = body["error"]
    return error
