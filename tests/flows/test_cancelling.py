"""Cancelling through the deployed functions, judged by the mail server's own log."""

from __future__ import annotations

import json
import secrets
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.clock import HOUR, MINUTE, now
from sandbox.api import Api
from sandbox.stack import PROJECT
from tests.flows.test_iam import INVOKE, made_role, signed
from tests.helpers import copies, in_state, letter, record, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chalicelib.wiring import Gateway
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox


@pytest.fixture
def account(cast: Cast) -> dict[str, Any]:
    """A connected mailbox whose server puts every message off."""
    account = cast.connected("google", f"owner-{secrets.token_hex(4)}@example.com")
    cast.sandbox.mail.inject(
        "MAIL", code=451, text="4.3.0 Try again later", times=None, user=account["address"]
    )
    return account


def sender(sandbox: Sandbox, cast: Cast) -> Api:
    """A caller that may only send."""
    asked = {"kind": "key", "name": "sender", "scopes": ["send"], "accounts": ["*"]}
    return Api(sandbox.url, cast.api.post("/v1/callers", asked)["key"], sandbox.authority.cafile)


def test_a_deferred_message_is_cancelled_by_who_handed_it_in(
    sandbox: Sandbox, cast: Cast, account: dict[str, Any], later: Callable[[int], Gateway]
) -> None:
    """With the scope `send`, over HTTPS; another sender does not even learn that it is there."""
    own, stranger = sender(sandbox, cast), sender(sandbox, cast)
    message = own.post("/v1/messages", letter(account["id"]))["id"]
    in_state(cast, message, "deferred")
    path = f"/v1/messages/{message}/cancel"

    refused = stranger.request("POST", path, json={})
    cancelled = own.post(path, {})
    again = own.post(path, {})

    sandbox.mail.clear_faults()
    later(HOUR).relay.run(account["id"], until=now() + HOUR + 15 * MINUTE)
    assert refused.status_code == 404
    assert cancelled == again == record(cast, message)
    assert cancelled["state"] == "cancelled"
    assert cancelled["cancelled_by"] == cancelled["caller"]
    assert [one["state"] for one in cancelled["recipients"]] == ["cancelled"]
    assert copies(sandbox, cancelled["message_id"]) == []


def test_a_role_cancels_by_its_signature(sandbox: Sandbox, cast: Cast, account: dict[str, Any]) -> None:
    """The same path behind /iam/v1."""
    arn, credentials = made_role(sandbox, policy=INVOKE)
    cast.api.post(
        "/v1/callers", {"kind": "role", "arn": arn, "name": "r", "scopes": ["send"], "accounts": ["*"]}
    )
    message = signed(sandbox, credentials, "/iam/v1/messages", letter(account["id"])).json()["id"]
    in_state(cast, message, "deferred")

    answer = signed(sandbox, credentials, f"/iam/v1/messages/{message}/cancel", {})

    assert answer.status_code == 200, answer.text
    assert answer.json()["cancelled_by"].endswith(arn)


def test_F37_cancelled_while_its_bytes_are_on_their_way(sandbox: Sandbox, cast: Cast) -> None:
    """The worker is in DATA: it may not write the final dot, and the server throws the message away."""
    account = cast.connected("google", f"owner-{secrets.token_hex(4)}@example.com")
    fault = sandbox.mail.inject("DATA", "pause", user=account["address"])
    message = cast.api.post("/v1/messages", letter(account["id"]))["id"]
    sandbox.mail.wait_for_fault(fault, timeout=30)

    cancelled = cast.api.post(f"/v1/messages/{message}/cancel", {})
    sandbox.mail.release(fault)
    after = cast.api.post("/v1/messages", letter(account["id"]))["id"]

    arrived = in_state(cast, after, "sent")
    until(lambda: all(one["closed_at"] for one in sessions_of(sandbox, account)))
    assert cancelled["state"] == "cancelled"
    assert record(cast, message) == cancelled
    assert [one["outcome"] for one in cancelled["attempts"]] == ["cancelled"]
    assert copies(sandbox, cancelled["message_id"]) == []
    assert len(copies(sandbox, arrived["message_id"])) == 1


def sessions_of(sandbox: Sandbox, account: dict[str, Any]) -> list[Any]:
    """The mailbox's connections to the mail server."""
    return [one for one in sandbox.mail.sessions() if one["user"] == account["address"]]


def test_F37_cancelled_after_the_dot_it_is_too_late(sandbox: Sandbox, cast: Cast) -> None:
    """The server may have it: the answer says so, and the message ends as sent."""
    account = cast.connected("google", f"owner-{secrets.token_hex(4)}@example.com")
    fault = sandbox.mail.inject("DOT", "pause", user=account["address"])
    message = cast.api.post("/v1/messages", letter(account["id"]))["id"]
    sandbox.mail.wait_for_fault(fault, timeout=30)

    refused = cast.api.request("POST", f"/v1/messages/{message}/cancel", json={})
    sandbox.mail.release(fault)

    sent = in_state(cast, message, "sent")
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "too_late_to_cancel"
    assert "committing" in refused.json()["error"]["message"]
    assert len(copies(sandbox, sent["message_id"])) == 1


def test_the_command_cancels_what_can_be_cancelled(
    sandbox: Sandbox, cast: Cast, account: dict[str, Any], tmp_path: Path
) -> None:
    """Two messages in one command, one of which is there."""
    message = cast.api.post("/v1/messages", letter(account["id"]))["id"]
    in_state(cast, message, "deferred")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    environment["MAILGRANT_SANDBOX_DIRECTORY"] = str(sandbox.directory)

    command = [str(PROJECT / "mailgrant"), "messages", "cancel", message, "msg_1", "--json"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    answer = json.loads(said.stdout)
    assert said.returncode == 1, said.stderr
    assert answer["messages"] == [record(cast, message)]
    assert [(one["id"], one["error"]["code"]) for one in answer["refused"]] == [
        ("msg_1", "message_not_found")
    ]
