"""Which addresses may be connected to, and which certificates are believed."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

from chalicelib.errors import ConfigurationError, InvalidInput, Unavailable

if TYPE_CHECKING:
    from chalicelib.settings import Network

Address = IPv4Address | IPv6Address

NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address."""
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
                fix="Name a server on the public internet, or allow its network in allowed_private_networks.",
                field="host",
                code="private_address",
            )
        if port not in PORTS and not _is_allowed([address, *_carried(address)], networks):
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
    is an IPv6 address that carries such an IPv4 address (mapped, 6to4, Teredo, NAT64).
    """
    carried = [address, *_carried(address)]
    if _is_allowed(carried, allowed_private_networks):
        return True
    public = [one.is_global and not one.is_multicast for one in carried]
    # is_global is false for the IPv6 forms that carry an IPv4 address; what they carry decides then.
    return all(public[1:]) if len(carried) > 1 else public[0]


def _is_allowed(carried: list[Address], networks: Iterable[Network]) -> bool:
    return any(one.version == network.version and one in network for network in networks for one in carried)


def _carried(address: Address) -> list[IPv4Address]:
    if isinstance(address, IPv4Address):
        return []
    teredo = address.teredo or ()
    found = [address.ipv4_mapped, address.sixtofour, *teredo]
    if address in NAT64:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one is not None]


def _lookup(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable(
            f"The name {host} could not be resolved.", fix="Check the name; if it is right, try again later."
        ) from error
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ip_address(text) for text in texts]
