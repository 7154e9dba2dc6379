"""The credentials of connectors: saved, tried at the provider, replaced and deleted.

Whether a provider takes a client secret is found out by asking it to refresh a token that does not exist.
It looks at the client first: ``invalid_client`` then means that the secret is wrong, ``invalid_grant`` that
it is right (RFC 6749, section 5.2). No mailbox is concerned by that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from chalicelib import clock, ids
from chalicelib.accounts.checks import SECRET_LIMIT
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import Diagnosed, InvalidInput, MalformedRequest, NotFound, Unavailable
from chalicelib.logs import logger
from chalicelib.secret import Secret

if TYPE_CHECKING:
    from chalicelib.accounts.models import Connector
    from chalicelib.accounts.ports import ConnectorStore, Secrets
    from chalicelib.providers import Providers

NOBODYS_TOKEN = Secret("mailgrant-asks-whether-this-client-is-known")

SECRET_IS_AN_ID = Diagnosis(
    DiagnosisClass.ADMIN,
    "secret_is_an_id",
    "This is an id and not a secret.",
    "Copy the secret itself; at Microsoft it stands in the column Value, beside its Secret ID.",
)

log = logger("credentials")


class Credentials:
    """Keeps connectors' client secrets. None of them ever leaves it but to its provider."""

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

    def save(self, connector_id: str, secret: str) -> None:
        """Saves a new connector's credential, whose row is written afterwards. Raises MalformedRequest."""
        self._save(connector_id, _plausible(connector_id, secret))

    def check(self, connector_id: str) -> dict[str, Any]:
        """Whether the provider takes the saved credential: ``{"ok", "diagnosis"?}``; `ok` is None if unsure.

        Changes nothing, whatever the provider says.
        """
        connector = self._connector(connector_id)
        objection = self._objection(connector, self._secrets.get(connector.id))
        if objection is None:
            return {"ok": True}
        ok = None if objection.class_ is DiagnosisClass.RETRY else False
        return {"ok": ok, "diagnosis": objection.to_json()}

    def replace(self, connector_id: str, secret: str, *, check: bool = True) -> dict[str, Any]:
        """Replaces a connector's credential by one that the provider takes: ``{"check", "previous_kept"}``.

        The one before stays readable in Secrets Manager (AWSPREVIOUS). Raises InvalidInput (code
        ``secret_refused``) for one that the provider does not take, and Unavailable where it cannot be asked;
        then the old one stays. `check` False saves it unasked.
        """
        new = _plausible(connector_id, secret)
        connector = self._connector(connector_id)
        if check:
            self._require_taken(connector, new)
        kept = self._save(connector.id, new)
        log.info("secret replaced", extra={"facts": {"connector": connector.id, "checked": check}})
        return {"check": {"ok": True if check else None}, "previous_kept": kept}

    def delete(self, connector_id: str) -> dict[str, Any]:
        """Deletes a credential: ``{"recoverable_until"}``, the time (ms) up to which AWS can restore it."""
        return {"recoverable_until": self._secrets.delete(connector_id)}

    def _save(self, connector_id: str, secret: Secret) -> bool:
        kept = self._secrets.save(connector_id, secret)
        self._connectors.secret_saved(connector_id, self._now())
        return kept

    def _require_taken(self, connector: Connector, secret: Secret) -> None:
        objection = self._objection(connector, secret)
        if objection is None:
            return
        if objection.class_ is DiagnosisClass.RETRY:
            raise Unavailable(
                f"The provider could not be asked whether it takes this secret: {objection.message}",
                fix='Send it again in a moment, or save it unasked with "check": false. The old one stays.',
            )
        raise InvalidInput(
            f"The provider does not take this secret ({objection.code}): {objection.message}",
            fix=f"{objection.fix} Nothing was changed.",
            field="client_secret",
            code="secret_refused",
        )

    def _objection(self, connector: Connector, secret: Secret) -> Diagnosis | None:
        """What the provider has against the client with this secret."""
        provider = self._providers.of(connector)
        if re.fullmatch(provider.facts.mistaken_for_secret, secret.reveal()):
            return SECRET_IS_AN_ID
        try:
            provider.refresh(connector, secret, NOBODYS_TOKEN)
        except Diagnosed as refused:
            is_of_token = refused.diagnosis.class_ is DiagnosisClass.RECONNECT
            return None if is_of_token else refused.diagnosis
        return None

    def _connector(self, connector_id: str) -> Connector:
        found = self._connectors.get(connector_id)
        if found is None:
            raise NotFound("There is no such connector.", fix="List the connectors to see their ids.")
        return found


def _plausible(connector_id: str, secret: str) -> Secret:
    if not ids.is_id("con", connector_id) or not 1 <= len(secret.strip()) <= SECRET_LIMIT:
        raise MalformedRequest(
            "This is no client secret.", fix="Copy the secret's value.", field="client_secret"
        )
    return Secret(secret.strip())
