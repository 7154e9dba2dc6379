"""Somebody who follows a page to the letter: types its commands, and does in consoles what it asks for."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import uuid4

from sandbox.cast import ROLES
from sandbox.credentials import ClientCertificate, ServiceAccountKey
from tests.docs.pages import ROOT
from tests.helpers import letter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandbox.cast import Cast

SECONDS: Final = 60.0
"""How long a command may take."""
ALLOWED: Final = {"./mailgrant status": (0, 1)}
"""The beginnings of commands whose exit code tells something else than whether they worked."""

ADDRESS: Final = re.compile(r"[\w.-]+@[\w.]+")
DOMAIN: Final = "example.com"
"""The domain whose people the service account of a page may act for."""
MAILBOX: Final = re.compile(r"\bsales@([a-z.]+)")
FILES: Final = {
    "invoice.pdf": b"%PDF-1.7\n",
    "letter.eml": b"From: sales@example.com\r\nTo: you@example.net\r\nSubject: A letter\r\n\r\nHello.\r\n",
    "letter.txt": b"Hello.\n",
    "export.csv": b"address,refresh_token\nada@example.com,a-token\n",
}
"""Files that a page names as the reader's own."""

TAKEN: Final = re.compile(r" takes it\.|It has no secret")
"""What is said of a new connector that can be used."""

TENANT: Final = re.compile(r"--tenant (\S+)")

_CONNECT_LINK = re.compile(r"https://\S+/connect/\S+")
_NEW_CONNECTOR = re.compile(r"id +(con_\w+)\s*")
_REDIRECT_URI = re.compile(r"https://\S+/oauth/callback/con_\w+")


@dataclass
class Reader:
    """Follows one page, with a mailbox and a client of their own."""

    cast: Cast
    home: Path
    provider: Literal["microsoft", "google"]
    certificate: ClientCertificate = field(init=False)
    key: ServiceAccountKey = field(init=False)
    client_id: str = field(default_factory=lambda: str(uuid4()))
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    mailbox: str = ""
    connector: str = ""
    tenant: str | None = None

    def __post_init__(self) -> None:
        """Lays the files out that pages name."""
        self.certificate, self.key = ClientCertificate.create(), ServiceAccountKey.create()
        own = {"client.pem": self.certificate.pem.encode(), "key.json": self.key.text.encode()}
        for name, content in {**FILES, **own}.items():
            (self.home / name).write_bytes(content)
        self._mark = secrets.token_hex(4)

    def settle(self, commands: list[str]) -> None:
        """Makes what the page takes for granted: a mailbox, which is connected unless the page does that."""
        text = "\n".join(commands)
        if found := MAILBOX.search(text):
            self.mailbox = self._own(found)
            if "accounts add" in text:
                self.cast.mailbox(self.provider, self.mailbox)
            else:
                self.cast.connected(self.provider, self.mailbox)
        if "connectors add" not in text and "con_…" in text:
            self.connector = self.cast.connector(self.provider)["id"]

    def follow(self, command: str) -> None:
        """Types the command; raises AssertionError if it does not work."""
        if "connectors add" in command:
            self.tenant = found[1] if (found := TENANT.search(command)) else None
            self._register([])
        self._prepare(command)
        code, said = self._type(self._filled(command))
        fine = next((codes for begin, codes in ALLOWED.items() if command.startswith(begin)), (0,))
        assert code in fine, f"{command}\n{said}"
        assert '{"error"' not in said, f"{command}\n{said}"
        assert "connectors add" not in command or TAKEN.search(said), f"{command}\n{said}"

    def _prepare(self, command: str) -> None:
        """Does what a page asks for before an account is connected without its owner."""
        sandbox, (address, *_) = self.cast.sandbox, [*ADDRESS.findall(command), ""]
        if "accounts add" in command and "client_credentials" in command:
            sandbox.provider.register_user(address)
            sandbox.mail.mailbox(address, applications=[self.client_id])
        if "accounts add" in command and "service_account" in command:
            sandbox.provider.register_user(address, provider="google", tenant=DOMAIN)

    def _type(self, command: str) -> tuple[int, str]:
        """Exit code and output. While the command runs, what it asks for is done in the consoles."""
        environment = {
            "PATH": os.defpath,
            "HOME": str(self.home),
            "MAILGRANT_URL": self.cast.sandbox.url,
            "MAILGRANT_KEY": self.cast.sandbox.key,
            "MAILGRANT_CA": str(self.cast.sandbox.authority.cafile),
            "CURL_CA_BUNDLE": str(self.cast.sandbox.authority.cafile),
            "MAILGRANT_CLIENT_SECRET": self.secret,
        }
        with subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            deadline = threading.Timer(SECONDS, process.kill)
            deadline.start()
            said = ""
            for line in process.stdout:
                said += line
                self._obey(line)
            deadline.cancel()
            return process.wait(), said

    def _obey(self, line: str) -> None:
        """Registers a redirect URI at the provider, and connects the mailbox by its link."""
        if found := _NEW_CONNECTOR.fullmatch(line):
            self.connector = found[1]
        elif found := _REDIRECT_URI.search(line):
            self._register([found[0]])
        elif found := _CONNECT_LINK.search(line):
            self.cast.person().connect(found[0], mailbox=self.mailbox).raise_for_status()

    def _register(self, redirect_uris: list[str]) -> None:
        provider, own = self.cast.sandbox.provider, {"keys": [self.certificate.certificate], "roles": ROLES}
        more: dict[str, Any] = own if self.provider == "microsoft" else {}
        client = (self.client_id, self.secret, redirect_uris, self.provider)
        provider.register_client(*client, tenant=self.tenant, **more)
        allowed = {DOMAIN: ["https://mail.google.com/"]}
        provider.register_service_account(self.key.values, self.key.public, allowed)

    def _filled(self, command: str) -> str:
        """The command with real things in the place of placeholders."""
        filled = MAILBOX.sub(self._own, command)
        for placeholder, thing in PLACEHOLDERS.items():
            filled = re.sub(placeholder, lambda _, thing=thing: thing(self), filled)  # type: ignore[misc]
        for name in (*FILES, "client.pem", "key.json"):
            filled = re.sub(rf"(?<=[ @]){re.escape(name)}", str(self.home / name), filled)
        return filled

    def _own(self, found: re.Match[str]) -> str:
        return f"sales-{self._mark}@{found[1]}"

    def waiting_message(self) -> str:
        """The id of a message that waits, because its account is paused."""
        account = self.cast.connected(self.provider, f"waiting-{secrets.token_hex(4)}@example.com")["id"]
        self.cast.api.post(f"/v1/accounts/{account}/pause", {})
        return str(self.cast.api.post("/v1/messages", letter(account))["id"])

    def new_key(self) -> str:
        """The id of a key."""
        order = {"kind": "key", "name": "a page", "scopes": ["send"], "accounts": ["*"]}
        return str(self.cast.api.post("/v1/callers", order)["id"])

    def _account(self) -> str:
        return str(self.cast.api.get(f"/v1/accounts/{self.mailbox}")["id"])


PLACEHOLDERS: Final[dict[str, Callable[[Reader], str]]] = {
    "con_…": lambda reader: reader.connector,
    "acc_…": Reader._account,
    "msg_…": Reader.waiting_message,
    "key_…": Reader.new_key,
    "mg_…": lambda reader: reader.cast.sandbox.key,
    "1b6e…": lambda reader: reader.client_id,
    "JVBERi0…": lambda _: "JVBERi0=",
}
"""Placeholder → what a reader would write there."""
