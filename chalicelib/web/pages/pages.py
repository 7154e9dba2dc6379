"""The pages that mailbox owners meet: rendering, headers, and the way from a route to a page.

No page has a script, loads anything or names a secret other than the reader's own connect link. The style
stands in the page and is allowed by its hash, so a page is one request and needs to know no base path.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chalice.app import Blueprint, Response

from chalicelib.errors import Forbidden, MailgrantError
from chalicelib.web.errors import GUARD_HEADERS, INTERNAL, internal_error, refusal_headers
from chalicelib.web.pages import languages

if TYPE_CHECKING:
    from chalice.app import Request
    from jinja2 import Environment

    from chalicelib.web.pages.languages import Language
    from chalicelib.wiring import Gateway

TEMPLATES = Path(__file__).parent / "templates"

FORM = "application/x-www-form-urlencoded"
ANYTHING = "*/*"

SEE_OTHER = 303
"""After a POST and after a callback: the next request is a GET that carries nothing on (RFC 9700, 4.12)."""

GONE = 410
GONE_CODES = frozenset({"link_exhausted", "link_expired", "link_used"})
"""Codes of connect links that did exist: 410, since asking again cannot help (RFC 9110, 15.5.11)."""


NAMES = {
    "account.live.com": "Outlook.com",
    "myaccount.google.com": "Google",
    "myapps.microsoft.com": "Microsoft 365",
}
"""Host → whose accounts are managed there."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Whoever asks for a page: the request, the language of the browser, and the services that answer."""

    request: Request
    services: Gateway
    language: Language

    @property
    def address(self) -> str:
        """The reader's network address as API Gateway saw it; a header may say anything."""
        return str(self.request.context["identity"]["sourceIp"])

    def page(self, template: str, *, status: int = 200, leaves: bool = False, **values: Any) -> Response:
        """The page in the reader's language; see `page`."""
        return page(self.language, template, status=status, leaves=leaves, **values)


PageView = Callable[..., Response]
"""Takes a Reader and the path's parameters."""

Route = tuple[tuple[str, ...], str, str, PageView]
"""Methods, path, content type of the request, view."""


def pages_blueprint(gateway: Callable[[], Gateway], routes: Iterable[Route]) -> Blueprint:
    """A Blueprint of pages. `gateway` is called by each request, never here."""
    blueprint = Blueprint("chalicelib.web.pages.pages")
    for methods, path, content_type, view in routes:
        blueprint.route(path, methods=list(methods), content_types=[content_type])(
            _paged(blueprint, gateway, view)
        )
    return blueprint


def page(
    language: Language, template: str, *, status: int = 200, leaves: bool = False, **values: Any
) -> Response:
    """The answer that shows a template with its values, all of them escaped.

    `leaves` marks a page whose form ends at the provider: browsers apply `form-action` to every redirect of
    a form's answer, so that page allows any https address there.
    """
    html = _environment().get_template(f"{template}.html").render(t=language, **values)
    headers = {
        **GUARD_HEADERS,
        "Content-Type": "text/html; charset=utf-8",
        "Content-Language": language.tag,
        "Vary": "Accept-Language",
        "Content-Security-Policy": _policy("'self' https:" if leaves else "'self'"),
    }
    return Response(body=html, status_code=status, headers=dict(headers))


def problem(error: MailgrantError, language: Language) -> Response:
    """The page for an error; its status is the error's own, or 410 for a link that has ended."""
    code = error.error_code
    status = GONE if code in GONE_CODES else error.status
    response = page(
        language, "problem", status=status, ours=error.status >= INTERNAL, code=code, **_said(error, language)
    )
    response.headers.update(refusal_headers(error))
    return response


def named_links(addresses: Iterable[str]) -> list[tuple[str, str]]:
    """The addresses with the names by which people know what is there."""
    hosts = ((urlsplit(address).hostname or "", address) for address in addresses)
    return [(NAMES.get(host, host), address) for host, address in hosts]


def see_other(location: str, *set_cookies: str) -> Response:
    """Leads the browser on, by a GET."""
    headers: dict[str, Any] = {"Location": location, "Content-Type": "text/plain; charset=utf-8"}
    if set_cookies:
        headers["Set-Cookie"] = list(set_cookies)
    return Response(body="", status_code=SEE_OTHER, headers=headers)


def require_own_page(request: Request) -> None:
    """Refuses a form that another site posts: its reader never saw the button that is pressed."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Forbidden(
            "Another website tried to press a button in your name.",
            fix="Open the page yourself and press its button.",
            code="cross_site",
        )


def _paged(blueprint: Blueprint, gateway: Callable[[], Gateway], view: PageView) -> PageView:
    """Wraps a view: whatever it raises becomes a page that says what is wrong and what to do."""

    @functools.wraps(view)
    def answered(**path: str) -> Response:
        request = blueprint.current_request
        language = languages.choose(request.headers.get("accept-language", ""))
        try:
            return view(Reader(request, gateway(), language), **path)
        except MailgrantError as error:
            return problem(error, language)
        except Exception as error:  # noqa: BLE001 - the edge: nobody above could answer
            return _broken(internal_error(error)["error"], language)

    return answered


def _said(error: MailgrantError, language: Language) -> Mapping[str, Any]:
    """Heading, message and fix: worded for mailbox owners where they meet the error, else the error's own."""
    known = language.errors.get(error.error_code)
    if known is None and language.tag == languages.USUAL:
        return {**language.errors["other"], "message": error.message, "fix": error.fix}
    return known or language.errors["other"]


def _broken(shown: Mapping[str, str], language: Language) -> Response:
    """`shown` says where an administrator finds more; that is in English for everybody."""
    said: Mapping[str, Any] = language.errors["internal_error"]
    return page(
        language, "problem", status=INTERNAL, ours=True, code=shown["code"], more=shown["fix"], **said
    )


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals["style"] = Markup(_style())  # noqa: S704 - our own file, which must stay byte-equal to its hash
    return environment


@functools.cache
def _style() -> str:
    return (TEMPLATES / "style.css").read_text(encoding="utf-8")


@functools.cache
def _policy(form_action: str) -> str:
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action {form_action}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
