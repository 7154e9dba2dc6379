"""Commands for the encryption of tokens."""

from __future__ import annotations

from typing import Any

import click

from cli.api import Api
from cli.commands import Commands, asking
from cli.exits import DONE, FELL_SHORT
from cli.output import Out


@click.group(cls=Commands)
def encryption() -> None:
    r"""The data keys under which tokens and passwords are stored.

    \b
    Example:
      mailgrant encryption rewrap
    """


@encryption.command()
@click.option("--cursor", help="Where to go on, as an interrupted command has said it.")
@asking
def rewrap(api: Api, out: Out, cursor: str | None) -> int:
    r"""Wrap all data keys anew, after the KMS keys were rotated.

    Needed only after a suspected leak. Mail goes on meanwhile. The command may be
    interrupted, and run twice.

    \b
    Examples:
      mailgrant encryption rewrap
      mailgrant encryption rewrap --cursor acc_7h2k9m4p1r6t3w8y5b0d
    """
    total: dict[str, Any] = {"rewrapped": 0, "busy": [], "unreadable": [], "cursor": cursor}
    try:
        while True:
            page = api.post("encryption/rewrap", {"cursor": total["cursor"]}, again=True)
            total = {
                "rewrapped": total["rewrapped"] + page["rewrapped"],
                **{name: total[name] + page[name] for name in ("busy", "unreadable")},
                "cursor": page["cursor"],
            }
            if total["cursor"] is None:
                break
            out.say(f"{total['rewrapped']} wrapped anew so far")
    except BaseException:
        if total["cursor"] is not None:
            out.tell(f"To go on: mailgrant encryption rewrap --cursor {total['cursor']}")
        raise
    out.answer(total, f"{total['rewrapped']} grants and access tokens have their data keys wrapped anew.")
    return _left(out, total)


def _left(out: Out, total: dict[str, Any]) -> int:
    """Says what was left as it is, and gives the exit code."""
    if total["busy"]:
        out.say(f"Changed all the while: {', '.join(total['busy'])}. Run the command again.")
    if total["unreadable"]:
        out.say(f"Cannot be opened: {', '.join(total['unreadable'])}. Connect these mailboxes again.")
    return FELL_SHORT if total["busy"] or total["unreadable"] else DONE
