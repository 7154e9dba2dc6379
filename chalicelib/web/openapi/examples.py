"""An example of everything that is asked. Each is sent by a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.web.api import accounts, callers, connectors, encryption, messages

if TYPE_CHECKING:
    from chalicelib.web.api.table import ApiView

JsonObject = dict[str, Any]

CONNECTOR = "con_4n8q2r7t1v5w9x3y6z0a"
ACCOUNT = "acc_7h2k9m4p1r6t3w8y5b0d"
MESSAGE = f"msg_{ACCOUNT.removeprefix('acc_')}_2c5f8h1k4n7q0s3v6y9b2e5g8j"
CALLER = "key_3e6g9j2m5p8r1t4w7z0c"
ROLE = "arn:aws:iam::123456789012:role/reports"
ADDRESS = "sales@example.com"

PATH = {"connector": CONNECTOR, "account": ACCOUNT, "message": MESSAGE, "caller": CALLER}
QUERY: Mapping[ApiView, Mapping[str, str]] = {
    messages.listed: {"account": ACCOUNT, "limit": "10"},
    callers.limit: {"id": CALLER},
    callers.revoke_by_query: {"id": f"role:{ROLE}"},
}
"""View → a query, where it needs one."""

REQUESTS: Mapping[ApiView, Mapping[str, JsonObject]] = {
    connectors.create: {
        "Microsoft": {
            "provider": "microsoft",
            "name": "Our tenant",
            "client_id": "1b6e0c9a-52d4-4f38-9e71-c0a4b7d6e2f5",
            "client_secret": "secret-from-the-portal",
            "tenant": "contoso.com",
        },
        "Google": {
            "provider": "google",
            "name": "Workspace",
            "client_id": "4711.apps.googleusercontent.com",
            "client_secret": "secret-from-the-console",
        },
        "An application with a certificate": {
            "provider": "microsoft",
            "name": "Our tenant, by itself",
            "client_id": "1b6e0c9a-52d4-4f38-9e71-c0a4b7d6e2f5",
            "tenant": "contoso.com",
            "certificate": {"pem": "-----BEGIN PRIVATE KEY-----…-----END CERTIFICATE-----"},
        },
        "A service account": {
            "provider": "google",
            "name": "Workspace",
            "service_account_key": '{"type": "service_account", "client_id": "4711", …}',
        },
        "Mailboxes with passwords": {"provider": "yandex", "name": "Yandex", "credential": "none"},
        "Any OpenID provider": {
            "provider": "other",
            "name": "Our own",
            "client_id": "mailgrant",
            "client_secret": "secret-from-the-console",
            "discovery": "https://login.example.com",
            "scopes": ["mail:smtp"],
            "facts": {"smtp_host": "smtp.example.com", "smtp_port": 465, "smtp_tls": "implicit"},
        },
    },
    connectors.change: {"Another name": {"name": "Our tenant in Europe"}},
    connectors.replace_secret: {
        "A new secret": {"client_secret": "new-secret-from-the-portal"},
        "A certificate": {"certificate": {"pfx": "MIIKcQIBAzCCCjcGCSqGSIb3DQEH…", "passphrase": "its-own"}},
    },
    accounts.create: {
        "A mailbox": {
            "connector": CONNECTOR,
            "address": ADDRESS,
            "name": "sales",
            "display_name": "Example Sales",
        },
        "A shared mailbox": {
            "connector": CONNECTOR,
            "address": ADDRESS,
            "signs_in_as": "ada@example.com",
            "from_policy": "rewrite_reply_to",
            "from_addresses": ["orders@example.com"],
            "always_name": True,
        },
        "With a password": {"connector": CONNECTOR, "address": ADDRESS, "password": "app-password"},
    },
    accounts.change: {
        "Another name": {"name": "sales-europe", "display_name": "Sales in Europe"},
        "Further addresses": {"from_addresses": ["orders@example.com"], "from_policy": "rewrite"},
    },
    accounts.connect: {
        "By the application": {"auth_mode": "client_credentials"},
        "By a password": {"password": "app-password"},
        "By a refresh token": {"refresh_token": "token-of-another-system"},
    },
    accounts.pause: {"With a reason": {"reason": "The team is on holiday."}},
    messages.accept: {
        "Text": {
            "account": ACCOUNT,
            "to": ["ada@example.net"],
            "subject": "Your order",
            "text": "It is on its way.",
        },
        "HTML with an attachment": {
            "account": ACCOUNT,
            "to": [{"address": "ada@example.net", "name": "Ada Lovelace"}],
            "cc": ["charles@example.net"],
            "reply_to": [ADDRESS],
            "subject": "Your invoice",
            "text": "You find it in the attachment.",
            "html": "<p>You find it in the attachment.</p>",
            "attachments": [
                {
                    "filename": "invoice.txt",
                    "content": "NDcxMTogOSBFVVIK",
                    "content_type": "text/plain",
                }
            ],
            "headers": {"X-Order": "4711"},
            "idempotency_key": "invoice-4711",
            "on_unknown": "keep",
            "expires_in": 3600,
        },
        "A whole message": {
            "account": ACCOUNT,
            "raw": "RnJvbTogc2FsZXNAZXhhbXBsZS5jb20NClRvOiBhZGFAZXhhbXBsZS5uZXQNCg0KSGVsbG8uDQo=",
        },
    },
    messages.resolve: {"It was sent": {"as": "sent"}},
    encryption.rewrap: {"The first mailboxes": {}, "The next ones": {"cursor": ACCOUNT}},
    callers.create: {
        "An API key": {
            "kind": "key",
            "name": "shop",
            "scopes": ["send"],
            "accounts": [ACCOUNT],
            "expires_in": 7776000,
        },
        "An IAM role": {
            "kind": "role",
            "name": "reports",
            "scopes": ["read"],
            "accounts": ["*"],
            "arn": ROLE,
        },
        "An alias of send": {
            "kind": "lambda",
            "name": "billing",
            "scopes": ["send"],
            "accounts": ["*"],
            "alias": "billing",
            "from_addresses": [ADDRESS],
            "reply_to_domains": ["example.com"],
            "messages_per_minute": 60,
        },
    },
    callers.limit: {
        "Other limits": {"from_addresses": [ADDRESS], "messages_per_minute": 30},
        "No limit of messages": {"messages_per_minute": None},
    },
}
"""View → its requests by name. The ids in them are those above."""
