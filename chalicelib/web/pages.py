"""The pages that mailbox owners meet: rendering, headers, and which page belongs to what.

No page has a script, loads anything or names a secret other than the reader's own connect link. The style
stands in the page and is allowed by its hash, so a page is one request and needs to know no base path.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chalice.app import Response

from chalicelib.errors import (
    Conflict,
    Forbidden,
    MailgrantError,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    Unavailable,
)
from chalicelib.web.errors import GUARD_HEADERS, INTERNAL, internal_error, refusal_headers

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"

GONE = 410
GONE_CODES = frozenset({"link_exhausted", "link_expired", "link_used"})
"""Codes of connect links that did exist: 410, since asking again cannot help (RFC 9110, 15.5.11)."""

BOXES = {
    "https://outlook.office.com/SMTP.Send": "Send emails from your mailbox using SMTP AUTH",
    "https://mail.google.com/": "Read, compose, send, and permanently delete all your email from Gmail",
}
"""Scope → what the box to tick is called on the provider's own page."""

HEADINGS: Mapping[type[MailgrantError], str] = {
    MalformedRequest: "This sign-in cannot be completed",
    Forbidden: "This sign-in was not started in this browser",
    NotFound: "This link does not work",
    MethodNotAllowed: "This page can only be opened",
    Conflict: "This is not possible now",
    TooLarge: "This is too long to be a sign-in",
    Unavailable: "Mailgrant cannot be reached at this moment",
}
"""What went wrong → the page's heading."""

HEADINGS_OF_CODES = {
    "link_used": "This link has done its work",
    "link_expired": "This link has expired",
    "link_exhausted": "This link was used too often",
    "cross_site": "This sign-in was not begun by you",
}
"""The same for codes that say it more precisely."""

PageView = Callable[..., Response]


def page(template: str, *, status: int = 200, leaves: bool = False, **values: Any) -> Response:
    """The answer that shows a template with its values, all of them escaped.

    `leaves` marks a page whose form ends at the provider: browsers apply `form-action` to every redirect of
    a form's answer, so that page allows any https address there.
    """
    html = _environment().get_template(f"{template}.html").render(values)
    headers = {**GUARD_HEADERS, "Content-Type": "text/html; charset=utf-8"}
    headers["Content-Security-Policy"] = _policy("'self' https:" if leaves else "'self'")
    return Response(body=html, status_code=status, headers=dict(headers))


def paged(view: PageView) -> PageView:
    """Wraps a view of pages: whatever it raises becomes a page that says what is wrong and what to do."""

    @functools.wraps(view)
    def answered(**path: str) -> Response:
        try:
            return view(**path)
        except MailgrantError as error:
            return problem(error)
        except Exception as error:  # noqa: BLE001 - the edge: nobody above could answer
            shown = internal_error(error)["error"]
            return _problem(INTERNAL, "Something went wrong here", shown, ours=True)

    return answered


def problem(error: MailgrantError) -> Response:
    """The page for an error; its status is the error's own, or 410 for a link that has ended."""
    shown = error.to_json()["error"]
    status = GONE if shown["code"] in GONE_CODES else error.status
    heading = HEADINGS_OF_CODES.get(error.error_code) or HEADINGS.get(type(error), "This did not work")
    response = _problem(status, heading, shown, ours=error.status >= INTERNAL)
    response.headers.update(refusal_headers(error))
    return response


def boxes(scopes: Iterable[str]) -> list[str]:
    """What the boxes of these scopes are called at the provider; a scope that has no name there as it is."""
    return [BOXES.get(scope, scope) for scope in scopes]


def _problem(status: int, heading: str, shown: Mapping[str, Any], *, ours: bool) -> Response:
    texts = {name: shown[name] for name in ("message", "fix", "code")}
    return page("problem", status=status, heading=heading, ours=ours, **texts)


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
