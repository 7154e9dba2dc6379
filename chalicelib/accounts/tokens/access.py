"""How the relay comes to an access token: by reading its row, and only rarely by asking for a new one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from chalicelib import clock
from chalicelib.accounts.models.grant import MAIL, AccessToken
from chalicelib.errors import Diagnosed, Unavailable
from chalicelib.secret import Secret

if TYPE_CHECKING:
    from chalicelib.accounts.models.grant import SealedToken

LAST_RESORT = 30 * clock.SECOND
"""A token with this much left is used when no newer one can be had."""

MEMORY = 5 * clock.MINUTE
"""How long a row is remembered, as ciphertext: as long as the vault remembers the key that opens it."""
ROWS_REMEMBERED = 1_000

ACCESS_TOKEN = "access_token"  # noqa: S105 - the field's name in the vault

Open = Callable[[str, str, int, bytes], bytes]
"""Opens a ciphertext: account, field, version, sealed value."""

Ask = Callable[[str, int | None, str], None]
"""Has an account's token for a resource made fresh; the number names the version that will not do."""


class Rows(Protocol):
    """Where access tokens are kept."""

    def get(self, account: str, resource: str = MAIL, /) -> SealedToken | None:
        """The access token for that resource, read consistently."""


class AccessTokens:
    """Gives access tokens. It can open them and nothing else: it never sees a refresh token.

    `open_token` is the vault's `open`; `ask` has the token made fresh by whoever may do so. A row that was
    read is remembered for `memory` milliseconds, for those who know that it is still the newest one.
    """

    def __init__(
        self, rows: Rows, open_token: Open, ask: Ask, now: clock.Clock = clock.now, *, memory: int = 0
    ) -> None:
        self._rows = rows
        self._open = open_token
        self._ask = ask
        self._now = now
        self._memory = memory
        self._remembered: OrderedDict[tuple[str, str], tuple[SealedToken, int]] = OrderedDict()

    def fresh(
        self,
        account: str,
        *,
        failed_version: int | None = None,
        ends_at: int | None = None,
        resource: str = MAIL,
    ) -> AccessToken:
        """A token that a session can be begun with; newer than `failed_version`, which a server has refused.

        `ends_at` is when the account's newest token ends, as its row says (`Account.token_expires_at`): a
        remembered token that ends at another time is an older one, maybe of another consent. None reads anew.
        Raises Diagnosed when there is none to be had and says who can mend it; Unavailable when unsure.
        """
        known, read_at = self._remembered.get((account, resource), (None, 0))
        is_newest = known is not None and known.expires_at == ends_at and self._now() - read_at < self._memory
        if known and is_newest and self._will_do(known, failed_version):
            return self._opened(known)
        stored = self._read(account, resource)
        if stored and self._will_do(stored, failed_version):
            return self._opened(stored)
        try:
            unfit = stored.version if stored and failed_version is None else failed_version
            self._ask(account, unfit, resource)
        except (Diagnosed, Unavailable):
            # A refresh that fails must not shorten the use of a token that still lives.
            if stored and _newer(stored, failed_version) and stored.expires_at - self._now() > LAST_RESORT:
                return self._opened(stored)
            raise
        return self._just_made(account, failed_version, resource)

    def _just_made(self, account: str, failed_version: int | None, resource: str) -> AccessToken:
        stored = self._read(account, resource)
        if stored is None or stored.expires_at <= self._now() or not _newer(stored, failed_version):
            raise Unavailable("The new access token is not there yet.", fix="It is tried again by itself.")
        return self._opened(stored)

    def _will_do(self, stored: SealedToken, failed_version: int | None) -> bool:
        return stored.usable(self._now()) and _newer(stored, failed_version)

    def _read(self, account: str, resource: str) -> SealedToken | None:
        stored = self._rows.get(account, resource)
        self._remembered.pop((account, resource), None)
        if stored and self._memory:
            self._remembered[account, resource] = (stored, self._now())
            if len(self._remembered) > ROWS_REMEMBERED:
                self._remembered.popitem(last=False)
        return stored

    def _opened(self, stored: SealedToken) -> AccessToken:
        value = self._open(stored.account, field_of(stored.resource), stored.version, stored.token)
        return AccessToken(
            Secret(value.decode()),
            stored.version,
            stored.expires_at,
            stored.obtained_at,
            is_password=stored.is_password,
        )


def field_of(resource: str) -> str:
    """The field in the vault: a token of one resource cannot be passed off as that of another."""
    return ACCESS_TOKEN if resource == MAIL else f"{ACCESS_TOKEN}/{resource}"


def _newer(stored: SealedToken, failed_version: int | None) -> bool:
    return failed_version is None or stored.version > failed_version
