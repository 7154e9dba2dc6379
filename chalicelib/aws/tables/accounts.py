"""The table of accounts: one row each, and one that holds its unique name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.accounts.models.account import (
    UNDO,
    Account,
    AuthMode,
    Disconnection,
    FromPolicy,
    GrantState,
    Revocation,
)
from chalicelib.aws.failures import ConditionFailed, translated
from chalicelib.aws.tables.codec import from_item, to_item
from chalicelib.aws.tables.table import Part, Row, Table, fitting
from chalicelib.clock import SECOND
from chalicelib.diagnosis import Diagnosis
from chalicelib.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

NEW = "attribute_not_exists(#account)"
FREE = f"{NEW} OR #ttl < :seconds"
"""A name that nobody has, or the account has that was deleted and cannot be restored any more."""
EXISTS = "attribute_exists(#account)"
LIVES = f"{EXISTS} AND attribute_not_exists(#deleted_at)"
NAME = "name#"
BY_CONNECTOR = "by_connector"
DESCRIBED = (
    "name",
    "display_name",
    "signs_in_as",
    "smtp_user",
    "from_policy",
    "from_addresses",
    "always_name",
    "reads_with",
)
"""Facts that administrators change."""


class AccountsTable:
    """Keeps accounts. A row whose key begins with ``name#`` holds a name; its `target` is the account."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = Table(client, table, "The table of accounts")

    def add(self, account: Account) -> bool:
        """Writes a new row with its name; False when another account has that name."""
        holder = {"account": _holder(account.name), "target": account.id}
        seconds = account.created_at // SECOND
        parts = [
            self._table.put_part(_row(account), NEW),
            self._table.put_part(holder, FREE, seconds=seconds),
        ]
        try:
            self._table.transact(parts)
        except ConditionFailed:
            return False
        return True

    def get(self, account: str) -> Account | None:
        """The account with that id, read consistently."""
        return found_account(self._table.get({"account": account}))

    def named(self, name: str) -> str | None:
        """The id of the account with that name, in any case of letters."""
        row = self._table.get({"account": _holder(name)})
        return str(row["target"]) if row else None

    def page(self, limit: int, after: str | None) -> tuple[list[Account], str | None]:
        """At most `limit` accounts after that id in the table's order, and the id to go on after, or None.

        Those that are deleted are left out.
        """
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

    def of_connector(self, connector: str, limit: int, after: str | None) -> tuple[list[str], str | None]:
        """At most `limit` ids of accounts of that connector, in their order, and where to go on; may lag."""
        key = {"connector": connector, "account": after}
        place: dict[str, Any] = {"ExclusiveStartKey": to_item(key)} if after else {}
        with translated(self._table.what):
            answer = self._table.client.query(
                TableName=self._table.name,
                IndexName=BY_CONNECTOR,
                KeyConditionExpression="#connector = :connector",
                ExpressionAttributeNames={"#connector": "connector"},
                ExpressionAttributeValues=to_item({":connector": connector}),
                Limit=limit,
                **place,
            )
        found = [str(from_item(item)["account"]) for item in answer["Items"]]
        return found, found[-1] if found and "LastEvaluatedKey" in answer else None

    def describe(self, account: Account, changed: Account, *, now: int) -> bool:
        """Writes what of its description was changed; False when the name is taken, or was changed since."""
        rows = _row(account), _row(changed)
        changes = {name: rows[1][name] for name in DESCRIBED if rows[0][name] != rows[1][name]}
        unchanged = f"#name = :known_name AND {LIVES}"
        # The name is always written: an update of nothing is none.
        part = self._table.update_part(
            {"account": account.id}, {**changes, "name": changed.name}, unchanged, known_name=account.name
        )
        try:
            self._table.transact([part, *self._moved(account, changed.name, now)])
        except ConditionFailed:
            return False
        return True

    def found_user(self, account: Account, user: str) -> bool:
        """Notes by which name it is signed in to at SMTP.

        False when somebody has written another name since it was read, or switched its auth mode.
        """
        unchanged = f"#smtp_user = :known_user AND #auth_mode = :known_mode AND {LIVES}"
        known = {"known_user": account.smtp_user, "known_mode": account.auth_mode}
        return self._changed(account.id, {"smtp_user": user}, unchanged, **known)

    def delete(self, account: Account, *, by: str, at: int) -> bool:
        """Notes that the account is deleted; DynamoDB removes it when it cannot be restored any more.

        False when it was renamed, connected or deleted since it was read.
        """
        ttl = (at + UNDO) // SECOND
        unchanged = f"#name = :known_name AND #grant_state = :none AND {LIVES}"
        known = {"known_name": account.name, "none": GrantState.NONE}
        facts = {"deleted_by": by, "deleted_at": at, "ttl": ttl}
        return self._buried(account, facts, {"ttl": ttl}, unchanged, **known)

    def restore(self, account: Account, *, now: int) -> bool:
        """Takes a deletion back; False when that is too late, or it is not deleted."""
        facts = {"deleted_by": None, "deleted_at": None, "ttl": None}
        return self._buried(account, facts, {"ttl": None}, "#ttl > :seconds", seconds=now // SECOND)

    def pause(self, account: str, *, by: str, at: int, reason: str) -> bool:
        """Notes who paused the account; False when somebody has paused it already, or it does not exist."""
        facts = {"paused_by": by, "paused_at": at, "pause_reason": reason}
        return self._changed(account, facts, f"{EXISTS} AND attribute_not_exists(#paused_by)")

    def resume(self, account: str) -> bool:
        """Takes the pause away; False when there is none."""
        facts = {"paused_by": None, "paused_at": None, "pause_reason": None}
        return self._changed(account, facts, "attribute_exists(#paused_by)")

    def note_problem(self, account: str, diagnosis: Diagnosis) -> None:
        """Where it was connected meanwhile, there is no problem."""
        none = f"(attribute_not_exists(#grant_state) OR #grant_state = :none) AND {EXISTS}"
        self._changed(account, {"problem": _json(diagnosis)}, none, none=GrantState.NONE)

    def set_transport_block(self, account: str, diagnosis: Diagnosis | None) -> None:
        """Notes why the mail server does not take the account's mail, or that it does again."""
        try:
            self._table.update({"account": account}, {"transport_block": _json(diagnosis)}, EXISTS)
        except ConditionFailed as error:
            raise NotFound("There is no such account.", fix="Check the account's id.") from error

    def facts_part(self, account: str, **facts: Any) -> Part:
        """A part of a transaction that sets facts of an account that exists and is not deleted."""
        return self._table.update_part({"account": account}, facts, LIVES)

    def _buried(self, account: Account, facts: Row, name_facts: Row, condition: str, **values: Any) -> bool:
        """Writes facts of the account and of the row that holds its name."""
        parts = [
            self._table.update_part({"account": account.id}, facts, condition, **values),
            self._table.update_part({"account": _holder(account.name)}, name_facts),
        ]
        try:
            self._table.transact(parts)
        except ConditionFailed:
            return False
        return True

    def _moved(self, account: Account, name: str, now: int) -> list[Part]:
        """The holder of the new name instead of the old one; nothing where both are one, but for case."""
        if _holder(name) == _holder(account.name):
            return []
        held = {"account": _holder(name), "target": account.id}
        return [
            self._table.put_part(held, FREE, seconds=now // SECOND),
            self._table.delete_part({"account": _holder(account.name)}),
        ]

    def _changed(self, account: str, facts: Row, condition: str, **values: Any) -> bool:
        try:
            self._table.update({"account": account}, facts, condition, **values)
        except ConditionFailed:
            return False
        return True

    def _scan(self, limit: int, after: str | None) -> tuple[list[Row], str | None]:
        rows, last = self._table.scan(limit, {"account": after} if after else None)
        shown = [row for row in rows if "target" not in row and "deleted_at" not in row]
        return shown, str(last["account"]) if last else None


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
        "paused_at": account.paused_at,
        "pause_reason": account.pause_reason or None,
        "grant_state": account.grant_state,
        "problem": _json(account.problem),
        "connected_at": account.connected_at,
        "asked_by": account.asked_by,
        "token_expires_at": account.token_expires_at,
        "refreshed_at": account.refreshed_at,
        "grant_ends_at": account.grant_ends_at,
        "transport_block": _json(account.transport_block),
        "signs_in_as": account.signs_in_as or None,
        "from_policy": account.from_policy,
        "from_addresses": list(account.from_addresses) or None,
        "always_name": account.always_name or None,
        "reads_with": account.reads_with or None,
        "disconnection": account.disconnection and disconnection_row(account.disconnection),
    }


def found_account(row: Row | None) -> Account | None:
    """The account of a row; None where there is none, or it holds a name."""
    return _account(row) if row and "target" not in row else None


def _account(row: Row) -> Account:
    known = fitting(Account, row)
    known["auth_mode"] = AuthMode(known["auth_mode"])
    known["grant_state"] = GrantState(known["grant_state"])
    known["from_policy"] = FromPolicy(known.get("from_policy", FromPolicy.REJECT))
    known["from_addresses"] = tuple(known.get("from_addresses", ()))
    for name in ("problem", "transport_block"):
        if name in known:
            known[name] = Diagnosis.from_json(known[name])
    if "disconnection" in known:
        ended = known["disconnection"]
        known["disconnection"] = Disconnection(ended["at"], ended["by"], Revocation(ended["revocation"]))
    return Account(id=row["account"], **known)


def disconnection_row(ended: Disconnection) -> Row:
    """A disconnection as the account's row holds it."""
    return {"at": ended.at, "by": ended.by, "revocation": ended.revocation}


def _json(diagnosis: Diagnosis | None) -> Row | None:
    return diagnosis.to_json() if diagnosis else None
