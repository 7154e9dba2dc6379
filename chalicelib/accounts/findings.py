"""What can be seen of a connector or an account without asking anybody: pure functions of what is known."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chalicelib.accounts import instructions
from chalicelib.accounts.models import GRAPH, AuthMode, GrantState
from chalicelib.clock import DAY, SECOND
from chalicelib.diagnosis import Diagnosis, DiagnosisClass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.accounts.models import Account, Connector, Grant
    from chalicelib.providers.facts import ProviderFacts

ANY_TENANT = frozenset({"", "common", "organizations", "consumers"})
WARN_BEFORE = (1, 7, 30, 60)
"""Days before the end of a credential, of which each is said."""
TESTING = 7 * DAY
"""How long a consent to a Google app lives whose publishing status is Testing."""
NEAR = DAY // 2
REDIRECT_CODES = ("AADSTS50011", "AADSTS900971", "AADSTS70004", "redirect_uri_mismatch")
SMTP_OFF = "5.7.139"
FROM_REFUSED = ("5.7.60", "5.2.252")
MAIL_AUDIENCE = "00000002-0000-0ff1-ce00-000000000000"
GRAPH_AUDIENCE = "00000003-0000-0000-c000-000000000000"
"""Microsoft's ids of Exchange Online and Graph, by which a token may name them."""


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


@dataclass(frozen=True, slots=True)
class OfAccount:
    """What is known of an account. `claims` are those of its access token, if that can be read.

    Nobody has checked their signature: they explain, and decide nothing. `verified` is what Verifying saw.
    """

    account: Account
    connector: Connector
    facts: ProviderFacts
    grant: Grant | None
    now: int
    resource: str = "mail"
    claims: Mapping[str, Any] = field(default_factory=dict)
    verified: Mapping[str, Any] = field(default_factory=dict)


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


def of_account(known: OfAccount) -> list[Check]:
    """All checks of an account."""
    app_only = known.account.auth_mode is AuthMode.CLIENT_CREDENTIALS
    return [
        consent(known),
        tenant(known.connector, known.facts, app_only=app_only),
        scopes_granted(known),
        audience(known),
        same_person(known),
        google_testing(known),
        consent_end(known),
        signed_in(known),
        smtp_auth(known),
        from_allowed(known),
    ]


def credential(known: OfConnector) -> Check:
    """Whether there is a credential."""
    if known.connector.has_credential:
        return Check("credential", PASS, f"Its kind is {known.connector.credential}.")
    fix = "Save its client secret, certificate or key: PUT /v1/connectors/{connector}/secret."
    return Check("credential", FAIL, "The connector has no credential yet.", fix)


def secret_is_no_id(known: OfConnector) -> Check:
    """Whether the secret is not the id that stands beside it."""
    name, found = "secret_is_no_id", _diagnosis(known.credential)
    if found is not None and found.code == "secret_is_an_id":
        return Check(name, FAIL, found.message, found.fix)
    if known.connector.credential != "secret" or not known.connector.has_credential:
        return Check(name, SKIP, "There is no client secret.")
    return Check(name, PASS, "The client secret does not look like an id.")


def credential_taken(known: OfConnector) -> Check:
    """Whether the provider takes our client."""
    name, found = "credential_taken", _diagnosis(known.credential) or known.connector.problem
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
        ends_at = _milliseconds(known.facts.secret_expires_at)
    if ends_at is None:
        if kind != "secret" or not known.connector.has_credential:
            return Check(name, SKIP, f"A credential of the kind {kind} has no end that is known.")
        fix = "State it in the connector's facts, as secret_expires_at: 2027-01-31."
        return Check(name, SKIP, "No provider tells when a client secret ends.", fix)
    day = datetime.fromtimestamp(ends_at / SECOND, UTC).date().isoformat()
    left = math.ceil((ends_at - known.now) / DAY)
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
    if parts.scheme == "https":
        return Check("redirect_https", PASS, f"It is {known.redirect_uri}")
    if parts.hostname in {"localhost", "127.0.0.1"}:
        return Check("redirect_https", WARN, f"{known.redirect_uri} is good on this computer only.")
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


def consent(known: OfAccount) -> Check:
    """Whether there is a consent, or what stands in its place, and it works."""
    account, found = known.account, known.account.problem
    if known.grant is None or account.grant_state is GrantState.NONE:
        fix = (
            "Make a connect link for its owner: POST /v1/accounts/{account}/links."
            if account.auth_mode.has_owner
            else "Connect it: POST /v1/accounts/{account}/connect."
        )
        return Check("consent", FAIL, "The account is not connected.", fix)
    if account.grant_state is GrantState.NEEDS_RECONNECT:
        message = f"{found.code}: {found.message}" if found else "The owner has to connect the mailbox again."
        return Check("consent", FAIL, message, found.fix if found else "")
    if found is not None:
        return Check("consent", WARN, f"{found.code}: {found.message}", found.fix)
    return Check("consent", PASS, f"Connected by {account.auth_mode}.")


def scopes_granted(known: OfAccount) -> Check:
    """Whether every scope that is needed was granted, and none was unticked."""
    name, lost = "scopes_granted", known.account.problem
    if known.grant is None or not known.account.auth_mode.has_owner:
        return Check(name, SKIP, "Nobody consents to scopes here.")
    granted = {scope.lower() for scope in known.grant.scopes}
    missing = [scope for scope in known.facts.required_scopes if scope.lower() not in granted]
    if lost is not None and lost.code == "scope_lost":
        missing = lost.text.split() or missing
    if not missing:
        return Check(name, PASS, "All that are needed.")
    fix = "Add them to the API permissions of the app; then the owner connects again and leaves all ticked."
    return Check(name, FAIL, f"Not granted: {' '.join(missing)}", fix)


def audience(known: OfAccount) -> Check:
    """Whether the access token is for the server that shall take it."""
    name, found = "audience", str(known.claims.get("aud", "")).rstrip("/").lower()
    if known.facts.speaks != "microsoft" or not found:
        return Check(name, SKIP, "The access token does not show what it is for.")
    if known.resource == GRAPH:
        right = {known.facts.graph.lower(), GRAPH_AUDIENCE}
    else:
        scopes = (known.facts.app_scope, *known.facts.of_resource(known.resource))
        right = {scope.rpartition("/")[0].lower() for scope in scopes} | {MAIL_AUDIENCE}
    if found in right:
        return Check(name, PASS, f"It is for {found}.")
    fix = "Ask for the scopes with the prefix of the mail server's resource, and connect the mailbox again."
    return Check(name, FAIL, f"The access token is for {found}, not for {' or '.join(sorted(right))}.", fix)


def same_person(known: OfAccount) -> Check:
    """Whether the token is of the person whose mailbox it is."""
    name, wanted = "same_person", known.account.owner_address
    if known.grant is None or not known.account.auth_mode.has_owner:
        return Check(name, SKIP, "No person signs in here.")
    said = (known.claims.get(one) for one in ("upn", "preferred_username", "unique_name"))
    names = {one.lower() for one in (*known.grant.identity.addresses, *said) if isinstance(one, str)}
    if not names:
        return Check(name, SKIP, "The provider has not said who signed in.")
    if wanted in names:
        return Check(name, PASS, f"{wanted} signed in.")
    fix = (
        "If it is a shared mailbox, name in signs_in_as who signs in; else connect it as the mailbox itself."
    )
    return Check(name, FAIL, f"{', '.join(sorted(names))} signed in, and not {wanted}.", fix)


def google_testing(known: OfAccount) -> Check:
    """Whether the Google app looks like one in Testing: its consents end after 7 days."""
    name, grant = "google_testing", known.grant
    if known.facts.speaks != "google" or grant is None or not known.account.auth_mode.has_owner:
        return Check(name, SKIP, "Only Google ends consents to apps in Testing.")
    fix = "Publish the app: Google Auth Platform, Audience, Publish app (or make it Internal); connect again."
    if grant.ends_at is not None and grant.ends_at - grant.granted_at <= TESTING + NEAR:
        return Check(name, FAIL, "Google says that this consent ends 7 days after it was given.", fix)
    first = grant.first_refused_at
    if first is not None and abs(first - grant.granted_at - TESTING) <= NEAR:
        return Check(
            name, FAIL, "The consent ended 7 days after it was given, as those of apps in Testing do.", fix
        )
    if known.now - grant.granted_at > TESTING + NEAR and known.account.grant_state is GrantState.ACTIVE:
        return Check(name, PASS, "The consent has lived for longer than 7 days.")
    return Check(name, SKIP, "The consent is younger than 7 days: a later doctor can tell.")


def consent_end(known: OfAccount) -> Check:
    """Whether the provider has said when the consent ends."""
    ends_at = known.grant.ends_at if known.grant else None
    if ends_at is None:
        return Check("consent_end", SKIP, "The provider has not named an end.")
    day = datetime.fromtimestamp(ends_at / SECOND, UTC).date().isoformat()
    if ends_at <= known.now:
        return Check("consent_end", FAIL, f"The consent ended on {day}.", "Connect the mailbox again.")
    fix = "Have the owner connect the mailbox again before that day."
    return Check("consent_end", WARN, f"The consent ends on {day}, whatever is done with it.", fix)


def signed_in(known: OfAccount) -> Check:
    """What the server said to a sign-in just now."""
    if not known.verified:
        return Check("sign_in", SKIP, "It was not tried.")
    protocol = known.verified["protocol"]
    if known.verified["ok"]:
        return Check("sign_in", PASS, f"The server let the account in ({protocol}).")
    found = _diagnosis(known.verified)
    message = f"{protocol}, {found.code}: {found.message}" if found else f"{protocol}: it was refused."
    return Check("sign_in", FAIL, message, found.fix if found else "")


def smtp_auth(known: OfAccount) -> Check:
    """Whether authenticated SMTP is switched on for the mailbox."""
    name = "smtp_auth"
    if known.facts.speaks != "microsoft":
        return Check(name, SKIP, "Only Microsoft switches authenticated SMTP off by mailbox.")
    found = next((one for one in _seen(known) if SMTP_OFF in one.code), None)
    if found is not None:
        line = f"{instructions.exchange(known.connector)}; {instructions.smtp_auth(known.account.address)}"
        of_tenant = "tenant" in found.text.lower()
        note = " It overrules the tenant's own setting." if of_tenant else ""
        other = f" Where SMTP has to stay off, use Graph ({known.facts.protocol_scopes.get('graph', '')})."
        return Check(name, FAIL, f"{found.message} {found.text}".strip(), f"{line}{note}{other}")
    if known.verified.get("protocol") == "smtp" and known.verified.get("ok"):
        return Check(name, PASS, "Authenticated SMTP is on for this mailbox.")
    return Check(name, SKIP, "The server has not said.")


def from_allowed(known: OfAccount) -> Check:
    """Whether the server lets the account send as its addresses; it tells when a message is sent."""
    name, account = "from_allowed", known.account
    trustee = account.signs_in_as or account.address
    others = [one for one in account.from_addresses if one.lower() != account.address.lower()]
    if account.signs_in_as:
        others.append(account.address)
    refused = next((one for one in _seen(known) if any(code in one.code for code in FROM_REFUSED)), None)
    fix = ""
    if known.facts.speaks == "microsoft" and others:
        fix = "; ".join(instructions.send_as(one, trustee) for one in others)
    elif known.facts.speaks == "google" and others:
        fix = "Add each in Gmail: Settings, Accounts, Send mail as. Google replaces From otherwise."
    if refused is not None:
        return Check(name, FAIL, f"{refused.message} {refused.text}".strip(), fix or refused.fix)
    if others:
        return Check(name, WARN, f"The mailbox needs a permission to send as {', '.join(others)}.", fix)
    return Check(name, PASS, f"It sends as itself: {account.address}")


def _seen(known: OfAccount) -> list[Diagnosis]:
    """What the mail server has against the account, of just now and of the last message."""
    found = (_diagnosis(known.verified), known.account.transport_block)
    return [one for one in found if one is not None]


def _diagnosis(answer: Mapping[str, Any]) -> Diagnosis | None:
    return Diagnosis.from_json(answer["diagnosis"]) if "diagnosis" in answer else None


def _milliseconds(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * SECOND


def _days(count: int) -> str:
    return "a day" if count == 1 else f"{count} days"
