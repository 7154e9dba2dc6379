"""How providers are spoken to: facts as data, a module per library, one table of their errors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chalicelib import clock
from chalicelib.errors import InvalidInput
from chalicelib.network import are_authorities
from chalicelib.providers.facts import ADDRESSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.accounts.models.connector import Connector
    from chalicelib.network import Resolve, Trust
    from chalicelib.providers.base import Provider
    from chalicelib.providers.catalogue import Catalogue
    from chalicelib.providers.facts import ProviderFacts


class Providers:
    """The providers of a deployment, each spoken to by its own library.

    `web_identity` gives a token that AWS signs for this function's role (sts:GetWebIdentityToken); `resolve`
    the addresses of hosts that a user has named.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        web_identity: Callable[[], str],
        trust: Trust,
        resolve: Resolve,
        now: clock.Clock = clock.now,
    ) -> None:
        self._catalogue = catalogue
        self._web_identity = web_identity
        self._trust = trust
        self._resolve = resolve
        self._now = now
        self._usual: dict[str, Provider] = {}

    def of(self, connector: Connector) -> Provider:
        """The connector's provider, with what is known of it for this connector."""
        facts = self._catalogue.of(connector)
        if not connector.facts:
            return self.usual(facts.name)
        trust = self._trust.also(facts.extra_ca)
        named = ADDRESSES & connector.facts.keys()
        return self._speaking(facts, replace(trust, resolve=self._resolve) if named else trust)

    def usual(self, name: str) -> Provider:
        """The provider with that name in the catalogue, for connectors without facts of their own."""
        if name not in self._usual:
            self._usual[name] = self._speaking(self._catalogue[name], self._trust)
        return self._usual[name]

    def discover(self, issuer: str, extra_ca: str = "") -> dict[str, Any]:
        """What the provider with that issuer says of itself: see discovery.discover. Raises InvalidInput."""
        from chalicelib.providers.discovery import discover
        from chalicelib.providers.http import ProviderHttp

        if extra_ca and not are_authorities(extra_ca):
            raise InvalidInput(
                "The extra_ca is not a list of certificates.",
                fix="Give their PEM text.",
                field="facts.extra_ca",
            )
        trust = replace(self._trust.also(extra_ca), resolve=self._resolve)
        return discover(issuer, ProviderHttp("other", trust))

    def _speaking(self, facts: ProviderFacts, trust: Trust) -> Provider:
        if facts.speaks == "microsoft":
            from chalicelib.providers.microsoft import Microsoft

            return Microsoft(facts, web_identity=self._web_identity, trust=trust, now=self._now)
        if facts.speaks == "google":
            from chalicelib.providers.google import Google

            return Google(facts, trust=trust, now=self._now)
        from chalicelib.providers.openid import OpenId

        return OpenId(facts, trust=trust, now=self._now)
