"""Which addresses may be connected to."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest

from chalicelib.errors import ConfigurationError, InvalidInput, Unavailable
from chalicelib.network import are_authorities, reachable, resolve, tls_context
from sandbox.certs import Authority

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.mark.parametrize("address", ["8.8.8.8", "2607:f8b0::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_a_public_address_is_reachable(address: str) -> None:
    assert reachable(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - an address that is refused
        "224.0.0.1",
        "240.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:a9fe:a9fe",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_b56_any_other_address_is_not(address: str) -> None:
    assert not reachable(ip_address(address))


@pytest.mark.parametrize("host", ["169.254.169.254", "2852039166", "0x7f.1", "localhost", "::1"])
def test_b56_a_host_at_a_private_address_is_refused(host: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        resolve(host, 587)

    assert refused.value.error_code == "private_address"


@pytest.mark.parametrize("port", [22, 25, 80, 6379, 9001, 65536])
def test_B58_a_port_of_another_service_is_refused(port: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        resolve("8.8.8.8", port)

    assert refused.value.error_code == "port_not_allowed"
    assert refused.value.field == "port"


@pytest.mark.parametrize("port", [443, 465, 587, 993, 995])
def test_a_port_of_a_web_or_mail_server_is_taken(port: int) -> None:
    assert resolve("8.8.8.8", port) == ["8.8.8.8"]


def test_in_an_allowed_network_every_port_is() -> None:
    assert resolve("127.0.0.1", 2222, LOOPBACK) == ["127.0.0.1"]


def test_one_private_address_of_several_is_enough_to_refuse_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(0, 0, 0, "", (address, 443)) for address in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)

    with pytest.raises(InvalidInput):
        resolve("two.example", 443)


def test_an_allowed_network_is_the_exception() -> None:
    assert resolve("127.0.0.1", 587, LOOPBACK) == ["127.0.0.1"]
    with pytest.raises(InvalidInput):
        resolve("10.0.0.1", 587, LOOPBACK)


def test_a_name_that_cannot_be_resolved_is_tried_again() -> None:
    with pytest.raises(Unavailable):
        resolve("nowhere.invalid", 587)


def test_authorities_are_certificates_and_not_too_many(tmp_path: Path) -> None:
    pem = Authority.create(tmp_path).pem

    assert are_authorities(pem)
    assert not are_authorities(pem * 100)
    assert not any(are_authorities(text) for text in ("", "x", "-----BEGIN CERTIFICATE-----\nx\n"))


def test_a_broken_authority_is_a_broken_installation() -> None:
    with pytest.raises(ConfigurationError):
        tls_context("not a certificate")
