"""What the API reads: JSON bodies as typed values, each problem named by its field."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from chalicelib import ids
from chalicelib.accounts.admin.checks import (
    CLIENT_ID,
    HELD,
    NAME_LIMIT,
    SECRET_LIMIT,
)
from chalicelib.accounts.admin.held import CERTIFICATE_LIMIT
from chalicelib.accounts.models.account import AuthMode, FromPolicy
from chalicelib.accounts.models.connector import Cloud, CredentialKind
from chalicelib.callers.models import CallerKind, Scope
from chalicelib.records import format_of, limits, says
from chalicelib.web.api.fields import (
    ClientSecret,
    FromAddresses,
    Name,
    OwnFacts,
    Password,
    PerMinute,
    Person,
    Provider,
    ReadsWith,
    RefreshToken,
    ReplyToDomains,
    SendsFrom,
    ServiceAccountKey,
    SmtpUser,
    hidden,
)

LONGEST_LIFE = 10 * 365 * 24 * 3600
"""Seconds that a key may live at most; one without an expiry lives until it is revoked."""


class Request(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The base of every body: a field that is not known is an error, since a typing mistake must not pass.

    Bodies may hold client secrets, so their repr shows no value.
    """

    def __repr__(self) -> str:
        """Names the kind of body only."""
        return f"{type(self).__name__}(…)"


class Certificate(Request, frozen=True, kw_only=True):
    """A certificate with its private key, in one of two forms."""

    pem: Annotated[str, hidden("Both, one after the other, as PEM.", CERTIFICATE_LIMIT)] = ""
    pfx: Annotated[str, hidden("A PFX or PKCS #12 file, in Base64.", CERTIFICATE_LIMIT)] = ""
    passphrase: Annotated[str, hidden("With which the private key is encrypted.", SECRET_LIMIT)] = ""


class Credential(Request, frozen=True, kw_only=True):
    """What our client proves itself with, by its kind."""

    credential: Annotated[
        CredentialKind | UnsetType,
        says("Its kind. Left out: that of what is given, else `secret`."),
    ] = UNSET
    client_secret: ClientSecret = ""
    certificate: Annotated[Certificate | None, says("For the credential `certificate`.")] = None
    service_account_key: ServiceAccountKey = ""

    @property
    def named_kind(self) -> CredentialKind | None:
        """The kind that is named, or follows from what is given."""
        if self.credential is not UNSET:
            return self.credential
        if self.certificate is not None:
            return CredentialKind.CERTIFICATE
        if self.service_account_key:
            return CredentialKind.SERVICE_ACCOUNT
        return CredentialKind.SECRET if self.client_secret else None

    def to_save(self) -> dict[str, Any]:
        """What is given, as `connect` takes it."""
        certificate = self.certificate and {
            name: value for name, value in msgspec.structs.asdict(self.certificate).items() if value
        }
        return {
            "secret": self.client_secret,
            "certificate": certificate,
            "service_account_key": self.service_account_key,
        }


class NewConnector(Credential, frozen=True, kw_only=True):
    """An OAuth client that was registered at a provider, or a provider whose mailboxes have passwords."""

    provider: Annotated[Provider, says("`GET /providers` tells what each can do.")]
    name: Annotated[str, limits(maxLength=NAME_LIMIT), says("Left empty, the provider's name.")] = ""
    client_id: Annotated[
        str,
        limits(pattern=f"^({CLIENT_ID})?$"),
        says(
            "The client's id at the provider. Left out with the credential `none` where there is no client, "
            "and with a service account's key, which holds it."
        ),
    ] = ""
    tenant: Annotated[
        str, says("Microsoft's directory, by id or domain; `common` where none is named. For no other.")
    ] = ""
    cloud: Annotated[Cloud, says("Microsoft's cloud; each needs a client of its own.")] = Cloud.GLOBAL
    scopes: Annotated[
        list[str],
        says(
            "What owners are asked for, chosen from the provider's `protocol_scopes`. Empty: the usual, "
            "which is sending over SMTP."
        ),
    ] = []
    discovery: Annotated[
        str,
        says("For `other`: its issuer, or the URL of its discovery document. Endpoints follow from it."),
    ] = ""
    facts: OwnFacts = {}


class ConnectorChange(Request, frozen=True, kw_only=True):
    """What is left out stays as it is."""

    name: Name | UnsetType = UNSET
    client_id: Annotated[
        str | UnsetType, limits(pattern=f"^{CLIENT_ID}$"), says("Only while no account is connected with it.")
    ] = UNSET
    tenant: Annotated[str | UnsetType, says("Only while no account is connected with it.")] = UNSET
    scopes: Annotated[
        list[str] | UnsetType, limits(minItems=1), says("What owners are asked for from now on.")
    ] = UNSET
    facts: Annotated[
        dict[str, Any] | UnsetType,
        says("In the place of all that it has of its own; endpoints only while no account is connected."),
    ] = UNSET
    secret_expires_at: Annotated[
        str | UnsetType,
        says("The day on which the provider ends the client secret (`2027-01-31`). Empty: nobody knows."),
    ] = UNSET


class NewSecret(Credential, frozen=True, kw_only=True):
    """Another credential: of the same kind, or of another one that belongs to the same client."""

    check: Annotated[
        bool, says("The provider is asked first; a credential that it does not take is not saved.")
    ] = True
    secret_expires_at: Annotated[
        str,
        says(
            "The day on which the provider ends the new secret (`2027-01-31`), which it tells only whoever "
            "makes it: `status` and `doctor` warn 60 days ahead. Left out, the former day is forgotten."
        ),
    ] = ""


class Held(Request, frozen=True, kw_only=True):
    """What an account proves itself with, where that is not its owner's sign-in in a browser."""

    auth_mode: Annotated[
        AuthMode | None,
        says("How it proves itself. Left out: what `password` or `refresh_token` say, else the usual one."),
    ] = None
    password: Password = ""
    refresh_token: RefreshToken = ""

    @property
    def named_mode(self) -> AuthMode | None:
        """The mode that is named, or follows from what is given."""
        implied = AuthMode.PASSWORD if self.password else None
        return self.auth_mode or (AuthMode.AUTHORIZATION_CODE if self.refresh_token else implied)

    @property
    def held(self) -> dict[str, str]:
        """Password and refresh token, as `connect` takes them."""
        return {name: getattr(self, name) for name in HELD.values()}


class NewAccount(Held, frozen=True, kw_only=True):
    """A mailbox to be connected.

    The usual auth mode is its owner's consent, where the connector is good for that. By any other, and with
    a refresh token, it is connected at once.
    """

    connector: Annotated[str, limits(pattern=f"^{ids.shape('con')}$"), says("The connector's id.")]
    address: Annotated[
        str,
        format_of("email", "sales@example.com"),
        says("The mailbox's own address. Its domain may be one of a local network, such as mail.local."),
    ]
    name: Annotated[
        str,
        limits(maxLength=NAME_LIMIT),
        says("A unique name by which callers may name it; else the address."),
    ] = ""
    display_name: Annotated[
        str, limits(maxLength=NAME_LIMIT), says("The name beside the address in From.")
    ] = ""
    signs_in_as: Person = ""
    smtp_user: SmtpUser = ""
    from_policy: Annotated[
        FromPolicy, says("What becomes of a message from an address that it may not use.")
    ] = FromPolicy.REJECT
    from_addresses: FromAddresses = []
    always_name: Annotated[bool, says("Its messages bear its display name, whatever they ask for.")] = False
    reads_with: ReadsWith = ""
    connect: Annotated[
        bool,
        says(
            "False: it is not connected now, nor a link made; `POST /accounts/{account}/connect` does that."
        ),
    ] = True


class AccountChange(Request, frozen=True, kw_only=True):
    """What is left out stays as it is. `POST …/connect` changes the auth mode and the password."""

    name: Name | UnsetType = UNSET
    display_name: Annotated[
        str | UnsetType,
        limits(maxLength=NAME_LIMIT),
        says("The name beside the address in From; may be empty."),
    ] = UNSET
    signs_in_as: Person | UnsetType = UNSET
    smtp_user: SmtpUser | UnsetType = UNSET
    from_policy: Annotated[
        FromPolicy | UnsetType, says("What becomes of a message from an address that it may not use.")
    ] = UNSET
    from_addresses: FromAddresses | UnsetType = UNSET
    always_name: Annotated[
        bool | UnsetType, says("Its messages bear its display name, whatever they ask for.")
    ] = UNSET
    reads_with: ReadsWith | UnsetType = UNSET


class DirectConnection(Held, frozen=True, kw_only=True):
    """How an account is connected without its owner's browser. The usual auth mode is its own."""


class Pause(Request, frozen=True):
    """Why an account is paused."""

    reason: Annotated[str, limits(maxLength=NAME_LIMIT), says("For whoever looks at the account.")] = ""


class Resolution(Request, frozen=True, rename={"as_": "as"}):
    """A person's word on a message of which nobody knows whether the server took it."""

    as_: Annotated[
        Literal["sent", "failed", "resend"],
        says("It was sent; it was not, and shall not be; or it is to be sent again."),
    ]


class Rewrap(Request, frozen=True):
    """Which mailboxes' data keys are wrapped anew next."""

    cursor: Annotated[
        str | None, says("Where to go on: the `cursor` of the last answer. Left out: from the first mailbox.")
    ] = None


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
    from_addresses: SendsFrom = []
    reply_to_domains: ReplyToDomains = []
    messages_per_minute: PerMinute = None


class CallerChange(Request, frozen=True, kw_only=True):
    """What is left out stays as it is."""

    from_addresses: SendsFrom | UnsetType = UNSET
    reply_to_domains: ReplyToDomains | UnsetType = UNSET
    messages_per_minute: PerMinute | UnsetType = UNSET


def given(change: Request) -> dict[str, Any]:
    """The fields that the request names."""
    return msgspec.to_builtins(change)  # type: ignore[no-any-return]
