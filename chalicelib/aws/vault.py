"""Envelope encryption: AES-256-GCM under data keys that KMS wraps.

A sealed value is ``b"MG1"``, the length of the wrapped data key (2 bytes, big-endian), the wrapped data key,
a nonce of 12 bytes, and the ciphertext with its tag. The associated data binds it to table, account, field,
version and data key, so a value that was moved to another place does not open.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chalicelib.aws.failures import translated
from chalicelib.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_kms import KMSClient

MAGIC = b"MG1"
LENGTH = 2
NONCE = 12
KEY_LIFE = 300.0
"""Seconds that an unwrapped data key is remembered."""
KEY_USES = 1_000
"""How often a remembered data key is used."""
KEYS_KEPT = 1_000


class Unreadable(ConfigurationError):
    """A stored value cannot be opened: of an unknown format, damaged, or moved from another place.

    Never answered as if nothing were stored, and never taken for plaintext.
    """


@dataclass(slots=True)
class _Remembered:
    key: bytes = field(repr=False)
    until: float
    uses: int = KEY_USES


class Vault:
    """Seals and opens the values of one table under one KMS key.

    The encryption context names the account by its opaque id, because CloudTrail logs it in clear.
    """

    def __init__(
        self,
        kms: KMSClient,
        key_arn: str,
        table: str,
        stage: str,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kms = kms
        self._key_arn = key_arn
        self._table = table
        self._stage = stage
        self._seconds = seconds
        self._remembered: OrderedDict[tuple[str, bytes], _Remembered] = OrderedDict()
        self._lock = threading.Lock()

    def sealer(self, account: str) -> Sealer:
        """Fetches a new data key (one call to KMS). Raises Unavailable or ConfigurationError."""
        with translated("The key service"):
            answer = self._kms.generate_data_key(
                KeyId=self._key_arn, KeySpec="AES_256", EncryptionContext=self._context(account)
            )
        return Sealer(self._table, account, answer["Plaintext"], answer["CiphertextBlob"])

    def seal(self, account: str, field: str, version: int, plaintext: bytes) -> bytes:
        """One value sealed under a data key of its own."""
        return self.sealer(account).seal(field, version, plaintext)

    def open(self, account: str, field: str, version: int, sealed: bytes) -> bytes:
        """The plaintext. Raises Unreadable unless it was sealed for this very place; Unavailable for KMS."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        wrapped, nonce, ciphertext = _parts(sealed)
        place = _place(self._table, account, field, version, wrapped)
        try:
            return AESGCM(self._data_key(account, wrapped)).decrypt(nonce, ciphertext, place)
        except (InvalidTag, ValueError) as error:
            raise Unreadable(f"{self._table}: {field} of {account} does not open") from error

    def _data_key(self, account: str, wrapped: bytes) -> bytes:
        place = (account, wrapped)
        with self._lock:
            known = self._remembered.get(place)
            if known and known.until > self._seconds() and known.uses > 0:
                known.uses -= 1
                return known.key
        key = self._unwrap(account, wrapped)
        with self._lock:
            self._remembered[place] = _Remembered(key, self._seconds() + KEY_LIFE, KEY_USES - 1)
            while len(self._remembered) > KEYS_KEPT:
                self._remembered.popitem(last=False)
        return key

    def _unwrap(self, account: str, wrapped: bytes) -> bytes:
        from botocore.exceptions import ClientError

        try:
            with translated("The key service"):
                answer = self._kms.decrypt(
                    KeyId=self._key_arn, CiphertextBlob=wrapped, EncryptionContext=self._context(account)
                )
        except ConfigurationError as error:
            if isinstance(error.__cause__, ClientError) and _is_refusal(error.__cause__):
                raise Unreadable(f"{self._table}: the data key of {account} does not open") from error
            raise
        return answer["Plaintext"]

    def _context(self, account: str) -> dict[str, str]:
        return {"app": "mailgrant", "stage": self._stage, "account": account, "table": self._table}


class Sealer:
    """A data key at hand. Fetched before a token is asked for, so that none is lost for want of a key."""

    def __init__(self, table: str, account: str, key: bytes, wrapped: bytes) -> None:
        self._table = table
        self._account = account
        self._key = key
        self._wrapped = wrapped

    def seal(self, field: str, version: int, plaintext: bytes) -> bytes:
        """The sealed value; no call to anybody."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(NONCE)
        place = _place(self._table, self._account, field, version, self._wrapped)
        ciphertext = AESGCM(self._key).encrypt(nonce, plaintext, place)
        return MAGIC + len(self._wrapped).to_bytes(LENGTH, "big") + self._wrapped + nonce + ciphertext


def _place(table: str, account: str, field: str, version: int, wrapped: bytes) -> bytes:
    key_id = hashlib.sha256(wrapped).hexdigest()[:16]
    return "|".join((table, account, field, str(version), key_id)).encode()


def _parts(sealed: bytes) -> tuple[bytes, bytes, bytes]:
    head = len(MAGIC) + LENGTH
    length = int.from_bytes(sealed[len(MAGIC) : head], "big")
    nonce_at = head + length
    if not sealed.startswith(MAGIC) or length == 0 or len(sealed) < nonce_at + NONCE + 16:
        raise Unreadable("a stored value is not of the format MG1")
    return sealed[head:nonce_at], sealed[nonce_at : nonce_at + NONCE], sealed[nonce_at + NONCE :]


def _is_refusal(error: object) -> bool:
    code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
    return code in {"InvalidCiphertextException", "IncorrectKeyException"}
