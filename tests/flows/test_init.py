"""``mailgrant init`` against the sandbox: at a terminal of 80 columns, and without one."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import secrets
import select
import struct
import subprocess
import termios
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from sandbox.person import heading
from sandbox.stack import PROJECT
from tests.helpers import copies

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.cast import Cast
    from sandbox.stack import Sandbox

DONE, INTERRUPTED = 0, 130
PATIENCE = 30
COLUMNS = 80
# A process that leads its session has the first terminal that it opens for its own: a hidden answer needs it.
AT_TERMINAL = ("sh", "-c", 'tty=$1; shift; exec <"$tty" >"$tty" 2>&1; exec "$@"', "sh")
WAY = r"How is a mailbox connected\? \[1\]: "
LINK = r"(https://\S+/connect/\S+)\n"


@dataclass
class Screen:
    """What a terminal shows, and the person who types at it."""

    terminal: int
    process: subprocess.Popen[bytes]
    shown: str = ""
    read: int = field(default=0, repr=False)

    def until(self, pattern: str) -> re.Match[str]:
        """Reads on until a pattern comes that was not read yet."""
        while not (found := re.compile(pattern).search(self.shown, self.read)):
            assert select.select([self.terminal], [], [], PATIENCE)[0], self.shown
            self.shown += os.read(self.terminal, 4096).decode(errors="replace").replace("\r\n", "\n")
        self.read = found.end()
        return found

    def answer(self, pattern: str, typed: str = "") -> None:
        """Types an answer after a question came."""
        self.until(pattern)
        os.write(self.terminal, f"{typed}\n".encode())

    def rest(self) -> str:
        """Everything that was shown, after the command has ended."""
        self.process.wait(PATIENCE)
        with contextlib.suppress(OSError):
            while select.select([self.terminal], [], [], 0)[0]:
                self.shown += os.read(self.terminal, 4096).decode(errors="replace").replace("\r\n", "\n")
        return self.shown


@pytest.fixture
def environment(sandbox: Sandbox, tmp_path: Path) -> dict[str, str]:
    """That of somebody who has nothing but the sandbox."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "TERM": "xterm",
        "MAILGRANT_SANDBOX_DIRECTORY": str(sandbox.directory),
    }


@contextlib.contextmanager
def init_at_terminal(environment: dict[str, str]) -> Iterator[Screen]:
    """`./mailgrant init`, as a person sees it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    command = [*AT_TERMINAL, os.ttyname(theirs), str(PROJECT / "mailgrant"), "init"]
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        try:
            yield Screen(ours, process)
        finally:
            process.kill()
            os.close(theirs)
            os.close(ours)


def too_wide(shown: str) -> list[str]:
    """Lines that a terminal breaks, but for what is copied in one piece; the clock is drawn over itself."""
    return [line for line in shown.split("\n") if len(line) > COLUMNS and " " in line and "\r" not in line]


def test_from_nothing_to_a_test_message_at_a_terminal(
    sandbox: Sandbox, cast: Cast, environment: dict[str, str]
) -> None:
    """A person who takes what is offered needs a client id, an address and a browser."""
    cast.connector("google")
    client_id, secret = f"client-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
    address, to = f"owner-{secrets.token_hex(4)}@example.com", f"friend-{secrets.token_hex(4)}@example.net"

    with init_at_terminal(environment) as screen:
        screen.answer(r"  1  the sandbox that runs here, https://\S+\n(.*\n)+Which stage\? \[1\]: ")
        new = screen.until(r"  (\d+)  a new one\n").group(1)
        screen.answer(r"Which app\? \[1\]: ", new)
        screen.answer(r"Who has the mailboxes\? \[1\]: ")
        screen.answer(WAY)
        screen.answer(r"Application \(client\) ID \[init-microsoft\]: ", client_id)
        screen.answer(r"\[common\]: ")
        screen.answer(r"Client secret, its Value \(hidden; Enter makes one up\): ", secret)
        screen.until("Saved. Microsoft takes it.\n")
        screen.answer("Address of the mailbox that shall send: ", address)
        link = screen.until(LINK).group(1)
        screen.until(r"Waiting, 0:0\d")
        cast.person().connect(link, mailbox=address)
        screen.until(f"{address} is connected.\n")
        screen.answer(rf"Send a test message to \[{address}\]: ", to)
        shown = screen.rest()

    assert screen.process.returncode == DONE, shown
    assert "Sent. The mail server took it: 250 " in shown
    assert f"mailgrant keys create shop --scope send --account {address}\n" in shown
    message = re.search(r"Accepted as (msg_\w+)\.", shown)
    assert message is not None
    record = cast.api.get(f"/v1/messages/{message[1]}")
    assert [one["address"] for one in record["recipients"]] == [to]
    assert len(copies(sandbox, record["message_id"])) == 1
    assert secret not in shown
    assert too_wide(shown) == []


def test_an_interrupted_setup_goes_on_without_a_terminal(cast: Cast, environment: dict[str, str]) -> None:
    """Ctrl-C while the owner is waited for; then a script with the same mailbox goes on, and asks nothing.

    Neither another person nor a refusal connects it, and the link outlives both.
    """
    cast.connector("google")
    client_id, address = f"client-{secrets.token_hex(4)}", f"owner-{secrets.token_hex(4)}@example.org"
    another = cast.mailbox("google", f"another-{secrets.token_hex(4)}@example.org")
    command = [str(PROJECT / "mailgrant"), "init", "--client-id", client_id, "--json"]
    pipe = subprocess.PIPE

    with init_at_terminal(environment) as screen:
        screen.answer(r"Which stage\? \[1\]: ")
        screen.answer(r"Which app\? \[1\]: ", screen.until(r"  (\d+)  a new one\n").group(1))
        screen.answer(r"Who has the mailboxes\? \[1\]: ", "2")
        screen.answer(WAY)
        screen.answer(r"Client ID \[init-google\]: ", client_id)
        screen.answer(r"Client secret \(hidden; Enter makes one up\): ")
        screen.answer("Address of the mailbox that shall send: ", address)
        screen.until(r"Waiting, 0:0\d")
        os.write(screen.terminal, b"\x03")
        interrupted = screen.rest()
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        link = next(line.strip() for line in process.stderr if re.search(LINK, line))
        refused = cast.person().connect(link, mailbox=address, accept=False)
        wrong = cast.person().connect(link, mailbox=another)
        right = cast.person().connect(link, mailbox=address)
        out, _ = process.communicate(timeout=PATIENCE)

    assert screen.process.returncode == INTERRUPTED
    assert interrupted.strip().endswith("What is done stays; `mailgrant init` goes on there.")
    assert [heading(page.text) for page in (refused, wrong, right)] == [
        "You did not allow it",
        "You signed in with another mailbox",
        f"{address} is connected",
    ]
    assert process.returncode == DONE
    answer = json.loads(out)
    assert answer["connector"]["client_id"] == client_id
    assert answer["account"]["address"] == answer["message"]["recipients"][0]["address"] == address
    assert answer["message"]["state"] == "sent"


@pytest.mark.parametrize(
    ("provider", "way", "answers"),
    [
        ("1", "2", ["", "", "", ""]),
        ("1", "2", ["2", "", ""]),
        ("2", "2", [""]),
        ("3", "2", [""]),
        ("3", "1", ["", "", "", "", ""]),
    ],
    ids=["certificate", "federated", "service account", "password", "other"],
)
def test_every_way_is_tried_in_the_sandbox_with_what_it_offers(
    cast: Cast, environment: dict[str, str], provider: str, way: str, answers: list[str]
) -> None:
    """Enter at each question about the app; the sandbox does what an administrator would do elsewhere."""
    cast.connector("google")
    address = f"owner-{secrets.token_hex(4)}@{'contoso.example' if provider == '1' else 'example.org'}"

    with init_at_terminal(environment) as screen:
        screen.answer(r"Which stage\? \[1\]: ")
        screen.answer(r"Which app\? \[1\]: ", screen.until(r"  (\d+)  a new one\n").group(1))
        screen.answer(r"Who has the mailboxes\? \[1\]: ", provider)
        screen.answer(WAY, way)
        for answer in answers:
            screen.answer(r"[\])]: $", answer)
        screen.answer("Address of the mailbox that shall send: ", address)
        if (provider, way) == ("3", "1"):
            cast.person().connect(screen.until(LINK).group(1), mailbox=address)
        elif provider == "3":
            screen.answer(rf"Password of {address} \(hidden\): ", secrets.token_urlsafe(12))
        screen.answer(r"Send a test message to \[.+\]: ")
        shown = screen.rest()

    assert screen.process.returncode == DONE, shown
    assert f"{address} is connected.\n" in shown
    assert "Sent. The mail server took it: 250 " in shown
