"""Views of connectors and accounts: parse, ask, answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalice.app import Response

from chalicelib import clock
from chalicelib.callers.models import ALL_ACCOUNTS, Scope
from chalicelib.callers.permissions import require, require_everything
from chalicelib.web import bodies
from chalicelib.web.calls import Call, decoded
from chalicelib.web.shown import account_record, connector_record

if TYPE_CHECKING:
    from chalicelib.accounts.models import Account

CREATED = 201


def create_connector(call: Call) -> Response:
    """Registers our OAuth client at a provider; its secret goes to Secrets Manager and never comes back."""
    require_everything(call.caller)
    asked = call.body(bodies.NewConnector)
    registry = call.services.registry
    connector = registry.new_connector(asked.provider, asked.name, asked.client_id, asked.tenant)
    # The secret first: a row without one would look like a connector that can be used.
    _save_secret(call, connector.id, asked.client_secret)
    stored = registry.add_connector(connector)
    return Response(connector_record(stored, call.services.public_url()), status_code=CREATED)


def list_connectors(call: Call) -> Response:
    """Every connector, the oldest first."""
    require(call.caller, Scope.READ)
    public_url = call.services.public_url()
    found = call.services.registry.connectors()
    return Response({"connectors": [connector_record(connector, public_url) for connector in found]})


def show_connector(call: Call, connector: str) -> Response:
    """One connector, with the redirect URI to copy."""
    require(call.caller, Scope.READ)
    found = call.services.registry.connector(decoded(connector))
    return Response(connector_record(found, call.services.public_url()))


def replace_secret(call: Call, connector: str) -> Response:
    """Replaces a connector's client secret."""
    require_everything(call.caller)
    asked = call.body(bodies.NewSecret)
    found = call.services.registry.connector(decoded(connector))
    _save_secret(call, found.id, asked.client_secret)
    return Response(connector_record(call.services.registry.connector(found.id), call.services.public_url()))


def create_account(call: Call) -> Response:
    """Makes an account and the link by which its owner connects it."""
    require_everything(call.caller)
    asked = call.body(bodies.NewAccount)
    account = call.services.registry.create_account(
        asked.connector, asked.address, asked.name, asked.display_name
    )
    return Response({**_account(call, account), **_connect_link(call, account)}, status_code=CREATED)


def list_accounts(call: Call) -> Response:
    """One page of the caller's accounts and the cursor of the next."""
    require(call.caller, Scope.READ)
    registry, own = call.services.registry, call.caller.accounts
    found, cursor = registry.accounts(
        call.limit(), call.query("cursor"), among=None if ALL_ACCOUNTS in own else own
    )
    connectors = {connector.id: connector for connector in registry.connectors()} if found else {}
    records = [account_record(account, connectors.get(account.connector)) for account in found]
    return Response({"accounts": records, "cursor": cursor})


def show_account(call: Call, account: str) -> Response:
    """One account by id or name: status, tokens, last problem, lane."""
    return Response(_account(call, call.account(decoded(account), Scope.READ)))


def renew_link(call: Call, account: str) -> Response:
    """A new connect link for the same account: to connect it at last, or to reconnect it."""
    found = call.account(decoded(account), Scope.ADMIN)
    return Response({"id": found.id, **_connect_link(call, found)}, status_code=CREATED)


def _save_secret(call: Call, connector: str, secret: str) -> None:
    call.services.functions.connect("save_secret", {"connector_id": connector, "secret": secret})


def _account(call: Call, account: Account) -> dict[str, Any]:
    connector = call.services.registry.connector(account.connector)
    return account_record(account, connector, call.services.lane.state(account.id))


def _connect_link(call: Call, account: Account) -> dict[str, Any]:
    token, expires_at = call.services.registry.invite(account, call.caller)
    return {
        "connect_link": f"{call.services.public_url()}/connect/{token}",
        "connect_link_expires_at": clock.shown(expires_at),
    }
