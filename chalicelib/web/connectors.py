"""Connectors in the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalice.app import Response

from chalicelib import clock
from chalicelib.accounts.models import status
from chalicelib.callers.models import Scope
from chalicelib.callers.permissions import require, require_everything, uses
from chalicelib.errors import Unavailable
from chalicelib.logs import logger
from chalicelib.web import bodies
from chalicelib.web.bodies import given
from chalicelib.web.calls import Call, decoded
from chalicelib.web.shown import connector_record

if TYPE_CHECKING:
    from chalicelib.accounts.models import Account, Connector

CREATED = 201

log = logger("api")


def create(call: Call) -> Response:
    """Registers our OAuth client at a provider; its secret goes to Secrets Manager and never comes back."""
    require_everything(call.caller)
    asked = call.body(bodies.NewConnector)
    registry = call.services.registry
    connector = registry.new_connector(asked.provider, asked.name, asked.client_id, asked.tenant)
    # The secret first: a row without one would look like a connector that can be used.
    secret = {"connector_id": connector.id, "secret": asked.client_secret}
    call.services.functions.connect("save_secret", secret)
    stored = registry.add_connector(connector)
    return Response({**_record(call, stored), "check": _check(call, stored)}, status_code=CREATED)


def listed(call: Call) -> Response:
    """Every connector, the oldest first."""
    require(call.caller, Scope.READ)
    return Response({"connectors": [_record(call, found) for found in call.services.registry.connectors()]})


def show(call: Call, connector: str) -> Response:
    """One connector, with the redirect URI to copy, and a page of its accounts."""
    require(call.caller, Scope.READ)
    page = (call.limit(), call.query("cursor"))
    found = call.services.registry.connector(decoded(connector))
    accounts, cursor = call.services.changing.accounts_of(found, *page)
    own = [one for one in accounts if uses(call.caller, one.id) and one.deleted_at is None]
    shown = [_brief(account, found) for account in own]
    return Response({**_record(call, found), "accounts": shown, "cursor": cursor})


def change(call: Call, connector: str) -> Response:
    """Gives a connector another name, or another client while nobody is connected with it."""
    require_everything(call.caller)
    asked = call.body(bodies.ConnectorChange)
    found = call.services.registry.connector(decoded(connector))
    return Response(_record(call, call.services.changing.change_connector(found, **given(asked))))


def replace_secret(call: Call, connector: str) -> Response:
    """Replaces a connector's client secret by one that the provider takes; the one before is kept."""
    require_everything(call.caller)
    asked = call.body(bodies.NewSecret)
    registry = call.services.registry
    found = registry.connector(decoded(connector))
    secret = {"connector_id": found.id, "secret": asked.client_secret, "check": asked.check}
    done = call.services.functions.connect("replace_secret", secret)
    return Response({**_record(call, registry.connector(found.id)), **done})


def delete(call: Call, connector: str) -> Response:
    """Deletes a connector that has no account; AWS can restore its secret for 30 days."""
    require_everything(call.caller)
    found = call.services.registry.connector(decoded(connector))
    call.services.changing.require_unused(found)
    # The secret first: without its row nobody would find it again.
    deleted = call.services.functions.connect("delete_secret", {"connector_id": found.id})
    call.services.changing.remove_connector(found)
    until = clock.shown(deleted["recoverable_until"])
    return Response({"id": found.id, "deleted": True, "secret_recoverable_until": until})


def _check(call: Call, connector: Connector) -> dict[str, Any]:
    """Whether the provider takes the new secret. What hinders the question hinders nothing else."""
    try:
        return call.services.functions.connect("check_secret", {"connector_id": connector.id})
    except Unavailable:
        log.exception("a new secret was not checked", extra={"facts": {"connector": connector.id}})
        return {"ok": None}


def _record(call: Call, connector: Connector) -> dict[str, Any]:
    return connector_record(connector, call.services.public_url())


def _brief(account: Account, connector: Connector) -> dict[str, Any]:
    return {
        "id": account.id,
        "name": account.name,
        "address": account.address,
        "status": str(status(account, connector)),
    }
