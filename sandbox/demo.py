"""The demo: mailboxes are connected, mail is relayed, a token expires and is refreshed; every step is checked."""

from __future__ import annotations

import base64
import email
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.policy import SMTP
from email.utils import parseaddr
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sandbox.cast import Cast
from sandbox.person import heading
from sandbox.stack import ALIAS, PROJECT, STAGE, rows

if TYPE_CHECKING:
    from sandbox.stack import Sandbox

SAMPLE: Final = PROJECT / "sandbox" / "samples" / "hello.eml"
ARRIVAL_SECONDS: Final = 30.0
SHORT_LIFE: Final = 8
"""Seconds that the demo's short-lived access token lasts."""
USUAL_LIFE: Final = 3600


class DemoError(Exception):
    """A step did not do what it should; the text says which and why."""


@dataclass
class Demo:
    """Plays the main job in `sandbox`. `eml` is a file that is sent as it is; its From becomes the mailbox."""

    sandbox: Sandbox
    eml: Path = SAMPLE
    say: Callable[[str], None] = print

    def __post_init__(self) -> None:
        """Reads the file first, so that a bad one is known before anything is connected."""
        self.cast = Cast(self.sandbox)
        self._raw = self.eml.read_bytes()
        self._sender = parseaddr(email.message_from_bytes(self._raw, policy=SMTP).get("From", ""))[1]
        if not self._sender:
            raise DemoError(f"{self.eml} has no From header with an address, so no mailbox can send it")

    def play(self) -> None:
        """Plays every step in order. Raises DemoError at the first that fails."""
        microsoft = self._connect("microsoft", self._sender)
        google = self._connect("google", "grace@example.org")
        self._send_by_https(microsoft)
        self._send_by_invoke(google)
        self._send_file(microsoft)
        self._outlive_a_token(google)

    def _connect(self, provider: Any, address: str) -> dict[str, Any]:
        self.say(f"\nConnecting {address} ({provider})")
        connector = self.cast.connector(provider)
        self.say(f"  connector {connector['id']}, redirect URI {connector['redirect_uri']}")
        self.cast.mailbox(provider, address)
        made = self.cast.account(connector, address)
        self.say(f"  connect link {made['connect_link']}")
        shown = self.cast.person().connect(made["connect_link"], mailbox=address)
        account = self.cast.api.get(f"/v1/accounts/{made['id']}")
        if account["status"] != "connected":
            raise DemoError(f"{address} is {account['status']}: {heading(shown.text)}")
        self.say(
            f"  {heading(shown.text)} (account {account['id']}, token until {account['token_expires_at']})"
        )
        return account

    def _send_by_https(self, account: dict[str, Any]) -> None:
        self.say("\nSending by HTTPS with an API key that may only send as this account")
        key = self.cast.api.post(
            "/v1/callers", {"kind": "key", "name": "demo", "scopes": ["send"], "accounts": [account["id"]]}
        )
        headers = {"Authorization": f"Bearer {key['key']}"}
        self._await_arrival(self.cast.api.post("/v1/messages", _letter(account, "by HTTPS"), headers=headers))

    def _send_by_invoke(self, account: dict[str, Any]) -> None:
        self.say(f"\nSending by invoking the function send, alias {ALIAS}")
        caller = {
            "kind": "lambda",
            "alias": ALIAS,
            "name": "demo alias",
            "scopes": ["send"],
            "accounts": [account["id"]],
        }
        self.cast.api.post("/v1/callers", caller)
        client = self.sandbox.emulator.session().client("lambda")
        answer = client.invoke(
            FunctionName=f"mailgrant-{STAGE}-send",
            Qualifier=ALIAS,
            Payload=json.dumps(_letter(account, "by invoke")),
        )
        self._await_arrival(json.load(answer["Payload"]))

    def _send_file(self, account: dict[str, Any]) -> None:
        self.say(f"\nSending the file {self.eml.name} as it is")
        raw = base64.b64encode(self._raw).decode()
        self._await_arrival(self.cast.api.post("/v1/messages", {"account": account["id"], "raw": raw}))

    def _outlive_a_token(self, account: dict[str, Any]) -> None:
        self.say(
            f"\nReconnecting {account['address']} with a token that lasts {SHORT_LIFE} s, and letting it expire"
        )
        self.sandbox.provider.set_lifetime(access=SHORT_LIFE)
        link = self.cast.api.post(f"/v1/accounts/{account['id']}/connect-link", {})
        self.cast.person().connect(link["connect_link"], mailbox=account["address"])
        time.sleep(SHORT_LIFE + 1)
        self.sandbox.provider.set_lifetime(access=USUAL_LIFE)
        before = self.cast.api.get(f"/v1/accounts/{account['id']}")
        self.say(f"  the token ended at {before['token_expires_at']}")
        self._await_arrival(self.cast.api.post("/v1/messages", _letter(account, "after the token expired")))
        after = self.cast.api.get(f"/v1/accounts/{account['id']}")
        if after["token_expires_at"] <= before["token_expires_at"]:
            raise DemoError("the message arrived, but the token was not refreshed")
        self.say(f"  refreshed at {after['refreshed_at']}; the new token ends at {after['token_expires_at']}")

    def _await_arrival(self, accepted: dict[str, Any]) -> None:
        if "id" not in accepted:
            raise DemoError(f"not accepted: {accepted}")
        record = self.cast.api.get(f"/v1/messages/{accepted['id']}")
        try:
            arrived = self.sandbox.mail.wait_for(record["message_id"], timeout=ARRIVAL_SECONDS)
        except TimeoutError as error:
            record = self.cast.api.get(f"/v1/messages/{accepted['id']}")
            raise DemoError(
                f"did not arrive within {ARRIVAL_SECONDS:.0f} s: {json.dumps(record, indent=2)}"
            ) from error
        took = arrived["received_at"] - datetime.fromisoformat(record["accepted_at"]).timestamp()
        self.say(f"  accepted {accepted['id']}")
        self.say(f"  arrived  {arrived['message_id']}, {took:.2f} s after it was accepted")


def _letter(account: dict[str, Any], how: str) -> dict[str, Any]:
    return {
        "account": account["id"],
        "to": ["charles@example.net"],
        "subject": f"Sent {how}",
        "text": f"This message was sent {how}.\n",
        "html": f"<p>This message was sent <b>{how}</b>.</p>",
    }


def farewell(sandbox: Sandbox) -> str:
    """What to try next, with every URL."""
    lines = [f"  {name:<16} {url}" for name, url in rows(sandbox)]
    return "\n".join(
        [
            "\nEverything is up; Ctrl-C ends it.",
            *lines,
            "\nIn another terminal:",
            "  ./mailgrant accounts list",
            "  ./mailgrant messages list --account ada@example.com",
            "  ./mailgrant --help",
        ]
    )
