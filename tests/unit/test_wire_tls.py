"""Row B60: a server without TLS, or with TLS that cannot be trusted, sees no byte of AUTH."""

from __future__ import annotations

import socket
import ssl
import threading
import warnings
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest

from chalicelib import network
from chalicelib.transports.refusals import Refused
from chalicelib.transports.smtp.session import Server
from sandbox.certs import Authority
from sandbox.mailserver.client import MailServerClient
from sandbox.mailserver.server import Certificate, MailServer
from tests.unit.mail_world import World, post, running_post, world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.unit.aws_tables import Aws
    from tests.unit.mail_world import Post

__all__ = ["post", "running_post", "world"]

IN_CLEAR = {"EHLO", "STARTTLS"}
"""All that may be said before TLS."""


class OldTls(Certificate):
    """A server that has never heard of TLS 1.2."""

    def context(self) -> ssl.SSLContext:
        """TLS 1.0 and 1.1 only."""
        return _old(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self)


def _old(context: ssl.SSLContext, certificate: Certificate | None = None) -> ssl.SSLContext:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    if certificate is not None:
        context.load_cert_chain(certificate.certfile, certificate.keyfile)
    return context


def usual(authority: Authority) -> Certificate:
    """A certificate that is in order."""
    found = authority.issue("usual")
    return Certificate(found.certfile, found.keyfile)


def wrong_name(authority: Authority) -> Certificate:
    """A certificate of a trusted authority for somebody else."""
    found = authority.issue("other", ("mail.example.net",))
    return Certificate(found.certfile, found.keyfile)


def of_another_authority(authority: Authority) -> Certificate:
    """A certificate for the right name, of an authority that nobody trusts."""
    return usual(Authority.create(authority.directory / "another"))


def old_tls(authority: Authority) -> Certificate:
    """A certificate that is in order, with TLS that is not."""
    found = usual(authority)
    return OldTls(found.certfile, found.keyfile)


def self_signed(authority: Authority) -> Certificate:
    """A certificate for the right name that vouches for itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1")), x509.DNSName("localhost")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    found = Certificate(authority.directory / "self.pem", authority.directory / "self-key.pem")
    encoding = serialization.Encoding.PEM
    authority.directory.joinpath("self.pem").write_bytes(certificate.public_bytes(encoding))
    authority.directory.joinpath("self-key.pem").write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return found


@contextmanager
def another_server(certificate: Callable[[Authority], Certificate], directory: Path) -> Iterator[MailServer]:
    """A mail server of its own with the certificate; its authority's is in the directory."""
    authority = Authority.create(directory)
    found = certificate(authority)
    own = usual(authority)
    with MailServer(
        own.certfile, own.keyfile, "https://127.0.0.1:1", authority.cafile, microsoft_certificate=found
    ) as server:
        yield server


@pytest.mark.parametrize(
    ("certificate", "code"),
    [
        (self_signed, "tls_certificate"),
        (wrong_name, "tls_certificate"),
        (of_another_authority, "tls_certificate"),
        (old_tls, "tls_failed"),
    ],
)
def test_B60_tls_that_cannot_be_trusted(
    aws: Aws, post: Post, tmp_path: Path, certificate: Callable[[Authority], Certificate], code: str
) -> None:
    """The token is not asked of the wire: the message waits, and the server has seen no byte of AUTH."""
    with another_server(certificate, tmp_path) as server:
        client = MailServerClient(server.url)
        ca = (tmp_path / "ca.pem").read_text()
        world = World(aws, replace(post, client=client, microsoft=Server(*server.microsoft), ca=ca))
        message = world.accept()

        world.serve()

        (session,) = client.sessions()
        (attempt,) = world.record(message)["attempts"]
    assert attempt["diagnosis"]["code"] == code
    assert attempt["outcome"] == "deferred"
    assert [one["command"].split()[0] for one in session["commands"]] == ["EHLO", "STARTTLS"]
    assert session["authentications"] == []


def test_B60_the_server_of_old_tls_speaks_to_who_would_have_it(tmp_path: Path) -> None:
    """What the refusals show is ours: a client that asks for less gets TLS 1.1 from the same server."""
    with another_server(old_tls, tmp_path) as server, socket.create_connection(server.microsoft) as plain:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain.recv(1000)
        for command in (b"EHLO x\r\n", b"STARTTLS\r\n"):
            plain.sendall(command)
            plain.recv(1000)
        with _old(context).wrap_socket(plain) as secure:
            assert secure.version() == "TLSv1.1"


@pytest.mark.parametrize("how", ["not offered", "refused", "cut"])
def test_B60_no_tls(world: World, how: str) -> None:
    """A server without STARTTLS, or one whose STARTTLS somebody has cut off, gets no byte of AUTH."""
    if how == "not offered":
        world.post.client.settings(starttls=False)
    elif how == "refused":
        world.post.client.inject("STARTTLS", code=454, text="4.7.0 not now")
    else:
        world.post.client.inject("TLS", "drop")
    message = world.accept()

    world.serve()

    (session,) = world.post.client.sessions()
    assert world.record(message)["state"] == "deferred"
    assert {one["command"].split()[0] for one in session["commands"]} <= IN_CLEAR
    assert session["authentications"] == []
    assert world.post.client.log() == []


def test_B60_words_that_were_put_before_tls(post: Post, tmp_path: Path) -> None:
    """What somebody on the way adds to the answer to STARTTLS ends the session before TLS begins."""
    authority = Authority.create(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=speak_with_injection, args=(listener,))
        server.start()
        session = post.session(
            "ada@contoso.com",
            server=Server("127.0.0.1", listener.getsockname()[1]),
            tls=network.tls_context(authority.pem),
        )

        with pytest.raises(Refused) as caught:
            session.connect()
        server.join()

    assert caught.value.reply is None
    assert caught.value.verdict.diagnosis.code == "smtp_protocol"


def speak_with_injection(listener: socket.socket) -> None:
    """One session whose answer to STARTTLS carries a forged answer to the EHLO that comes under TLS."""
    plain, _ = listener.accept()
    plain.sendall(b"220 ready\r\n")
    plain.recv(1000)
    plain.sendall(b"250-here\r\n250 STARTTLS\r\n")
    plain.recv(1000)
    plain.sendall(b"220 go on\r\n250-forged\r\n250 AUTH XOAUTH2\r\n")
    assert plain.recv(1000) == b""
    plain.close()
