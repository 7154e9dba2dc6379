"""What Mailgrant tells the rest of its AWS account: events on EventBridge's default bus."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from chalicelib.aws.failures import translated, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SOURCE = "mailgrant"

_WHAT = "The event bus"


class PutsEvents(Protocol):
    """What is used of boto3's client of EventBridge."""

    def put_events(self, *, Entries: Sequence[Mapping[str, str]]) -> dict[str, Any]:  # noqa: N803 - its name
        """PutEvents."""


class EventBus:
    """Publishes events (see accounts.ports.Events).

    `client` makes the client, or gives the one that was made: few invocations need it.
    """

    def __init__(self, client: Callable[[], PutsEvents], stage: str) -> None:
        self._client = client
        self._stage = stage

    def put(self, kind: str, detail: Mapping[str, Any]) -> None:
        """Publishes one event; `kind` is its detail-type, and its detail names the stage too.

        Raises Unavailable.
        """
        body = json.dumps({"stage": self._stage, **detail})
        with translated(_WHAT):
            answer = self._client().put_events(
                Entries=[{"Source": SOURCE, "DetailType": kind, "Detail": body}]
            )
        if answer["FailedEntryCount"]:  # EventBridge answers 200 and says which events it has not taken
            raise unavailable(_WHAT, str(answer["Entries"][0].get("ErrorCode", "")))
