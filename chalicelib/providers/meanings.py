"""What the codes of providers mean: a row from each to a class, a plain sentence and the exact fix. Data.

Microsoft asks applications to react to `error` and says that its AADSTS numbers may change; here they only
refine what `error` says already.
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.diagnosis import DiagnosisClass

HOUR_OF_SECONDS = 3600
RETRY, RECONNECT, ADMIN = DiagnosisClass.RETRY, DiagnosisClass.RECONNECT, DiagnosisClass.ADMIN


@dataclass(frozen=True, slots=True)
class Meaning:
    """One row. `of_connector` says that every account of the connector meets the same refusal."""

    class_: DiagnosisClass
    message: str
    fix: str
    of_connector: bool = False
    retry_after: int | None = None


_SIGN_IN = "Open the connect link again and sign in as this mailbox."
BUSY = Meaning(RETRY, "The provider is busy.", "Nothing to do: it is asked again automatically.")
_REVOKED = Meaning(
    RECONNECT,
    "The sign-in was revoked, has expired or was already used.",
    "Reconnect: sign in as this mailbox.",
)
_INTERACTION = Meaning(
    RECONNECT, "The provider wants this person to sign in again.", "Reconnect the mailbox."
)
_BAD_CLIENT = Meaning(
    ADMIN,
    "The provider does not know this client id, or has disabled it.",
    "Check the connector's client id, tenant and cloud.",
    of_connector=True,
)
_BAD_SECRET = Meaning(
    ADMIN,
    "The client secret is wrong.",
    "Copy the client secret from the provider's console once more, and save it in the connector.",
    of_connector=True,
)
_BAD_ENTRA_SECRET = Meaning(
    ADMIN,
    "The client secret is wrong.",
    "Copy the secret's Value, not its Secret ID, and save it in the connector.",
    of_connector=True,
)
_CERTIFICATE = Meaning(
    ADMIN,
    "The credential does not match the one that is registered in Entra.",
    "Upload the certificate again, or create a client secret, and save it in the connector.",
    of_connector=True,
)
_FEDERATED = Meaning(
    ADMIN,
    "Issuer, subject or audience of the federated credential do not match those that Entra has.",
    "Correct them in Entra (Certificates & secrets, Federated credentials). A new one takes some minutes.",
    of_connector=True,
)
_BAD_SCOPE = Meaning(
    ADMIN,
    "A scope that was asked for is wrong, or the tenant has no Exchange Online.",
    "Add the delegated permission SMTP.Send in Entra (API permissions) and check the tenant's licences.",
    of_connector=True,
)
_GOOGLE_REQUEST = Meaning(
    ADMIN,
    "The redirect URI or another parameter does not match the settings in Google Cloud.",
    "Register exactly the redirect URI that the connector shows.",
    of_connector=True,
)

MICROSOFT: tuple[tuple[tuple[int, ...], Meaning], ...] = (
    ((50173, 50132, 50133, 50089, 70000, 70008, 700082, 54005), _REVOKED),
    ((700005, 501481, 50147), Meaning(RECONNECT, "The sign-in attempt does not match.", _SIGN_IN)),
    (
        (700084,),
        Meaning(
            ADMIN,
            "The callback is registered as a single-page application, whose tokens live for a day.",
            "Move the redirect URI to the platform Web in Entra, then reconnect.",
            of_connector=True,
        ),
    ),
    (
        (70043,),
        Meaning(
            RECONNECT,
            "A sign-in frequency policy of the tenant ends this connection regularly.",
            "Reconnect, and ask the tenant's administrator to exempt this application.",
        ),
    ),
    (
        (65001, 65004, 65005, 650056, 650057),
        Meaning(
            RECONNECT,
            "Consent is missing.",
            "Add the connector's scopes in API permissions, or grant admin consent; sign in again.",
        ),
    ),
    (
        (90094, 90095, 90008),
        Meaning(
            ADMIN,
            "The organisation requires that an administrator approves this application.",
            "Ask the tenant's administrator to grant admin consent in Entra.",
        ),
    ),
    (
        (50076, 50079, 50072, 50074, 50078, 50158),
        Meaning(
            RECONNECT,
            "Multi-factor sign-in is now required.",
            "Reconnect and complete the multi-factor sign-in.",
        ),
    ),
    (
        (53000, 53001, 53003, 530032, 530034, 530035, 50131, 50105),
        Meaning(
            ADMIN,
            "Conditional Access, security defaults or the app assignment block this sign-in.",
            "Ask the tenant's administrator to allow this application from changing addresses.",
        ),
    ),
    (
        (53011, 50053, 50135),
        Meaning(
            ADMIN,
            "Microsoft considers the account risky or locked.",
            "Unblock the account in Entra, then reconnect.",
        ),
    ),
    (
        (50055, 50144, 50126, 50056),
        Meaning(RECONNECT, "The password has expired or is wrong.", "Set the password, then reconnect."),
    ),
    (
        (50057,),
        Meaning(
            ADMIN, "The account is disabled.", "Enable the account in Entra, or connect another mailbox."
        ),
    ),
    (
        (50034, 50020, 16000, 51004, 90072, 500208),
        Meaning(
            RECONNECT,
            "This account does not belong to the connector's tenant or account type.",
            "Sign in with another account, or change the connector's tenant.",
        ),
    ),
    ((7000215, 70002), _BAD_ENTRA_SECRET),
    (
        (7000222,),
        Meaning(
            ADMIN,
            "The client secret has expired.",
            "Create a new one in Entra (Certificates & secrets) and save it in the connector.",
            of_connector=True,
        ),
    ),
    (
        (7000218, 700025),
        Meaning(
            ADMIN,
            "The application's type in Entra does not match.",
            "Register the redirect URI under the platform Web and use a client secret.",
            of_connector=True,
        ),
    ),
    ((700027, 50012, 700030, 50027, 50006), _CERTIFICATE),
    ((70021, 700211, 700212, 700213, 50013), _FEDERATED),
    ((700016, 70001, 700011, 7000112), _BAD_CLIENT),
    (
        (90002, 50059, 50128, 900023),
        Meaning(
            ADMIN, "The tenant is wrong.", "Correct the connector's tenant id or domain.", of_connector=True
        ),
    ),
    (
        (50194, 9001023, 90130, 9002332),
        Meaning(
            ADMIN,
            "A single-tenant application is used without its tenant, or with the wrong kind of account.",
            "Put your tenant id into the connector, or make the application multitenant.",
            of_connector=True,
        ),
    ),
    (
        (90038, 900382, 900432),
        Meaning(
            ADMIN,
            "The tenant is in another national cloud.",
            "Use an application of that cloud.",
            of_connector=True,
        ),
    ),
    (
        (50011, 900971, 70004),
        Meaning(
            ADMIN,
            "The redirect URI differs from the registered one.",
            "Register exactly the redirect URI that the connector shows.",
            of_connector=True,
        ),
    ),
    ((70011, 28002, 28003, 700022, 700023, 500011, 650052), _BAD_SCOPE),
    (
        (50196,),
        Meaning(
            RETRY,
            "Microsoft saw too many equal requests for this mailbox.",
            "Nothing to do: it is left alone for an hour, then asked again.",
            retry_after=HOUR_OF_SECONDS,
        ),
    ),
    (
        (90055, 90024, 90033, 90006, 90090, 50033, 50087, 50088, 70012, 90012, 50000),
        Meaning(RETRY, BUSY.message, BUSY.fix, retry_after=60),
    ),
)
"""By AADSTS number (Microsoft, "Entra authentication error codes")."""

GOOGLE: dict[str, Meaning] = {
    "invalid_grant": Meaning(
        RECONNECT,
        "Google's access was revoked, unused for six months or ended by a new password.",
        "Reconnect; if this recurs every 7 days, publish the app in Google Auth Platform (Audience).",
    ),
    "invalid_rapt": Meaning(
        ADMIN,
        "A session-length policy of Google Workspace ends this access.",
        "Ask the Workspace administrator to trust this app (Security, API controls).",
    ),
    "invalid_client": _BAD_SECRET,
    "deleted_client": _BAD_CLIENT,
    "unauthorized_client": _BAD_CLIENT,
    "access_denied": Meaning(
        RECONNECT,
        "Access was declined, or the person is not among the test users of the app.",
        "Open the connect link again and accept; an app in Testing needs the person as a test user.",
    ),
    "admin_policy_enforced": Meaning(
        ADMIN,
        "A Workspace policy does not allow this app or the Gmail scope.",
        "Ask the Workspace administrator to trust this app (Security, API controls).",
    ),
    "access_not_configured": Meaning(
        ADMIN, "The Gmail API is off in this project.", "Enable it in Google Cloud.", of_connector=True
    ),
    "org_internal": Meaning(
        ADMIN,
        "The app is internal to another organisation.",
        "Make it External, or connect a mailbox of that organisation.",
        of_connector=True,
    ),
    "redirect_uri_mismatch": _GOOGLE_REQUEST,
    "invalid_request": _GOOGLE_REQUEST,
    "invalid_scope": _GOOGLE_REQUEST,
    "disallowed_useragent": _GOOGLE_REQUEST,
    "rate_limit_exceeded": Meaning(RETRY, BUSY.message, BUSY.fix, retry_after=60),
}
"""By `error`, or by `error_subtype` where that says more."""
GOOGLE["rapt_required"] = GOOGLE["invalid_rapt"]
GOOGLE["userRateLimitExceeded"] = GOOGLE["rateLimitExceeded"] = GOOGLE["rate_limit_exceeded"]

GOOGLE["accessNotConfigured"] = GOOGLE["access_not_configured"]

GOOGLE_TEXTS: tuple[tuple[str, str, Meaning], ...] = (
    (
        "invalid_grant",
        "Bad Request",
        Meaning(
            RECONNECT,
            "Google does not know this permission, or it was used already.",
            "Open the connect link again and sign in once more, without going back in the browser.",
        ),
    ),
)
"""By `error` and a part of its description, where `error` alone says too little."""

ANY: dict[str, Meaning] = {
    "access_denied": Meaning(RECONNECT, "Access was declined.", "Open the connect link again and accept."),
    "interaction_required": _INTERACTION,
    "login_required": _INTERACTION,
    "consent_required": _INTERACTION,
    "invalid_grant": _REVOKED,
    "invalid_client": _BAD_SECRET,
    "unauthorized_client": _BAD_CLIENT,
    "invalid_scope": _BAD_SCOPE,
    "temporarily_unavailable": BUSY,
    "server_error": BUSY,
}
"""By `error` alone (RFC 6749, sections 4.1.2.1 and 5.2; OpenID Connect Core, section 3.1.2.6)."""

UNKNOWN = Meaning(
    ADMIN,
    "The provider refused for a reason that is not known here.",
    "Look its code up in the provider's documentation, and check the connector's settings.",
)
