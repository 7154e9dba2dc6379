"""The way of a mailbox owner: the connect link, the callback from the provider, the result.

Opening a page changes nothing, because mail scanners and previews open links: a sign-in begins only with
the POST of the confirm page, and a callback is read only from a GET. Everything that needs a secret is done
by the function `connect`; no code, state or token is kept here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from chalicelib import ids
from chalicelib.accounts.connecting.callback import read as read_answer
from chalicelib.errors import MethodNotAllowed, NotFound
from chalicelib.web.pages import cookies
from chalicelib.web.pages.pages import ANYTHING, FORM, Reader, named_links, page, require_own_page, see_other

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chalice.app import Request, Response

    from chalicelib.web.pages.languages import Language
    from chalicelib.web.pages.pages import Route

BOXES = {
    "SMTP.Send": "Send emails from your mailbox using SMTP AUTH",
    "https://mail.google.com/": "Read, compose, send, and permanently delete all your email from Gmail",
}
"""Scope → what the box to tick is called on the provider's own page.

Microsoft's scopes begin with another host in each of its clouds, and go by their last part.
"""

_LINK = re.compile(r"[A-Za-z0-9_-]{16,64}")
_AUTHORIZATION = re.compile(rf"aut_[{ids.ALPHABET}]{{{ids.LONG}}}")


def confirm(reader: Reader, token: str) -> Response:
    """Says who asks, for which mailbox and for what; starts nothing."""
    link = reader.services.registry.page(_link(token))
    return reader.page(
        "confirm",
        leaves=True,
        address=link.address,
        person=link.signs_in_as,
        asked_by=link.asked_by,
        provider=link.provider,
        permissions=link.scopes_in_words,
        expires_at=link.expires_at,
    )


def begin(reader: Reader, token: str) -> Response:
    """Begins a sign-in in this browser and leads it to the provider."""
    require_own_page(reader.request)
    payload = {"link_token": _link(token), "cookie": cookies.read(reader.request, cookies.BROWSER)}
    reader.services.limits.request(reader.address)
    begun = reader.services.functions.connect("begin", payload)
    return _to_provider(begun, token)


def callback(reader: Reader, connector: str) -> Response:
    """Takes the provider's answer and leads to a page whose address holds nothing of it."""
    params = _parameters(reader.request)
    cookie = cookies.read(reader.request, cookies.BROWSER)
    reader.services.limits.callback(reader.address, params["state"][0], connector, cookie)
    payload = {"connector_id": connector, "params": params, "cookie": cookie}
    outcome = reader.services.functions.connect("complete", payload)
    return _to_result(reader.services.public_url(), outcome)


def no_callback(reader: Reader, connector: str) -> Response:  # noqa: ARG001 - what every page's view is given
    """Refuses what is not a browser coming back from the provider; nothing is exchanged."""
    raise MethodNotAllowed("A sign-in comes back by GET only.", fix="Begin again from the connect link.")


def result(reader: Reader, authorization: str) -> Response:
    """Says how a sign-in ended."""
    if not _AUTHORIZATION.fullmatch(authorization):
        raise _unknown("sign-in")
    request = reader.request
    outcome = reader.services.registry.outcome(authorization, cookies.read(request, cookies.BROWSER))
    if outcome["outcome"] == "visited" and "account" in outcome:
        return see_other(f"{reader.services.public_url()}/mailboxes/{outcome['account']}")
    return result_page(
        outcome,
        reader.language,
        retry=cookies.retry_link(request, authorization),
        again=bool(request.query_params and request.query_params.get("again")),
        withdraw=_withdraw(reader, outcome.get("provider")),
    )


ROUTES: tuple[Route, ...] = (
    (("GET", "HEAD"), "/connect/{token}", ANYTHING, confirm),
    (("POST",), "/connect/{token}", FORM, begin),
    (("GET",), "/oauth/callback/{connector}", ANYTHING, callback),
    (("HEAD", "POST"), "/oauth/callback/{connector}", ANYTHING, no_callback),
    (("GET", "HEAD"), "/authorizations/{authorization}", ANYTHING, result),
)


def result_page(
    outcome: Mapping[str, Any],
    language: Language,
    *,
    retry: str | None,
    again: bool = False,
    withdraw: Iterable[str] = (),
) -> Response:
    """The page for an outcome.

    `retry` is the token of the connect link that may be offered again, `withdraw` are the pages on which the
    owner can take the permission back at the provider.
    """
    template, values = _result(outcome, language)
    account = outcome.get("account")
    values |= {
        "withdraw": named_links(withdraw),
        "again": again,
        "expected": outcome.get("expected"),
        "retry": retry,
        "account": account,
    }
    return page(language, template, **values)


def _result(outcome: Mapping[str, Any], language: Language) -> tuple[str, dict[str, Any]]:
    """The template for an outcome, and what only that template shows."""
    kind = outcome["outcome"]
    if kind == "connected":
        return kind, {"mailbox": outcome.get("mailbox"), "signs_in_as": outcome.get("signs_in_as")}
    if kind in {"refused", "visited", "not_owner", "visit_refused"}:
        return kind, {}
    if kind == "wrong_mailbox":
        return kind, {"found": outcome.get("found"), "unproven": outcome.get("unproven", False)}
    if kind == "scope_missing":
        return kind, {"missing": [_box(one) for one in outcome.get("missing_scopes") or ()]}
    template = "visit_failed" if kind == "visit_failed" else "failed"
    return template, _reason(kind, outcome, language)


def _box(scope: str) -> str:
    return BOXES.get(scope.rpartition("/")[2] or scope, scope)


def _withdraw(reader: Reader, provider: str | None) -> tuple[str, ...]:
    return reader.services.catalogue[provider].withdraw if provider else ()


def _reason(kind: str, outcome: Mapping[str, Any], language: Language) -> dict[str, str]:
    diagnosis = outcome.get("diagnosis")
    if diagnosis:
        return {**language.diagnosed(diagnosis), "code": diagnosis["code"]}
    known = kind if kind in language.reasons else "failed"
    return {**language.reasons[known], "code": known}


def _to_provider(begun: Mapping[str, Any], token: str) -> Response:
    address = begun["authorize_url"]
    set_cookies = [cookies.written(cookies.BROWSER, begun["cookie"])]
    state = parse_qs(urlsplit(address).query).get("state")
    if state:
        value = f"{ids.authorization_id(state[0])}.{token}"
        set_cookies.append(cookies.written(cookies.RETRY, value))
    return see_other(address, *set_cookies)


def _to_result(public_url: str, outcome: Mapping[str, Any]) -> Response:
    if "visit" in outcome:
        cookie = cookies.written(cookies.VISIT, outcome["visit"], cookies.VISIT_LIFETIME)
        return see_other(f"{public_url}/mailboxes/{outcome['account']}", cookie)
    again = "?again=1" if outcome["outcome"] == "already" else ""
    return see_other(f"{public_url}/authorizations/{outcome['authorization']}{again}")


def _parameters(request: Request) -> dict[str, list[str]]:
    """The parameters of a callback; raises MalformedRequest for what cannot be an answer."""
    query = request.query_params
    found = {name: query.getlist(name) for name in query} if query else {}
    read_answer(found)
    return found


def _link(token: str) -> str:
    if not _LINK.fullmatch(token):
        raise _unknown("connect link")
    return token


def _unknown(what: str) -> NotFound:
    fix = "Open the link exactly as you were given it, or ask for a new one."
    return NotFound(f"There is no such {what}.", fix=fix, code="link_not_found")
