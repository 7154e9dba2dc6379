"""The facts that a connector has of its own: the scopes that it asks for, and what differs otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from chalicelib.accounts.admin.checks import refuse
from chalicelib.errors import InvalidInput
from chalicelib.providers.catalogue import ADDRESS
from chalicelib.providers.facts import merged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chalicelib.providers.facts import ProviderFacts

BY_ITSELF = frozenset({"openid", "profile", "email", "offline_access"})
"""What is asked for in any case, so that who copies it does no harm: who consented, and lasting access."""
WHO, LASTING = ("openid", "email"), ("offline_access",)
"""Scopes by which it is known who consented, and by which the consent lasts."""
EWS = ("ews.", "full_access_as_app")
"""How the permissions of Exchange Web Services begin."""


def own_facts(usual: ProviderFacts, given: Mapping[str, Any], asked: Sequence[str]) -> dict[str, Any]:
    """A connector's own facts: those that were given, and its choice of scopes. Raises InvalidInput."""
    try:
        known = merged(usual, given)
    except ValueError as error:
        raise InvalidInput(
            f"The facts cannot be used: {error}.", fix="Correct them, or leave them out.", field="facts"
        ) from error
    return {**given, **chosen(known, asked)}


def chosen(facts: ProviderFacts, asked: Sequence[str]) -> dict[str, list[str]]:
    """The facts of a connector that asks for these scopes and no others. Raises InvalidInput.

    Without any it asks for the usual ones.
    """
    if not asked:
        return {}
    if not facts.protocol_scopes:
        return _as_asked(facts, list(dict.fromkeys(asked)))
    wanted = list(dict.fromkeys(_offered(facts, one) for one in asked if one.lower() not in BY_ITSELF))
    if not wanted:
        refuse("scopes", "None of these scopes opens a mailbox.", f"Choose from: {facts.scopes_to_copy}")
    words = [facts.protocol_words[name] for name, scope in facts.protocol_scopes.items() if scope in wanted]
    return {
        "scopes": [*wanted, *facts.identity_scopes],
        "required_scopes": wanted,
        "scopes_in_words": list(dict.fromkeys([*(words or facts.scopes_in_words), ADDRESS])),
    }


def _as_asked(facts: ProviderFacts, asked: list[str]) -> dict[str, list[str]]:
    """Of a provider whose scopes nobody knows here but its administrator: what was named is asked for.

    Besides it what signing in needs: who consented (OpenID Connect Core, sections 3.1.2.1 and 5.4), and a
    refresh token (section 11) where the provider says that it knows that scope.
    """
    named = {scope.lower() for scope in asked}
    tells_who = bool((facts.jwks and facts.issuer) or facts.userinfo)
    needed = [*(WHO if tells_who else ()), *(scope for scope in LASTING if scope in facts.scopes_supported)]
    required = [scope for scope in asked if scope.lower() not in BY_ITSELF]
    return {
        "scopes": [*asked, *(scope for scope in needed if scope not in named)],
        "required_scopes": required or asked[:1],
        "scopes_in_words": list(facts.scopes_in_words),
    }


def _offered(facts: ProviderFacts, scope: str) -> str:
    """The scope as the provider spells it."""
    offered = facts.protocol_scopes.values()
    found = next((one for one in offered if one.lower() == scope.lower()), None)
    return found or _refused(facts, scope)


def _refused(facts: ProviderFacts, scope: str) -> NoReturn:
    """Says which scope is meant by one that opens no mailbox."""
    offered = facts.protocol_scopes.values()
    ours = _ending(scope)
    if ours.startswith(EWS) and "graph" in facts.protocol_scopes:
        refuse(
            "scopes",
            "Exchange Online ends Exchange Web Services on 2027-04-01, so that Mailgrant does not speak it.",
            f"Ask for {facts.protocol_scopes['graph']} (Microsoft Graph) in its place.",
        )
    meant = [one for one in offered if _ending(one) == ours and ours]
    if meant:
        refuse(
            "scopes",
            f"{scope[:100]} opens no mailbox: the server that takes the token is told before its last part.",
            f"Ask for {' or '.join(meant)}.",
        )
    refuse(
        "scopes",
        f"{facts.label} has no scope {scope[:100]!r} for mail.",
        f"Choose from: {facts.scopes_to_copy}",
    )


def _ending(scope: str) -> str:
    return scope.rpartition("/")[2].lower()
