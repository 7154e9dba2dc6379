"""How received tokens are kept: sealed, saved in one step, and rescued where that is not possible.

A provider that rotates refresh tokens has forgotten the one before as soon as it answers. So everything
that can fail is fetched before it is asked (`prepare`), and what it answered is saved or put on the rescue
queue before anything else happens (`keep`).
"""

from __future__ import annotations

import base64
import json
import random
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from chalicelib import clock
from chalicelib.accounts.models.grant import MAIL, Grant, Identity, SealedToken
from chalicelib.accounts.tokens.access import field_of
from chalicelib.errors import Unavailable
from chalicelib.logs import logger
from chalicelib.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chalicelib.accounts.models.grant import TokenSet
    from chalicelib.accounts.ports import GrantStore, RescueQueue, Sealer, Vault

REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the field's name in the vault
TAG = 16
"""Bytes at the end of a sealed value that no other one has; they stay when its data key is wrapped anew."""
RESCUE_TIME = 5 * clock.SECOND
"""How much of the time is left for the rescue queue."""

log = logger("keeping")


class Kept(StrEnum):
    """Where a received grant is now."""

    SAVED = "saved"
    RESCUED = "rescued"
    SUPERSEDED = "superseded"
    """Somebody else has saved a newer one."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data keys at hand for one account's tokens."""

    account: str
    grants: Sealer
    tokens: Sealer

    def refresh_token(self, value: Secret, version: int) -> bytes:
        """The refresh token as its row holds it."""
        return self.grants.seal(REFRESH_TOKEN, version, value.reveal().encode())

    def access_token(self, answer: TokenSet, version: int, now: int, resource: str = MAIL) -> SealedToken:
        """The access token as its row holds it."""
        sealed = self.tokens.seal(field_of(resource), version, answer.access_token.reveal().encode())
        return SealedToken(self.account, sealed, version, answer.expires_at, now, resource)


class Keeper:
    """Seals, opens, saves and rescues grants."""

    def __init__(
        self,
        grants: GrantStore,
        grants_vault: Vault,
        tokens_vault: Vault,
        rescue: RescueQueue,
        now: clock.Clock = clock.now,
    ) -> None:
        self._grants = grants
        self._grants_vault = grants_vault
        self._tokens_vault = tokens_vault
        self._queue = rescue
        self._now = now

    def prepare(self, account: str) -> Prepared:
        """Fetches the data keys for what is about to be received."""
        return Prepared(account, self._grants_vault.sealer(account), self._tokens_vault.sealer(account))

    def reveal(self, grant: Grant) -> Secret:
        """The refresh token of a stored or rescued grant."""
        opened = self._grants_vault.open(grant.account, REFRESH_TOKEN, grant.version, grant.refresh_token)
        return Secret(opened.decode())

    def keep(self, grant: Grant, save: Callable[[], bool], *, until: int) -> Kept:
        """Saves a received grant: again and again while time lasts, and else puts it on the rescue queue.

        `save` answers False when a condition of its write does not hold.
        """
        while True:
            try:
                return Kept.SAVED if save() or self._is_stored(grant) else Kept.SUPERSEDED
            except Unavailable:
                if self._now() + RESCUE_TIME >= until:
                    break
                time.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - jitter
            except Exception:
                # Also for a mistake of ours: a token that was received must not be lost.
                log.exception("a grant cannot be saved", extra={"facts": {"account": grant.account}})
                break
        self.rescue(grant, until=until)
        return Kept.RESCUED

    def rescue(self, grant: Grant, *, until: int) -> None:
        """Puts a received grant on the rescue queue, as ciphertext; tries again while time lasts.

        For RESCUE_TIME at least: who was stopped for longer than the lease still has a token to lose.
        """
        until = max(until, self._now() + RESCUE_TIME)
        while True:
            try:
                self._queue.put(packed(grant))
                break
            except Unavailable:
                if self._now() >= until:
                    raise
                time.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - jitter
        facts = {"account": grant.account, "version": grant.version}
        log.warning("a grant was put on the rescue queue", extra={"facts": facts})

    def rescued(self) -> Sequence[tuple[str, str]]:
        """Some of what is on the rescue queue, as (receipt, body); empty when there is nothing."""
        return self._queue.take()

    def done(self, receipt: str) -> None:
        """Removes what was taken from the rescue queue."""
        self._queue.done(receipt)

    def _is_stored(self, grant: Grant) -> bool:
        """Whether an earlier try was done although its answer was lost."""
        stored = self._grants.get(grant.account)
        return stored is not None and is_same(stored.refresh_token, grant.refresh_token)


def is_same(one: bytes, other: bytes) -> bool:
    """Whether two sealed values are one, of which the data key may have been wrapped anew meanwhile."""
    return one[-TAG:] == other[-TAG:]


def packed(grant: Grant) -> str:
    """A grant as the rescue queue carries it."""
    return json.dumps(
        {
            "account": grant.account,
            "version": grant.version,
            "refresh_token": base64.b64encode(grant.refresh_token).decode(),
            "scopes": list(grant.scopes),
            "identity": [grant.identity.issuer, grant.identity.subject, list(grant.identity.addresses)],
            "granted_at": grant.granted_at,
            "refreshed_at": grant.refreshed_at,
            "ends_at": grant.ends_at,
        }
    )


def unpacked(body: str) -> Grant:
    """The reverse of packed. Raises ValueError, KeyError or TypeError for anything else."""
    values = json.loads(body)
    issuer, subject, addresses = values["identity"]
    return Grant(
        account=values["account"],
        version=values["version"],
        refresh_token=base64.b64decode(values["refresh_token"], validate=True),
        scopes=tuple(values["scopes"]),
        identity=Identity(issuer, subject, tuple(addresses)),
        granted_at=values["granted_at"],
        refreshed_at=values["refreshed_at"],
        ends_at=values.get("ends_at"),
    )
