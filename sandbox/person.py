"""A mailbox owner with a browser, by script: opens the connect link, signs in, consents, reads the result."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import requests

from sandbox.errors import SandboxError
from sandbox.provider.scripted import TIMEOUT_SECONDS, consent

SEE_OTHER = 303


class PageError(SandboxError):
    """A page of the application was not what its link promised; the text says what it was."""


@dataclass
class Person:
    """One browser with its own cookies, which trusts the sandbox's CA."""

    cafile: Path
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        """Keeps REQUESTS_CA_BUNDLE of the environment from replacing the sandbox's CA."""
        self.session.trust_env = False
        self.session.verify = str(self.cafile)

    def connect(
        self, link: str, *, mailbox: str, accept: bool = True, untick: Collection[str] = ()
    ) -> requests.Response:
        """Goes the whole way from the connect link, and returns the page that tells the result."""
        return self.session.get(
            self.callback(link, mailbox=mailbox, accept=accept, untick=untick), timeout=TIMEOUT_SECONDS
        )

    def callback(self, link: str, *, mailbox: str, accept: bool = True, untick: Collection[str] = ()) -> str:
        """Goes the same way as far as the callback's URL, which is not fetched."""
        return consent(self.begin(link), mailbox=mailbox, accept=accept, untick=untick, session=self.session)

    def begin(self, link: str) -> str:
        """Opens the connect link, presses its button, and returns the provider's URL that it leads to."""
        shown = self.session.get(link, timeout=TIMEOUT_SECONDS)
        if not shown.ok:
            raise PageError(f"the connect link answered {shown.status_code}: {heading(shown.text)}")
        answer = self.session.post(
            link,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            allow_redirects=False,
            timeout=TIMEOUT_SECONDS,
        )
        if answer.status_code != SEE_OTHER:
            raise PageError(f"the button answered {answer.status_code}: {heading(answer.text)}")
        return answer.headers["Location"]


def heading(page: str) -> str:
    """The text of a page's first heading, or its beginning if it has none."""
    found = re.search(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)
    return re.sub(r"<[^>]+>", "", found.group(1)).strip() if found else page[:200]
