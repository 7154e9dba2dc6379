"""How commands run: help, agreement, what went wrong, and the exit code (see exits)."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from chalicelib.errors import docs_of
from cli import config
from cli.api import Api, ApiError, Unreachable
from cli.exits import DONE, INTERRUPTED, PIPE_CLOSED, REFUSED, UNREACHABLE
from cli.output import Out, folded, visible
from cli.routes import named

YES = click.option("--yes", is_flag=True, help="Do not ask.")
"""For commands that cannot be undone; see agree()."""

_NOBODY = "Nobody is there to be asked, and standard input is empty."


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
        as_json = "--json" in given
        try:
            code = super().main(given, *rest, **{**options, "standalone_mode": False})
        except click.ClickException as error:
            _misused(error, as_json=as_json)
            code = error.exit_code
        except click.Abort as abort:
            code = _aborted(abort, as_json=as_json)
        except OSError as error:
            _write_no_more()
            fail("io_failed", f"{error}.", "Make room, or correct the permission.", as_json=as_json)
        sys.exit(code or DONE)

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        """Reads the arguments; prints help, if that is what they ask for."""
        with _read_or_not():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        with _read_or_not():
            return super().invoke(ctx)


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
    except KeyError as error:
        message = f"The stage's answer lacks {error}, as that of another version does."
        fix = "Deploy this version, or use the command line of the stage's version."
        tell_error(_error("other_version", message, fix), message, as_json=out.as_json)
        return REFUSED
    except UnicodeEncodeError as error:
        raise click.UsageError("An argument is not text in UTF-8.") from error


def agree(out: Out, question: str, *, yes: bool) -> None:
    """Returns when the person agrees, or has agreed by ``--yes``; raises Abort otherwise."""
    if yes:
        return
    if out.as_json:
        raise click.UsageError("--json asks nobody: add --yes.")
    click.confirm(folded(visible(question), sys.stderr), abort=True, err=True)


def hidden(question: str) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """A callback of an option: what was left out is asked for unseen, or read from standard input's line."""

    def asked(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        if value is not None or context.resilient_parsing:
            return value
        if line := _typed(question):
            return line
        raise click.MissingParameter(_NOBODY, context, parameter)

    return asked


def unseen(question: str, option: str | None = None) -> str:
    """What a person types unseen, or the next line of standard input. Raises UsageError without any.

    `option` is one by which it can be given too.
    """
    if line := _typed(question):
        return line
    if option is None:
        raise click.UsageError(f"{question}: {_NOBODY}")
    raise click.MissingParameter(_NOBODY, param_hint=option, param_type="option")


def _typed(question: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(question, hide_input=True, err=True))
    try:
        return sys.stdin.readline().strip()
    except ValueError as error:
        raise click.BadParameter("Standard input cannot be read as UTF-8 text.") from error


def fall_short(code: str, message: str, fix: str, *, as_json: bool) -> None:
    """Says what was not reached, and how to go on, in the shape of every other error."""
    tell_error(_error(code, message, fix), message, as_json=as_json)


def fail(code: str, message: str, fix: str, *, as_json: bool, exit_code: int = REFUSED) -> NoReturn:
    """Says what cannot be done and how to mend it, in the shape of every other error, and exits."""
    tell_error(_error(code, message, fix), f"Refused: {message}", as_json=as_json)
    sys.exit(exit_code)


def tell_error(error: Mapping[str, Any], headline: str, *, as_json: bool) -> None:
    """Tells an error on standard error: to a program in one line of JSON."""
    if as_json:
        click.echo(json.dumps({"error": dict(error)}, ensure_ascii=False), err=True)
        return
    click.secho(folded(visible(headline), sys.stderr), fg="red", err=True)
    for name, label in (("field", "Field"), ("fix", "Fix"), ("code", "Code")):
        if error.get(name):
            text = visible(named(str(error[name])))
            click.echo(folded(f"{label}: {text}", sys.stderr), err=True)


def _error(code: str, message: str, fix: str) -> dict[str, str]:
    """An error of the command line itself, in the shape of the API's."""
    return {"code": code, "message": message, "fix": fix, "docs": docs_of(code)}


def _misused(error: click.ClickException, *, as_json: bool) -> None:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    message = error.format_message()
    if isinstance(error, config.NotConfigured):
        told = _error("not_configured", message, error.fix)
    else:
        context = error.ctx if isinstance(error, click.UsageError) else None
        command = context.command_path if context else "mailgrant"
        told = _error("usage", message, f"`{command} --help` shows how it is used.")
    tell_error(told, f"Error: {message}", as_json=as_json)


def _aborted(abort: click.Abort, *, as_json: bool) -> int:
    """The exit code of Ctrl-C, or of a question that was answered with no or not at all."""
    if isinstance(abort.__context__, KeyboardInterrupt):
        if abort.__cause__ is None:  # a question was broken off, whose line no key has ended
            click.echo(err=True)
        return INTERRUPTED
    if not sys.stdin.isatty():
        click.echo(err=True)  # as no key ended the question's line
    message = "A question was answered with no, or not at all."
    told = _error("not_agreed", message, "Answer it, or agree beforehand with --yes.")
    tell_error(told, f"Ended: {message}", as_json=as_json)
    return REFUSED


@contextmanager
def _read_or_not() -> Iterator[None]:
    """That nobody reads on what is printed inside is the end of it, not an error."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _write_no_more()
        sys.exit(PIPE_CLOSED)


def _write_no_more() -> None:
    """Drops what is left to be written: Python would try that again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _laid_out(command: click.Command) -> click.Command:
    r"""The command, whose help keeps its lines below a line with \b: as click wants it, a backspace."""
    if command.help:
        command.help = command.help.replace("\\b\n", "\b\n")
    return command
