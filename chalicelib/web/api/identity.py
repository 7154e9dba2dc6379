"""Who is asking: the caller behind a request, from its API key or from its checked signature."""

from __future__ import annotations

from collections.abc import Callable

from chalice.app import Request

from chalicelib.callers.models import Caller
from chalicelib.callers.registry import Callers
from chalicelib.errors import Unauthenticated
from chalicelib.secret import Secret

Identify = Callable[[Callers, Request], Caller]


def by_key(callers: Callers, request: Request) -> Caller:
    """The caller whose API key stands in the Authorization header (RFC 6750, section 2.1)."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated(
            "The request carries no API key.",
            fix="Send it as Authorization: Bearer mg_…",
            code="key_missing",
        )
    return callers.by_key(Secret(key.strip()))


def by_signature(callers: Callers, request: Request) -> Caller:
    """The IAM role or user whose SigV4 signature API Gateway has checked before this function was invoked.

    The ARN comes from the request's context, which API Gateway writes and a client cannot.
    """
    principal = (request.context.get("identity") or {}).get("userArn")
    if not principal:
        raise Unauthenticated(
            "The request was not signed.",
            fix="Sign it with AWS Signature Version 4, or use /v1 with an API key.",
            code="signature_missing",
        )
    return callers.by_principal(principal)
