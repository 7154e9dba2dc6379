"""The hosts that a user has named for a connector: looked up when they are saved, and at each connection."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from chalicelib.errors import InvalidInput, Unavailable
from chalicelib.providers.facts import ADDRESSES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from chalicelib.network import Resolve
    from chalicelib.providers.facts import ProviderFacts

HTTPS = 443
PROTOCOLS = ("smtp", "imap", "pop")


def require_public(facts: ProviderFacts, named: Collection[str], resolve: Resolve) -> None:
    """Raises InvalidInput, naming the fact, where a host or port must not be connected to.

    `named` are the facts that a user has given. A name that nobody can look up at this moment passes: what
    counts is what it means when it is connected to.
    """
    for fact, host, port in _servers(facts, named):
        try:
            with suppress(Unavailable):
                resolve(host, port)
        except InvalidInput as error:
            raise InvalidInput(
                error.message, fix=error.fix, field=f"facts.{fact}", code=error.error_code
            ) from error


def _servers(facts: ProviderFacts, named: Collection[str]) -> Iterator[tuple[str, str, int]]:
    for fact in sorted(ADDRESSES.intersection(named)):
        address = urlsplit(getattr(facts, fact))
        yield fact, address.hostname or "", address.port or HTTPS
    for protocol in PROTOCOLS:
        host, port = f"{protocol}_host", f"{protocol}_port"
        if {host, port}.intersection(named) and getattr(facts, host):
            yield host if host in named else port, getattr(facts, host), getattr(facts, port)
