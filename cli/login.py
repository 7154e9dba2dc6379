"""``mailgrant login``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli import config
from cli.api import Api
from cli.commands import answering, hidden, reached

if TYPE_CHECKING:
    from pathlib import Path

    from cli.config import Config
    from cli.output import Out


@click.command()
@click.option("--url", required=True, help="The stage's public URL, as its deployment prints it.")
@click.option(
    "--key",
    callback=hidden("API key"),
    help="An API key (mg_…). Left out, it is asked for, or read from standard input.",
)
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="The file of a private CA.")
@answering
def login(out: Out, url: str, key: str, ca: str | None) -> int:
    r"""Check a URL and a key, and remember them.

    \b
    Example:
      mailgrant login --url https://mail.example.com
    """
    found = config.checked({"url": url, "key": key.strip(), "ca": ca}, "the command")

    def ask() -> None:
        caller, path = remembered(found)
        scopes = ", ".join(caller["scopes"])
        answer = {**caller, "url": found.url, "saved_in": str(path)}
        out.answer(answer, f"You are {caller['name']} ({scopes}) at {found.url}. Saved in {path}.")

    return reached(ask, out)


def remembered(found: Config) -> tuple[dict[str, Any], Path]:
    """The caller whom the configuration names, and where it was saved. Raises ApiError and Unreachable."""
    caller = Api(found).get("whoami")
    return caller, config.save(found)
