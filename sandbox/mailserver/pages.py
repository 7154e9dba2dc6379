"""The mailboxes as plain HTML pages, without JavaScript."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import jinja2

from sandbox.mailserver.store import Filter, Message, Store

if TYPE_CHECKING:
    from collections.abc import Sequence


class Pages:
    """Renders the pages of one store; every value is escaped, and a missing one is an error."""

    def __init__(self, store: Store) -> None:
        """Render what this store holds."""
        self._store = store
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["clock"] = _clock
        self._templates.filters["quoted"] = lambda text: quote(str(text), safe="")

    def inbox(self, mailbox: str | None) -> str:
        """Return the list of mailboxes and of messages, newest first, of one mailbox or of all."""
        messages: Sequence[Message] = self._store.messages(Filter(recipient=mailbox))
        return self._templates.get_template("inbox.html").render(
            mailboxes=self._store.mailboxes(), mailbox=mailbox, messages=list(reversed(messages))
        )

    def message(self, message: Message) -> str:
        """Return one message: envelope, headers, text, HTML in a sandboxed frame, attachments."""
        return self._templates.get_template("message.html").render(
            message=message, record=message.to_log_record(), content=message.content
        )

    def not_found(self) -> str:
        """Return the page for an address that names nothing."""
        return self._templates.get_template("not_found.html").render()


def _clock(epoch: float) -> str:
    return dt.datetime.fromtimestamp(epoch, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
