"""``mailgrant init``: from nothing to a connected mailbox and a test message."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import config
from cli.api import Api, ApiError, Unreachable
from cli.asker import Asker
from cli.commands import answering, reached
from cli.config import CONFIGURATION, SANDBOX_DIRECTORY, Config
from cli.connectors import LABELS
from cli.exits import DONE, FELL_SHORT
from cli.login import remembered
from cli.wizard import Given, Wizard

if TYPE_CHECKING:
    from cli.output import Out


@click.command()
@click.option("--url", help="The stage's public URL; asked for when left out.")
@click.option("--key", envvar="MAILGRANT_KEY", help="An administrator's API key for --url.")
@click.option(
    "--ca", type=click.Path(exists=True, dir_okay=False), help="The file of a private CA for --url."
)
@click.option("--provider", type=click.Choice(list(LABELS)))
@click.option("--client-id", help="The app's client id; a connector that has it is used again.")
@click.option(
    "--client-secret", envvar="MAILGRANT_CLIENT_SECRET", help="Better asked for, or in the environment."
)
@click.option("--tenant", help="Microsoft only: a directory id or domain; else common.")
@click.option("--mailbox", help="The address that shall send; an account that has it is used again.")
@click.option("--name", help="What the account is called; its address when left out.")
@click.option("--to", help="Who gets the test message; the mailbox itself when left out.")
@click.option(
    "--timeout",
    type=click.IntRange(1),
    default=900,
    show_default=True,
    help="Seconds to wait for each thing.",
)
@click.option("--yes", is_flag=True, help="Ask nothing: take the options, and what is usual for the rest.")
@answering
def init(out: Out, *, url: str | None, key: str | None, ca: str | None, yes: bool, **given: Any) -> int:
    r"""Walk from nothing to a connected mailbox and a test message, step by step.

    It asks for what it needs, checks each answer at once, and tells what to do in the provider's console.
    Ended before its end, it goes on there the next time: it uses what exists.

    \b
    Examples:
      mailgrant init
      mailgrant init --yes --client-id ID --provider google --mailbox ada@ex.org
    """
    if out.as_json and not yes:
        raise click.UsageError("--json asks nobody: add --yes.")
    asker = Asker(out, yes=yes)

    def walk() -> int:
        found = _new_stage(out, asker, url, key, ca) if url else _stage(out, asker)
        return _walk(Wizard(Api(found), out, asker, Given(**given)))

    try:
        return reached(walk, out)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\n`mailgrant init` goes on where this ended.", err=True)
        raise


def _walk(wizard: Wizard) -> int:
    out = wizard.out
    out.say("\nThe app that asks mailbox owners for their permission")
    connector = wizard.connector()
    out.say("\nThe mailbox")
    account = wizard.connected(wizard.mailbox(connector))
    if account is None:
        return FELL_SHORT
    message = wizard.message(account)
    sent = message["state"] == "sent"
    answer = {"url": wizard.api.config.url, "connector": connector, "account": account, "message": message}
    name = shlex.quote(account["name"])
    more = f"Next, a key for your service:\n  mailgrant keys create NAME --scope send --account {name}"
    out.answer(answer, f"\nEverything works. {more}" if sent else "\nThe message was not sent.")
    return DONE if sent else FELL_SHORT


def _stage(out: Out, asker: Asker) -> Config:
    """One of the stages that are known here, or another one."""
    known = config.known()
    while known:
        chosen = asker.choose("Which stage?", [*(_described(one) for one in known), "another stage"])
        if chosen == len(known):
            break
        try:
            _require_administrator(Api(known[chosen]).get("whoami"))
        except (ApiError, Unreachable, click.UsageError) as error:
            asker.refused(error)
            continue
        out.say(f"Speaking to {known[chosen].url}")
        if chosen:
            out.say(f"Other commands speak to {known[0].url}{_choice(known[chosen])}")
        return known[chosen]
    return _new_stage(out, asker, None, None, None)


def _new_stage(out: Out, asker: Asker, url: str | None, key: str | None, ca: str | None) -> Config:
    """A stage that is not known here yet: it is checked and remembered."""

    def address(text: str) -> str:
        config.require_https(text)
        return text

    while True:
        there = asker.use(
            lambda given: asker.ask("URL of the stage, as its deployment printed it", "--url", given),
            url,
            address,
        )
        try:
            return _remembered(
                out, there, asker.ask("API key of an administrator", "--key", key, hidden=True), ca
            )
        except (ApiError, Unreachable, click.UsageError) as error:
            asker.refused(error)
            url = key = None


def _remembered(out: Out, url: str, key: str, ca: str | None) -> Config:
    found = config.checked({"url": url, "key": key, "ca": ca}, "the command")
    _require_administrator(Api(found).get("whoami"))
    _, path = remembered(found)
    out.say(f"Speaking to {found.url}; saved in {path}")
    return found


def _require_administrator(caller: dict[str, Any]) -> None:
    if "admin" not in caller["scopes"] or "*" not in caller["accounts"]:
        raise click.UsageError(
            f'{caller["name"]} may not make connectors and accounts: use a key with the scope admin for "*".'
        )


def _described(found: Config) -> str:
    sandbox = Path(found.source).name == CONFIGURATION
    return f"{found.url} ({'the sandbox that runs here' if sandbox else 'set by ' + found.source})"


def _choice(found: Config) -> str:
    """How other commands are made to speak to what is not the usual stage."""
    source = Path(found.source)
    if source.name != CONFIGURATION:
        return "."
    return f"; for this one:\n  export {SANDBOX_DIRECTORY}={shlex.quote(str(source.parent))}"
