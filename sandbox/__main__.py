"""``python -m sandbox``: starts the sandbox, plays the demo in it, and stays up until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from cli.package import PackageError
from cli.stacks import StackError
from sandbox.demo import SAMPLE, Demo, DemoError, farewell
from sandbox.processes import ChildError
from sandbox.stack import Sandbox


def main() -> int:
    """Returns 0 when every step worked, 1 when one did not, 130 after Ctrl-C during the demo."""
    options = _options()
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    def say(text: str) -> None:
        print(
            text if text.startswith(("\n", " ")) else f"[{time.monotonic() - began:6.1f} s] {text}",
            flush=True,
        )

    try:
        with Sandbox(say=say) as sandbox:
            Demo(sandbox, options.eml, say).play()
            if options.once:
                say("\nEvery message has arrived.")
                return 0
            return _stay(farewell(sandbox))
    except (DemoError, ChildError, StackError, PackageError, OSError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _stay(text: str) -> int:
    print(text, flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        print("\nstopping", flush=True)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the last message has arrived")
    parser.add_argument("--eml", type=Path, default=SAMPLE, help="a file of mail to send as it is")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
