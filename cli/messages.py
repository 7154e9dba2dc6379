"""Commands for messages."""

from __future__ import annotations

import base64
import mimetypes
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from cli.api import Api, part
from cli.output import NOT_SENT, Out, asking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

POLL = 1.0
"""Seconds between two looks at a message that is followed."""

LONGEST_KEY = 255

NOT_GIVEN = (None, (), "")

SETTLED = frozenset({"sent", "failed", "cancelled", "unknown"})
BAD = frozenset({"failed", "cancelled", "unknown"})

FIELDS = [
    ("id", "id"),
    ("state", "state"),
    ("account", "account"),
    ("subject", "subject"),
    ("message_id", "Message-ID"),
    ("accepted_at", "accepted"),
    ("next_attempt_at", "next attempt"),
    ("expires_at", "given up"),
    ("size", "bytes"),
]


def _text(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """A text as given, ``-`` for standard input, ``@PATH`` for a file."""
    if value is None or not (value == "-" or value.startswith("@")):
        return value
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


@click.command()
@click.option("--account", required=True, help="The account to send from, by id or name.")
@click.option("--to", multiple=True, help="A recipient; may be repeated.")
@click.option("--cc", multiple=True)
@click.option("--bcc", multiple=True)
@click.option("--reply-to", multiple=True)
@click.option("--subject")
@click.option("--text", callback=_text, help="The text; - reads standard input, @PATH a file.")
@click.option("--html", callback=_text, help="The HTML; - reads standard input, @PATH a file.")
@click.option("--attach", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--eml", type=click.File("rb"), help="A whole message (RFC 5322) as a file; - reads standard input."
)
@click.option(
    "--on-unknown", type=click.Choice(["resend", "keep"]), help="When nobody knows if it was taken."
)
@click.option("--expires-in", type=int, help="Seconds after which it is given up.")
@click.option("--idempotency-key", callback=_key, help="Made up when left out.")
@click.option("--follow", is_flag=True, help="Wait until it is sent or has failed.")
@click.option(
    "--timeout", type=click.IntRange(0), default=300, show_default=True, help="Seconds to follow it at most."
)
@asking
def send(
    api: Api, out: Out, *, follow: bool, timeout: int, idempotency_key: str | None, **given: Any
) -> int | None:
    """Hand in a message. It is safe to repeat with the same idempotency key: it is sent once."""
    key = idempotency_key or str(uuid4())
    accepted = api.post("messages", _request(given), idempotency_key=key)
    if not follow:
        out.answer(accepted, f"{accepted['id']} {accepted['state']}")
        return None
    out.say(accepted["id"])
    return _follow(api, out, accepted["id"], timeout)


@click.group()
def messages() -> None:
    """What became of messages."""


@messages.command("list")
@click.option("--account", required=True, help="An account, by id or name.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@asking
def list_messages(api: Api, out: Out, account: str, limit: int) -> None:
    """List an account's messages, the newest first."""
    found = list(api.pages("messages", "messages", limit, account=account))
    entries = [
        (one["state"], f"{_time(one['accepted_at'])}  {one.get('subject') or ''}", one["id"]) for one in found
    ]
    out.entries({"messages": found}, entries)


@messages.command("show")
@click.argument("message")
@asking
def show(api: Api, out: Out, message: str) -> None:
    """Show one message with every attempt."""
    _show(out, api.get(f"messages/{part(message)}"))


@messages.command("follow")
@click.argument("message")
@click.option(
    "--timeout", type=click.IntRange(0), default=300, show_default=True, help="Seconds to wait at most."
)
@asking
def follow(api: Api, out: Out, message: str, timeout: int) -> int | None:
    """Wait until a message is sent (exit 0) or failed or unknown (exit 4)."""
    return _follow(api, out, message, timeout)


@messages.command("resolve")
@click.argument("message")
@click.option("--as", "as_", type=click.Choice(["sent", "failed", "resend"]), required=True)
@asking
def resolve(api: Api, out: Out, message: str, as_: str) -> None:
    """Settle a message of which nobody knows whether it was taken."""
    answer = api.post(f"messages/{part(message)}/resolve", {"as": as_})
    out.answer(answer, f"{message} {answer.get('state', as_)}")


def _request(given: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of POST /v1/messages for the options that were given."""
    request: dict[str, Any] = {name: _plain(value) for name, value in given.items() if value not in NOT_GIVEN}
    if "eml" in request:
        strange = sorted({"subject", "text", "html", "attach", "reply_to"} & request.keys())
        if strange:
            raise click.UsageError(
                f"--eml is a whole message; it does not go with --{strange[0].replace('_', '-')}."
            )
        request["raw"] = base64.b64encode(request.pop("eml").read()).decode()
    if "attach" in request:
        request["attachments"] = [_attachment(path) for path in request.pop("attach")]
    return request


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _attachment(path: Path) -> dict[str, str]:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    content = base64.b64encode(path.read_bytes()).decode()
    return {"filename": path.name, "content_type": kind, "content": content}


def _follow(api: Api, out: Out, message: str, timeout: int) -> int | None:
    end = time.monotonic() + timeout
    said = ""
    while True:
        found = api.get(f"messages/{part(message)}")
        state = found["state"]
        if state in SETTLED or time.monotonic() >= end:
            break
        if state != said:
            out.say(f"{state} …")
            said = state
        time.sleep(POLL)
    _show(out, found)
    return None if state in SETTLED - BAD else NOT_SENT


def _show(out: Out, record: Mapping[str, Any]) -> None:
    out.record(record, FIELDS)
    if out.as_json:
        return
    for recipient in record.get("recipients", ()):
        out.say(f"  {recipient['state']:10} {recipient['address']}{_reply(recipient)}")
    if record.get("may_be_duplicate"):
        out.say("The recipients may have got it twice: an attempt ended without an answer.")
    _attempts(out, record.get("attempts", ()))


def _attempts(out: Out, attempts: Sequence[Mapping[str, Any]]) -> None:
    for attempt in attempts:
        ended = f"{attempt.get('outcome') or 'running'} in phase {attempt['phase']}"
        out.say(f"\nAttempt {attempt['number']}  {_time(attempt['began_at'])}  {ended}{_reply(attempt)}")
        out.problem(attempt.get("diagnosis"))


def _reply(record: Mapping[str, Any]) -> str:
    reply = record.get("reply")
    # The text begins with the enhanced code, if there is one.
    return f"  {reply['code']} {reply['text']}" if reply else ""


def _time(shown: str) -> str:
    return shown.replace("T", " ").partition(".")[0]
