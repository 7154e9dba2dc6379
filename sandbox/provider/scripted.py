"""A person at the provider's pages, by script: it reads the forms that it is shown and fills them in."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import requests

from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

TIMEOUT_SECONDS = 30
MAX_STEPS = 12


class ConsentError(SandboxError):
    """The provider's pages did not lead to a callback; the text says what they showed."""


@dataclass
class Form:
    """One form of a page: where it goes and the fields it would send, without its buttons."""

    form_id: str
    action: str
    fields: list[tuple[str, str]] = field(default_factory=list)


def consent(
    authorize_url: str,
    *,
    mailbox: str,
    accept: bool = True,
    untick: Collection[str] = (),
    session: requests.Session | None = None,
    cafile: str | Path | None = None,
) -> str:
    """Sign in as ``mailbox``, answer the consent page and return the callback URL without fetching it.

    ``untick`` names scopes whose boxes are cleared. ``session`` is a browser of the caller's, with its
    cookies and its ``verify``; without it a fresh one trusts ``cafile``. Raises ``ConsentError`` when a
    page shows an error, or when consent was to be refused or unticked and the provider did not ask.
    """
    if session is not None:
        return _Visit(session, mailbox, accept, frozenset(untick)).run(authorize_url)
    with requests.Session() as fresh:
        # REQUESTS_CA_BUNDLE in the environment would replace ``verify``.
        fresh.trust_env = False
        fresh.verify = str(cafile) if cafile else True
        return _Visit(fresh, mailbox, accept, frozenset(untick)).run(authorize_url)


@dataclass
class _Visit:
    session: requests.Session
    mailbox: str
    accept: bool
    untick: frozenset[str]
    asked: bool = False
    switched: bool = False

    def run(self, authorize_url: str) -> str:
        origin = _origin(authorize_url)
        response = self._get(authorize_url)
        for _ in range(MAX_STEPS):
            location = response.headers.get("Location")
            if location is None:
                response = self._answer(response)
            elif _origin(urljoin(response.url, location)) == origin:
                response = self._get(urljoin(response.url, location))
            else:
                return self._checked(location)
        raise ConsentError("the pages go round in circles")

    def _checked(self, callback: str) -> str:
        if not self.asked and (self.untick or not self.accept):
            raise ConsentError("the provider asked for no consent: it remembers one, or it refused by itself")
        return callback

    def _answer(self, response: requests.Response) -> requests.Response:
        page = _read(response)
        if not response.ok:
            raise ConsentError(f"{response.status_code}: {page.error or 'no explanation'}")
        if "consent" in page.forms:
            return self._consent(response, page.forms["consent"])
        if "sign-in" in page.forms:
            return self._post(response, page.forms["sign-in"].action, [("mailbox", self.mailbox)])
        raise ConsentError("a page without a form that is known")

    def _consent(self, response: requests.Response, form: Form) -> requests.Response:
        shown = dict(form.fields).get("mailbox", "")
        if shown.lower() != self.mailbox.lower() and not self.switched:
            self.switched = True
            return self._post(response, form.action, [*form.fields, ("decision", "another")])
        self.asked = True
        boxes = {value for name, value in form.fields if name == "scope"}
        if self.untick - boxes:
            raise ConsentError(f"no box for {', '.join(sorted(self.untick - boxes))}")
        kept = [item for item in form.fields if item[0] != "scope" or item[1] not in self.untick]
        decision = "accept" if self.accept else "refuse"
        return self._post(response, form.action, [*kept, ("decision", decision)])

    def _get(self, url: str) -> requests.Response:
        return self.session.get(url, allow_redirects=False, timeout=TIMEOUT_SECONDS)

    def _post(self, page: requests.Response, action: str, fields: list[tuple[str, str]]) -> requests.Response:
        url = urljoin(page.url, action)
        return self.session.post(url, data=fields, allow_redirects=False, timeout=TIMEOUT_SECONDS)


class _PageReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: dict[str, Form] = {}
        self.error = ""
        self._form: Form | None = None
        self._in_error = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self._in_error = self._in_error or attributes.get("id") == "error"
        if tag == "form":
            self._form = Form(attributes.get("id", ""), attributes.get("action", ""))
            self.forms[self._form.form_id] = self._form
        elif tag == "input" and self._form is not None:
            self._add_field(self._form, attributes)

    def _add_field(self, form: Form, attributes: dict[str, str]) -> None:
        ticked = attributes.get("type") != "checkbox" or "checked" in attributes
        if ticked and "name" in attributes:
            form.fields.append((attributes["name"], attributes.get("value", "on")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        self._in_error = self._in_error and tag != "p"

    def handle_data(self, data: str) -> None:
        if self._in_error:
            self.error += data


def _read(response: requests.Response) -> _PageReader:
    reader = _PageReader()
    reader.feed(response.text)
    return reader


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
