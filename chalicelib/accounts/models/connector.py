"""Connectors: our OAuth client as it is registered at a provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.diagnosis import Diagnosis


class Cloud(StrEnum):
    """Microsoft's clouds. Each has hosts of its own and needs an application of its own."""

    GLOBAL = "global"
    """For everybody else."""
    GCC_HIGH = "gcc_high"
    """Of the United States' government."""
    DOD = "dod"
    """Of the United States' Department of Defense."""
    CHINA = "china"
    """In China, run by 21Vianet."""


class CredentialKind(StrEnum):
    """What our client proves itself with."""

    SECRET = "secret"  # noqa: S105 - a name
    """A client secret."""
    CERTIFICATE = "certificate"
    """A private key with its certificate, both PEM in one text."""
    FEDERATED = "federated"
    """A token that AWS signs for the role of the function (sts:GetWebIdentityToken); nothing is stored."""
    SERVICE_ACCOUNT = "service_account"
    """Google's JSON key of a service account."""
    NONE = "none"
    """There is nothing: the accounts have passwords, or the client is a public one."""

    @property
    def is_stored(self) -> bool:
        """Whether there is something in Secrets Manager."""
        return self in {CredentialKind.SECRET, CredentialKind.CERTIFICATE, CredentialKind.SERVICE_ACCOUNT}


@dataclass(frozen=True, slots=True)
class Connector:
    """Our OAuth client as it is registered at a provider. Its credential is in Secrets Manager, never here.

    `tenant` is Microsoft's directory (``common`` where nothing is said) and empty for Google.
    `problem` is the fact that the provider refuses the client itself; it is written by whoever asks for
    tokens, and removed by the next token that is given or the next secret that is saved. Until `retry_at`
    nobody asks the provider for anything in this connector's name; `doubted_at` is when the client was
    refused once, which is not believed before it comes again. `facts` is what differs from the facts of
    its provider (`catalogue.ProviderFacts`): endpoints, scopes, hosts.
    """

    id: str
    provider: str
    name: str
    client_id: str
    tenant: str
    created_at: int
    secret_saved_at: int | None = None
    problem: Diagnosis | None = None
    retry_at: int | None = None
    doubted_at: int | None = None
    cloud: Cloud = Cloud.GLOBAL
    credential: CredentialKind = CredentialKind.SECRET
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_of_one_tenant(self) -> bool:
        """Whether all of its mailboxes are in one tenant, as far as its provider knows tenants."""
        return self.tenant not in {"common", "organizations", "consumers"}

    @property
    def has_credential(self) -> bool:
        """Whether it can be asked with: its credential was saved, or needs no saving."""
        return self.secret_saved_at is not None or not self.credential.is_stored

    def is_same_client(self, other: Connector) -> bool:
        """Whether both are one OAuth client at one provider: what ends one's consents ends the other's."""
        return (self.provider, self.client_id, self.facts.get("issuer")) == (
            other.provider,
            other.client_id,
            other.facts.get("issuer"),
        )
