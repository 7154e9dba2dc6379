"""Where secrets are noted: as this process makes them, and as they pass the sandbox's front."""

from __future__ import annotations

import logging
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from pathlib import PurePath
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib.errors import MailgrantError
from chalicelib.logs import ROOT, JsonFormatter
from sandbox import credentials
from tests.canary.canaries import Canaries

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from sandbox.aws.front import Exchange

KINDS: Final = {
    "chalicelib/callers/keys.py": "API key",
    "chalicelib/providers/google.py": "verifier",
    "chalicelib/accounts/connecting/sign_ins.py": "state or cookie",
    "chalicelib/accounts/admin/registry.py": "connect link",
    "sandbox/cast.py": "client secret",
    "sandbox/provider/dialect.py": "code or token",
    "tests/unit/accounts_world.py": "client secret",
    "tests/unit/mail_world.py": "access token",
    "tests/unit/test_web_ways.py": "password",
}
"""What `secrets.token_urlsafe` is called for in which module. Other modules of the application count too."""

_KEY = re.compile(r"mg_[0-9a-z]{20}_([A-Za-z0-9_-]{43})")
_LINK = re.compile(r"/connect/([A-Za-z0-9_-]{32})")


@contextmanager
def made_here(canaries: Canaries) -> Iterator[None]:
    """Notes what is made by `secrets.token_urlsafe`, and private keys, in this process."""
    original, original_pem = secrets.token_urlsafe, credentials._private_pem

    def token_urlsafe(nbytes: int | None = None) -> str:
        made = original(nbytes)
        if kind := _kind(sys._getframe(1).f_code.co_filename):
            canaries.add(kind, made)
        return made

    def private_pem(key: RSAPrivateKey) -> str:
        made = original_pem(key)
        canaries.add("private key", made.splitlines()[2])  # the lines before are alike in all keys
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrets, "token_urlsafe", token_urlsafe)
        patch.setattr(credentials, "_private_pem", private_pem)
        yield


def passing_the_front(canaries: Canaries) -> Callable[[Exchange], None]:
    """A watcher of the front that notes keys, connect links, cookies and states."""

    def watch(exchange: Exchange) -> None:
        text = f"{exchange.path}\n{exchange.authorization}\n{exchange.content.decode(errors='replace')}"
        for kind, shape in (("API key", _KEY), ("connect link", _LINK)):
            for secret in shape.findall(text):
                canaries.add(kind, secret)
        for name, value in exchange.headers:
            if name.lower() == "set-cookie":
                for morsel in SimpleCookie(value).values():
                    if "." not in morsel.value:  # the other cookie is a public id and a connect link
                        canaries.add("cookie", morsel.value)
            if name.lower() == "location":
                for state in parse_qs(urlsplit(value).query).get("state", ()):
                    canaries.add("state", state)

    return watch


@contextmanager
def said_here(said: list[tuple[str, str]]) -> Iterator[None]:
    """Collects what is logged in this process, and the texts of the application's errors, by place."""
    formatter, handle, init = JsonFormatter(), logging.Logger.handle, MailgrantError.__init__

    def handled(logger: logging.Logger, record: logging.LogRecord) -> None:
        # As in a deployment: what the libraries say below a warning, nobody asks for.
        if record.name.split(".")[0] == ROOT or record.levelno >= logging.WARNING:
            said.append(("log of this process", formatter.format(record)))
        handle(logger, record)

    def made(error: MailgrantError, *arguments: str, **facts: str) -> None:
        said.append(("error", f"{arguments} {facts}"))
        init(error, *arguments, **facts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.Logger, "handle", handled)
        patch.setattr(MailgrantError, "__init__", made)
        yield


def _kind(path: str) -> str | None:
    module = "/".join(PurePath(path).parts[-3:])
    if module in KINDS:
        return KINDS[module]
    short = "/".join(PurePath(path).parts[-2:])
    return KINDS.get(short) or ("secret of the application" if "/chalicelib/" in path else None)
