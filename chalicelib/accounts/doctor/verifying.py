"""Verifying an account: signs in to one of its servers as usual, sends nothing, tells what it saw."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from chalicelib.accounts.models.grant import GRAPH, MAIL
from chalicelib.errors import Diagnosed, InvalidInput, NotFound
from chalicelib.mail.models import Phase
from chalicelib.secret import Secret
from chalicelib.transports.refusals import Concern, Refused
from chalicelib.transports.smtp.probe import Step, Steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.accounts.models.grant import AccessToken
    from chalicelib.accounts.stores import Stores
    from chalicelib.accounts.tokens.access import AccessTokens
    from chalicelib.diagnosis import Diagnosis
    from chalicelib.providers.facts import ProviderFacts

TOTAL = 20.0
"""Seconds for everything but a refresh: who asked by HTTP waits for 29 s at the longest."""

Probe = Callable[["Account", "Connector", Secret, float], tuple[list[Step], Refused | None]]
"""Signs in to the account's server with an access token, within some seconds."""

PROTOCOLS = ("smtp", "graph", "gmail", "imap", "pop")
"""All that can be verified; the first for which the connector asks a permission is the usual one."""


class Verifying:
    """Verifies accounts. Writes nothing but a token that had to be refreshed, and a user name that works.

    `probes` sign in, by protocol; `facts_of` tells what is known of a connector's provider.
    """

    def __init__(
        self,
        stores: Stores,
        tokens: AccessTokens,
        probes: Mapping[str, Probe],
        facts_of: Callable[[Connector], ProviderFacts],
    ) -> None:
        self._stores = stores
        self._tokens = tokens
        self._probes = probes
        self._facts_of = facts_of

    def verify(self, account_id: str, protocol: str = "") -> dict[str, Any]:
        """``{"ok", "protocol", "smtp_user", "steps": [{"step", "ok", "said", "ms"}], "diagnosis"?}``.

        Without a protocol the one that the account sends by. A token that the server refuses is replaced by
        a fresh one once, as the relay does. Of a shared mailbox it is found out by whose name it is signed in
        to at SMTP, and kept. Raises NotFound, InvalidInput for a protocol that the provider does not have,
        and Unavailable when our own stores do not answer.
        """
        account = self._stores.accounts.get(account_id)
        connector = self._stores.connectors.get(account.connector) if account else None
        if account is None or connector is None or account.deleted_at is not None:
            raise NotFound(
                "There is no such account.", fix="Check the account's id.", code="account_not_found"
            )
        chosen = _chosen(protocol, self._facts_of(connector))
        trial = _Trial(self._tokens, self._probes[chosen], account, connector, chosen)
        diagnosis = trial.run()
        if diagnosis is None and trial.had_choice and trial.user != account.smtp_user:
            self._stores.accounts.found_user(account, trial.user)
        return {
            "ok": diagnosis is None,
            "protocol": chosen,
            "smtp_user": account.user if diagnosis else trial.user,
            "steps": [asdict(step) for step in trial.steps.done],
            **({"diagnosis": diagnosis.to_json()} if diagnosis else {}),
        }


class _Trial:
    """One verification. `user` is the name by which it was last tried at SMTP."""

    def __init__(
        self, tokens: AccessTokens, probe: Probe, account: Account, connector: Connector, protocol: str
    ) -> None:
        self._tokens = tokens
        self._probe = probe
        self._account = account
        self._connector = connector
        self._resource = GRAPH if protocol == "graph" else MAIL
        self._users = users(account) if protocol == "smtp" else (account.user,)
        self._until = time.monotonic() + TOTAL
        self.steps = Steps()
        self.user = account.user

    @property
    def had_choice(self) -> bool:
        """Whether there was more than one name to try."""
        return len(self._users) > 1

    def run(self) -> Diagnosis | None:
        """Tries with the token that is there, and once more with a fresh one if it is refused."""
        failed: int | None = None
        while True:
            try:
                token = self._token(failed)
            except Diagnosed as refused:
                self.steps.note("token", refused.diagnosis.message, ok=False)
                return refused.diagnosis
            stopped = self._by_each_name(token)
            if stopped is None:
                return None
            if stopped.verdict.concern is not Concern.TOKEN or failed is not None:
                return stopped.diagnosis
            failed = token.version

    def _by_each_name(self, token: AccessToken) -> Refused | None:
        """Signs in by each user name, until one works or it is not the name that is in the way.

        Where none works, what the server said to the first one counts.
        """
        first: Refused | None = None
        for user in self._users:
            self.user = user
            account = replace(self._account, smtp_user=user)
            seen, stopped = self._probe(account, self._connector, token.value, self._left())
            self.steps.done.extend(seen)
            if stopped is None:
                return None
            first = first or stopped
            if stopped.phase is not Phase.AUTH or stopped.verdict.passes:
                break
        return first

    def _token(self, failed: int | None) -> AccessToken:
        self.steps.since = time.monotonic()
        token = self._tokens.fresh(self._account.id, failed_version=failed, resource=self._resource)
        self.steps.note("token", "a fresh one" if failed is not None else "a usable one", ok=True)
        return token

    def _left(self) -> float:
        return max(self._until - time.monotonic(), 0.0)


def users(account: Account) -> tuple[str, ...]:
    """The names to sign in by at SMTP: the one that worked before, the person's who signs in, the mailbox's.

    An application signs in to each mailbox by the mailbox's own name; so does who has its password.
    """
    person = (account.owner_address,) if account.auth_mode.has_owner and account.signs_in_as else ()
    known = (account.smtp_user,) if account.smtp_user else ()
    return tuple(dict.fromkeys((*known, *person, account.address)))


def usual_protocol(facts: ProviderFacts) -> str:
    """The protocol by which accounts of a provider with these facts send, or else are read."""
    asked = set(facts.required_scopes)
    granted = [one for one in PROTOCOLS if asked & {facts.protocol_scopes.get(one, "")}]
    return next((one for one in granted if _has(one, facts)), "smtp")


def _chosen(protocol: str, facts: ProviderFacts) -> str:
    chosen = protocol or usual_protocol(facts)
    offered = [one for one in PROTOCOLS if _has(one, facts)]
    if chosen not in offered:
        raise InvalidInput(
            f"{facts.label} has no server to verify by {chosen[:20]!r}.",
            fix=f"Use one of {', '.join(offered) or 'none: name a host in the facts of the connector'}.",
            field="protocol",
        )
    return chosen


def _has(protocol: str, facts: ProviderFacts) -> bool:
    """Whether it is known where the provider's server for the protocol is."""
    places = {
        "smtp": facts.smtp_host,
        "imap": facts.imap_host,
        "pop": facts.pop_host,
        "graph": facts.graph,
        "gmail": facts.gmail,
    }
    return bool(places.get(protocol))
