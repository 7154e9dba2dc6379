"""The JSON key of a Google service account: checked when it is saved; only what is used of it is kept."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from chalicelib.errors import InvalidInput
from chalicelib.secret import Secret

LIMIT = 16_384
"""Characters. Google's keys have some 2,400."""
KIND = "service_account"
KEPT = ("type", "client_id", "client_email", "private_key_id", "private_key")
"""Not its `token_uri`: where our keys are used is not for a file to say."""
_CLIENT_ID = re.compile(r"[0-9]{5,40}")
_EMAIL = re.compile(r"[^@\s]{1,100}@[a-z0-9.\-]{1,200}\.iam\.gserviceaccount\.com")


def from_json(text: str) -> Secret:
    """The key in the form in which it is kept. Raises InvalidInput (field ``service_account_key``)."""
    values = _object(text)
    if values.get("type") != KIND:
        _refuse("This is not the key of a service account, though it may be another file of Google's.")
    if not _EMAIL.fullmatch(str(values.get("client_email"))):
        _refuse("The key has no client_email of a service account.")
    if not _CLIENT_ID.fullmatch(str(values.get("client_id"))):
        _refuse("The key has no client_id, which is a number.")
    _require_private_key(values.get("private_key"))
    return Secret(json.dumps({name: values[name] for name in KEPT if name in values}))


def client_id(key: str) -> str:
    """The number by which a Workspace knows the service account; of any key's text. Raises InvalidInput."""
    return str(json.loads(from_json(key).reveal())["client_id"])


def shown(key: Secret) -> dict[str, str]:
    """What of a kept key may be shown."""
    values = json.loads(key.reveal())
    return {name: str(values[name]) for name in ("client_email", "client_id")}


def _object(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text) if len(text) <= LIMIT else None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        _refuse("The key is not a JSON object.")
    return values


def _require_private_key(pem: object) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key: object = load_pem_private_key(str(pem).encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey):
        _refuse("The key's private_key cannot be read.")


def _refuse(message: str) -> NoReturn:
    raise InvalidInput(
        message,
        fix="Give the whole text of the JSON file that Google Cloud made for the service account "
        "(IAM, Service accounts, Keys, Add key).",
        field="service_account_key",
    )
