"""``python -m sandbox``: starts the sandbox, plays the demo in it, and stays up until Ctrl-C.

The environment may choose ports (MAILGRANT_SANDBOX_PORT of the application, MAILGRANT_SANDBOX_PROVIDER_PORT,
MAILGRANT_SANDBOX_MAIL_PORT of the mailboxes' pages) and the directory (MAILGRANT_SANDBOX_DIRECTORY).
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from cli.config import sandbox_directory
from cli.package import PackageError
from cli.trouble import Trouble
from sandbox.demo import SAMPLE, Demo, Eml
from sandbox.errors import SandboxError
from sandbox.farewell import farewell
from sandbox.processes import ChildError
from sandbox.stack import Ports, Sandbox

INTERRUPTED: Final = 130
_SET_PARENT_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG of prctl(2)


def main() -> int:
    """Returns 0 when every step worked, 1 when one did not, 130 after Ctrl-C or SIGTERM before the end."""
    options = _options()
    _end_with_signals(parent_too=options.end_with_parent)
    say = _progress()
    directory = sandbox_directory(os.environ)
    try:
        eml, ports = Eml.read(options.eml), Ports.from_env(os.environ)
        say(f"starting the sandbox; its logs are in {directory}")
        with Sandbox(directory, ports=ports, say=say) as sandbox:
            return _play(Demo(sandbox, eml, say), stay=not options.once)
    except (SandboxError, ChildError, PackageError, Trouble, BotoCoreError, ClientError, OSError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped", flush=True)
        return INTERRUPTED


def _play(demo: Demo, *, stay: bool) -> int:
    demo.play()
    demo.say("\nEvery message has arrived.")
    if stay:
        print(farewell(demo.sandbox, demo.eml.sender, demo.invite()), flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("\nstopping", flush=True)
    return 0


def _end_with_signals(*, parent_too: bool) -> None:
    """Make SIGTERM, SIGHUP and, if asked for, the parent's death end everything in order, as Ctrl-C does."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    if parent_too:
        ctypes.CDLL(None, use_errno=True).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)


def _progress() -> Callable[[str], None]:
    """Return what prints a line of progress with the seconds since now."""
    began = time.monotonic()

    def say(text: str) -> None:
        plain = text.startswith(("\n", " "))
        print(text if plain else f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)

    return say


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--once", action="store_true", help="end after the last message has arrived")
    parser.add_argument("--eml", type=Path, default=SAMPLE, help="a file of mail to send as it is")
    parser.add_argument("--end-with-parent", action="store_true", help="end when the parent process does")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
