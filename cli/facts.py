"""What an administrator says of a provider: a command's options, and the API's facts for them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from typing import Any, Final

import click

from cli.credentials import FILE

_SERVER: Final = re.compile(r"(?P<host>[^\s:/@]+)(?::(?P<port>\d{1,5}))?(?:/(?P<tls>tls|starttls))?")
IMPLICIT: Final = 465
"""The port of SMTP at which TLS comes first (RFC 8314)."""


def smtp_of(text: str) -> dict[str, Any]:
    """HOST:PORT[/tls]: with /tls, and at port 465, TLS comes first; else STARTTLS. Raises BadParameter."""
    found = _server(text)
    port = int(found["port"] or 587)
    usual = "tls" if port == IMPLICIT else "starttls"
    tls = {"tls": "implicit", "starttls": "starttls"}[found["tls"] or usual]
    return {"smtp_host": found["host"], "smtp_port": port, "smtp_tls": tls}


def _smtp(_context: click.Context, _parameter: click.Parameter, text: str | None) -> dict[str, Any]:
    return {} if text is None else smtp_of(text)


def _reading(name: str, usual: int) -> Callable[..., dict[str, Any]]:
    """HOST[:PORT] of IMAP or POP3, where TLS always comes first."""

    def read(_context: click.Context, _parameter: click.Parameter, text: str | None) -> dict[str, Any]:
        if text is None:
            return {}
        found = _server(text)
        if found["tls"] == "starttls":
            raise click.BadParameter(f"{name.upper()} is spoken with TLS from the beginning.")
        return {f"{name}_host": found["host"], f"{name}_port": int(found["port"] or usual)}

    return read


def _server(text: str) -> re.Match[str]:
    found = _SERVER.fullmatch(text)
    if found is None:
        raise click.BadParameter("Write it as HOST:PORT, or HOST:PORT/tls where TLS comes first.")
    return found


def _named(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
    """NAME=VALUE; the value is JSON where it is that, else text."""
    found = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{one!r} is not NAME=VALUE.")
        try:
            found[name.strip()] = json.loads(text)
        except ValueError:
            found[name.strip()] = text
    return found


OPTIONS: Final = (
    click.option(
        "--smtp", callback=_smtp, help="Its server of outgoing mail, HOST:PORT; /tls where TLS comes first."
    ),
    click.option("--imap", callback=_reading("imap", 993), help="Its server of IMAP: HOST or HOST:PORT."),
    click.option("--pop", callback=_reading("pop", 995), help="Its server of POP3: HOST or HOST:PORT."),
    click.option(
        "--fact",
        "named",
        multiple=True,
        callback=_named,
        help="Another fact, NAME=VALUE, such as token=https://…; may be repeated.",
    ),
    click.option("--extra-ca", type=FILE, help="The certificate (PEM) of the authority of its servers."),
)


def with_facts(command: Callable[..., int]) -> Callable[..., int]:
    """A command with the options of facts; it is handed them as `facts`, {} where none is given."""

    @functools.wraps(command)
    def read(*, smtp: Any, imap: Any, pop: Any, named: Any, extra_ca: Any, **rest: Any) -> int:
        authority = {"extra_ca": extra_ca.read_text(encoding="ascii", errors="replace")} if extra_ca else {}
        return command(facts={**smtp, **imap, **pop, **named, **authority}, **rest)

    for option in reversed(OPTIONS):
        read = option(read)
    return read
