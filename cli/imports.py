"""What other systems export of mailboxes that they have connected, read into one form.

=====================  ==========================================================================
``email-oauth2-proxy``  its configuration file; refresh tokens are encrypted with the mailbox's own
                        password at the proxy (PBKDF2 with ``token_salt``, then Fernet)
``emailengine``         JSON of accounts, as its API registers and shows them (``oauth2.refreshToken``)
``frappe``              JSON of documents of the type Token Cache (``user``, ``refresh_token``)
``group-office``        JSON or CSV of accounts with their ``refreshToken``
``rows``                JSON or CSV with ``address``, ``refresh_token``, and ``name`` if it has one
=====================  ==========================================================================
"""

from __future__ import annotations

import base64
import binascii
import configparser
import csv
import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LEGACY_ITERATIONS = 100_000
"""What email-oauth2-proxy used before it wrote the number beside the token."""

ADDRESS = ("address", "email", "email_id", "username", "user", "login", "account")
TOKEN = ("refresh_token", "refreshToken")
NAME = ("name", "account_name")
"""Where the systems keep what is wanted; the first that is there counts."""


@dataclass(frozen=True, slots=True)
class Exported:
    """One mailbox. `mailbox` differs from who signs in where that is a shared mailbox."""

    address: str
    refresh_token: str = field(repr=False)
    name: str = ""
    signs_in_as: str = ""


class UnreadableExport(ValueError):
    """What a file has that cannot be imported; the text is for people."""


def read(text: str, password: Callable[[str], str]) -> list[Exported]:
    """The mailboxes of an export, whatever system it is of, in its order.

    `password` is asked for that of a mailbox whose token is encrypted with it. Raises UnreadableExport.
    """
    found = _found(text.lstrip("\ufeff \r\n\t"), password)
    if not found:
        raise UnreadableExport("There is no connected mailbox in it.")
    return found


def _found(stripped: str, password: Callable[[str], str]) -> list[Exported]:
    if stripped.startswith(("{", "[{", "[\n", "[ ", "[]")):
        return _rows(_json_rows(stripped))
    if stripped.startswith(("[", "#", ";")):
        return _proxy(stripped, password)
    return _rows(csv.DictReader(io.StringIO(stripped)))


def _json_rows(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UnreadableExport(f"This is not JSON: {error}") from error
    if isinstance(value, dict):  # a page of an API, or one account
        pages = [one for one in value.values() if isinstance(one, list)]
        return pages[0] if len(pages) == 1 else [value]
    return list(value)


def _rows(rows: Iterable[Any]) -> list[Exported]:
    found = []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise UnreadableExport(f"Entry {number} is not an account.")
        oauth2 = _inner(row, "oauth2")
        token = _first(row, TOKEN) or _first(oauth2, TOKEN)
        person = _first(_inner(oauth2, "auth"), ("user",))
        shared = _first(_inner(oauth2, "auth"), ("delegatedUser",))
        address = shared or _first(row, ADDRESS) or person
        if "@" not in address or not token:
            raise UnreadableExport(
                f"Entry {number} has no mail address or no refresh token ({', '.join(map(str, row))})."
            )
        signs_in_as = person if shared and person != shared else ""
        found.append(Exported(address, token, _name(row, address), signs_in_as))
    return found


def _inner(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = row.get(name)
    return inner if isinstance(inner, dict) else {}


def _name(row: Mapping[str, Any], address: str) -> str:
    name = _first(row, NAME)
    return "" if name == address else name


def _first(row: Mapping[str, Any], names: Iterable[str]) -> str:
    found = (row.get(name) for name in names)
    return next((str(one).strip() for one in found if one), "")


def _proxy(text: str, password: Callable[[str], str]) -> list[Exported]:
    """The sections that are named by a mail address; the others are servers."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise UnreadableExport(f"This is not a configuration of email-oauth2-proxy: {error}") from error
    accounts = [name for name in parser.sections() if "@" in name]
    return [
        Exported(name, _decrypted(parser[name], name, password))
        for name in accounts
        if parser[name].get("refresh_token")
    ]


def _decrypted(section: Mapping[str, str], address: str, password: Callable[[str], str]) -> str:
    token, salt = section["refresh_token"], section.get("token_salt")
    if not salt:
        return token
    from cryptography.fernet import Fernet, InvalidToken

    iterations = int(section.get("token_iterations") or LEGACY_ITERATIONS)
    try:
        key = _key(password(address), base64.b64decode(salt, validate=True), iterations)
        return Fernet(key).decrypt(token.encode()).decode()
    except (InvalidToken, binascii.Error, ValueError) as error:
        raise UnreadableExport(
            f"The token of {address} cannot be opened: its password at the proxy is another one."
        ) from error


def _key(password: str, salt: bytes, iterations: int) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    derived = PBKDF2HMAC(SHA256(), length=32, salt=salt, iterations=iterations).derive(password.encode())
    return base64.urlsafe_b64encode(derived)
