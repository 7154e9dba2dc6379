"""Microsoft 365 and Outlook.com, spoken to through msal."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chalicelib import clock
from chalicelib.accounts.models.connector import CredentialKind
from chalicelib.accounts.models.grant import GRAPH, MAIL, Identity, TokenSet
from chalicelib.addresses import lowered
from chalicelib.errors import Diagnosed
from chalicelib.providers.base import Begun, listed, token_set
from chalicelib.providers.certificates import is_certificate, split
from chalicelib.providers.http import USUAL, ProviderHttp
from chalicelib.providers.id_tokens import invalid, read, verify
from chalicelib.providers.replies import diagnose, transient

if TYPE_CHECKING:
    from msal import ConfidentialClientApplication, TokenCache

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.network import Trust
    from chalicelib.providers.facts import ProviderFacts
    from chalicelib.secret import Secret

CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""The tenant of all personal accounts (Microsoft, "ID token claims reference", `tid`)."""
ANY_TENANT: Mapping[str, str | None] = {"common": None, "organizations": None, "consumers": CONSUMERS}
"""What may stand in the place of a tenant → the one tenant that it means, or None for many."""
UNREADABLE = (AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What msal raises for an ID token that makes no sense: it decodes it by itself, and compares the nonce."""
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Microsoft:
    """The Provider for Microsoft.

    msal keeps state that would outlive a Lambda call: a token cache, and an HTTP cache that replays a refusal
    for a minute. So every call makes an application of its own, which costs no request (`_MsalHttp`).
    `web_identity` gives a token of this AWS account, for connectors with a federated credential.
    """

    def __init__(
        self,
        facts: ProviderFacts,
        *,
        web_identity: Callable[[], str],
        trust: Trust = USUAL,
        now: clock.Clock = clock.now,
    ) -> None:
        self.facts = facts
        self._web_identity = web_identity
        self._trust = trust
        self._now = now

    def begin(self, connector: Connector, *, redirect_uri: str, state: str, login_hint: str) -> Begun:
        """See Provider."""
        application = self._application(connector, None, self._http(connector))
        asked = {"redirect_uri": redirect_uri, "state": state, "login_hint": login_hint}
        return _begun(application, self.facts.scopes, asked)

    def identify(self, connector: Connector, *, redirect_uri: str, state: str) -> Begun:
        """See Provider. msal adds openid and profile, which the claim `oid` needs."""
        without = ["offline_access"]
        application = self._application(connector, None, self._http(connector), exclude_scopes=without)
        return _begun(application, (), {"redirect_uri": redirect_uri, "state": state})

    def redeem(self, connector: Connector, secret: Secret, flow: Mapping[str, Any], code: str) -> TokenSet:
        """See Provider."""
        application = self._application(connector, secret, self._http(connector))
        try:
            answer = application.acquire_token_by_auth_code_flow(
                dict(flow),
                {"code": code, "state": flow["state"]},
                scopes=[scope for scope in self._redeemed() if scope in flow["scope"]],
            )
        except UNREADABLE as error:
            raise Diagnosed(invalid(type(error).__name__)) from error
        if "error" in answer:
            raise Diagnosed(diagnose("microsoft", answer))
        claims = self._claims(connector, answer.get("id_token"), flow)
        return self._token_set(
            answer, _identity(claims, one_tenant=(connector.tenant or "common") not in ANY_TENANT)
        )

    def refresh(
        self, connector: Connector, secret: Secret, refresh_token: Secret, resource: str = MAIL
    ) -> TokenSet:
        """See Provider. Asks for one resource only: of several, Microsoft would choose one by itself."""
        http = self._http(connector)
        application = self._application(connector, secret, http)
        try:
            answer = application.acquire_token_by_refresh_token(
                refresh_token.reveal(), scopes=list(self.facts.of_resource(resource))
            )
        except UNREADABLE:
            # msal reads the ID token, which may make no sense. What came with it must not be lost for that.
            if not http.answer:
                raise
            answer = http.answer
        if "error" in answer:
            raise Diagnosed(diagnose("microsoft", answer))
        claims = read(answer.get("id_token"))
        known = {"iss", "tid", "oid"} <= claims.keys()
        identity = _identity(claims, one_tenant=False) if known else None
        return self._token_set(answer, identity, resource)

    def obtain(
        self,
        connector: Connector,
        credential: Secret,
        _account: Account | None,
        resource: str = MAIL,
        /,
    ) -> TokenSet:
        """See Provider. The token is that of the application; its user name at SMTP says whose mailbox."""
        application = self._application(connector, credential, self._http(connector))
        answer = application.acquire_token_for_client([self.facts.app_scope_of(resource)])
        if "error" in answer:
            raise Diagnosed(diagnose("microsoft", answer))
        return self._token_set(answer, None)

    def revoke(self, _connector: Connector, _credential: Secret, _refresh_token: Secret, /) -> bool:
        """See Provider. Microsoft has no such endpoint."""
        return False

    def is_issuer(self, connector: Connector, issuer: str, /) -> bool:
        """See Provider."""
        tenant = connector.tenant if _GUID.fullmatch(connector.tenant) else None
        found = re.fullmatch(rf"{re.escape(self.facts.login)}/([^/]+)/v2\.0", issuer)
        return found is not None and tenant in (None, found.group(1))

    def _redeemed(self) -> tuple[str, ...]:
        """A code is exchanged for one resource, though the consent is for all: that for mail."""
        of_mail = self.facts.of_resource(MAIL)
        return tuple(
            one for one in self.facts.scopes if one in of_mail or one not in self.facts.required_scopes
        )

    def _token_set(
        self, answer: Mapping[str, Any], identity: Identity | None, resource: str = MAIL
    ) -> TokenSet:
        """Graph names its own scopes without their prefix at times."""
        scopes = listed(answer.get("scope"))
        if scopes is not None and resource == GRAPH:
            scopes = [one if "/" in one else f"{self.facts.graph_resource}/{one}" for one in scopes]
        return token_set(answer, now=self._now(), scopes=scopes, identity=identity)

    def _http(self, connector: Connector) -> _MsalHttp:
        return _MsalHttp(f"{self.facts.login}/{connector.tenant or 'common'}", self._trust)

    def _application(
        self, connector: Connector, secret: Secret | None, http: _MsalHttp, **options: Any
    ) -> ConfidentialClientApplication:
        from msal import ConfidentialClientApplication

        return ConfidentialClientApplication(
            connector.client_id,
            client_credential=self._credential(connector, secret),
            authority=http.authority,
            instance_discovery=False,
            azure_region=False,  # otherwise MSAL_FORCE_REGION of the environment would choose the host
            http_client=http,
            http_cache={},
            token_cache=_forgetful_cache(),
            **options,
        )

    def _credential(self, connector: Connector, secret: Secret | None) -> Any:
        """What msal takes for the credential.

        A certificate is known by its text, and not by the connector's kind, which is written after it: while
        one kind replaces the other, what is read of both may not belong together.
        """
        if connector.credential is CredentialKind.FEDERATED:
            return {"client_assertion": self._web_identity}
        if secret is None:
            return None
        if is_certificate(secret):
            key, certificate = split(secret)
            return {"private_key": key, "public_certificate": certificate}
        return secret.reveal()

    def _claims(self, connector: Connector, id_token: object, flow: Mapping[str, Any]) -> dict[str, Any]:
        keys = self._get(f"{connector.tenant or 'common'}/discovery/v2.0/keys")
        # msal sends the digest of the flow's nonce, and keeps the nonce itself.
        nonce = hashlib.sha256(str(flow["nonce"]).encode()).hexdigest()
        claims = verify(id_token, keys=keys, audience=connector.client_id, nonce=nonce)
        tid = str(claims.get("tid", ""))
        if not _GUID.fullmatch(tid) or claims["iss"] != f"{self.facts.login}/{tid}/v2.0":
            raise Diagnosed(invalid("its issuer is another one"))
        if self._only_tenant(connector) not in (None, tid):
            raise Diagnosed(invalid("its tenant is another one"))
        return claims

    def _only_tenant(self, connector: Connector) -> str | None:
        """The id of the one tenant that the connector names; None where it takes people of any tenant."""
        tenant = connector.tenant or "common"
        if tenant in ANY_TENANT or _GUID.fullmatch(tenant):
            return ANY_TENANT.get(tenant, tenant)
        document = self._get(f"{tenant}/v2.0/.well-known/openid-configuration")
        found = re.fullmatch(rf"{re.escape(self.facts.login)}/([^/]+)/v2\.0", str(document.get("issuer")))
        if found is None or not _GUID.fullmatch(found.group(1)):
            raise Diagnosed(transient("tenant_unknown", "Microsoft did not say which tenant the domain has."))
        return found.group(1)

    def _get(self, path: str) -> dict[str, Any]:
        return ProviderHttp("microsoft", self._trust).get(f"{self.facts.login}/{path}").values


def _begun(
    application: ConfidentialClientApplication, scopes: tuple[str, ...], asked: Mapping[str, str]
) -> Begun:
    """The answer shall come as a query, because a form post would come without our cookie."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="response_mode=", category=UserWarning)
        flow = application.initiate_auth_code_flow(list(scopes), prompt="select_account", **asked)
    return Begun(flow["auth_uri"], flow)


def _forgetful_cache() -> TokenCache:
    """A cache that keeps nothing. msal's own logs what it keeps (DEBUG), codes and verifiers included."""
    from msal import TokenCache

    class ForgetfulCache(TokenCache):  # type: ignore[misc]
        def add(self, *_: Any, **__: Any) -> None:
            """Tokens are kept in our tables only."""

    return ForgetfulCache()


def _identity(claims: Mapping[str, Any], *, one_tenant: bool) -> Identity:
    """Who signed in: `tid` and `oid` are the key; sign-in names are addresses, as a tenant owns their domain.

    `email` is what the administrator of the person's own tenant has written, whoever owns its domain. It
    counts only where that tenant is the connector's one, or Microsoft says that the domain's owner was
    verified (`xms_edov`), or the account is a personal one, whose address Microsoft itself has verified.
    """
    trusted = one_tenant or claims["tid"] == CONSUMERS or claims.get("xms_edov") in (True, 1, "1", "true")
    names, email = _addresses(claims, "preferred_username", "upn"), _addresses(claims, "email")
    return Identity(
        str(claims["iss"]),
        _subject(claims),
        tuple(dict.fromkeys((*names, *email))) if trusted else names,
        claimed=email,
    )


def _subject(claims: Mapping[str, Any]) -> str:
    return f"{claims.get('tid', '')}.{claims.get('oid') or claims['sub']}"


def _addresses(claims: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    found = (claims.get(name) for name in names)
    return tuple(dict.fromkeys(lowered(one) for one in found if isinstance(one, str) and "@" in one))


@dataclass(frozen=True, slots=True)
class _Answer:
    """What msal takes for an HTTP response."""

    text: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    status_code: int = 200


class _MsalHttp:
    """msal's HTTP client: our bounded HTTPS, and the discovery document from constants, without a request.

    Keeps the answer to the last POST, in case that msal cannot read it.
    """

    def __init__(self, authority: str, trust: Trust) -> None:
        self.authority = authority
        self.answer: dict[str, Any] = {}
        self._http = ProviderHttp("microsoft", trust)

    def get(self, url: str, **_: Any) -> _Answer:
        endpoints = f"{self.authority}/oauth2/v2.0"
        document = {
            "issuer": f"{self.authority}/v2.0",
            "authorization_endpoint": f"{endpoints}/authorize",
            "token_endpoint": f"{endpoints}/token",
        }
        if url != f"{self.authority}/v2.0/.well-known/openid-configuration":
            raise ValueError("msal asked for something else than the discovery document")
        return _Answer(json.dumps(document), {})

    def post(self, url: str, data: Any = None, headers: Any = None, **_: Any) -> _Answer:
        reply = self._http.post(url, data=data, headers=headers)
        self.answer = reply.values
        return _Answer(reply.text, reply.headers)

    def close(self) -> None:
        """Nothing is kept open."""
