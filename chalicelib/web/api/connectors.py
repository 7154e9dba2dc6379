"""Connectors in the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from chalicelib.accounts.admin import checks
from chalicelib.accounts.models.connector import CredentialKind
from chalicelib.callers.models import ALL_ACCOUNTS, Scope
from chalicelib.callers.permissions import require, require_everything
from chalicelib.clock import shown_at
from chalicelib.errors import Unavailable
from chalicelib.logs import logger
from chalicelib.providers import service_accounts
from chalicelib.web.api import bodies, connector_records
from chalicelib.web.api.bodies import given
from chalicelib.web.api.calls import Call, decoded
from chalicelib.web.api.connector_records import (
    CheckedConnector,
    ConnectorList,
    ConnectorWithAccounts,
    DeletedConnector,
    ReplacedSecret,
    SecretCheck,
)
from chalicelib.web.api.cursors import cursor_of, place_of
from chalicelib.web.api.queries import Page
from chalicelib.web.api.records import Examination
from chalicelib.web.api.shown import account_in_brief, connector_record, credential_shown, extended

if TYPE_CHECKING:
    from chalicelib.accounts.models.connector import Connector

log = logger("api")


def create(call: Call) -> CheckedConnector:
    """Registers our OAuth client at a provider; its credential is kept apart and never comes back.

    `facts` say of a provider that is not in the catalogue where people sign in, where tokens are given and
    where its mail servers are; `discovery` fills in what its discovery document says.
    """
    require_everything(call.caller)
    asked = call.body(bodies.NewConnector)
    connector = _new(call, asked)
    # The credential first: a row without one would look like a connector that can be used.
    saving = {"connector_id": connector.id, "kind": connector.credential, **asked.to_save()}
    call.services.functions.connect("save_secret", saving)
    stored = call.services.registry.add_connector(connector)
    check, shown = _check(call, stored)
    return extended(_record(call, stored), CheckedConnector, check=check, **shown)


def listed(call: Call) -> ConnectorList:
    """Every connector, the oldest first."""
    require(call.caller, Scope.READ)
    found = call.services.registry.connectors()
    return ConnectorList(connectors=[_record(call, connector) for connector in found])


def show(call: Call, connector: str) -> ConnectorWithAccounts:
    """One connector, with the redirect URI to copy, and a page of its accounts."""
    require(call.caller, Scope.READ)
    page = call.query(Page)
    found = call.services.registry.connector(decoded(connector))
    among = None if ALL_ACCOUNTS in call.caller.accounts else call.caller.accounts
    of = f"accounts of {found.id}"
    after = place_of(call.caller, of, page)
    accounts, place = call.services.changing.accounts_of(found, page.limit, after, among=among)
    shown = [account_in_brief(account, found) for account in accounts if account.deleted_at is None]
    cursor = cursor_of(place, call.caller, of, page)
    return extended(_record(call, found), ConnectorWithAccounts, accounts=shown, cursor=cursor)


def change(call: Call, connector: str) -> connector_records.Connector:
    """Gives a connector another name, or another client while nobody is connected with it."""
    require_everything(call.caller)
    asked = call.body(bodies.ConnectorChange)
    found = call.services.registry.connector(decoded(connector))
    return _record(call, call.services.changing.change_connector(found, **given(asked)))


def replace_secret(call: Call, connector: str) -> ReplacedSecret:
    """Replaces a connector's credential by one that the provider takes; the one before is kept.

    It may be of another kind where that belongs to the same client: a certificate in the place of a client
    secret, for example.
    """
    require_everything(call.caller)
    asked = call.body(bodies.NewSecret)
    registry = call.services.registry
    found = registry.connector(decoded(connector))
    # Refused before anything is saved.
    end = checks.end_of_secret(asked.secret_expires_at, asked.named_kind or found.credential)
    new = {"kind": asked.named_kind or "", **asked.to_save(), "check": asked.check}
    done = call.services.functions.connect("replace_secret", {"connector_id": found.id, **new})
    saved = registry.connector(found.id)
    if saved.facts.get(checks.SECRET_END, "") != end:
        saved = call.services.changing.change_connector(saved, secret_expires_at=end)
    return extended(
        _record(call, saved),
        ReplacedSecret,
        check=msgspec.convert(done["check"], SecretCheck),
        previous_kept=done["previous_kept"],
        **credential_shown(done),
    )


def delete(call: Call, connector: str) -> DeletedConnector:
    """Deletes a connector that has no account; AWS can restore its secret for 30 days."""
    require_everything(call.caller)
    found = call.services.registry.connector(decoded(connector))
    call.services.changing.require_unused(found)
    # The secret first: without its row nobody would find it again.
    deleted = call.services.functions.connect("delete_secret", {"connector_id": found.id})
    call.services.changing.remove_connector(found)
    until = shown_at(deleted["recoverable_until"])
    return DeletedConnector(id=found.id, deleted=True, secret_recoverable_until=until)


def doctor(call: Call, connector: str) -> Examination:
    """Looks for what is wrong with a connector, and says how to mend each; asks the provider."""
    require_everything(call.caller)
    found = call.services.registry.connector(decoded(connector))
    seen = call.services.functions.connect("doctor_connector", {"connector_id": found.id})
    return msgspec.convert(seen, Examination)


def _new(call: Call, asked: bodies.NewConnector) -> Connector:
    """The connector that is asked for, not written yet."""
    facts = asked.facts
    if asked.discovery:
        authority = facts.get("extra_ca")
        trusted = {"extra_ca": authority} if isinstance(authority, str) else {}
        found = call.services.functions.connect("discover", {"issuer": asked.discovery, **trusted})
        facts = {**found["facts"], **facts}
    return call.services.registry.new_connector(
        asked.provider,
        asked.name,
        asked.client_id or _client_of(asked),
        asked.tenant,
        cloud=asked.cloud,
        credential=asked.named_kind or CredentialKind.SECRET,
        facts=facts,
        scopes=asked.scopes,
    )


def _client_of(asked: bodies.NewConnector) -> str:
    """The client id that a service account's key holds. Raises InvalidInput for what is no key."""
    return service_accounts.client_id(asked.service_account_key) if asked.service_account_key else ""


def _check(call: Call, connector: Connector) -> tuple[SecretCheck, dict[str, Any]]:
    """Whether the provider takes the new credential, and what may be shown of it.

    What hinders the question hinders nothing else.
    """
    try:
        found = call.services.functions.connect("check_secret", {"connector_id": connector.id})
    except Unavailable:
        log.exception("a new credential was not checked", extra={"facts": {"connector": connector.id}})
        return SecretCheck(ok=None), {}
    return msgspec.convert(found, SecretCheck), credential_shown(found)


def _record(call: Call, connector: Connector) -> connector_records.Connector:
    return connector_record(connector, call.services.public_url())
