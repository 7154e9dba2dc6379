"""Authlib's grants over our memory: where codes and tokens are kept, and why one of them is refused.

Authlib runs the protocol: RFC 6749 sections 4.1 and 6, RFC 7636, OpenID Connect Core section 3.1.
"""

# ruff: noqa: ARG002 - Authlib's methods have untyped arguments, and some that are not needed here
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode

from sandbox.provider.models import Client, Code, RefreshToken, User
from sandbox.provider.refusals import Reason, Refusal

if TYPE_CHECKING:
    from authlib.oauth2 import OAuth2Request
    from joserfc.jwk import RSAKey

    from sandbox.provider.dialect import Dialect
    from sandbox.provider.oauth import OAuthServer
    from sandbox.provider.requests import ProviderRequest

Token = dict[str, Any]


class ClientCheck(grants.BaseGrant):
    """Authenticates the client at the token endpoint, and says in our terms why it fails."""

    request: ProviderRequest
    server: OAuthServer

    def authenticate_token_endpoint_client(self) -> Client:
        """Return the client that the request authenticates; raise ``Refusal``."""
        client = self.server.authenticated(self.request)
        self.server.dialect.check_tenant(client, self.request.tenant)
        return client


class CodeGrant(ClientCheck, grants.AuthorizationCodeGrant):
    """The authorization code grant over our store."""

    @staticmethod
    def validate_authorization_redirect_uri(request: OAuth2Request, client: Any) -> str:
        """Insist on a redirect URI that is registered character by character."""
        redirect_uri = cast("ProviderRequest", request).payload.redirect_uri or ""
        if not client.check_redirect_uri(redirect_uri):
            details = {"redirect": redirect_uri, "client_id": client.client_id}
            raise Refusal(Reason.REDIRECT_UNREGISTERED, **details)
        return redirect_uri

    def validate_authorization_request(self) -> str:
        """Check the tenant of the path too."""
        redirect_uri = super().validate_authorization_request()
        self.server.dialect.check_tenant(cast("Client", self.request.client), self.request.tenant)
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
        request = cast("ProviderRequest", request)
        store, dialect = self.server.store, self.server.dialect
        params = request.payload.data
        client, user = cast("Client", request.client), cast("User", request.user)
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
                code_challenge=params.get("code_challenge", "") if client.pkce else "",
                code_challenge_method=params.get("code_challenge_method", ""),
                nonce=params.get("nonce"),
                offline=dialect.is_offline(params, scopes, consent_shown=request.consent_shown),
                issued_at=store.clock(),
                expires_at=store.clock() + store.lifetimes.code,
            )
        )

    def query_authorization_code(self, code: str, client: Any) -> Code:
        """Return the code with the scopes of the answer; raise ``Refusal`` if it is of no use."""
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
        code = cast("Code", self.request.authorization_code)
        return super().generate_token(*args, **kwargs | {"include_refresh_token": code.offline})


class RefreshGrant(ClientCheck, grants.RefreshTokenGrant):
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
        self._answer_scopes = self.server.dialect.answer_scopes(
            self.request.payload.scope or "", token.scopes
        )

    def _usable(self, value: str, client: Client) -> RefreshToken:
        store = self.server.store
        token = store.refresh_token(value)
        if token is None or token.client_id != client.client_id:
            raise Refusal(Reason.REFRESH_UNKNOWN)
        if store.has_ended(token):
            if not client.temperament.old_stays_valid:
                store.end_grant(token.grant_id)  # used twice, so perhaps stolen: the whole family ends
            raise Refusal(Reason.REVOKED)
        if token.expires_at <= store.clock():
            raise Refusal(Reason.REFRESH_EXPIRED)
        return token

    def issue_token(self, user: User, refresh_token: Any) -> Token:
        """Issue an access token, and a refresh token if the temperament rotates."""
        temperament = cast("Client", self.request.client).temperament
        return self.generate_token(
            user=user, scope=" ".join(self._answer_scopes), include_refresh_token=temperament.rotates
        )

    def authenticate_user(self, refresh_token: RefreshToken) -> User | None:
        """Return the person whose token it is."""
        return self.server.store.user(refresh_token.user)

    def revoke_old_credential(self, refresh_token: Any) -> None:
        """End the token that was presented, if the temperament is of that kind."""
        temperament = cast("Client", self.request.client).temperament
        if temperament.rotates and not temperament.old_stays_valid:
            self.server.store.end_refresh_token(refresh_token)


class RequiredChallenge(CodeChallenge):
    """PKCE with S256, required at authorization and verified at the token endpoint (RFC 7636)."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]  # noqa: RUF012  # Authlib's attribute, a list

    def validate_code_challenge(self, grant: CodeGrant, redirect_uri: str) -> None:
        """Authlib requires a challenge of public clients only; here all must who are registered for PKCE."""
        params = grant.request.payload.data
        if not cast("Client", grant.request.client).pkce:
            return
        if not params.get("code_challenge") or params.get("code_challenge_method") != "S256":
            raise Refusal(Reason.CHALLENGE_MISSING)
        super().validate_code_challenge(grant, redirect_uri)

    def validate_code_verifier(self, grant: CodeGrant, result: object) -> None:
        """Verify, and say in our terms why not."""
        if not cast("Client", grant.request.client).pkce:
            return
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
        parent = cast("ProviderRequest", grant.request).parent
        if "openid" in parent.scopes:
            granted = token | {"scope": " ".join(parent.scopes)}
            token["id_token"] = self.encode_id_token(granted, grant.request)
        return token
