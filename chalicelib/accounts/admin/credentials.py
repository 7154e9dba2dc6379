"""The credentials of connectors: saved, tried at the provider, replaced and deleted.

Whether a provider takes a client secret, a certificate or a federated token is found out by asking it to
refresh a token that does not exist. It looks at the client first: ``invalid_client`` then means that the
credential is wrong, ``invalid_grant`` that it is right (RFC 6749, section 5.2). A service account is given a
token of its own. No mailbox is concerned by either.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chalicelib import clock, ids
from chalicelib.accounts.admin import held
from chalicelib.accounts.models.connector import CredentialKind
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import Diagnosed, InvalidInput, MalformedRequest, NotFound, Unavailable
from chalicelib.logs import logger
from chalicelib.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.accounts.models.connector import Connector
    from chalicelib.accounts.ports import ConnectorStore, Secrets
    from chalicelib.providers import Providers

NOBODYS_TOKEN = Secret("mailgrant-asks-whether-this-client-is-known")
ALIKE = frozenset({CredentialKind.SECRET, CredentialKind.CERTIFICATE, CredentialKind.FEDERATED})
"""Kinds that can take each other's place: consents are given to the client, however it proves itself."""

SECRET_IS_AN_ID = Diagnosis(
    DiagnosisClass.ADMIN,
    "secret_is_an_id",
    "This is an id and not a secret.",
    "Copy the secret itself; at Microsoft it stands in the column Value, beside its Secret ID.",
)
CERTIFICATE_ENDED = Diagnosis(
    DiagnosisClass.ADMIN,
    "certificate_ended",
    "The certificate has ended.",
    "Make a new certificate, upload it in Entra (Certificates & secrets), and save it here with its key.",
)
KEY_OF_ANOTHER = Diagnosis(
    DiagnosisClass.ADMIN,
    "key_of_another_service_account",
    "The key belongs to another service account than the connector names.",
    "Give a key of the service account that has the connector's client id, or make another connector.",
)

log = logger("credentials")


class Credentials:
    """Keeps connectors' credentials. None of them ever leaves it but to its provider."""

    def __init__(
        self,
        connectors: ConnectorStore,
        providers: Providers,
        secrets: Secrets,
        now: clock.Clock = clock.now,
    ) -> None:
        self._connectors = connectors
        self._providers = providers
        self._secrets = secrets
        self._now = now

    def save(
        self,
        connector_id: str,
        secret: str = "",
        *,
        kind: str = CredentialKind.SECRET,
        certificate: Mapping[str, Any] | None = None,
        service_account_key: str = "",
    ) -> dict[str, Any]:
        """Saves a new connector's credential, whose row is written afterwards; answers what may be shown.

        `certificate` is ``{"pem" | "pfx" (Base64), "passphrase"?}``, `service_account_key` the JSON text. For
        a kind of which nothing is kept nothing is done. Raises InvalidInput, naming the field.
        """
        chosen = held.kind_of(kind)
        new = held.read(chosen, secret, certificate, service_account_key)
        if not ids.is_id("con", connector_id):
            raise MalformedRequest("This is no connector's id.", fix="Use the connector's own id.")
        if new is not None:
            self._save(connector_id, new)
        return held.shown(chosen, new)

    def check(self, connector_id: str) -> dict[str, Any]:
        """Whether the provider takes the saved credential: ``{"ok", "diagnosis"?}``; `ok` is None if unsure.

        Beside it stands what may be shown of the credential. What was found is kept as the connector's
        problem, or ends it; until when nobody asks the provider stays as it is.
        """
        connector = self._connector(connector_id)
        kind = connector.credential
        known = self._secrets.get(connector.id) if kind.is_stored else None
        facts = held.shown(kind, known)
        if kind is CredentialKind.NONE:
            return {"ok": None}
        objection = self._objection(connector, known)
        if objection is None:
            if connector.problem is not None:
                self._connectors.works(connector.id)
            return {"ok": True, **facts}
        ok = None if objection.class_ is DiagnosisClass.RETRY else False
        if ok is False:
            self._connectors.refused(connector.id, objection, max(self._now(), connector.retry_at or 0))
        return {"ok": ok, "diagnosis": objection.to_json(), **facts}

    def replace(
        self,
        connector_id: str,
        secret: str = "",
        *,
        check: bool = True,
        kind: str = "",
        certificate: Mapping[str, Any] | None = None,
        service_account_key: str = "",
    ) -> dict[str, Any]:
        """Replaces a connector's credential by one that the provider takes: ``{"check", "previous_kept"}``.

        The one before stays readable in Secrets Manager (AWSPREVIOUS). `kind` may be another one, where the
        consents of the accounts outlive that. `check` False saves it unasked. Raises InvalidInput (code
        ``secret_refused``) for one that the provider does not take, and Unavailable where it cannot be asked;
        then the old one stays.
        """
        connector = self._connector(connector_id)
        changed = replace(connector, credential=self._replacing(connector, kind))
        new = held.read(changed.credential, secret, certificate, service_account_key)
        if check:
            self._require_taken(changed, new)
        kept = self._save(connector.id, new, changed.credential)
        facts = {"connector": connector.id, "kind": str(changed.credential), "checked": check}
        log.info("credential replaced", extra={"facts": facts})
        shown = held.shown(changed.credential, new)
        return {"check": {"ok": True if check else None}, "previous_kept": kept, **shown}

    def delete(self, connector_id: str) -> dict[str, Any]:
        """Deletes a credential: ``{"recoverable_until"}``, the time (ms) up to which AWS can restore it."""
        return {"recoverable_until": self._secrets.delete(connector_id)}

    def _save(self, connector_id: str, new: Secret | None, kind: CredentialKind | None = None) -> bool:
        """Whether there is one before it. Of a kind that is not kept, that is the one of the kind before."""
        kept = self._secrets.save(connector_id, new) if new is not None else True
        self._connectors.secret_saved(connector_id, self._now(), kind)
        return kept

    def _replacing(self, connector: Connector, kind: str) -> CredentialKind:
        chosen = held.kind_of(kind) if kind else connector.credential
        offered = self._providers.of(connector).facts.credentials
        if chosen is CredentialKind.NONE or (
            chosen is not connector.credential
            and not ({chosen, connector.credential} <= ALIKE and chosen in offered)
        ):
            raise InvalidInput(
                f"The credential {chosen} cannot replace the connector's {connector.credential}.",
                fix="Make a new connector for it, and connect the accounts with that one.",
                field="credential",
            )
        return chosen

    def _require_taken(self, connector: Connector, new: Secret | None) -> None:
        objection = self._objection(connector, new)
        if objection is None:
            return
        if objection.class_ is DiagnosisClass.RETRY:
            raise Unavailable(
                f"The provider could not be asked whether it takes this: {objection.message}",
                fix='Send it again in a moment, or save it unasked with "check": false. The old one stays.',
            )
        raise InvalidInput(
            f"The provider does not take this ({objection.code}): {objection.message}",
            fix=f"{objection.fix} Nothing was changed.",
            field=held.FIELDS.get(connector.credential, "credential"),
            code="secret_refused",
        )

    def _objection(self, connector: Connector, credential: Secret | None) -> Diagnosis | None:
        """What there is against the client with this credential, mostly in the provider's own words."""
        found = self._seen_at_once(connector, credential) if credential is not None else None
        if found is not None:
            return found
        try:
            self._ask(connector, credential or Secret(""))
        except Diagnosed as refused:
            is_of_token = refused.diagnosis.class_ is DiagnosisClass.RECONNECT
            return None if is_of_token else refused.diagnosis
        return None

    def _seen_at_once(self, connector: Connector, credential: Secret) -> Diagnosis | None:
        """What need not be asked."""
        shown = held.shown(connector.credential, credential)
        if connector.credential is CredentialKind.CERTIFICATE:
            return CERTIFICATE_ENDED if shown["certificate"]["ends_at"] <= self._now() else None
        if connector.credential is CredentialKind.SERVICE_ACCOUNT:
            its_own = shown["service_account"]["client_id"] == connector.client_id
            return None if its_own else KEY_OF_ANOTHER
        mistaken = self._providers.of(connector).facts.mistaken_for_secret
        return SECRET_IS_AN_ID if re.fullmatch(mistaken, credential.reveal()) else None

    def _ask(self, connector: Connector, credential: Secret) -> None:
        provider = self._providers.of(connector)
        if connector.credential is CredentialKind.SERVICE_ACCOUNT:
            provider.obtain(connector, credential, None)
        else:
            provider.refresh(connector, credential, NOBODYS_TOKEN)

    def _connector(self, connector_id: str) -> Connector:
        found = self._connectors.get(connector_id)
        if found is None:
            raise NotFound("There is no such connector.", fix="List the connectors to see their ids.")
        return found
