"""Microsoft 365 and Outlook.com, spoken to through msal."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chalicelib import clock
from chalicelib.accounts.models import Identity, TokenSet
from chalicelib.errors import Diagnosed, MalformedRequest
from chalicelib.providers.base import Begun, listed, token_set
from chalicelib.providers.http import ProviderHttp
from chalicelib.providers.id_tokens import invalid, verify
from chalicelib.providers.replies import diagnose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msal import ConfidentialClientApplication, TokenCache

    from chalicelib.accounts.models import Connector
    from chalicelib.providers.catalogue import ProviderFacts
    from chalicelib.secret import Secret

ANY_TENANT = frozenset({"common", "organizations", "consumers"})
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Microsoft:
    """The Provider for Microsoft.

    msal keeps state that would outlive a Lambda call: a token cache, and an HTTP cache that replays a refusal
    for a minute. So every call makes an application of its own, which costs no request (`_MsalHttp`).
    """

    def __init__(self, facts: ProviderFacts, *, extra_ca: str = "", now: clock.Clock = clock.now) -> None:
        self.facts = facts
        self._extra_ca = extra_ca
        self._now = now

    def begin(self, connector: Connector, *, redirect_uri: str, state: str, login_hint: str) -> Begun:
        """See Provider. The answer comes as a query, because a form post would come without our cookie."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="response_mode=", category=UserWarning)
            flow = self._application(connector, None).initiate_auth_code_flow(
                list(self.facts.scopes),
                redirect_uri=redirect_uri,
                state=state,
                login_hint=login_hint,
                prompt="select_account",
            )
        return Begun(flow["auth_uri"], flow)

    def redeem(self, connector: Connector, secret: Secret, flow: Mapping[str, Any], code: str) -> TokenSet:
        """See Provider."""
        application = self._application(connector, secret)
        try:
            answer = application.acquire_token_by_auth_code_flow(
                dict(flow), {"code": code, "state": flow["state"]}, scopes=list(self.facts.scopes)
            )
        except ValueError as error:
            raise MalformedRequest("The callback does not match its sign-in.", fix="Start again.") from error
        except RuntimeError as error:
            raise Diagnosed(invalid("its nonce is another one")) from error
        if "error" in answer:
            raise Diagnosed(diagnose("microsoft", answer))
        return self._token_set(answer, _identity(self._claims(connector, answer.get("id_token"), flow)))

    def refresh(self, connector: Connector, secret: Secret, refresh_token: Secret) -> TokenSet:
        """See Provider. Asks for one resource only: of several, Microsoft would choose one by itself."""
        application = self._application(connector, secret)
        answer = application.acquire_token_by_refresh_token(
            refresh_token.reveal(), scopes=list(self.facts.required_scopes)
        )
        if "error" in answer:
            raise Diagnosed(diagnose("microsoft", answer))
        return self._token_set(answer, None)

    def is_issuer(self, connector: Connector, issuer: str, /) -> bool:
        """See Provider."""
        tenant = connector.tenant if _GUID.fullmatch(connector.tenant) else None
        found = re.fullmatch(rf"{re.escape(self.facts.login)}/([^/]+)/v2\.0", issuer)
        return found is not None and tenant in (None, found.group(1))

    def _token_set(self, answer: Mapping[str, Any], identity: Identity | None) -> TokenSet:
        return token_set(answer, now=self._now(), scopes=listed(answer.get("scope")), identity=identity)

    def _application(self, connector: Connector, secret: Secret | None) -> ConfidentialClientApplication:
        from msal import ConfidentialClientApplication

        tenant = connector.tenant or "common"
        return ConfidentialClientApplication(
            connector.client_id,
            client_credential=secret.reveal() if secret else None,
            authority=f"{self.facts.login}/{tenant}",
            instance_discovery=False,
            azure_region=False,  # otherwise MSAL_FORCE_REGION of the environment would choose the host
            http_client=_MsalHttp(f"{self.facts.login}/{tenant}", self._extra_ca),
            http_cache={},
            token_cache=_forgetful_cache(),
        )

    def _claims(self, connector: Connector, id_token: object, flow: Mapping[str, Any]) -> dict[str, Any]:
        tenant = connector.tenant or "common"
        keys = ProviderHttp("microsoft", self._extra_ca).get(
            f"{self.facts.login}/{tenant}/discovery/v2.0/keys"
        )
        # msal sends the digest of the flow's nonce, and keeps the nonce itself.
        nonce = hashlib.sha256(str(flow["nonce"]).encode()).hexdigest()
        claims = verify(id_token, keys=keys.values, audience=connector.client_id, nonce=nonce)
        tid = str(claims.get("tid", ""))
        if claims["iss"] != f"{self.facts.login}/{tid}/v2.0":
            raise Diagnosed(invalid("its issuer is another one"))
        if _GUID.fullmatch(connector.tenant) and tid != connector.tenant:
            raise Diagnosed(invalid("its tenant is another one"))
        return claims


def _forgetful_cache() -> TokenCache:
    """A cache that keeps nothing. msal's own logs what it keeps (DEBUG), codes and verifiers included."""
    from msal import TokenCache

    class ForgetfulCache(TokenCache):  # type: ignore[misc]
        def add(self, *_: Any, **__: Any) -> None:
            """Tokens are kept in our tables only."""

    return ForgetfulCache()


def _identity(claims: Mapping[str, Any]) -> Identity:
    """Who signed in. `tid` and `oid` are the key; the addresses are mailbox names within that tenant."""
    names = (claims.get(name) for name in ("preferred_username", "email", "upn"))
    addresses = dict.fromkeys(name.strip().lower() for name in names if isinstance(name, str) and "@" in name)
    subject = f"{claims.get('tid', '')}.{claims.get('oid') or claims['sub']}"
    return Identity(str(claims["iss"]), subject, tuple(addresses))


@dataclass(frozen=True, slots=True)
class _Answer:
    """What msal takes for an HTTP response."""

    text: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    status_code: int = 200


class _MsalHttp:
    """msal's HTTP client: our bounded HTTPS, and the discovery document from constants, without a request."""

    def __init__(self, authority: str, extra_ca: str) -> None:
        self._authority = authority
        self._http = ProviderHttp("microsoft", extra_ca)

    def get(self, url: str, **_: Any) -> _Answer:
        endpoints = f"{self._authority}/oauth2/v2.0"
        document = {
            "issuer": f"{self._authority}/v2.0",
            "authorization_endpoint": f"{endpoints}/authorize",
            "token_endpoint": f"{endpoints}/token",
        }
        if url != f"{self._authority}/v2.0/.well-known/openid-configuration":
            raise ValueError("msal asked for something else than the discovery document")
        return _Answer(json.dumps(document), {})

    def post(self, url: str, data: Any = None, headers: Any = None, **_: Any) -> _Answer:
        reply = self._http.post(url, data=data, headers=headers)
        return _Answer(reply.text, reply.headers)

    def close(self) -> None:
        """Nothing is kept open."""
