"""Fixtures: one mail server and one provider for all tests of a worker, emptied before each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trustme

from sandbox.mailserver.client import MailServerClient
from sandbox.mailserver.server import Certificate, MailServer
from tests.sandbox.mailserver.support import StandInProvider, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Return the CA that signs every certificate."""
    return trustme.CA()


@pytest.fixture(scope="session")
def cafile(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of the CA's certificate."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(scope="session")
def certificate(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Return a good certificate for 127.0.0.1."""
    return write_certificate(authority, "127.0.0.1", tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="session")
def wrong_name(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Return a certificate of the CA for another host."""
    return write_certificate(authority, "elsewhere.test", tmp_path_factory.mktemp("wrong"))


@pytest.fixture(scope="session")
def running(certificate: Certificate, cafile: str) -> Iterator[World]:
    """Run the provider's stand-in and the mail server."""
    provider = StandInProvider(certificate.certfile, certificate.keyfile)
    with MailServer(certificate.certfile, certificate.keyfile, provider.url, cafile) as server:
        yield World(server, MailServerClient(server.url), provider, cafile)
    provider.stop()


@pytest.fixture
def world(running: World) -> World:
    """Return the running servers, emptied."""
    running.client.reset()
    running.provider.tokens.clear()
    running.provider.passwords.clear()
    running.provider.status = 200
    return running


def write_certificate(authority: trustme.CA, host: str, folder: Path) -> Certificate:
    """Issue a certificate and write it and its key into the folder."""
    issued = authority.issue_cert(host)
    certfile, keyfile = folder / "cert.pem", folder / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(certfile))
    issued.private_key_pem.write_to_path(str(keyfile))
    return Certificate(str(certfile), str(keyfile))
