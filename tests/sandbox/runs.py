"""Runs of ``python -m sandbox`` as a person starts them, and what is left of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sandbox.processes import free_port, is_free
from sandbox.stack import PROJECT, Ports
from tests.helpers import until

START_SECONDS = 60.0
GONE_SECONDS = 15.0


@dataclass
class Run:
    """One run with a directory and ports of its own; all that it prints is in one file."""

    directory: Path
    ports: dict[str, int]
    process: subprocess.Popen[bytes]

    @property
    def printed(self) -> str:
        """Everything that it has printed so far."""
        return printed_file(self.directory).read_text()

    def wait_for(self, text: str) -> None:
        """Waits until it has printed the text; fails if it ends without."""

        def seen() -> bool:
            ended = self.process.poll() is not None
            found = text in self.printed
            assert found or not ended, self.printed
            return found

        until(seen, seconds=START_SECONDS)

    def ended(self) -> int:
        """Waits for its end, checks that nothing is left of it, and returns its exit code."""
        code = self.process.wait(START_SECONDS)
        until(lambda: not processes_of(self.directory), seconds=GONE_SECONDS)
        assert [port for port in self.ports.values() if not is_free(port)] == []
        return code


@contextmanager
def run(directory: Path, *arguments: str, **environment: str) -> Iterator[Run]:
    """Starts ``python -m sandbox`` with the arguments; kills what is left of it at the end."""
    with started(directory, [sys.executable, "-m", "sandbox", *arguments], **environment) as one:
        yield one


@contextmanager
def started(directory: Path, command: list[str], **environment: str) -> Iterator[Run]:
    """Starts a command whose sandbox has the directory and ports of its own."""
    ports = {variable: free_port() for variable in Ports.VARIABLES.values()}
    chosen = {variable: str(port) for variable, port in ports.items()}
    variables = {"PATH": os.defpath, "HOME": str(directory), "MAILGRANT_SANDBOX_DIRECTORY": str(directory)}
    with (
        printed_file(directory).open("wb") as output,
        subprocess.Popen(
            command,
            cwd=PROJECT,
            env=variables | chosen | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield Run(directory, ports, process)
        finally:
            process.kill()


def printed_file(directory: Path) -> Path:
    """Where a run's output goes: beside its directory, which it makes itself."""
    return directory.with_suffix(".printed")


def processes_of(directory: Path) -> list[str]:
    """The command lines of every process that has the directory in its arguments or its environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            command, environment = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
            if re.search(rb"%b(/|\0|$)" % re.escape(str(directory)).encode(), command + b"\0" + environment):
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found
