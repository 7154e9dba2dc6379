"""The one id of a request, and the line that the log has of each: route and outcome, never path or query.

A path may hold a connect link, a query may hold an authorization code.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from chalice.app import Request, Response

from chalicelib import logs

HEADER = "X-Request-Id"
"""Names a request in every answer to it, for who asks what the log has of it."""

log = logs.logger("web")


_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EXTENDED = re.compile(r"[A-Za-z0-9+/_=-]{8,64}")


def request_id(request: Request) -> str | None:
    """An id of the request that AWS has made; a client can set `requestId` by a header (x-amzn-requestid).

    That of API Gateway where it is a UUID, else its extended one, else Lambda's own.
    """
    own = str(request.context.get("requestId", ""))
    extended = str(request.context.get("extendedRequestId", ""))
    if _UUID.fullmatch(own):
        return own
    if _EXTENDED.fullmatch(extended):
        return extended
    return getattr(request.lambda_context, "aws_request_id", None)


def traced(event: Any, get_response: Callable[[Any], Any]) -> Any:
    """Middleware of every function: all its lines get the id of the request, or of the invocation."""
    if not isinstance(event, Request):
        with logs.about(invocation=event.context.aws_request_id):
            return get_response(event)
    found = request_id(event)
    with logs.about(request_id=found):
        began = time.monotonic()
        response: Response = get_response(event)
        response.headers[HEADER] = found or "none"
        facts = {
            "method": event.method,
            "route": event.context.get("resourcePath"),
            "status": response.status_code,
            "ms": round((time.monotonic() - began) * 1000),
        }
        log.info("answered", extra={"facts": facts})
        return response
