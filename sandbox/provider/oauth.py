"""The authorization server: Authlib's, with our memory behind it and a dialect's words in front.

One ``OAuthServer`` per dialect. Authlib runs the protocol (RFC 6749 sections 4.1 and 6, RFC 7636, OpenID Connect
Core section 3.1); the grants here say where codes and tokens are kept and why one of them is refused.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from authlib.common.urls import add_params_to_uri
from authlib.oauth2 import OAuth2Request
from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    InvalidClientError,
    InvalidGrantError,
    InvalidRequestError,
    OAuth2Error,
    OAuth2Payload,
    grants,
)
from authlib.oauth2.rfc6749.util import extract_basic_authorization
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode
from joserfc.jwk import RSAKey
from werkzeug.datastructures import CombinedMultiDict, Headers, MultiDict
from werkzeug.wrappers import Response

from sandbox.provider.dialect import Dialect
from sandbox.provider.models import AccessToken, Client, Code, RefreshToken, User
from sandbox.provider.refusals import Reason, Refusal
from sandbox.provider.store import Store

Values = MultiDict[str, str]
Token = dict[str, Any]


class Payload(OAuth2Payload):
    """The parameters of a request, from its query and its form."""

    def __init__(self, values: CombinedMultiDict[str, str]) -> None:
        self._values = values

    @property
    def data(self) -> dict[str, str]:
        """The first value of each parameter."""
        return self._values.to_dict()

    @property
    def datalist(self) -> dict[str, list[str]]:
        """All values of each parameter."""
        return defaultdict(list, self._values.to_dict(flat=False))


class ProviderRequest(OAuth2Request):
    """One request to an authorization or token endpoint.

    ``tenant`` is the path's, empty at Google. ``consent_shown`` is set when the person was asked just now.
    """

    payload: Payload

    def __init__(
        self, method: str, uri: str, query: Values, form: Values, headers: Headers, tenant: str
    ) -> None:
        super().__init__(method, uri, headers=cast("Mapping[str, str]", headers))
        self._query = query
        self._form = form
        self.payload = Payload(CombinedMultiDict([query, form]))
        self.tenant = tenant
        self.consent_shown = False
        self.issued_access: int | None = None
        self.issued_refresh: int | None = None

    @property
    def args(self) -> dict[str, str | None]:
        """The query's parameters."""
        return dict(self._query.to_dict())

    @property
    def form(self) -> dict[str, str]:
        """The form's parameters."""
        return self._form.to_dict()

    @property
    def parent(self) -> Code | RefreshToken:
        """What a token request presented, once its grant has found it."""
        return cast("Code | RefreshToken", self.authorization_code or self.refresh_token)

    @property
    def basic_credentials(self) -> tuple[str | None, str | None]:
        """The client id and secret of an Authorization header with the Basic scheme."""
        return extract_basic_authorization(cast("dict[str, str]", self.headers))

    @property
    def correlation_id(self) -> str:
        """The id that msal gives a request, or nothing."""
        return (self.headers or {}).get("client-request-id", "")


class OAuthServer(AuthorizationServer):
    """An authorization server that speaks one dialect. ``key`` signs its ID tokens."""

    def __init__(self, dialect: Dialect, store: Store, key: RSAKey) -> None:
        super().__init__()
        self.dialect = dialect
        self.store = store
        identity = IdentityToken(dialect, key)
        self.register_grant(CodeGrant, [RequiredChallenge(required=True), identity])
        self.register_grant(RefreshGrant, [identity])
        self.register_token_generator("default", cast(BearerTokenGenerator, self._new_token))

    def query_client(self, client_id: str) -> Client | None:  # type: ignore[override]  # None is Authlib's contract
        """Return the registration, if it is one of this provider's."""
        client = self.store.client(client_id)
        return client if client and client.provider == self.dialect.name else None

    def consent_grant(self, request: ProviderRequest, end_user: object) -> CodeGrant:
        """Validate an authorization request and return its grant; raise ``OAuth2Error``."""
        return cast(CodeGrant, self.get_consent_grant(request, end_user))  # type: ignore[no-untyped-call]

    def validate_requested_scope(self, scope: str) -> None:
        """Refuse a scope that the dialect does not know."""
        self.dialect.scopes(scope or "")

    def save_token(self, token: Token, request: ProviderRequest) -> None:  # type: ignore[override]
        """Keep what is being issued, and let the dialect finish the answer."""
        parent = request.parent
        now = self.store.clock()
        scopes = tuple(token["scope"].split())
        common = {"grant_id": parent.grant_id, "client_id": parent.client_id, "user": parent.user}
        request.issued_access = self.store.next_serial()
        self.store.add_access_token(
            AccessToken(
                value=token["access_token"],
                serial=request.issued_access,
                audience=self.dialect.audience(scopes, cast(Client, request.client)),
                scopes=scopes,
                issued_at=now,
                expires_at=now + token["expires_in"],
                **common,
            )
        )
        if "refresh_token" in token:
            request.issued_refresh = self.store.next_serial()
            self.store.add_refresh_token(
                RefreshToken(
                    value=token["refresh_token"],
                    serial=request.issued_refresh,
                    scopes=parent.scopes,
                    issued_at=now,
                    expires_at=now + self.store.lifetimes.refresh,
                    **common,
                )
            )
        user = cast(User, request.user)
        token.update(self.dialect.answer_extras(user, request.payload.data, token["expires_in"]))

    def _new_token(
        self,
        grant_type: str,
        client: Client,
        user: User | None = None,
        scope: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,
    ) -> Token:
        token: Token = {
            "token_type": "Bearer",
            "scope": scope or "",
            "expires_in": expires_in or self.store.lifetimes.access,
            "access_token": self.dialect.new_access_token(),
        }
        if include_refresh_token:
            token["refresh_token"] = self.dialect.new_refresh_token()
        return token

    def client_refusal(self, request: ProviderRequest) -> Refusal:
        """Say why a client could not be authenticated: unknown, without a secret, or with a wrong one."""
        basic_id, basic_secret = request.basic_credentials
        client_id = request.form.get("client_id") or basic_id or ""
        details = {"client_id": client_id, "tenant": request.tenant}
        if self.query_client(client_id) is None:
            return Refusal(Reason.CLIENT_UNKNOWN, **details)
        if not (request.form.get("client_secret") or basic_secret):
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
        content = json.dumps(body) if isinstance(body, dict) else cast(str, body)
        return Response(content, status, headers=cast("list[tuple[str, str]]", headers))

    def handle_error_response(self, request: OAuth2Request, error: OAuth2Error) -> Response:
        """Answer in the dialect's words: by redirect where the error has a redirect URI, else as JSON."""
        request = cast(ProviderRequest, request)
        answer = self.dialect.refuse(error, request.correlation_id)
        if error.redirect_uri:
            query = [("error", answer.error), ("error_description", answer.description)]
            if request.payload.state:
                query.append(("state", request.payload.state))
            return Response(status=302, headers={"Location": add_params_to_uri(error.redirect_uri, query)})
        no_store = {"Cache-Control": "no-store", "Pragma": "no-cache"}
        return Response(json.dumps(answer.body), answer.status, no_store, mimetype="application/json")


class _ClientCheck(grants.BaseGrant):
    """Authenticates the client at the token endpoint, and says in our terms why it fails."""

    request: ProviderRequest
    server: OAuthServer

    def authenticate_token_endpoint_client(self) -> Client:
        dialect = self.server.dialect
        try:
            client = self.server.authenticate_client(self.request, dialect.auth_methods)
        except InvalidClientError as error:
            raise self.server.client_refusal(self.request) from error
        dialect.check_tenant(cast(Client, client), self.request.tenant)
        return cast(Client, client)


class CodeGrant(_ClientCheck, grants.AuthorizationCodeGrant):
    """The authorization code grant over our store."""

    @staticmethod
    def validate_authorization_redirect_uri(request: OAuth2Request, client: Any) -> str:
        """Insist on a redirect URI that is registered character by character."""
        redirect_uri = cast(ProviderRequest, request).payload.redirect_uri or ""
        if not client.check_redirect_uri(redirect_uri):
            details = {"redirect": redirect_uri, "client_id": client.client_id}
            raise Refusal(Reason.REDIRECT_UNREGISTERED, **details)
        return redirect_uri

    def validate_authorization_request(self) -> str:
        """Check the tenant of the path too."""
        redirect_uri = super().validate_authorization_request()
        self.server.dialect.check_tenant(cast(Client, self.request.client), self.request.tenant)
        return redirect_uri

    def create_authorization_response(self, redirect_uri: str, grant_user: User | None) -> Any:
        """Add to the callback what the real provider adds."""
        status, body, headers = super().create_authorization_response(redirect_uri, grant_user)
        location = dict(headers)["Location"]
        extras = self.server.dialect.callback_extras(tuple(self.request.scope.split()))
        return status, body, [("Location", add_params_to_uri(location, extras))]

    def generate_authorization_code(self) -> str:
        """Return a code of the provider's shape."""
        return self.server.dialect.new_code()

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        """Record the consent and keep the code."""
        request = cast(ProviderRequest, request)
        store, dialect = self.server.store, self.server.dialect
        params = request.payload.data
        client, user = cast(Client, request.client), cast(User, request.user)
        known = store.live_grant(client.client_id, user.address)
        scopes = dialect.all_scopes(params, dialect.scopes(request.scope), known)
        store.add_code(
            Code(
                value=code,
                grant_id=store.consent(client.client_id, user.address, scopes).grant_id,
                client_id=client.client_id,
                user=user.address,
                redirect_uri=request.payload.redirect_uri,
                scopes=scopes,
                code_challenge=params["code_challenge"],
                code_challenge_method=params["code_challenge_method"],
                nonce=params.get("nonce"),
                offline=dialect.is_offline(params, scopes, request.consent_shown),
                issued_at=store.clock(),
                expires_at=store.clock() + store.lifetimes.code,
            )
        )

    def query_authorization_code(self, code: str, client: Any) -> Code:
        """Return the code with the scopes that this request is answered with; raise ``Refusal`` if it is spent."""
        store, payload = self.server.store, self.request.payload
        found = store.code(code)
        if found is None or found.client_id != client.client_id:
            raise Refusal(Reason.CODE_UNKNOWN)
        if store.is_used(found):
            raise Refusal(Reason.CODE_USED)
        if found.expires_at <= store.clock():
            raise Refusal(Reason.CODE_EXPIRED)
        if store.grant_has_ended(found.grant_id):
            raise Refusal(Reason.REVOKED)
        if payload.redirect_uri != found.redirect_uri:
            details = {"redirect": payload.redirect_uri or "", "original": found.redirect_uri}
            raise Refusal(Reason.REDIRECT_DIFFERS, **details)
        return replace(
            found, answer_scopes=self.server.dialect.answer_scopes(payload.scope or "", found.scopes)
        )

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """Spend the code; the tokens of its one use stay valid when it is tried again."""
        self.server.store.use_code(authorization_code.value)

    def authenticate_user(self, authorization_code: Code) -> User | None:
        """Return the person who consented."""
        return self.server.store.user(authorization_code.user)

    def generate_token(self, *args: Any, **kwargs: Any) -> Token:
        """Include a refresh token only if the authorization was for offline access."""
        code = cast(Code, self.request.authorization_code)
        return super().generate_token(*args, **kwargs | {"include_refresh_token": code.offline})


class RefreshGrant(_ClientCheck, grants.RefreshTokenGrant):
    """The refresh grant over our store; the client's temperament says what becomes of the tokens."""

    def validate_token_request(self) -> None:
        """Check client, token and scope; raise ``Refusal``."""
        client = self.authenticate_token_endpoint_client()
        value = self.request.form.get("refresh_token")
        if value is None:
            raise InvalidRequestError("Missing 'refresh_token' in request.")
        token = self._usable(value, client)
        self.request.client = client
        self.request.refresh_token = token
        self._answer_scopes = self.server.dialect.answer_scopes(self.request.payload.scope or "", token.scopes)

    def _usable(self, value: str, client: Client) -> RefreshToken:
        store = self.server.store
        token = store.refresh_token(value)
        if token is None or token.client_id != client.client_id:
            raise Refusal(Reason.REFRESH_UNKNOWN)
        if store.has_ended(token):
            raise Refusal(Reason.REVOKED)
        if token.expires_at <= store.clock():
            raise Refusal(Reason.REFRESH_EXPIRED)
        return token

    def issue_token(self, user: User, refresh_token: Any) -> Token:
        """Issue an access token, and a refresh token if the temperament rotates."""
        temperament = cast(Client, self.request.client).temperament
        return self.generate_token(
            user=user, scope=" ".join(self._answer_scopes), include_refresh_token=temperament.rotates
        )

    def authenticate_user(self, refresh_token: RefreshToken) -> User | None:
        """Return the person whose token it is."""
        return self.server.store.user(refresh_token.user)

    def revoke_old_credential(self, refresh_token: Any) -> None:
        """End the token that was presented, if the temperament is of that kind."""
        temperament = cast(Client, self.request.client).temperament
        if temperament.rotates and not temperament.old_stays_valid:
            self.server.store.end_refresh_token(refresh_token)


class RequiredChallenge(CodeChallenge):
    """PKCE with S256, required at authorization and verified at the token endpoint (RFC 7636)."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]  # noqa: RUF012  # Authlib's attribute, a list

    def validate_code_challenge(self, grant: CodeGrant, redirect_uri: str) -> None:
        """Authlib requires a challenge of public clients only; here everybody must send one."""
        params = grant.request.payload.data
        if not params.get("code_challenge") or params.get("code_challenge_method") != "S256":
            raise Refusal(Reason.CHALLENGE_MISSING)
        super().validate_code_challenge(grant, redirect_uri)

    def validate_code_verifier(self, grant: CodeGrant, result: object) -> None:
        """Verify, and say in our terms why not."""
        try:
            super().validate_code_verifier(grant, result)
        except (InvalidGrantError, InvalidRequestError) as error:
            given = grant.request.form.get("code_verifier")
            raise Refusal(Reason.VERIFIER_WRONG if given else Reason.VERIFIER_MISSING) from error


class IdentityToken(OpenIDCode):
    """Adds an ID token, signed with RS256, to each answer whose grant includes ``openid``."""

    def __init__(self, dialect: Dialect, key: RSAKey) -> None:
        super().__init__()
        self._dialect = dialect
        self._key = key

    def exists_nonce(self, nonce: str, request: OAuth2Request) -> bool:
        """A nonce protects the client; the provider does not collect them."""
        return False

    def resolve_client_private_key(self, client: Client) -> RSAKey:
        """Return the one signing key."""
        return self._key

    def get_client_algorithm(self, client: Client) -> str:
        """Return RS256."""
        return "RS256"

    def get_encode_header(self, client: Client) -> dict[str, str]:
        """Name the key, so that a verifier finds it in the JWKS."""
        return {"alg": "RS256", "typ": "JWT", "kid": str(self._key.kid)}

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        """Name the client as the audience; the other claims come with the person."""
        return {"aud": client.client_id}

    def generate_user_info(self, user: User, scope: str) -> UserInfo:
        """Return the dialect's claims about the person, and its issuer."""
        return UserInfo(self._dialect.claims(user, tuple(scope.split())))

    def process_token(self, grant: grants.BaseGrant, response: Any) -> Token:
        """Sign and add the ID token. What counts is the grant's scope: an answer's may lack ``openid``."""
        token: Token = response[1]
        parent = cast(ProviderRequest, grant.request).parent
        if "openid" in parent.scopes:
            granted = token | {"scope": " ".join(parent.scopes)}
            token["id_token"] = self.encode_id_token(granted, grant.request)
        return token
