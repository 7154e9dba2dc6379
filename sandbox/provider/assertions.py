"""Signed assertions (RFC 7521, RFC 7523): what they say, and whether a registered key has signed them."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"


class _Registry(jws.JWSRegistry):
    max_header_length = 8192  # certificates are in it


@dataclass(frozen=True)
class Assertion:
    """A JWT whose signature nobody has looked at yet."""

    text: str = field(repr=False)
    header: dict[str, Any]
    claims: dict[str, Any]

    @classmethod
    def read(cls, text: str) -> Assertion:
        """Raises ValueError for what is no signed JWT."""
        try:
            found = jws.extract_compact(text.encode(), registry=_Registry())
            claims = msgspec.json.decode(found.payload, type=dict[str, Any])
        except (JoseError, msgspec.MsgspecError, ValueError) as error:
            raise ValueError("no signed JWT") from error
        return cls(text, dict(found.headers()), claims)

    def claim(self, name: str) -> str:
        """A claim as text; empty where there is none. A list of one counts as its member."""
        value = self.claims.get(name, "")
        return str(value[0] if isinstance(value, list) and len(value) == 1 else value)

    def is_signed_by(self, pem: str, algorithms: tuple[str, ...] = ("RS256", "PS256")) -> bool:
        """Whether the key of the certificate, or the public key, has signed it."""
        try:
            jws.deserialize_compact(self.text, _key(pem), registry=_Registry(algorithms=algorithms))
        except JoseError:
            return False
        return True

    def is_timely(self, now: float, longest: float = 86_400) -> bool:
        """Whether it has begun, has not ended, and does not live longer than that many seconds."""
        ends, began = self.claims.get("exp"), self.claims.get("nbf", self.claims.get("iat", now))
        if not isinstance(ends, int | float) or not isinstance(began, int | float):
            return False
        return began - 300 <= now < ends <= began + longest


def thumbprints(certificate: str) -> dict[str, str]:
    """The header fields (RFC 7515, sections 4.1.7 and 4.1.8) by which a JWT names this certificate."""
    der = x509.load_pem_x509_certificate(certificate.encode()).public_bytes(Encoding.DER)
    return {
        "x5t": _base64(hashlib.sha1(der).digest()),  # noqa: S324 - the field's definition
        "x5t#S256": _base64(hashlib.sha256(der).digest()),
    }


def has_ended(certificate: str, now: float) -> bool:
    """Whether the certificate's time is over."""
    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc.timestamp() <= now


def _key(pem: str) -> RSAKey | ECKey:
    if _CERTIFICATE in pem:
        public = x509.load_pem_x509_certificate(pem.encode()).public_key()
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    try:
        return RSAKey.import_key(pem)
    except (ValueError, TypeError, JoseError):
        return ECKey.import_key(pem)


def _base64(digest: bytes) -> str:
    return urlsafe_b64encode(digest).decode().rstrip("=")
