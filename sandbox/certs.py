"""The sandbox's own certificate authority, and server certificates for 127.0.0.1 and localhost."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trustme

if TYPE_CHECKING:
    from pathlib import Path

HOSTS: Final = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class ServerCertificate:
    """The files of one server's certificate chain and private key, both PEM."""

    certfile: Path
    keyfile: Path


@dataclass(frozen=True)
class Authority:
    """A certificate authority that exists for one run; its private key is never written down."""

    directory: Path
    cafile: Path
    _ca: trustme.CA

    @classmethod
    def create(cls, directory: Path) -> Authority:
        """Make a new authority and write its certificate to `directory`/ca.pem."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        ca = trustme.CA(organization_name="Mailgrant sandbox")
        cafile = directory / "ca.pem"
        _write_private(cafile, ca.cert_pem.bytes())
        return cls(directory, cafile, ca)

    @property
    def pem(self) -> str:
        """The authority's certificate as PEM: about 600 bytes, as Lambda takes 4 KB of environment in all."""
        return self.cafile.read_text()

    def issue(self, name: str, hosts: tuple[str, ...] = HOSTS) -> ServerCertificate:
        """Issue a certificate for `hosts` and write `name`.pem and `name`-key.pem beside the authority's."""
        issued = self._ca.issue_cert(*hosts)
        certificate = ServerCertificate(self.directory / f"{name}.pem", self.directory / f"{name}-key.pem")
        chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
        _write_private(certificate.certfile, chain)
        _write_private(certificate.keyfile, issued.private_key_pem.bytes())
        return certificate


def _write_private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)  # an older file could have another mode
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
