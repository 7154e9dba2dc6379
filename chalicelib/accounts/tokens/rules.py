"""When a grant is refreshed next, and what a refusal changes: pure functions of what is known.

``chance`` is a number between 0 and 1, from which the jitter comes that keeps mailboxes connected
in one hour from being refreshed in one hour for ever.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chalicelib.accounts.models.account import GrantState
from chalicelib.accounts.models.grant import DueReason, Grant
from chalicelib.clock import DAY, HOUR, MINUTE, SECOND
from chalicelib.diagnosis import Diagnosis, DiagnosisClass

if TYPE_CHECKING:
    from chalicelib.accounts.models.grant import SealedToken, TokenSet
    from chalicelib.providers.facts import ProviderFacts

BEFORE_EXPIRY = 10 * MINUTE
SOONEST = 30 * SECOND
JITTER = 0.1
LONGEST_BACKOFF = 5 * MINUTE
FIRST_LOOK_AGAIN = 15 * MINUTE
LAST_LOOK_AGAIN = 6 * HOUR
CLIENT_DOUBT = 30 * SECOND
"""How long after a first refusal of a client it is asked in its name again, to be sure."""
CONNECTOR_REST = 5 * MINUTE
"""How long nobody asks in the name of a client that the provider has refused."""


OF_ONE_RESOURCE = frozenset(
    {f"AADSTS{number}" for number in (65001, 65004, 65005, 650052, 650056, 650057, 70011, 500011)}
    | {"consent_required", "invalid_scope"}
)
"""Codes of refusals that say nothing of the other resources of the same consent."""


def of_one_resource(diagnosis: Diagnosis, resource: str, facts: ProviderFacts) -> Diagnosis:
    """Such a refusal, with what there is to do for that resource: the others go on."""
    scopes = " ".join(facts.of_resource(resource)) or facts.protocol_scopes.get(resource, resource)
    fix = (
        f"Add {scopes} to the API permissions of the app, have an administrator consent where it is needed, "
        "and connect the mailbox again. What else was consented to goes on."
    )
    return replace(diagnosis, fix=fix)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a refusal makes of a grant and of its account's facts."""

    grant: Grant
    problem: Diagnosis
    state: GrantState = GrantState.ACTIVE


def scheduled(
    grant: Grant, token: SealedToken, facts: ProviderFacts, *, in_use: bool, chance: float
) -> Grant:
    """The grant with its next refresh: before the token expires where it is in use, else to keep it alive."""
    if in_use:
        wait = max(token.expires_at - BEFORE_EXPIRY - grant.refreshed_at, SOONEST)
        reason = DueReason.EXPIRY
    else:
        wait = _unused(grant, facts)
        reason = DueReason.KEEP_ALIVE
    return replace(grant, refresh_due_at=grant.refreshed_at + jittered(wait, chance), due_reason=reason)


def idle(grant: Grant, facts: ProviderFacts, chance: float) -> int:
    """When a grant that is not in use is due to be kept alive."""
    return grant.refreshed_at + jittered(_unused(grant, facts), chance)


def time_left(grant: Grant, facts: ProviderFacts, now: int) -> int:
    """How long (ms) until the grant ends, or the provider forgets it if it hears no more; 0 for "already"."""
    forgotten = grant.refreshed_at + 2 * facts.keep_alive * SECOND
    return max(min(forgotten, grant.ends_at or forgotten) - now, 0)


def scopes(grant: Grant, answer: TokenSet, facts: ProviderFacts, resource: str) -> tuple[str, ...]:
    """What is granted after an answer, which speaks of one resource only."""
    if not answer.scopes:  # RFC 6749, section 5.1: then they are those from before
        return grant.scopes
    others = {scope for scope in grant.scopes if facts.resource_of(scope) != resource}
    return tuple(sorted(answer.scopes | others))


def refusal(grant: Grant, diagnosis: Diagnosis, facts: ProviderFacts, *, now: int, chance: float) -> Refusal:
    """What the provider's answer means for this grant.

    A refused grant is believed only when a second try after `facts.doubt` seconds agrees, because providers
    also answer `invalid_grant` while they are overloaded.
    """
    if diagnosis.class_ is DiagnosisClass.RECONNECT:
        return _in_doubt(grant, diagnosis, facts, now)
    if diagnosis.class_ is DiagnosisClass.ADMIN:
        wait = min(FIRST_LOOK_AGAIN * 2 ** min(grant.failures, 10), LAST_LOOK_AGAIN)
    elif diagnosis.retry_after is not None:
        wait = diagnosis.retry_after * SECOND
    else:
        wait = min(SECOND * 2 ** min(grant.failures, 10), LONGEST_BACKOFF)
    retry_at = now + wait + int(wait * JITTER * chance)
    waiting = replace(
        grant,
        failures=grant.failures + 1,
        retry_at=retry_at,
        refresh_due_at=retry_at,
        due_reason=DueReason.AGAIN,
    )
    return Refusal(waiting, diagnosis)


def ended(grant: Grant, now: int) -> Grant:
    """A grant that is of no use until its owner consents again: only the owner is still to be told."""
    return replace(grant, refresh_due_at=now, due_reason=DueReason.TELL_OWNER)


def jittered(wait: int, chance: float) -> int:
    """The wait, up to a tenth shorter or longer."""
    return int(wait * (1 - JITTER + 2 * JITTER * chance))


def chance() -> float:
    """A number between 0 and 1, for the jitter."""
    return random.random()  # noqa: S311 - nothing is to be kept secret by it


def _unused(grant: Grant, facts: ProviderFacts) -> int:
    """How long (ms) a grant is left alone while nobody sends: a day, if it has an end that is to be told."""
    return facts.keep_alive * SECOND if grant.ends_at is None else DAY


def _in_doubt(grant: Grant, diagnosis: Diagnosis, facts: ProviderFacts, now: int) -> Refusal:
    first = grant.first_refused_at
    again_at = (now if first is None else first) + facts.doubt * SECOND
    if first is not None and now >= again_at:
        return Refusal(ended(replace(grant, retry_at=None), now), diagnosis, GrantState.NEEDS_RECONNECT)
    doubted = replace(
        grant,
        first_refused_at=now if first is None else first,
        retry_at=again_at,
        refresh_due_at=again_at,
        due_reason=DueReason.AGAIN,
    )
    return Refusal(doubted, once(diagnosis, max(1, (again_at - now) // SECOND)))


def once(diagnosis: Diagnosis, seconds: int) -> Diagnosis:
    """A first refusal, which is asked about again after so many seconds."""
    return replace(
        diagnosis,
        class_=DiagnosisClass.RETRY,
        message=f"The provider refused once: {diagnosis.message}",
        fix=f"Nothing to do yet: it is asked once more in {seconds} s, to be sure.",
        retry_after=seconds,
    )
