"""Accounts in the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalice.app import Response

from chalicelib import clock
from chalicelib.callers.models import ALL_ACCOUNTS, Scope
from chalicelib.callers.permissions import require, require_everything
from chalicelib.web import bodies
from chalicelib.web.bodies import given
from chalicelib.web.calls import Call, decoded
from chalicelib.web.shown import account_record

if TYPE_CHECKING:
    from chalicelib.accounts.models import Account

CREATED = 201


def create(call: Call) -> Response:
    """Makes an account and the link by which its owner connects it."""
    require_everything(call.caller)
    asked = call.body(bodies.NewAccount)
    account = call.services.registry.create_account(
        asked.connector, asked.address, asked.name, asked.display_name
    )
    return Response({**_account(call, account), **_connect_link(call, account)}, status_code=CREATED)


def listed(call: Call) -> Response:
    """One page of the caller's accounts and the cursor of the next."""
    require(call.caller, Scope.READ)
    registry, own = call.services.registry, call.caller.accounts
    found, cursor = registry.accounts(
        call.limit(), call.query("cursor"), among=None if ALL_ACCOUNTS in own else own
    )
    connectors = {connector.id: connector for connector in registry.connectors()} if found else {}
    records = [account_record(account, connectors.get(account.connector)) for account in found]
    return Response({"accounts": records, "cursor": cursor})


def show(call: Call, account: str) -> Response:
    """One account by id or name: status, tokens, last problem, lane."""
    return Response(_account(call, call.account(decoded(account), Scope.READ)))


def change(call: Call, account: str) -> Response:
    """Gives an account another name or display name."""
    asked = call.body(bodies.AccountChange)
    found = call.account(decoded(account), Scope.ADMIN)
    return Response(_account(call, call.services.changing.change_account(found, **given(asked))))


def renew_link(call: Call, account: str) -> Response:
    """A new connect link for the same account: to connect it at last, or to reconnect it."""
    found = call.account(decoded(account), Scope.ADMIN)
    return Response({"id": found.id, **_connect_link(call, found)}, status_code=CREATED)


def pause(call: Call, account: str) -> Response:
    """Holds an account's mail, which is accepted and waits, until it is resumed."""
    asked = call.body(bodies.Pause, optional=True)
    found = call.account(decoded(account), Scope.ADMIN)
    return Response(
        _account(call, call.services.pausing.pause(found, by=call.caller.id, reason=asked.reason))
    )


def resume(call: Call, account: str) -> Response:
    """Lets a paused account's mail go on."""
    found = call.account(decoded(account), Scope.ADMIN)
    return Response(_account(call, call.services.pausing.resume(found)))


def verify(call: Call, account: str) -> Response:
    """Signs in to the account's mail server, sends nothing, and tells each step."""
    found = call.account(decoded(account), Scope.ADMIN)
    return Response(call.services.functions.connect("verify", {"account_id": found.id}))


def disconnect(call: Call, account: str) -> Response:
    """Withdraws the owner's consent and deletes its tokens; mail that waits is held."""
    found = call.account(decoded(account), Scope.ADMIN)
    done = call.services.functions.connect("disconnect", {"account_id": found.id, "by": call.caller.id})
    told = {name: done[name] for name in ("revocation", "withdraw", "diagnosis") if name in done}
    return Response({**_account(call, call.services.registry.account(found.id)), **told})


def delete(call: Call, account: str) -> Response:
    """Disconnects an account and deletes it with its waiting mail; for 7 days it can be restored."""
    require_everything(call.caller)
    found = call.account(decoded(account), Scope.ADMIN)
    done = call.services.functions.connect("disconnect", {"account_id": found.id, "by": call.caller.id})
    deleted = call.services.changing.delete_account(found, by=call.caller.id)
    return Response(
        {
            "id": found.id,
            "name": found.name,
            "deleted": True,
            "restorable_until": clock.shown(deleted.restorable_until),
            "revocation": done["revocation"],
            "withdraw": done["withdraw"],
        }
    )


def restore(call: Call, account: str) -> Response:
    """Takes a deletion back. Its consent is gone, so the owner has to connect it again: here is the link."""
    require_everything(call.caller)
    restored = call.services.changing.restore_account(decoded(account))
    return Response({**_account(call, restored), **_connect_link(call, restored)})


def _account(call: Call, account: Account) -> dict[str, Any]:
    connector = call.services.registry.connector(account.connector)
    return account_record(account, connector, call.services.lane.state(account.id))


def _connect_link(call: Call, account: Account) -> dict[str, Any]:
    token, expires_at = call.services.registry.invite(account, call.caller)
    return {
        "connect_link": f"{call.services.public_url()}/connect/{token}",
        "connect_link_expires_at": clock.shown(expires_at),
    }
