"""Registers what a demo or a test needs: clients, connectors, mailboxes, accounts and people."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from sandbox.api import Api
from sandbox.credentials import ClientCertificate, ServiceAccountKey
from sandbox.person import Person

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sandbox.stack import Sandbox

ProviderName = Literal["microsoft", "google", "other"]
CloudName = Literal["global", "gcc_high", "dod", "china"]

TENANT: Final = "contoso.example"
"""The tenant of applications that act by themselves; their mailboxes' domain."""
DOMAIN: Final = "acme.example"
"""The domain whose administrator lets service accounts act for its people."""
CLOUDS: Final[Mapping[CloudName, str]] = {"global": "global", "gcc_high": "us", "dod": "us", "china": "cn"}
"""The provider's names of the clouds, which are its login hosts."""
ROLES: Final = ["SMTP.SendAsApp", "IMAP.AccessAsApp", "POP.AccessAsApp"]
AUTH_METHODS: Final = {
    "post": "client_secret_post",
    "basic": "client_secret_basic",
    "private_key_jwt": "private_key_jwt",
    "none": "none",
}


def other_facts(
    provider_url: str, smtp: tuple[str, int], *, tls: str = "starttls", client_auth: str = "post"
) -> dict[str, Any]:
    """What a connector says of the provider that follows the standards, and of its mail server."""
    issuer = f"{provider_url}/openid"
    return {
        "issuer": issuer,
        "authorize": f"{issuer}/authorize",
        "token": f"{issuer}/token",
        "revoke": f"{issuer}/revoke",
        "userinfo": f"{issuer}/userinfo",
        "jwks": f"{issuer}/jwks",
        "scopes": ["openid", "email", "mail:smtp"],
        "required_scopes": ["mail:smtp"],
        "protocol_scopes": {"smtp": "mail:smtp", "imap": "mail:imap", "pop": "mail:pop"},
        "client_auth": client_auth,
        "smtp_host": smtp[0],
        "smtp_port": smtp[1],
        "smtp_tls": tls,
    }


@dataclass
class Cast:
    """Everybody who plays a part, made as they are needed."""

    sandbox: Sandbox
    api: Api = field(init=False)

    def __post_init__(self) -> None:
        """Speaks to the API as the sandbox's administrator."""
        self.api = Api(self.sandbox.url, self.sandbox.key, self.sandbox.authority.cafile)

    def connector(
        self, provider: ProviderName, *, asked: Mapping[str, Any] | None = None, **client: Any
    ) -> dict[str, Any]:
        """Makes a connector, and registers its client at the provider, as an administrator would.

        `asked` are other fields of the request than the usual ones; None leaves one out.
        """
        client_id, secret = f"client-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
        usual = {
            "provider": provider,
            "name": f"{provider} {client_id}",
            "client_id": client_id,
            "client_secret": secret,
        }
        body = {name: value for name, value in {**usual, **(asked or {})}.items() if value is not None}

        def register(*redirect_uris: str) -> None:
            self.sandbox.provider.register_client(
                client_id, body.get("client_secret", ""), redirect_uris, _played(provider), **client
            )

        register()  # the application may ask whether it is known before it says where to redirect to
        connector = self.api.post("/v1/connectors", body)
        register(connector["redirect_uri"])
        return connector

    def application(
        self,
        credential: Literal["secret", "certificate", "federated"] = "secret",
        *,
        cloud: CloudName = "global",
        roles: Sequence[str] = ROLES,
    ) -> dict[str, Any]:
        """Makes a connector of an application at Microsoft that may act by itself in TENANT."""
        asked: dict[str, Any] = {"tenant": TENANT, "cloud": cloud, "credential": credential}
        client: dict[str, Any] = {"tenant": TENANT, "cloud": CLOUDS[cloud], "roles": list(roles)}
        if credential != "secret":
            asked["client_secret"] = None
        if credential == "certificate":
            made = ClientCertificate.create()
            asked["certificate"], client["keys"] = {"pem": made.pem}, [made.certificate]
        if credential == "federated":
            client["federated"] = [self.sandbox.identity.trusted]
        return self.connector("microsoft", asked=asked, **client)

    def delegated(self, *scopes: str) -> dict[str, Any]:
        """Makes a connector of a service account at Google that acts for the people of DOMAIN."""
        key = ServiceAccountKey.create()
        allowed = {DOMAIN: scopes or ("https://mail.google.com/",)}
        self.sandbox.provider.register_service_account(key.values, key.public, allowed)
        return self.api.post(
            "/v1/connectors",
            {
                "provider": "google",
                "name": f"service account {key.values['client_id']}",
                "client_id": key.values["client_id"],
                "credential": "service_account",
                "service_account_key": key.text,
            },
        )

    def other(
        self, client_auth: str = "post", *, implicit: bool = False, facts: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Makes a connector of the provider that follows the standards; `facts` replace what it says."""
        smtp = (self.sandbox.smtp_implicit if implicit else self.sandbox.smtp)["other"]
        tls = "implicit" if implicit else "starttls"
        said = other_facts(self.sandbox.provider_url, smtp, tls=tls, client_auth=client_auth)
        asked: dict[str, Any] = {"facts": {**said, **(facts or {})}}
        client: dict[str, Any] = {"auth_method": AUTH_METHODS[client_auth]}
        if client_auth == "private_key_jwt":
            made = ClientCertificate.create()
            asked |= {"credential": "certificate", "certificate": {"pem": made.pem}, "client_secret": None}
            client["keys"] = [made.certificate]
        if client_auth == "none":
            asked |= {"credential": "none", "client_secret": None}
        return self.connector("other", asked=asked, **client)

    def mailbox(self, provider: ProviderName, address: str, **facts: Any) -> str:
        """Registers a mailbox at the provider and returns its address."""
        self.sandbox.provider.register_user(address, provider=_played(provider), **facts)
        return address

    def app_password(self, provider: ProviderName, address: str) -> str:
        """Registers a mailbox, and returns an app password that its mail servers take."""
        password = secrets.token_urlsafe(24)
        self.mailbox(provider, address, app_password=password)
        return password

    def applications_mailbox(self, connector: Mapping[str, Any], address: str) -> str:
        """Registers a mailbox that the connector's application may use by itself."""
        self.mailbox("microsoft", address)
        self.sandbox.mail.mailbox(address, applications=[connector["client_id"]])
        return address

    def account(self, connector: dict[str, Any], address: str, **facts: Any) -> dict[str, Any]:
        """Makes an account that nobody has connected yet; the answer has its connect link."""
        return self.api.post("/v1/accounts", {"connector": connector["id"], "address": address, **facts})

    def connect(self, account: Mapping[str, Any], auth_mode: str, **held: str) -> dict[str, Any]:
        """Connects an account without a browser."""
        return self.api.post(f"/v1/accounts/{account['id']}/connect", {"auth_mode": auth_mode, **held})

    def connected(
        self,
        provider: ProviderName,
        address: str,
        *,
        connector: dict[str, Any] | None = None,
        untick: Collection[str] = (),
    ) -> dict[str, Any]:
        """Makes a mailbox and an account for it, and connects it through the real pages."""
        self.mailbox(provider, address)
        account = self.account(connector or self.connector(provider), address)
        shown = self.person().connect(account["connect_link"], mailbox=address, untick=untick)
        shown.raise_for_status()
        return self.api.get(f"/v1/accounts/{account['id']}")

    def person(self) -> Person:
        """Somebody with a browser of their own."""
        return Person(self.sandbox.authority.cafile)


def _played(provider: ProviderName) -> Literal["microsoft", "google", "openid"]:
    """The part that the sandbox's provider plays for a connector."""
    return "openid" if provider == "other" else provider
