"""Lists of messages, the newest first: of one account, of several or of all, by state and time.

A message is listed under ``listed_as``: its group (message_rows.GROUPS), when it was accepted, and the
letters of its own id, such as ``failed#01764582000123.2c5f8h1k…``. The index ``by_state`` has these of one
account and can be read consistently; ``all_by_state`` has those of all, in a few partitions, and may lag.
Each group of each account, or of each partition, is one stream of keys; a list merges them. Nothing scans.
"""

from __future__ import annotations

import heapq
import re
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from chalicelib import ids
from chalicelib.aws.failures import translated
from chalicelib.aws.tables.codec import from_item, to_item
from chalicelib.aws.tables.message_rows import DIGITS, GROUPS, WITHOUT_BODY, from_row
from chalicelib.aws.tables.table import BATCH, read_some
from chalicelib.errors import InvalidInput
from chalicelib.mail.models import State
from chalicelib.mail.ports import Page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

    from chalicelib.mail.models import Message
    from chalicelib.mail.ports import Sought

WHAT = "The table of messages"
BY_STATE, ALL_BY_STATE = "by_state", "all_by_state"

MOST_MERGED = 20
"""Of how many accounts the own lists are merged; for more, the list of all is gone through."""

MOST_EXAMINED = 1_000
"""How many messages one page looks at. One that finds too few is short, and says where to go on."""

SHOWN_LETTERS = 8
"""How many letters of a message's own id a place in the list shows: enough to tell two of one millisecond
apart, and no name of a message that somebody may not see."""

FIRST, LAST = "0", "~"

_PLACE = re.compile(rf"[0-9]{{{DIGITS}}}\.[{ids.ALPHABET}]{{{SHOWN_LETTERS}}}")


@dataclass(frozen=True, slots=True)
class Listing:
    """One entry of an index; `order` is the same for every group."""

    account: str
    message: str
    caller: str
    order: str


class MessageListsTable:
    """Implements mail.ports.MessageLists."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def page(self, sought: Sought, limit: int, after: str | None) -> Page:
        """Goes through the merged streams until the page is full, or enough was examined."""
        if after is not None and not _PLACE.fullmatch(after):
            raise InvalidInput(
                "This is not a cursor.", fix="Use the cursor of the last answer, or none.", field="cursor"
            )
        listings = heapq.merge(*self._streams(sought, limit, after), key=attrgetter("order"), reverse=True)
        messages: list[Message] = []
        examined, place = 0, after
        while len(messages) < limit and examined < MOST_EXAMINED:
            some = list(islice(listings, min(BATCH, limit) if not examined else BATCH))
            if not some:
                return Page(tuple(messages), None)
            examined += len(some)
            fitting = self._fitting(sought, some)
            if len(messages) + len(fitting) > limit:
                full = [*messages, *fitting][:limit]
                return Page(tuple(full), _place_of(some, full[-1].id))
            messages += fitting
            place = _place(some[-1])
        return Page(tuple(messages), place if next(listings, None) is not None else None)

    def _fitting(self, sought: Sought, some: list[Listing]) -> list[Message]:
        """The messages of the entries that are sought, without their bodies, in their order."""
        seen = [
            one
            for one in some
            if (sought.caller is None or one.caller == sought.caller)
            and (sought.accounts is None or one.account in sought.accounts)
        ]
        if not seen:
            return []
        keys = [{"account": one.account, "message": one.message} for one in seen]
        found = read_some(self._client, WHAT, {self._table: keys}, **WITHOUT_BODY)[self._table]
        rows = {row["message"]: from_row(row) for row in found}
        messages = [rows[one.message] for one in seen if one.message in rows]
        return [message for message in messages if message.state in sought.states]

    def _streams(self, sought: Sought, limit: int, after: str | None) -> Iterator[Iterator[Listing]]:
        oldest = _time(sought.since) if sought.since is not None else FIRST
        newest = min(_time(sought.until) if sought.until is not None else LAST, after or LAST)
        if oldest > newest:
            return
        for group in dict.fromkeys(GROUPS[state] for state in State if state in sought.states):
            between = f"{group}#{oldest}", f"{group}#{newest}"
            if sought.accounts is not None and len(sought.accounts) <= MOST_MERGED:
                for account in sought.accounts:
                    yield self._stream(BY_STATE, "account", account, between, limit)
            else:
                for shard in ids.LIST_SHARDS:
                    yield self._stream(ALL_BY_STATE, "list_shard", shard, between, limit)

    def _stream(
        self, index: str, partition: str, value: str, between: tuple[str, str], limit: int
    ) -> Iterator[Listing]:
        """The entries of one partition and group, the newest first, read as far as somebody takes them."""
        start: dict[str, Any] = {}
        while True:
            with translated(WHAT):
                answer = self._client.query(
                    TableName=self._table,
                    IndexName=index,
                    KeyConditionExpression=f"{partition} = :value AND listed_as BETWEEN :oldest AND :newest",
                    ExpressionAttributeValues=to_item(
                        {":value": value, ":oldest": between[0], ":newest": between[1]}
                    ),
                    ScanIndexForward=False,
                    ConsistentRead=index == BY_STATE,
                    Limit=limit,
                    **start,
                )
            yield from (_listing(from_item(item)) for item in answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            start, limit = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}, BATCH


def _listing(row: dict[str, Any]) -> Listing:
    order = row["listed_as"].partition("#")[2]
    return Listing(row["account"], row["message"], row["caller"], order)


def _place_of(some: list[Listing], message: str) -> str:
    return next(_place(one) for one in some if one.message == message)


def _place(listing: Listing) -> str:
    """The place in the list after an entry."""
    return listing.order[: DIGITS + 1 + SHOWN_LETTERS]


def _time(at: int) -> str:
    """A time in ms as the lists' keys begin; one before 1970 or after their last one is moved to that."""
    return f"{min(max(at, 0), 10**DIGITS - 1):0{DIGITS}d}"
