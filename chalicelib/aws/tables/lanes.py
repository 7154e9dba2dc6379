"""The table of lanes: one row for an account that has had mail; the index ``by_due`` holds those with work.

Attributes: ``rung``, ``next_due_at`` with ``due_shard``, ``slot<n>_owner`` and ``slot<n>_until``, ``closed``
with ``closed_at``, ``opened_at``, ``probe_at`` and ``probes``, ``rest_until`` and ``rests``, ``served_at``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from chalicelib.aws.failures import ConditionFailed, translated
from chalicelib.aws.tables.codec import from_item, to_item
from chalicelib.ids import LANE_SHARDS, lane_shard_of
from chalicelib.mail.models import ClosedReason, LaneRow, Slot
from chalicelib.mail.ports import Written

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

WHAT = "The table of lanes"

BY_DUE = "by_due"

_SLOT = re.compile(r"slot(\d+)_until")


class LanesTable:
    """Implements mail.ports.Lanes."""

    shards = LANE_SHARDS

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def get(self, account: str) -> LaneRow | None:
        """The row, read consistently."""
        with translated(WHAT):
            found = self._client.get_item(
                TableName=self._table, Key=to_item({"account": account}), ConsistentRead=True
            )
        return _lane(found["Item"]) if "Item" in found else None

    def ring(self, account: str, *, due_at: int) -> Written:
        """One update: counts the ring, makes the lane due, and answers who serves it."""
        return self._write(
            account, put=_due(account, due_at), add={"rung": 1}, when="attribute_not_exists(closed)"
        )

    def hold(self, row: LaneRow, *, due_at: int) -> Written:
        """It counts even where the due time stays: who finds that time has not seen the mail yet."""
        return self._write(
            row.account,
            put=_due(row.account, due_at),
            add={"rung": 1},
            when=f"attribute_exists(closed) AND {_as_seen(row)}",
            values={":seen": row.next_due_at},
        )

    def take(self, account: str, number: int, *, owner: str, now: int, until: int) -> Written:
        """Due at the lease's end, so that a worker that dies is found.

        A lane that is due before that end has work, or a worker already: those after it are left alone.
        """
        return self._write(
            account,
            put=_lease(number, owner, until),
            when=f"{_free(number)} AND next_due_at <= :until AND attribute_not_exists(closed)"
            " AND (attribute_not_exists(rest_until) OR rest_until <= :now)",
            values={":now": now, ":until": until},
        )

    def take_probe(self, account: str, number: int, *, owner: str, now: int, until: int) -> Written:
        """`probe_at` moves with it, so that one worker probes at a time."""
        return self._write(
            account,
            put={**_lease(number, owner, until), "probe_at": until},
            when=f"{_free(number)} AND attribute_exists(closed) AND probe_at <= :now",
            values={":now": now},
        )

    def extend(self, account: str, number: int, *, owner: str, until: int) -> Written:
        """Renews the lease."""
        return self._write(
            account,
            put={f"slot{number}_until": until, "next_due_at": until},
            when=_mine(number),
            values={":owner": owner},
        )

    def give_back(self, slot: Slot, *, due_at: int | None) -> Written:
        """What was seen in the row is the proof that nothing came since the last look.

        `served_at` is part of it: otherwise a worker that found nothing would take the daily look away that
        another one, who served meanwhile, has left.
        """
        unchanged = "attribute_not_exists(served_at)" if slot.seen_served_at is None else "served_at = :seen"
        return self._write(
            slot.account,
            put={**_due(slot.account, due_at), **_served(slot)},
            drop=(*_slot(slot.number), "rest_until", "rests", *_never(due_at)),
            when=f"{_mine(slot.number)} AND rung = :rung AND {unchanged}",
            values={":owner": slot.owner, ":rung": slot.rung, ":seen": slot.seen_served_at},
        )

    def leave(self, slot: Slot, *, due_at: int | None) -> Written:
        """Frees the slot; another worker goes on when the lane is due."""
        return self._write(
            slot.account,
            put={**_due(slot.account, due_at), **_served(slot)},
            drop=_slot(slot.number),
            when=_mine(slot.number),
            values={":owner": slot.owner},
        )

    def rest(self, slot: Slot, *, until: int, rests: int) -> Written:
        """Frees the slot; nobody serves the lane before `until`."""
        return self._write(
            slot.account,
            put={**_due(slot.account, until), **_served(slot), "rest_until": until, "rests": rests},
            drop=_slot(slot.number),
            when=_mine(slot.number),
            values={":owner": slot.owner},
        )

    def close(self, account: str, reason: ClosedReason, *, now: int, probe_at: int | None) -> None:
        """Only a lane that is there: an account without mail has nothing to hold."""
        put = {**_due(account, now), "closed": reason, "closed_at": now, "probe_at": probe_at}
        self._write(
            account,
            put={name: value for name, value in put.items() if value is not None},
            add={"probes": 1},
            drop=() if probe_at is not None else ("probe_at",),
            when="attribute_exists(account)",
        )

    def open(self, account: str, *, now: int) -> Written:
        """Only a lane that is there: an account without mail needs none."""
        return self._write(
            account,
            put={**_due(account, now), "opened_at": now},
            add={"rung": 1},
            drop=("closed", "closed_at", "probe_at", "probes", "rest_until", "rests"),
            when="attribute_exists(account)",
        )

    def put_off(self, row: LaneRow, *, due_at: int | None) -> Written:
        """As in give_back, what was seen in the row is the proof that nothing came since."""
        return self._write(
            row.account,
            put=_due(row.account, due_at),
            drop=_never(due_at),
            when=f"rung = :rung AND {_as_seen(row)}",
            values={":rung": row.rung, ":seen": row.next_due_at},
        )

    def due(self, shard: str, now: int, limit: int) -> list[str]:
        """The accounts of one shard whose lanes are due, the longest due first."""
        with translated(WHAT):
            found = self._client.query(
                TableName=self._table,
                IndexName=BY_DUE,
                KeyConditionExpression="due_shard = :shard AND next_due_at <= :now",
                ExpressionAttributeValues=to_item({":shard": shard, ":now": now}),
                Limit=limit,
            )
        return [from_item(item)["account"] for item in found["Items"]]

    def _write(
        self,
        account: str,
        *,
        put: Mapping[str, Any],
        when: str,
        add: Mapping[str, int] | None = None,
        drop: Iterable[str] = (),
        values: Mapping[str, Any] | None = None,
    ) -> Written:
        update, own_values = _expression(put, add or {}, tuple(drop))
        try:
            with translated(WHAT):
                done = self._client.update_item(
                    TableName=self._table,
                    Key=to_item({"account": account}),
                    UpdateExpression=update,
                    ConditionExpression=when,
                    ExpressionAttributeValues=to_item({**own_values, **(values or {})}),
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ConditionFailed as failed:
            return Written(done=False, row=_lane(failed.item) if failed.item else None)
        return Written(done=True, row=_lane(done["Attributes"]))


def _expression(
    put: Mapping[str, Any], add: Mapping[str, int], drop: tuple[str, ...]
) -> tuple[str, dict[str, Any]]:
    parts = [
        ("SET", ", ".join(f"{name} = :new_{name}" for name in put)),
        ("ADD", ", ".join(f"{name} :add_{name}" for name in add)),
        ("REMOVE", ", ".join(drop)),
    ]
    values = {f":new_{name}": value for name, value in put.items()}
    values.update({f":add_{name}": value for name, value in add.items()})
    return " ".join(f"{verb} {text}" for verb, text in parts if text), values


def _due(account: str, at: int | None) -> dict[str, Any]:
    return {} if at is None else {"next_due_at": at, "due_shard": lane_shard_of(account)}


def _as_seen(row: LaneRow) -> str:
    return "attribute_not_exists(next_due_at)" if row.next_due_at is None else "next_due_at = :seen"


def _never(at: int | None) -> tuple[str, ...]:
    return ("next_due_at",) if at is None else ()


def _slot(number: int) -> tuple[str, str]:
    return (f"slot{number}_owner", f"slot{number}_until")


def _lease(number: int, owner: str, until: int) -> dict[str, Any]:
    names = _slot(number)
    return {names[0]: owner, names[1]: until, "next_due_at": until}


def _served(slot: Slot) -> dict[str, Any]:
    return {} if slot.served_at is None else {"served_at": slot.served_at}


def _free(number: int) -> str:
    return f"(attribute_not_exists(slot{number}_until) OR slot{number}_until <= :now)"


def _mine(number: int) -> str:
    return f"slot{number}_owner = :owner"


def _lane(item: Mapping[str, Any]) -> LaneRow:
    row = from_item(item)
    slots = [(int(found[1]), row[name]) for name in row if (found := _SLOT.fullmatch(name))]
    return LaneRow(
        account=row["account"],
        rung=row.get("rung", 0),
        next_due_at=row.get("next_due_at"),
        slots=tuple(sorted(slots)),
        closed=ClosedReason(row["closed"]) if "closed" in row else None,
        closed_at=row.get("closed_at"),
        opened_at=row.get("opened_at"),
        probe_at=row.get("probe_at"),
        probes=row.get("probes", 0),
        served_at=row.get("served_at"),
        rest_until=row.get("rest_until"),
        rests=row.get("rests", 0),
    )
