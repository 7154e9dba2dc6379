"""Waits for what others do while ``mailgrant init`` looks on, and shows that it does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import click

from cli import messages
from cli.api import part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.api import Api
    from cli.output import Out

PATIENCE: Final = 60
"""Seconds of waiting after which it is told what may hinder the owner."""

ENDS: Final = messages.SETTLED | {"held"}
"""States of a message in which waiting changes nothing."""


class ConnectorRefused(Exception):
    """While a mailbox is being connected, the provider refused the app itself."""


class Watch:
    """Looks at an account that is being connected. `before` is its problem at the beginning."""

    def __init__(self, out: Out, before: Mapping[str, Any] | None, hints: str) -> None:
        self._out = out
        self._before = before
        self._hints = hints
        self._began = time.monotonic()
        self._runs = out.on_terminal and not out.as_json
        if not self._runs:
            out.tell("Waiting for that …")

    def look(self, account: Mapping[str, Any]) -> None:
        """Shows how long it takes. Raises ConnectorRefused when a problem has come up, after telling it."""
        if account["problem"] not in (None, self._before):
            self.end()
            self._out.problem(account["problem"])
            self._out.say("")
            raise ConnectorRefused
        waited = int(time.monotonic() - self._began)
        if self._hints and waited >= PATIENCE:
            self.end()
            self._out.tell(f"\n{self._hints}\n")
            self._hints = ""
        if self._runs:
            click.echo(f"\rWaiting, {waited // 60}:{waited % 60:02} … (Ctrl-C ends; all is kept) ", nl=False)

    def end(self) -> None:
        """Takes the clock away."""
        if self._runs:
            click.echo("\r\033[K", nl=False)


def settled(api: Api, out: Out, message: str, timeout: int) -> dict[str, Any]:
    """The record of a message that is sent, given up or held, or as it stands after that many seconds.

    What an attempt has met is told at once.
    """
    end = time.monotonic() + timeout
    attempts = 0
    while True:
        found = api.get(f"messages/{part(message)}")
        if found["state"] in ENDS or time.monotonic() >= end:
            return found
        if found["state"] == "deferred" and len(found["attempts"]) > attempts:
            attempts = len(found["attempts"])
            out.problem(found["attempts"][-1]["diagnosis"])
            out.say("It is tried again by itself; Ctrl-C ends the waiting only.")
        time.sleep(messages.POLL)
