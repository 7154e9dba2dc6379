"""A provider with clients and people, and the steps of the flow that the tests of the provider share."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

import google.auth.transport.requests
import google.oauth2.credentials
import msal

from sandbox.provider.scripted import consent

if TYPE_CHECKING:
    from pathlib import Path

    import requests

    from sandbox.provider import ControlClient, Provider

CALLBACK = "https://app.example/oauth/callback/c1"
SMTP_SEND = "https://outlook.office.com/SMTP.Send"
IMAP = "https://outlook.office.com/IMAP.AccessAsUser.All"
GRAPH_SEND = "https://graph.microsoft.com/Mail.Send"
GMAIL = "https://mail.google.com/"
MICROSOFT_TOKEN = "/common/oauth2/v2.0/token"
MICROSOFT_AUTHORIZE = "/common/oauth2/v2.0/authorize"
GOOGLE_AUTHORIZE = "/o/oauth2/v2/auth"


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files."""

    ca: Path
    cert: Path
    key: Path


@dataclass
class World:
    """A provider with a client and people at each side, and a browserless way to walk the flow."""

    provider: Provider
    control: ControlClient
    cafile: Path
    http: requests.Session
    verifiers: dict[str, str] = field(default_factory=dict)

    def authorize_url(self, path: str, scope: str, more: dict[str, str]) -> str:
        """Return an authorization URL with PKCE; its verifier is found by state."""
        state, verifier = secrets.token_urlsafe(8), secrets.token_urlsafe(40)
        self.verifiers[state] = verifier
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        params = {
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "scope": scope,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{self.provider.url}{path}?{urlencode(params | more)}"

    def microsoft_url(
        self, scope: str = f"openid profile email offline_access {SMTP_SEND}", **more: str
    ) -> str:
        """Return an authorization URL of the Microsoft client."""
        return self.authorize_url(MICROSOFT_AUTHORIZE, scope, {"client_id": "ms-client"} | more)

    def google_url(self, scope: str = f"openid email {GMAIL}", **more: str) -> str:
        """Return an authorization URL of the Google client, for offline access."""
        defaults = {"client_id": "g-client", "access_type": "offline"}
        return self.authorize_url(GOOGLE_AUTHORIZE, scope, defaults | more)

    def consent(self, url: str, mailbox: str, **options: object) -> dict[str, str]:
        """Walk the pages and return the callback's parameters."""
        callback = consent(url, mailbox=mailbox, cafile=self.cafile, **options)  # type: ignore[arg-type]
        assert callback.startswith(CALLBACK + "?")
        return {name: values[0] for name, values in parse_qs(urlsplit(callback).query).items()}

    def redeem(self, path: str, answer: dict[str, str], client: str, **more: str) -> requests.Response:
        """Exchange the code of a callback."""
        form = {
            "grant_type": "authorization_code",
            "client_id": client,
            "client_secret": f"{client}-secret",
            "code": answer["code"],
            "redirect_uri": CALLBACK,
            "code_verifier": self.verifiers[answer["state"]],
        }
        return self.post(path, form | more)

    def refresh(self, path: str, refresh_token: str, client: str, **more: str) -> requests.Response:
        """Use a refresh token."""
        form = {
            "grant_type": "refresh_token",
            "client_id": client,
            "client_secret": f"{client}-secret",
            "refresh_token": refresh_token,
        }
        return self.post(path, form | more)

    def post(self, path: str, form: dict[str, str]) -> requests.Response:
        """Post a form to the provider."""
        return self.http.post(self.provider.url + path, data=form, timeout=10)

    def msal_app(self, client: str = "ms-client") -> msal.ConfidentialClientApplication:
        """Return a fresh msal application, as unchanged as a user would build it."""
        return msal.ConfidentialClientApplication(
            client,
            client_credential=f"{client}-secret",
            authority=f"{self.provider.url}/common",
            instance_discovery=False,
            verify=str(self.cafile),
        )

    def google_credentials(self, refresh_token: str) -> google.oauth2.credentials.Credentials:
        """Return google-auth's credentials with nothing but the endpoint configured."""
        return google.oauth2.credentials.Credentials(  # type: ignore[no-untyped-call]
            None,
            refresh_token=refresh_token,
            token_uri=f"{self.provider.url}/token",
            client_id="g-client",
            client_secret="g-client-secret",
            scopes=[GMAIL],
        )

    def google_refresh(self, creds: google.oauth2.credentials.Credentials) -> None:
        """Let google-auth refresh over a connection that trusts the sandbox's CA."""
        creds.refresh(google.auth.transport.requests.Request(self.http))  # type: ignore[no-untyped-call]

    def microsoft_tokens(self, mailbox: str = "anna@contoso.example", **more: str) -> dict[str, str]:
        """Connect a mailbox at Microsoft and return the token answer."""
        answer = self.consent(self.microsoft_url(**more), mailbox)
        tokens: dict[str, str] = self.redeem(MICROSOFT_TOKEN, answer, "ms-client", scope=SMTP_SEND).json()
        return tokens

    def google_tokens(self, mailbox: str = "bob@gmail.example", **more: str) -> dict[str, str]:
        """Connect a mailbox at Google and return the token answer."""
        answer = self.consent(self.google_url(**more), mailbox)
        tokens: dict[str, str] = self.redeem("/token", answer, "g-client").json()
        return tokens
