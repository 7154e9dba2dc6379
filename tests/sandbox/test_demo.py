"""The demo as people run it: what it does, what it says when a step fails, and that nothing is left of it."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from sandbox.errors import SandboxError
from sandbox.mailserver.client import MailServerClient
from sandbox.person import Person
from sandbox.stack import PROJECT, Ports, Sandbox
from tests.sandbox.runs import processes_of, run, started

if TYPE_CHECKING:
    from collections.abc import Iterator

EML = (
    b"From: Emmy <emmy@example.com>\r\nTo: david@example.net\r\nSubject: Of mine\r\n"
    b"Message-ID: <of.mine@example.com>\r\nDate: Sat, 21 Nov 2026 08:00:00 +0000\r\n\r\nInvariants.\r\n"
)
PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-m", "sandbox", "--end-with-parent"])
time.sleep(60)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where a run keeps its files."""
    return tmp_path / "sandbox"


@pytest.fixture
def eml(tmp_path: Path) -> Path:
    """A file of mail from a mailbox that the demo does not know."""
    path = tmp_path / "of mine.eml"
    path.write_bytes(EML)
    return path


def test_it_plays_every_step_once_and_ends(directory: Path, eml: Path) -> None:
    """Four messages arrive, the file among them; a token is refreshed; exit code 0, and nothing is left."""
    with run(directory, "--once", "--eml", str(eml)) as demo:
        code = demo.ended()

    arrived = [line for line in demo.printed.splitlines() if line.startswith("  arrived  <")]
    assert code == 0, demo.printed
    assert len(arrived) == 4
    assert any("<of.mine@example.com>, " in line and " s after it was accepted" in line for line in arrived)
    assert "emmy@example.com is connected" in demo.printed
    assert "grace@example.org is connected" in demo.printed
    assert "  refreshed at " in demo.printed
    assert "Everything is up" not in demo.printed
    assert not (directory / "cli.json").exists()


def test_it_stays_up_and_says_what_to_try(directory: Path) -> None:
    """Each URL answers, each command works as it is printed, the link connects; Ctrl-C ends it with 0."""
    with run(directory) as demo:
        demo.wait_for("./mailgrant --help")
        farewell = demo.printed.partition("Everything is up")[2]
        cafile = directory / "tls" / "ca.pem"
        link = next(line.strip() for line in farewell.splitlines() if "/connect/" in line)
        shown = Person(cafile).connect(link, mailbox="mary@example.net")
        answers = {url: status(url, cafile) for url in urls(farewell)}
        commands = {line: mailgrant(line, directory) for line in lines(farewell, "./mailgrant")}
        demo.process.send_signal(signal.SIGINT)
        code = demo.ended()

    assert "mary@example.net" in shown.text
    assert len(answers) == 6
    assert set(answers.values()) <= {200, 404}
    assert len(commands) == 6
    assert {line: code for line, code in commands.items() if code} == {}
    assert code == 0
    assert not (directory / "cli.json").exists()


def lines(text: str, beginning: str) -> list[str]:
    """The lines that begin so, without their indentation."""
    return [line.strip() for line in text.splitlines() if line.strip().startswith(beginning)]


def urls(farewell: str) -> list[str]:
    """The URLs of the list of what is up."""
    return re.findall(r"^  \w.*? (https?://\S+)", farewell, re.MULTILINE)


def status(url: str, cafile: Path) -> int:
    """How a URL answers."""
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(cafile)
        return session.get(url, timeout=30).status_code


def mailgrant(line: str, directory: Path) -> int:
    """The exit code of a command as it is printed; the mailbox owner is waited for only once."""
    command = shlex.split(line.replace(" --wait", ""))
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(directory)}
    environment["MAILGRANT_SANDBOX_DIRECTORY"] = str(directory)
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, check=False).returncode


def test_a_step_that_fails_is_said_and_is_the_exit_code(directory: Path) -> None:
    """The mail server refuses: the reply that it gave is the reason; nothing is left."""
    with run(directory, "--once") as demo:
        demo.wait_for("starting AWS")
        mail = MailServerClient(f"http://127.0.0.1:{demo.ports['MAILGRANT_SANDBOX_MAIL_PORT']}")
        mail.inject("RCPT", code=550, text="5.1.1 No such mailbox", times=None)
        code = demo.ended()

    reason = demo.printed.partition("The demo failed: ")[2]
    assert code == 1
    assert "550 5.1.1 No such mailbox" in reason
    assert "Traceback" not in demo.printed


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b"To: david@example.net\r\n\r\nFrom: emmy@example.com\r\n", "has no From header"),
        (b"From: Emmy\r\n\r\nHello\r\n", "has no From header"),
    ],
    ids=["missing", "empty", "no From", "no address"],
)
def test_a_file_that_cannot_be_sent_is_refused_at_once(
    tmp_path: Path, directory: Path, content: bytes | None, reason: str
) -> None:
    """Before anything starts: the file and what is wrong with it are named."""
    path = tmp_path / "bad.eml"
    if content is not None:
        path.write_bytes(content)

    with run(directory, "--once", "--eml", str(path)) as demo:
        code = demo.ended()

    assert code == 1
    assert f"The demo failed: {path} " in demo.printed
    assert reason in demo.printed
    assert "starting" not in demo.printed
    assert not directory.exists()


@pytest.mark.parametrize("variable", Ports.VARIABLES.values())
def test_a_port_that_is_taken_is_named(directory: Path, variable: str) -> None:
    """Nothing starts; the port and the variable that chose it are said."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = Ports.from_env({variable: str(taken.getsockname()[1])})

        with pytest.raises(SandboxError, match=rf"port {taken.getsockname()[1]} is taken.*{variable}"):
            Sandbox(directory, ports=ports)

    assert not directory.exists()


def test_a_run_says_so_and_ends(directory: Path) -> None:
    """The same from outside: one line, exit code 1, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with run(directory, MAILGRANT_SANDBOX_PORT=port) as demo:
            code = demo.process.wait(30)

    assert code == 1
    assert f"The demo failed: port {port} is taken" in demo.printed
    assert "Traceback" not in demo.printed


@pytest.mark.parametrize("text", ["http", "-1", "65536", "80.5"])
def test_what_is_no_port_is_refused(text: str) -> None:
    """The variable and its value are said."""
    with pytest.raises(SandboxError, match="MAILGRANT_SANDBOX_PORT is "):
        Ports.from_env({"MAILGRANT_SANDBOX_PORT": text})


def test_one_port_for_two_is_refused() -> None:
    """Both variables are said."""
    with pytest.raises(SandboxError, match=r"MAILGRANT_SANDBOX_PORT and MAILGRANT_SANDBOX_MAIL_PORT"):
        Ports(front=20_001, mail=20_001).check()


@pytest.fixture
def quiet(directory: Path) -> Iterator[Sandbox]:
    """A sandbox that was made, and not started."""
    sandbox = Sandbox(directory, say=lambda _: None)
    yield sandbox
    sandbox.stop()


def test_a_directory_has_one_sandbox(directory: Path, quiet: Sandbox) -> None:
    """The second is told which process the first is; it spoils nothing of it, and may have it afterwards."""
    certificate = quiet.authority.pem

    with pytest.raises(SandboxError, match=r"another sandbox \(process \d+\)"):
        Sandbox(directory)

    assert quiet.authority.pem == certificate
    quiet.stop()
    Sandbox(directory).stop()


def test_two_sandboxes_run_side_by_side(tmp_path: Path, quiet: Sandbox) -> None:
    """Each has its own ports, and ends without the other."""
    quiet.start_servers()
    other = Sandbox(tmp_path / "other", say=lambda _: None)
    other.start_servers()

    other.stop()

    quiet.provider.set_lifetime(access=60)
    assert quiet.mail.log() == []
    with pytest.raises(OSError, match="refused"):
        other.mail.log()


MOMENTS = {
    "while it starts": "starting AWS",
    "while it deploys": "-data: creating",
    "while it plays": "Connecting ",
}


@pytest.mark.parametrize(
    ("number", "moment", "code"),
    [
        (signal.SIGINT, "while it starts", 130),
        (signal.SIGINT, "while it plays", 130),
        (signal.SIGTERM, "while it deploys", 130),
        (signal.SIGKILL, "while it plays", -signal.SIGKILL),
    ],
)
def test_nothing_is_left_of_a_run_that_is_ended(
    directory: Path, number: signal.Signals, moment: str, code: int
) -> None:
    """No process, no port, and the directory is free for the next run."""
    with run(directory) as demo:
        demo.wait_for(MOMENTS[moment])
        assert processes_of(directory)

        demo.process.send_signal(number)

        assert demo.ended() == code
    assert "Traceback" not in demo.printed
    Sandbox(directory).stop()


def test_it_ends_with_its_parent_if_it_should(directory: Path) -> None:
    """As make tells it, which cannot end it any more when it is killed."""
    with started(directory, [sys.executable, "-c", PARENT]) as parent:
        parent.wait_for("starting AWS")

        parent.process.kill()

        parent.ended()
