"""Envelope encryption: AES-256-GCM under data keys that KMS wraps.

A sealed value is ``b"MG1"``, the length of the wrapped data key (2 bytes, big-endian), the wrapped data key,
a nonce of 12 bytes, and the ciphertext with its tag. The associated data binds it to table, account, field,
version and data key, so a value that was moved to another place does not open.

The data key's id is the beginning of the SHA-256 of the wrapped data key as it was when the value was sealed.
A value whose data key was wrapped anew keeps it, so that its ciphertext stays as it is: it is ``b"MG2"``, the
id (8 bytes), and then all that follows ``b"MG1"``. Values are sealed as MG1, and both are read for ever.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chalicelib.aws.failures import translated
from chalicelib.errors import ConfigurationError, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_kms import KMSClient

MAGIC = b"MG1"
REWRAPPED = b"MG2"
KEY_ID = 8
LENGTH = 2
NONCE = 12
TAG = 16
KEY_LIFE = 300.0
"""Seconds that an unwrapped data key is remembered."""
KEY_USES = 1_000
"""How often a remembered data key is used."""
KEYS_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class _Sealed:
    """The parts of a sealed value."""

    key_id: bytes
    wrapped: bytes
    encrypted: bytes
    """Nonce, ciphertext and tag."""

    def packed(self) -> bytes:
        is_first = self.key_id == _key_id(self.wrapped)
        head = MAGIC if is_first else REWRAPPED + self.key_id
        return head + len(self.wrapped).to_bytes(LENGTH, "big") + self.wrapped + self.encrypted


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

        parts = _parts(sealed)
        place = _place(self._table, account, field, version, parts.key_id)
        nonce, ciphertext = parts.encrypted[:NONCE], parts.encrypted[NONCE:]
        try:
            return AESGCM(self._data_key(account, parts.wrapped)).decrypt(nonce, ciphertext, place)
        except (InvalidTag, ValueError) as error:
            raise Unreadable(f"{self._table}: {field} of {account} does not open") from error

    def rewrapped(self, account: str, sealed: bytes) -> bytes:
        """The same ciphertext, with its data key wrapped by what KMS wraps with now (one call, ReEncrypt).

        Neither data key nor plaintext leaves KMS. Raises as `open` does, but does not look at the ciphertext.
        """
        parts, context = _parts(sealed), self._context(account)
        with self._unwrapping(account):
            answer = self._kms.re_encrypt(
                CiphertextBlob=parts.wrapped,
                SourceKeyId=self._key_arn,
                SourceEncryptionContext=context,
                DestinationKeyId=self._key_arn,
                DestinationEncryptionContext=context,
            )
        return replace(parts, wrapped=answer["CiphertextBlob"]).packed()

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
        with self._unwrapping(account):
            answer = self._kms.decrypt(
                KeyId=self._key_arn, CiphertextBlob=wrapped, EncryptionContext=self._context(account)
            )
        return answer["Plaintext"]

    @contextmanager
    def _unwrapping(self, account: str) -> Iterator[None]:
        """Raises Unreadable where KMS says that the data key was not wrapped for this account and table."""
        from botocore.exceptions import ClientError

        try:
            with translated("The key service"):
                yield
        except ConfigurationError as error:
            if isinstance(error.__cause__, ClientError) and _is_refusal(error.__cause__):
                raise Unreadable(f"{self._table}: the data key of {account} does not open") from error
            raise

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
        key_id = _key_id(self._wrapped)
        place = _place(self._table, self._account, field, version, key_id)
        ciphertext = AESGCM(self._key).encrypt(nonce, plaintext, place)
        return _Sealed(key_id, self._wrapped, nonce + ciphertext).packed()


def _key_id(wrapped: bytes) -> bytes:
    return hashlib.sha256(wrapped).digest()[:KEY_ID]


def _place(table: str, account: str, field: str, version: int, key_id: bytes) -> bytes:
    return "|".join((table, account, field, str(version), key_id.hex())).encode()


def _parts(sealed: bytes) -> _Sealed:
    """Raises Unreadable for what is neither MG1 nor MG2."""
    mark, rest = sealed[: len(MAGIC)], sealed[len(MAGIC) :]
    key_id, rest = (rest[:KEY_ID], rest[KEY_ID:]) if mark == REWRAPPED else (b"", rest)
    end = LENGTH + int.from_bytes(rest[:LENGTH], "big")
    wrapped, encrypted = rest[LENGTH:end], rest[end:]
    if mark not in {MAGIC, REWRAPPED} or not wrapped or len(encrypted) < NONCE + TAG:
        raise Unreadable("a stored value is of no known format")
    return _Sealed(key_id or _key_id(wrapped), wrapped, encrypted)


def _is_refusal(error: object) -> bool:
    code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
    return code in {"InvalidCiphertextException", "IncorrectKeyException"}
