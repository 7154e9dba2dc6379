"""How connectors, accounts and callers are shown: as records, without any secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from msgspec.structs import asdict

from chalicelib.accounts.models import Account, Connector, status
from chalicelib.clock import shown, shown_at
from chalicelib.records import Record, diagnosis
from chalicelib.web import records

if TYPE_CHECKING:
    from chalicelib.callers.models import Caller
    from chalicelib.diagnosis import Diagnosis
    from chalicelib.mail.models import LaneRow

Longer = TypeVar("Longer", bound=Record)


def extended(record: Record, type_: type[Longer], **more: Any) -> Longer:
    """A record with the further fields of a type that is derived from its own."""
    return type_(**asdict(record), **more)


def connector_record(connector: Connector, public_url: str) -> records.Connector:
    """A connector; `redirect_uri` is what has to be registered at the provider, character by character."""
    return records.Connector(
        id=connector.id,
        provider=cast("Any", connector.provider),
        name=connector.name,
        client_id=connector.client_id,
        tenant=connector.tenant,
        redirect_uri=f"{public_url}/oauth/callback/{connector.id}",
        created_at=shown_at(connector.created_at),
        secret_saved_at=shown(connector.secret_saved_at),
        problem=diagnosis(connector.problem),
    )


def account_record(account: Account, connector: Connector | None) -> records.Account:
    """An account with its derived status; `problem` is the most telling diagnosis of those that are known."""
    return records.Account(
        id=account.id,
        name=account.name,
        address=account.address,
        display_name=account.display_name,
        connector=account.connector,
        auth_mode=account.auth_mode,
        status=status(account, connector),
        created_at=shown_at(account.created_at),
        connected_at=shown(account.connected_at),
        token_expires_at=shown(account.token_expires_at),
        refreshed_at=shown(account.refreshed_at),
        problem=diagnosis(_problem(account, connector)),
        paused=_pause(account),
        disconnected=_disconnection(account),
    )


def account_in_brief(account: Account, connector: Connector) -> records.AccountInBrief:
    """An account in the list of its connector."""
    return records.AccountInBrief(
        id=account.id, name=account.name, address=account.address, status=status(account, connector)
    )


def lane_record(lane: LaneRow) -> records.Lane:
    """What an account's mail waits for: why it is held, or when it is looked at next."""
    return records.Lane(
        closed=lane.closed,
        closed_at=shown(lane.closed_at),
        next_due_at=shown(lane.next_due_at),
        rests_until=shown(lane.rest_until),
    )


def caller_record(caller: Caller) -> records.Caller:
    """A caller; never its key, nor the key's hash."""
    return records.Caller(
        id=caller.id,
        kind=caller.kind,
        name=caller.name,
        scopes=sorted(caller.scopes),
        accounts=sorted(caller.accounts),
        created_at=shown_at(caller.created_at),
        expires_at=shown(caller.expires_at),
        revoked_at=shown(caller.revoked_at),
    )


def _pause(account: Account) -> records.Paused | None:
    if account.paused_by is None or account.paused_at is None:
        return None
    return records.Paused(by=account.paused_by, at=shown_at(account.paused_at), reason=account.pause_reason)


def _disconnection(account: Account) -> records.Disconnection | None:
    last = account.disconnection
    if last is None:
        return None
    return records.Disconnection(by=last.by, at=shown_at(last.at), revocation=last.revocation)


def _problem(account: Account, connector: Connector | None) -> Diagnosis | None:
    """In the order in which status() looks: a broken connector explains everything below it."""
    if connector is not None and connector.problem is not None:
        return connector.problem
    return account.problem or account.transport_block
