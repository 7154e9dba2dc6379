"""Grants that need no person: an application's own (Microsoft), and a service account's (Google)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from authlib.oauth2.rfc6749 import grants

from sandbox.provider.grants import ClientCheck
from sandbox.provider.models import Client, Grant
from sandbox.provider.refusals import Reason, Refusal, assertion_of

if TYPE_CHECKING:
    from sandbox.provider.google import Google
    from sandbox.provider.microsoft import Microsoft
    from sandbox.provider.oauth import OAuthServer
    from sandbox.provider.requests import ProviderRequest


class AppGrant(ClientCheck, grants.ClientCredentialsGrant):
    """The client credentials grant (RFC 6749 section 4.4), as Microsoft has it."""

    def validate_token_request(self) -> None:
        """Check client, tenant and scope; raise ``Refusal``."""
        dialect = cast("Microsoft", self.server.dialect)
        scopes = dialect.app_scopes(self.request.payload.scope or "", self.request.tenant)
        client = self.authenticate_token_endpoint_client()
        self.request.client = client
        self.request.own_grant = _own_grant(client, "", scopes, self.server)

    def create_token_response(self) -> Any:
        """Issue an access token; the answer names no scope."""
        return _issue(self)


class ServiceAccountGrant(grants.BaseGrant, grants.TokenEndpointMixin):
    """The JWT bearer grant (RFC 7523 section 2.1), as Google has it for service accounts."""

    GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    request: ProviderRequest
    server: OAuthServer

    def validate_token_request(self) -> None:
        """Check signature and delegation; raise ``Refusal``."""
        dialect, store = cast("Google", self.server.dialect), self.server.store
        assertion = assertion_of(self.request.form.get("assertion", ""))
        account = store.service_account(assertion.claim("iss"))
        client = store.client(account.client_id) if account else None
        if account is None or client is None:
            raise Refusal(Reason.ASSERTION_CLIENT)
        dialect.check_account(account, assertion, store.clock())
        scopes = dialect.scopes(assertion.claim("scope"))
        subject = assertion.claim("sub")
        user = dialect.check_delegation(account, subject, scopes).address if subject else account.email
        self.request.client = client
        self.request.own_grant = _own_grant(client, user, scopes, self.server)

    def create_token_response(self) -> Any:
        """Issue an access token; the answer names no scope."""
        return _issue(self)


def _own_grant(client: Client, user: str, scopes: tuple[str, ...], server: OAuthServer) -> Grant:
    return Grant(f"own-{client.client_id}-{user}", client.client_id, user, scopes, server.store.clock())


def _issue(grant: AppGrant | ServiceAccountGrant) -> Any:
    scope = " ".join(grant.request.parent.scopes)
    token = grant.generate_token(scope=scope, include_refresh_token=False)
    grant.server.save_token(token, grant.request)
    return 200, {name: value for name, value in token.items() if name != "scope"}, grant.TOKEN_RESPONSE_HEADER
