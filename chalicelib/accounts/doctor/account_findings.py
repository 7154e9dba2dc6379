"""What can be seen of an account: pure functions of what is known, and of what a sign-in has just shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chalicelib.accounts.doctor import instructions
from chalicelib.accounts.doctor.findings import FAIL, PASS, SKIP, WARN, Check, day_of, diagnosis_in, tenant
from chalicelib.accounts.doctor.readers import reads_with
from chalicelib.accounts.models.account import AuthMode, GrantState
from chalicelib.accounts.models.grant import GRAPH, MAIL
from chalicelib.addresses import among, lowered, same
from chalicelib.clock import DAY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.accounts.doctor.readers import Reader
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.accounts.models.grant import Grant
    from chalicelib.diagnosis import Diagnosis
    from chalicelib.providers.facts import ProviderFacts

TESTING = 7 * DAY
"""How long a consent to a Google app lives whose publishing status is Testing."""
NEAR = DAY // 2
SMTP_OFF = "5.7.139"
FROM_REFUSED = ("5.7.60", "5.2.252")
MAIL_AUDIENCE = "00000002-0000-0ff1-ce00-000000000000"
GRAPH_AUDIENCE = "00000003-0000-0000-c000-000000000000"
"""Microsoft's ids of Exchange Online and Graph, by which a token may name them."""


@dataclass(frozen=True, slots=True)
class OfAccount:
    """What is known of an account. `claims` are those of its access token, if that can be read.

    Nobody has checked their signature: they explain, and decide nothing. `verified` is what Verifying saw.
    `reader` is the account with which it reads, None where that is gone or it names none.
    """

    account: Account
    connector: Connector
    facts: ProviderFacts
    grant: Grant | None
    now: int
    resource: str = MAIL
    claims: Mapping[str, Any] = field(default_factory=dict)
    verified: Mapping[str, Any] = field(default_factory=dict)
    reader: Reader | None = None


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
        reads_with(known.account, known.reader),
    ]


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
        right = {known.facts.graph_resource.lower(), GRAPH_AUDIENCE}
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
    names = {lowered(one) for one in (*known.grant.identity.addresses, *said) if isinstance(one, str)}
    if not names:
        return Check(name, SKIP, "The provider has not said who signed in.")
    if among(wanted, names):
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
    day = day_of(ends_at)
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
    found = diagnosis_in(known.verified)
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
    others = [one for one in account.from_addresses if not same(one, account.address)]
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
    found = (diagnosis_in(known.verified), known.account.transport_block)
    return [one for one in found if one is not None]
