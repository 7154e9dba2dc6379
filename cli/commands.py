"""How commands run: help, agreement, what went wrong, and the exit code (see exits)."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import click

from chalicelib.errors import docs_of
from cli import config
from cli.api import Api, ApiError, Unreachable
from cli.exits import DONE, INTERRUPTED, PIPE_CLOSED, REFUSED, UNREACHABLE
from cli.output import Out, visible

YES = click.option("--yes", is_flag=True, help="Do not ask.")
"""For commands that cannot be undone; see agree()."""


class Commands(click.Group):
    """A group of commands. Their misuse is told as JSON too where JSON is wanted."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _laid_out(self)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Adds a command under its own name or another one."""
        super().add_command(_laid_out(cmd), name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands, each with the whole first sentence of its help."""
        names = {name: self.commands[name] for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(limit=200)) for name, one in names.items()])

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> NoReturn:
        """Runs the command that the arguments name, and exits."""
        given = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(given, *rest, **{**options, "standalone_mode": False})
        except click.ClickException as error:
            _misused(error, as_json="--json" in given)
            code = error.exit_code
        except click.Abort as abort:
            code = _aborted(abort)
        sys.exit(code or DONE)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command. That nobody reads on is the end of it, not an error."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Python would try to write what is left when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(PIPE_CLOSED)
        return code


def asking(command: Callable[..., int | None]) -> Callable[..., int]:
    """A command that asks the API: adds ``--json``, hands it an Api and an Out, and says what went wrong.

    The command may return an exit code.
    """

    @functools.wraps(command)
    def asked(out: Out, **arguments: Any) -> int:
        api = Api(config.load())
        return reached(lambda: command(api, out, **arguments), out)

    return answering(asked)


def answering(command: Callable[..., int | None]) -> Callable[..., int]:
    """A command that answers with or without ``--json``: adds that option, and hands it an Out."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
    @functools.wraps(command)
    def answered(*, as_json: bool, **arguments: Any) -> int:
        return command(Out(as_json=as_json), **arguments) or DONE

    return answered


def reached(ask: Callable[[], int | None], out: Out) -> int:
    """The exit code of what asks the API, after saying what went wrong."""
    try:
        return ask() or DONE
    except ApiError as error:
        tell_error(error.error, f"Refused: {error}", as_json=out.as_json)
        return REFUSED
    except Unreachable as error:
        told = _error("unreachable", str(error), "Check the URL and the network.")
        tell_error(told, str(error), as_json=out.as_json)
        return UNREACHABLE
    except UnicodeEncodeError as error:
        raise click.UsageError("An argument is not text in UTF-8.") from error


def agree(out: Out, question: str, *, yes: bool) -> None:
    """Returns when the person agrees, or has agreed by ``--yes``; raises Abort otherwise."""
    if yes:
        return
    if out.as_json:
        raise click.UsageError("--json asks nobody: add --yes.")
    click.confirm(visible(question), abort=True, err=True)


def fail(code: str, message: str, fix: str, *, as_json: bool) -> NoReturn:
    """Says what cannot be done and how to mend it, in the shape of every other error, and exits."""
    tell_error(_error(code, message, fix), f"Refused: {message}", as_json=as_json)
    sys.exit(REFUSED)


def tell_error(error: Mapping[str, Any], headline: str, *, as_json: bool) -> None:
    """Tells an error on standard error: to a program in one line of JSON."""
    if as_json:
        click.echo(json.dumps({"error": dict(error)}, ensure_ascii=False), err=True)
        return
    click.secho(visible(headline), fg="red", err=True)
    for name, label in (("field", "Field"), ("fix", "Fix"), ("code", "Code")):
        if error.get(name):
            click.echo(f"{label}: {visible(str(error[name]))}", err=True)


def _error(code: str, message: str, fix: str) -> dict[str, str]:
    """An error of the command line itself, in the shape of the API's."""
    return {"code": code, "message": message, "fix": fix, "docs": docs_of(code)}


def _misused(error: click.ClickException, *, as_json: bool) -> None:
    if not as_json:
        error.show()
        return
    fix = "Add --help to see how the command is used."
    tell_error(_error("usage", error.format_message(), fix), "", as_json=True)


def _aborted(abort: click.Abort) -> int:
    """The exit code of Ctrl-C, or of a question that was answered with no or not at all."""
    if isinstance(abort.__context__, KeyboardInterrupt):
        return INTERRUPTED
    click.echo("Ended: a question was answered with no, or not at all. --yes agrees beforehand.", err=True)
    return REFUSED


def _laid_out(command: click.Command) -> click.Command:
    r"""The command, whose help keeps its lines below a line with \b: as click wants it, a backspace."""
    if command.help:
        command.help = command.help.replace("\\b\n", "\b\n")
    return command
