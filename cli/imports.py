"""What other systems export of the mailboxes that they send from, read into one form.

=====================  ==========================================================================
``email-oauth2-proxy``  its configuration file, or its cache store (imports_proxy.py)
``emailengine``         JSON as ``emailengine export`` prints it: one account, a list, or one in each line
``frappe``              JSON of documents of the types Email Account and Token Cache
``group-office``        JSON or CSV of accounts with the columns of its tables
``rows``                JSON or CSV (by commas, semicolons or tabs) with the names of the API's fields
=====================  ==========================================================================

A file is read as a whole: what is wrong with any row is told by its line, and then nothing is imported.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from chalicelib.accounts.admin import checks
from chalicelib.accounts.models.account import AuthMode
from chalicelib.errors import InvalidInput
from cli import imports_proxy, imports_rows
from cli.exported import Exported, UnreadableExport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


NOT_HERE: Final = ("name", "reads_with")
"""What is checked elsewhere."""


def read(text: str, password: Callable[[str], str]) -> list[Exported]:
    """The mailboxes of an export, whatever system it is of, in its order.

    `password` is asked for that of a mailbox whose token is encrypted with it. Raises UnreadableExport.
    """
    found, bad = [], []
    stripped = text.lstrip("\ufeff \r\n\t")
    left_out = text[: len(text) - len(stripped)].count("\n")
    for one in _found(stripped, left_out, password):
        if isinstance(one, UnreadableExport):
            bad.append(str(one))
            continue
        try:
            found.append(_checked(one))
        except (InvalidInput, UnreadableExport) as error:
            said = f"{error.message} {error.fix}" if isinstance(error, InvalidInput) else str(error)
            bad.append(f"{one.place}: {said}")
    bad += _doubled(found)
    if bad:
        raise UnreadableExport("\n".join(bad))
    if not found:
        raise UnreadableExport("There is no mailbox in it.")
    return found


def _found(
    stripped: str, left_out: int, password: Callable[[str], str]
) -> Iterator[Exported | UnreadableExport]:
    rows: Iterator[tuple[str, Any]]
    if stripped.startswith(("{", "[{", "[\n", "[\r", "[ ", "[]")):
        rows = ((f"Entry {number}", row) for number, row in enumerate(_json_rows(stripped), 1))
    elif stripped.startswith(("[", "#", ";")):
        yield from imports_proxy.accounts(stripped, password)
        return
    else:
        rows = _csv_rows(stripped, left_out)
    for place, row in rows:
        try:
            yield imports_rows.exported(place, row)
        except UnreadableExport as error:
            yield UnreadableExport(f"{place}: {error}")


def _json_rows(text: str) -> Iterator[Any]:
    """The entries of a list, of a page of an API, or of documents one after the other (JSON Lines)."""
    decoder, position = json.JSONDecoder(), 0
    while position < len(text):
        try:
            value, end = decoder.raw_decode(text, position)
        except ValueError as error:
            raise UnreadableExport(f"This is not JSON: {error}") from error
        yield from value if isinstance(value, list) else _page(value)
        position = end + len(text[end:]) - len(text[end:].lstrip())


def _page(value: Any) -> list[Any]:
    """The accounts of one document: those that it lists, or itself."""
    if not isinstance(value, dict) or imports_rows.names_address(value):
        return [value]
    lists = [one for one in value.values() if isinstance(one, list)]
    return lists[0] if len(lists) == 1 else [value]


def _csv_rows(text: str, left_out: int) -> Iterator[tuple[str, Any]]:
    """The rows with their places in the file, of which so many lines are left out before the text."""
    first = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=first.count))
    try:
        imports_rows.small_names(reader.fieldnames or ())
    except UnreadableExport as error:
        raise UnreadableExport(f"Line {left_out + 1}: {error}") from error
    for row in reader:
        yield f"Line {left_out + reader.line_num}", row


def _checked(one: Exported) -> Exported:
    """With its address and name as the API writes them. Raises InvalidInput and UnreadableExport."""
    one = replace(one, address=checks.address(one.address), auth_mode=_mode(one))
    if one.name:
        checks.account_name(one.name)
    # Whether there is an account to read with, the API knows.
    checks.description(**{name: said for name, said in one.described.items() if name not in NOT_HERE})
    return one


def _mode(one: Exported) -> str:
    """The auth mode that is named, or follows from what the row holds."""
    implied = AuthMode.AUTHORIZATION_CODE if one.refresh_token else AuthMode.PASSWORD if one.password else ""
    mode = str(one.auth_mode or implied)
    if mode:
        checks.held(AuthMode(mode), {"refresh_token": one.refresh_token, "password": one.password})
    return mode


def _doubled(found: Iterable[Exported]) -> list[str]:
    listed = list(found)
    count = Counter(one.called.casefold() for one in listed)
    return [
        f"{one.place}: Several accounts have the name {one.called}. Give each a name of its own."
        for one in listed
        if count[one.called.casefold()] > 1
    ]
