"""The table of grants, and the transactions by which a grant and all that follows from it change at once.

Every write names the version of the grant that was read. A version only grows, so a worker that slept
through the end of its lease cannot undo what another one has saved meanwhile. A grant that was ended leaves
its next version behind, and nothing else: so what was still under way cannot bring it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.accounts.models.account import GrantState
from chalicelib.accounts.models.grant import MAIL
from chalicelib.aws.failures import ConditionFailed, translated
from chalicelib.aws.tables.accounts import disconnection_row
from chalicelib.aws.tables.codec import from_item, to_item
from chalicelib.aws.tables.grant_rows import (
    NEEDS_OWNER,
    NO_LEASE,
    active_facts,
    found_grant,
    grant_row,
    key_of,
    previous_row,
    refusal_row,
)
from chalicelib.aws.tables.table import Row, Table
from chalicelib.ids import grant_shard_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from chalicelib.accounts.connecting.consent import Signed
    from chalicelib.accounts.models.account import Disconnection
    from chalicelib.accounts.models.grant import DueReason, Grant, SealedToken
    from chalicelib.aws.tables.access_tokens import AccessTokensTable
    from chalicelib.aws.tables.accounts import AccountsTable
    from chalicelib.aws.tables.authorizations import AuthorizationsTable
    from chalicelib.aws.tables.table import Part
    from chalicelib.diagnosis import Diagnosis

UNCHANGED = "#version = :version"
HELD = f"{UNCHANGED} AND #lease_owner = :owner"
FREE = f"{UNCHANGED} AND (attribute_not_exists(#lease_owner) OR #lease_until < :now)"
REPLACED = "attribute_not_exists(#account) OR #version = :version"
KEEPING = f"({REPLACED}) AND (#refresh_token = :kept OR #previous.#refresh_token = :kept)"
"""Where a sealed value is taken over: not over one whose data key was wrapped anew since it was read."""
AS_READ = f"{UNCHANGED} AND #refresh_token = :read"

MOST_OF_ONE_PERSON = 100
"""How many accounts of one person are looked at."""


class GrantsTable:
    """Keeps grants (see accounts.ports.GrantStore, and SealedGrants)."""

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
        return found_grant(self._table.get(key_of(account)))

    def accounts(self, limit: int, after: str | None) -> tuple[list[str], str | None]:
        """At most `limit` accounts after that one in the table's order, and where to go on, or None.

        All that have a grant are found, and those whose grant was ended.
        """
        rows, last = self._table.scan(limit, key_of(after) if after else None)
        return [str(row["account"]) for row in rows], str(last["account"]) if last else None

    def version(self, account: str) -> int:
        """The version of the account's grant, ended or not, read consistently; 0 where there was none."""
        return int((self._table.get(key_of(account)) or {}).get("version", 0))

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
        facts = self._accounts.facts_part(grant.account, **active_facts(grant, token))
        return self._transact([self._newer_part(grant, owner), self._access_tokens.put_part(token), facts])

    def save_held(self, grant: Grant, problem: Diagnosis, *, owner: str) -> bool:
        """Replaces version `grant.version - 1`, held by `owner`, and notes that its owner must reconnect."""
        facts: Row = {"grant_state": GrantState.NEEDS_RECONNECT, "problem": problem.to_json()}
        part = self._accounts.facts_part(grant.account, **facts)
        return self._transact([self._newer_part(grant, owner), part])

    def save_connected(
        self, grant: Grant, token: SealedToken, facts: Mapping[str, Any], signed: Signed | None = None
    ) -> bool:
        """Replaces version `grant.version - 1` or none: grant, token, facts, link and outcome at once."""
        changed = {"token_expires_at": None} | active_facts(grant, token)
        parts = [
            self._consented_part(grant),
            self._access_tokens.put_part(token),
            *self._access_tokens.delete_parts(grant.account, but=token.resource),  # perhaps another person's
            self._accounts.facts_part(grant.account, **(changed | dict(facts))),
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
        remains: Row = {**key_of(account), "version": version + 1, "ended_at": ended.at}
        parts = [
            self._table.put_part(remains, REPLACED, version=version),
            *self._access_tokens.delete_parts(account),
            self._accounts.facts_part(account, **facts),
        ]
        return self._transact(parts)

    def save_rescued(self, grant: Grant, facts: Mapping[str, Any] | None = None) -> bool:
        """Replaces version `grant.version - 1` or none by a rescued grant, and makes the account active.

        With `facts` it is a consent: they are written too, and what access tokens there are is deleted.
        """
        changed: Row = {"grant_state": GrantState.ACTIVE, "problem": None, "grant_ends_at": grant.ends_at}
        if facts is not None:
            changed |= {"token_expires_at": None, "refreshed_at": grant.refreshed_at} | dict(facts)
        parts = [
            self._table.put_part(grant_row(grant), REPLACED, version=grant.version - 1),
            *(self._access_tokens.delete_parts(grant.account) if facts is not None else ()),
            self._accounts.facts_part(grant.account, **changed),
        ]
        return self._transact(parts)

    def save_refused(self, grant: Grant, problem: Diagnosis, state: GrantState, *, owner: str) -> bool:
        """Writes what a refusal changed, if version and lease are unchanged; ends the lease."""
        changes = refusal_row(grant) | NO_LEASE
        part = self._table.update_part(
            key_of(grant.account), changes, HELD, version=grant.version, owner=owner
        )
        facts = self._accounts.facts_part(grant.account, problem=problem.to_json(), grant_state=state)
        return self._transact([part, facts])

    def save_rewrapped(self, read: Grant, rewrapped: Grant) -> bool:
        """Writes the sealed values of `rewrapped` over those that were read; False when these have changed.

        Version and lease stay as they are.
        """
        changes: Row = {"refresh_token": rewrapped.refresh_token}
        if rewrapped.previous is not None:
            changes["previous"] = previous_row(rewrapped.previous)
        return self._change(read, changes, AS_READ, version=read.version, read=read.refresh_token)

    def reschedule(self, grant: Grant, due_at: int, reason: DueReason) -> None:
        """Moves the next refresh, unless the grant has changed."""
        changes: Row = {
            "refresh_due_at": due_at,
            "refresh_shard": grant_shard_of(grant.account),
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

    def _consented_part(self, grant: Grant) -> Part:
        row, version = grant_row(grant), grant.version - 1
        if grant.previous is None:
            return self._table.put_part(row, REPLACED, version=version)
        return self._table.put_part(row, KEEPING, version=version, kept=grant.previous.refresh_token)

    def _newer_part(self, grant: Grant, owner: str) -> Part:
        row = grant_row(grant)
        # What is kept for a roll-back stays as it is stored: its data key may have been wrapped anew.
        as_stored = {"account"} if row["previous"] is None else {"account", "previous"}
        changes = {name: value for name, value in row.items() if name not in as_stored}
        return self._table.update_part(
            key_of(grant.account), changes, HELD, version=grant.version - 1, owner=owner
        )

    def _change(self, grant: Grant, changes: Row, condition: str, **values: Any) -> bool:
        try:
            self._table.update(key_of(grant.account), changes, condition, **values)
        except ConditionFailed:
            return False
        return True

    def _transact(self, parts: Sequence[Part]) -> bool:
        try:
            self._table.transact(parts)
        except ConditionFailed:
            return False
        return True
