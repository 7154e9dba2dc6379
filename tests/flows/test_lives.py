"""The lives of a connector and an account through the deployed functions, each with its own role's rights."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from tests.helpers import in_state, letter, until

if TYPE_CHECKING:
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox


def test_an_account_is_verified_paused_disconnected_deleted_restored_and_connected_again(
    sandbox: Sandbox, cast: Cast
) -> None:
    """Mail that waits while it is paused, and while it is disconnected, goes on afterwards."""
    account = cast.connected("google", f"owner-{secrets.token_hex(4)}@example.com")
    path = f"/v1/accounts/{account['id']}"

    verified = cast.api.post(f"{path}/verify", {})
    paused = cast.api.post(f"{path}/pause", {"reason": "an audit"})
    message = cast.api.post("/v1/messages", letter(account["id"]))["id"]
    held = in_state(cast, message, "held")
    disconnected = cast.api.post(f"{path}/disconnect", {})
    resumed = cast.api.post(f"{path}/resume", {})
    link = cast.api.post(f"{path}/connect-link", {})["connect_link"]
    cast.person().connect(link, mailbox=account["address"]).raise_for_status()
    sent = in_state(cast, message, "sent")
    renamed = cast.api.call("PATCH", path, {"name": f"sales {secrets.token_hex(4)}"})
    deleted = cast.api.call("DELETE", path)
    restored = cast.api.post(f"{path}/restore", {})

    assert verified["ok"] is True, verified
    assert (paused["status"], resumed["status"]) == ("paused", "disconnected")
    assert held["state"] == "held"
    assert (disconnected["status"], disconnected["revocation"]) == ("disconnected", "revoked")
    assert len(sandbox.mail.messages(message_id=sent["message_id"])) == 1
    assert deleted["revocation"] == "revoked"
    assert (restored["status"], restored["name"]) == ("disconnected", renamed["name"])


def test_a_connector_gets_another_secret_and_is_deleted(sandbox: Sandbox, cast: Cast) -> None:
    """A secret is tried at the provider first; the end waits for the accounts."""
    connector = cast.connector("microsoft")
    path = f"/v1/connectors/{connector['id']}"
    new = secrets.token_urlsafe(24)

    refused = cast.api.request("PUT", f"{path}/secret", json={"client_secret": new})
    sandbox.provider.register_client(connector["client_id"], new, [connector["redirect_uri"]], "microsoft")
    replaced = cast.api.call("PUT", f"{path}/secret", {"client_secret": new})
    account = cast.account(connector, f"owner-{secrets.token_hex(4)}@example.com")
    listed = until(lambda: cast.api.get(path)["accounts"])  # the index may be behind
    in_use = cast.api.request("DELETE", path)
    unused = cast.connector("google")
    deleted = cast.api.call("DELETE", f"/v1/connectors/{unused['id']}")

    assert refused.json()["error"]["code"] == "secret_refused"
    assert (replaced["check"], replaced["previous_kept"]) == ({"ok": True}, True)
    assert [one["id"] for one in listed] == [account["id"]]
    assert in_use.json()["error"]["code"] == "connector_in_use"
    assert deleted["deleted"] is True
