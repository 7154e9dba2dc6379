"""Somebody who goes on sending mail while something is done to the application."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import requests

from chalicelib.clock import MINUTE, now
from sandbox.api import Api
from tests.helpers import copies, letter, record, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.wiring import Gateway
    from sandbox.cast import Cast

SETTLING_SECONDS = 10.0
PAUSE_SECONDS = 0.1


@dataclass
class Load:
    """Sends one message after the other as an account, until the block ends. `accepted` are their ids.

    What was not accepted is sent again with its key, as a caller would: nothing is known of it.
    """

    cast: Cast
    account: str
    accepted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
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
        with api.session:
            while not self._ended.is_set():
                self._send(api, secrets.token_hex(8))
                time.sleep(PAUSE_SECONDS)

    def _send(self, api: Api, key: str) -> None:
        while not self._ended.is_set():
            try:
                body, headers = letter(self.account, subject=key), {"Idempotency-Key": key}
                answer = api.request("POST", "/v1/messages", json=body, headers=headers)
            except requests.RequestException as error:
                self.refused.append(type(error).__name__)
                continue
            if answer.status_code == requests.codes.accepted:
                self.accepted.append(answer.json()["id"])
                return
            self.refused.append(f"{answer.status_code} {answer.text[:200]}")
