"""Any other provider: OpenID Connect Core, RFC 6749, RFC 7009 and RFC 9207, and nothing besides."""

# ruff: noqa: ARG002 - an interface's arguments are not needed by every implementation
from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from sandbox.provider.dialect import IDENTITY_SCOPES, Dialect, ErrorAnswer, Json, random_text
from sandbox.provider.refusals import Reason, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sandbox.provider.assertions import Assertion
    from sandbox.provider.models import AccessToken, Client, Grant, User

PATH = "/openid"
SMTP, IMAP, POP = "mail:smtp", "mail:imap", "mail:pop"

# Reason -> (status, OAuth error, description).
_ERRORS: dict[Reason, tuple[int, str, str]] = {
    Reason.CLIENT_UNKNOWN: (401, "invalid_client", "The client is not known."),
    Reason.SECRET_MISSING: (401, "invalid_client", "The client did not authenticate."),
    Reason.SECRET_WRONG: (401, "invalid_client", "The client could not be authenticated."),
    Reason.ASSERTION_MALFORMED: (401, "invalid_client", "The client assertion is no JWT."),
    Reason.ASSERTION_CLIENT: (401, "invalid_client", "The client assertion is of another client."),
    Reason.ASSERTION_AUDIENCE: (401, "invalid_client", "The client assertion is for somebody else."),
    Reason.ASSERTION_SIGNATURE: (401, "invalid_client", "The client assertion's signature is wrong."),
    Reason.ASSERTION_TIME: (401, "invalid_client", "The client assertion has ended."),
    Reason.REDIRECT_UNREGISTERED: (400, "invalid_request", "The redirect URI {redirect} is not registered."),
    Reason.REDIRECT_DIFFERS: (400, "invalid_grant", "The redirect URI is another one."),
    Reason.CHALLENGE_MISSING: (400, "invalid_request", "PKCE with S256 is required."),
    Reason.VERIFIER_MISSING: (400, "invalid_grant", "The code verifier is missing."),
    Reason.VERIFIER_WRONG: (400, "invalid_grant", "The code verifier is wrong."),
    Reason.CODE_UNKNOWN: (400, "invalid_grant", "The code is not known."),
    Reason.CODE_USED: (400, "invalid_grant", "The code was used before."),
    Reason.CODE_EXPIRED: (400, "invalid_grant", "The code has expired."),
    Reason.REFRESH_UNKNOWN: (400, "invalid_grant", "The refresh token is not known."),
    Reason.REFRESH_EXPIRED: (400, "invalid_grant", "The refresh token has expired."),
    Reason.REVOKED: (400, "invalid_grant", "The grant was revoked."),
    Reason.SCOPE_UNKNOWN: (400, "invalid_scope", "The scope {scope} does not exist."),
    Reason.SCOPE_NOT_CONSENTED: (400, "invalid_scope", "The scope {scope} was not granted."),
    Reason.PARAMETER: (400, "invalid_request", "{detail}"),
    Reason.GRANT_TYPE: (400, "unsupported_grant_type", "There is no grant type {detail}"),
    Reason.RESPONSE_TYPE: (400, "unsupported_response_type", "There is no response type {detail}"),
    Reason.DENIED: (400, "access_denied", "The person refused."),
    Reason.LOGIN_REQUIRED: (400, "login_required", "Nobody is signed in."),
    Reason.CONSENT_REQUIRED: (400, "consent_required", "The person was not asked."),
    Reason.USER_UNKNOWN: (400, "invalid_request", "There is no mailbox {user}."),
}


class OpenId(Dialect):
    """Plays a provider that follows the standards: tokens are opaque, refresh tokens rotate."""

    name = "openid"
    title = "Example Mail"
    auth_methods = ("private_key_jwt", "client_secret_post", "client_secret_basic", "none")
    redirects_errors = True
    revokes_unknown = True
    scope_texts: ClassVar[Mapping[str, str]] = {
        "openid": "Know who you are",
        "email": "See your address",
        "profile": "See your name",
        "offline_access": "Do this when you are not there",
        SMTP: "Send mail as this mailbox",
        IMAP: "Read and change the mail of this mailbox by IMAP",
        POP: "Read the mail of this mailbox by POP3",
    }

    def __init__(self, base_url: str, users: Callable[[], Iterable[User]]) -> None:
        super().__init__(base_url + PATH, users)

    def explain(self, reason: Reason, details: Mapping[str, str], correlation_id: str) -> ErrorAnswer:
        """Answer with the two fields of RFC 6749, section 5.2."""
        status, error, text = _ERRORS[reason]
        return _answer(status, error, re.sub(r"\{(\w+)\}", lambda match: details.get(match[1], "?"), text))

    def named_error(self, name: str, correlation_id: str) -> ErrorAnswer:
        """Take an OAuth error name."""
        statuses = {"invalid_client": 401, "server_error": 500, "temporarily_unavailable": 503}
        return _answer(statuses.get(name, 400), name, "This error was ordered by a test.")

    def check_assertion(self, client: Client, assertion: Assertion, endpoint: str, now: float) -> None:
        """RFC 7523, section 3; the audience may be the endpoint or the issuer."""
        if not client.client_id == assertion.claim("iss") == assertion.claim("sub"):
            raise Refusal(Reason.ASSERTION_CLIENT)
        if assertion.claim("aud") not in (endpoint, f"{self.base_url}/token", self.base_url):
            raise Refusal(Reason.ASSERTION_AUDIENCE)
        if not any(assertion.is_signed_by(key, ("RS256", "PS256", "ES256")) for key in client.keys):
            raise Refusal(Reason.ASSERTION_SIGNATURE)
        if not assertion.is_timely(now):
            raise Refusal(Reason.ASSERTION_TIME)

    def check_tenant(self, client: Client, tenant: str) -> None:
        """There are no tenants."""

    def check_user(self, user: User, tenant: str, client: Client) -> None:
        """Whoever has a mailbox here may sign in."""
        if user.provider not in (None, self.name):
            raise Refusal(Reason.USER_UNKNOWN, user=user.address)

    def scopes(self, text: str) -> tuple[str, ...]:
        """Those that have a text."""
        scopes = tuple(dict.fromkeys(text.split()))
        for scope in scopes:
            if scope not in self.scope_texts:
                raise Refusal(Reason.SCOPE_UNKNOWN, scope=scope)
        return scopes

    def answer_scopes(self, requested: str, granted: tuple[str, ...]) -> tuple[str, ...]:
        """A refresh may ask for less than was granted, not for more."""
        wanted = self.scopes(requested)
        for scope in wanted:
            if scope not in granted:
                raise Refusal(Reason.SCOPE_NOT_CONSENTED, scope=scope)
        return wanted or granted

    def audience(self, scopes: tuple[str, ...], client: Client) -> str:
        """One server takes all tokens."""
        return self.base_url

    def is_offline(self, params: Mapping[str, str], scopes: tuple[str, ...], *, consent_shown: bool) -> bool:
        """A refresh token comes with ``offline_access``, and with each scope of mail."""
        return "offline_access" in scopes or any(scope not in IDENTITY_SCOPES for scope in scopes)

    def all_scopes(
        self, params: Mapping[str, str], scopes: tuple[str, ...], known: Grant | None
    ) -> tuple[str, ...]:
        """Each consent is for itself."""
        return scopes

    def is_optional(self, scope: str) -> bool:
        """Consent is to all or nothing."""
        return False

    def claims(self, user: User, scopes: tuple[str, ...]) -> Json:
        """The claims of OpenID Connect Core, section 5.4."""
        return {"iss": self.base_url, **self.userinfo(user, scopes)}

    def userinfo(self, user: User, scopes: tuple[str, ...]) -> Json:
        """Return the claims about the person that these scopes allow."""
        claims: Json = {"sub": user.subject}
        if "email" in scopes:
            claims |= {"email": user.address, "email_verified": True}
        if "profile" in scopes:
            claims["name"] = user.name
        return claims

    def answer_extras(self, user: User | None, params: Mapping[str, str], expires_in: int) -> Json:
        """Nothing is added."""
        return {}

    def callback_extras(self, scopes: tuple[str, ...]) -> list[tuple[str, str]]:
        """The issuer (RFC 9207)."""
        return [("iss", self.base_url)]

    def metadata(self, tenant: str) -> Json:
        """OpenID Connect Discovery, section 3."""
        return {
            "issuer": self.base_url,
            "authorization_endpoint": f"{self.base_url}/authorize",
            "token_endpoint": f"{self.base_url}/token",
            "revocation_endpoint": f"{self.base_url}/revoke",
            "userinfo_endpoint": f"{self.base_url}/userinfo",
            "jwks_uri": f"{self.base_url}/jwks",
            "token_endpoint_auth_methods_supported": list(self.auth_methods),
            "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256", "ES256"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "authorization_response_iss_parameter_supported": True,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": list(self.scope_texts),
        }

    def new_code(self) -> str:
        """Some 40 characters."""
        return random_text(40)

    def new_access_token(self, token: AccessToken) -> str:
        """Some 60 characters."""
        return "at." + random_text(60)

    def new_refresh_token(self) -> str:
        """Some 60 characters."""
        return "rt." + random_text(60)


def _answer(status: int, error: str, description: str) -> ErrorAnswer:
    body: Json = {"error": error, "error_description": description}
    return ErrorAnswer(status, error, description, body)
