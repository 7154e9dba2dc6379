"""What administrators keep besides client secrets: certificates, service account keys, tokens of others."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jwt
from joserfc.jwk import RSAKey

ENTRA_AUDIENCE = "api://AzureADTokenExchange"
_EXPONENT, _BITS = 65_537, 2048


@dataclass(frozen=True)
class KeyPair:
    """An RSA key with its public half, both PEM."""

    private: str = field(repr=False)
    public: str

    @classmethod
    def create(cls) -> KeyPair:
        """Make a new one."""
        key = generate_private_key(_EXPONENT, _BITS)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return cls(_private_pem(key), public.decode())


@dataclass(frozen=True)
class ClientCertificate:
    """A self-signed certificate, and its private key; both PEM."""

    private: str = field(repr=False)
    certificate: str

    @classmethod
    def create(cls, days: int = 365) -> ClientCertificate:
        """Make a new one that ends in that many days; it began 400 days ago."""
        key = generate_private_key(_EXPONENT, _BITS)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Mailgrant")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=400))
            .not_valid_after(now + timedelta(days=days))
            .sign(key, SHA256())
        )
        return cls(_private_pem(key), made.public_bytes(Encoding.PEM).decode())

    @property
    def pem(self) -> str:
        """Key and certificate in one text, as administrators have them."""
        return self.private + self.certificate


@dataclass(frozen=True)
class ServiceAccountKey:
    """The JSON key of a service account at Google, and the public key that Google keeps."""

    values: dict[str, str] = field(repr=False)
    public: str

    @classmethod
    def create(cls) -> ServiceAccountKey:
        """Make a new service account's key."""
        pair, number = KeyPair.create(), str(10**20 + secrets.randbelow(10**20))
        email = f"mailer-{number[-6:]}@project.iam.gserviceaccount.com"
        values = {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": secrets.token_hex(20),
            "private_key": pair.private,
            "client_email": email,
            "client_id": number,
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": "https://oauth2.googleapis.com/token",
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "client_x509_cert_url": f"https://www.googleapis.com/robot/v1/metadata/x509/{email}",
            "universe_domain": "googleapis.com",
        }
        return cls(values, pair.public)

    @property
    def text(self) -> str:
        """The file that Google gives."""
        return json.dumps(self.values, indent=2)


@dataclass(frozen=True)
class WebIdentity:
    """Somebody whose tokens others take, such as an AWS account; ``issuer`` is its name."""

    issuer: str
    keys: KeyPair

    @classmethod
    def create(cls, issuer: str = "https://0b3f.tokens.sts.global.api.aws") -> WebIdentity:
        """Make an issuer with a new key."""
        return cls(issuer, KeyPair.create())

    def token(self, subject: str, audience: str = ENTRA_AUDIENCE, *, life: int = 300, **claims: Any) -> str:
        """A token about ``subject`` for ``audience``, signed with RS256."""
        now = int(time.time())
        said = {"iss": self.issuer, "sub": subject, "aud": audience, "iat": now, "exp": now + life} | claims
        return jwt.encode({"alg": "RS256"}, said, RSAKey.import_key(self.keys.private))

    def trusted(self, subject: str) -> dict[str, str]:
        """What an application registers at Microsoft to take this issuer's tokens about ``subject``."""
        return {"issuer": self.issuer, "subject": subject, "public_key": self.keys.public}


def _private_pem(key: RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
