"""Completion in the shell: of commands and options, and of the ids and names that the API knows."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem, get_completion_class

from cli import config
from cli.api import LARGEST_PAGE, Api, ApiError, Unreachable

if TYPE_CHECKING:
    from click import Context, Parameter

PATIENCE: Final = (1, 2)
"""Seconds to connect and to wait: somebody has pressed a key."""

PROGRAM: Final = "mailgrant"
VARIABLE: Final = "_MAILGRANT_COMPLETE"

INSTALL: Final = {
    "bash": """# Install: mailgrant completion bash > ~/.local/share/bash-completion/completions/mailgrant
# or, for this shell only: eval "$(mailgrant completion bash)". It needs bash 4.4 or newer.""",
    "zsh": """# Install: mailgrant completion zsh > ~/.zsh/_mailgrant, with this in ~/.zshrc before compinit:
#   fpath=(~/.zsh $fpath)
# mailgrant must be found in PATH, such as by a symbolic link to it.""",
    "fish": """# Install: mailgrant completion fish > ~/.config/fish/completions/mailgrant.fish
# mailgrant must be found in PATH, such as by a symbolic link to it.""",
}
"""What the script says at its beginning: comments, so that the whole output can be a file."""

Complete = Callable[["Context", "Parameter", str], list[CompletionItem]]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    r"""Print the script by which a shell completes commands, options, and names of accounts.

    \b
    Example:
      eval "$(mailgrant completion bash)"
    """
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    # Not source(), which asks the installed bash for its version before it writes anything.
    script = made.source_template % made(context.find_root().command, {}, PROGRAM, VARIABLE).source_vars()
    click.echo(f"{INSTALL[shell]}\n{script.strip()}")


def _completing(found: Callable[[Api], Iterable[tuple[str, str, str]]]) -> Complete:
    """Completes with what the API lists: id, name and help. What fails completes nothing, silently."""

    def complete(_context: Context, _parameter: Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            listed = list(found(Api(config.load(), timeouts=PATIENCE, pauses=())))
        except (ApiError, Unreachable, click.UsageError, KeyError):
            return []
        return list(_items(listed, incomplete))

    return complete


def _items(listed: Iterable[tuple[str, str, str]], incomplete: str) -> Iterator[CompletionItem]:
    """The names that fit if they need no quotes; ids only where one was begun, or where there is no name."""
    for id_, name, text in listed:
        plain = bool(name) and shlex.quote(name) == name
        if plain and name.startswith(incomplete):
            yield CompletionItem(name, help=text)
        elif id_.startswith(incomplete) and (incomplete or not plain):
            yield CompletionItem(id_, help=f"{name} {text}".strip())


def _accounts(api: Api) -> Iterator[tuple[str, str, str]]:
    page = api.get("accounts", limit=LARGEST_PAGE)
    yield from ((one["id"], one["name"], one["status"]) for one in page["accounts"])


def _connectors(api: Api) -> Iterator[tuple[str, str, str]]:
    yield from ((one["id"], "", one["name"]) for one in api.get("connectors")["connectors"])


def _callers(api: Api) -> Iterator[tuple[str, str, str]]:
    yield from (
        (one["id"], "", one["name"]) for one in api.get("callers")["callers"] if not one["revoked_at"]
    )


accounts = _completing(_accounts)
connectors = _completing(_connectors)
callers = _completing(_callers)


def account_argument(command: Any) -> Any:
    """The argument ACCOUNT, completed."""
    return click.argument("account", shell_complete=accounts)(command)


def connector_argument(command: Any) -> Any:
    """The argument CONNECTOR, completed."""
    return click.argument("connector", shell_complete=connectors)(command)
