"""How connectors, accounts and callers are shown: as JSON records, without any secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib import clock
from chalicelib.accounts.models import Account, Connector, status

if TYPE_CHECKING:
    from chalicelib.callers.models import Caller
    from chalicelib.diagnosis import Diagnosis
    from chalicelib.mail.models import LaneRow


def connector_record(connector: Connector, public_url: str) -> dict[str, Any]:
    """A connector; `redirect_uri` is what has to be registered at the provider, character by character."""
    return {
        "id": connector.id,
        "provider": connector.provider,
        "name": connector.name,
        "client_id": connector.client_id,
        "tenant": connector.tenant,
        "redirect_uri": f"{public_url}/oauth/callback/{connector.id}",
        "created_at": clock.shown(connector.created_at),
        "secret_saved_at": clock.shown(connector.secret_saved_at),
        "problem": _diagnosis(connector.problem),
    }


def account_record(
    account: Account, connector: Connector | None, lane: LaneRow | None = None
) -> dict[str, Any]:
    """An account with its derived status; `problem` is the most telling diagnosis of those that are known."""
    record = {
        "id": account.id,
        "name": account.name,
        "address": account.address,
        "display_name": account.display_name,
        "connector": account.connector,
        "auth_mode": str(account.auth_mode),
        "status": str(status(account, connector)),
        "created_at": clock.shown(account.created_at),
        "connected_at": clock.shown(account.connected_at),
        "token_expires_at": clock.shown(account.token_expires_at),
        "refreshed_at": clock.shown(account.refreshed_at),
        "problem": _diagnosis(_problem(account, connector)),
        "paused": _pause(account),
        "disconnected": _disconnection(account),
    }
    return record if lane is None else {**record, "lane": lane_record(lane)}


def lane_record(lane: LaneRow) -> dict[str, Any]:
    """What an account's mail waits for: why it is held, or when it is looked at next."""
    return {
        "closed": lane.closed,
        "closed_at": clock.shown(lane.closed_at),
        "next_due_at": clock.shown(lane.next_due_at),
        "rests_until": clock.shown(lane.rest_until),
    }


def caller_record(caller: Caller) -> dict[str, Any]:
    """A caller; never its key, nor the key's hash."""
    return {
        "id": caller.id,
        "kind": str(caller.kind),
        "name": caller.name,
        "scopes": sorted(caller.scopes),
        "accounts": sorted(caller.accounts),
        "created_at": clock.shown(caller.created_at),
        "expires_at": clock.shown(caller.expires_at),
        "revoked_at": clock.shown(caller.revoked_at),
    }


def _pause(account: Account) -> dict[str, Any] | None:
    """By whom the account was paused, when and why."""
    if account.paused_by is None:
        return None
    return {"by": account.paused_by, "at": clock.shown(account.paused_at), "reason": account.pause_reason}


def _disconnection(account: Account) -> dict[str, Any] | None:
    """How the account was last disconnected; it may have been connected again since."""
    last = account.disconnection
    if last is None:
        return None
    return {"by": last.by, "at": clock.shown(last.at), "revocation": str(last.revocation)}


def _problem(account: Account, connector: Connector | None) -> Diagnosis | None:
    """In the order in which status() looks: a broken connector explains everything below it."""
    if connector is not None and connector.problem is not None:
        return connector.problem
    return account.problem or account.transport_block


def _diagnosis(diagnosis: Diagnosis | None) -> dict[str, Any] | None:
    return diagnosis.to_json() if diagnosis is not None else None
