"""Verifying an account: signs in to one of its servers as usual, sends nothing, tells what it saw."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from chalicelib.accounts import trying
from chalicelib.accounts.doctor.readers import GONE, READING, Reader, reader_of
from chalicelib.errors import Diagnosed, InvalidInput, NotFound
from chalicelib.transports.refusals import Concern
from chalicelib.transports.smtp.probe import Steps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chalicelib.accounts.models.account import Account, AuthMode
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.accounts.models.grant import AccessToken
    from chalicelib.accounts.stores import Stores
    from chalicelib.accounts.tokens.access import AccessTokens
    from chalicelib.accounts.trying import Probe, Tried
    from chalicelib.diagnosis import Diagnosis
    from chalicelib.providers.facts import ProviderFacts

TOTAL = 20.0
"""Seconds for everything but a refresh: who asked by HTTP waits for 29 s at the longest."""


class Verifying:
    """Verifies accounts. Writes nothing but a token that had to be refreshed, and a user name that works.

    `probes` sign in, by protocol; `facts_of` tells what is known of a connector's provider; `on_sendable` is
    told the account that its server lets in, whose mail goes at once then.
    """

    def __init__(
        self,
        stores: Stores,
        tokens: AccessTokens,
        probes: Mapping[str, Probe],
        facts_of: Callable[[Connector], ProviderFacts],
        on_sendable: Callable[[str], None],
    ) -> None:
        self._stores = stores
        self._tokens = tokens
        self._probes = probes
        self._facts_of = facts_of
        self._on_sendable = on_sendable

    def verify(self, account_id: str, protocol: str = "") -> dict[str, Any]:
        """``{"ok", "protocol", "smtp_user", "steps": [{"step", "ok", "said", "ms"}], "diagnosis"?}``.

        Without a protocol the one that the account sends by. A token that the server refuses is replaced by
        a fresh one once, as the relay does. Of a shared mailbox it is found out by whose name it is signed in
        to at SMTP, and kept. An account that reads with another one is signed in to at that one's servers of
        IMAP and POP3, by its token; what is wrong with that one is said as such.

        Raises NotFound, InvalidInput for a protocol that the provider does not have,
        and Unavailable when our own stores do not answer.
        """
        account = self._stores.accounts.get(account_id)
        connector = self._stores.connectors.get(account.connector) if account else None
        if account is None or connector is None or account.deleted_at is not None:
            raise NotFound(
                "There is no such account.", fix="Check the account's id.", code="account_not_found"
            )
        wanted = protocol or trying.usual_protocol(self._facts_of(connector), account.auth_mode)
        if account.reads_with and wanted in READING:
            return self._by_reader(account, wanted)
        trial = self._trial(account, connector, wanted)
        diagnosis = trial.run()
        found = trial.tried.smtp_user(account)
        if found != account.smtp_user:
            self._stores.accounts.found_user(account, found)
        if diagnosis is None and wanted == "smtp":
            self._let_go(account)
        return _answer(wanted, found or account.address, trial.steps, diagnosis)

    def _let_go(self, account: Account) -> None:
        """The server lets the account in, so whatever it was blocked for is over."""
        if account.transport_block is not None:
            self._stores.accounts.set_transport_block(account.id, None)
        if account.paused_by is None:
            self._on_sendable(account.id)

    def _signed_in(self, account: Account) -> tuple[str, ...]:
        """The names by which its owner signed in at the provider."""
        grant = self._stores.grants.get(account.id)
        return grant.identity.addresses if grant is not None else ()

    def _by_reader(self, account: Account, protocol: str) -> dict[str, Any]:
        """The same, by the consent of the account that this one reads with."""
        reader = reader_of(account, self._stores, self._facts_of)
        if reader is None:
            steps = Steps()
            steps.note("token", GONE.message, ok=False)
            return _answer(protocol, account.user, steps, GONE)
        trial = self._trial(reader.opened_as(account), reader.connector, protocol, reader)
        diagnosis = trial.run()
        return _answer(protocol, account.user, trial.steps, diagnosis)

    def _trial(
        self, account: Account, connector: Connector, protocol: str, reader: Reader | None = None
    ) -> _Trial:
        _require_server(protocol, self._facts_of(connector), account.auth_mode)
        names = () if reader else trying.users(account, self._signed_in(account))
        return _Trial(self._tokens, self._probes[protocol], account, connector, protocol, reader, names)


class _Trial:
    """One verification, by the account's own consent or that of its reader; `tried` is what came of it."""

    def __init__(  # noqa: PLR0913, PLR0917 - each is one thing
        self,
        tokens: AccessTokens,
        probe: Probe,
        account: Account,
        connector: Connector,
        protocol: str,
        reader: Reader | None,
        names: tuple[str, ...],
    ) -> None:
        self._names = names
        self._tokens = tokens
        self._probe = probe
        self._account = account
        self._connector = connector
        self._reader = reader
        self._protocol = protocol
        self._until = time.monotonic() + TOTAL
        self.steps = Steps()
        self.tried = trying.Tried(account.user, had_choice=False)

    def run(self) -> Diagnosis | None:
        """Tries with the token that is there, and once more with a fresh one if it is refused."""
        failed: int | None = None
        while True:
            try:
                token = self._token(failed)
            except Diagnosed as refused:
                diagnosis = self._of_consent(refused.diagnosis)
                self.steps.note("token", diagnosis.message, ok=False)
                return diagnosis
            self.tried = self._by_each_name(token)
            stopped = self.tried.stopped
            if stopped is None:
                return None
            if stopped.verdict.concern is not Concern.TOKEN:
                return stopped.diagnosis
            if failed is not None:
                return self._of_consent(stopped.diagnosis)
            failed = token.version

    def _by_each_name(self, token: AccessToken) -> Tried:
        asked = (
            self._probe,
            self._protocol,
            self._account,
            self._connector,
            token.secret_for(self._account.auth_mode),
        )
        tried = trying.by_each_name(*asked, until=self._until, names=self._names)
        self.steps.done.extend(tried.steps)
        return tried

    def _token(self, failed: int | None) -> AccessToken:
        self.steps.since = time.monotonic()
        resource = trying.resource_of(self._protocol)
        token = self._tokens.fresh(self._account.id, failed_version=failed, resource=resource)
        said = "a fresh one" if failed is not None else "a usable one"
        whose = f", of the account {self._reader.account.name}" if self._reader else ""
        self.steps.note("token", f"{said}{whose}", ok=True)
        return token

    def _of_consent(self, diagnosis: Diagnosis) -> Diagnosis:
        """What is wrong with the consent, which may be that of another account."""
        return self._reader.said(diagnosis) if self._reader else diagnosis


def _answer(protocol: str, user: str, steps: Steps, diagnosis: Diagnosis | None) -> dict[str, Any]:
    return {
        "ok": diagnosis is None,
        "protocol": protocol,
        "smtp_user": user,
        "steps": [asdict(step) for step in steps.done],
        **({"diagnosis": diagnosis.to_json()} if diagnosis else {}),
    }


def _require_server(protocol: str, facts: ProviderFacts, mode: AuthMode) -> None:
    offered = trying.offered(facts, mode)
    if protocol not in offered:
        raise InvalidInput(
            f"{facts.label} has no server to verify by {protocol[:20]!r}.",
            fix=f"Use one of {', '.join(offered) or 'none: name a host in the facts of the connector'}.",
            field="protocol",
        )
