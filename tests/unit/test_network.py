"""Which addresses may be connected to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


NOT_PUBLIC = (
    *("64:ff9b:1::1", "64:ff9b:1:ffff::808:808", "::8.8.8.8", "::127.0.0.1", "::ffff:0:8.8.8.8"),
    *("::ffff:0:127.0.0.1", "fec0::1", "feff::1", "::ffff:10.0.0.1", "::ffff:0.0.0.0", "64:ff9b::a00:1"),
    *("2002:a00:1::", "2002:c0a8:101::1", "2002:a9fe:a9fe::", "2002:e000:1::", "2001::1", "2001:0:a00:1::"),
    *("2001:0:808:808:0:0:f5ff:fffe", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "3fff::1"),
    *("5f00::1", "100::1", "100:0:0:1::1", "4000::1", "::2", "ff0e::1", "fd00::1", "febf::1"),
    *("2607:f8b0::5efe:10.0.0.1", "2607:f8b0::200:5efe:127.0.0.1", "fe80::5efe:8.8.8.8"),
    *("0.1.2.3", "100.127.255.255", "172.31.0.1", "192.0.0.1", "192.0.0.9", "192.0.0.170", "192.0.2.1"),
    *("192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "239.255.255.255"),
    *("255.255.255.255", "254.0.0.1"),
)
PUBLIC = (
    *("9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0"),
    *("192.0.1.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2a00:1450::1", "2001:4860::1"),
    *("2001:200::1", "2002:808:808::1", "2607:f8b0::5efe:8.8.8.8", "64:ff9b::808:808"),
)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_ud8_an_address_for_a_special_purpose_is_not_public(address: str) -> None:
    assert not reachable(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_ud8_an_address_beside_these_is_public(address: str) -> None:
    assert reachable(ip_address(address))


@settings(deadline=None)
@given(st.ip_addresses(v=4))
def test_ud8_a_wrapped_address_is_as_public_as_the_one_inside(inside: IPv4Address) -> None:
    number = int(inside)
    wrapped = (
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(0x64FF9B << 96 | number),
        IPv6Address(0x2002 << 112 | number << 80),
        IPv6Address(0x2001 << 112 | 0x08080808 << 64 | number ^ 0xFFFFFFFF),
        IPv6Address(0x2A00_1450 << 96 | 0x5EFE << 32 | number),
    )

    assert {reachable(one) for one in wrapped} == {reachable(inside)}
    assert not any(
        reachable(IPv6Address(prefix | number)) for prefix in (0, 0xFFFF << 48, 0x64FF9B0001 << 80)
    )


@settings(deadline=None)
@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_ud8_nothing_is_public_that_the_library_calls_private(address: IPv4Address | IPv6Address) -> None:
    if address.is_private or address.is_link_local or address.is_loopback or address.is_multicast:
        carries = isinstance(address, IPv6Address) and (address.teredo or address.ipv4_mapped)
        assert carries or not reachable(address)


@pytest.mark.parametrize(
    "host",
    [
        *("127.1", "0177.0.0.1", "0x7f000001", "2130706433", "017700000001", "127.0.0.1.", "0"),
        *(
            "0xa9fea9fe",
            "\uff11\uff12\uff17.0.0.1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "fe80::1%1",
            "fec0::1",
        ),
        *("64:ff9b:1::7f00:1", "::ffff:0:127.0.0.1", "[::1]", "", "127.0.0.1\0.example", "a" * 300),
    ],
)
def test_ud8_no_spelling_of_an_address_that_is_not_public_leads_there(host: str) -> None:
    with pytest.raises((InvalidInput, Unavailable)):
        resolve(host, 587)


def test_ud8_what_a_wrapped_address_carries_is_allowed_as_a_whole() -> None:
    allowed = (ip_network("10.0.0.0/8"),)

    assert reachable(ip_address("::ffff:10.0.0.1"), allowed)
    assert reachable(ip_address("64:ff9b::a00:1"), allowed)
    assert not reachable(ip_address("2001:0:a00:1::3f57:fffe"), allowed)  # 10.0.0.1 and 192.168.0.1
    assert not reachable(ip_address("2607:f8b0::5efe:127.0.0.1"), allowed)


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
