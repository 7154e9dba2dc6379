"""Connectors in the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from chalicelib.callers.models import Scope
from chalicelib.callers.permissions import require, require_everything, uses
from chalicelib.clock import shown_at
from chalicelib.errors import Unavailable
from chalicelib.logs import logger
from chalicelib.web import bodies, records
from chalicelib.web.bodies import given
from chalicelib.web.calls import Call, decoded
from chalicelib.web.queries import Page
from chalicelib.web.shown import account_in_brief, connector_record, extended

if TYPE_CHECKING:
    from chalicelib.accounts.models import Connector

log = logger("api")


def create(call: Call) -> records.CheckedConnector:
    """Registers our OAuth client at a provider; its secret goes to Secrets Manager and never comes back."""
    require_everything(call.caller)
    asked = call.body(bodies.NewConnector)
    registry = call.services.registry
    connector = registry.new_connector(asked.provider, asked.name, asked.client_id, asked.tenant)
    # The secret first: a row without one would look like a connector that can be used.
    secret = {"connector_id": connector.id, "secret": asked.client_secret}
    call.services.functions.connect("save_secret", secret)
    stored = registry.add_connector(connector)
    return extended(_record(call, stored), records.CheckedConnector, check=_check(call, stored))


def listed(call: Call) -> records.ConnectorList:
    """Every connector, the oldest first."""
    require(call.caller, Scope.READ)
    found = call.services.registry.connectors()
    return records.ConnectorList(connectors=[_record(call, connector) for connector in found])


def show(call: Call, connector: str) -> records.ConnectorWithAccounts:
    """One connector, with the redirect URI to copy, and a page of its accounts."""
    require(call.caller, Scope.READ)
    page = call.query(Page)
    found = call.services.registry.connector(decoded(connector))
    accounts, cursor = call.services.changing.accounts_of(found, page.limit, page.cursor)
    own = [one for one in accounts if uses(call.caller, one.id) and one.deleted_at is None]
    shown = [account_in_brief(account, found) for account in own]
    return extended(_record(call, found), records.ConnectorWithAccounts, accounts=shown, cursor=cursor)


def change(call: Call, connector: str) -> records.Connector:
    """Gives a connector another name, or another client while nobody is connected with it."""
    require_everything(call.caller)
    asked = call.body(bodies.ConnectorChange)
    found = call.services.registry.connector(decoded(connector))
    return _record(call, call.services.changing.change_connector(found, **given(asked)))


def replace_secret(call: Call, connector: str) -> records.ReplacedSecret:
    """Replaces a connector's client secret by one that the provider takes; the one before is kept."""
    require_everything(call.caller)
    asked = call.body(bodies.NewSecret)
    registry = call.services.registry
    found = registry.connector(decoded(connector))
    secret = {"connector_id": found.id, "secret": asked.client_secret, "check": asked.check}
    done = call.services.functions.connect("replace_secret", secret)
    replaced = _record(call, registry.connector(found.id))
    return msgspec.convert({**replaced.to_json(), **done}, records.ReplacedSecret)


def delete(call: Call, connector: str) -> records.DeletedConnector:
    """Deletes a connector that has no account; AWS can restore its secret for 30 days."""
    require_everything(call.caller)
    found = call.services.registry.connector(decoded(connector))
    call.services.changing.require_unused(found)
    # The secret first: without its row nobody would find it again.
    deleted = call.services.functions.connect("delete_secret", {"connector_id": found.id})
    call.services.changing.remove_connector(found)
    until = shown_at(deleted["recoverable_until"])
    return records.DeletedConnector(id=found.id, deleted=True, secret_recoverable_until=until)


def _check(call: Call, connector: Connector) -> records.SecretCheck:
    """Whether the provider takes the new secret. What hinders the question hinders nothing else."""
    try:
        found = call.services.functions.connect("check_secret", {"connector_id": connector.id})
    except Unavailable:
        log.exception("a new secret was not checked", extra={"facts": {"connector": connector.id}})
        return records.SecretCheck(ok=None)
    return msgspec.convert(found, records.SecretCheck)


def _record(call: Call, connector: Connector) -> records.Connector:
    return connector_record(connector, call.services.public_url())
