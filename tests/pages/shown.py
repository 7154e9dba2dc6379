"""Every page, made from the product's own templates with everyday values; and a server that shows them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from chalicelib.clock import DAY, HOUR
from chalicelib.errors import Forbidden, MalformedRequest, NotFound, RateLimited, Unavailable
from chalicelib.providers.catalogue import GOOGLE, MICROSOFT
from chalicelib.web.pages import languages
from chalicelib.web.pages.connect import result_page
from chalicelib.web.pages.pages import named_links, page, problem

if TYPE_CHECKING:
    from chalice.app import Response

    from chalicelib.web.pages.languages import Language

Shown = Callable[["Language"], "Response"]

LINK = "L" * 32
ACCOUNT = "acc_" + "a" * 20
MAILBOX = "sales.and.customer-care@northern-branch.example"
JANUARY = 1_769_850_300_000
"""The last day of January 2026, 09:05 UTC."""
USED = JANUARY + 14 * DAY
UNTIL = USED + 3 * HOUR


def confirm(facts: Any, person: str = "") -> Shown:
    """The page of a connect link; of a shared mailbox it names the person who signs in."""
    values = {
        "address": MAILBOX,
        "person": person,
        "asked_by": "Northern Branch order desk",
        "provider": facts.name.capitalize(),
        "permissions": facts.scopes_in_words,
        "expires_at": JANUARY,
    }
    return lambda language: page(language, "confirm", leaves=True, **values)


def outcome(kind: str, *, retry: str | None = LINK, again: bool = False, **more: Any) -> Shown:
    """The result page of an outcome, in the browser that signed in."""
    known = {"outcome": kind, "expected": MAILBOX, "account": ACCOUNT, **more}
    return lambda language: result_page(
        known, language, retry=retry, again=again, withdraw=MICROSOFT.withdraw
    )


def elsewhere(kind: str, *, again: bool = False) -> Shown:
    """The result page of an outcome, for who has only its address."""
    return lambda language: result_page({"outcome": kind}, language, retry=None, again=again)


def visit(kind: str, **more: Any) -> Shown:
    """The result page of a visitor's sign-in."""
    return lambda language: result_page({"outcome": kind, "account": ACCOUNT, **more}, language, retry=None)


def failing(error: Any) -> Shown:
    """The page of an error."""
    return lambda language: problem(error, language)


def owners(template: str, facts: Any = GOOGLE, **values: Any) -> Shown:
    """A page that only a mailbox's owner sees."""
    known = {
        "account": ACCOUNT,
        "address": MAILBOX,
        "provider": facts.name.capitalize(),
        "withdraw": named_links(facts.withdraw),
        "waiting": 0,
    }
    return lambda language: page(language, template, **{**known, **values})


def own_page(facts: Any = GOOGLE, **values: Any) -> Shown:
    """The owner's own page."""
    usual = {
        "state": "connected",
        "permissions": facts.scopes_in_words,
        "asked_by": "Northern Branch order desk",
        "connected_at": JANUARY,
        "used_at": USED,
        "until": UNTIL,
        "most_counted": 100,
    }
    return owners("owner", facts, **{**usual, **values})


DIAGNOSIS = {
    "class": "admin",
    "code": "AADSTS7000222",
    "message": "The client secret has expired.",
    "fix": "Create a new one in Entra (Certificates & secrets) and save it in the connector.",
}

PAGES: dict[str, Shown] = {
    "confirm-microsoft": confirm(MICROSOFT),
    "confirm-google": confirm(GOOGLE),
    "confirm-shared": confirm(MICROSOFT, "ada.lovelace@northern-branch.example"),
    "connected": outcome("connected"),
    "connected-elsewhere": elsewhere("connected", again=True),
    "refused": outcome("refused"),
    "refused-elsewhere": elsewhere("refused"),
    "wrong-mailbox": outcome("wrong_mailbox", found="someone.else@personal.example"),
    "wrong-mailbox-unproven": outcome("wrong_mailbox", found="s.one@personal.example", unproven=True),
    "wrong-mailbox-elsewhere": elsewhere("wrong_mailbox"),
    "scope-missing": outcome("scope_missing", missing_scopes=list(GOOGLE.required_scopes)),
    "scope-missing-elsewhere": elsewhere("scope_missing"),
    "identity-missing": outcome("identity_missing"),
    "failed": outcome("failed", diagnosis=DIAGNOSIS),
    "visit": lambda language: page(language, "visit", leaves=True),
    "visited-elsewhere": elsewhere("visited"),
    "not-owner": visit("not_owner"),
    "visit-refused": visit("visit_refused"),
    "visit-failed": visit("visit_failed", diagnosis=DIAGNOSIS),
    "owner": own_page(),
    "owner-unused": own_page(MICROSOFT, used_at=None, waiting=1),
    "owner-held": own_page(MICROSOFT, state="needs_reconnect", waiting=12),
    "owner-blocked": own_page(state="blocked", waiting=100),
    "disconnect-google": owners("disconnect", revokes=True),
    "disconnect-microsoft": owners("disconnect", MICROSOFT, revokes=False, waiting=3),
    "disconnected-google": owners("disconnected", at=JANUARY, revocation="revoked"),
    "disconnected-shared": owners("disconnected", at=JANUARY, revocation="shared"),
    "disconnected-failed": owners("disconnected", at=JANUARY, revocation="failed"),
    "disconnected-microsoft": owners(
        "disconnected", MICROSOFT, at=JANUARY, revocation="unsupported", waiting=3
    ),
    "malformed-callback": failing(MalformedRequest("x", fix="x", code="malformed_callback")),
    "wrong-browser": failing(Forbidden("x", fix="x", code="wrong_browser")),
    "link-used": failing(NotFound("x", fix="x", code="link_used")),
    "link-expired": failing(NotFound("x", fix="x", code="link_expired")),
    "too-many-sign-ins": failing(RateLimited("x", fix="x", retry_after=600, code="too_many_sign_ins")),
    "unavailable": failing(Unavailable("The store did not answer.", fix="Load this page again.")),
}


@dataclass
class Site:
    """Serves the pages on this machine, each in the language that is asked for, and notes every request."""

    url: str = ""
    requests: list[str] = field(default_factory=list)


@contextmanager
def served() -> Iterator[Site]:
    """A server of the pages, with their own status and headers."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.requests.append(self.path)
            language = languages.choose(self.headers.get("Accept-Language", ""))
            response = PAGES[self.path.strip("/")](language)
            self.send_response(response.status_code)
            for name, value in response.headers.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(response.body.encode())

        def log_message(self, *_: Any) -> None:
            """Keeps the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        site.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield site
        server.shutdown()
        thread.join()
