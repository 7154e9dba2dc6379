"""What the API reads of a URL's query, as typed values."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from chalicelib.errors import InvalidInput
from chalicelib.mail.records import ShownState
from chalicelib.records import limits, says

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = 50
LARGEST_PAGE = 100

OF_A_SIGNATURE = "x-amz-"
"""How the parameters of a request begin that is signed in its URL (AWS Signature Version 4)."""

NAME_SHOWN = 100
"""Characters of an unknown parameter's name that an error repeats."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """The base of every query. Parameters that it does not name are refused, as unknown fields are."""


def require_known(parameters: Iterable[str], type_: type[Query]) -> None:
    """Returns when the type names all parameters. Raises InvalidInput for the first that it does not."""
    known = type_.__struct_fields__
    for name in parameters:
        if name not in known and not name.lower().startswith(OF_A_SIGNATURE):
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"Did you mean {near[0]}? " if near else ""
            offered = f"There is {', '.join(known)}." if known else "This path has none."
            shown = name[:NAME_SHOWN]
            raise InvalidInput(f"There is no parameter {shown} here.", fix=meant + offered, field=shown)


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


class MessagesWanted(Page, frozen=True, kw_only=True):
    """Which messages are wanted."""

    account: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        says("The account's id or name; left out, every account that the caller may use."),
    ] = None
    state: Annotated[ShownState | None, says("Only messages in this state.")] = None
    since: Annotated[
        Annotated[str, limits(format="date-time")] | None,
        says("Only messages that were accepted then or later; RFC 3339."),
    ] = None
    until: Annotated[
        Annotated[str, limits(format="date-time")] | None,
        says("Only messages that were accepted before that; RFC 3339."),
    ] = None


class CallerNamed(Query, frozen=True, kw_only=True):
    """Which caller is meant."""

    id: Annotated[str, Meta(min_length=1, description="The caller's id.")]
