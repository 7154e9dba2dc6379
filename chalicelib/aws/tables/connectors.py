"""The table of connectors: one row each, without its credential."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.accounts.models.connector import Cloud, Connector, CredentialKind
from chalicelib.aws.failures import ConditionFailed, translated
from chalicelib.aws.tables.codec import from_item
from chalicelib.aws.tables.table import Row, Table, fitting
from chalicelib.diagnosis import Diagnosis

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EXISTS = "attribute_exists(#connector)"
DESCRIBED = ("name", "client_id", "tenant", "facts")
UNCHANGED = (
    "#name = :known_name AND #client_id = :known_client_id AND #tenant = :known_tenant"
    " AND (attribute_not_exists(#facts) OR #facts = :known_facts)"
)
"""What was read is still there. A connector that was made before there were facts of its own has none."""


FINE: Row = {"problem": None, "retry_at": None, "doubted_at": None}
"""What a token that was given makes of a connector."""


class ConnectorsTable:
    """Keeps connectors."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = Table(client, table, "The table of connectors")

    def add(self, connector: Connector) -> None:
        """Writes a new row."""
        self._table.put(_row(connector), "attribute_not_exists(#connector)")

    def get(self, connector: str) -> Connector | None:
        """The connector with that id, read consistently."""
        return found_connector(self._table.get({"connector": connector}))

    def all(self) -> list[Connector]:
        """Every connector, the oldest first. A scan: there are few."""
        table = self._table
        with translated(table.what):
            pages = table.client.get_paginator("scan").paginate(TableName=table.name, ConsistentRead=True)
            found = [_connector(from_item(item)) for page in pages for item in page["Items"]]
        return sorted(found, key=lambda connector: (connector.created_at, connector.id))

    def describe(self, connector: Connector, changed: Connector) -> bool:
        """Gives it another name, client and facts; False when one of them changed since, or it is gone."""
        before, after = _row(connector), _row(changed)
        known = {f"known_{name}": before[name] for name in DESCRIBED}
        changes: Row = {name: after[name] for name in DESCRIBED}
        return self._change(connector.id, changes, UNCHANGED, **known)

    def delete(self, connector: str) -> bool:
        """Deletes the row; False when there is none."""
        try:
            self._table.delete({"connector": connector}, EXISTS)
        except ConditionFailed:
            return False
        return True

    def secret_saved(self, connector: str, at: int, kind: CredentialKind | None = None) -> bool:
        """Notes that a credential was saved, forgets the problem; False when there is no such connector.

        `kind` is that of the credential, where it is not the one from before.
        """
        changes: Row = {"secret_saved_at": at, **FINE}
        if kind is not None:
            changes |= {"credential": kind, "secret_saved_at": at if kind.is_stored else None}
        return self._change(connector, changes)

    def refused(self, connector: str, problem: Diagnosis, retry_at: int) -> None:
        """Notes that the provider refuses the client itself, and until when nobody asks again."""
        self._change(connector, {"problem": problem.to_json(), "retry_at": retry_at})

    def doubt(self, connector: str, *, at: int, retry_at: int) -> None:
        """Notes that the provider has refused the client once, and until when nobody asks again."""
        self._change(connector, {"doubted_at": at, "retry_at": retry_at})

    def rest(self, connector: str, retry_at: int) -> None:
        """Notes until when nobody asks the provider."""
        self._change(connector, {"retry_at": retry_at})

    def works(self, connector: str) -> None:
        """Forgets problem and rest: a token was given."""
        self._change(connector, FINE)

    def _change(self, connector: str, changes: Row, condition: str = EXISTS, **values: Any) -> bool:
        try:
            self._table.update({"connector": connector}, changes, condition, **values)
        except ConditionFailed:
            return False
        return True


def _row(connector: Connector) -> Row:
    return {
        "connector": connector.id,
        "provider": connector.provider,
        "name": connector.name,
        "client_id": connector.client_id,
        "tenant": connector.tenant,
        "created_at": connector.created_at,
        "secret_saved_at": connector.secret_saved_at,
        "problem": connector.problem.to_json() if connector.problem else None,
        "retry_at": connector.retry_at,
        "doubted_at": connector.doubted_at,
        "cloud": connector.cloud,
        "credential": connector.credential,
        "facts": dict(connector.facts),
    }


def found_connector(row: Row | None) -> Connector | None:
    """The connector of a row, if there is one."""
    return _connector(row) if row else None


def _connector(row: Row) -> Connector:
    known = fitting(Connector, row)
    if "problem" in known:
        known["problem"] = Diagnosis.from_json(known["problem"])
    if "cloud" in known:
        known["cloud"] = Cloud(known["cloud"])
        known["credential"] = CredentialKind(known["credential"])
    return Connector(id=row["connector"], **known)
