"""``python -m sandbox.mailserver``: serves until SIGTERM or Ctrl-C.

Prints one line when it is ready: ``ready`` and a JSON object of the addresses.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading

from sandbox.mailserver.server import Certificate, MailServer


def main() -> None:
    """Read the command line, start the server, and stop it at the first signal."""
    arguments = _parser().parse_args()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    with _server(arguments) as server:
        addresses = {
            "microsoft": server.microsoft,
            "google": server.google,
            "other": server.other,
            "implicit": server.implicit,
            "web": server.url,
        }
        print(f"ready {json.dumps(addresses)}", flush=True)
        stopping.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.mailserver", description=__doc__)
    for name in ("microsoft", "google", "web"):
        parser.add_argument(f"--{name}-port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--cert", required=True, help="PEM certificate chain of all SMTP listeners")
    parser.add_argument("--key", required=True, help="PEM private key of that certificate")
    for name in ("microsoft", "google"):
        parser.add_argument(
            f"--{name}-certificate", nargs=2, metavar=("CERT", "KEY"), help="instead, for this one"
        )
    parser.add_argument("--provider-url", required=True, help="https base URL of the provider")
    parser.add_argument("--provider-ca", required=True, help="PEM file of the provider's CA")
    return parser


def _server(arguments: argparse.Namespace) -> MailServer:
    return MailServer(
        arguments.cert,
        arguments.key,
        arguments.provider_url,
        arguments.provider_ca,
        microsoft_port=arguments.microsoft_port,
        google_port=arguments.google_port,
        web_port=arguments.web_port,
        microsoft_certificate=_certificate(arguments.microsoft_certificate),
        google_certificate=_certificate(arguments.google_certificate),
    )


def _certificate(paths: list[str] | None) -> Certificate | None:
    return None if paths is None else Certificate(*paths)


if __name__ == "__main__":
    main()
