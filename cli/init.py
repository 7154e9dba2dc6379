"""``mailgrant init``: from nothing to a connected mailbox and a test message."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import config
from cli.api import Api, ApiError, Unreachable
from cli.asker import Asker
from cli.commands import answering, fall_short, reached
from cli.config import CONFIGURATION, SANDBOX_DIRECTORY, Config
from cli.console import Console
from cli.exits import DONE, FELL_SHORT, REFUSED
from cli.facts import with_facts
from cli.init_options import OPTIONS, given_of
from cli.output import visible
from cli.ways import with_options
from cli.wizard import Unfinished, Wizard

if TYPE_CHECKING:
    from cli.init_app import Given
    from cli.output import Out

BEGINNING = """Four steps: the stage, the app, the mailbox, and a test message.
Enter alone takes the answer in [brackets]. Ctrl-C ends this at any time:
what is done stays, and the same command goes on there.

1. The stage"""
NONE_KNOWN = """None is known here. `make demo` starts a sandbox on this machine, and
`make deploy STAGE=prod` deploys one into your AWS account."""
NEXT = """Next, a key with which a service of yours may send from it:
  mailgrant keys create shop --scope send --account {account}
How the stage is, at any time:
  mailgrant status"""
GOING_ON = "What is done stays; `mailgrant init` goes on there."
SANDBOX_GONE = "the sandbox has ended; `make demo` starts a new one, which begins from nothing"


@click.command()
@click.option("--url", help="The stage's public URL; asked for when left out.")
@click.option("--key", envvar="MAILGRANT_KEY", help="An administrator's API key for --url.")
@click.option(
    "--ca", type=click.Path(exists=True, dir_okay=False), help="The file of a private CA for --url."
)
@with_options(*OPTIONS)
@with_facts
@click.option("--yes", is_flag=True, help="Ask nothing: take the options, and what is usual for the rest.")
@answering
def init(out: Out, *, url: str | None, key: str | None, ca: str | None, yes: bool, **answers: Any) -> int:
    r"""Walk from nothing to a connected mailbox and a test message, step by step.

    It leads through every way to connect one: its owner's consent, an app or a service account that acts by
    itself, a password, a refresh token of another system. It asks for what it needs, checks each answer at
    once, and tells what to do in the provider's console. Ended before its end, it goes on there the next
    time: it uses what exists. Without a terminal it asks nothing, as with --yes; a password or refresh token
    is then the next line of standard input.

    \b
    Examples:
      mailgrant init
      mailgrant init --yes --client-id ID --provider google --mailbox ada@ex.org
      mailgrant init --provider google --service-account-key key.json
    """
    asker, given = Asker(out, yes=yes), given_of(**answers)
    if out.as_json and not asker.silent:
        raise click.UsageError("--json asks nobody: add --yes.")
    if not asker.silent:
        out.say(BEGINNING)

    def walk() -> int:
        new = partial(_new_stage, out, asker, url, key, ca)
        found = new() if url else _known_stage(out, asker) or new()
        return _walked(found, out, asker, given)

    try:
        code = reached(walk, out)
    except (click.Abort, KeyboardInterrupt):
        click.echo(f"\n{GOING_ON}", err=True)
        raise
    if code in (REFUSED, FELL_SHORT) and not out.as_json:
        click.echo(GOING_ON, err=True)
    return code


def _walked(found: Config, out: Out, asker: Asker, given: Given) -> int:
    console = Console.of(found)
    try:
        return _walk(Wizard(Api(found), out, asker, console, given))
    except Unreachable as error:
        if console:
            raise Unreachable(found.url, SANDBOX_GONE) from error
        raise


def _walk(wizard: Wizard) -> int:
    out = wizard.out
    out.say("\n2. The app by which mailboxes are used")
    connector, way = wizard.app()
    out.say("\n3. The mailbox")
    try:
        account, way = wizard.mailbox(connector, way)
        account = wizard.connected(account, connector, way)
    except Unfinished as error:
        fall_short(error.code, str(error), error.fix, as_json=out.as_json)
        return FELL_SHORT
    out.say("\n4. A test message")
    message = wizard.message(account)
    sent = message["state"] == "sent"
    answer = {"url": wizard.api.config.url, "connector": connector, "account": account, "message": message}
    out.answer(answer, "\nEverything works." if sent else "The test message was not sent.")
    if sent and not out.as_json:
        # Not folded: these lines are for copying.
        click.echo(NEXT.format(account=visible(shlex.quote(account["name"]))))
    return DONE if sent else FELL_SHORT


def _known_stage(out: Out, asker: Asker) -> Config | None:
    """One of the stages that are known here; None for another one."""
    known = config.known()
    if not known:
        out.say(NONE_KNOWN)
    while known:
        choices = [*(_described(one) for one in known), "another stage, by its URL and a key"]
        chosen = asker.choose("Which stage?", choices)
        if chosen == len(known):
            break
        try:
            _require_administrator(Api(known[chosen]).get("whoami"))
        except (ApiError, Unreachable, click.UsageError) as error:
            asker.refused(error)
            continue
        out.say(f"Speaking to {known[chosen].url}.")
        if chosen:
            out.say(f"Other commands speak to {known[0].url}{_choice(known[chosen])}")
        return known[chosen]
    return None


def _new_stage(out: Out, asker: Asker, url: str | None, key: str | None, ca: str | None) -> Config:
    """A stage that is not known here yet: it is checked and remembered."""
    tried = ""
    while True:
        ask = partial(asker.ask, "URL of the stage, as its deployment printed it", "--url", default=tried)
        tried = asker.use(ask, url, _address)
        secret = asker.ask("API key of an administrator (hidden)", "--key", key, hidden=True)
        try:
            found = config.checked({"url": tried, "key": secret, "ca": ca}, "the command")
            _require_administrator(Api(found).get("whoami"))
        except (ApiError, Unreachable, click.UsageError) as error:
            asker.refused(error)
            url = key = None
        else:
            out.say(f"Speaking to {found.url}; saved in {config.save(found)}.")
            return found


def _address(text: str) -> str:
    config.require_https(text)
    return text


def _require_administrator(caller: dict[str, Any]) -> None:
    if "admin" not in caller["scopes"] or "*" not in caller["accounts"]:
        raise click.UsageError(
            f'{caller["name"]} may not make connectors and accounts: use a key with the scope admin for "*".'
        )


def _described(found: Config) -> str:
    sandbox = Path(found.source).name == CONFIGURATION
    return f"the sandbox that runs here, {found.url}" if sandbox else f"{found.url}, set by {found.source}"


def _choice(found: Config) -> str:
    """How other commands are made to speak to what is not the usual stage."""
    source = Path(found.source)
    if source.name != CONFIGURATION:
        return "."
    return f"; for this one:\n  export {SANDBOX_DIRECTORY}={shlex.quote(str(source.parent))}"
