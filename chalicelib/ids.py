"""Identifiers. They are for ever: callers store them, so their shape does not change.

==============  ==========================================  =================================
thing           shape                                       bits of chance
==============  ==========================================  =================================
connector       ``con_`` + 20 letters                       100
account         ``acc_`` + 20 letters                       100
message         ``msg_`` + the account's 20 + ``_`` + 26    130, or derived from caller and key, or invocation
caller (key)    ``key_`` + 20 letters                       100
authorization   ``aut_`` + 26 letters                       derived from its state
==============  ==========================================  =================================

Letters are Crockford's base 32 in lower case (no i, l, o, u): they survive being read aloud and typed.
"""

from __future__ import annotations

import hashlib
import re
import secrets

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
SHORT = 20
LONG = 26

LANE_SHARDS = tuple("0123456789abcdef")
"""Partitions of the index of lanes that are due. One takes 1,000 writes a second; a mail makes six or so."""

GRANT_SHARDS = ("0", "1", "2", "3")
"""Partitions of the index of grants that are due: at most one refresh an hour for each mailbox."""

LIST_SHARDS = ("0", "1", "2", "3")
"""Partitions of the index that lists the messages of all accounts."""

MESSAGE_SHAPE = rf"msg_([{ALPHABET}]{{{SHORT}}})_[{ALPHABET}]{{{LONG}}}"
_MESSAGE = re.compile(MESSAGE_SHAPE)


def shape(prefix: str) -> str:
    """The regular expression of identifiers with that prefix."""
    return rf"{prefix}_[{ALPHABET}]{{{SHORT}}}"


def new_id(prefix: str) -> str:
    """A new random identifier such as ``acc_…`` for the given prefix."""
    return f"{prefix}_{''.join(secrets.choice(ALPHABET) for _ in range(SHORT))}"


def is_id(prefix: str, text: str) -> bool:
    """Whether the text has the shape of an identifier with that prefix."""
    return re.fullmatch(shape(prefix), text) is not None


def new_message_id(account: str) -> str:
    """A new random message id that carries its account."""
    return _message_id(account, "".join(secrets.choice(ALPHABET) for _ in range(LONG)))


def keyed_message_id(account: str, caller: str, idempotency_key: str) -> str:
    """The one message id that this caller's idempotency key has for this account.

    Equal arguments give equal ids, so the conditional put of the message is the idempotency itself.
    """
    return _message_id(account, digest(f"{caller}\0{idempotency_key}"))


def invoked_message_id(account: str, caller: str, invocation: str) -> str:
    """The one message id of an invocation that Lambda repeats under the same request id.

    No idempotency key gives the same one: a key holds no NUL.
    """
    return _message_id(account, digest(f"{caller}\0\0{invocation}"))


def authorization_id(state: str) -> str:
    """The public name of an authorization; its state, which is a secret, cannot be found from it."""
    return f"aut_{digest(state)}"


def account_of(message: str) -> str | None:
    """The account id that a message id carries, or None when the text is no message id."""
    found = _MESSAGE.fullmatch(message)
    return f"acc_{found.group(1)}" if found else None


def lane_shard_of(account: str) -> str:
    """The partition that an account's lane is in, for ever."""
    return _shard_of(account, LANE_SHARDS)


def grant_shard_of(account: str) -> str:
    """The partition that an account's grant is in, for ever."""
    return _shard_of(account, GRANT_SHARDS)


def _shard_of(account: str, shards: tuple[str, ...]) -> str:
    return shards[hashlib.sha256(account.encode()).digest()[0] % len(shards)]


def list_shard_of(message: str) -> str:
    """The partition of the index of all messages that a message is in, for ever: by its own last letter."""
    return LIST_SHARDS[ALPHABET.index(message[-1]) % len(LIST_SHARDS)]


def digest(text: str) -> str:
    """The first 130 bits of the text's SHA-256, in LONG letters."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big") >> (256 - 5 * LONG)
    return "".join(ALPHABET[(number >> 5 * place) & 31] for place in reversed(range(LONG)))


def _message_id(account: str, own: str) -> str:
    return f"msg_{account.removeprefix('acc_')}_{own}"
