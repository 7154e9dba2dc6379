"""Children of the sandbox that never outlive it.

A child runs under a small guard process: this same file, run as a program. The guard holds one end of a pipe
whose other end is the parent's. When the parent stops the child, exits, or is killed with SIGKILL, the kernel
closes the pipe, and the guard ends the child and everything that the child started. A signal handler in the
parent could not do that, and PR_SET_PDEATHSIG reaches only direct children, not the Lambda workers of the AWS
emulator.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import FrameType

GRACE_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02
# Below those that Linux hands out by itself: no connection takes the port before its server does.
_PORTS: Final = range(20_000, 32_768)
_LOG_TAIL_CHARACTERS: Final = 2000


class ChildError(Exception):
    """A child did not start, or ended when it should not have; the message carries the end of its log."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago, for a server that starts in a moment."""
    return next(port for port in random.sample(_PORTS, len(_PORTS)) if is_free(port))


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this TCP port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass
class Child:
    """One guarded process, with everything that it prints in one log file.

    `name` is for messages, `command` and `environment` are what is run (nothing of the parent's environment
    is added), `log_path` is truncated at the start, `grace_seconds` lie between SIGTERM and SIGKILL. It may
    be started once.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log_path: Path
    directory: Path | None = None
    grace_seconds: float = GRACE_SECONDS
    _guard: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    def start(self) -> None:
        """Start the child; return at once, before it is ready."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("wb") as log:
            self._guard = subprocess.Popen(  # noqa: S603 - our own command, no shell
                [sys.executable, "-I", "-S", __file__, str(self.grace_seconds), *self.command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                cwd=self.directory,
                start_new_session=True,  # Ctrl-C is for the parent, which then ends its children in order
            )

    def running(self) -> bool:
        """Tell whether the child is alive."""
        return self._guard is not None and self._guard.poll() is None

    def wait_for_line(self, prefix: str, timeout_seconds: float) -> str:
        """Return the first line of the child's output that begins with `prefix`, without its line end.

        Raises ChildError if the child ends before, or if there is no such line after `timeout_seconds`.
        """
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            alive = self.running()
            for line in self.log().splitlines(keepends=True):
                if line.startswith(prefix) and line.endswith("\n"):
                    return line.rstrip("\n")
            if not alive:
                break
            time.sleep(_POLL_SECONDS)
        raise self.failure("did not become ready")

    def log(self) -> str:
        """Return everything that the child has printed so far."""
        return self.log_path.read_text(errors="replace")

    def failure(self, what: str) -> ChildError:
        """Return an error that says `what` happened to the child and shows the end of its log."""
        return ChildError(f"{self.name} {what}; see {self.log_path}\n{self.log()[-_LOG_TAIL_CHARACTERS:]}")

    def stop(self) -> None:
        """End the child and all it started: SIGTERM, then SIGKILL after the grace. May be repeated."""
        if self._guard is None:
            return
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        self._guard.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _guard(grace_seconds: float, command: Sequence[str]) -> int:
    """Run `command` in its own process group until it ends or standard input closes; return its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _ignore)  # not SIG_IGN, which the child would inherit
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)  # noqa: S603 - as above
    ended = os.pidfd_open(child.pid)
    select.select([sys.stdin.buffer, ended], [], [])
    _signal_group(child.pid, signal.SIGTERM)
    select.select([ended], [], [], grace_seconds)
    _signal_group(child.pid, signal.SIGKILL)
    return child.wait()


def _ignore(number: int, frame: FrameType | None) -> None:
    """Leave the decision to the pipe."""


if __name__ == "__main__":
    raise SystemExit(_guard(float(sys.argv[1]), sys.argv[2:]))
