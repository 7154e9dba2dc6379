"""What ``mailgrant init`` tells: each step in the providers' consoles, in 80 columns."""

from __future__ import annotations

from typing import Final

from chalicelib.accounts.models.account import AuthMode

WHERE: Final = {
    "microsoft": "Microsoft: Microsoft 365, Exchange Online, Outlook.com",
    "google": "Google: Workspace, Gmail",
    "other": "another one: by OpenID, or with a mail server of your own",
}
"""Provider → the mailboxes that it has, where that is not its label."""

BEFORE: Final = {
    "microsoft": """
In Microsoft's console, as somebody who may register applications:

  1. Open https://entra.microsoft.com > Entra ID > App registrations >
     New registration. Give it a name.
     Supported account types: this organization only, unless mailboxes of
     other organizations or of outlook.com shall send as well.
     Leave the redirect URI empty for now.
  2. API permissions > Add a permission > Microsoft Graph >
     Delegated permissions: SMTP.Send, offline_access, openid, profile, email.
     Then press "Grant admin consent".
  3. Certificates & secrets > New client secret.
     Copy its Value, not its Secret ID: it is shown once.
  4. Overview: copy the Application (client) ID and, for this organization
     only, the Directory (tenant) ID.
""",
    "google": """
In Google's console, in a project of yours:

  1. Open https://console.cloud.google.com/auth/overview and press Get started,
     if it is there: it asks for a name and an address of yours.
  2. Audience: Internal, for the mailboxes of your own Workspace.
     Else External, and then Publish app: while it is in Testing, each
     permission ends after 7 days.
  3. Data Access > Add or remove scopes: https://mail.google.com/, openid and
     .../auth/userinfo.email.
  4. Clients > Create client > Web application.
     Leave the redirect URIs empty for now.
  5. Copy the Client ID and the Client secret: it is shown once.
""",
}
"""Provider → what leads to a client id and a secret."""

BEFORE_OTHER: Final = """
In the provider's console for developers, make an application for the web, with
the scope for sending over SMTP. Leave its redirect URI empty for now.
Copy its client id, and its client secret if it has one.
"""
"""The same for every other provider."""

BEFORE_BY_MODE: Final = {
    AuthMode.CLIENT_CREDENTIALS: """
In Microsoft's console, as somebody who may register applications:

  1. Open https://entra.microsoft.com > Entra ID > App registrations >
     New registration. Supported account types: this organization only.
     It needs no redirect URI.
  2. Certificates & secrets: upload a certificate without its key, or add a
     federated credential for AWS, or make a new client secret and copy its
     Value.
  3. Overview: copy the Application (client) ID and the Directory (tenant) ID.

What lets it use a mailbox is told when the mailbox is known.
""",
    AuthMode.SERVICE_ACCOUNT: """
In Google's console, in a project of yours:

  1. IAM & Admin > Service accounts > Create service account.
     It needs no role.
  2. Open it > Keys > Add key > Create new key > JSON.
     The file is downloaded this one time.

What the Workspace's administrator allows it is told when the mailbox is known.
""",
    AuthMode.PASSWORD: """
The provider takes the mailbox's own password, or wants an app password, which
its owner makes in the settings of the mailbox, under security.
""",
}
"""Auth mode → what is done before, where that is not the same as for a consent."""

AFTER: Final = {
    "microsoft": """App registrations > your app > Authentication > Add a platform > Web.
Not "Single-page application" and not "Mobile": their permissions do not last.""",
    "google": """Clients > your client > Authorized redirect URIs > Add URI > Save.
Google may take some minutes to know it.""",
}
"""Provider → where the redirect URI is registered."""

AFTER_OTHER: Final = "It belongs to the client that you have registered at the provider."

MAILBOX: Final = {
    "microsoft": """
Once for each mailbox of Microsoft 365, an administrator allows SMTP:
https://admin.microsoft.com > Users > Active users > the user > Mail >
Manage email apps > Authenticated SMTP.""",
    "google": """
In a Workspace that lets its people choose no apps, an administrator trusts the
client id: https://admin.google.com > Security > Access and data control >
API controls > Manage app access.""",
}
"""Provider → what the mailbox itself needs."""

NOT_YET: Final = {
    "microsoft": """Not yet. Where Microsoft shows an error:
  AADSTS50011   the redirect URI is not registered exactly as it is below
  AADSTS50194   the app is for one organization: its tenant has to be named
  AADSTS90094   an administrator has to grant consent ("Grant admin consent")
  AADSTS700016  the client id or the tenant is wrong: end with Ctrl-C, begin
                again, and enter them anew
{redirect_uri}
After any error the same link can be opened again.""",
    "google": """Not yet. Where Google shows an error:
  redirect_uri_mismatch   the redirect URI is not registered exactly as below
  access_denied, 403      the app is in Testing: publish it, or add a test user
  admin_policy_enforced   the Workspace's administrator has to trust the client
  invalid_client          the client id is wrong: end with Ctrl-C, begin again,
                          and enter it anew
{redirect_uri}
After any error the same link can be opened again.""",
}
"""Provider → what a person may see there who does not come back."""

NOT_YET_OTHER: Final = """Not yet. Where the provider shows an error: the redirect URI has to be
registered exactly as it is below, and the client may need its approval for the
scope.
{redirect_uri}
After any error the same link can be opened again."""

CLIENT_ID: Final = {"microsoft": "Application (client) ID", "google": "Client ID"}
SECRET: Final = {"microsoft": "Client secret, its Value", "google": "Client secret"}
"""Provider → what it calls them."""

TENANT: Final = "Directory (tenant) ID; common for several organizations"
ONE_TENANT: Final = "Directory (tenant) ID, or a domain of it"

QUESTIONS: Final = {
    "discovery": "Its issuer, or the URL of its discovery document",
    "scopes": "Scope for sending over SMTP; several apart by blanks",
    "smtp": "Its server of outgoing mail, HOST:PORT",
    "certificate": "File of the certificate with its private key (PEM or PFX)",
    "service_account_key": "File of the service account's JSON key",
}
"""What else is asked about an app."""

SANDBOX: Final = """
The sandbox plays this provider and has no console: what you type now is
registered there at once. With a real stage, the steps in the provider's console
are told here.
"""
"""What is told instead of BEFORE."""

SANDBOX_LINK: Final = "The browser warns of the sandbox's own certificate: go on."
