"""The command line as a process of its own, at a terminal or between pipes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.test_cli import Server

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (sys.executable, "-m", "cli")
PATIENCE = 20
"""Seconds for which a terminal may show nothing."""


def environment(server: Server) -> dict[str, str]:
    """The environment in which commands speak to that server."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "MAILGRANT_URL": server.url,
        "MAILGRANT_KEY": "mg_key",
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
    }


@contextlib.contextmanager
def piped(server: Server, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command whose input and output are pipes."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*PROGRAM, *arguments],
        env=environment(server),
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
    ) as process:
        yield process


def shown(server: Server, *arguments: str, columns: int = 80, typed: str = "", after: str = "") -> str:
    """What a terminal of that many columns shows of a command, at which somebody types after a text came.

    The last line is the exit code.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    # A process that leads its session has the first terminal that it opens for its own, as getpass needs it.
    script = 'tty=$1; shift; exec <"$tty" >"$tty" 2>&1; "$@"; echo "ended with $?"'
    with subprocess.Popen(
        ["/bin/sh", "-c", script, "sh", os.ttyname(theirs), *PROGRAM, *arguments],
        env=environment(server),
        start_new_session=True,
    ) as process:
        try:
            text = _read(ours, until=after) if typed else ""
            os.write(ours, typed.encode())
            return text + _read(ours, until=r"ended with \d+\n")
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # it has ended, unless something went wrong
            os.close(theirs)
            os.close(ours)


def _read(terminal: int, until: str) -> str:
    """What the terminal shows until a pattern comes; without carriage returns."""
    found = b""
    while not re.search(until, text := found.decode(errors="replace").replace("\r", "")):
        assert select.select([terminal], [], [], PATIENCE)[0], text
        found += os.read(terminal, 4096)
    return text
