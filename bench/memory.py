"""How much memory each function takes at its heaviest work, under Lambda's runtime client and emulator."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from bench import init
from chalicelib import clock
from chalicelib.accounts.models.grant import DueReason

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bench.world import World

LARGEST = 4_300_000
"""Bytes of an attachment with which a message is about as long as an invocation may be: 6 MB in base64."""

DUE = 24
"""Accounts to refresh, which keep all threads of one invocation busy."""


def measure(world: World, application: Path, largest: int = LARGEST, due: int = DUE) -> dict[str, float]:
    """The most memory (MiB) by function, of a process that did its heaviest work once."""
    heaviest = _events(world, largest, due)
    return {
        name: init.start(world, application, init.handler(name), event).memory
        for name, event in heaviest.items()
    }


def _events(world: World, largest: int, due: int) -> dict[str, dict[str, Any]]:
    """The heaviest work of each function; what `send` takes in is relayed after it."""
    connector = world.connector()
    accounts = [world.account(connector).id for _ in range(due)]
    for account in accounts:
        _make_due(world, account)
    attachment = {"filename": "large.bin", "content": base64.b64encode(bytes(largest)).decode()}
    sent = {"account": accounts[0], "to": ["bob@example.net"], "attachments": [attachment]}
    usual = init.events(accounts[0])
    del usual["refresh"]
    return {
        "refresh": init.queued({"accounts": accounts[: due // 2]}),  # the schedule finds the other half
        **usual,
        "api": _posted(world, usual["api"], {**sent, "account": accounts[-1]}),
        "tokens": {"account": accounts[-1], "failed_version": 1},
        "send": sent,
    }


def _make_due(world: World, account: str) -> None:
    grants = world.gateway.grants_table
    if grant := grants.get(account):
        grants.reschedule(grant, clock.now() - 1, DueReason.KEEP_ALIVE)


def _posted(world: World, request: Mapping[str, Any], message: Mapping[str, Any]) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {world.key.reveal()}", "content-type": "application/json"}
    return {
        **request,
        "resource": "/v1/messages",
        "path": "/v1/messages",
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "requestContext": {"httpMethod": "POST", "resourcePath": "/v1/messages", "requestId": "bench"},
        "body": json.dumps(message),
    }
