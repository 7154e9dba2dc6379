"""The callers that there are: making, recognising and revoking them.

A recognised caller is remembered for up to REMEMBERED milliseconds in each execution environment, so a
revocation, and other limits, take effect everywhere within that time.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any, Protocol

from chalicelib import clock, ids
from chalicelib.callers import keys, permissions
from chalicelib.callers.models import ALL_ACCOUNTS, Caller, CallerKind, Scope, SendLimits
from chalicelib.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from chalicelib.secret import Secret

REMEMBERED = 30 * clock.SECOND
REMEMBERED_CALLERS = 1_000

NAME_LIMIT = 100
UNLIMITED = SendLimits()
ID_LIMIT = 1_000
"""Characters; a role's ARN has at most some 600. What is longer is nobody's id and no key of a table."""
UNQUALIFIED = "lambda"
"""The caller that invokes `send` without naming an alias."""

_ALIAS = re.compile(r"(?!\d+$)[A-Za-z0-9_-]{1,128}")
_PRINCIPAL = re.compile(r"arn:(aws[a-z-]*):iam::(\d{12}):(role|user)/([\w+=,.@/-]{1,512})", re.ASCII)
_SESSION = re.compile(r"arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/([\w+=,.@-]{1,64})/.+", re.ASCII)


class CallerStore(Protocol):
    """Where callers are kept. The rows are small and few."""

    def get(self, caller: str) -> Caller | None:
        """The caller with that id, read consistently."""

    def add(self, caller: Caller) -> bool:
        """Writes a new row; False when a live one with this id is there. A revoked one is replaced."""

    def all(self) -> list[Caller]:
        """Every caller, in no order."""

    def revoke(self, caller: str, at: int) -> Caller | None:
        """Writes `revoked_at` where there is none yet; returns the row, or None for an unknown caller."""

    def limit(self, caller: str, changes: Mapping[str, Any]) -> Caller | None:
        """Replaces the limits that are named; returns the row, or None for an unknown caller."""


class Callers:
    """Makes, recognises and revokes callers. A class because it remembers whom it has recognised."""

    def __init__(self, store: CallerStore, now: clock.Clock = clock.now) -> None:
        self._store = store
        self._now = now
        self._remembered: dict[str, tuple[Caller, int]] = {}

    def create_key(
        self,
        name: str,
        scopes: Collection[Scope],
        accounts: Collection[str],
        expires_at: int | None = None,
        limits: SendLimits = UNLIMITED,
    ) -> tuple[Caller, Secret]:
        """Makes an API key and returns it with its caller; the key cannot be shown again.

        `accounts` are ids, or ``*`` for all; `expires_at` is in milliseconds. Raises InvalidInput.
        """
        caller = self._caller(ids.new_id("key"), CallerKind.KEY, name, scopes, accounts, expires_at)
        key = keys.new_key(caller.id)
        caller = dataclasses.replace(caller, secret_hash=keys.hashed(key))
        return self._add(caller, limits), key

    def allow_role(
        self,
        arn: str,
        name: str,
        scopes: Collection[Scope],
        accounts: Collection[str],
        limits: SendLimits = UNLIMITED,
    ) -> Caller:
        """Allows an IAM role or user. Raises InvalidInput, or Conflict when it is allowed already."""
        principal = principal_of(arn)
        if principal is None:
            raise InvalidInput(
                "This is not the ARN of an IAM role or user.",
                fix="Give an ARN such as arn:aws:iam::123456789012:role/reports.",
                field="arn",
            )
        return self._add(self._caller(f"role:{principal}", CallerKind.ROLE, name, scopes, accounts), limits)

    def allow_alias(
        self,
        alias: str,
        name: str,
        scopes: Collection[Scope],
        accounts: Collection[str],
        limits: SendLimits = UNLIMITED,
    ) -> Caller:
        """Allows an alias of the function `send`; an empty one is the function invoked without an alias.

        Raises InvalidInput, or Conflict when it is allowed already.
        """
        if alias and not _ALIAS.fullmatch(alias):
            raise InvalidInput(
                "This is not the name of a Lambda alias.",
                fix="Use 1 to 128 letters, digits, - and _, not only digits.",
                field="alias",
            )
        caller = f"{UNQUALIFIED}:{alias}" if alias else UNQUALIFIED
        return self._add(self._caller(caller, CallerKind.FUNCTION, name, scopes, accounts), limits)

    def by_key(self, key: Secret) -> Caller:
        """The caller that presents this key. Raises Unauthenticated, with one text for every reason."""
        named = keys.caller_of(key)
        caller = self._live(named) if named else None
        if caller is None or not keys.fits(key, caller):
            raise Unauthenticated(
                "This API key is not one of this installation, was revoked, or has expired.",
                fix="Send a valid key as Authorization: Bearer mg_…; ./mailgrant keys create makes one.",
                code="invalid_key",
            )
        return caller

    def by_principal(self, user_arn: str) -> Caller:
        """The caller whose SigV4 signature was checked by API Gateway. Raises Forbidden for a stranger."""
        principal = principal_of(user_arn)
        caller = self._live(f"role:{principal}") if principal else None
        return self._known(caller, "IAM role or user", "./mailgrant callers allow --role ARN")

    def by_function(self, caller: str) -> Caller:
        """The caller ``lambda:<alias>`` or ``lambda`` of that id; raises Forbidden for a stranger."""
        return self._known(
            self._live(caller), "alias of the function send", "./mailgrant callers allow --alias NAME"
        )

    def permitted(self, caller: str, account: str) -> Caller | None:
        """The caller with that id, if mail that it handed in for the account may still be relayed."""
        found = self._live(caller)
        if found is None or not permissions.has(found, Scope.SEND) or not permissions.uses(found, account):
            return None
        return found

    def all(self) -> list[Caller]:
        """Every caller, also the revoked ones, the oldest first."""
        return sorted(self._store.all(), key=lambda caller: (caller.created_at, caller.id))

    def revoke(self, caller: str) -> Caller:
        """Revokes a caller for ever; twice is as good as once. Raises NotFound."""
        revoked = self._store.revoke(caller, self._now()) if _may_be_id(caller) else None
        return self._changed(caller, revoked)

    def limit(self, caller: str, **changes: Any) -> Caller:
        """Gives a caller other limits, by the fields of SendLimits; the others stay. Raises NotFound."""
        limited = self._store.limit(caller, changes) if _may_be_id(caller) else None
        return self._changed(caller, limited)

    def _live(self, caller: str) -> Caller | None:
        """The caller when it is neither revoked nor expired; from memory where it was read a moment ago."""
        found, read_at = self._remembered.get(caller, (None, 0))
        if found is None or self._now() - read_at >= REMEMBERED:
            found = self._store.get(caller)
            self._remember(caller, found)
        return found if found is not None and found.live(self._now()) else None

    def _remember(self, caller: str, found: Caller | None) -> None:
        self._remembered.pop(caller, None)
        if found is None:
            return
        if len(self._remembered) >= REMEMBERED_CALLERS:
            self._remembered.pop(next(iter(self._remembered)))
        self._remembered[caller] = (found, self._now())

    def _changed(self, caller: str, row: Caller | None) -> Caller:
        self._remembered.pop(caller, None)
        if row is None:
            raise NotFound(
                "There is no caller with this id.", fix="./mailgrant callers list shows their ids."
            )
        return row

    def _known(self, caller: Caller | None, what: str, fix: str) -> Caller:
        if caller is None:
            fix = f"An administrator allows it: {fix}."
            raise Forbidden(f"This {what} is not a caller here.", fix=fix, code="unknown_caller")
        return caller

    def _caller(
        self,
        caller: str,
        kind: CallerKind,
        name: str,
        scopes: Collection[Scope],
        accounts: Collection[str],
        expires_at: int | None = None,
    ) -> Caller:
        _check(name, scopes, accounts)
        if expires_at is not None and expires_at <= self._now():
            raise InvalidInput("The expiry is in the past.", fix="Name a later time.", field="expires_at")
        return Caller(
            caller, kind, name, frozenset(scopes), frozenset(accounts), self._now(), expires_at=expires_at
        )

    def _add(self, caller: Caller, limits: SendLimits) -> Caller:
        caller = dataclasses.replace(caller, limits=limits)
        if not self._store.add(caller):
            fix = "Revoke it first to give it other rights."
            raise Conflict("This caller is allowed already.", fix=fix, code="caller_exists")
        self._remembered.pop(caller.id, None)
        return caller


def principal_of(arn: str) -> str | None:
    """The role or user that an ARN stands for, or None when it is neither.

    A session's ARN (``sts … assumed-role/NAME/SESSION``) names its role without the role's path, so the
    path is left out of a role's ARN too; role names are unique in an AWS account.
    """
    session = _SESSION.fullmatch(arn)
    if session:
        partition, account, name = session.groups()
        return f"arn:{partition}:iam::{account}:role/{name}"
    principal = _PRINCIPAL.fullmatch(arn)
    if principal is None:
        return None
    partition, account, kind, name = principal.groups()
    return f"arn:{partition}:iam::{account}:{kind}/{name.rsplit('/', 1)[-1] if kind == 'role' else name}"


def _may_be_id(caller: str) -> bool:
    return 1 <= len(caller) <= ID_LIMIT


def _check(name: str, scopes: Collection[Scope], accounts: Collection[str]) -> None:
    if not name.isprintable() or not 1 <= len(name) <= NAME_LIMIT:
        fix = f"Use 1 to {NAME_LIMIT} printable characters."
        raise InvalidInput("The name cannot be used.", fix=fix, field="name")
    if not scopes:
        raise InvalidInput("A caller needs a scope.", fix="Name send, read or admin.", field="scopes")
    strange = sorted(one for one in accounts if one != ALL_ACCOUNTS and not ids.is_id("acc", one))
    if strange or not accounts:
        raise InvalidInput(
            "The accounts are not account ids.", fix='Give ids (acc_…), or "*".', field="accounts"
        )
