"""The table of grants, and the transactions by which a grant and all that follows from it change at once.

Every write names the version of the grant that was read. A version only grows, so a worker that slept
through the end of its lease cannot undo what another one has saved meanwhile. A grant that was ended leaves
its next version behind, and nothing else: so what was still under way cannot bring it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.accounts.models.account import AuthMode, GrantState
from chalicelib.accounts.models.grant import MAIL, DueReason, Grant, Identity, Previous, SealedToken
from chalicelib.aws.failures import ConditionFailed, translated
from chalicelib.aws.tables.accounts import disconnection_row
from chalicelib.aws.tables.codec import from_item, to_item
from chalicelib.aws.tables.table import Row, Table
from chalicelib.ids import shard_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from chalicelib.accounts.connecting.consent import Signed
    from chalicelib.accounts.models.account import Disconnection
    from chalicelib.aws.tables.access_tokens import AccessTokensTable
    from chalicelib.aws.tables.accounts import AccountsTable
    from chalicelib.aws.tables.authorizations import AuthorizationsTable
    from chalicelib.aws.tables.table import Part
    from chalicelib.diagnosis import Diagnosis

UNCHANGED = "#version = :version"
HELD = f"{UNCHANGED} AND #lease_owner = :owner"
FREE = f"{UNCHANGED} AND (attribute_not_exists(#lease_owner) OR #lease_until < :now)"
REPLACED = "attribute_not_exists(#account) OR #version = :version"
NO_LEASE: Row = {"lease_owner": None, "lease_until": None}
NEEDS_OWNER = "owner"
"""In the place of a shard: nothing is due by itself, but the index still knows of the grant."""

MOST_OF_ONE_PERSON = 100
"""How many accounts of one person are looked at."""


class GrantsTable:
    """Keeps grants (see accounts.ports.GrantStore)."""

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        access_tokens: AccessTokensTable,
        accounts: AccountsTable,
        authorizations: AuthorizationsTable,
    ) -> None:
        self._table = Table(client, table, "The table of grants")
        self._access_tokens = access_tokens
        self._accounts = accounts
        self._authorizations = authorizations

    def get(self, account: str) -> Grant | None:
        """The grant of that account, read consistently; None where there is none, or it was ended."""
        row = self._table.get(_key(account))
        return _grant(row) if row and "refresh_token" in row else None

    def version(self, account: str) -> int:
        """The version of the account's grant, ended or not, read consistently; 0 where there was none."""
        return int((self._table.get(_key(account)) or {}).get("version", 0))

    def of_one_person(self, grant: Grant) -> list[str]:
        """The accounts with a grant of the same subject, this one among them. May lag behind."""
        if not grant.identity.subject:
            return [grant.account]
        with translated(self._table.what):
            answer = self._table.client.query(
                TableName=self._table.name,
                IndexName="by_subject",
                KeyConditionExpression="#subject = :subject",
                ExpressionAttributeNames={"#subject": "subject"},
                ExpressionAttributeValues=to_item({":subject": grant.identity.subject}),
                Limit=MOST_OF_ONE_PERSON,
            )
        return [str(from_item(item)["account"]) for item in answer["Items"]]

    def access_token(self, account: str, resource: str = MAIL) -> SealedToken | None:
        """The access token for that resource, read consistently."""
        return self._access_tokens.get(account, resource)

    def lease(self, grant: Grant, *, owner: str, now: int, until: int) -> bool:
        """Takes the right to ask the provider; False when the grant changed or another one has it."""
        taken: Row = {"lease_owner": owner, "lease_until": until}
        return self._change(grant, taken, FREE, now=now, version=grant.version)

    def release(self, grant: Grant, *, owner: str) -> None:
        """Gives the right back, if it is still the owner's."""
        self._change(grant, NO_LEASE, HELD, version=grant.version, owner=owner)

    def save_refreshed(self, grant: Grant, token: SealedToken, *, owner: str) -> bool:
        """Replaces version `grant.version - 1`, held by `owner`; with it token and account's facts."""
        facts = self._accounts.facts_part(grant.account, **_active(grant, token))
        return self._transact([self._newer_part(grant, owner), self._access_tokens.put_part(token), facts])

    def save_held(self, grant: Grant, problem: Diagnosis, *, owner: str) -> bool:
        """Replaces version `grant.version - 1`, held by `owner`, and notes that its owner must reconnect."""
        facts: Row = {"grant_state": GrantState.NEEDS_RECONNECT, "problem": problem.to_json()}
        part = self._accounts.facts_part(grant.account, **facts)
        return self._transact([self._newer_part(grant, owner), part])

    def save_connected(
        self, grant: Grant, token: SealedToken, signed: Signed | None = None, **facts: Any
    ) -> bool:
        """Replaces version `grant.version - 1` or none: grant, token, facts, link and outcome at once."""
        changed = _active(grant, token) | {
            "connected_at": grant.granted_at,
            "asked_by": signed.authorization.asked_by if signed else "",
            "transport_block": None,
        }
        parts = [
            self._table.put_part(_row(grant), REPLACED, version=grant.version - 1),
            self._access_tokens.put_part(token),
            *self._access_tokens.delete_parts(grant.account, but=token.resource),  # perhaps another person's
            self._accounts.facts_part(grant.account, **changed, **facts),
        ]
        if signed:
            parts += self._authorizations.success_parts(
                signed.authorization.id, signed.authorization.link, signed.outcome, grant.granted_at
            )
        return self._transact(parts)

    def end(self, account: str, version: int, ended: Disconnection) -> bool:
        """Deletes version `version` (0 for none) and all access tokens; the account notes it at once."""
        facts: Row = {
            "grant_state": GrantState.NONE,
            "problem": None,
            "token_expires_at": None,
            "grant_ends_at": None,
            "refreshed_at": None,
            "transport_block": None,
            "disconnection": disconnection_row(ended),
        }
        remains: Row = {**_key(account), "version": version + 1, "ended_at": ended.at}
        parts = [
            self._table.put_part(remains, REPLACED, version=version),
            *self._access_tokens.delete_parts(account),
            self._accounts.facts_part(account, **facts),
        ]
        return self._transact(parts)

    def save_rescued(self, grant: Grant) -> bool:
        """Replaces version `grant.version - 1` or none by a rescued grant, and makes the account active."""
        facts: Row = {"grant_state": GrantState.ACTIVE, "problem": None}
        parts = [
            self._table.put_part(_row(grant), REPLACED, version=grant.version - 1),
            self._accounts.facts_part(grant.account, **facts),
        ]
        return self._transact(parts)

    def save_refused(self, grant: Grant, problem: Diagnosis, state: GrantState, *, owner: str) -> bool:
        """Writes what a refusal changed, if version and lease are unchanged; ends the lease."""
        changes = _refusal(grant) | NO_LEASE
        part = self._table.update_part(_key(grant.account), changes, HELD, version=grant.version, owner=owner)
        facts = self._accounts.facts_part(grant.account, problem=problem.to_json(), grant_state=state)
        return self._transact([part, facts])

    def reschedule(self, grant: Grant, due_at: int, reason: DueReason) -> None:
        """Moves the next refresh, unless the grant has changed."""
        changes: Row = {
            "refresh_due_at": due_at,
            "refresh_shard": shard_of(grant.account),
            "due_reason": reason,
        }
        self._change(grant, changes, UNCHANGED, version=grant.version)

    def told(self, grant: Grant, *, owner: str) -> None:
        """Notes that the mailbox owner was told, and ends the lease, if version and lease are unchanged."""
        changes: Row = {"refresh_shard": NEEDS_OWNER, "due_reason": None}
        self._change(grant, changes | NO_LEASE, HELD, version=grant.version, owner=owner)

    def needing_owner(self) -> int:
        """How many grants wait for their owners, who were told; of very many, some 10,000. May lag behind."""
        with translated(self._table.what):
            answer = self._table.client.query(
                TableName=self._table.name,
                IndexName="by_refresh_due",
                KeyConditionExpression="#shard = :shard",
                ExpressionAttributeNames={"#shard": "refresh_shard"},
                ExpressionAttributeValues=to_item({":shard": NEEDS_OWNER}),
                Select="COUNT",
            )
        return answer["Count"]

    def due(self, shard: str, now: int, limit: int) -> list[str]:
        """Up to `limit` accounts of a shard that are due, the longest due first. May lag behind."""
        with translated(self._table.what):
            answer = self._table.client.query(
                TableName=self._table.name,
                IndexName="by_refresh_due",
                KeyConditionExpression="#shard = :shard AND #due <= :now",
                ExpressionAttributeNames={"#shard": "refresh_shard", "#due": "refresh_due_at"},
                ExpressionAttributeValues=to_item({":shard": shard, ":now": now}),
                Limit=limit,
            )
        return [str(from_item(item)["account"]) for item in answer["Items"]]

    def _newer_part(self, grant: Grant, owner: str) -> Part:
        changes = {name: value for name, value in _row(grant).items() if name != "account"}
        return self._table.update_part(
            _key(grant.account), changes, HELD, version=grant.version - 1, owner=owner
        )

    def _change(self, grant: Grant, changes: Row, condition: str, **values: Any) -> bool:
        try:
            self._table.update(_key(grant.account), changes, condition, **values)
        except ConditionFailed:
            return False
        return True

    def _transact(self, parts: Sequence[Part]) -> bool:
        try:
            self._table.transact(parts)
        except ConditionFailed:
            return False
        return True


def _key(account: str) -> Row:
    return {"account": account}


def _active(grant: Grant, token: SealedToken) -> Row:
    shown: Row = {"token_expires_at": token.expires_at} if token.resource == MAIL else {}
    return {
        "grant_state": GrantState.ACTIVE,
        "problem": None,
        "refreshed_at": grant.refreshed_at,
        "grant_ends_at": grant.ends_at,
        **shown,
    }


def _refusal(grant: Grant) -> Row:
    due = grant.refresh_due_at is not None
    return {
        "first_refused_at": grant.first_refused_at,
        "retry_at": grant.retry_at,
        "failures": grant.failures,
        "refresh_due_at": grant.refresh_due_at,
        "refresh_shard": shard_of(grant.account) if due else None,
        "due_reason": grant.due_reason,
    }


def _row(grant: Grant) -> Row:
    return {
        **_key(grant.account),
        "version": grant.version,
        "refresh_token": grant.refresh_token,
        "scopes": list(grant.scopes),
        "issuer": grant.identity.issuer,
        "subject": grant.identity.subject or None,  # the key of an index must not be empty
        "addresses": list(grant.identity.addresses),
        "granted_at": grant.granted_at,
        "refreshed_at": grant.refreshed_at,
        "previous": _previous_row(grant),
        "ends_at": grant.ends_at,
        **_refusal(grant),
        **NO_LEASE,
    }


def _grant(row: Row) -> Grant:
    return Grant(
        account=row["account"],
        version=row["version"],
        refresh_token=row["refresh_token"],
        scopes=tuple(row["scopes"]),
        identity=_identity(row),
        granted_at=row["granted_at"],
        refreshed_at=row["refreshed_at"],
        lease_owner=row.get("lease_owner"),
        lease_until=row.get("lease_until", 0),
        refresh_due_at=None if row.get("refresh_shard") == NEEDS_OWNER else row.get("refresh_due_at"),
        due_reason=DueReason(row.get("due_reason", DueReason.KEEP_ALIVE)),
        first_refused_at=row.get("first_refused_at"),
        retry_at=row.get("retry_at"),
        failures=row.get("failures", 0),
        previous=_previous(row.get("previous")),
        ends_at=row.get("ends_at"),
    )


def _previous_row(grant: Grant) -> Row | None:
    """It goes with the first refresh after its time."""
    kept = grant.previous
    if kept is None or kept.until <= grant.refreshed_at:
        return None
    return {
        "auth_mode": kept.auth_mode,
        "smtp_user": kept.smtp_user,
        "version": kept.version,
        "refresh_token": kept.refresh_token,
        "scopes": list(kept.scopes),
        "issuer": kept.identity.issuer,
        "subject": kept.identity.subject,
        "addresses": list(kept.identity.addresses),
        "until": kept.until,
    }


def _previous(row: Row | None) -> Previous | None:
    if row is None:
        return None
    return Previous(
        auth_mode=AuthMode(row["auth_mode"]),
        smtp_user=row["smtp_user"],
        version=row["version"],
        refresh_token=row["refresh_token"],
        scopes=tuple(row["scopes"]),
        identity=_identity(row),
        until=row["until"],
    )


def _identity(row: Row) -> Identity:
    return Identity(row["issuer"], row.get("subject", ""), tuple(row["addresses"]))
