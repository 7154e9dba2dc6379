"""The demo: mailboxes are connected, mail is relayed, a token is refreshed; each step is checked."""

from __future__ import annotations

import base64
import email
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parseaddr
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from sandbox.cast import Cast
from sandbox.errors import SandboxError
from sandbox.person import heading
from sandbox.stack import ALIAS, PROJECT, STAGE

if TYPE_CHECKING:
    from sandbox.cast import ProviderName
    from sandbox.stack import Sandbox

SAMPLE: Final = PROJECT / "sandbox" / "samples" / "hello.eml"
GOOGLE_MAILBOX: Final = "grace@example.org"
INVITED_MAILBOX: Final = "mary@example.net"
ARRIVAL_SECONDS: Final = 30.0
SHORT_LIFE: Final = 4
"""Seconds that the demo's short-lived access token lasts."""
USUAL_LIFE: Final = 3600
_POLL_SECONDS: Final = 1.0
_ENDED: Final = frozenset({"failed", "cancelled"})


class DemoError(SandboxError):
    """A step did not do what it should; the text says which and why."""


@dataclass(frozen=True)
class Eml:
    """A file of mail: its name, its bytes, and the address in its From, whose mailbox will send it."""

    name: str
    content: bytes = field(repr=False)
    sender: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the file. Raises DemoError if that cannot be done, or if its From has no address."""
        try:
            content = path.expanduser().read_bytes()
        except OSError as error:
            raise DemoError(f"{path} cannot be read: {error.strerror}") from error
        if not content.strip():
            raise DemoError(f"{path} is empty")
        sender = parseaddr(str(email.message_from_bytes(content).get("From", "")))[1]
        if "@" not in sender:
            raise DemoError(f"{path} has no From header with an address, so no mailbox can send it")
        return cls(path.name, content, sender.lower())


@dataclass
class Demo:
    """Plays the main job in `sandbox`; the mailbox that `eml` is from is connected, and sends it as it is."""

    sandbox: Sandbox
    eml: Eml
    say: Callable[[str], None] = print
    cast: Cast = field(init=False)

    def __post_init__(self) -> None:
        """Everything is done as the sandbox's administrator."""
        self.cast = Cast(self.sandbox)

    def play(self) -> None:
        """Plays every step in order. Raises DemoError or ApiError at the first that fails."""
        microsoft = self._connect("microsoft", self.eml.sender)
        google = self._connect("google", other_than(self.eml.sender, GOOGLE_MAILBOX))
        self._send_by_https(microsoft)
        self._send_by_invoke(google)
        self._send_file(microsoft)
        self._outlive_a_token(google)

    def invite(self) -> dict[str, Any]:
        """An account whose owner has a connect link and has not opened it yet."""
        address = self.cast.mailbox("google", other_than(self.eml.sender, INVITED_MAILBOX))
        return self.cast.account(self.cast.connector("google"), address)

    def _connect(self, provider: ProviderName, address: str) -> dict[str, Any]:
        self.say(f"\nConnecting {address} ({provider})")
        connector = self.cast.connector(provider)
        self.say(f"  connector {connector['id']}, redirect URI {connector['redirect_uri']}")
        self.cast.mailbox(provider, address)
        made = self.cast.account(connector, address)
        self.say(f"  connect link {made['connect_link']}")
        shown = self.cast.person().connect(made["connect_link"], mailbox=address)
        account = self._account(made)
        if account["status"] != "connected":
            raise DemoError(f"{address} is {account['status']}: {heading(shown.text)}")
        self.say(
            f"  {heading(shown.text)} (account {account['id']}, token until {account['token_expires_at']})"
        )
        return account

    def _send_by_https(self, account: dict[str, Any]) -> None:
        self.say("\nSending by HTTPS with an API key that may only send as this account")
        key = self._caller(account, kind="key", name="demo")["key"]
        headers = {"Authorization": f"Bearer {key}"}
        self._await_arrival(self.cast.api.post("/v1/messages", _letter(account, "by HTTPS"), headers=headers))

    def _send_by_invoke(self, account: dict[str, Any]) -> None:
        self.say(f"\nSending by invoking the function send, alias {ALIAS}")
        self._caller(account, kind="lambda", alias=ALIAS, name="demo alias")
        client = self.sandbox.emulator.session().client("lambda")
        answer = client.invoke(
            FunctionName=f"mailgrant-{STAGE}-send",
            Qualifier=ALIAS,
            Payload=json.dumps(_letter(account, "by invoke")),
        )
        accepted = json.load(answer["Payload"])
        if "id" not in accepted:
            raise DemoError(f"the function did not accept the message: {json.dumps(accepted)}")
        self._await_arrival(accepted)

    def _send_file(self, account: dict[str, Any]) -> None:
        self.say(f"\nSending the file {self.eml.name} as it is")
        raw = base64.b64encode(self.eml.content).decode()
        self._await_arrival(self.cast.api.post("/v1/messages", {"account": account["id"], "raw": raw}))

    def _outlive_a_token(self, account: dict[str, Any]) -> None:
        self.say(
            f"\nReconnecting {account['address']}: a token that lasts {SHORT_LIFE} s, until it has expired"
        )
        self.sandbox.provider.set_lifetime(access=SHORT_LIFE)
        link = self.cast.api.post(f"/v1/accounts/{account['id']}/connect-link", {})
        self.cast.person().connect(link["connect_link"], mailbox=account["address"])
        self.sandbox.provider.set_lifetime(access=USUAL_LIFE)
        before = self._account(account)
        time.sleep(max(_timestamp(before["token_expires_at"]) - time.time(), 0) + 1)
        self.say(f"  the token ended at {before['token_expires_at']}")
        self._await_arrival(self.cast.api.post("/v1/messages", _letter(account, "after the token expired")))
        after = self._account(account)
        if after["token_expires_at"] <= before["token_expires_at"]:
            raise DemoError("the message arrived, but the token was not refreshed")
        self.say(f"  refreshed at {after['refreshed_at']}; the new token ends at {after['token_expires_at']}")

    def _caller(self, account: dict[str, Any], **facts: str) -> dict[str, Any]:
        return self.cast.api.post("/v1/callers", {**facts, "scopes": ["send"], "accounts": [account["id"]]})

    def _account(self, account: dict[str, Any]) -> dict[str, Any]:
        return self.cast.api.get(f"/v1/accounts/{account['id']}")

    def _await_arrival(self, accepted: dict[str, Any]) -> None:
        record = self.cast.api.get(f"/v1/messages/{accepted['id']}")
        arrived = self._arrival(record)
        took = arrived["received_at"] - _timestamp(record["accepted_at"])
        self.say(f"  accepted {accepted['id']}")
        self.say(f"  arrived  {arrived['message_id']}, {took:.2f} s after it was accepted")

    def _arrival(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the mail server has; raise DemoError when it will not come, or not in time."""
        deadline = time.monotonic() + ARRIVAL_SECONDS
        while True:
            try:
                return self.sandbox.mail.wait_for(record["message_id"], timeout=_POLL_SECONDS)
            except TimeoutError as error:
                now = self.cast.api.get(f"/v1/messages/{record['id']}")
                if now["state"] in _ENDED or time.monotonic() > deadline:
                    raise DemoError(_why(now)) from error


def other_than(address: str, wanted: str) -> str:
    """The wanted address, or a similar one if it is the first one."""
    return f"another.{wanted}" if wanted == address else wanted


def _letter(account: dict[str, Any], how: str) -> dict[str, Any]:
    return {
        "account": account["id"],
        "to": ["charles@example.net"],
        "subject": f"Sent {how}",
        "text": f"This message was sent {how}.\n",
        "html": f"<p>This message was sent <b>{how}</b>.</p>",
    }


def _timestamp(shown: str) -> float:
    return datetime.fromisoformat(shown).timestamp()


def _why(record: Mapping[str, Any]) -> str:
    """Why a message has not arrived: its state, and what its last attempt was told."""
    lines = [f"message {record['id']} did not arrive; it is {record['state']}"]
    for attempt in record["attempts"][-1:]:
        if reply := attempt["reply"]:
            lines.append(f"  the mail server said {reply['code']} {reply['text']}")
        if diagnosis := attempt["diagnosis"]:
            lines += [f"  {diagnosis['message']}", f"  {diagnosis['fix']}"]
    return "\n".join(lines)
