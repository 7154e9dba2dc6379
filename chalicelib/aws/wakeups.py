"""The queue that wakes the relay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from chalicelib.aws.failures import translated

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_sqs import SQSClient

WHAT = "The queue of the relay"


class WakeupQueue:
    """Implements mail.ports.Wakeups. An account is a message group, so that a busy one holds up no other.

    `client` gives the client: a relay rarely wakes another one.
    """

    def __init__(self, client: Callable[[], SQSClient], queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def wake(self, account: str, message: str | None = None, *, ring: bool = False) -> None:
        """Sends ``{"account", "message"?, "ring"?}``, which mail.relaying.wakeup reads."""
        body: dict[str, str | bool] = {"account": account}
        body |= {} if message is None else {"message": message}
        body |= {"ring": True} if ring else {}
        with translated(WHAT):
            self._client().send_message(
                QueueUrl=self._queue_url, MessageBody=json.dumps(body), MessageGroupId=account
            )
