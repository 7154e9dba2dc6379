"""Gmail and Google Workspace, spoken to through google-auth."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chalicelib import clock
from chalicelib.accounts.models.grant import MAIL, Identity, TokenSet
from chalicelib.addresses import lowered
from chalicelib.errors import Diagnosed
from chalicelib.providers.base import Begun, listed, s256, token_set, with_query
from chalicelib.providers.delegation import delegated
from chalicelib.providers.http import USUAL, ProviderHttp
from chalicelib.providers.id_tokens import invalid, read, verify
from chalicelib.providers.replies import transient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.network import Trust
    from chalicelib.providers.facts import ProviderFacts
    from chalicelib.secret import Secret

ISSUER_WITHOUT_SCHEME = "accounts.google.com"
"""Google's documents allow this form in ID tokens besides the one with https."""


ENDED_BEFORE = "invalid_token"
"""What Google says when there is nothing left to revoke."""


class Google:
    """The Provider for Google. google-auth has no code exchange of its own, so that one is a form post."""

    def __init__(self, facts: ProviderFacts, *, trust: Trust = USUAL, now: clock.Clock = clock.now) -> None:
        self.facts = facts
        self._trust = trust
        self._now = now

    def begin(self, connector: Connector, *, redirect_uri: str, state: str, login_hint: str) -> Begun:
        """See Provider. A refresh token is only given with offline access, and again only with the prompt."""
        asked = {
            "scope": " ".join(self.facts.scopes),
            "access_type": "offline",
            "prompt": "consent select_account",
            "login_hint": login_hint,
        }
        return self._begin(connector, redirect_uri, state, asked)

    def identify(self, connector: Connector, *, redirect_uri: str, state: str) -> Begun:
        """See Provider."""
        asked = {"scope": "openid", "access_type": "online", "prompt": "select_account"}
        return self._begin(connector, redirect_uri, state, asked)

    def _begin(self, connector: Connector, redirect_uri: str, state: str, asked: Mapping[str, str]) -> Begun:
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
        parameters = {
            "client_id": connector.client_id,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "state": state,
            "nonce": nonce,
            "code_challenge": s256(verifier),
            "code_challenge_method": "S256",
            **asked,
        }
        flow = {"code_verifier": verifier, "nonce": nonce, "redirect_uri": redirect_uri, "state": state}
        return Begun(with_query(self.facts.authorize, parameters), flow)

    def redeem(self, connector: Connector, secret: Secret, flow: Mapping[str, Any], code: str) -> TokenSet:
        """See Provider."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": flow["code_verifier"],
            "redirect_uri": flow["redirect_uri"],
            "client_id": connector.client_id,
            "client_secret": secret.reveal(),
        }
        answer = self._http().post(self.facts.token, form).values
        identity = self._identity(connector, answer.get("id_token"), str(flow["nonce"]))
        return token_set(answer, now=self._now(), scopes=listed(answer.get("scope")), identity=identity)

    def refresh(
        self,
        connector: Connector,
        secret: Secret,
        refresh_token: Secret,
        resource: str = MAIL,  # noqa: ARG002 - one token is good for all that was granted
    ) -> TokenSet:
        """See Provider."""
        from google.auth.exceptions import GoogleAuthError
        from google.oauth2.credentials import Credentials

        transport = _Transport(self._http())
        credentials = Credentials(  # type: ignore[no-untyped-call]
            None,
            refresh_token=refresh_token.reveal(),
            token_uri=self.facts.token,
            client_id=connector.client_id,
            client_secret=secret.reveal(),
        )
        try:
            credentials.refresh(transport)  # type: ignore[no-untyped-call]
        except (GoogleAuthError, ArithmeticError, TypeError, ValueError) as error:
            # A refusal never comes here (`ProviderHttp` raises it), only an answer that makes no sense, such
            # as a life of a million years. What it holds is looked at below, so that no token is lost.
            if not transport.answer:
                raise Diagnosed(
                    transient("no_access_token", "Google's answer held no access token.")
                ) from error
        answer = transport.answer
        claims = read(answer.get("id_token"))
        identity = _identity(claims) if {"iss", "sub"} <= claims.keys() else None
        return token_set(answer, now=self._now(), scopes=listed(answer.get("scope")), identity=identity)

    def obtain(
        self,
        connector: Connector,
        credential: Secret,
        account: Account | None,
        _resource: str = MAIL,
        /,
    ) -> TokenSet:
        """See Provider. A service account acts as the account's mailbox (domain-wide delegation).

        Its JSON key was checked when it was saved; its own `token_uri` counts for nothing.
        """
        from google.auth.exceptions import GoogleAuthError
        from google.oauth2.service_account import Credentials

        key = json.loads(credential.reveal()) | {"token_uri": self.facts.token}
        transport = _Transport(self._http())
        credentials = Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
            key, scopes=[self.facts.app_scope], subject=account.owner_address if account else None
        )
        try:
            credentials.refresh(transport)
        except Diagnosed as refused:
            raise Diagnosed(
                delegated(refused.diagnosis, connector.client_id, self.facts.app_scope)
            ) from refused
        except (GoogleAuthError, ArithmeticError, TypeError, ValueError) as error:
            if not transport.answer:
                raise Diagnosed(
                    transient("no_access_token", "Google's answer held no access token.")
                ) from error
        return token_set(transport.answer, now=self._now(), scopes=None)

    def revoke(self, _connector: Connector, _credential: Secret, refresh_token: Secret, /) -> bool:
        """See Provider. All that the same person has granted to the same client ends with it."""
        try:
            self._http().post(self.facts.revoke, {"token": refresh_token.reveal()})
        except Diagnosed as refused:
            if refused.diagnosis.code != ENDED_BEFORE:
                raise
        return True

    def is_issuer(self, _connector: Connector, issuer: str, /) -> bool:
        """See Provider."""
        return issuer == self.facts.issuer

    def _identity(self, connector: Connector, id_token: object, nonce: str) -> Identity:
        keys = self._http().get(self.facts.jwks).values
        claims = verify(id_token, keys=keys, audience=connector.client_id, nonce=nonce)
        if claims["iss"] not in self._issuers():
            raise Diagnosed(invalid("its issuer is another one"))
        return _identity(claims)

    def _issuers(self) -> set[str]:
        known = {self.facts.issuer}
        return (
            known | {ISSUER_WITHOUT_SCHEME}
            if self.facts.issuer.endswith(f"//{ISSUER_WITHOUT_SCHEME}")
            else known
        )

    def _http(self) -> ProviderHttp:
        return ProviderHttp("google", self._trust)


def _identity(claims: Mapping[str, Any]) -> Identity:
    """Who signed in; an address counts only where Google says that it is verified."""
    address = claims.get("email")
    verified = isinstance(address, str) and claims.get("email_verified") in (True, "true")
    addresses = (lowered(str(address)),) if verified else ()
    return Identity(str(claims["iss"]), str(claims["sub"]), addresses)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What google-auth takes for an HTTP response."""

    data: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    status: int = 200


class _Transport:
    """google-auth's transport: our bounded HTTPS. Keeps the answer, of which google-auth hides a part."""

    def __init__(self, http: ProviderHttp) -> None:
        self._http = http
        self.answer: dict[str, Any] = {}

    def __call__(
        self, url: str, method: str = "GET", body: bytes = b"", headers: Any = None, **_: Any
    ) -> _Answer:
        reply = self._http.post(url, body, headers) if method == "POST" else self._http.get(url)
        self.answer = reply.values
        return _Answer(reply.text.encode(), reply.headers)
