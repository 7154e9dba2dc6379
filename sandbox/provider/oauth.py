"""The authorization server: Authlib's, with our memory behind it and a dialect's words in front.

One ``OAuthServer`` per dialect; the grants that it offers are in ``grants``.
"""

# ruff: noqa: ARG002 - Authlib's methods have arguments that are not needed here
from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749 import AuthorizationServer, InvalidClientError, OAuth2Error
from werkzeug.wrappers import Response

from sandbox.provider.assertions import CLIENT_ASSERTION
from sandbox.provider.grants import CodeGrant, IdentityToken, RefreshGrant, RequiredChallenge
from sandbox.provider.models import AccessToken, Client, Code, Grant, RefreshToken, User
from sandbox.provider.refusals import Reason, Refusal, assertion_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from authlib.oauth2 import OAuth2Request
    from authlib.oauth2.rfc6749.grants import BaseGrant
    from authlib.oauth2.rfc6750 import BearerTokenGenerator
    from joserfc.jwk import RSAKey

    from sandbox.provider.dialect import Dialect
    from sandbox.provider.requests import ProviderRequest
    from sandbox.provider.store import Store

Token = dict[str, Any]


class OAuthServer(AuthorizationServer):
    """An authorization server that speaks one dialect. ``key`` signs its ID tokens."""

    def __init__(self, dialect: Dialect, store: Store, key: RSAKey, *grants: type[BaseGrant]) -> None:
        super().__init__()
        self.dialect = dialect
        self.store = store
        identity = IdentityToken(dialect, key)
        self.register_grant(CodeGrant, [RequiredChallenge(required=True), identity])
        self.register_grant(RefreshGrant, [identity])
        for grant in grants:
            self.register_grant(grant)
        self.register_client_auth_method("private_key_jwt", self._check_assertion)
        self.register_token_generator("default", cast("BearerTokenGenerator", self._new_token))

    def query_client(self, client_id: str) -> Client | None:  # type: ignore[override]  # None is Authlib's contract
        """Return the registration, if it is one of this provider's."""
        client = self.store.client(client_id)
        return client if client and self.dialect.serves(client) else None

    def consent_grant(self, request: ProviderRequest, end_user: object) -> CodeGrant:
        """Validate an authorization request and return its grant; raise ``OAuth2Error``."""
        return cast("CodeGrant", self.get_consent_grant(request, end_user))  # type: ignore[no-untyped-call]

    def validate_requested_scope(self, scope: str) -> None:
        """Refuse a scope that the dialect does not know."""
        self.dialect.scopes(scope or "")

    def save_token(self, token: Token, request: ProviderRequest) -> None:  # type: ignore[override]
        """Keep what is being issued, and let the dialect finish the answer."""
        self._keep_access_token(token, request)
        if "refresh_token" in token:
            self._keep_refresh_token(token, request)
        user = cast("User | None", request.user)
        if (seconds := self._refresh_seconds(token, request)) is not None:
            token.update(self.dialect.end(seconds))
        token.update(self.dialect.answer_extras(user, request.payload.data, token["expires_in"]))

    def _keep_access_token(self, token: Token, request: ProviderRequest) -> None:
        scopes = tuple(token["scope"].split())
        request.issued_access = self.store.next_serial()
        access_token = AccessToken(
            value="",
            serial=request.issued_access,
            audience=self.dialect.audience(scopes, cast("Client", request.client)),
            scopes=scopes,
            roles=() if request.parent.user else cast("Client", request.client).roles,
            tenant=request.tenant,
            **self._validity(request.parent, token["expires_in"]),
        )
        token["access_token"] = self.dialect.new_access_token(access_token)
        self.store.add_access_token(replace(access_token, value=token["access_token"]))

    def _keep_refresh_token(self, token: Token, request: ProviderRequest) -> None:
        request.issued_refresh = self.store.next_serial()
        lifetime = cast("Client", request.client).refresh_lifetime or self.store.lifetimes.refresh
        refresh_token = RefreshToken(
            value=token["refresh_token"],
            serial=request.issued_refresh,
            scopes=request.parent.scopes,
            **self._validity(request.parent, lifetime),
        )
        self.store.add_refresh_token(refresh_token)

    def _refresh_seconds(self, token: Token, request: ProviderRequest) -> int | None:
        """How long a new refresh token lives, or for a client with a limit the one that was presented."""
        limit, parent = cast("Client", request.client).refresh_lifetime, request.parent
        if "refresh_token" in token:
            return limit or self.store.lifetimes.refresh
        left = parent.expires_at - self.store.clock() if isinstance(parent, RefreshToken) else 0
        return int(left) if limit and left else None

    def _check_assertion(self, query_client: Callable[[str], Client | None], request: ProviderRequest) -> Any:
        text = request.form.get("client_assertion")
        client_id = request.form.get("client_id")
        if not text or request.form.get("client_assertion_type") != CLIENT_ASSERTION:
            return None
        assertion = assertion_of(text)
        client = query_client(client_id or assertion.claim("sub"))
        if client is not None:
            endpoint = request.uri.partition("?")[0]
            self.dialect.check_assertion(client, assertion, endpoint, self.store.clock())
        return client

    def _validity(self, parent: Code | RefreshToken | Grant, seconds: int) -> dict[str, Any]:
        now = self.store.clock()
        return {
            "grant_id": parent.grant_id,
            "client_id": parent.client_id,
            "user": parent.user,
            "issued_at": now,
            "expires_at": now + seconds,
        }

    def _new_token(
        self,
        grant_type: str,
        client: Client,
        user: User | None = None,
        scope: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,  # noqa: FBT001, FBT002 - Authlib's signature
    ) -> Token:
        token: Token = {
            "token_type": "Bearer",
            "scope": scope or "",
            "expires_in": expires_in or self.store.lifetimes.access,
        }
        if include_refresh_token:
            token["refresh_token"] = self.dialect.new_refresh_token()
        return token

    def revoke(self, request: ProviderRequest) -> bool:
        """End the grant of a token, whichever of its tokens is named; say whether there was one."""
        client = self.authenticated(request) if self.dialect.revokes_unknown else None
        value = request.payload.data.get("token", "")
        token = self.store.refresh_token(value) or self.store.access_token(value)
        foreign = token is not None and client is not None and token.client_id != client.client_id
        if token is None or foreign or self.store.has_ended(token):
            return False
        self.store.end_grant(token.grant_id)
        self.store.end_access_tokens(token.grant_id)
        return True

    def authenticated(self, request: ProviderRequest) -> Client:
        """Return the client that the request authenticates; raise ``Refusal``."""
        try:
            return cast("Client", self.authenticate_client(request, self.dialect.auth_methods))
        except InvalidClientError as error:
            raise self._client_refusal(request) from error

    def _client_refusal(self, request: ProviderRequest) -> Refusal:
        """Say why a client could not be authenticated: unknown, without a secret, or with a wrong one."""
        basic_id, basic_secret = request.basic_credentials
        client_id = request.form.get("client_id") or basic_id or ""
        details = {"client_id": client_id, "tenant": request.tenant}
        if self.query_client(client_id) is None:
            return Refusal(self.dialect.stranger(self.store.client(client_id)), **details)
        proofs = ("client_secret", "client_assertion")
        if not (any(request.form.get(name) for name in proofs) or basic_secret):
            return Refusal(Reason.SECRET_MISSING, **details)
        return Refusal(Reason.SECRET_WRONG, **details)

    # What Authlib asks of its host framework

    def create_oauth2_request(self, request: ProviderRequest) -> ProviderRequest:
        """Requests arrive here already wrapped."""
        return request

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens to Authlib's signals here."""

    def handle_response(self, status: int, body: object, headers: object) -> Response:
        """Return what the web side sends."""
        content = json.dumps(body) if isinstance(body, dict) else cast("str", body)
        return Response(content, status, headers=cast("list[tuple[str, str]]", headers))

    def handle_error_response(self, request: OAuth2Request, error: OAuth2Error) -> Response:
        """Answer in the dialect's words: by redirect where the error has a redirect URI, else as JSON."""
        request = cast("ProviderRequest", request)
        answer = self.dialect.refuse(error, request.correlation_id)
        if error.redirect_uri:
            query = [("error", answer.error), ("error_description", answer.description)]
            if request.payload.state:
                query.append(("state", request.payload.state))
            return Response(status=302, headers={"Location": add_params_to_uri(error.redirect_uri, query)})
        no_store = {"Cache-Control": "no-store", "Pragma": "no-cache"}
        return Response(json.dumps(answer.body), answer.status, no_store, mimetype="application/json")
