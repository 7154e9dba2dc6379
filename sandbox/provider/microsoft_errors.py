"""The errors of Microsoft's token service that the sandbox gives, with the real numbers."""

from __future__ import annotations

from sandbox.provider.refusals import Reason

# Reason -> (status, OAuth error, AADSTS number, sentence).
ERRORS: dict[Reason, tuple[int, str, int, str]] = {
    Reason.CLIENT_UNKNOWN: (
        400,
        "unauthorized_client",
        700016,
        "Application with identifier '{client_id}' was not found in the directory '{tenant}'.",
    ),
    Reason.SECRET_MISSING: (
        401,
        "invalid_client",
        7000218,
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    ),
    Reason.SECRET_WRONG: (
        401,
        "invalid_client",
        7000215,
        (
            "Invalid client secret provided. Ensure the secret being sent in the request is the "
            "client secret value, not the client secret ID, for a secret added to app '{client_id}'."
        ),
    ),
    Reason.TENANT_UNKNOWN: (400, "invalid_request", 90002, "Tenant '{tenant}' not found."),
    Reason.SINGLE_TENANT: (
        400,
        "invalid_request",
        50194,
        (
            "Application '{client_id}' is not configured as a multi-tenant application. Usage of the "
            "/{tenant} endpoint is not supported for such apps."
        ),
    ),
    Reason.REDIRECT_UNREGISTERED: (
        400,
        "invalid_request",
        50011,
        (
            "The redirect URI '{redirect}' specified in the request does not match the redirect URIs "
            "configured for the application '{client_id}'."
        ),
    ),
    # The real service answers invalid_client here, though the client is known.
    Reason.REDIRECT_DIFFERS: (
        400,
        "invalid_client",
        500112,
        (
            "The reply address '{redirect}' does not match the reply address '{original}' provided "
            "when requesting Authorization code."
        ),
    ),
    Reason.CHALLENGE_MISSING: (
        400,
        "invalid_request",
        9002325,
        "Proof Key for Code Exchange (S256) is required for authorization code redemption.",
    ),
    Reason.VERIFIER_MISSING: (400, "invalid_grant", 501481, "The Code_Verifier is missing."),
    Reason.VERIFIER_WRONG: (
        400,
        "invalid_grant",
        501481,
        "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
    ),
    Reason.CODE_UNKNOWN: (
        400,
        "invalid_grant",
        70000,
        "The provided value for the 'code' parameter is not valid.",
    ),
    Reason.CODE_USED: (
        400,
        "invalid_grant",
        54005,
        (
            "OAuth2 Authorization code was already redeemed, please retry with a new valid code or "
            "use an existing refresh token."
        ),
    ),
    Reason.CODE_EXPIRED: (
        400,
        "invalid_grant",
        70008,
        (
            "The provided authorization code or refresh token has expired due to inactivity. Send a "
            "new interactive authorization request for this user and resource."
        ),
    ),
    Reason.REFRESH_UNKNOWN: (
        400,
        "invalid_grant",
        70000,
        "The provided value for the 'refresh_token' parameter is not valid.",
    ),
    Reason.REFRESH_EXPIRED: (
        400,
        "invalid_grant",
        700082,
        "The refresh token has expired due to inactivity.",
    ),
    Reason.REVOKED: (
        400,
        "invalid_grant",
        50173,
        (
            "The provided grant has expired due to it being revoked, a fresh auth token is needed. "
            "The user might have changed or reset their password."
        ),
    ),
    Reason.SCOPE_UNKNOWN: (
        400,
        "invalid_scope",
        70011,
        "The input parameter 'scope' is not valid. The scope '{scope}' does not exist.",
    ),
    Reason.SCOPE_MIXED: (
        400,
        "invalid_scope",
        28000,
        (
            "Provided value for the input parameter scope is not valid because it contains more than "
            "one resource. Scope {scope} is not valid."
        ),
    ),
    Reason.SCOPE_NOT_CONSENTED: (
        400,
        "invalid_grant",
        65001,
        (
            "The user or administrator has not consented to use the application for the scope "
            "'{scope}'. Send an interactive authorization request for this user and resource."
        ),
    ),
    Reason.PARAMETER: (400, "invalid_request", 900144, "The request is not valid: {detail}"),
    Reason.GRANT_TYPE: (
        400,
        "unsupported_grant_type",
        70003,
        "The app requested an unsupported grant type: {detail}",
    ),
    Reason.RESPONSE_TYPE: (
        400,
        "unsupported_response_type",
        700054,
        "The response type is not enabled: {detail}",
    ),
    Reason.DENIED: (
        400,
        "access_denied",
        65004,
        (
            "User declined to consent to access the app. The user has denied access to the scope "
            "requested by the client application."
        ),
    ),
    Reason.LOGIN_REQUIRED: (
        400,
        "login_required",
        50058,
        "A silent sign-in request was sent but no user is signed in.",
    ),
    Reason.CONSENT_REQUIRED: (
        400,
        "consent_required",
        65001,
        "The user has not consented to use the application.",
    ),
    Reason.USER_UNKNOWN: (
        400,
        "invalid_request",
        50034,
        "We couldn't find an account with the username {user}.",
    ),
    Reason.USER_ELSEWHERE: (
        400,
        "invalid_request",
        50020,
        "User account '{user}' does not exist in tenant '{tenant}' and cannot access the application in it.",
    ),
    Reason.ASSERTION_MALFORMED: (
        401,
        "invalid_client",
        50027,
        "JWT token is invalid or malformed. {detail}",
    ),
    Reason.ASSERTION_CLIENT: (
        401,
        "invalid_client",
        700021,
        "Client assertion application identifier doesn't match 'client_id' parameter.",
    ),
    Reason.ASSERTION_AUDIENCE: (
        401,
        "invalid_client",
        700023,
        "Client assertion audience claim does not match Realm issuer.",
    ),
    Reason.ASSERTION_KEY: (
        401,
        "invalid_client",
        700027,
        (
            "The certificate with identifier used to sign the client assertion is not registered on "
            "application. [Reason - {detail}, Thumbprint of key used by client: '{thumbprint}']"
        ),
    ),
    Reason.ASSERTION_SIGNATURE: (
        401,
        "invalid_client",
        700027,
        "Client assertion failed signature validation. [Reason - The signature is not the key's]",
    ),
    Reason.ASSERTION_TIME: (
        401,
        "invalid_client",
        700024,
        "Client assertion is not within its valid time range.",
    ),
    Reason.FEDERATION_NONE: (
        400,
        "invalid_request",
        70021,
        (
            "No matching federated identity record found for presented assertion. Assertion Issuer: "
            "'{issuer}'. Assertion Subject: '{subject}'. Assertion Audience: '{audience}'."
        ),
    ),
    Reason.FEDERATION_ISSUER: (
        401,
        "invalid_client",
        700211,
        "No matching federated identity record found for presented assertion issuer '{issuer}'.",
    ),
    Reason.FEDERATION_SUBJECT: (
        401,
        "invalid_client",
        700213,
        "No matching federated identity record found for presented assertion subject '{subject}'.",
    ),
    Reason.FEDERATION_AUDIENCE: (
        401,
        "invalid_client",
        700212,
        "No matching federated identity record found for presented assertion audience '{audience}'.",
    ),
    Reason.FEDERATION_SIGNATURE: (
        401,
        "invalid_client",
        50013,
        "Assertion failed signature validation. [Reason - The provided signature value did not match]",
    ),
    Reason.CROSS_CLOUD: (
        400,
        "invalid_request",
        900432,
        "Confidential Client is not supported in Cross Cloud request.",
    ),
    Reason.NO_TENANT: (
        400,
        "invalid_request",
        50059,
        (
            "No tenant-identifying information found in either the request or implied by any provided "
            "credentials."
        ),
    ),
    Reason.APP_SCOPE: (
        400,
        "invalid_scope",
        1002012,
        (
            "The provided value for scope {scope} is not valid. Client credential flows must have a scope "
            "value with /.default suffixed to the resource identifier (application ID URI)."
        ),
    ),
    Reason.RESOURCE_UNKNOWN: (
        400,
        "invalid_resource",
        500011,
        "The resource principal named {resource} was not found in the tenant named {tenant}.",
    ),
}

# For faults that name a number: AADSTS number -> (status, OAuth error, sentence).
NAMED: dict[int, tuple[int, str, str]] = {
    50196: (
        400,
        "invalid_grant",
        "The server terminated an operation because it encountered a loop while processing a request.",
    ),
    50076: (
        400,
        "interaction_required",
        (
            "Due to a configuration change made by your administrator, or because you moved to a new "
            "location, you must use multi-factor authentication to access the resource."
        ),
    ),
    53003: (400, "interaction_required", "Access has been blocked by Conditional Access policies."),
    50053: (400, "invalid_grant", "The account is locked."),
    50057: (400, "invalid_grant", "The user account is disabled."),
    70043: (
        400,
        "invalid_grant",
        "The refresh token has expired or is invalid due to sign-in frequency checks.",
    ),
    7000222: (401, "invalid_client", "The provided client secret keys for the app are expired."),
    90033: (503, "temporarily_unavailable", "A transient error has occurred. Please try again."),
    90055: (429, "temporarily_unavailable", "The request was throttled because of too many requests."),
}
