"""What can be seen of a connector: pure functions of what is known, and of what its provider said."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chalicelib.accounts.models.connector import CredentialKind
from chalicelib.accounts.models.grant import GRAPH
from chalicelib.clock import DAY, SECOND
from chalicelib.diagnosis import Diagnosis, DiagnosisClass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.accounts.models.connector import Connector
    from chalicelib.providers.facts import ProviderFacts

ANY_TENANT = frozenset({"", "common", "organizations", "consumers"})
WARN_BEFORE = (1, 7, 30, 60)
"""Days before the end of a credential, of which each is said."""
REDIRECT_CODES = ("AADSTS50011", "AADSTS900971", "AADSTS70004", "redirect_uri_mismatch")


class Result(StrEnum):
    """How a check came out."""

    PASS = "pass"  # noqa: S105 - a word
    WARN = "warn"
    """It works, and will not for ever, or not for everything."""
    FAIL = "fail"
    SKIP = "skip"
    """It does not apply, or cannot be known."""


PASS, WARN, FAIL, SKIP = Result


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, how it came out, what was seen, and what to do about it."""

    check: str
    result: Result
    message: str
    fix: str = ""

    def to_json(self) -> dict[str, str]:
        """The check, ready for JSON."""
        return {name: str(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class OfConnector:
    """What is known of a connector. `credential` is what the provider says to it (Credentials.check)."""

    connector: Connector
    facts: ProviderFacts
    redirect_uri: str
    credential: Mapping[str, Any]
    now: int


def of_connector(known: OfConnector) -> list[Check]:
    """All checks of a connector."""
    return [
        credential(known),
        secret_is_no_id(known),
        credential_taken(known),
        credential_end(known),
        tenant(known.connector, known.facts, app_only=False),
        redirect_https(known),
        redirect_registered(known),
        offline_access(known.facts),
        scopes_fit(known.facts),
    ]


def credential(known: OfConnector) -> Check:
    """Whether there is a credential."""
    if known.connector.has_credential:
        return Check("credential", PASS, f"Its kind is {known.connector.credential}.")
    fix = "Save its client secret, certificate or key: PUT /v1/connectors/{connector}/secret."
    return Check("credential", FAIL, "The connector has no credential yet.", fix)


def secret_is_no_id(known: OfConnector) -> Check:
    """Whether the secret is not the id that stands beside it."""
    name, found = "secret_is_no_id", diagnosis_in(known.credential)
    if found is not None and found.code == "secret_is_an_id":
        return Check(name, FAIL, found.message, found.fix)
    if known.connector.credential != "secret" or not known.connector.has_credential:
        return Check(name, SKIP, "There is no client secret.")
    return Check(name, PASS, "The client secret does not look like an id.")


def credential_taken(known: OfConnector) -> Check:
    """Whether the provider takes our client."""
    name, found = "credential_taken", diagnosis_in(known.credential) or known.connector.problem
    ok = known.credential.get("ok")
    if found is not None and found.code in REDIRECT_CODES:
        return Check(name, SKIP, "The provider was refusing for another reason.")
    if ok is False or (ok is None and found is not None and found.class_ is not DiagnosisClass.RETRY):
        message = f"{found.code}: {found.message}" if found else "The provider refuses the client."
        return Check(name, FAIL, message, found.fix if found else "")
    if ok is None:
        return Check(name, SKIP, found.message if found else "There is nothing to ask the provider about.")
    return Check(name, PASS, "The provider knows the client by its credential.")


def credential_end(known: OfConnector) -> Check:
    """Whether certificate or client secret end soon."""
    name, kind = "credential_end", str(known.connector.credential)
    ends_at = known.credential.get("certificate", {}).get("ends_at")
    if kind == "secret" and known.facts.secret_expires_at:
        ends_at = start_of(known.facts.secret_expires_at)
    if ends_at is None:
        if kind != "secret" or not known.connector.has_credential:
            return Check(name, SKIP, f"A credential of the kind {kind} has no end that is known.")
        fix = f"Say it: `mailgrant connectors update {known.connector.id} --secret-expires 2027-01-31`."
        return Check(name, SKIP, "No provider tells when a client secret ends.", fix)
    day = day_of(ends_at)
    left = days_until(ends_at, known.now)
    fix = f"Make a new {kind} at the provider and save it in the connector; both work while you change over."
    if left <= 0:
        return Check(name, FAIL, f"The {kind} ended on {day}.", fix)
    for days in WARN_BEFORE:
        if left <= days:
            return Check(name, WARN, f"The {kind} ends on {day}: within {_days(days)}.", fix)
    return Check(name, PASS, f"The {kind} ends on {day}.")


def tenant(connector: Connector, facts: ProviderFacts, *, app_only: bool) -> Check:
    """Whether the tenant fits: an application acts in one tenant only."""
    if facts.speaks != "microsoft":
        return Check("tenant", SKIP, "Only Microsoft has tenants.")
    if connector.tenant not in ANY_TENANT:
        return Check("tenant", PASS, f"It is {connector.tenant}.")
    if not app_only:
        return Check("tenant", PASS, f"It is {connector.tenant or 'common'}: for people who sign in.")
    fix = "Make a connector with the tenant's id or domain; Microsoft refuses app-only tokens otherwise."
    return Check(
        "tenant", FAIL, f"The tenant is {connector.tenant or 'common'}, and the account app-only.", fix
    )


def redirect_https(known: OfConnector) -> Check:
    """Whether the redirect URI is one that providers take."""
    parts = urlsplit(known.redirect_uri)
    if known.connector.credential is CredentialKind.SERVICE_ACCOUNT:
        return Check("redirect_https", SKIP, "Nobody signs in here.")
    if parts.scheme == "https":
        return Check("redirect_https", PASS, f"It is {known.redirect_uri}")
    if parts.hostname in {"localhost", "127.0.0.1"}:
        fix = "Deploy it, so that owners elsewhere can connect their mailboxes."
        return Check("redirect_https", WARN, f"{known.redirect_uri} is good on this computer only.", fix)
    fix = "Give the deployment a public address that begins with https://."
    return Check("redirect_https", FAIL, f"{known.redirect_uri} is not https: providers refuse it.", fix)


def redirect_registered(known: OfConnector) -> Check:
    """Whether the provider has refused the redirect URI; that it is registered nobody can ask."""
    found = known.connector.problem
    if found is not None and found.code in REDIRECT_CODES:
        fix = f"Register exactly this one, as it is written: {known.redirect_uri}"
        return Check("redirect_registered", FAIL, f"{found.code}: {found.message}", fix)
    return Check(
        "redirect_registered",
        SKIP,
        "It shows at the first sign-in only.",
        f"Compare it, letter by letter, with the provider's console: {known.redirect_uri}",
    )


def offline_access(facts: ProviderFacts) -> Check:
    """Whether a refresh token will come. Microsoft and Google are asked for one in any case."""
    name = "offline_access"
    if not facts.scopes:
        return Check(name, SKIP, "Nobody consents to anything here.")
    asked = "offline_access" in facts.scopes or facts.authorize_parameters.get("access_type") == "offline"
    if facts.speaks != "openid" or asked:
        return Check(name, PASS, "Lasting access is asked for.")
    fix = "If a sign-in ends with no_refresh_token, add the scope offline_access, or what the provider has."
    return Check(name, WARN, "The scopes hold no offline_access; some providers give none without it.", fix)


def scopes_fit(facts: ProviderFacts) -> Check:
    """Whether the scopes are for servers that are spoken to."""
    for scope in facts.required_scopes:
        ending = scope.rpartition("/")[2].lower()
        if ending.startswith("ews.") or ending == "full_access_as_app":
            message = (
                f"{scope} is for EWS, which Exchange Online ends on 2027-04-01; Mailgrant does not speak it."
            )
            fix = (
                f"Make a connector with the scope {facts.protocol_scopes.get('graph', '')} (Microsoft Graph)."
            )
            return Check("scopes_fit", FAIL, message, fix)
        if facts.resource_of(scope) == GRAPH and ending.startswith(("smtp.", "imap.", "pop.")):
            message = f"A token for {scope} is taken by Graph, and by no mail server."
            meant = [one for one in facts.protocol_scopes.values() if one.lower().endswith(f"/{ending}")]
            return Check("scopes_fit", FAIL, message, f"Ask for {', '.join(meant)} instead.")
    return Check("scopes_fit", PASS, " ".join(facts.required_scopes) or "None are needed.")


def day_of(milliseconds: int) -> str:
    """The day, in UTC."""
    return datetime.fromtimestamp(milliseconds / SECOND, UTC).date().isoformat()


def days_until(moment: int, now: int) -> int:
    """The days until then, a begun one whole; 0 or less when it is over."""
    return math.ceil((moment - now) / DAY)


def diagnosis_in(answer: Mapping[str, Any]) -> Diagnosis | None:
    """The diagnosis that an answer holds."""
    return Diagnosis.from_json(answer["diagnosis"]) if "diagnosis" in answer else None


def start_of(day: str) -> int:
    """When the day (``2027-01-31``) begins in UTC, in ms."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * SECOND


def _days(count: int) -> str:
    return "a day" if count == 1 else f"{count} days"
