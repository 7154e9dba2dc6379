"""A client certificate with its private key: checked when it is saved, kept as one PEM text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chalicelib.errors import InvalidInput
from chalicelib.secret import Secret

if TYPE_CHECKING:
    from datetime import datetime

_KEY = re.compile(r"-----BEGIN PRIVATE KEY-----.+?-----END PRIVATE KEY-----\n?", re.DOTALL)
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)


def from_pem(text: str, passphrase: str = "") -> Secret:
    """The PEM text of a certificate and its private key, in the form in which they are kept.

    Raises InvalidInput (field ``certificate``) where one of them is missing, cannot be read, or they do not
    belong together.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(text.encode(), passphrase.encode() or None)
        certificate = x509.load_pem_x509_certificate(text.encode())
    except (ValueError, TypeError) as error:
        raise _unreadable() from error
    return _joined(key, certificate)


def from_pfx(data: bytes, passphrase: str = "") -> Secret:
    """As from_pem, of a PFX (PKCS #12) file."""
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

    try:
        key, certificate, _ = load_key_and_certificates(data, passphrase.encode() or None)
    except (ValueError, TypeError) as error:
        raise _unreadable() from error
    return _joined(key, certificate)


def split(secret: Secret) -> tuple[str, str]:
    """Private key and certificate (PEM) of a text that from_pem or from_pfx has made."""
    key, certificate = _KEY.search(secret.reveal()), _CERTIFICATE.search(secret.reveal())
    if key is None or certificate is None:
        raise _unreadable()
    return key.group(), certificate.group()


def is_certificate(secret: Secret) -> bool:
    """Whether from_pem or from_pfx has made it."""
    return secret.reveal().startswith("-----BEGIN PRIVATE KEY-----")


def ends_at(secret: Secret) -> datetime:
    """When the certificate ends (UTC)."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(split(secret)[1].encode()).not_valid_after_utc


def thumbprint(secret: Secret) -> str:
    """The SHA-1 thumbprint in hexadecimal, as Entra shows it beside an uploaded certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA1

    certificate = x509.load_pem_x509_certificate(split(secret)[1].encode())
    return certificate.fingerprint(SHA1()).hex().upper()  # noqa: S303 - the name that Entra gives it


def _joined(key: object, certificate: object) -> Secret:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509 import Certificate

    if not isinstance(certificate, Certificate):
        raise _refused("There is no certificate beside the key.")
    if not isinstance(key, RSAPrivateKey):
        raise _refused("The private key is missing, or is not of the kind RSA.")
    if certificate.public_key() != key.public_key():
        raise _refused("The private key does not belong to the certificate.")
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Secret((private + certificate.public_bytes(Encoding.PEM)).decode())


def _unreadable() -> InvalidInput:
    return _refused("The certificate or its key cannot be read, or the passphrase is wrong.")


def _refused(message: str) -> InvalidInput:
    return InvalidInput(
        message,
        fix="Give the certificate and its private key, as PEM in one text or as a PFX file.",
        field="certificate",
    )
