"""The table of accounts: one row each, and one that holds its unique name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.accounts.models import Account, AuthMode, GrantState
from chalicelib.aws.failures import ConditionFailed, translated
from chalicelib.aws.tables.codec import from_item, to_item
from chalicelib.aws.tables.table import Part, Row, Table, fitting
from chalicelib.diagnosis import Diagnosis
from chalicelib.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

NEW = "attribute_not_exists(#account)"
EXISTS = "attribute_exists(#account)"
NAME = "name#"


class AccountsTable:
    """Keeps accounts. A row whose key begins with ``name#`` holds a name; its `target` is the account."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = Table(client, table, "The table of accounts")

    def add(self, account: Account) -> bool:
        """Writes a new row with its name; False when another account has that name."""
        holder = {"account": _holder(account.name), "target": account.id}
        parts = [self._table.put_part(_row(account), NEW), self._table.put_part(holder, NEW)]
        try:
            self._table.transact(parts)
        except ConditionFailed:
            return False
        return True

    def get(self, account: str) -> Account | None:
        """The account with that id, read consistently."""
        row = self._table.get({"account": account})
        return _account(row) if row and "target" not in row else None

    def named(self, name: str) -> str | None:
        """The id of the account with that name, in any case of letters."""
        row = self._table.get({"account": _holder(name)})
        return str(row["target"]) if row else None

    def page(self, limit: int, after: str | None) -> tuple[list[Account], str | None]:
        """At most `limit` accounts after that id in the table's order, and the id to go on after, or None."""
        found: list[Account] = []
        while len(found) < limit:
            rows, after = self._scan(2 * limit, after)
            for row in rows:
                found.append(_account(row))
                if len(found) == limit:
                    return found, found[-1].id if after or row is not rows[-1] else None
            if after is None:
                break
        return found, after

    def some(self, accounts: Sequence[str]) -> list[Account]:
        """Those of at most BATCH accounts that exist, read consistently, in the order that was asked for."""
        rows = self._table.get_some([{"account": account} for account in accounts])
        found = {row["account"]: _account(row) for row in rows}
        return [found[account] for account in accounts if account in found]

    def set_transport_block(self, account: str, diagnosis: Diagnosis | None) -> None:
        """Notes why the mail server does not take the account's mail, or that it does again."""
        try:
            self._table.update({"account": account}, {"transport_block": _json(diagnosis)}, EXISTS)
        except ConditionFailed as error:
            raise NotFound("There is no such account.", fix="Check the account's id.") from error

    def facts_part(self, account: str, **facts: Any) -> Part:
        """A part of a transaction that sets facts of an account that exists."""
        return self._table.update_part({"account": account}, facts, EXISTS)

    def _scan(self, limit: int, after: str | None) -> tuple[list[Row], str | None]:
        place: dict[str, Any] = {"ExclusiveStartKey": to_item({"account": after})} if after else {}
        with translated(self._table.what):
            answer = self._table.client.scan(
                TableName=self._table.name, Limit=limit, ConsistentRead=True, **place
            )
        rows = [from_item(item) for item in answer["Items"]]
        last = answer.get("LastEvaluatedKey")
        return [row for row in rows if "target" not in row], str(from_item(last)["account"]) if last else None


def _holder(name: str) -> str:
    return f"{NAME}{name.casefold()}"


def _row(account: Account) -> Row:
    return {
        "account": account.id,
        "name": account.name,
        "address": account.address,
        "connector": account.connector,
        "created_at": account.created_at,
        "auth_mode": account.auth_mode,
        "smtp_user": account.smtp_user,
        "display_name": account.display_name,
        "paused_by": account.paused_by,
        "grant_state": account.grant_state,
        "problem": _json(account.problem),
        "connected_at": account.connected_at,
        "token_expires_at": account.token_expires_at,
        "refreshed_at": account.refreshed_at,
        "transport_block": _json(account.transport_block),
    }


def _account(row: Row) -> Account:
    known = fitting(Account, row)
    known["auth_mode"] = AuthMode(known["auth_mode"])
    known["grant_state"] = GrantState(known["grant_state"])
    for name in ("problem", "transport_block"):
        if name in known:
            known[name] = Diagnosis.from_json(known[name])
    return Account(id=row["account"], **known)


def _json(diagnosis: Diagnosis | None) -> Row | None:
    return diagnosis.to_json() if diagnosis else None
