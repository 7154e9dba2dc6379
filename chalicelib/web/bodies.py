"""What the API reads: JSON bodies as typed values, each problem named by its field."""

from __future__ import annotations

from typing import Literal

import msgspec

from chalicelib.callers.models import CallerKind, Scope


class Request(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The base of every body: a field that is not known is an error, since a typing mistake must not pass.

    Bodies may hold client secrets, so their repr shows no value.
    """

    def __repr__(self) -> str:
        """Names the kind of body only."""
        return f"{type(self).__name__}(…)"


class NewConnector(Request, frozen=True, kw_only=True):
    """POST /v1/connectors."""

    provider: Literal["microsoft", "google"]
    name: str
    client_id: str
    client_secret: str
    tenant: str = ""


class NewSecret(Request, frozen=True):
    """PUT /v1/connectors/{connector}/secret."""

    client_secret: str


class NewAccount(Request, frozen=True, kw_only=True):
    """POST /v1/accounts."""

    connector: str
    address: str
    name: str = ""
    display_name: str = ""


class Resolution(Request, frozen=True, rename={"as_": "as"}):
    """POST /v1/messages/{message}/resolve."""

    as_: Literal["sent", "failed", "resend"]


class NewCaller(Request, frozen=True, kw_only=True):
    """POST /v1/callers. `arn` belongs to a role, `alias` to a lambda, `expires_in` (seconds) to a key."""

    kind: CallerKind
    name: str
    scopes: list[Scope]
    accounts: list[str]
    arn: str = ""
    alias: str = ""
    expires_in: int | None = None
