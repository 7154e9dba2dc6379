"""Google's identity provider; see https://developers.google.com/identity/protocols/oauth2/web-server."""

# ruff: noqa: ARG002 - an interface's arguments are not needed by every implementation
from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from sandbox.provider.dialect import Dialect, ErrorAnswer, Json, random_text
from sandbox.provider.refusals import Reason, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.assertions import Assertion
    from sandbox.provider.models import AccessToken, Client, Grant, ServiceAccount, User

ASSERTION_AUDIENCE = "https://oauth2.googleapis.com/token"
"""What google-auth writes into each assertion, whatever the endpoint."""
HOUR = 3600
MAIL_SCOPE = "https://mail.google.com/"
TESTING_SECONDS = 7 * 86_400
_API = "https://www.googleapis.com/auth"
# The short names are answered in their long form.
_LONG_NAMES = {"email": f"{_API}/userinfo.email", "profile": f"{_API}/userinfo.profile"}
_IDENTITY = frozenset({"openid", *_LONG_NAMES.values()})

# Reason -> (status, OAuth error, description).
_ERRORS: dict[Reason, tuple[int, str, str]] = {
    Reason.CLIENT_UNKNOWN: (401, "invalid_client", "The OAuth client was not found."),
    Reason.SECRET_MISSING: (400, "invalid_request", "client_secret is missing."),
    Reason.SECRET_WRONG: (401, "invalid_client", "Unauthorized"),
    Reason.TENANT_UNKNOWN: (400, "invalid_request", "Bad Request"),
    Reason.SINGLE_TENANT: (400, "invalid_request", "Bad Request"),
    Reason.REDIRECT_UNREGISTERED: (
        400,
        "redirect_uri_mismatch",
        "The redirect URI {redirect} is not registered for this client.",
    ),
    Reason.REDIRECT_DIFFERS: (400, "redirect_uri_mismatch", "Bad Request"),
    Reason.CHALLENGE_MISSING: (
        400,
        "invalid_request",
        "Missing required parameter: code_challenge with code_challenge_method S256.",
    ),
    Reason.VERIFIER_MISSING: (400, "invalid_grant", "Missing code verifier."),
    Reason.VERIFIER_WRONG: (400, "invalid_grant", "Invalid code verifier."),
    Reason.CODE_UNKNOWN: (400, "invalid_grant", "Malformed auth code."),
    Reason.CODE_USED: (400, "invalid_grant", "Bad Request"),
    Reason.CODE_EXPIRED: (400, "invalid_grant", "Bad Request"),
    Reason.REFRESH_UNKNOWN: (400, "invalid_grant", "Bad Request"),
    Reason.REFRESH_EXPIRED: (400, "invalid_grant", "Token has been expired or revoked."),
    Reason.REVOKED: (400, "invalid_grant", "Token has been expired or revoked."),
    Reason.SCOPE_UNKNOWN: (400, "invalid_scope", "Some requested scopes were invalid: {scope}"),
    Reason.SCOPE_MIXED: (400, "invalid_scope", "Bad Request"),
    Reason.SCOPE_NOT_CONSENTED: (400, "invalid_scope", "Bad Request"),
    Reason.PARAMETER: (400, "invalid_request", "{detail}"),
    Reason.GRANT_TYPE: (400, "unsupported_grant_type", "Invalid grant_type: {detail}"),
    Reason.RESPONSE_TYPE: (400, "unsupported_response_type", "Invalid response_type: {detail}"),
    Reason.DENIED: (400, "access_denied", "The user did not consent to the scopes requested."),
    Reason.LOGIN_REQUIRED: (400, "interaction_required", "User interaction required."),
    Reason.CONSENT_REQUIRED: (400, "interaction_required", "User interaction required."),
    Reason.USER_UNKNOWN: (400, "invalid_request", "Couldn't find the Google Account {user}."),
    Reason.USER_ELSEWHERE: (
        403,
        "org_internal",
        "This client is restricted to users within its organization.",
    ),
    Reason.ASSERTION_MALFORMED: (400, "invalid_grant", "Invalid JWT: the assertion is malformed."),
    Reason.ASSERTION_CLIENT: (400, "invalid_grant", "Invalid grant: account not found"),
    Reason.ASSERTION_AUDIENCE: (
        400,
        "invalid_grant",
        "Invalid JWT: Failed audience check. The right audience is https://oauth2.googleapis.com/token",
    ),
    Reason.ASSERTION_SIGNATURE: (400, "invalid_grant", "Invalid JWT Signature."),
    Reason.ASSERTION_TIME: (
        400,
        "invalid_grant",
        (
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
            "Check your iat and exp values in the JWT claim."
        ),
    ),
    Reason.NOT_DELEGATED: (
        401,
        "unauthorized_client",
        (
            "Client is unauthorized to retrieve access tokens using this method, or client not authorized "
            "for any of the scopes requested."
        ),
    ),
    Reason.SUBJECT_UNKNOWN: (400, "invalid_grant", "Invalid email or User ID"),
}

_NAMED_STATUS = {
    "invalid_client": 401,
    "deleted_client": 401,
    "rate_limit_exceeded": 429,
    "internal_failure": 500,
    "server_error": 500,
    "temporarily_unavailable": 503,
}


class Google(Dialect):
    """Plays Google: refresh tokens only for offline access, consent scope by scope."""

    name = "google"
    title = "Google"
    auth_methods = ("client_secret_post", "client_secret_basic")
    redirects_errors = False
    scope_texts: ClassVar[Mapping[str, str]] = {
        "openid": "Associate you with your personal info",
        _LONG_NAMES["email"]: "See your primary Google Account email address",
        _LONG_NAMES["profile"]: "See your personal info",
        MAIL_SCOPE: "Read, compose, send, and permanently delete all your email from Gmail",
        f"{_API}/gmail.send": "Send email on your behalf",
    }

    def explain(self, reason: Reason, details: Mapping[str, str], correlation_id: str) -> ErrorAnswer:
        """Answer with Google's two fields."""
        status, error, text = _ERRORS[reason]
        description = re.sub(r"\{(\w+)\}", lambda match: details.get(match[1], "?"), text)
        return _answer(status, error, description)

    def named_error(self, name: str, correlation_id: str) -> ErrorAnswer:
        """Take an OAuth error name; ``invalid_grant`` is the one of a revoked token."""
        if name == "invalid_grant":
            return self.explain(Reason.REVOKED, {}, correlation_id)
        return _answer(_NAMED_STATUS.get(name, 400), name, "This error was ordered by a test.")

    def check_tenant(self, client: Client, tenant: str) -> None:
        """Google's endpoints are the same for everybody."""

    def check_user(self, user: User, tenant: str, client: Client) -> None:
        """A client with a tenant is internal to that Workspace."""
        if user.provider not in (None, self.name):
            raise Refusal(Reason.USER_UNKNOWN, user=user.address)
        if client.tenant is not None and client.tenant != user.tenant:
            raise Refusal(Reason.USER_ELSEWHERE, user=user.address)

    def scopes(self, text: str) -> tuple[str, ...]:
        """``email`` and ``profile`` become URLs."""
        scopes = tuple(dict.fromkeys(_LONG_NAMES.get(scope, scope) for scope in text.split()))
        for scope in scopes:
            if scope not in (*_IDENTITY, MAIL_SCOPE) and not scope.startswith(f"{_API}/"):
                raise Refusal(Reason.SCOPE_UNKNOWN, scope=scope)
        return scopes

    def answer_scopes(self, requested: str, granted: tuple[str, ...]) -> tuple[str, ...]:
        """A refresh may ask for less than was granted, not for more."""
        wanted = self.scopes(requested)
        for scope in wanted:
            if scope not in granted:
                raise Refusal(Reason.SCOPE_NOT_CONSENTED, scope=scope)
        return wanted or granted

    def check_account(self, account: ServiceAccount, assertion: Assertion, now: float) -> None:
        """Raise ``Refusal`` unless the service account has signed the assertion just now."""
        if assertion.claim("aud") not in (ASSERTION_AUDIENCE, f"{self.base_url}/token"):
            raise Refusal(Reason.ASSERTION_AUDIENCE)
        if not assertion.is_signed_by(account.public_key, ("RS256",)):
            raise Refusal(Reason.ASSERTION_SIGNATURE)
        if not assertion.is_timely(now, longest=HOUR):
            raise Refusal(Reason.ASSERTION_TIME)

    def check_delegation(self, account: ServiceAccount, subject: str, scopes: tuple[str, ...]) -> User:
        """Return whom the service account acts for; raise ``Refusal`` where it may not."""
        allowed = account.delegations.get(subject.rpartition("@")[2].lower())
        if allowed is None or not set(scopes) <= set(self.scopes(" ".join(allowed))):
            raise Refusal(Reason.NOT_DELEGATED)
        user = next((user for user in self.people() if user.answers_to(subject)), None)
        if user is None:
            raise Refusal(Reason.SUBJECT_UNKNOWN)
        return user

    def audience(self, scopes: tuple[str, ...], client: Client) -> str:
        """Google's access tokens are made out to the client."""
        return client.client_id

    def is_offline(self, params: Mapping[str, str], scopes: tuple[str, ...], *, consent_shown: bool) -> bool:
        """A refresh token comes with offline access, and only when the person was asked for consent."""
        return params.get("access_type") == "offline" and consent_shown

    def all_scopes(
        self, params: Mapping[str, str], scopes: tuple[str, ...], known: Grant | None
    ) -> tuple[str, ...]:
        """Earlier consents are added when ``include_granted_scopes`` asks for it."""
        earlier = known.scopes if known and params.get("include_granted_scopes") == "true" else ()
        return tuple(dict.fromkeys((*scopes, *earlier)))

    def is_optional(self, scope: str) -> bool:
        """All but the identity scopes may be unticked."""
        return scope not in _IDENTITY

    def claims(self, user: User, scopes: tuple[str, ...]) -> Json:
        """``hd`` names the Workspace domain; personal accounts have none."""
        return {"iss": self.base_url, **self.userinfo(user, scopes)}

    def userinfo(self, user: User, scopes: tuple[str, ...]) -> Json:
        """Return the claims about the person that these scopes allow."""
        claims: Json = {"sub": _numeric(user.subject)}
        if user.tenant:
            claims["hd"] = user.tenant
        if _LONG_NAMES["email"] in scopes:
            claims |= {"email": user.address, "email_verified": True}
        if _LONG_NAMES["profile"] in scopes:
            claims["name"] = user.name
        return claims

    def answer_extras(self, user: User | None, params: Mapping[str, str], expires_in: int) -> Json:
        """Nothing is added."""
        return {}

    def end(self, refresh_token_seconds: int) -> Json:
        """A refresh token of an app in testing ends after 7 days at most, and Google says when."""
        testing = refresh_token_seconds <= TESTING_SECONDS
        return {"refresh_token_expires_in": refresh_token_seconds} if testing else {}

    def callback_extras(self, scopes: tuple[str, ...]) -> list[tuple[str, str]]:
        """The real callback names the issuer (RFC 9207), the scopes and the number of the account."""
        extras = {"iss": self.base_url, "scope": " ".join(scopes), "authuser": "0", "prompt": "consent"}
        return list(extras.items())

    def metadata(self, tenant: str) -> Json:
        """The issuer is the base URL."""
        return {
            "issuer": self.base_url,
            "authorization_endpoint": f"{self.base_url}/o/oauth2/v2/auth",
            "token_endpoint": f"{self.base_url}/token",
            "revocation_endpoint": f"{self.base_url}/revoke",
            "userinfo_endpoint": f"{self.base_url}/v1/userinfo",
            "jwks_uri": f"{self.base_url}/oauth2/v3/certs",
            "token_endpoint_auth_methods_supported": list(self.auth_methods),
            "response_types_supported": ["code"],
            "authorization_response_iss_parameter_supported": True,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid", "email", "profile"],
        }

    def new_code(self) -> str:
        """The slash must survive the callback's query."""
        return "4/0A" + random_text(70)

    def new_access_token(self, token: AccessToken) -> str:
        """Some 220 characters."""
        return "ya29.a0" + random_text(215)

    def new_refresh_token(self) -> str:
        """Some 100 characters."""
        return "1//0" + random_text(99)


def _answer(status: int, error: str, description: str) -> ErrorAnswer:
    body: Json = {"error": error, "error_description": description}
    return ErrorAnswer(status, error, description, body)


def _numeric(subject: str) -> str:
    return "1" + str(int(subject.replace("-", ""), 16))[:20].zfill(20)
