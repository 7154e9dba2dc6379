"""Accounts in the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from chalicelib.callers.models import ALL_ACCOUNTS, Scope
from chalicelib.callers.permissions import require, require_everything
from chalicelib.clock import shown_at
from chalicelib.web import bodies, records
from chalicelib.web.bodies import given
from chalicelib.web.calls import Call, decoded
from chalicelib.web.queries import Page
from chalicelib.web.shown import account_record, extended, lane_record

if TYPE_CHECKING:
    from chalicelib.accounts.models import Account


def create(call: Call) -> records.AccountWithLink:
    """Makes an account and the link by which its owner connects it."""
    require_everything(call.caller)
    asked = call.body(bodies.NewAccount)
    account = call.services.registry.create_account(
        asked.connector, asked.address, asked.name, asked.display_name
    )
    return _with_link(call, account)


def listed(call: Call) -> records.AccountPage:
    """One page of the caller's accounts and the cursor of the next."""
    require(call.caller, Scope.READ)
    registry, own, page = call.services.registry, call.caller.accounts, call.query(Page)
    found, cursor = registry.accounts(page.limit, page.cursor, among=None if ALL_ACCOUNTS in own else own)
    connectors = {connector.id: connector for connector in registry.connectors()} if found else {}
    shown = [account_record(account, connectors.get(account.connector)) for account in found]
    return records.AccountPage(accounts=shown, cursor=cursor)


def show(call: Call, account: str) -> records.Account:
    """One account by id or name: status, tokens, last problem, lane."""
    return _account(call, call.account(decoded(account), Scope.READ))


def change(call: Call, account: str) -> records.Account:
    """Gives an account another name or display name."""
    asked = call.body(bodies.AccountChange)
    found = call.account(decoded(account), Scope.ADMIN)
    return _account(call, call.services.changing.change_account(found, **given(asked)))


def renew_link(call: Call, account: str) -> records.ConnectLink:
    """A new connect link for the same account: to connect it at last, or to reconnect it."""
    found = call.account(decoded(account), Scope.ADMIN)
    return _link(call, found)


def pause(call: Call, account: str) -> records.Account:
    """Holds an account's mail, which is accepted and waits, until it is resumed."""
    asked = call.body(bodies.Pause, optional=True)
    found = call.account(decoded(account), Scope.ADMIN)
    return _account(call, call.services.pausing.pause(found, by=call.caller.id, reason=asked.reason))


def resume(call: Call, account: str) -> records.Account:
    """Lets a paused account's mail go on."""
    found = call.account(decoded(account), Scope.ADMIN)
    return _account(call, call.services.pausing.resume(found))


def verify(call: Call, account: str) -> records.Verification:
    """Signs in to the account's mail server, sends nothing, and tells each step."""
    found = call.account(decoded(account), Scope.ADMIN)
    seen = call.services.functions.connect("verify", {"account_id": found.id})
    return msgspec.convert(seen, records.Verification)


def disconnect(call: Call, account: str) -> records.DisconnectedAccount:
    """Withdraws the owner's consent and deletes its tokens; mail that waits is held."""
    found = call.account(decoded(account), Scope.ADMIN)
    done = call.services.functions.connect("disconnect", {"account_id": found.id, "by": call.caller.id})
    ended = _account(call, call.services.registry.account(found.id))
    return msgspec.convert({**ended.to_json(), **done}, records.DisconnectedAccount)


def delete(call: Call, account: str) -> records.DeletedAccount:
    """Disconnects an account and deletes it with its waiting mail; for 7 days it can be restored."""
    require_everything(call.caller)
    found = call.account(decoded(account), Scope.ADMIN)
    done = call.services.functions.connect("disconnect", {"account_id": found.id, "by": call.caller.id})
    deleted = call.services.changing.delete_account(found, by=call.caller.id)
    return records.DeletedAccount(
        id=found.id,
        name=found.name,
        deleted=True,
        restorable_until=shown_at(deleted.restorable_until),
        revocation=done["revocation"],
        withdraw=done["withdraw"],
    )


def restore(call: Call, account: str) -> records.AccountWithLink:
    """Takes a deletion back. Its consent is gone, so the owner has to connect it again: here is the link."""
    require_everything(call.caller)
    restored = call.services.changing.restore_account(decoded(account))
    return _with_link(call, restored)


def _account(call: Call, account: Account) -> records.Account:
    connector = call.services.registry.connector(account.connector)
    lane = call.services.lane.state(account.id)
    return msgspec.structs.replace(account_record(account, connector), lane=lane_record(lane))


def _with_link(call: Call, account: Account) -> records.AccountWithLink:
    link = _link(call, account)
    return extended(
        _account(call, account),
        records.AccountWithLink,
        connect_link=link.connect_link,
        connect_link_expires_at=link.connect_link_expires_at,
    )


def _link(call: Call, account: Account) -> records.ConnectLink:
    token, expires_at = call.services.registry.invite(account, call.caller)
    return records.ConnectLink(
        id=account.id,
        connect_link=f"{call.services.public_url()}/connect/{token}",
        connect_link_expires_at=shown_at(expires_at),
    )
