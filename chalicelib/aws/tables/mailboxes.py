"""What a refresh is about, read from three tables in one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.aws.tables.accounts import found_account
from chalicelib.aws.tables.connectors import found_connector
from chalicelib.aws.tables.grant_rows import found_grant, key_of
from chalicelib.aws.tables.table import Row, Table, get_together

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.accounts.models.grant import Grant


class MailboxTables:
    """Reads the tables of grants, accounts and connectors together."""

    def __init__(self, client: DynamoDBClient, *, grants: str, accounts: str, connectors: str) -> None:
        self._grants = Table(client, grants, "The table of grants")
        self._accounts = Table(client, accounts, "The table of accounts")
        self._connectors = Table(client, connectors, "The table of connectors")

    def read(
        self, account: str, connector: str | None
    ) -> tuple[Grant | None, Account | None, Connector | None]:
        """The grant, the account, and that connector where it is given.

        Each is read consistently, but one before another: the account may be older than the grant.
        """
        keys: dict[Table, Row] = {self._grants: key_of(account), self._accounts: {"account": account}}
        if connector is not None:
            keys[self._connectors] = {"connector": connector}
        rows = get_together(keys)
        return (
            found_grant(rows.get(self._grants)),
            found_account(rows.get(self._accounts)),
            found_connector(rows.get(self._connectors)),
        )
