"""The application stack holds no data: deleted and deployed again, everything is still there and flows."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from tests.helpers import SHORT_LIFE, USUAL_LIFE, copies, in_state, invoke, letter, token_expired

if TYPE_CHECKING:
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox


def test_deleted_and_deployed_again(sandbox: Sandbox, cast: Cast) -> None:
    """Accounts, tokens and queued mail outlive the application; a key and a refresh still work after it."""
    sandbox.provider.set_lifetime(access=SHORT_LIFE)
    account = cast.connected("microsoft", f"owner-{secrets.token_hex(4)}@example.com")
    sandbox.mail.inject("MAIL", code=451, text="4.3.0 Try again later", user=account["address"])
    waiting = cast.api.post("/v1/messages", letter(account["id"], subject="Queued before"))["id"]
    in_state(cast, waiting, "deferred")
    token_expired(cast.api.get(f"/v1/accounts/{account['id']}"))
    sandbox.provider.set_lifetime(access=USUAL_LIFE)
    asked = len(sandbox.provider.token_requests())

    sandbox.delete_application()
    gone = sandbox.emulator.session().client("lambda").list_functions()["Functions"]
    sandbox.deploy(sandbox.package)

    after = cast.api.post("/v1/messages", letter(account["id"], subject="Queued after"))["id"]
    for message in (after, waiting):
        sent = in_state(cast, message, "sent", meanwhile=lambda: invoke(sandbox, "relay-due"))
        assert len(copies(sandbox, sent["message_id"])) == 1
    (refreshed,) = sandbox.provider.token_requests()[asked:]
    assert gone == []
    assert (refreshed.user, refreshed.grant_type) == (account["address"], "refresh_token")
    assert cast.api.get(f"/v1/accounts/{account['id']}")["status"] == "connected"
