"""ministack with the one operation of KMS that it lacks: ReEncrypt. The emulator's own Python runs this file.

As AWS has it, a caller needs kms:ReEncryptFrom for the key that made the ciphertext, and kms:ReEncryptTo for
the key that makes it anew. Here both must be one key, which is how the application asks.

The emulator's ciphertexts have no tag, so one that is damaged behind its context is taken for a good one. It
rotates no keys either: what is wrapped anew differs by its nonce only.
"""

from __future__ import annotations

import base64
import json
from importlib import import_module
from typing import Any, Final

KEY_ID: Final = 36
"""Bytes at the beginning of the emulator's ciphertexts that name their key."""

app: Any = import_module("ministack.app")
actions: Any = import_module("ministack.core.iam_actions")
evaluator: Any = import_module("ministack.core.iam_evaluator")
kms: Any = import_module("ministack.services.kms")

decrypted, encrypted = kms._decrypt, kms._encrypt  # noqa: SLF001 - there is no other way in
_handled, _enforced = kms.handle_request, evaluator.enforce


async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Any:
    """KMS, with ReEncrypt."""
    if headers.get("x-amz-target") == "TrentService.ReEncrypt":
        return re_encrypted(json.loads(body))
    return await _handled(method, path, headers, body, query)


def re_encrypted(asked: dict[str, Any]) -> Any:
    """What Decrypt and then Encrypt answer."""
    key, blob = asked["SourceKeyId"], asked["CiphertextBlob"]
    if key != asked["DestinationKeyId"] or not key.encode().endswith(base64.b64decode(blob)[:KEY_ID]):
        return kms.error_response_json("IncorrectKeyException", "both keys must be that of the ciphertext")
    context = asked.get("SourceEncryptionContext", {})
    opened = decrypted({"KeyId": key, "CiphertextBlob": blob, "EncryptionContext": context})
    found = json.loads(opened[2])
    if "Plaintext" not in found:
        return opened
    context = asked.get("DestinationEncryptionContext", {})
    return encrypted({"KeyId": key, "Plaintext": found["Plaintext"], "EncryptionContext": context})


def key_of(ciphertext: str | None) -> str | None:
    """The key that a ciphertext (base64) names, that of a multi-region one (``mrk-…``) too."""
    name = base64.b64decode(ciphertext or "")[:KEY_ID]
    return name.decode("ascii") if name.isascii() and len(name) == KEY_ID else None


def enforce(access_key: str, action: str, *rest: Any, **more: Any) -> Any:
    """What a policy has against a request; None if nothing."""
    named = [action + end for end in ("From", "To")] if action == "kms:ReEncrypt" else [action]
    denials = (_enforced(access_key, one, *rest, **more) for one in named)
    return next((denied for denied in denials if denied is not None), None)


if __name__ == "__main__":
    kms.handle_request, evaluator.enforce = handle_request, enforce
    actions._kms_key_id_from_ciphertext = key_of  # noqa: SLF001 - as above
    app.main()
