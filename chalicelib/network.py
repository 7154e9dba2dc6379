"""Which addresses may be connected to, and which certificates are believed."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from chalicelib.errors import ConfigurationError, InvalidInput, Unavailable

if TYPE_CHECKING:
    from chalicelib.settings import Network

Address = IPv4Address | IPv6Address

NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address."""
MAPPED = IPv6Network("::ffff:0:0/96")
TEREDO = IPv6Network("2001::/32")
SIX_TO_FOUR = IPv6Network("2002::/16")
CARRIERS = (NAT64, MAPPED, TEREDO, SIX_TO_FOUR)
"""What these carry decides whether they are public."""

ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})
"""The third quarter of an address whose last one is an IPv4 address (RFC 5214, 6.1), under any prefix."""

GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that IANA gives out of IPv6 (RFC 4291, 2.4). Whatever is outside is for some special purpose, such as
64:ff9b:1::/48, ::/96, ::ffff:0:0:0/96, fec0::/10, fc00::/7."""

NOT_PUBLIC = tuple(
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("2001::/23", "2001:db8::/32", "3fff::/20"),
    )
)
"""IANA's special-purpose addresses (RFC 6890 and its registries), and multicast, where a server cannot be.
Python's ipaddress knows them too, but each version of it others."""

CA_LIMIT = 16_384
"""Characters of a connector's own authorities."""
PORTS = frozenset({443, 465, 587, 993, 995, 2525, 8443})
"""Where web and mail servers listen. Others are for services that nobody should reach through us."""

Resolve = Callable[[str, int], list[str]]
"""Gives the addresses of a host that may be connected to; see `resolve`."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom HTTPS trusts: `extra_ca` (PEM) besides the usual authorities.

    With `resolve`, which hosts that a user has named need, it connects only to the addresses that this gives.
    """

    extra_ca: str = ""
    resolve: Resolve | None = None

    def also(self, extra_ca: str) -> Trust:
        """As this, with further authorities."""
        return replace(self, extra_ca="\n".join(one for one in (self.extra_ca, extra_ca) if one))


def tls_context(extra_ca: str = "") -> ssl.SSLContext:
    """A client context that verifies chain and host name, with TLS 1.2 or newer.

    `extra_ca` is PEM text of authorities that are trusted besides the system's (the sandbox has one).
    Raises ConfigurationError when it cannot be read.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if extra_ca:
        try:
            context.load_verify_locations(cadata=extra_ca)
        except ssl.SSLError as error:
            raise ConfigurationError("EXTRA_CA is not a list of PEM certificates") from error
    return context


def are_authorities(extra_ca: str) -> bool:
    """Whether the text is PEM of certificates, and not longer than some."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=extra_ca)
    except (ssl.SSLError, ValueError):
        return False
    return len(extra_ca) <= CA_LIMIT


def resolve(host: str, port: int, allowed_private_networks: Iterable[Network] = ()) -> list[str]:
    """The addresses of the host that may be connected to, in the resolver's order.

    Connect to one of these and not to the name: a second look-up might answer otherwise (DNS rebinding).
    If only one address of a name is not public, the whole name is refused. In the allowed networks any port
    will do. Raises InvalidInput (code ``private_address``, or ``port_not_allowed`` for a port that is not one
    of PORTS), and Unavailable when the name cannot be resolved at this moment.
    """
    networks = tuple(allowed_private_networks)
    addresses = _lookup(host, port)
    for address in addresses:
        if not reachable(address, networks):
            raise InvalidInput(
                f"{host} is at {address}, which is not a public address.",
                fix="Name a server on the public internet. One in your own network is reached from a VPC: "
                "docs/operations.md#private-networks.",
                field="host",
                code="private_address",
            )
        if port not in PORTS and not _is_allowed(address, networks):
            raise InvalidInput(
                f"The port {port} is not one of a web or mail server.",
                fix=f"Use one of {', '.join(map(str, sorted(PORTS)))}.",
                field="port",
                code="port_not_allowed",
            )
    return [str(address) for address in addresses]


def dial(addresses: Iterable[str], port: int, seconds: Callable[[], float]) -> socket.socket:
    """A connection to the first of the addresses that takes one; `seconds` tells how long to wait for each.

    Raises OSError, that of the last address.
    """
    failure = OSError("the host has no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), seconds())
        except OSError as error:
            failure = error
    raise failure


def left(until: float) -> float:
    """The seconds until then, on the monotonic clock. Raises TimeoutError when there are none."""
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("there is no time left")
    return seconds


def reachable(address: Address, allowed_private_networks: Iterable[Network] = ()) -> bool:
    """Whether the address is public, or inside one of the allowed networks.

    Private, loopback, link-local, reserved, multicast and unspecified addresses are not public; neither
    is an IPv6 address that carries such an IPv4 address (mapped, 6to4, Teredo, NAT64, ISATAP).
    """
    networks = tuple(allowed_private_networks)
    if _is_allowed(address, networks):
        return True
    carried = _carried(address)
    is_carrier = any(_inside(address, network) for network in CARRIERS)
    return (is_carrier or _is_public(address)) and all(
        _is_public(one) or _is_allowed(one, networks) for one in carried
    )


def _is_public(address: Address) -> bool:
    is_given_out = isinstance(address, IPv4Address) or address in GLOBAL_UNICAST
    return is_given_out and not any(_inside(address, network) for network in NOT_PUBLIC)


def _is_allowed(address: Address, networks: Iterable[Network]) -> bool:
    """Whether it is inside the networks, or all that it carries is."""
    networks, carried = tuple(networks), _carried(address)
    return any(_inside(address, network) for network in networks) or (
        bool(carried) and all(_is_allowed(one, networks) for one in carried)
    )


def _inside(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network


def _carried(address: Address) -> list[IPv4Address]:
    if isinstance(address, IPv4Address):
        return []
    teredo = address.teredo or ()
    found = [address.ipv4_mapped, address.sixtofour, *teredo]
    if address in NAT64 or int(address) >> 32 & 0xFFFFFFFF in ISATAP:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one is not None]


def _lookup(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"The name {host} could not be resolved.", fix="Check the name; if it is right, try again later."
        ) from error
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ip_address(text) for text in texts]
