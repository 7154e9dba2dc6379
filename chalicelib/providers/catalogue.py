"""What is known of each provider: endpoints, scopes, hosts and limits. Data, not code.

Sources: Microsoft's "Authenticate an IMAP, POP or SMTP connection using OAuth", "National clouds" and "SMTP
submission improvements" (3 connections, 30 messages a minute), Google's "XOAUTH2 mechanism" (only the full
mail.google.com scope opens SMTP) and "Gmail sending limits" (100 recipients a message by SMTP); for the
others what Thunderbird uses. Where a provider tells no limit, a small one stands.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chalicelib.accounts.models.connector import Cloud
from chalicelib.clock import DAY, SECOND
from chalicelib.errors import ConfigurationError
from chalicelib.providers.facts import ProviderFacts, merged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chalicelib.accounts.models.connector import Connector

MEGABYTE = 1_000_000

DELEGATED_OR_PASSWORD = ("authorization_code", "password")

SEND, ADDRESS = "Send mail as this mailbox", "See the address of the mailbox"
IN_WORDS = {
    "smtp": SEND,
    "imap": "Read, change and delete the mail of this mailbox",
    "pop": "Read and delete the mail of this mailbox",
}


def _microsoft(  # noqa: PLR0913 - what differs between the clouds
    cloud: Cloud, *, login: str, graph: str, outlook: str, app: str, smtp: str, imap: str
) -> ProviderFacts:
    # The prefix of the scope decides which server takes the token: one of graph.microsoft.com fails at SMTP.
    smtp_scope = f"https://{outlook}/SMTP.Send"
    return ProviderFacts(
        name="microsoft" if cloud is Cloud.GLOBAL else f"microsoft/{cloud}",
        label="Microsoft 365 or Outlook.com",
        speaks="microsoft",
        auth_modes=("authorization_code", "client_credentials", "password"),
        credentials=("secret", "certificate", "federated", "none"),
        login=f"https://{login}",
        graph=f"https://{graph}",
        scopes=(smtp_scope, "email"),
        required_scopes=(smtp_scope,),
        protocol_scopes={
            "smtp": smtp_scope,
            "imap": f"https://{outlook}/IMAP.AccessAsUser.All",
            "pop": f"https://{outlook}/POP.AccessAsUser.All",
            "graph": f"https://{graph}/Mail.Send",
        },
        protocol_words={**IN_WORDS, "graph": SEND},
        app_scope=f"https://{app}/.default",
        scopes_in_words=(SEND, ADDRESS),
        smtp_host=smtp,
        imap_host=imap,
        pop_host=imap,
        max_connections=3,
        messages_per_minute=30,
        max_recipients=500,
        max_size=35 * MEGABYTE,
        keep_alive=45 * DAY // SECOND,
        mistaken_for_secret=r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",  # noqa: S106 - an id
        withdraw=("https://myapps.microsoft.com", "https://account.live.com/consent/Manage"),
    )


MICROSOFT = _microsoft(
    Cloud.GLOBAL,
    login="login.microsoftonline.com",
    graph="graph.microsoft.com",
    outlook="outlook.office.com",
    app="outlook.office365.com",
    smtp="smtp.office365.com",
    imap="outlook.office365.com",
)
MICROSOFT_GCC_HIGH = _microsoft(
    Cloud.GCC_HIGH,
    login="login.microsoftonline.us",
    graph="graph.microsoft.us",
    outlook="outlook.office365.us",
    app="outlook.office365.us",
    smtp="smtp.office365.us",
    imap="outlook.office365.us",
)
MICROSOFT_DOD = _microsoft(
    Cloud.DOD,
    login="login.microsoftonline.us",
    graph="dod-graph.microsoft.us",
    outlook="outlook-dod.office365.us",
    app="outlook-dod.office365.us",
    smtp="outlook-dod.office365.us",
    imap="outlook-dod.office365.us",
)
MICROSOFT_CHINA = _microsoft(
    Cloud.CHINA,
    login="login.partner.microsoftonline.cn",
    graph="microsoftgraph.chinacloudapi.cn",
    outlook="partner.outlook.cn",
    app="partner.outlook.cn",
    smtp="smtp.partner.outlook.cn",
    imap="partner.outlook.cn",
)

_ALL_OF_GMAIL = (
    "Read, compose, send and delete all mail of this mailbox: Google has no narrower permission for "
    "sending over SMTP. Mailgrant only sends."
)
GOOGLE = ProviderFacts(
    name="google",
    label="Gmail or Google Workspace",
    speaks="google",
    auth_modes=("authorization_code", "service_account", "password"),
    credentials=("secret", "service_account", "none"),
    authorize="https://accounts.google.com/o/oauth2/v2/auth",
    token="https://oauth2.googleapis.com/token",  # noqa: S106 - an address
    revoke="https://oauth2.googleapis.com/revoke",
    jwks="https://www.googleapis.com/oauth2/v3/certs",
    gmail="https://gmail.googleapis.com",
    issuer="https://accounts.google.com",
    scopes=("https://mail.google.com/", "openid", "email"),
    required_scopes=("https://mail.google.com/",),
    protocol_scopes={
        "smtp": "https://mail.google.com/",
        "imap": "https://mail.google.com/",
        "pop": "https://mail.google.com/",
        "gmail": "https://www.googleapis.com/auth/gmail.send",
    },
    app_scope="https://mail.google.com/",
    protocol_words={"smtp": _ALL_OF_GMAIL, "imap": _ALL_OF_GMAIL, "pop": _ALL_OF_GMAIL, "gmail": SEND},
    scopes_in_words=(_ALL_OF_GMAIL, ADDRESS),
    smtp_host="smtp.gmail.com",
    imap_host="imap.gmail.com",
    pop_host="pop.gmail.com",
    max_connections=5,
    max_recipients=100,
    max_size=25 * MEGABYTE,
    keep_alive=90 * DAY // SECOND,
    mistaken_for_secret=r".*\.apps\.googleusercontent\.com",  # noqa: S106 - an id
    withdraw=("https://myaccount.google.com/connections",),
)

OTHER = ProviderFacts(
    name="other",
    label="Another provider",
    speaks="openid",
    auth_modes=DELEGATED_OR_PASSWORD,
    credentials=("secret", "certificate", "none"),
    protocol_words=IN_WORDS,
    scopes_in_words=(SEND, ADDRESS),
    max_connections=2,
    max_recipients=100,
    max_size=25 * MEGABYTE,
    keep_alive=7 * DAY // SECOND,
)
"""Any OpenID provider, or a mail server that takes passwords: the connector's own facts say all of it."""

YAHOO = replace(
    OTHER,
    name="yahoo",
    label="Yahoo Mail",
    issuer="https://api.login.yahoo.com",
    authorize="https://api.login.yahoo.com/oauth2/request_auth",
    token="https://api.login.yahoo.com/oauth2/get_token",  # noqa: S106 - an address
    jwks="https://api.login.yahoo.com/openid/v1/certs",
    revoke="https://api.login.yahoo.com/oauth2/revoke",
    scopes=("mail-w", "openid", "email"),
    required_scopes=("mail-w",),
    protocol_scopes={"smtp": "mail-w", "imap": "mail-w", "pop": "mail-w"},
    smtp_host="smtp.mail.yahoo.com",
    imap_host="imap.mail.yahoo.com",
    pop_host="pop.mail.yahoo.com",
)
AOL = replace(
    YAHOO,
    name="aol",
    label="AOL Mail",
    issuer="https://api.login.aol.com",
    authorize="https://api.login.aol.com/oauth2/request_auth",
    token="https://api.login.aol.com/oauth2/get_token",  # noqa: S106 - an address
    jwks="https://api.login.aol.com/openid/v1/certs",
    revoke="https://api.login.aol.com/oauth2/revoke",
    smtp_host="smtp.aol.com",
    imap_host="imap.aol.com",
    pop_host="pop.aol.com",
)
FASTMAIL = replace(
    OTHER,
    name="fastmail",
    label="Fastmail",
    authorize="https://api.fastmail.com/oauth/authorize",
    token="https://api.fastmail.com/oauth/refresh",  # noqa: S106 - an address
    scopes=("https://www.fastmail.com/dev/protocol-smtp",),
    required_scopes=("https://www.fastmail.com/dev/protocol-smtp",),
    protocol_scopes={
        "smtp": "https://www.fastmail.com/dev/protocol-smtp",
        "imap": "https://www.fastmail.com/dev/protocol-imap",
        "pop": "https://www.fastmail.com/dev/protocol-pop",
    },
    smtp_host="smtp.fastmail.com",
    imap_host="imap.fastmail.com",
    pop_host="pop.fastmail.com",
    client_auth="none",
)
YANDEX = replace(
    OTHER,
    name="yandex",
    label="Yandex Mail",
    authorize="https://oauth.yandex.com/authorize",
    token="https://oauth.yandex.com/token",  # noqa: S106 - an address
    scopes=("mail:smtp",),
    required_scopes=("mail:smtp",),
    protocol_scopes={"smtp": "mail:smtp", "imap": "mail:imap_full"},
    smtp_host="smtp.yandex.com",
    smtp_port=465,
    smtp_tls="implicit",
    imap_host="imap.yandex.com",
)
MAIL_RU = replace(
    OTHER,
    name="mailru",
    label="Mail.ru",
    authorize="https://o2.mail.ru/login",
    token="https://o2.mail.ru/token",  # noqa: S106 - an address
    scopes=("mail.imap",),
    required_scopes=("mail.imap",),
    protocol_scopes={"smtp": "mail.imap", "imap": "mail.imap"},
    smtp_host="smtp.mail.ru",
    smtp_port=465,
    smtp_tls="implicit",
    imap_host="imap.mail.ru",
)

CATALOGUE = (
    MICROSOFT,
    MICROSOFT_GCC_HIGH,
    MICROSOFT_DOD,
    MICROSOFT_CHINA,
    GOOGLE,
    YAHOO,
    AOL,
    FASTMAIL,
    YANDEX,
    MAIL_RU,
    OTHER,
)


BRANDS = {"microsoft": "Microsoft", "google": "Google"}
"""What providers are called where people sign in, where their mailboxes have other names."""


class Catalogue:
    """The facts of a deployment: the usual ones, with its own values (`overrides`) in their place.

    Raises ConfigurationError when `overrides` names a provider or a fact that does not exist, or gives a fact
    a value that it cannot have. A provider of another cloud is named like ``microsoft/gcc_high``.
    """

    def __init__(self, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._facts = {facts.name: facts for facts in CATALOGUE}
        for name, values in (overrides or {}).items():
            if name not in self._facts:
                raise ConfigurationError(f"PROVIDER_ENDPOINTS names the unknown provider {name!r}")
            try:
                self._facts[name] = merged(self._facts[name], values)
            except ValueError as error:
                raise ConfigurationError(f"PROVIDER_ENDPOINTS: {error}") from error

    def __getitem__(self, name: str) -> ProviderFacts:
        """What is known of the provider with that name."""
        return self._facts[name]

    def __contains__(self, name: str) -> bool:
        """Whether there is such a provider."""
        return name in self._facts

    def __iter__(self) -> Iterator[str]:
        """The names of the providers that a connector can have; its cloud is a fact of its own."""
        return (name for name in self._facts if "/" not in name)

    def called(self, connector: Connector) -> str:
        """What the connector's provider is called where people sign in."""
        if connector.provider in BRANDS:
            return BRANDS[connector.provider]
        label = self.of(connector).label
        return connector.name if label == OTHER.label else label

    def of(self, connector: Connector) -> ProviderFacts:
        """What is known of the connector's provider, in its cloud, with the connector's own facts."""
        cloud = "" if connector.cloud is Cloud.GLOBAL else f"/{connector.cloud}"
        facts = self._facts[f"{connector.provider}{cloud}"]
        return merged(facts, connector.facts) if connector.facts else facts
