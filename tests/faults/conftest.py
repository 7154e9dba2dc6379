"""A connected mailbox, and the doors at which its messages are handed in."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults import doors

if TYPE_CHECKING:
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox
    from tests.faults.doors import Door


@pytest.fixture(scope="module")
def connected(shared_sandbox: Sandbox) -> dict[str, Any]:
    """One connected mailbox for all tests of a module."""
    from sandbox.cast import Cast

    return Cast(shared_sandbox).connected("microsoft", f"owner-{secrets.token_hex(4)}@example.com")


@pytest.fixture(params=doors.DOORS)
def door(
    request: pytest.FixtureRequest, sandbox: Sandbox, cast: Cast, alias: str, connected: dict[str, Any]
) -> Door:
    """Each of the deployed doors."""
    return doors.deployed(request.param, sandbox, cast, alias, connected["id"])
