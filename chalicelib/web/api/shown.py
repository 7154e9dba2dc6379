"""How connectors, accounts and callers are shown: as records, without any secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from msgspec.structs import asdict

from chalicelib.accounts.models.account import Account, AuthMode, status
from chalicelib.accounts.models.connector import Cloud, Connector, CredentialKind
from chalicelib.clock import shown, shown_at
from chalicelib.records import Record, diagnosis
from chalicelib.web.api import connector_records, records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.callers.models import Caller
    from chalicelib.diagnosis import Diagnosis
    from chalicelib.mail.models import LaneRow
    from chalicelib.providers.catalogue import Catalogue
    from chalicelib.providers.facts import ProviderFacts

Longer = TypeVar("Longer", bound=Record)


def extended(record: Record, type_: type[Longer], **more: Any) -> Longer:
    """A record with the further fields of a type that is derived from its own."""
    return type_(**asdict(record), **more)


def provider_record(catalogue: Catalogue, name: str) -> connector_records.Provider:
    """A provider that connectors can be made for, in all its clouds."""
    facts = catalogue[name]
    known = {cloud: name if cloud is Cloud.GLOBAL else f"{name}/{cloud}" for cloud in Cloud}
    return connector_records.Provider(
        name=cast("Any", name),
        label=facts.label,
        auth_modes=[AuthMode(mode) for mode in facts.auth_modes],
        credentials=[CredentialKind(kind) for kind in facts.credentials],
        clouds=[_cloud(cloud, catalogue[key]) for cloud, key in known.items() if key in catalogue],
    )


def connector_record(connector: Connector, public_url: str) -> connector_records.Connector:
    """A connector; `redirect_uri` is what has to be registered at the provider, character by character."""
    return connector_records.Connector(
        id=connector.id,
        provider=cast("Any", connector.provider),
        name=connector.name,
        client_id=connector.client_id,
        tenant=connector.tenant,
        cloud=connector.cloud,
        credential=connector.credential,
        facts=dict(connector.facts),
        redirect_uri=f"{public_url}/oauth/callback/{connector.id}",
        created_at=shown_at(connector.created_at),
        secret_saved_at=shown(connector.secret_saved_at),
        problem=diagnosis(connector.problem),
    )


def credential_shown(found: Mapping[str, Any]) -> dict[str, Any]:
    """What `connect` told of a credential, as the fields of a record."""
    certificate, service_account = found.get("certificate"), found.get("service_account")
    shown_: dict[str, Any] = {}
    if certificate:
        shown_["certificate"] = connector_records.CertificateShown(
            thumbprint=certificate["thumbprint"], ends_at=shown_at(certificate["ends_at"])
        )
    if service_account:
        shown_["service_account"] = msgspec.convert(service_account, connector_records.ServiceAccountShown)
    return shown_


def account_record(account: Account, connector: Connector | None) -> records.Account:
    """An account with its derived status; `problem` is the most telling diagnosis of those that are known."""
    return records.Account(
        id=account.id,
        name=account.name,
        address=account.address,
        display_name=account.display_name,
        connector=account.connector,
        auth_mode=account.auth_mode,
        signs_in_as=account.signs_in_as,
        smtp_user=account.smtp_user,
        from_policy=account.from_policy,
        from_addresses=list(account.from_addresses),
        always_name=account.always_name,
        reads_with=account.reads_with,
        status=status(account, connector),
        created_at=shown_at(account.created_at),
        connected_at=shown(account.connected_at),
        token_expires_at=shown(account.token_expires_at),
        refreshed_at=shown(account.refreshed_at),
        problem=diagnosis(_problem(account, connector)),
        paused=_pause(account),
        disconnected=_disconnection(account),
    )


def account_in_brief(account: Account, connector: Connector) -> connector_records.AccountInBrief:
    """An account in the list of its connector."""
    return connector_records.AccountInBrief(
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
        from_addresses=sorted(caller.limits.from_addresses),
        reply_to_domains=sorted(caller.limits.reply_to_domains),
        messages_per_minute=caller.limits.messages_per_minute,
    )


def _cloud(cloud: Cloud, facts: ProviderFacts) -> connector_records.ProviderCloud:
    return connector_records.ProviderCloud(
        cloud=cloud,
        protocol_scopes=dict(facts.protocol_scopes),
        scopes=facts.scopes_to_copy,
        smtp=_hosted(facts.smtp_host, facts.smtp_port, facts.smtp_tls),
        imap=_hosted(facts.imap_host, facts.imap_port),
        pop=_hosted(facts.pop_host, facts.pop_port),
    )


def _hosted(host: str, port: int, tls: str = "implicit") -> connector_records.Hosted | None:
    return connector_records.Hosted(host=host, port=port, tls=cast("Any", tls)) if host else None


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
