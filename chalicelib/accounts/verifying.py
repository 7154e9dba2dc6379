"""Verifying an account: signs in to its mail server as the relay does, sends nothing, tells what it saw."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from chalicelib.errors import Diagnosed, NotFound
from chalicelib.secret import Secret
from chalicelib.transports.refusals import Concern, Refused
from chalicelib.transports.smtp.probe import Step, Steps

if TYPE_CHECKING:
    from chalicelib.accounts.access import AccessTokens
    from chalicelib.accounts.models import AccessToken, Account, Connector
    from chalicelib.accounts.stores import Stores
    from chalicelib.diagnosis import Diagnosis

TOTAL = 20.0
"""Seconds for everything but a refresh: who asked by HTTP waits for 29 s at the longest."""

Probe = Callable[["Account", "Connector", Secret, float], tuple[list[Step], Refused | None]]
"""Signs in to the account's server with an access token, within some seconds."""


class Verifying:
    """Verifies accounts. Writes nothing but a token that had to be refreshed."""

    def __init__(self, stores: Stores, tokens: AccessTokens, probe: Probe) -> None:
        self._stores = stores
        self._tokens = tokens
        self._probe = probe

    def verify(self, account_id: str) -> dict[str, Any]:
        """``{"ok", "steps": [{"step", "ok", "said", "ms"}], "diagnosis"?}``.

        A token that the server refuses is replaced by a fresh one once, as the relay does. Raises NotFound,
        and Unavailable when our own stores do not answer.
        """
        account = self._stores.accounts.get(account_id)
        connector = self._stores.connectors.get(account.connector) if account else None
        if account is None or connector is None:
            raise NotFound(
                "There is no such account.", fix="Check the account's id.", code="account_not_found"
            )
        until, steps = time.monotonic() + TOTAL, Steps()
        diagnosis = self._tried(account, connector, steps, until)
        return {
            "ok": diagnosis is None,
            "steps": [asdict(step) for step in steps.done],
            **({"diagnosis": diagnosis.to_json()} if diagnosis else {}),
        }

    def _tried(self, account: Account, connector: Connector, steps: Steps, until: float) -> Diagnosis | None:
        """Tries with the token that is there, and once more with a fresh one if it is refused."""
        failed: int | None = None
        while True:
            try:
                token = self._token(account, steps, failed)
            except Diagnosed as refused:
                steps.note("token", refused.diagnosis.message, ok=False)
                return refused.diagnosis
            seen, stopped = self._probe(account, connector, token.value, until - time.monotonic())
            steps.done.extend(seen)
            if stopped is None:
                return None
            if stopped.verdict.concern is not Concern.TOKEN or failed is not None:
                return stopped.diagnosis
            failed = token.version

    def _token(self, account: Account, steps: Steps, failed: int | None) -> AccessToken:
        steps.since = time.monotonic()
        token = self._tokens.fresh(account.id, failed_version=failed)
        steps.note("token", "a fresh one" if failed is not None else "a usable one", ok=True)
        return token
