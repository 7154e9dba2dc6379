"""Which command asks for which route of the API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMANDS: Final[Mapping[str, str]] = {
    "GET /providers": "providers",
    "POST /connectors": "connectors add",
    "GET /connectors": "connectors list",
    "GET /connectors/{}": "connectors show",
    "PATCH /connectors/{}": "connectors update",
    "DELETE /connectors/{}": "connectors delete",
    "PUT /connectors/{}/secret": "connectors secret",
    "GET /connectors/{}/doctor": "connectors doctor",
    "POST /accounts": "accounts add",
    "GET /accounts": "accounts list",
    "GET /accounts/{}": "accounts show",
    "PATCH /accounts/{}": "accounts rename",
    "POST /accounts/{}/connect-link": "connect",
    "POST /accounts/{}/connect": "accounts connect",
    "POST /accounts/{}/rollback": "accounts rollback",
    "POST /accounts/{}/pause": "accounts pause",
    "POST /accounts/{}/resume": "accounts resume",
    "POST /accounts/{}/verify": "accounts verify",
    "GET /accounts/{}/doctor": "accounts doctor",
    "POST /accounts/{}/disconnect": "accounts disconnect",
    "DELETE /accounts/{}": "accounts delete",
    "POST /accounts/{}/restore": "accounts restore",
    "POST /messages": "send",
    "GET /messages": "messages list",
    "GET /messages/{}": "messages show",
    "POST /messages/{}/resolve": "messages resolve",
    "POST /messages/{}/cancel": "messages cancel",
    "POST /callers": "keys create",
    "GET /callers": "callers list",
    "PATCH /callers": "callers limit",
    "DELETE /callers": "callers revoke",
    "GET /whoami": "whoami",
    "GET /status": "status",
    "POST /encryption/rewrap": "encryption rewrap",
}
"""Method and path, without the names of its parameters → the command."""

_ID: Final = re.compile(r"{[^}]*}|\b(?:acc|con|key|msg)_\w+")
"""The name of a parameter, or an id in its place."""
_ROUTE: Final = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) /v1(/[\w{}/-]+)")


def named(fix: str) -> str:
    """The API's advice for whoever sits at a terminal: with commands in the place of routes."""
    return _ROUTE.sub(_command, fix)


def _command(found: re.Match[str]) -> str:
    route = f"{found[1]} {_ID.sub('{}', found[2])}"
    return f"`mailgrant {COMMANDS[route]}`" if route in COMMANDS else found[0]
