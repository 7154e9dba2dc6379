"""The table of access tokens: ciphertext, one row for each resource of an account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.accounts.models.grant import MAIL, RESOURCES, SealedToken
from chalicelib.aws.failures import ConditionFailed
from chalicelib.aws.tables.table import Part, Row, Table, fitting

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class AccessTokensTable:
    """Keeps access tokens. `relay` may only read it."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = Table(client, table, "The table of access tokens")

    def get(self, account: str, resource: str = MAIL) -> SealedToken | None:
        """The access token of that resource, read consistently."""
        row = self._table.get({"account": account, "resource": resource})
        return SealedToken(**fitting(SealedToken, row)) if row else None

    def put_part(self, token: SealedToken) -> Part:
        """A part of a transaction that replaces an older version."""
        row: Row = {
            "account": token.account,
            "resource": token.resource,
            "token": token.token,
            "version": token.version,
            "expires_at": token.expires_at,
            "obtained_at": token.obtained_at,
            "is_password": token.is_password or None,
        }
        older = "attribute_not_exists(#account) OR #version < :version"
        return self._table.put_part(row, older, version=token.version)

    def save_rewrapped(self, read: SealedToken, rewrapped: SealedToken) -> bool:
        """Writes the sealed value of `rewrapped` over the one that was read; False when that has changed."""
        unchanged = "#version = :version AND #token = :read"
        key: Row = {"account": read.account, "resource": read.resource}
        changes: Row = {"token": rewrapped.token}
        try:
            self._table.update(key, changes, unchanged, version=read.version, read=read.token)
        except ConditionFailed:
            return False
        return True

    def delete_parts(self, account: str, *, but: str = "") -> list[Part]:
        """Parts of a transaction that delete the account's access tokens, but for that of one resource."""
        gone = [resource for resource in RESOURCES if resource != but]
        return [self._table.delete_part({"account": account, "resource": one}) for one in gone]
