"""Parts of the examples of answers: a provider, a connector, and what the doctor says."""

from __future__ import annotations

from chalicelib.accounts.models.account import AuthMode
from chalicelib.accounts.models.connector import Cloud, CredentialKind
from chalicelib.web.api import connector_records as offers
from chalicelib.web.api import records
from chalicelib.web.openapi.examples import ADDRESS, CONNECTOR

BEGAN = "2026-11-21T09:30:00.000Z"

KNOWN = offers.Connector(
    id=CONNECTOR,
    provider="microsoft",
    name="Our tenant",
    client_id="1b6e0c9a-52d4-4f38-9e71-c0a4b7d6e2f5",
    tenant="contoso.com",
    cloud=Cloud.GLOBAL,
    credential=CredentialKind.SECRET,
    facts={},
    redirect_uri=f"https://mail.example.com/oauth/callback/{CONNECTOR}",
    created_at=BEGAN,
    secret_saved_at=BEGAN,
    problem=None,
)
OK = offers.SecretCheck(ok=True)

GOOGLE = offers.Provider(
    name="google",
    label="Gmail or Google Workspace",
    auth_modes=[AuthMode.AUTHORIZATION_CODE, AuthMode.SERVICE_ACCOUNT, AuthMode.PASSWORD],
    credentials=[CredentialKind.SECRET, CredentialKind.SERVICE_ACCOUNT, CredentialKind.NONE],
    clouds=[
        offers.ProviderCloud(
            cloud=Cloud.GLOBAL,
            protocol_scopes={"smtp": "https://mail.google.com/"},
            scopes="https://mail.google.com/ openid email",
            smtp=offers.Hosted(host="smtp.gmail.com", port=587, tls="starttls"),
            imap=offers.Hosted(host="imap.gmail.com", port=993, tls="implicit"),
            pop=offers.Hosted(host="pop.gmail.com", port=995, tls="implicit"),
        )
    ],
)
CERTIFICATE_ENDS = records.Examination(
    ok=True,
    checks=[
        records.Check(
            check="certificate_ends",
            result="warn",
            message="The certificate ends in 30 days.",
            fix="Make a new one, upload it in Entra, and save it here.",
        )
    ],
    instructions=[],
)
SMTP_AUTH_DISABLED = records.Examination(
    ok=False,
    checks=[
        records.Check(
            check="smtp_auth",
            result="fail",
            message="SMTP AUTH is disabled for the mailbox.",
            fix="Run the commands below as an Exchange administrator.",
        )
    ],
    instructions=[
        records.Instructions(
            title="Allow SMTP AUTH for the mailbox",
            where="Exchange Online PowerShell",
            lines=[f"Set-CASMailbox -Identity '{ADDRESS}' -SmtpClientAuthenticationDisabled $false"],
        )
    ],
)
