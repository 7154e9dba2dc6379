"""Errors as answers: the one place where they become HTTP.

Chalice's middleware sees a finished answer, never a view's exception, so views are wrapped by `answering`
(API) or by `pages.pages.paged` (pages). Chalice's own answers (an unknown method, a wrong content type, its
last resort) have another shape and are rewritten by `reshape`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from chalice.app import Request, Response

from chalicelib import logs
from chalicelib.errors import (
    Diagnosed,
    MailgrantError,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
    docs_of,
)

GUARD_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every answer that does not set them itself."""

INTERNAL = 500
RETRY_AFTER = 2
"""Seconds after which an `Unavailable` request may be sent again."""

View = Callable[..., Response]

log = logs.logger("web")


def answering(view: View) -> View:
    """Wraps a view of the API: whatever it raises becomes an answer in the shape of every error."""

    @functools.wraps(view)
    def answered(**path: str) -> Response:
        try:
            return view(**path)
        except MailgrantError as error:
            return refusal(error)
        except Exception as error:  # noqa: BLE001 - the edge: nobody above could answer
            return Response(body=internal_error(error), status_code=INTERNAL)

    return answered


def refusal(error: MailgrantError) -> Response:
    """The answer for an error that the caller can be told."""
    return Response(body=error.to_json(), status_code=error.status, headers=refusal_headers(error))


def refusal_headers(error: MailgrantError) -> dict[str, Any]:
    """What HTTP wants said in headers: how to authenticate (RFC 9110, 11.6.1), when to retry (10.2.3)."""
    if isinstance(error, Unauthenticated):
        return {"WWW-Authenticate": 'Bearer realm="mailgrant"'}
    if isinstance(error, Unavailable):
        return {"Retry-After": str(RETRY_AFTER)}
    if isinstance(error, RateLimited):
        return {"Retry-After": str(error.retry_after)}
    if isinstance(error, Diagnosed) and error.diagnosis.retry_after is not None:
        return {"Retry-After": str(error.diagnosis.retry_after)}
    return {}


def internal_error(error: BaseException) -> dict[str, Any]:
    """Logs an error that nobody foresaw, and returns the body that names only where to look for it."""
    from uuid import uuid4

    reference = uuid4().hex
    log.error("unexpected error", exc_info=error, extra={"facts": {"reference": reference}})
    return _internal(f"The log of the function api tells more under {reference}.")


def reshape(request: Request, get_response: Callable[[Request], Response]) -> Response:
    """Middleware: gives Chalice's own answers our shape, and every answer the guarding headers."""
    response = get_response(request)
    if isinstance(response.body, dict) and response.body.keys() == {"Code", "Message"}:
        response.body = _reshaped(response)
        response.headers.pop("Content-Type", None)
    for name, value in GUARD_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Type", "application/json; charset=utf-8")
    return response


def _reshaped(response: Response) -> dict[str, Any]:
    message = response.body["Message"]
    error = _FOREIGN.get(response.status_code)
    if error is None:
        return _internal("Look into the log of the function api.")
    class_, fix = error
    return class_(str(message), fix=fix).to_json()


def _internal(fix: str) -> dict[str, Any]:
    return {
        "error": {
            "code": "internal_error",
            "message": "Something in this installation went wrong; it is not the fault of the request.",
            "fix": fix,
            "docs": docs_of("internal_error"),
        }
    }


_FOREIGN: dict[int, tuple[type[MailgrantError], str]] = {
    404: (NotFound, "Check the path; /openapi.json lists them all."),
    405: (MethodNotAllowed, "Use one of the methods in the Allow header."),
    415: (UnsupportedMediaType, "Send Content-Type: application/json."),
}
"""Chalice's own status codes → our error and its fix."""
