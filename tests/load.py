"""Somebody who goes on sending mail while something is done to the application."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Any, Self

import requests
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.clock import MINUTE, now
from sandbox.api import Api
from sandbox.stack import ALIAS, STAGE
from tests.helpers import copies, letter, record, until

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

    from chalicelib.wiring import Gateway
    from sandbox.cast import Cast

SETTLING_SECONDS = 10.0
PAUSE_SECONDS = 0.1

Door = Callable[[dict[str, Any]], Any]
"""Answers a message with its id, or with an error."""


@dataclass
class Load:
    """Sends one message after the other as an account, by HTTPS and by invoking `send` in turn.

    It goes on until the block ends. `accepted` are the ids of the messages, `refused` the other answers. What
    was not accepted is sent again with its key, as a caller would: nothing is known of it.
    """

    cast: Cast
    account: str
    accepted: list[str] = field(default_factory=list)
    refused: list[Any] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        until(lambda: self.accepted)
        return self

    def __exit__(self, *_: object) -> None:
        count = len(self.accepted)
        try:
            until(lambda: len(self.accepted) > count + 2)  # also after it, all is well
        finally:
            self._ended.set()
            self._thread.join()

    def require_sent(self, later: Callable[[int], Gateway]) -> None:
        """Every message that was accepted arrives; twice only where its record says so.

        A worker that is ended between the final dot and the answer leaves a message to be looked at when its
        lease is over: `later` gives the application with its clock put forward by some milliseconds.
        """
        if not self._all_sent():
            for ahead in (6 * MINUTE, 20 * MINUTE, 60 * MINUTE):
                later(ahead).relay.run(self.account, until=now() + ahead + 15 * MINUTE)
        for message in self.accepted:
            found = record(self.cast, message)
            count = len(copies(self.cast.sandbox, found["message_id"]))
            assert found["state"] == "sent", found
            assert count == 1 or (count == 2 and found["may_be_duplicate"]), found

    def _all_sent(self) -> bool:
        try:
            for message in self.accepted:
                until(lambda: record(self.cast, message)["state"] == "sent", seconds=SETTLING_SECONDS)  # noqa: B023
        except AssertionError:
            return False
        return True

    def _run(self) -> None:
        api = Api(self.cast.api.url, self.cast.api.key, self.cast.api.cafile)
        functions = self.cast.sandbox.emulator.session().client("lambda")
        with api.session:
            doors = cycle((partial(by_https, api), partial(by_function, functions)))
            while not self._ended.is_set():
                key = secrets.token_hex(8)
                self._send(next(doors), letter(self.account, subject=key, idempotency_key=key))
                time.sleep(PAUSE_SECONDS)

    def _send(self, door: Door, message: dict[str, Any]) -> None:
        while not self._ended.is_set():
            try:
                answer = door(message)
            except (requests.RequestException, ClientError, BotoCoreError) as error:
                answer = {"error": type(error).__name__}
            if "id" in answer:
                self.accepted.append(answer["id"])
                return
            self.refused.append(answer)


def by_https(api: Api, message: dict[str, Any]) -> Any:
    """The API's answer to a message."""
    return api.request("POST", "/v1/messages", json=message).json()


def by_function(client: LambdaClient, message: dict[str, Any]) -> Any:
    """The answer of the function `send`, invoked by its alias, which has to be known as a caller."""
    function = f"mailgrant-{STAGE}-send"
    answer = client.invoke(FunctionName=function, Qualifier=ALIAS, Payload=json.dumps(message).encode())
    return json.load(answer["Payload"])
