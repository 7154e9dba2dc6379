"""How an account is tried out at its servers, by protocol; only what is used is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.transports.refusals import Refused
from chalicelib.transports.smtp.probe import Step

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.accounts.trying import Probe
    from chalicelib.providers.facts import ProviderFacts
    from chalicelib.secret import Secret
    from chalicelib.transports.api import Site
    from chalicelib.transports.dialling import Place
    from chalicelib.transports.smtp.sasl import Login
    from chalicelib.wiring.shared import Shared

Probed = tuple[list[Step], Refused | None]


def probes(shared: Shared, smtp: Probe) -> dict[str, Probe]:
    """The probe of each protocol; that of SMTP is given."""

    def imap(account: Account, connector: Connector, secret: Secret, seconds: float) -> Probed:
        from chalicelib.transports.imap import probe

        facts = shared.catalogue.of(connector)
        place = _place(shared, facts, facts.imap_host, facts.imap_port)
        return probe(place, _login(account), secret, seconds)

    def pop(account: Account, connector: Connector, secret: Secret, seconds: float) -> Probed:
        from chalicelib.transports.pop import probe

        facts = shared.catalogue.of(connector)
        place = _place(shared, facts, facts.pop_host, facts.pop_port)
        return probe(place, _login(account), secret, seconds)

    def graph(account: Account, connector: Connector, secret: Secret, seconds: float) -> Probed:
        from chalicelib.transports.graph import probe

        facts = shared.catalogue.of(connector)
        return probe(_site(shared, facts, facts.graph), account.address, secret, seconds)

    def gmail(account: Account, connector: Connector, secret: Secret, seconds: float) -> Probed:
        from chalicelib.transports.gmail import probe

        facts = shared.catalogue.of(connector)
        # A profile names the person's own address, also where the mailbox is one of their aliases.
        return probe(_site(shared, facts, facts.gmail), account.owner_address, secret, seconds)

    return {"smtp": smtp, "imap": imap, "pop": pop, "graph": graph, "gmail": gmail}


def _site(shared: Shared, facts: ProviderFacts, url: str) -> Site:
    from chalicelib.transports.api import Site

    return Site(url, shared.trust_of(facts))


def _place(shared: Shared, facts: ProviderFacts, host: str, port: int) -> Place:
    from chalicelib.transports.dialling import Place

    return Place(host, port, shared.tls_of(facts), shared.resolve)


def _login(account: Account) -> Login:
    """How a mailbox is signed in to for reading: by its own name, whoever's token it is."""
    from chalicelib.accounts.models.account import AuthMode
    from chalicelib.transports.smtp.sasl import Login

    return Login(account.address, by_password=account.auth_mode is AuthMode.PASSWORD)
