"""How providers are spoken to: facts as data, a module per library, one table of their errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.accounts.models import Connector
    from chalicelib.providers.base import Provider
    from chalicelib.providers.catalogue import Catalogue
    from chalicelib.providers.facts import ProviderFacts


class Providers:
    """The providers of a deployment, each spoken to by its own library.

    `web_identity` gives a token that AWS signs for this function's role (sts:GetWebIdentityToken).
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        web_identity: Callable[[], str],
        extra_ca: str = "",
        now: clock.Clock = clock.now,
    ) -> None:
        self._catalogue = catalogue
        self._web_identity = web_identity
        self._extra_ca = extra_ca
        self._now = now
        self._usual: dict[str, Provider] = {}

    def of(self, connector: Connector) -> Provider:
        """The connector's provider, with what is known of it for this connector."""
        facts = self._catalogue.of(connector)
        return self._speaking(facts) if connector.facts else self.usual(facts.name)

    def usual(self, name: str) -> Provider:
        """The provider with that name in the catalogue, for connectors without facts of their own."""
        if name not in self._usual:
            self._usual[name] = self._speaking(self._catalogue[name])
        return self._usual[name]

    def _speaking(self, facts: ProviderFacts) -> Provider:
        if facts.speaks == "microsoft":
            from chalicelib.providers.microsoft import Microsoft

            return Microsoft(facts, web_identity=self._web_identity, extra_ca=self._extra_ca, now=self._now)
        from chalicelib.providers.google import Google

        return Google(facts, extra_ca=self._extra_ca, now=self._now)
