"""Any provider that follows the standards: OAuth 2.0 (RFC 6749), and OpenID Connect as far as it goes.

Who has signed in is known by the ID token, else by the userinfo endpoint. A provider that has neither says
nothing of it: then the mail server has to show whose mailbox the token opens.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from chalicelib import clock
from chalicelib.accounts.models.connector import CredentialKind
from chalicelib.accounts.models.grant import MAIL, Identity, TokenSet
from chalicelib.addresses import lowered
from chalicelib.errors import Conflict, Diagnosed
from chalicelib.providers.base import Begun, listed, s256, token_set, with_query
from chalicelib.providers.certificates import split
from chalicelib.providers.http import USUAL, ProviderHttp
from chalicelib.providers.id_tokens import invalid, read, verify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.network import Trust
    from chalicelib.providers.facts import ProviderFacts
    from chalicelib.secret import Secret

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures with a private key; with the client's secret, any holder of that could make an ID token."""
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFE = 300
"""Seconds."""
ADDRESS_SCOPE = "email"
OFFLINE = "offline_access"


class OpenId:
    """The Provider for all others. Its facts say where it is; the connector's credential how we prove us."""

    def __init__(self, facts: ProviderFacts, *, trust: Trust = USUAL, now: clock.Clock = clock.now) -> None:
        self.facts = facts
        self._trust = trust
        self._now = now

    def begin(self, connector: Connector, *, redirect_uri: str, state: str, login_hint: str) -> Begun:
        """See Provider. OpenID Connect Core, section 11, wants the prompt with offline access."""
        asked = {"login_hint": login_hint}
        if OFFLINE in self.facts.scopes:
            asked["prompt"] = "consent"
        asked |= self.facts.authorize_parameters
        return self._begin(connector, redirect_uri, state, asked, list(self.facts.scopes))

    def identify(self, connector: Connector, *, redirect_uri: str, state: str) -> Begun:
        """See Provider. Raises Conflict (code ``identity_unknown``) where the provider never says."""
        if not self._names_person(self.facts.scopes):
            raise Conflict(
                "This provider does not say who signs in.",
                fix="Ask your administrator to disconnect the mailbox, or withdraw it at the provider.",
                code="identity_unknown",
            )
        beside = {*self.facts.required_scopes, OFFLINE}
        scopes = [one for one in self.facts.scopes if one not in beside]
        return self._begin(connector, redirect_uri, state, {}, scopes)

    def _begin(
        self,
        connector: Connector,
        redirect_uri: str,
        state: str,
        asked: Mapping[str, str],
        scopes: list[str],
    ) -> Begun:
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
        parameters = {
            **asked,
            "client_id": connector.client_id,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": " ".join(scopes),
            "state": state,
            "code_challenge": s256(verifier),
            "code_challenge_method": "S256",
            **({"nonce": nonce} if "openid" in scopes else {}),
        }
        flow = {"code_verifier": verifier, "nonce": nonce, "redirect_uri": redirect_uri, "state": state}
        return Begun(with_query(self.facts.authorize, parameters), {**flow, "scopes": scopes})

    def redeem(self, connector: Connector, secret: Secret, flow: Mapping[str, Any], code: str) -> TokenSet:
        """See Provider. The identity is None where the provider does not say who signed in."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": flow["code_verifier"],
            "redirect_uri": flow["redirect_uri"],
        }
        answer = self._ask(connector, secret, form)
        tokens = token_set(answer, now=self._now(), scopes=listed(answer.get("scope")))
        identity = self._identity(connector, answer, flow) if self._names_person(flow["scopes"]) else None
        return replace(tokens, identity=identity)

    def refresh(
        self,
        connector: Connector,
        secret: Secret,
        refresh_token: Secret,
        resource: str = MAIL,  # noqa: ARG002 - one token is good for all that was granted
    ) -> TokenSet:
        """See Provider."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
        answer = self._ask(connector, secret, form)
        claims = read(answer.get("id_token"))
        identity = _identity(claims["iss"], claims) if {"iss", "sub"} <= claims.keys() else None
        return token_set(answer, now=self._now(), scopes=listed(answer.get("scope")), identity=identity)

    def obtain(
        self, connector: Connector, credential: Secret, _account: Account | None, _resource: str = MAIL, /
    ) -> TokenSet:
        """See Provider. The token is that of the application; its user name at SMTP says whose mailbox."""
        form = {"grant_type": "client_credentials", "scope": self.facts.app_scope}
        return token_set(self._ask(connector, credential, form), now=self._now(), scopes=None)

    def revoke(self, connector: Connector, credential: Secret, refresh_token: Secret, /) -> bool:
        """See Provider (RFC 7009). A token that has ended already is none to complain of."""
        if not self.facts.revoke:
            return False
        form = {"token": refresh_token.reveal(), "token_type_hint": "refresh_token"}
        self._ask(connector, credential, form, self.facts.revoke)
        return True

    def is_issuer(self, _connector: Connector, issuer: str, /) -> bool:
        """See Provider. Where no issuer is known there is nothing to compare with."""
        return self.facts.issuer in ("", issuer)

    def _ask(
        self, connector: Connector, secret: Secret, form: Mapping[str, str], endpoint: str = ""
    ) -> dict[str, Any]:
        proof, headers = self._proof(connector, secret)
        return self._http().post(endpoint or self.facts.token, {**form, **proof}, headers).values

    def _proof(self, connector: Connector, secret: Secret) -> tuple[dict[str, str], dict[str, str]]:
        """How the client proves itself: what is added to the form, and the headers."""
        client = {"client_id": connector.client_id}
        if connector.credential is CredentialKind.CERTIFICATE:
            assertion = self._assertion(connector, secret)
            return {**client, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}, {}
        if self.facts.client_auth == "none" or not secret.reveal():
            return client, {}
        if self.facts.client_auth == "basic":  # both encoded as in a form: RFC 6749, section 2.3.1
            pair = f"{quote_plus(connector.client_id)}:{quote_plus(secret.reveal())}"
            return {}, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        return {**client, "client_secret": secret.reveal()}, {}

    def _assertion(self, connector: Connector, secret: Secret) -> str:
        """RFC 7523, section 3, signed with the key of the connector's certificate."""
        import jwt

        now = self._now() // clock.SECOND
        claims = {
            "iss": connector.client_id,
            "sub": connector.client_id,
            "aud": self.facts.token,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + ASSERTION_LIFE,
        }
        return jwt.encode(claims, split(secret)[0], algorithm="RS256")

    def _verifies(self, scopes: object) -> bool:
        """Whether an ID token comes with these scopes, and can be verified."""
        has_openid = isinstance(scopes, list | tuple) and "openid" in scopes
        return has_openid and bool(self.facts.jwks and self.facts.issuer)

    def _names_person(self, scopes: object) -> bool:
        return self._verifies(scopes) or bool(self.facts.userinfo)

    def _identity(
        self, connector: Connector, answer: Mapping[str, Any], flow: Mapping[str, Any]
    ) -> Identity | None:
        """Who signed in. Userinfo is asked for what the ID token leaves out, and must be of the same one."""
        token, issuer = str(answer.get("access_token")), self.facts.issuer or self.facts.userinfo
        if not self._verifies(flow["scopes"]):
            return _identity(issuer, self._userinfo(token))
        claims = self._claims(connector, answer.get("id_token"), str(flow["nonce"]))
        if ADDRESS_SCOPE in flow["scopes"] and "email" not in claims and self.facts.userinfo:
            person = self._userinfo(token)
            if person.get("sub") != claims["sub"]:  # OpenID Connect Core, section 5.3.2
                raise Diagnosed(invalid("its userinfo is of another one"))
            return _identity(issuer, person)
        return _identity(issuer, claims)

    def _claims(self, connector: Connector, id_token: object, nonce: str) -> dict[str, Any]:
        keys = self._http().get(self.facts.jwks).values
        client = connector.client_id
        claims = verify(id_token, keys=keys, audience=client, nonce=nonce, algorithms=ALGORITHMS)
        if claims["iss"] != self.facts.issuer:
            raise Diagnosed(invalid("its issuer is another one"))
        if claims.get("azp", client) != client:
            raise Diagnosed(invalid("it is for another client"))
        return claims

    def _userinfo(self, access_token: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {access_token}"}
        return self._http().get(self.facts.userinfo, headers).values

    def _http(self) -> ProviderHttp:
        return ProviderHttp(self.facts.name, self._trust)


def _identity(issuer: str, claims: Mapping[str, Any]) -> Identity | None:
    """Who signed in; an address counts only where the provider says that it is verified."""
    subject, address = claims.get("sub"), claims.get("email")
    if not isinstance(subject, str) or not subject:
        return None
    addresses = (lowered(address),) if isinstance(address, str) and "@" in address else ()
    is_verified = claims.get("email_verified") in (True, "true")
    return Identity(issuer, subject, addresses if is_verified else (), claimed=addresses)
