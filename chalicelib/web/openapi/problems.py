"""The codes with which the API refuses, and the statuses under which each comes.

docs/errors.md explains them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from chalicelib.web.api.table import BODY_METHODS

if TYPE_CHECKING:
    from chalicelib.web.openapi.operations import Operation

GATEWAY_TIMEOUT = 504
BAD_GATEWAY = 502

PROBLEMS: dict[str, tuple[int, ...]] = {
    "malformed_request": (400, 403),
    "key_missing": (401,),
    "invalid_key": (401,),
    "signature_missing": (401,),
    "unauthenticated": (403,),
    "forbidden": (403,),
    "unknown_caller": (403,),
    "scope_missing": (403,),
    "all_accounts_needed": (403,),
    "from_not_allowed": (403,),
    "reply_to_not_allowed": (403,),
    "not_found": (404,),
    "account_not_found": (404,),
    "message_not_found": (404,),
    "conflict": (409,),
    "name_taken": (409,),
    "caller_exists": (409,),
    "account_disconnected": (409,),
    "account_in_use": (409,),
    "connector_in_use": (409,),
    "connector_without_secret": (409,),
    "nothing_to_roll_back": (409,),
    "not_restorable": (409,),
    "not_unknown": (409,),
    "too_late_to_cancel": (409,),
    "too_large": (413,),
    "unsupported_media_type": (415,),
    "invalid_input": (422,),
    "idempotency_key_reused": (422,),
    "secret_refused": (422,),
    "discovery_failed": (422,),
    "issuer_mismatch": (422,),
    "private_address": (422,),
    "port_not_allowed": (422,),
    "rate_limited": (429,),
    "too_many_requests": (429,),
    "internal_error": (500,),
    "refused_by_provider": (BAD_GATEWAY,),
    "unavailable": (BAD_GATEWAY, 503, GATEWAY_TIMEOUT),
}
"""Code → statuses, of which some are API Gateway's."""

EVERYWHERE = (
    "malformed_request",
    "invalid_input",
    "key_missing",
    "invalid_key",
    "signature_missing",
    "unauthenticated",
    "forbidden",
    "unknown_caller",
    "not_found",
    "too_many_requests",
    "internal_error",
    "refused_by_provider",
    "unavailable",
)
"""Codes with which every operation may refuse."""

OF_A_BODY = ("too_large", "unsupported_media_type")
"""Codes of the methods that may have a body."""


def own_codes(method: str, operation: Operation) -> tuple[str, ...]:
    """The codes with which an operation may refuse beside those of every one, the lowest status first."""
    codes = [*operation.errors]
    if operation.scope is not None:
        codes.append("scope_missing")
    if operation.everything:
        codes.append("all_accounts_needed")
    if method in BODY_METHODS:
        codes += OF_A_BODY
    return tuple(sorted(codes, key=lambda code: PROBLEMS[code]))


def by_status(codes: Iterable[str]) -> dict[int, list[str]]:
    """Status → the codes that come under it."""
    found: dict[int, list[str]] = {}
    for code in codes:
        for status in PROBLEMS[code]:
            found.setdefault(status, []).append(code)
    return dict(sorted(found.items()))
