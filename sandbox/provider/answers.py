"""What the provider sends: JSON, error pages, and the answers of faults."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from werkzeug.wrappers import Response

from sandbox.provider.pages import page

if TYPE_CHECKING:
    from authlib.oauth2.rfc6749 import OAuth2Error

    from sandbox.provider.dialect import Dialect, ErrorAnswer, Json
    from sandbox.provider.faults import Fault


class Speaker(Protocol):
    """Whoever has words of its own for errors: a dialect, or a mail API."""

    def named_error(self, name: str, correlation_id: str) -> ErrorAnswer:
        """Return the error that is given under this name, for a fault that a test injects."""


def outcome(response: Response | None, body: Json) -> tuple[str, str]:
    """Return the OAuth error, or ``ok``, and Microsoft's number of an answer to a token request."""
    if response is None:
        return "dropped", ""
    codes = body.get("error_codes")
    code = f"AADSTS{codes[0]}" if isinstance(codes, list) and codes else ""
    if "error" in body:
        return str(body["error"]), code
    return ("ok" if "access_token" in body else "fault"), code


def fault_answer(fault: Fault, speaker: Speaker) -> Response:
    """Return the answer that a fault brings."""
    named = speaker.named_error(fault.error, "") if fault.error else None
    status = fault.status or (named.status if named else 200)
    body = fault.body if fault.body is not None else (named.body if named else "")
    content = body if isinstance(body, str) else json.dumps(body)
    mimetype = "text/html" if isinstance(body, str) else "application/json"
    response = Response(content, status, content_type=fault.content_type or mimetype)
    if named and named.challenge:
        response.headers["WWW-Authenticate"] = named.challenge
    if fault.retry_after is not None:
        response.headers["Retry-After"] = str(fault.retry_after)
    return response


def without(response: Response, fields: tuple[str, ...]) -> Response:
    """Return the answer without some fields of its JSON."""
    if fields:
        body = {key: value for key, value in response.get_json().items() if key not in fields}
        response.set_data(json.dumps(body))
    return response


def as_json(body: Json, status: int = 200) -> Response:
    """Return a JSON answer that nobody may keep."""
    return Response(json.dumps(body), status, {"Cache-Control": "no-store"}, mimetype="application/json")


def refused(answer: ErrorAnswer) -> Response:
    """Return an error as JSON, with its challenge."""
    response = as_json(answer.body, answer.status)
    if answer.challenge:
        response.headers["WWW-Authenticate"] = answer.challenge
    return response


def error_page(dialect: Dialect, error: OAuth2Error) -> Response:
    """Return the error page of an authorization request that cannot go back to its client."""
    answer = dialect.refuse(error)
    return page(
        "error.html",
        answer.status,
        provider=dialect.title,
        description=answer.description,
        name=answer.error,
    )
