"""Why the provider refuses a request, before a dialect finds the words for it."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from authlib.oauth2.rfc6749 import OAuth2Error

from sandbox.provider.assertions import Assertion

if TYPE_CHECKING:
    from collections.abc import Mapping


class Reason(enum.Enum):
    """One member per reason; each dialect's table has a row for each that it can have."""

    CLIENT_UNKNOWN = enum.auto()
    SECRET_MISSING = enum.auto()
    SECRET_WRONG = enum.auto()
    TENANT_UNKNOWN = enum.auto()
    SINGLE_TENANT = enum.auto()
    REDIRECT_UNREGISTERED = enum.auto()
    REDIRECT_DIFFERS = enum.auto()
    CHALLENGE_MISSING = enum.auto()
    VERIFIER_MISSING = enum.auto()
    VERIFIER_WRONG = enum.auto()
    CODE_UNKNOWN = enum.auto()
    CODE_USED = enum.auto()
    CODE_EXPIRED = enum.auto()
    REFRESH_UNKNOWN = enum.auto()
    REFRESH_EXPIRED = enum.auto()
    REVOKED = enum.auto()
    SCOPE_UNKNOWN = enum.auto()
    SCOPE_MIXED = enum.auto()
    SCOPE_NOT_CONSENTED = enum.auto()
    PARAMETER = enum.auto()
    GRANT_TYPE = enum.auto()
    RESPONSE_TYPE = enum.auto()
    DENIED = enum.auto()
    LOGIN_REQUIRED = enum.auto()
    CONSENT_REQUIRED = enum.auto()
    USER_UNKNOWN = enum.auto()
    USER_ELSEWHERE = enum.auto()
    ASSERTION_MALFORMED = enum.auto()
    ASSERTION_CLIENT = enum.auto()
    ASSERTION_AUDIENCE = enum.auto()
    ASSERTION_KEY = enum.auto()
    ASSERTION_SIGNATURE = enum.auto()
    ASSERTION_TIME = enum.auto()
    FEDERATION_NONE = enum.auto()
    FEDERATION_ISSUER = enum.auto()
    FEDERATION_SUBJECT = enum.auto()
    FEDERATION_AUDIENCE = enum.auto()
    FEDERATION_SIGNATURE = enum.auto()
    CROSS_CLOUD = enum.auto()
    NO_TENANT = enum.auto()
    APP_SCOPE = enum.auto()
    RESOURCE_UNKNOWN = enum.auto()
    NOT_DELEGATED = enum.auto()
    SUBJECT_UNKNOWN = enum.auto()


# What Authlib raises by itself, by its OAuth error name.
_AUTHLIB_REASONS = {
    "access_denied": Reason.DENIED,
    "invalid_client": Reason.CLIENT_UNKNOWN,
    "login_required": Reason.LOGIN_REQUIRED,
    "unsupported_grant_type": Reason.GRANT_TYPE,
    "unsupported_response_type": Reason.RESPONSE_TYPE,
}


class Refusal(OAuth2Error):
    """A refusal with its reason; ``details`` fill the placeholders of the dialect's sentence."""

    def __init__(self, reason: Reason, *, redirect_uri: str | None = None, **details: str) -> None:
        super().__init__(redirect_uri=redirect_uri, error=reason.name.lower())
        self.reason = reason
        self.details: Mapping[str, str] = details


def reason_of(error: OAuth2Error) -> tuple[Reason, Mapping[str, str]]:
    """Return the reason and the details of one of our refusals, or of an error that Authlib raised."""
    if isinstance(error, Refusal):
        return error.reason, error.details
    reason = _AUTHLIB_REASONS.get(str(error.error), Reason.PARAMETER)
    return reason, {"detail": str(error.get_error_description() or error.error)}


def assertion_of(text: str) -> Assertion:
    """Return an assertion; raise ``Refusal`` for what is none."""
    try:
        return Assertion.read(text)
    except ValueError as error:
        raise Refusal(Reason.ASSERTION_MALFORMED, detail="") from error
