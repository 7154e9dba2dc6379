"""Fields of bodies: what each means, and what JSON Schema tells of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from chalicelib.accounts.admin.checks import CREDENTIAL_LIMIT, MOST_ADDRESSES, NAME_LIMIT, SECRET_LIMIT
from chalicelib.callers.models import MOST_NAMED, MOST_PER_MINUTE
from chalicelib.providers.service_accounts import LIMIT as KEY_LIMIT
from chalicelib.records import format_of, limits, says

Name = Annotated[str, limits(minLength=1, maxLength=NAME_LIMIT)]
Provider = Literal["microsoft", "google", "yahoo", "aol", "fastmail", "yandex", "mailru", "other"]


def hidden(meaning: str, length: int) -> Meta:
    """A text that goes in and never comes back."""
    return Meta(description=meaning, extra_json_schema={"maxLength": length, "writeOnly": True})


ClientSecret = Annotated[
    str, hidden("For the credential `secret`. Goes to Secrets Manager, and never comes back.", SECRET_LIMIT)
]
ServiceAccountKey = Annotated[
    str,
    hidden(
        "For the credential `service_account`: the text of the JSON key that Google Cloud made.", KEY_LIMIT
    ),
]
Password = Annotated[str, hidden("For the auth mode `password`: mostly an app password.", CREDENTIAL_LIMIT)]
RefreshToken = Annotated[
    str,
    hidden(
        "For the auth mode `authorization_code`: one that another system has got for the same client.",
        CREDENTIAL_LIMIT,
    ),
]
OwnFacts = Annotated[
    dict[str, Any],
    says(
        "What differs from the provider's usual facts, or all of them for `other`: `authorize`, `token`, "
        "`jwks`, `issuer`, `userinfo`, `revoke`, `client_auth`, `smtp_host`, `smtp_port`, `smtp_tls`, "
        "`imap_host`, `pop_host`, `auth_modes`, `scopes`, `required_scopes`, `extra_ca` and others. "
        "Hosts must be public."
    ),
]
Person = Annotated[
    str,
    says(
        "The address of the person who signs in, where that is not the mailbox itself: for a shared mailbox, "
        "somebody who may use it. Empty: the mailbox signs in."
    ),
]
SmtpUser = Annotated[
    str,
    limits(maxLength=NAME_LIMIT),
    says("The user name at the mail server. Empty: the address, or what `verify` finds to work."),
]
ReadsWith = Annotated[
    str | None,
    limits(maxLength=NAME_LIMIT),
    says(
        "Id or name of another account, mostly of the same mailbox at another connector, by whose consent "
        "IMAP and POP3 are signed in to. Empty or null: by its own."
    ),
]
FromAddresses = Annotated[
    list[Annotated[str, limits(format="email")]],
    limits(maxItems=MOST_ADDRESSES),
    says("Addresses that messages may come from, besides its own."),
]
SendsFrom = Annotated[
    list[Annotated[str, limits(format="email")]],
    limits(maxItems=MOST_NAMED),
    says(
        "What its messages may name in From, Sender and their Resent fields, of what the account may."
        " Empty: all of that."
    ),
]
ReplyToDomains = Annotated[
    list[Annotated[str, format_of("hostname", "example.com")]],
    limits(maxItems=MOST_NAMED),
    says(
        "The domains of addresses in Reply-To, and in other fields that answers and receipts go by"
        " (Mail-Reply-To, Disposition-Notification-To), of its messages; a subdomain is named by itself. "
        "Empty: any."
    ),
]
PerMinute = Annotated[
    int | None,
    limits(minimum=1, maximum=MOST_PER_MINUTE),
    says("How many messages it may hand in each minute. Null: as many as it likes."),
]
