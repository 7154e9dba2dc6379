"""Trying an account out: by which protocol, and by which user name its server lets it in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chalicelib.accounts.models.account import AuthMode
from chalicelib.accounts.models.grant import GRAPH, MAIL
from chalicelib.mail.models import Phase
from chalicelib.secret import Secret
from chalicelib.transports.refusals import Refused
from chalicelib.transports.smtp.probe import Step

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.providers.facts import ProviderFacts

Probe = Callable[["Account", "Connector", Secret, float], tuple[list[Step], Refused | None]]
"""Signs in to the account's server with an access token, within some seconds."""

PROTOCOLS = ("smtp", "graph", "gmail", "imap", "pop")
"""All there are; the first for which the connector asks a permission is the usual one."""
APIS = frozenset({"graph", "gmail"})
"""Those that take access tokens only, and no password."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it: the last name that was tried, whether others could be, the steps and the refusal."""

    user: str
    had_choice: bool
    steps: list[Step] = field(default_factory=list)
    stopped: Refused | None = None

    def smtp_user(self, account: Account) -> str:
        """The user name to keep: the one that worked, if there was a choice and one did."""
        return self.user if self.had_choice and self.stopped is None else account.smtp_user


def by_each_name(  # noqa: PLR0913 - what is tried, and with what
    probe: Probe,
    protocol: str,
    account: Account,
    connector: Connector,
    token: Secret,
    *,
    until: float,
    names: tuple[str, ...] = (),
) -> Tried:
    """Signs in by each user name, until one works or it is not the name that is in the way.

    `names` are those to try at SMTP, where they are known. Where none works, what the server said to the
    first one counts. Ends by `until`, of the monotonic clock.
    """
    names = names or users(account) if protocol == "smtp" else (account.user,)
    tried = Tried(account.user, had_choice=len(names) > 1)
    for user in names:
        left = max(until - time.monotonic(), 0.0)
        seen, stopped = probe(replace(account, smtp_user=user), connector, token, left)
        first = tried.stopped or stopped
        tried = replace(tried, user=user, steps=tried.steps + seen, stopped=stopped and first)
        if stopped is None or stopped.phase is not Phase.AUTH or stopped.verdict.passes:
            break
    return tried


def likeliest_user(account: Account, protocol: str) -> str:
    """The user name to keep as long as none was tried: the first, if there is a choice."""
    names = users(account)
    return names[0] if protocol == "smtp" and len(names) > 1 else account.smtp_user


def users(account: Account, signed_in: Iterable[str] = ()) -> tuple[str, ...]:
    """The names to sign in by at SMTP: the one that worked before, the person's who signs in, the mailbox's.

    Then those by which the person signed in at the provider (`signed_in`). An application signs in to each
    mailbox by the mailbox's own name; so does who has its password.
    """
    person = (account.owner_address,) if account.auth_mode.has_owner and account.signs_in_as else ()
    known = (account.smtp_user,) if account.smtp_user else ()
    others = tuple(signed_in) if account.auth_mode.has_owner else ()
    return tuple(dict.fromkeys((*known, *person, account.address, *others)))


def usual_protocol(facts: ProviderFacts, mode: AuthMode) -> str:
    """The protocol by which accounts of a provider with these facts send, or else are read."""
    asked = set(facts.required_scopes)
    granted = [one for one in offered(facts, mode) if asked & {facts.protocol_scopes.get(one, "")}]
    return granted[0] if granted else "smtp"


def offered(facts: ProviderFacts, mode: AuthMode) -> list[str]:
    """The protocols of which it is known where the provider's server is, and that take what the mode has."""
    places = {
        "smtp": facts.smtp_host,
        "imap": facts.imap_host,
        "pop": facts.pop_host,
        "graph": facts.graph,
        "gmail": facts.gmail,
    }
    by_password = mode is AuthMode.PASSWORD
    return [one for one in PROTOCOLS if places[one] and not (by_password and one in APIS)]


def resource_of(protocol: str) -> str:
    """The resource whose access token the protocol takes."""
    return GRAPH if protocol == "graph" else MAIL
