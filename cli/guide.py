"""What has to be done in the providers' consoles, step by step, for ``mailgrant init``."""

from __future__ import annotations

from typing import Final

BEFORE: Final = {
    "microsoft": """
In Microsoft's console, as somebody who may register applications:

  1. Open https://entra.microsoft.com, then Entra ID > App registrations > New registration.
  2. Give it a name. Supported account types: your own organization only, unless mailboxes of other
     organizations or of outlook.com shall send as well. Leave the redirect URI empty for now.
  3. API permissions > Add a permission > Microsoft Graph > Delegated permissions: SMTP.Send,
     offline_access, openid, profile, email. Then press "Grant admin consent".
  4. Certificates & secrets > New client secret. Copy its Value, not its Secret ID: it is shown once.
  5. Overview: copy the Application (client) ID and the Directory (tenant) ID.
""",
    "google": """
In Google's console, in a project of yours:

  1. Open https://console.cloud.google.com/auth/overview and press Get started, if it is there.
  2. Audience: Internal for the mailboxes of your own Workspace. Else External, and then Publish app:
     while it is in Testing, each permission ends after 7 days.
  3. Data Access > Add or remove scopes: https://mail.google.com/, openid, .../auth/userinfo.email.
  4. Clients > Create client > Web application. Leave the redirect URIs empty for now.
  5. Copy the Client ID and the Client secret: it is shown once.
""",
}
"""Provider → what leads to a client id and a secret."""

AFTER: Final = {
    "microsoft": "App registrations > your app > Authentication > Add a platform > Web (not Single-page app)",
    "google": "Clients > your client > Authorized redirect URIs > Add URI; it takes some minutes to work",
}
"""Provider → where the redirect URI is registered."""

CLIENT_ID: Final = {"microsoft": "Application (client) ID", "google": "Client ID"}
SECRET: Final = {"microsoft": "Client secret (its Value)", "google": "Client secret"}
"""Provider → what it calls them."""

TENANT: Final = "Directory (tenant) ID or domain; common for several organizations"
