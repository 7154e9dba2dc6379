"""The way of a mailbox owner: the connect link, the callback from the provider, the result.

Opening a page changes nothing, because mail scanners and previews open links: a sign-in begins only with
the POST of the confirm page, and a callback is read only from a GET. Everything that needs a secret is done
by the function `connect`; no code, state or token is kept here.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from chalice.app import Blueprint, Request, Response

from chalicelib import clock, ids
from chalicelib.accounts.callback import read as read_answer
from chalicelib.errors import Forbidden, MethodNotAllowed, NotFound
from chalicelib.web import cookies
from chalicelib.web.pages import boxes, page, paged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chalicelib.wiring import Gateway

SEE_OTHER = 303
"""After a POST and after a callback: the next request is a GET that carries nothing on (RFC 9700, 4.12)."""

FORM = "application/x-www-form-urlencoded"

_LINK = re.compile(r"[A-Za-z0-9_-]{16,64}")
_AUTHORIZATION = re.compile(rf"aut_[{ids.ALPHABET}]{{{ids.LONG}}}")


def connect_blueprint(gateway: Callable[[], Gateway]) -> Blueprint:
    """The routes of connecting. `gateway` is called by each request, never here."""
    blueprint = Blueprint("chalicelib.web.connect")

    @blueprint.route("/connect/{token}", methods=["GET", "HEAD"], content_types=["*/*"])
    @paged
    def confirm(token: str) -> Response:
        """Says who asks, for which mailbox and for what; starts nothing."""
        link = gateway().registry.page(_link(token))
        return page(
            "confirm",
            leaves=True,
            address=link.address,
            asked_by=link.asked_by,
            provider=link.provider.capitalize(),
            permissions=link.scopes_in_words,
            expires=_day(link.expires_at),
        )

    @blueprint.route("/connect/{token}", methods=["POST"], content_types=[FORM])
    @paged
    def begin(token: str) -> Response:
        """Begins a sign-in in this browser and leads it to the provider."""
        request = blueprint.current_request
        _require_own_page(request)
        payload = {"link_token": _link(token), "cookie": cookies.read(request, cookies.BROWSER)}
        begun = gateway().functions.connect("begin", payload)
        return _to_provider(begun, token)

    @blueprint.route("/oauth/callback/{connector}", methods=["GET"], content_types=["*/*"])
    @paged
    def callback(connector: str) -> Response:
        """Takes the provider's answer and leads to a page whose address holds nothing of it."""
        request = blueprint.current_request
        payload = {
            "connector_id": connector,
            "params": _parameters(request),
            "cookie": cookies.read(request, cookies.BROWSER),
        }
        outcome = gateway().functions.connect("complete", payload)
        return _to_result(gateway().public_url(), outcome)

    @blueprint.route("/oauth/callback/{connector}", methods=["HEAD", "POST"], content_types=["*/*"])
    @paged
    def no_callback(connector: str) -> Response:  # noqa: ARG001 - Chalice hands on what the path holds
        """Refuses what is not a browser coming back from the provider; nothing is exchanged."""
        raise MethodNotAllowed("A sign-in comes back by GET only.", fix="Begin again from the connect link.")

    @blueprint.route("/authorizations/{authorization}", methods=["GET", "HEAD"], content_types=["*/*"])
    @paged
    def result(authorization: str) -> Response:
        """Says how a sign-in ended."""
        request = blueprint.current_request
        if not _AUTHORIZATION.fullmatch(authorization):
            raise _unknown("sign-in")
        outcome = gateway().registry.outcome(authorization, cookies.read(request, cookies.BROWSER))
        return result_page(
            outcome,
            retry=cookies.retry_link(request, authorization),
            again=bool(request.query_params and request.query_params.get("again")),
        )

    return blueprint


def result_page(outcome: Mapping[str, Any], *, retry: str | None, again: bool = False) -> Response:
    """The page for an outcome; `retry` is the token of the connect link that may be offered again."""
    kind = outcome["outcome"]
    expected, found = outcome.get("expected"), outcome.get("found")
    shown = functools.partial(page, again=again, expected=expected, retry=retry)
    if kind in {"connected", "refused"}:
        return shown(kind)
    if kind == "wrong_mailbox":
        return shown(kind, found=found, unproven=outcome.get("unproven", False))
    if kind == "scope_missing":
        return shown(kind, missing=boxes(outcome.get("missing_scopes") or ()))
    message, fix, code = _reason(kind, outcome)
    return shown("failed", message=message, fix=fix, code=code)


def _reason(kind: str, outcome: Mapping[str, Any]) -> tuple[str, str, str]:
    diagnosis = outcome.get("diagnosis")
    if diagnosis:
        return diagnosis["message"], diagnosis["fix"], diagnosis["code"]
    message, fix = _REASONS.get(kind, _REASONS["failed"])
    return message, fix, kind


_REASONS = {
    "identity_missing": (
        "The provider did not say for whom you signed in, so the mailbox could not be checked.",
        "Ask your administrator whether the app may see your e-mail address (the scopes openid and email).",
    ),
    "pending": (
        "This sign-in has not come back from the provider yet.",
        "Finish it in the other window, then load this page again.",
    ),
    "failed": (
        "The sign-in could not be completed. Nothing was saved.",
        "Try again in a few minutes.",
    ),
}
"""Outcome without a diagnosis → sentence and fix."""


def _to_provider(begun: Mapping[str, Any], token: str) -> Response:
    address = begun["authorize_url"]
    set_cookies = [cookies.written(cookies.BROWSER, begun["cookie"])]
    state = parse_qs(urlsplit(address).query).get("state")
    if state:
        value = f"{ids.authorization_id(state[0])}.{token}"
        set_cookies.append(cookies.written(cookies.RETRY, value))
    return _see_other(address, {"Set-Cookie": set_cookies})


def _to_result(public_url: str, outcome: Mapping[str, Any]) -> Response:
    again = "?again=1" if outcome["outcome"] == "already" else ""
    return _see_other(f"{public_url}/authorizations/{outcome['authorization']}{again}", {})


def _see_other(location: str, headers: Mapping[str, str | list[str]]) -> Response:
    found = {"Location": location, "Content-Type": "text/plain; charset=utf-8", **headers}
    return Response(body="", status_code=SEE_OTHER, headers=found)


def _parameters(request: Request) -> dict[str, list[str]]:
    """The parameters of a callback; raises MalformedRequest for what cannot be an answer."""
    query = request.query_params
    found = {name: query.getlist(name) for name in query} if query else {}
    read_answer(found)
    return found


def _require_own_page(request: Request) -> None:
    """Refuses a form that another site posts: it would begin a sign-in that this browser's user never saw."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Forbidden(
            "Another website tried to begin a sign-in for you.",
            fix="Open your connect link yourself and press the button on its page.",
            code="cross_site",
        )


def _link(token: str) -> str:
    if not _LINK.fullmatch(token):
        raise _unknown("connect link")
    return token


def _unknown(what: str) -> NotFound:
    fix = "Open the link exactly as you were given it, or ask for a new one."
    return NotFound(f"There is no such {what}.", fix=fix, code="link_not_found")


def _day(milliseconds: int) -> str:
    return (clock.shown(milliseconds) or "")[:16].replace("T", ", ") + " UTC"
