"""What connectors and accounts may be called and hold. A check returns the value, or raises InvalidInput."""

from __future__ import annotations

import re
from typing import NoReturn

from chalicelib import ids
from chalicelib.errors import InvalidInput

NAME_LIMIT = 100
NOT_IN_NAMES = r"/\%?#"
"""What an account's name must not hold: it would end or change a path in which it is named."""
CLIENT_ID = r"[\x21-\x7e]{1,200}"
SECRET_LIMIT = 4_000

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]{0,127}")


def name(text: str) -> str:
    """A connector's or account's name, without blanks around it."""
    text = printable("name", text)
    if ids.is_id("acc", text) or ids.is_id("con", text):
        refuse("name", "The name looks like an id.", "Choose another name.")
    return text


def client_id(text: str) -> str:
    """The id of our client at the provider."""
    if not re.fullmatch(CLIENT_ID, text):
        refuse("client_id", "The client id is not one.", "Copy it from the provider's console.")
    return text


def account_name(text: str) -> str:
    """A name that can stand in a path as it is: ``/v1/accounts/NAME``."""
    text = name(text)
    if text in {".", ".."} or any(one in text for one in NOT_IN_NAMES):
        refuse(
            "name",
            f"The name cannot be used in a path: it is . or .. or holds one of {' '.join(NOT_IN_NAMES)}",
            "Give the account a name without these; its address may keep them.",
        )
    return text


def printable(field: str, text: str) -> str:
    """A text of 1 to NAME_LIMIT printable characters, without blanks around it."""
    stripped = text.strip()
    if not 1 <= len(stripped) <= NAME_LIMIT or not stripped.isprintable():
        refuse(
            field,
            f"It needs 1 to {NAME_LIMIT} printable characters.",
            "Shorten it, and leave out line breaks.",
        )
    return stripped


def tenant(provider: str, text: str) -> str:
    """Microsoft's directory, ``common`` where none is named; empty for every other provider."""
    if provider != "microsoft":  # only Microsoft has tenants in its addresses
        if text:
            refuse("tenant", "Only Microsoft's connectors have a tenant.", "Leave it out.")
        return ""
    if text and not _TENANT.fullmatch(text):
        refuse("tenant", "The tenant is not one.", "Use the directory's id or domain, or common.")
    return text.lower() or "common"


def address(text: str) -> str:
    """A valid mail address as email-validator writes it; nobody is asked whether it exists."""
    from email_validator import EmailNotValidError, validate_email

    try:
        return validate_email(text.strip(), check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise InvalidInput(
            f"The address is not valid: {error}", fix="Correct the address.", field="address"
        ) from error


def refuse(field: str, message: str, fix: str) -> NoReturn:
    """Raises the InvalidInput that names the field."""
    raise InvalidInput(message, fix=fix, field=field)
