"""The accounts side together with a mail server that takes the provider's tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sandbox.dovecot import Dovecot
from sandbox.mailserver.client import MailServerClient
from sandbox.mailserver.server import MailServer
from tests.unit.accounts_world import World
from tests.unit.mail_world import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.certs import Authority
    from sandbox.provider import ControlClient, Provider
    from tests.unit.aws_tables import Aws


@pytest.fixture(scope="session")
def mail_server(people: tuple[Provider, ControlClient, Authority]) -> Iterator[MailServer]:
    """A mail server that takes the provider's tokens."""
    provider, _, authority = people
    certificate = authority.issue("mail")
    with MailServer(certificate.certfile, certificate.keyfile, provider.url, authority.cafile) as server:
        yield server


@pytest.fixture(scope="session")
def dovecot(people: tuple[Provider, ControlClient, Authority]) -> Iterator[Dovecot]:
    """A server of IMAP and POP3 that takes the provider's tokens and app passwords."""
    if missing := Dovecot.missing():
        pytest.skip(missing)
    provider, _, authority = people
    with Dovecot(authority.issue("dovecot"), provider.url, authority.cafile) as server:
        yield server


@pytest.fixture
def mail(mail_server: MailServer) -> MailServerClient:
    """The mail server, empty and without faults."""
    client = MailServerClient(mail_server.url)
    client.reset()
    return client


@pytest.fixture
def mailing(
    aws: Aws, people: tuple[Provider, ControlClient, Authority], mail_server: MailServer
) -> Iterator[World]:
    """The services of a deployment whose providers have this mail server."""
    provider, control, authority = people
    world = World(aws, provider, control, authority)
    known = world.settings.provider_endpoints
    hosts = {"microsoft": mail_server.microsoft, "google": mail_server.google}
    world.settings = replace(
        world.settings,
        provider_endpoints={
            name: {**known[name], "smtp_host": host, "smtp_port": port}
            for name, (host, port) in hosts.items()
        },
        allowed_private_networks=LOOPBACK,
    )
    yield world
    control.clear_faults()
