"""The ways by which ``mailgrant init`` connects a mailbox, and which of them a provider or connector has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from chalicelib.accounts.admin import checks
from chalicelib.accounts.models.account import AuthMode
from chalicelib.errors import InvalidInput
from chalicelib.providers.catalogue import Catalogue
from cli.local import connector_of

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Way:
    """How mailboxes are connected: `label` is the choice that a person sees.

    `shared` mailboxes have a person who signs in for them; with `token` another system has got the consent,
    and `here` it is got on this machine.
    """

    label: str
    mode: AuthMode
    shared: bool = False
    token: bool = False
    here: bool = False

    @property
    def by_link(self) -> bool:
        """Whether somebody opens a connect link."""
        return self.mode.has_owner and not self.token and not self.here


OWNER: Final = Way("Its owner signs in once, and agrees", AuthMode.AUTHORIZATION_CODE)
SHARED: Final = Way(
    "It is shared: a person who may use it signs in once, and agrees", OWNER.mode, shared=True
)
TOKEN: Final = Way("By a refresh token that another system has of it", OWNER.mode, token=True)
HERE: Final = Way(
    "You sign in as the mailbox in a browser of this machine: no callback is needed", OWNER.mode, here=True
)
WAYS: Final = (
    OWNER,
    Way("The app acts by itself (app-only): nobody signs in", AuthMode.CLIENT_CREDENTIALS),
    Way("A service account acts for the whole domain: nobody signs in", AuthMode.SERVICE_ACCOUNT),
    Way("By its password, or an app password", AuthMode.PASSWORD),
    SHARED,
    TOKEN,
    HERE,
)


def of_provider(provider: Mapping[str, Any], *, here: bool = True) -> list[Way]:
    """The ways that a provider of ``GET /v1/providers`` has, the usual one first.

    `here` says whether people can sign in there from this machine: not at the providers of a sandbox.
    """
    possible = (one for one in WAYS if one.mode in provider["auth_modes"] and _has(provider["name"], one))
    return [one for one in possible if here or not one.here]


def of_connector(connector: Mapping[str, Any], *, here: bool = True) -> list[Way]:
    """The ways that a connector of the API is good for; `here` as above."""
    possible = (one for one in WAYS if _is_good_for(connector, one) and _has(connector["provider"], one))
    return [one for one in possible if here or not one.here]


def of_account(account: Mapping[str, Any]) -> Way:
    """The way of an account that is there."""
    usual = next(one for one in WAYS if one.mode == account["auth_mode"])
    return SHARED if usual is OWNER and account["signs_in_as"] else usual


def wanted(
    *modes: str | None, password: bool, refresh_token: bool, here: bool, signs_in_as: str | None
) -> Way | None:
    """The way that a command's options ask for; None where they leave it open.

    `modes` are the auth modes that they name. Raises UsageError where they contradict each other.
    """
    named = {AuthMode(mode) for mode in modes if mode}
    named |= {AuthMode.PASSWORD} if password else set()
    named |= {OWNER.mode} if refresh_token or here or signs_in_as else set()
    if len(named) > 1:
        raise click.UsageError(f"The options ask for more than one way: {' and '.join(sorted(named))}.")
    if refresh_token and here:
        raise click.UsageError("--local gets a refresh token itself: leave --refresh-token out.")
    if here:
        return HERE
    if refresh_token:
        return TOKEN
    if signs_in_as:
        return SHARED
    return next((one for one in WAYS if one.mode in named), None)


def _has(provider: str, way: Way) -> bool:
    """Only Microsoft has mailboxes without a sign-in of their own."""
    return not way.shared or provider == "microsoft"


def _is_good_for(connector: Mapping[str, Any], way: Way) -> bool:
    model = connector_of(connector)
    try:
        checks.auth_mode(model, Catalogue().of(model), way.mode)
    except InvalidInput:
        return False
    return bool(connector["client_id"]) or not way.mode.has_owner
