"""Grants, as rows of their table and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.accounts.models.account import AuthMode, GrantState
from chalicelib.accounts.models.grant import MAIL, DueReason, Grant, Identity, Previous
from chalicelib.ids import grant_shard_of

if TYPE_CHECKING:
    from chalicelib.accounts.models.grant import SealedToken
    from chalicelib.aws.tables.table import Row

NO_LEASE: Row = {"lease_owner": None, "lease_until": None}
NEEDS_OWNER = "owner"
"""In the place of a shard: nothing is due by itself, but the index still knows of the grant."""


def key_of(account: str) -> Row:
    """The key of an account's row."""
    return {"account": account}


def active_facts(grant: Grant, token: SealedToken) -> Row:
    """What the account's row shows of a grant that gave that token."""
    shown: Row = {"token_expires_at": token.expires_at} if token.resource == MAIL else {}
    return {
        "grant_state": GrantState.ACTIVE,
        "problem": None,
        "refreshed_at": grant.refreshed_at,
        "grant_ends_at": grant.ends_at,
        **shown,
    }


def refusal_row(grant: Grant) -> Row:
    """What a refusal changes: when the provider is asked again, and why."""
    due = grant.refresh_due_at is not None
    return {
        "first_refused_at": grant.first_refused_at,
        "retry_at": grant.retry_at,
        "failures": grant.failures,
        "refresh_due_at": grant.refresh_due_at,
        "refresh_shard": grant_shard_of(grant.account) if due else None,
        "due_reason": grant.due_reason,
    }


def grant_row(grant: Grant) -> Row:
    """The whole row, without a lease. What is kept for a roll-back goes when its time is over."""
    kept = grant.previous
    return {
        **key_of(grant.account),
        "version": grant.version,
        "refresh_token": grant.refresh_token,
        "scopes": list(grant.scopes),
        "issuer": grant.identity.issuer,
        "subject": grant.identity.subject or None,  # the key of an index must not be empty
        "addresses": list(grant.identity.addresses),
        "granted_at": grant.granted_at,
        "refreshed_at": grant.refreshed_at,
        "previous": previous_row(kept) if kept is not None and kept.until > grant.refreshed_at else None,
        "ends_at": grant.ends_at,
        "auth_mode": grant.auth_mode,
        **refusal_row(grant),
        **NO_LEASE,
    }


def grant_of(row: Row) -> Grant:
    """The grant of a row that was not ended."""
    return Grant(
        account=row["account"],
        version=row["version"],
        refresh_token=row["refresh_token"],
        scopes=tuple(row["scopes"]),
        identity=_identity(row),
        granted_at=row["granted_at"],
        refreshed_at=row["refreshed_at"],
        lease_owner=row.get("lease_owner"),
        lease_until=row.get("lease_until", 0),
        refresh_due_at=None if row.get("refresh_shard") == NEEDS_OWNER else row.get("refresh_due_at"),
        due_reason=DueReason(row.get("due_reason", DueReason.KEEP_ALIVE)),
        first_refused_at=row.get("first_refused_at"),
        retry_at=row.get("retry_at"),
        failures=row.get("failures", 0),
        previous=_previous(row.get("previous")),
        ends_at=row.get("ends_at"),
        auth_mode=AuthMode(row["auth_mode"]) if "auth_mode" in row else None,
    )


def found_grant(row: Row | None) -> Grant | None:
    """The grant of a row; None where there is none, or it was ended."""
    return grant_of(row) if row and "refresh_token" in row else None


def previous_row(kept: Previous) -> Row:
    """What is kept for a roll-back, as the grant's row holds it."""
    return {
        "auth_mode": kept.auth_mode,
        "smtp_user": kept.smtp_user,
        "version": kept.version,
        "refresh_token": kept.refresh_token,
        "scopes": list(kept.scopes),
        "issuer": kept.identity.issuer,
        "subject": kept.identity.subject,
        "addresses": list(kept.identity.addresses),
        "until": kept.until,
    }


def _previous(row: Row | None) -> Previous | None:
    if row is None:
        return None
    return Previous(
        auth_mode=AuthMode(row["auth_mode"]),
        smtp_user=row["smtp_user"],
        version=row["version"],
        refresh_token=row["refresh_token"],
        scopes=tuple(row["scopes"]),
        identity=_identity(row),
        until=row["until"],
    )


def _identity(row: Row) -> Identity:
    return Identity(row["issuer"], row.get("subject", ""), tuple(row["addresses"]))
