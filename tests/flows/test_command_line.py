"""The script ./mailgrant against the sandbox: what a person or a program types, and what becomes of it."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.stack import PROJECT
from tests.helpers import copies, until

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.cast import Cast
    from sandbox.stack import Sandbox

DONE, REFUSED, MISUSED, _, NOT_SENT = range(5)


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """What it printed with ``--json``, after checking that it worked."""
        assert self.code == DONE, self
        return json.loads(self.out)


@dataclass(frozen=True)
class Shell:
    """Runs ./mailgrant as from a terminal without any configuration but the sandbox's."""

    environment: dict[str, str]
    home: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a command that goes on."""
        pipe = subprocess.PIPE
        command = [str(PROJECT / "mailgrant"), *arguments]
        return subprocess.Popen(
            command, cwd=self.home, env=self.environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )

    def __call__(self, *arguments: str, stdin: str = "") -> Said:
        """Runs a command to its end."""
        with self.start(*arguments) as process:
            out, err = process.communicate(stdin, timeout=60)
        assert "Traceback" not in err, err
        return Said(process.returncode, out, err)


@pytest.fixture
def mailgrant(sandbox: Sandbox, tmp_path: Path) -> Shell:
    """The command line, configured by the file that the sandbox writes."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    return Shell(environment | {"MAILGRANT_SANDBOX_DIRECTORY": str(sandbox.directory)}, tmp_path)


@pytest.fixture
def account(cast: Cast) -> dict[str, Any]:
    """A connected mailbox."""
    return cast.connected("google", f"owner-{secrets.token_hex(4)}@example.com")


def test_a_mailbox_is_set_up_by_commands_alone(sandbox: Sandbox, cast: Cast, mailgrant: Shell) -> None:
    """Connector, account and connect link are made and shown; while --wait waits, the owner connects."""
    client, secret = f"client-{secrets.token_hex(4)}", secrets.token_urlsafe(16)
    address = cast.mailbox("microsoft", f"owner-{secrets.token_hex(4)}@example.com")

    made = mailgrant(
        *("connectors", "add", "--provider", "microsoft", "--name", "Ours", "--client-id", client),
        "--json",
        stdin="a mistyped secret\n",
    )
    connector = made.json()
    sandbox.provider.register_client(client, secret, [connector["redirect_uri"]], "microsoft")
    replaced = mailgrant("connectors", "secret", connector["id"], stdin=f"{secret}\n")
    shown = mailgrant("connectors", "show", connector["id"])
    added = mailgrant("accounts", "add", "--connector", connector["id"], "--name", "orders desk", address)
    with mailgrant.start("connect", "orders desk", "--wait") as waiting:
        assert waiting.stdout is not None
        link = waiting.stdout.readline().strip()
        cast.person().connect(link, mailbox=address)
        said, _ = waiting.communicate(timeout=60)

    assert replaced.out.splitlines()[-1].startswith("The secret is replaced. The former one is kept")
    assert secret not in replaced.out + shown.out + made.out
    assert connector["redirect_uri"] in shown.out
    assert connector["id"] in mailgrant("connectors", "list").out
    assert re.search(r"^connect link +https://", added.out, re.MULTILINE)
    assert re.search(r"^mail +nothing waits *$", added.out, re.MULTILINE)
    assert waiting.returncode == DONE
    assert said == f"{address} is connected.\n"
    assert mailgrant("accounts", "show", "orders desk", "--json").json()["status"] == "connected"
    assert re.search(rf"orders desk +{address} +connected", mailgrant("accounts", "list").out)


def test_a_message_with_everything_is_sent_and_followed(
    sandbox: Sandbox, mailgrant: Shell, account: dict[str, Any]
) -> None:
    """Text from standard input, HTML from a file, an attachment, all recipients; it waits for sent."""
    (mailgrant.home / "hello.html").write_text("<p>Grüße</p>")
    (mailgrant.home / "figures.csv").write_text("a,b\n")
    to, html = ["--to", "a@example.net", "--cc", "b@example.net", "--bcc", "c@example.net"], "@hello.html"

    said = mailgrant(
        *("send", "--account", account["name"], *to, "--subject", "Für Sie", "--text", "-", "--html", html),
        *("--attach", "figures.csv", "--reply-to", "answers@example.net", "--follow", "--json"),
        stdin="Grüße\n",
    ).json()

    (arrived,) = copies(sandbox, said["message_id"])
    (shown,) = sandbox.mail.messages(message_id=said["message_id"])
    raw = sandbox.mail.raw(shown["number"]).decode()
    assert said["state"] == "sent"
    assert set(arrived["recipients"]) == {"a@example.net", "b@example.net", "c@example.net"}
    assert shown["subject"] == "Für Sie"
    assert "text/csv" in raw
    assert "filename=figures.csv" in raw
    assert "Reply-To: answers@example.net" in raw
    assert "text/html" in raw


@pytest.mark.parametrize("given", ["file", "stdin"])
def test_a_file_of_mail_is_sent_as_it_is(
    sandbox: Sandbox, mailgrant: Shell, account: dict[str, Any], given: str
) -> None:
    """By its path or by standard input."""
    message_id = f"<{secrets.token_hex(8)}@example.com>"
    content = (
        f"From: {account['address']}\r\nTo: a@example.net\r\nMessage-ID: {message_id}\r\n"
        "Date: Sat, 21 Nov 2026 08:00:00 +0000\r\nSubject:  Two  spaces\r\n\r\n.\r\nThe end\r\n"
    )
    path = mailgrant.home / "message.eml"
    path.write_bytes(content.encode())
    eml = str(path) if given == "file" else "-"

    said = mailgrant("send", "--account", account["id"], "--eml", eml, "--follow", stdin=content)

    (shown,) = sandbox.mail.messages(message_id=message_id)
    assert said.code == DONE, said
    assert sandbox.mail.raw(shown["number"]) == content.encode()
    assert re.search(r"^Attempt 1 .* sent  250 2\.0\.0 OK", said.out, re.MULTILINE)


def test_the_same_idempotency_key_sends_once(
    sandbox: Sandbox, mailgrant: Shell, account: dict[str, Any]
) -> None:
    """The second command is answered with the first one's message."""
    command = [
        "send",
        "--account",
        account["id"],
        "--to",
        "a@example.net",
        "--subject",
        "Once",
        "--text",
        "x",
    ]
    key = ["--idempotency-key", secrets.token_hex(8), "--json"]

    first, second = mailgrant(*command, *key).json(), mailgrant(*command, *key).json()

    followed = mailgrant("messages", "follow", first["id"], "--json").json()
    assert second["id"] == first["id"]
    assert second["replayed"] is True
    assert len(copies(sandbox, followed["message_id"])) == 1


def test_a_refusal_is_followed_to_its_reason(
    sandbox: Sandbox, mailgrant: Shell, account: dict[str, Any]
) -> None:
    """Exit code 4; the attempt shows what the server said, and the list shows the message as failed."""
    sandbox.mail.inject("RCPT", code=550, text="5.1.1 No such mailbox", user=account["address"])

    said = mailgrant(
        *("send", "--account", account["id"], "--to", "a@example.net", "--text", "x", "--follow")
    )

    message = said.out.split()[0]
    assert said.code == NOT_SENT
    assert "550 5.1.1 No such mailbox" in said.out
    assert re.search(r"^state +failed", mailgrant("messages", "show", message).out, re.MULTILINE)
    listed = mailgrant("messages", "list", "--account", account["name"])
    assert re.search(rf"^{message} +failed ", listed.out, re.MULTILINE)


def test_what_nobody_knows_is_settled_by_a_person(
    sandbox: Sandbox, mailgrant: Shell, account: dict[str, Any]
) -> None:
    """A message whose answer was lost stays unknown until it is resolved, and then shows by whom."""
    sandbox.mail.inject("DOT", "drop", when="after_store", user=account["address"])
    command = ["send", "--account", account["id"], "--to", "a@example.net", "--text", "x"]

    unknown = mailgrant(*command, "--on-unknown", "keep", "--follow")
    message = unknown.out.split()[0]
    resolved = mailgrant("messages", "resolve", message, "--as", "sent")

    shown = mailgrant("messages", "show", message, "--json").json()
    assert unknown.code == NOT_SENT
    assert resolved == Said(DONE, f"{message} sent\n", "")
    assert shown["state"] == "sent"
    assert shown["resolved_by"]
    assert len(copies(sandbox, shown["message_id"])) == 1


def test_a_key_may_do_what_it_was_made_for_until_it_is_revoked(
    sandbox: Sandbox, mailgrant: Shell, account: dict[str, Any]
) -> None:
    """Its text is shown once; it sends and administrates nothing; after its revocation it does nothing."""
    made = mailgrant("keys", "create", "shop", "--scope", "send", "--account", account["name"], "--days", "3")
    (text,) = re.findall(r"^mg_\S+$", made.out, re.MULTILINE)
    (key,) = re.findall(r"^id +(key_\S+)", made.out, re.MULTILINE)
    shop = Shell(
        {
            "PATH": "/usr/bin:/bin",
            "HOME": str(mailgrant.home),
            "MAILGRANT_URL": sandbox.url,
            "MAILGRANT_KEY": text,
            "MAILGRANT_CA": str(sandbox.authority.cafile),
        },
        mailgrant.home,
    )
    send = ["send", "--account", account["name"], "--to", "a@example.net", "--text", "x", "--json"]

    sent = shop(*send).json()
    beyond = shop("connectors", "list", "--json")
    listed = mailgrant("keys", "list")
    revoked = mailgrant("keys", "revoke", key, "--yes")
    refused = until(lambda: refusal(shop(*send)))

    assert sent["state"] == "queued"
    assert refusal(beyond) == "scope_missing"
    assert key in listed.out
    assert text not in listed.out
    assert revoked.out == f"{key} is revoked.\n"
    assert refused == "invalid_key"


def refusal(said: Said) -> str | None:
    """The error's code, if the command was refused."""
    return json.loads(said.err)["error"]["code"] if said.code == REFUSED else None


def test_who_and_where_one_is(sandbox: Sandbox, mailgrant: Shell, account: dict[str, Any]) -> None:
    """The caller, the stage, the accounts by status, and what is wrong."""
    status = json.loads(mailgrant("status", "--json").out)

    assert mailgrant("whoami", "--json").json()["name"] == "sandbox administrator"
    assert status["url"] == sandbox.url
    assert status["configured_by"] == str(sandbox.configuration)
    assert status["accounts"]["by_status"]["connected"] >= 1
    assert mailgrant("status").code == int(bool(status["troubles"]))


def test_what_goes_wrong_has_its_exit_code(mailgrant: Shell, tmp_path: Path) -> None:
    """The reason and its fix are on standard error; all exit codes are in tests/unit/test_cli_terminal.py."""
    refused = mailgrant("accounts", "show", "nobody")
    stopped = Shell({**mailgrant.environment, "MAILGRANT_SANDBOX_DIRECTORY": str(tmp_path)}, tmp_path)
    misused = stopped("whoami")

    assert (refused.code, refused.out) == (REFUSED, "")
    assert refused.err.startswith("Refused: There is no account")
    assert "\nFix: " in refused.err
    assert misused.code == MISUSED
    assert "No sandbox runs in" in misused.err
