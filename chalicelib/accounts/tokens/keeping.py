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
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from chalicelib import clock
from chalicelib.accounts.models.account import AuthMode
from chalicelib.accounts.models.grant import MAIL, Grant, Identity, Previous, SealedToken
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

    def access_token(
        self, answer: TokenSet, version: int, now: int, resource: str = MAIL, *, is_password: bool = False
    ) -> SealedToken:
        """The access token as its row holds it, or the password that stands in its place."""
        sealed = self.tokens.seal(field_of(resource), version, answer.access_token.reveal().encode())
        return SealedToken(
            self.account, sealed, version, answer.expires_at, now, resource, is_password=is_password
        )


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

    def keep(
        self, grant: Grant, save: Callable[[], bool], *, until: int, facts: AccountFacts | None = None
    ) -> Kept:
        """Saves a received grant: again and again while time lasts, and else puts it on the rescue queue.

        `save` answers False when a condition of its write does not hold; `facts` is what a consent changes
        of its account in the same write.
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
        self.rescue(grant, until=until, facts=facts)
        return Kept.RESCUED

    def rescue(self, grant: Grant, *, until: int, facts: AccountFacts | None = None) -> None:
        """Puts a received grant on the rescue queue, as ciphertext; tries again while time lasts.

        For RESCUE_TIME at least: who was stopped for longer than the lease still has a token to lose.
        """
        until = max(until, self._now() + RESCUE_TIME)
        while True:
            try:
                self._queue.put(packed(grant, facts))
                break
            except Exception as error:
                # Whatever the queue says: while there is time, the token is not given up.
                if self._now() >= until:
                    raise
                code = getattr(error, "error_code", type(error).__name__)
                log.warning("the rescue queue did not take a grant yet", extra={"facts": {"code": code}})
                time.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - jitter
        facts = {"account": grant.account, "version": grant.version}
        log.warning("a grant was put on the rescue queue", extra={"facts": facts})

    def rescued(self, *, wait: int = 0) -> Sequence[tuple[str, str]]:
        """Some of what is on the rescue queue, as (receipt, body); empty when there is nothing.

        Waits up to `wait` seconds; only where that is not 0 are all parts of the queue asked.
        """
        return self._queue.take(wait=wait)

    def unseen(self, own: int) -> int:
        """About how many grants are on the queue besides `own` ones that were taken by us and are left."""
        return max(self._queue.depth() - own, 0)

    def put_back(self, receipt: str) -> None:
        """Lets others see what was taken from the rescue queue."""
        self._queue.put_back(receipt)

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


AccountFacts = Mapping[str, Any]
"""What a consent changes of its account's row, as JSON has it: auth mode, user name, block and the like."""


@dataclass(frozen=True, slots=True)
class Rescued:
    """A grant from the rescue queue; with `facts` it is a consent, without them a refresh."""

    grant: Grant
    facts: AccountFacts | None


def packed(grant: Grant, facts: AccountFacts | None = None) -> str:
    """All that the write would have saved, but for the access token, as the rescue queue has it."""
    return json.dumps(
        {
            "account": grant.account,
            "version": grant.version,
            "refresh_token": base64.b64encode(grant.refresh_token).decode(),
            "scopes": list(grant.scopes),
            "identity": _identity_row(grant.identity),
            "granted_at": grant.granted_at,
            "refreshed_at": grant.refreshed_at,
            "ends_at": grant.ends_at,
            "auth_mode": grant.auth_mode,
            "previous": _previous_row(grant.previous) if grant.previous else None,
            "facts": None if facts is None else dict(facts),
        }
    )


def unpacked(body: str) -> Rescued:
    """The reverse of packed. Raises ValueError, KeyError or TypeError for anything else."""
    values = json.loads(body)
    mode = values.get("auth_mode")
    grant = Grant(
        account=values["account"],
        version=values["version"],
        refresh_token=base64.b64decode(values["refresh_token"], validate=True),
        scopes=tuple(values["scopes"]),
        identity=_identity(values["identity"]),
        granted_at=values["granted_at"],
        refreshed_at=values["refreshed_at"],
        ends_at=values.get("ends_at"),
        auth_mode=AuthMode(mode) if mode else None,
        previous=_previous(values["previous"]) if values.get("previous") else None,
    )
    return Rescued(grant, values.get("facts"))


def _identity_row(identity: Identity) -> list[Any]:
    return [identity.issuer, identity.subject, list(identity.addresses)]


def _identity(row: list[Any]) -> Identity:
    issuer, subject, addresses = row
    return Identity(issuer, subject, tuple(addresses))


def _previous_row(previous: Previous) -> dict[str, Any]:
    return {
        "auth_mode": previous.auth_mode,
        "smtp_user": previous.smtp_user,
        "version": previous.version,
        "refresh_token": base64.b64encode(previous.refresh_token).decode(),
        "scopes": list(previous.scopes),
        "identity": _identity_row(previous.identity),
        "until": previous.until,
    }


def _previous(row: dict[str, Any]) -> Previous:
    return Previous(
        auth_mode=AuthMode(row["auth_mode"]),
        smtp_user=row["smtp_user"],
        version=row["version"],
        refresh_token=base64.b64decode(row["refresh_token"], validate=True),
        scopes=tuple(row["scopes"]),
        identity=_identity(row["identity"]),
        until=row["until"],
    )
