"""Serve the provider until SIGTERM or Ctrl-C: ``python -m sandbox.provider --port P --cert F --key F``.

One line ``ready https://127.0.0.1:P`` goes to standard output when it answers.
"""

from __future__ import annotations

import argparse
import signal

from sandbox.provider.server import Provider


def main() -> None:
    """Parse the arguments, serve, and leave on a signal."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.provider", description="The sandbox's provider.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--cert", required=True, help="certificate chain, PEM")
    parser.add_argument("--key", required=True, help="private key, PEM")
    options = parser.parse_args()
    signals = {signal.SIGTERM, signal.SIGINT}
    # Blocked before any thread starts, so that only the wait below takes them.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with Provider(port=options.port, certfile=options.cert, keyfile=options.key) as provider:
        print(f"ready {provider.url}", flush=True)
        signal.sigwait(signals)


if __name__ == "__main__":
    main()
