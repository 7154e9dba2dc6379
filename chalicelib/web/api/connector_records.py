"""What the API answers of providers and connectors: types only; shown.py fills them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from chalicelib.accounts.models.account import AuthMode
from chalicelib.accounts.models.account import Status as AccountStatus
from chalicelib.accounts.models.connector import Cloud, CredentialKind
from chalicelib.records import AccountId, ConnectorId, Diagnosis, Record, Time, says
from chalicelib.web.api.fields import Provider as ProviderName
from chalicelib.web.api.records import Cursor


class Hosted(Record, frozen=True):
    """A mail server."""

    host: str
    port: int
    tls: Annotated[
        Literal["starttls", "implicit"], says("Whether TLS is begun by a command, or with the connection.")
    ]


class ProviderCloud(Record, frozen=True):
    """What a provider offers in one of its clouds."""

    cloud: Annotated[Cloud, says("`global` for providers that have no others.")]
    protocol_scopes: Annotated[
        dict[str, str], says("Protocol → the scope that opens it: choose from these for `scopes`.")
    ]
    scopes: Annotated[str, says("All that can be asked for, in one string to copy and prune.")]
    smtp: Annotated[Hosted | None, says("Null where the connector's own `facts` have to name it.")]
    imap: Hosted | None
    pop: Hosted | None


class Provider(Record, frozen=True):
    """A provider that connectors can be made for."""

    name: ProviderName
    label: Annotated[str, says("What people call it.")]
    auth_modes: Annotated[list[AuthMode], says("How its accounts can prove themselves.")]
    credentials: Annotated[list[CredentialKind], says("What our client can prove itself with.")]
    clouds: list[ProviderCloud]


class ProviderList(Record, frozen=True):
    """Every provider of the catalogue."""

    providers: list[Provider]


class Connector(Record, frozen=True):
    """Our OAuth client as it is registered at a provider; never its credential."""

    id: ConnectorId
    provider: ProviderName
    name: str
    client_id: Annotated[str, says("The client's id at the provider; empty where there is no client.")]
    tenant: Annotated[str, says("Microsoft's directory; empty for all others.")]
    cloud: Annotated[Cloud, says("Microsoft's cloud; `global` for all others.")]
    credential: Annotated[CredentialKind, says("What the client proves itself with.")]
    facts: Annotated[
        dict[str, Any], says("What differs from the provider's usual facts: endpoints, scopes, hosts.")
    ]
    redirect_uri: Annotated[
        str, Meta(description="To be registered at the provider, character by character.")
    ]
    created_at: Time
    secret_saved_at: Annotated[
        Time | None, says("When its credential was last saved; null where there is nothing to save.")
    ]
    problem: Annotated[Diagnosis | None, says("Why the provider refuses the client, if it does.")]


class ConnectorList(Record, frozen=True):
    """Every connector, the oldest first."""

    connectors: list[Connector]


class SecretCheck(Record, frozen=True):
    """Whether the provider takes a credential."""

    ok: Annotated[bool | None, says("Null where the provider was not, or could not be asked.")]
    diagnosis: Annotated[Diagnosis | UnsetType, says("What it has against it.")] = UNSET


class CertificateShown(Record, frozen=True):
    """A certificate, without its private key."""

    thumbprint: Annotated[str, says("SHA-256 or SHA-1, as the provider's console shows it.")]
    ends_at: Annotated[Time, says("When it is no longer taken.")]


class ServiceAccountShown(Record, frozen=True):
    """A service account, without its key."""

    client_email: str
    client_id: Annotated[str, says("To be authorised in the Workspace's Admin console, with its scopes.")]


class CheckedConnector(Connector, frozen=True, kw_only=True):
    """A new connector, and whether its client and credential are right."""

    check: SecretCheck
    certificate: CertificateShown | UnsetType = UNSET
    service_account: ServiceAccountShown | UnsetType = UNSET


class ReplacedSecret(CheckedConnector, frozen=True, kw_only=True):
    """A connector whose credential was replaced."""

    previous_kept: Annotated[bool, says("AWS keeps the one before it (AWSPREVIOUS).")]


class AccountInBrief(Record, frozen=True):
    """An account in the list of its connector."""

    id: AccountId
    name: str
    address: str
    status: AccountStatus


class ConnectorWithAccounts(Connector, frozen=True):
    """A connector, and a page of those of its accounts that the caller may use."""

    accounts: list[AccountInBrief]
    cursor: Cursor


class DeletedConnector(Record, frozen=True):
    """A connector that is gone."""

    id: ConnectorId
    deleted: Literal[True]
    secret_recoverable_until: Annotated[Time, says("Until then AWS can restore its credential.")]
