"""How a sign-in can end. Everything but ``connected`` means that nothing was saved.

====================  =====================================================================================
outcome               what its record says besides `account` and `expected` (who was asked to sign in)
====================  =====================================================================================
connected             `provider`
refused               the owner declined (`diagnosis`)
wrong_mailbox         another mailbox signed in: `found`; `unproven` where the provider repeats the right
                      address, but from somebody who may write any address
scope_missing         the owner unticked `missing_scopes`
identity_missing      the provider did not say who signed in
failed                the provider or a check refused (`diagnosis`)
already               the state was used before; shown in the place of the outcome, never stored
visited               the visitor is the mailbox's owner
not_owner             the visitor is somebody else
visit_refused         the visitor declined to sign in (`diagnosis`)
visit_failed          as failed
====================  =====================================================================================

Those of a visit never name the mailbox: the visitor may be anybody.

The token of a consent that is not saved is discarded and not revoked: Google revokes everything that the same
person has granted to the same client, and so would end the mailbox that this person has connected rightly.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chalicelib.accounts.models.account import GrantState
from chalicelib.accounts.models.grant import MAIL
from chalicelib.addresses import among
from chalicelib.diagnosis import TEXT_LIMIT, Diagnosis, DiagnosisClass

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.authorization import Authorization
    from chalicelib.accounts.models.grant import Grant, Identity, TokenSet
    from chalicelib.providers.facts import ProviderFacts

Outcome = dict[str, Any]

CONNECTED = "connected"
VISITED = "visited"
DECLINED = frozenset({"access_denied", "AADSTS65004"})

WRONG_ISSUER = Diagnosis(
    DiagnosisClass.RECONNECT,
    "wrong_issuer",
    "The sign-in came back from another provider than it was begun with.",
    "Open the connect link again; if this recurs, tell your administrator.",
)
NO_REFRESH_TOKEN = Diagnosis(
    DiagnosisClass.RECONNECT,
    "no_refresh_token",
    "The provider gave no lasting permission.",
    "Open the connect link again and accept everything that is asked.",
)


IDENTITY_CHANGED = Diagnosis(
    DiagnosisClass.RECONNECT,
    "identity_changed",
    "The provider answered with the token of another person.",
    "Connect the mailbox again, and tell your administrator: this must not happen.",
)
WRONG_MAILBOX = Diagnosis(
    DiagnosisClass.RECONNECT,
    "wrong_mailbox",
    "The token is of another mailbox.",
    "Import the token of this account's mailbox, or make an account for the other one.",
)
MAILBOX_UNPROVEN = Diagnosis(
    DiagnosisClass.RECONNECT,
    "mailbox_unproven",
    "The provider does not say who signed in, and the mail server does not take the sign-in as this mailbox.",
    "Open the connect link again and sign in as this mailbox.",
)
UNPROVEN = Diagnosis(
    DiagnosisClass.RETRY,
    "mailbox_unproven",
    "The provider does not say whose the token is, and the server was not asked yet.",
    "Connect the account again, or disconnect it; its next message asks the server, too.",
)
KEPT = (
    "The provider has replaced the token, so the new one is kept, and the account is blocked until the "
    "server takes it: its mail asks again by itself. Else connect the account again, or disconnect it."
)
USED_UP = (
    "The provider has replaced the token, so it may be of no more use, and the new one is not kept: "
    "get another one, or send the mailbox's owner a connect link."
)
"""What else there is to do about a token from elsewhere that the provider has replaced, and nobody takes."""

TRY_AGAIN = (
    "Check the server's name, port and TLS where it did not answer, wait a moment where it is busy, then"
    " connect the account again: nothing does that by itself."
)

SCOPE_LOST = Diagnosis(
    DiagnosisClass.RECONNECT,
    "scope_lost",
    "The permission to send as this mailbox was taken back.",
    "Connect the mailbox again and accept everything that is asked.",
)


DISCONNECTED = Diagnosis(
    DiagnosisClass.RECONNECT,
    "account_disconnected",
    "The account was disconnected.",
    "To send from it again, make a new connect link for its owner.",
)


def connected(account: Account, provider: str) -> Outcome:
    """The grant is saved."""
    return _outcome(
        CONNECTED, account, provider=provider, mailbox=account.address, signs_in_as=account.signs_in_as
    )


def visited(account: Account, *, is_owner: bool) -> Outcome:
    """The visitor proved who they are."""
    return _outcome(VISITED if is_owner else "not_owner", account)


def of_visit(outcome: Outcome) -> Outcome:
    """The outcome of a visitor's sign-in, without what only the owner may know."""
    kind = {"refused": "visit_refused", "failed": "visit_failed"}.get(outcome["outcome"], outcome["outcome"])
    return {name: value for name, value in outcome.items() if name != "expected"} | {"outcome": kind}


def refused(account: Account, diagnosis: Diagnosis) -> Outcome:
    """The provider's page sent the owner back with an error, which is mostly that they declined."""
    kind = "refused" if diagnosis.code in DECLINED else "failed"
    return _outcome(kind, account, diagnosis=diagnosis.to_json())


def failed(account: Account, diagnosis: Diagnosis) -> Outcome:
    """The exchange, or a check of what it gave, did not succeed."""
    return _outcome("failed", account, diagnosis=diagnosis.to_json())


def already(authorization: Authorization) -> Outcome:
    """The callback came a second time."""
    return {"authorization": authorization.id, "outcome": "already"}


def objection(
    account: Account, facts: ProviderFacts, tokens: TokenSet, stored: Grant | None
) -> Outcome | None:
    """Why what the provider gave must not be saved, or None."""
    identity = tokens.identity
    if identity is None or not identity.addresses:
        return _outcome("identity_missing", account)
    if not _same_mailbox(account, identity, stored):
        unproven = among(account.owner_address, identity.claimed)
        return _outcome("wrong_mailbox", account, found=identity.addresses[0], unproven=unproven)
    missing = missing_scopes(facts, tokens)
    if missing:
        return _outcome("scope_missing", account, missing_scopes=missing)
    return failed(account, NO_REFRESH_TOKEN) if tokens.refresh_token is None else None


def objection_to_import(account: Account, tokens: TokenSet) -> Diagnosis | None:
    """Why a refresh token from elsewhere is not this account's, or None."""
    identity = tokens.identity
    if identity is None or among(account.owner_address, identity.addresses):
        return None
    return replace(WRONG_MAILBOX, text=", ".join(identity.addresses)[:TEXT_LIMIT])


def final(diagnosis: Diagnosis) -> Diagnosis:
    """The diagnosis of something that nobody tries again by himself, so that its fix promises nothing."""
    if diagnosis.class_ not in {DiagnosisClass.RETRY, DiagnosisClass.PAUSE}:
        return diagnosis
    return replace(diagnosis, fix=TRY_AGAIN)


def and_then(diagnosis: Diagnosis, words: str) -> Diagnosis:
    """The diagnosis with what else there is to do."""
    return replace(diagnosis, fix=f"{diagnosis.fix} {words}")


def changed(grant: Grant, facts: ProviderFacts, tokens: TokenSet, resource: str = MAIL) -> Diagnosis | None:
    """Why what a refresh gave is not the grant that was consented to, or None.

    Nobody may send with it then, though the refresh token is kept: the mailbox is held until its owner has
    connected it again. The issuer is not compared: the endpoint is pinned, and Google spells it in two ways.
    """
    known = bool(grant.identity.subject)  # an imported token may be of somebody whom nobody has named yet
    if known and tokens.identity is not None and tokens.identity.subject != grant.identity.subject:
        return IDENTITY_CHANGED
    missing = missing_scopes(facts, tokens, resource)
    return replace(SCOPE_LOST, text=" ".join(missing)) if missing else None


def missing_scopes(facts: ProviderFacts, tokens: TokenSet, resource: str = MAIL) -> list[str]:
    """The resource's required scopes that were not granted, compared without regard to case."""
    if tokens.scopes is None:  # RFC 6749, section 5.1: then they are the requested ones
        return []
    granted = {scope.lower() for scope in tokens.scopes}
    return [scope for scope in facts.of_resource(resource) if scope.lower() not in granted]


def _same_mailbox(account: Account, identity: Identity, stored: Grant | None) -> bool:
    """Whether the address is one of the identity's, and a good grant is not replaced by another person's."""
    if not among(account.owner_address, identity.addresses):
        return False
    if stored is None or account.grant_state is not GrantState.ACTIVE or not _is_of_person(account, stored):
        return True
    return (stored.identity.issuer, stored.identity.subject) == (identity.issuer, identity.subject)


def _is_of_person(account: Account, grant: Grant) -> bool:
    """Whether it is known which person has given the grant."""
    return account.auth_mode.has_owner and bool(grant.identity.subject)


def _outcome(kind: str, account: Account, **facts: Any) -> Outcome:
    expected = account.signs_in_as or account.address
    return {"outcome": kind, "account": account.id, "expected": expected, **facts}
