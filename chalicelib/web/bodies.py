"""What the API reads: JSON bodies as typed values, each problem named by its field."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from chalicelib import ids
from chalicelib.accounts.checks import CLIENT_ID, NAME_LIMIT, SECRET_LIMIT
from chalicelib.callers.models import CallerKind, Scope
from chalicelib.records import format_of, limits, says

LONGEST_LIFE = 10 * 365 * 24 * 3600
"""Seconds that a key may live at most; one without an expiry lives until it is revoked."""

Name = Annotated[str, limits(minLength=1, maxLength=NAME_LIMIT)]
ClientSecret = Annotated[
    str,
    limits(minLength=1, maxLength=SECRET_LIMIT, writeOnly=True),
    says("Goes to Secrets Manager, and never comes back."),
]


class Request(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The base of every body: a field that is not known is an error, since a typing mistake must not pass.

    Bodies may hold client secrets, so their repr shows no value.
    """

    def __repr__(self) -> str:
        """Names the kind of body only."""
        return f"{type(self).__name__}(…)"


class NewConnector(Request, frozen=True, kw_only=True):
    """An OAuth client that was registered at a provider."""

    provider: Literal["microsoft", "google"]
    name: Annotated[str, limits(maxLength=NAME_LIMIT), says("Left empty, the provider's name.")]
    client_id: Annotated[str, limits(pattern=f"^{CLIENT_ID}$"), says("The client's id at the provider.")]
    client_secret: ClientSecret
    tenant: Annotated[
        str, says("Microsoft's directory, by id or domain; `common` where none is named. Not for Google.")
    ] = ""


class ConnectorChange(Request, frozen=True, kw_only=True):
    """What is left out stays as it is."""

    name: Name | UnsetType = UNSET
    client_id: Annotated[
        str | UnsetType, limits(pattern=f"^{CLIENT_ID}$"), says("Only while no account is connected with it.")
    ] = UNSET
    tenant: Annotated[str | UnsetType, says("Only while no account is connected with it.")] = UNSET


class NewSecret(Request, frozen=True):
    """Another client secret."""

    client_secret: ClientSecret
    check: Annotated[
        bool, says("The provider is asked first; a secret that it does not take is not saved.")
    ] = True


class NewAccount(Request, frozen=True, kw_only=True):
    """A mailbox to be connected."""

    connector: Annotated[str, limits(pattern=f"^{ids.shape('con')}$"), says("The connector's id.")]
    address: Annotated[str, format_of("email", "sales@example.com"), says("The mailbox's own address.")]
    name: Annotated[
        str,
        limits(maxLength=NAME_LIMIT),
        says("A unique name by which callers may name it; else the address."),
    ] = ""
    display_name: Annotated[
        str, limits(maxLength=NAME_LIMIT), says("The name beside the address in From.")
    ] = ""


class AccountChange(Request, frozen=True, kw_only=True):
    """What is left out stays as it is."""

    name: Name | UnsetType = UNSET
    display_name: Annotated[
        str | UnsetType,
        limits(maxLength=NAME_LIMIT),
        says("The name beside the address in From; may be empty."),
    ] = UNSET


class Pause(Request, frozen=True):
    """Why an account is paused."""

    reason: Annotated[str, limits(maxLength=NAME_LIMIT), says("For whoever looks at the account.")] = ""


class Resolution(Request, frozen=True, rename={"as_": "as"}):
    """A person's word on a message of which nobody knows whether the server took it."""

    as_: Annotated[
        Literal["sent", "failed", "resend"],
        says("It was sent; it was not, and shall not be; or it is to be sent again."),
    ]


class NewCaller(Request, frozen=True, kw_only=True):
    """An API key, an IAM role, or an alias of the function `send`."""

    kind: CallerKind
    name: Name
    scopes: Annotated[
        list[Scope],
        limits(minItems=1),
        says("`send`: hand in messages and see its own; `read`: see accounts and all records; `admin`: all."),
    ]
    accounts: Annotated[
        list[str], limits(minItems=1), says('Ids or names of the accounts that it may use, or `"*"` for all.')
    ]
    arn: Annotated[str, says("Of the IAM role or user; for the kind `role` only.")] = ""
    alias: Annotated[
        str, says("Of the function `send`; for the kind `lambda` only. Empty: invoked without an alias.")
    ] = ""
    expires_in: Annotated[
        int | None,
        limits(minimum=1, maximum=LONGEST_LIFE),
        says("Seconds that a key lives; for the kind `key` only. Left out: until it is revoked."),
    ] = None


def given(change: ConnectorChange | AccountChange) -> dict[str, Any]:
    """The fields of a change that the request names."""
    return msgspec.to_builtins(change)  # type: ignore[no-any-return]
