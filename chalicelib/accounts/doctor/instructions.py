"""What an administrator does outside of Mailgrant, with the names of this tenant, application and mailbox.

PowerShell is for the module ExchangeOnlineManagement. Values are quoted: none can end its argument.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from chalicelib.accounts.models.account import AuthMode
from chalicelib.accounts.models.connector import Cloud

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.providers.facts import ProviderFacts

ENVIRONMENTS = {
    Cloud.GCC_HIGH: "O365USGovGCCHigh",
    Cloud.DOD: "O365USGovDoD",
    Cloud.CHINA: "O365China",
}
"""How Exchange Online's PowerShell names the clouds that are not the usual one."""
GRAPH_ENVIRONMENTS = {Cloud.GCC_HIGH: "USGov", Cloud.DOD: "USGovDoD", Cloud.CHINA: "China"}
GROUP = "Mailgrant mailboxes"
"""The security group that holds the mailboxes which the application may use."""


@dataclass(frozen=True, slots=True)
class Instructions:
    """Lines for one place. Where there are several for one aim, one of them is enough; the titles say so."""

    title: str
    where: str
    lines: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The instructions, ready for JSON."""
        return {**asdict(self), "lines": list(self.lines)}


def of_account(
    account: Account, connector: Connector, facts: ProviderFacts, service_principal: str = ""
) -> list[Instructions]:
    """What lets the account send, by its provider and auth mode; empty where nothing is to be prepared.

    `service_principal` is the application's object id in the tenant, where it is known.
    """
    if facts.speaks == "microsoft" and account.auth_mode is AuthMode.CLIENT_CREDENTIALS:
        return [
            _rbac(account, connector, service_principal),
            _classic(account, connector, service_principal),
            _graph(account, connector, service_principal),
        ]
    if account.auth_mode is AuthMode.SERVICE_ACCOUNT:
        return [delegation(connector, facts)]
    if facts.speaks == "microsoft" and account.signs_in_as:
        return [_shared(account, connector)]
    return []


def smtp_auth(address: str) -> str:
    """The line that switches authenticated SMTP on for one mailbox."""
    return f"Set-CASMailbox -Identity {_quoted(address)} -SmtpClientAuthenticationDisabled $false"


def send_as(address: str, trustee: str) -> str:
    """The line that lets somebody send as an address."""
    return (
        f"Add-RecipientPermission -Identity {_quoted(address)} -Trustee {_quoted(trustee)} "
        "-AccessRights SendAs -Confirm:$false"
    )


def full_access(address: str, user: str) -> str:
    """The line that lets somebody open a mailbox."""
    mailbox, person = _quoted(address), _quoted(user)
    return f"Add-MailboxPermission -Identity {mailbox} -User {person} -AccessRights FullAccess"


def exchange(connector: Connector) -> str:
    """The line that connects to the tenant's Exchange Online."""
    tenant = f" -Organization {_quoted(connector.tenant)}" if "." in connector.tenant else ""
    cloud = ENVIRONMENTS.get(connector.cloud)
    return f"Connect-ExchangeOnline{tenant}{f' -ExchangeEnvironmentName {cloud}' if cloud else ''}"


def delegation(connector: Connector, facts: ProviderFacts) -> Instructions:
    """Google's domain-wide delegation: the client id and the scopes that its administrator allows."""
    return Instructions(
        "Allow the service account to act for the mailboxes of the domain",
        "Google Admin console: Security, API controls, Domain-wide delegation, Add new",
        (f"Client ID: {connector.client_id}", f"OAuth scopes: {facts.app_scope}"),
    )


def _classic(account: Account, connector: Connector, known: str) -> Instructions:
    mailbox = _quoted(account.address)
    return Instructions(
        "SMTP by a permission of the application (SMTP.SendAsApp, with admin consent in Entra), or ...",
        "Exchange Online PowerShell",
        (
            *_principal(connector, known),
            f"Add-MailboxPermission -Identity {mailbox} -User $sp -AccessRights FullAccess",
            f"Add-RecipientPermission -Identity {mailbox} -Trustee $sp -AccessRights SendAs -Confirm:$false",
            smtp_auth(account.address),
        ),
    )


def _rbac(account: Account, connector: Connector, known: str) -> Instructions:
    return Instructions(
        (
            "SMTP by RBAC for Applications, best for many mailboxes: the application must not have "
            "SMTP.SendAsApp in Entra then. Or ..."
        ),
        "Exchange Online PowerShell",
        (
            *_principal(connector, known),
            *_scope(account),
            (
                'New-ManagementRoleAssignment -Role "Application SMTP.SendAsApp" -App $sp '
                f"-CustomResourceScope {_quoted(GROUP)}"
            ),
            smtp_auth(account.address),
            f"Test-ServicePrincipalAuthorization -Identity $sp -Resource {_quoted(account.address)}",
        ),
    )


def _graph(account: Account, connector: Connector, known: str) -> Instructions:
    return Instructions(
        (
            "Microsoft Graph, where SMTP has to stay off: Mail.Send in Entra would be for every mailbox, so "
            "leave it out there and assign it here."
        ),
        "Exchange Online PowerShell",
        (
            *_principal(connector, known),
            *_scope(account),
            (
                'New-ManagementRoleAssignment -Role "Application Mail.Send" -App $sp '
                f"-CustomResourceScope {_quoted(GROUP)}"
            ),
            f"Test-ServicePrincipalAuthorization -Identity $sp -Resource {_quoted(account.address)}",
        ),
    )


def _scope(account: Account) -> tuple[str, ...]:
    """A group of mailboxes, and the scope that is that group."""
    group = _quoted(GROUP)
    return (
        f"New-DistributionGroup -Name {group} -Type Security",
        f"Add-DistributionGroupMember -Identity {group} -Member {_quoted(account.address)}",
        f"$group = (Get-Group -Identity {group}).DistinguishedName",
        f"New-ManagementScope -Name {group} -RecipientRestrictionFilter \"MemberOfGroup -eq '$group'\"",
    )


def _principal(connector: Connector, known: str) -> tuple[str, ...]:
    """Connects, and makes the application known to Exchange; ``$sp`` is its object id afterwards.

    That is the one among the enterprise applications: the one of the app registration is another id.
    """
    app, tenant = _quoted(connector.client_id), _quoted(connector.tenant)
    cloud = GRAPH_ENVIRONMENTS.get(connector.cloud)
    environment = f" -Environment {cloud}" if cloud else ""
    wanted = _quoted(f"appId eq {app}")
    looked_up = (
        f"Connect-MgGraph -Scopes Application.Read.All -TenantId {tenant}{environment}",
        f"$sp = (Get-MgServicePrincipal -Filter {wanted}).Id",
    )
    return (
        *((f"$sp = {_quoted(known)}",) if known else looked_up),
        exchange(connector),
        f"New-ServicePrincipal -AppId {app} -ObjectId $sp -DisplayName 'Mailgrant'",
    )


def _shared(account: Account, connector: Connector) -> Instructions:
    return Instructions(
        "Let the person who signs in use the shared mailbox",
        "Exchange Online PowerShell",
        (
            exchange(connector),
            full_access(account.address, account.signs_in_as),
            send_as(account.address, account.signs_in_as),
            smtp_auth(account.address),
        ),
    )


QUOTES = "'\u2018\u2019\u201a\u201b"
"""What PowerShell takes for a single quote."""


def _quoted(text: str) -> str:
    """The text between single quotes, in which nothing is expanded; each quote in it is doubled."""
    return f"'{''.join(letter * 2 if letter in QUOTES else letter for letter in text)}'"
