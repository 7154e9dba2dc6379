"""What accounts and mail both use: callers, facts, lanes, sessions with mail servers."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from chalicelib.wiring.aws import Aws

if TYPE_CHECKING:
    import ssl

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.callers.rates import Rates
    from chalicelib.callers.registry import Callers
    from chalicelib.mail.lane import Lane
    from chalicelib.network import Trust
    from chalicelib.providers.catalogue import Catalogue
    from chalicelib.providers.facts import ProviderFacts
    from chalicelib.transports.smtp.session import SmtpSession


class Shared(Aws):
    """What accounts and mail both use."""

    @cached_property
    def callers(self) -> Callers:
        """Who may use what."""
        from chalicelib.callers.registry import Callers

        return Callers(self.callers_table, self.clock)

    @cached_property
    def rates(self) -> Rates:
        """How many messages callers hand in."""
        from chalicelib.callers.rates import Rates

        return Rates(self.rates_table, self.clock)

    @cached_property
    def catalogue(self) -> Catalogue:
        """The facts about providers."""
        from chalicelib.providers.catalogue import Catalogue

        return Catalogue(self.settings.provider_endpoints)

    @cached_property
    def lane(self) -> Lane:
        """The lanes of the accounts."""
        from chalicelib.mail.lane import Lane

        return Lane(self.lanes_table, self.messages_table, self.wakeups, self.clock)

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """How mail servers are trusted."""
        from chalicelib.network import tls_context

        return tls_context(self.settings.extra_ca)

    def trust_of(self, facts: ProviderFacts) -> Trust:
        """How the servers of a provider are trusted and found."""
        from chalicelib.network import Trust

        return Trust(self.settings.extra_ca, self.resolve).also(facts.extra_ca)

    def tls_of(self, facts: ProviderFacts) -> ssl.SSLContext:
        """How the mail servers of a provider are trusted."""
        from chalicelib.network import tls_context

        return tls_context(self.trust_of(facts).extra_ca) if facts.extra_ca else self.tls

    def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a host that may be connected to."""
        from chalicelib.network import resolve

        return resolve(host, port, self.settings.allowed_private_networks)

    def _open_session(self, account: Account, connector: Connector, **heard: Any) -> SmtpSession:
        from chalicelib.accounts.models.account import AuthMode
        from chalicelib.transports.smtp.sasl import Login
        from chalicelib.transports.smtp.session import Server, SmtpSession

        facts = self.catalogue.of(connector)
        return SmtpSession(
            Server(facts.smtp_host, facts.smtp_port, implicit_tls=facts.smtp_tls == "implicit"),
            Login(account.user, by_password=account.auth_mode is AuthMode.PASSWORD),
            tls=self.tls_of(facts),
            resolve=self.resolve,
            **heard,
        )
