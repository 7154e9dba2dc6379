"""The table of authorizations: states that wait for their callback, connect links, and owners' visits.

DynamoDB deletes an expired row within days, so expiry is compared in every condition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.accounts.models.authorization import Authorization, ConnectLink, Purpose, Visit
from chalicelib.aws.failures import ConditionFailed
from chalicelib.aws.tables.table import Part, Row, Table, fitting
from chalicelib.clock import DAY, SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

KEPT = 7 * DAY
"""How long a row outlives its expiry: its result page and "this link was used" still answer."""


class AuthorizationsTable:
    """Keeps states (key ``aut_…``), connect links (``link#…``) and visits (``visit#…``).

    A row ``visits#…``, ``address#…`` or ``begun#…`` counts what came within a window.
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = Table(client, table, "The table of authorizations")

    def add_link(self, link: ConnectLink) -> None:
        """Writes a new link."""
        row = {
            **_key(_link_key(link.id)),
            "account": link.account,
            "invited_by": link.invited_by,
            "created_at": link.created_at,
            "expires_at": link.expires_at,
            "ttl": _ttl(link.expires_at),
            "starts": link.starts,
        }
        self._table.put(row, "attribute_not_exists(#authorization)")

    def link(self, link: str) -> ConnectLink | None:
        """The link with that id, read consistently."""
        row = self._table.get(_key(_link_key(link)))
        return _link(link, row) if row else None

    def start(self, link: str, *, now: int, limit: int) -> bool:
        """Counts a start; False when the link is used, expired or was started `limit` times."""
        condition = "#expires_at > :now AND #starts < :limit AND attribute_not_exists(#used_at)"
        try:
            self._table.update(_key(_link_key(link)), {}, condition, add={"starts": 1}, now=now, limit=limit)
        except ConditionFailed:
            return False
        return True

    def add(self, authorization: Authorization) -> None:
        """Writes a new state."""
        row = {
            **_key(authorization.id),
            "account": authorization.account,
            "connector": authorization.connector,
            "link": authorization.link,
            "cookie_hash": authorization.cookie_hash,
            "redirect_uri": authorization.redirect_uri,
            "created_at": authorization.created_at,
            "expires_at": authorization.expires_at,
            "ttl": _ttl(authorization.expires_at),
            "flow": authorization.flow,
            "purpose": authorization.purpose,
            "asked_by": authorization.asked_by,
        }
        self._table.put(row, "attribute_not_exists(#authorization)")

    def get(self, authorization: str) -> Authorization | None:
        """The state with that id, read consistently."""
        row = self._table.get(_key(authorization))
        return _authorization(row) if row else None

    def consume(self, authorization: str, *, now: int) -> Authorization | None:
        """Marks the state as used, removes its flow, returns it as it was; None if it was used or expired.

        This write is what makes a callback happen once, however often it is delivered.
        """
        condition = "#expires_at > :now AND attribute_exists(#flow) AND attribute_not_exists(#used_at)"
        try:
            row = self._table.update(_key(authorization), {"used_at": now, "flow": None}, condition, now=now)
        except ConditionFailed:
            return None
        return _authorization(row)

    def conclude(self, authorization: str, outcome: Mapping[str, Any]) -> None:
        """Notes what became of it."""
        self._table.update(_key(authorization), {"outcome": outcome}, "attribute_exists(#authorization)")

    def count(self, what: str, *, ends_at: int, limit: int) -> bool:
        """Counts one more of `what` in the window that ends then; False when it has had `limit` of them."""
        few = "attribute_not_exists(#starts) OR #starts < :limit"
        row, changes = _key(f"{what}#{ends_at}"), {"ttl": ends_at // SECOND}
        try:
            self._table.update(row, changes, few, add={"starts": 1}, limit=limit)
        except ConditionFailed:
            return False
        return True

    def add_visit(self, visit: Visit) -> None:
        """Writes a new visit."""
        row = {
            **_key(_visit_key(visit.id)),
            "account": visit.account,
            "created_at": visit.created_at,
            "expires_at": visit.expires_at,
            "ttl": visit.expires_at // SECOND,
        }
        self._table.put(row, "attribute_not_exists(#authorization)")

    def visit(self, visit: str) -> Visit | None:
        """The visit with that id, read consistently."""
        row = self._table.get(_key(_visit_key(visit)))
        return Visit(id=visit, **fitting(Visit, row)) if row else None

    def success_parts(
        self, authorization: str, link: str, outcome: Mapping[str, Any], now: int
    ) -> list[Part]:
        """Parts of a transaction: the outcome, and the end of the link that led to it."""
        return [
            self._table.update_part(
                _key(authorization), {"outcome": outcome}, "attribute_exists(#authorization)"
            ),
            self._table.update_part(_key(_link_key(link)), {"used_at": now}),
        ]


def _key(authorization: str) -> Row:
    return {"authorization": authorization}


def _link_key(link: str) -> str:
    return f"link#{link}"


def _visit_key(visit: str) -> str:
    return f"visit#{visit}"


def _ttl(expires_at: int) -> int:
    """Seconds since 1970, as DynamoDB's TTL wants them."""
    return (expires_at + KEPT) // SECOND


def _link(link: str, row: Row) -> ConnectLink:
    return ConnectLink(id=link, **fitting(ConnectLink, row))


def _authorization(row: Row) -> Authorization:
    known = fitting(Authorization, row)
    known["purpose"] = Purpose(known.get("purpose", Purpose.CONNECT))
    return Authorization(id=row["authorization"], **known)
