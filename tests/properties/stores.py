"""A model, in memory, of the stores that the token care works with, for simulations only.

test_stores.py holds it to the same behaviour as the tables. Every call goes through `io`, before and after
the work: there a simulation lets the process die, sleep, be answered too late or let another one go first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from chalicelib.accounts.models.account import Account, GrantState
from chalicelib.accounts.models.authorization import Authorization, ConnectLink
from chalicelib.accounts.models.connector import Connector
from chalicelib.accounts.models.grant import DueReason, Grant, SealedToken
from chalicelib.ids import grant_shard_of

if TYPE_CHECKING:
    from chalicelib.diagnosis import Diagnosis

Io = Callable[[str], None]
Wrote = Callable[[Grant | None, Grant, Mapping[str, Any]], None]
"""Hears of each write: the row before and after it, and what changed in the account's row."""
Answer = TypeVar("Answer")
INDEX_LAG = 2_000
"""Milliseconds by which the index of what is due lags behind."""


class Grants:
    """Grants with their access tokens and their accounts' facts, which change together."""

    def __init__(
        self, now: Callable[[], int], io: Io = lambda _: None, wrote: Wrote = lambda *_: None
    ) -> None:
        self._now = now
        self._io = io
        self._wrote = wrote
        self.rows: dict[str, Grant] = {}
        self.tokens: dict[str, SealedToken] = {}
        self.accounts: dict[str, Account] = {}
        self._index: list[tuple[int, dict[str, int]]] = []

    def get(self, account: str) -> Grant | None:
        return self._did("read", self.rows.get(account))

    def version(self, account: str) -> int:
        row = self.rows.get(account)
        return self._did("read", row.version if row else 0)

    def access_token(self, account: str, _resource: str = "mail") -> SealedToken | None:
        return self._did("read token", self.tokens.get(account))

    def lease(self, grant: Grant, *, owner: str, now: int, until: int) -> bool:
        def free(row: Grant) -> bool:
            return row.version == grant.version and (row.lease_owner is None or row.lease_until < now)

        return self._change(grant, free, lambda row: replace(row, lease_owner=owner, lease_until=until))

    def release(self, grant: Grant, *, owner: str) -> None:
        self._change(grant, _held(grant.version, owner), _unleased)

    def save_refreshed(self, grant: Grant, token: SealedToken, *, owner: str) -> bool:
        return self._replace(grant, owner, _active(grant, token), token)

    def save_held(self, grant: Grant, problem: Diagnosis, *, owner: str) -> bool:
        return self._replace(grant, owner, {"grant_state": GrantState.NEEDS_RECONNECT, "problem": problem})

    def save_rescued(self, grant: Grant, facts: Mapping[str, Any] | None = None) -> bool:
        self._io("save rescued")
        row = self.rows.get(grant.account)
        done = grant.account in self.accounts and (row is None or row.version == grant.version - 1)
        if done:
            assert facts is None, "nobody consents in a simulation of refreshing"
            self._write(_unleased(grant), {"grant_state": GrantState.ACTIVE, "problem": None})
        return self._did("saved rescued", done)

    def save_refused(self, grant: Grant, problem: Diagnosis, state: GrantState, *, owner: str) -> bool:
        facts = {"grant_state": state, "problem": problem}
        changed = {name: getattr(grant, name) for name in _REFUSAL}
        held = _held(grant.version, owner)
        return self._change(grant, held, lambda row: replace(_unleased(row), **changed), facts)

    def reschedule(self, grant: Grant, due_at: int, reason: DueReason) -> None:
        def later(row: Grant) -> Grant:
            return replace(row, refresh_due_at=due_at, due_reason=reason)

        self._change(grant, lambda row: row.version == grant.version, later)

    def told(self, grant: Grant, *, owner: str) -> None:
        def silent(row: Grant) -> Grant:
            return replace(_unleased(row), refresh_due_at=None, due_reason=DueReason.KEEP_ALIVE)

        self._change(grant, _held(grant.version, owner), silent)

    def due(self, shard: str, now: int, limit: int) -> list[str]:
        self._io("look")
        place = bisect_right(self._index, self._now() - INDEX_LAG, key=lambda entry: entry[0])
        seen = self._index[place - 1][1] if place else {}
        found = sorted((at, one) for one, at in seen.items() if at <= now and grant_shard_of(one) == shard)
        return [one for _, one in found][:limit]

    def connect(self, grant: Grant, token: SealedToken) -> None:
        """A consent, which no simulation interrupts."""
        self.tokens[grant.account] = token
        self._write(grant, _active(grant, token))

    def save_connected(self, *_: object, **__: object) -> bool:
        raise AssertionError("nobody consents in a simulation of refreshing")

    def end(self, *_: object) -> bool:
        raise AssertionError("nobody disconnects in a simulation of refreshing")

    def of_one_person(self, _: Grant) -> list[str]:
        raise AssertionError("nobody disconnects in a simulation of refreshing")

    def _replace(
        self, grant: Grant, owner: str, facts: Mapping[str, Any], token: SealedToken | None = None
    ) -> bool:
        self._io("save")
        row, old = self.rows.get(grant.account), self.tokens.get(grant.account)
        held = row is not None and _held(grant.version - 1, owner)(row)
        newer = token is None or old is None or old.version < token.version
        done = held and newer and grant.account in self.accounts
        if done:
            if token is not None:
                self.tokens[grant.account] = token
            self._write(_unleased(grant), facts)
        return self._did("saved", done)

    def _change(
        self,
        grant: Grant,
        condition: Callable[[Grant], bool],
        change: Callable[[Grant], Grant],
        facts: Mapping[str, Any] | None = None,
    ) -> bool:
        self._io("change")
        row = self.rows.get(grant.account)
        done = row is not None and condition(row) and (facts is None or grant.account in self.accounts)
        if row is not None and done:
            self._write(change(row), facts or {})
        return self._did("changed", done)

    def _write(self, grant: Grant, facts: Mapping[str, Any]) -> None:
        before, self.rows[grant.account] = self.rows.get(grant.account), grant
        self.accounts[grant.account] = replace(self.accounts[grant.account], **facts)
        due = {one: row.refresh_due_at for one, row in self.rows.items() if row.refresh_due_at is not None}
        self._index.append((self._now(), due))
        self._wrote(before, grant, facts)

    def _did(self, what: str, answer: Answer) -> Answer:
        self._io(f"{what}, answer")
        return answer


class Accounts:
    """The accounts of a Grants."""

    def __init__(self, grants: Grants, io: Io) -> None:
        self._grants = grants
        self._io = io

    def get(self, account: str) -> Account | None:
        self._io("read account")
        return self._grants.accounts.get(account)


class Connectors:
    """One connector that is good for ever; what is noted of it is kept."""

    def __init__(self, connector: Connector, io: Io) -> None:
        self.row = connector
        self._io = io

    def get(self, _: str) -> Connector:
        self._io("read connector")
        return self.row

    def refused(self, _: str, problem: Diagnosis, retry_at: int) -> None:
        self._io("connector refused")
        self.row = replace(self.row, problem=problem, retry_at=retry_at)

    def doubt(self, _: str, *, at: int, retry_at: int) -> None:
        self._io("connector doubted")
        self.row = replace(self.row, doubted_at=at, retry_at=retry_at)

    def rest(self, _: str, retry_at: int) -> None:
        self._io("connector rests")
        self.row = replace(self.row, retry_at=retry_at)

    def works(self, _: str) -> None:
        self._io("connector works")
        self.row = replace(self.row, problem=None, retry_at=None, doubted_at=None)


class Mailboxes:
    """All that a refresh is about, read in the worst order: the grant last."""

    def __init__(self, grants: Grants, connectors: Connectors, io: Io) -> None:
        self._grants = grants
        self._connectors = connectors
        self._io = io

    def read(
        self, account: str, connector: str | None
    ) -> tuple[Grant | None, Account | None, Connector | None]:
        self._io("read mailbox")
        found = self._grants.accounts.get(account)
        self._io("read mailbox, its grant is left")
        asked = self._connectors.get(connector) if connector else None
        return self._grants.get(account), found, asked


class Authorizations:
    """Connect links."""

    def __init__(self, io: Io) -> None:
        self._io = io
        self.links: dict[str, ConnectLink] = {}

    def add_link(self, link: ConnectLink) -> None:
        self._io("add link")
        self.links[link.id] = link

    def get(self, _: str) -> Authorization | None:
        return None


_REFUSAL = ("first_refused_at", "retry_at", "failures", "refresh_due_at", "due_reason")


def _active(grant: Grant, token: SealedToken) -> Mapping[str, Any]:
    return {
        "grant_state": GrantState.ACTIVE,
        "problem": None,
        "refreshed_at": grant.refreshed_at,
        "token_expires_at": token.expires_at,
    }


def _held(version: int, owner: str) -> Callable[[Grant], bool]:
    return lambda row: row.version == version and row.lease_owner == owner


def _unleased(grant: Grant) -> Grant:
    return replace(grant, lease_owner=None, lease_until=0)
