"""How an application proves itself to Microsoft by an assertion: its certificate, or somebody it trusts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.provider.assertions import has_ended, thumbprints
from sandbox.provider.refusals import Reason, Refusal

if TYPE_CHECKING:
    from sandbox.provider.assertions import Assertion
    from sandbox.provider.models import Client


def check_certificate(client: Client, assertion: Assertion, endpoint: str, now: float) -> None:
    """Raise ``Refusal`` unless a certificate of the application has signed it for this endpoint."""
    if assertion.claim("sub") != client.client_id:
        raise Refusal(Reason.ASSERTION_CLIENT)
    if assertion.claim("aud") != endpoint:
        raise Refusal(Reason.ASSERTION_AUDIENCE)
    certificate = _named(client, assertion)
    if has_ended(certificate, now):
        raise _unusable(assertion, "The key used is expired.")
    if not assertion.is_signed_by(certificate):
        raise Refusal(Reason.ASSERTION_SIGNATURE)
    if not assertion.is_timely(now):
        raise Refusal(Reason.ASSERTION_TIME)


def check_federation(client: Client, assertion: Assertion, now: float) -> None:
    """Raise ``Refusal`` unless the assertion is of an issuer, subject and audience that are registered."""
    claims = {"issuer": "iss", "subject": "sub", "audience": "aud"}
    details = {name: assertion.claim(claim) for name, claim in claims.items()}
    if assertion.header.get("alg") != "RS256":
        raise Refusal(Reason.ASSERTION_MALFORMED, detail="Supported signing algorithms are: 'RS256'.")
    if not client.federated:
        raise Refusal(Reason.FEDERATION_NONE, **details)
    left = client.federated
    for name, reason in (
        ("issuer", Reason.FEDERATION_ISSUER),
        ("subject", Reason.FEDERATION_SUBJECT),
        ("audience", Reason.FEDERATION_AUDIENCE),
    ):
        left = tuple(one for one in left if getattr(one, name) == details[name])
        if not left:
            raise Refusal(reason, **details)
    if not any(assertion.is_signed_by(one.public_key, ("RS256",)) for one in left):
        raise Refusal(Reason.FEDERATION_SIGNATURE)
    if not assertion.is_timely(now):
        raise Refusal(Reason.ASSERTION_TIME)


def _named(client: Client, assertion: Assertion) -> str:
    """The registered certificate that the header names by a thumbprint."""
    for certificate in client.keys:
        named = thumbprints(certificate).items()
        # msal leaves the padding of base64 on.
        if any(str(assertion.header.get(name, "")).rstrip("=") == value for name, value in named):
            return certificate
    raise _unusable(assertion, "The key was not found.")


def _unusable(assertion: Assertion, why: str) -> Refusal:
    thumbprint = assertion.header.get("x5t#S256") or assertion.header.get("x5t") or ""
    return Refusal(Reason.ASSERTION_KEY, detail=why, thumbprint=str(thumbprint))
