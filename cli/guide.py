"""What ``mailgrant init`` tells: each step in the providers' consoles, in 80 columns."""

from __future__ import annotations

from typing import Final

WHERE: Final = {
    "microsoft": "Microsoft: Microsoft 365, Exchange Online, Outlook.com",
    "google": "Google: Workspace, Gmail",
}
"""Provider → the mailboxes that it has."""

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

AFTER: Final = {
    "microsoft": """App registrations > your app > Authentication > Add a platform > Web.
Not "Single-page application" and not "Mobile": their permissions do not last.""",
    "google": """Clients > your client > Authorized redirect URIs > Add URI > Save.
Google may take some minutes to know it.""",
}
"""Provider → where the redirect URI is registered."""

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

CLIENT_ID: Final = {"microsoft": "Application (client) ID", "google": "Client ID"}
SECRET: Final = {"microsoft": "Client secret, its Value", "google": "Client secret"}
"""Provider → what it calls them."""

TENANT: Final = "Directory (tenant) ID; common for several organizations"

SANDBOX: Final = """
The sandbox plays {label} and has no console: what you type now is registered
there at once. With a real stage the steps in {label}'s console are told here.
"""
"""What is told instead of BEFORE."""

SANDBOX_LINK: Final = "The browser warns of the sandbox's own certificate: go on."
