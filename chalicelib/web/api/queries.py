"""What the API reads of a URL's query, as typed values."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from chalicelib.records import says

PAGE = 50
LARGEST_PAGE = 100


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """The base of every query. Parameters that it does not name are left alone: proxies add theirs."""


class Page(Query, frozen=True, kw_only=True):
    """Which part of a list is wanted."""

    limit: Annotated[
        int, Meta(ge=1, le=LARGEST_PAGE, description="How many entries the page has at most.")
    ] = PAGE
    cursor: Annotated[str | None, says("Where to go on: the `cursor` of the page before.")] = None


class Protocol(Query, frozen=True, kw_only=True):
    """By which protocol an account is to be verified."""

    protocol: Annotated[
        Literal["smtp", "imap", "pop", "graph", "gmail"] | None,
        says("At which of its servers to sign in; left out, the one that it sends by."),
    ] = None


class MessagesOf(Page, frozen=True, kw_only=True):
    """Whose messages are wanted."""

    account: Annotated[str, Meta(min_length=1, description="The account's id or name.")]


class CallerNamed(Query, frozen=True, kw_only=True):
    """Which caller is meant."""

    id: Annotated[str, Meta(min_length=1, description="The caller's id.")]
