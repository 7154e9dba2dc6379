"""Fixtures for the tests of the sandbox's provider: a real one on loopback, and a world around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests
import trustme

from sandbox.provider import ControlClient, Provider
from tests.sandbox.provider.world import CALLBACK, Certificates, World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_foreign_ca_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    # requests lets these replace ``verify``, also inside msal and google-auth.
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)


@pytest.fixture(scope="session")
def provider_certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A CA and a certificate for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("provider-tls")
    files = Certificates(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(files.ca)
    certificate.private_key_pem.write_to_path(files.key)
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(files.cert, append=True)
    return files


@pytest.fixture(scope="session")
def _running_provider(provider_certificates: Certificates) -> Iterator[Provider]:
    files = provider_certificates
    with Provider(certfile=files.cert, keyfile=files.key) as provider:
        yield provider


@pytest.fixture
def world(_running_provider: Provider, provider_certificates: Certificates) -> Iterator[World]:
    """A provider that was reset and given a client and people at each side."""
    control = ControlClient(_running_provider.url, provider_certificates.ca)
    control.reset()
    control.register_client("ms-client", "ms-client-secret", [CALLBACK], "microsoft", name="Acme Mail")
    control.register_client("g-client", "g-client-secret", [CALLBACK], "google", name="Acme Mail")
    control.register_user("anna@contoso.example", name="Anna Arendt", aliases=["a@contoso.example"])
    control.register_user("carl@outlook.example", tenant="consumers", provider="microsoft")
    control.register_user("bob@gmail.example", name="Bob Berg", provider="google")
    control.register_user("dora@acme.example", provider="google", tenant="acme.example")
    with requests.Session() as http:
        http.trust_env = False
        http.verify = str(provider_certificates.ca)
        yield World(_running_provider, control, provider_certificates.ca, http)
    control.close()
