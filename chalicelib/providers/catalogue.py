"""What is known of each provider: endpoints, scopes, hosts and limits. Data, not code.

Sources: Microsoft's "Authenticate an IMAP, POP or SMTP connection using OAuth" and "SMTP submission
improvements" (3 connections, 30 messages a minute), Google's "XOAUTH2 mechanism" (only the full
mail.google.com scope opens SMTP) and "Gmail sending limits" (100 recipients a message by SMTP).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from chalicelib.clock import DAY, SECOND
from chalicelib.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

MEGABYTE = 1_000_000

ADDRESSES = frozenset({"login", "authorize", "token", "revoke", "jwks", "issuer"})
"""Facts that are addresses to which secrets are sent, or by which they are judged."""

_ADDRESS = re.compile(r"https://[^\s/?#@\\]+(/[^\s?#@\\]*)?")
"""https, and neither user information nor a query or fragment."""


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """One provider.

    `login` is Microsoft's login host, from which its endpoints follow for each tenant; Google names its
    endpoints one by one. `scopes` are asked for when the owner consents; without all of `required_scopes`
    nothing is saved.
    `keep_alive` is how many seconds an idle grant is left alone (half of what the provider allows);
    `doubt` how many seconds pass before a refused refresh token is tried a second time.
    `mistaken_for_secret` is a regular expression for what is copied by mistake in the place of a client
    secret; `withdraw` are the pages on which a mailbox owner can take the permission back by hand.
    """

    name: str
    label: str
    scopes: tuple[str, ...]
    required_scopes: tuple[str, ...]
    scopes_in_words: tuple[str, ...]
    smtp_host: str
    smtp_port: int
    max_connections: int
    messages_per_minute: int | None
    max_recipients: int
    max_size: int
    keep_alive: int
    doubt: int = 300
    mistaken_for_secret: str = ""
    withdraw: tuple[str, ...] = ()
    login: str = ""
    authorize: str = ""
    token: str = ""
    revoke: str = ""
    jwks: str = ""
    issuer: str = ""


MICROSOFT = ProviderFacts(
    name="microsoft",
    label="Microsoft 365 or Outlook.com",
    login="https://login.microsoftonline.com",
    # The prefix of the scope decides which server takes the token: one of graph.microsoft.com fails at SMTP.
    scopes=("https://outlook.office.com/SMTP.Send", "email"),
    required_scopes=("https://outlook.office.com/SMTP.Send",),
    scopes_in_words=("Send mail as this mailbox", "See the address of the mailbox"),
    smtp_host="smtp.office365.com",
    smtp_port=587,
    max_connections=3,
    messages_per_minute=30,
    max_recipients=500,
    max_size=35 * MEGABYTE,
    keep_alive=45 * DAY // SECOND,
    mistaken_for_secret=r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",  # noqa: S106 - an id
    withdraw=("https://myapps.microsoft.com", "https://account.live.com/consent/Manage"),
)

GOOGLE = ProviderFacts(
    name="google",
    label="Gmail or Google Workspace",
    authorize="https://accounts.google.com/o/oauth2/v2/auth",
    token="https://oauth2.googleapis.com/token",  # noqa: S106 - an address
    revoke="https://oauth2.googleapis.com/revoke",
    jwks="https://www.googleapis.com/oauth2/v3/certs",
    issuer="https://accounts.google.com",
    scopes=("https://mail.google.com/", "openid", "email"),
    required_scopes=("https://mail.google.com/",),
    scopes_in_words=(
        (
            "Read, compose, send and delete all mail of this mailbox: Google has no narrower permission for "
            "sending over SMTP. Mailgrant only sends."
        ),
        "See the address of the mailbox",
    ),
    smtp_host="smtp.gmail.com",
    smtp_port=587,
    max_connections=5,
    messages_per_minute=None,
    max_recipients=100,
    max_size=25 * MEGABYTE,
    keep_alive=90 * DAY // SECOND,
    mistaken_for_secret=r".*\.apps\.googleusercontent\.com",  # noqa: S106 - an id
    withdraw=("https://myaccount.google.com/connections",),
)

CATALOGUE = (MICROSOFT, GOOGLE)


def catalogue(overrides: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, ProviderFacts]:
    """The facts by provider name, with the deployment's own values in the place of the usual ones.

    Raises ConfigurationError when `overrides` names a provider or a fact that does not exist, or gives a fact
    a value that it cannot have.
    """
    merged = {facts.name: facts for facts in CATALOGUE}
    for name, values in (overrides or {}).items():
        if name not in merged:
            raise ConfigurationError(f"PROVIDER_ENDPOINTS names the unknown provider {name!r}")
        merged[name] = _merge(merged[name], values)
    return merged


def _merge(facts: ProviderFacts, values: Mapping[str, Any]) -> ProviderFacts:
    kinds = {field.name: str(field.type) for field in fields(facts) if field.name != "name"}
    unknown = sorted(set(values) - set(kinds))
    if unknown:
        raise ConfigurationError(f"PROVIDER_ENDPOINTS: {facts.name} has no {', '.join(unknown)}")
    wrong = sorted(name for name, value in values.items() if not _fits(name, kinds[name], value))
    if wrong:
        raise ConfigurationError(f"PROVIDER_ENDPOINTS: {facts.name} cannot have this {', '.join(wrong)}")
    return replace(facts, **{name: _frozen(value) for name, value in values.items()})


def _fits(name: str, kind: str, value: Any) -> bool:
    """Whether the JSON value is one for the fact of that name, whose type is written as `kind`."""
    if name in ADDRESSES:
        return isinstance(value, str) and _ADDRESS.fullmatch(value) is not None
    if kind.startswith("tuple"):
        return isinstance(value, list) and bool(value) and all(_is_text(one) for one in value)
    if kind.startswith("int"):
        whole = isinstance(value, int) and not isinstance(value, bool)
        return (whole and value > 0) or (value is None and "None" in kind)
    return _is_text(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(value.strip())


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
