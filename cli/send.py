"""``mailgrant send``."""

from __future__ import annotations

import base64
import mimetypes
import sys
from email.utils import parseaddr
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from cli.api import Api
from cli.commands import asking
from cli.completion import accounts as complete_accounts
from cli.exits import DONE
from cli.messages import followed
from cli.output import Out

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_KEY = 255
STDIN_READ = "cli.send.stdin_read"
"""Key of what click keeps while it reads the options."""

NOT_GIVEN = (None, (), "")
WRITTEN = ("from", "reply_to", "subject", "text", "html", "attach", "headers")
"""What makes a message, and does not go with a whole one."""


def _text(context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """A text as given, ``-`` for standard input, ``@PATH`` for a file."""
    if value is None or not (value == "-" or value.startswith("@")):
        return value
    if value == "-":
        if context.meta.get(STDIN_READ):
            raise click.BadParameter("Standard input is the other text already.")
        context.meta[STDIN_READ] = True
    try:
        return sys.stdin.read() if value == "-" else Path(value[1:]).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        named = "Standard input" if value == "-" else value[1:]
        raise click.BadParameter(f"{named} cannot be read as UTF-8 text.") from error


def _key(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """An idempotency key, which stands in a header."""
    if value is not None and not (0 < len(value) <= LONGEST_KEY and value.isascii() and value.isprintable()):
        raise click.BadParameter(f"Use 1 to {LONGEST_KEY} printable ASCII characters, such as a UUID.")
    return value


def _who(_context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
    """Addresses as the API takes them: with a name where one stands before ``<…>``."""
    if isinstance(value, tuple):
        return [_person(one) for one in value]
    return value and _person(value)


def _headers(_context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in value:
        name, colon, text = (part.strip() for part in line.partition(":"))
        if not colon or not name:
            raise click.BadParameter(f'{line!r} is not a header, such as "X-Order: 4711".')
        if name.lower() in map(str.lower, headers):
            raise click.BadParameter(f"the header {name} stands twice; the case of letters does not count.")
        headers[name] = text
    return headers


@click.command()
@click.option(
    "--account", required=True, shell_complete=complete_accounts, help="Account to send from, by id or name."
)
@click.option(
    "--to", multiple=True, callback=_who, help='Recipient, "ADDRESS" or "NAME <ADDRESS>"; repeatable.'
)
@click.option("--cc", multiple=True, callback=_who, help="As --to.")
@click.option("--bcc", multiple=True, callback=_who, help="As --to; nobody sees it.")
@click.option("--reply-to", multiple=True, callback=_who, help="Who gets the answers; as --to.")
@click.option("--from", "from", callback=_who, help="The account's own address, with another name.")
@click.option("--subject")
@click.option("--text", callback=_text, help="The text; - reads standard input, @PATH a file.")
@click.option("--html", callback=_text, help="The HTML; - reads standard input, @PATH a file.")
@click.option(
    "--attach",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file to attach; repeatable.",
)
@click.option("--header", "headers", multiple=True, callback=_headers, help='"NAME: VALUE"; repeatable.')
@click.option("--eml", type=click.File("rb"), help="A whole message (RFC 5322); - reads standard input.")
@click.option(
    "--on-unknown", type=click.Choice(["resend", "keep"]), help="When nobody knows if it was taken."
)
@click.option("--expires-in", type=int, help="Seconds after which it is given up; a day when left out.")
@click.option("--idempotency-key", callback=_key, help="Made up when left out.")
@click.option("--follow", is_flag=True, help="Wait until it is sent or has failed.")
@click.option(
    "--timeout", type=click.IntRange(0), default=300, show_default=True, help="Seconds to follow it at most."
)
@asking
def send(api: Api, out: Out, *, follow: bool, timeout: int, idempotency_key: str | None, **given: Any) -> int:
    r"""Hand in a message. It is safe to repeat with the same idempotency key: it is sent once.

    \b
    Examples:
      mailgrant send --account sales --to ada@example.com --text "Hi" --follow
      mailgrant send --account sales --to "Ada <a@b.example>" --attach bill.pdf
      mailgrant send --account sales --to ada@example.com --text - < letter.txt
      mailgrant send --account sales --eml letter.eml
    """
    request = _request(given)
    accepted = api.post("messages", request, idempotency_key=idempotency_key or str(uuid4()))
    if not follow:
        out.answer(accepted, f"{accepted['id']} {accepted['state']}")
        return DONE
    out.say(accepted["id"])
    return followed(api, out, accepted["id"], timeout)


def _request(given: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of POST /v1/messages for the options that were given."""
    request = {name: value for name, value in given.items() if value not in (*NOT_GIVEN, [], {})}
    if "eml" in request:
        if strange := [name for name in WRITTEN if name in request]:
            option = strange[0].removesuffix("s").replace("_", "-")
            raise click.UsageError(f"--eml is a whole message; it does not go with --{option}.")
        request["raw"] = base64.b64encode(request.pop("eml").read()).decode()
    if "attach" in request:
        request["attachments"] = [_attachment(path) for path in request.pop("attach")]
    return request


def _person(text: str) -> str | dict[str, str]:
    name, address = parseaddr(text)
    return {"address": address, "name": name} if name and address else text


def _attachment(path: Path) -> dict[str, str]:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    content = base64.b64encode(path.read_bytes()).decode()
    return {"filename": path.name, "content_type": kind, "content": content}
