"""What the API reads: JSON bodies as typed values, each problem named by its field."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

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


class ConnectorChange(Request, frozen=True, kw_only=True):
    """PATCH /v1/connectors/{connector}. What is left out stays as it is."""

    name: str | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    tenant: str | UnsetType = UNSET


class NewSecret(Request, frozen=True):
    """PUT /v1/connectors/{connector}/secret. `check`: the provider is asked first whether it takes it."""

    client_secret: str
    check: bool = True


class NewAccount(Request, frozen=True, kw_only=True):
    """POST /v1/accounts."""

    connector: str
    address: str
    name: str = ""
    display_name: str = ""


class AccountChange(Request, frozen=True, kw_only=True):
    """PATCH /v1/accounts/{account}. What is left out stays as it is."""

    name: str | UnsetType = UNSET
    display_name: str | UnsetType = UNSET


class Pause(Request, frozen=True):
    """POST /v1/accounts/{account}/pause."""

    reason: str = ""


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


def given(change: ConnectorChange | AccountChange) -> dict[str, Any]:
    """The fields of a change that the request names."""
    return msgspec.to_builtins(change)  # type: ignore[no-any-return]
