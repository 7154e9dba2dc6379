"""The doctor: what is wrong with a connector or an account, and how to mend it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chalicelib import clock
from chalicelib.accounts.doctor import account_findings, findings, instructions
from chalicelib.accounts.doctor.account_findings import OfAccount
from chalicelib.accounts.doctor.findings import FAIL, SKIP, Check, OfConnector
from chalicelib.accounts.doctor.readers import reader_of
from chalicelib.accounts.models.account import AuthMode
from chalicelib.accounts.models.grant import GRAPH, MAIL
from chalicelib.errors import Diagnosed, NotFound, Unavailable
from chalicelib.providers.id_tokens import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from chalicelib.accounts.doctor.instructions import Instructions
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.accounts.stores import Stores
    from chalicelib.accounts.tokens.access import AccessTokens
    from chalicelib.providers.facts import ProviderFacts

UNSEEN = {
    "microsoft": (
        ("app_registration", "Platform and account types of the app registration.",
         "Entra, App registrations, Authentication: the redirect URI has to stand under Web, not under SPA."),
        ("api_permissions", "The API permissions, and whether an administrator has consented.",
         "Entra, App registrations, API permissions: all scopes of this connector; Grant admin consent."),
        ("conditional_access", "Conditional Access, and security defaults, for Lambda's changing addresses.",
         "Entra, Sign-in logs: look for this application; exempt it, or give Lambda a fixed address."),
    ),
    "google": (
        ("audience_status", "Publishing status and test users of the app.",
         "Google Auth Platform, Audience: In production, or Internal. In Testing, consents live for 7 days."),
        ("app_access", "Whether a Workspace administrator trusts the app.",
         "Google Admin console: Security, API controls, App access control: trust the client id."),
    ),
    "openid": (
        ("client_registration", "What the provider has registered for the client.",
         "Compare redirect URI, scopes and the way of authentication with the provider's console."),
    ),
}  # fmt: skip
"""What cannot be seen from here, by the language that the provider speaks, with where to look."""
OF_APPLICATIONS = (
    (
        "mailbox_permission",
        "Whether Exchange knows the service principal, and which mailboxes it may use.",
        "Run the lines of the instructions; Exchange takes up to an hour to act on them.",
    ),
    (
        "application_permission",
        "Which application permissions Entra has given, and for which mailboxes.",
        "With RBAC for Applications: none. Else SMTP.SendAsApp (Office 365 Exchange Online), admin consent.",
    ),
)
OF_DELEGATION = (
    (
        "delegation",
        "Which scopes the domain's administrator has allowed the service account.",
        "Compare the client id and scopes of the instructions with the Admin console, letter by letter.",
    ),
)


class Doctor:
    """Examines. Changes nothing but what Verifying does: a token is refreshed, a user name found.

    `check` is Credentials.check, `verify` Verifying.verify.
    """

    def __init__(  # noqa: PLR0913 - all that it looks at
        self,
        stores: Stores,
        check: Callable[[str], Mapping[str, Any]],
        verify: Callable[[str, str], Mapping[str, Any]],
        tokens: AccessTokens,
        facts_of: Callable[[Connector], ProviderFacts],
        public_url: Callable[[], str],
        *,
        now: clock.Clock = clock.now,
    ) -> None:
        self._stores = stores
        self._check = check
        self._verify = verify
        self._tokens = tokens
        self._facts_of = facts_of
        self._public_url = public_url
        self._now = now

    def connector(self, connector_id: str) -> dict[str, Any]:
        """``{"ok", "checks": [{"check", "result", "message", "fix"}], "instructions"}``; asks the provider.

        `result` is pass, warn, fail or skip; the last checks are those that cannot be made from here.
        `instructions` are ``{"title", "where", "lines"}``. Raises NotFound, and Unavailable.
        """
        found = self._stores.connectors.get(connector_id)
        if found is None:
            raise NotFound("There is no such connector.", fix="List the connectors to see their ids.")
        facts = self._facts_of(found)
        asked = self._check(found.id) if found.has_credential else {}
        redirect_uri = f"{self._public_url()}/oauth/callback/{found.id}"
        known = OfConnector(found, facts, redirect_uri, asked, self._now())
        delegated = [instructions.delegation(found, facts)] if found.credential == "service_account" else []
        unseen = OF_DELEGATION if delegated else UNSEEN[facts.speaks]
        return _report([*findings.of_connector(known), *_unseen(unseen)], delegated)

    def account(self, account_id: str, protocol: str = "") -> dict[str, Any]:
        """As `connector`, of an account, which is signed in with as Verifying does. Raises as that."""
        account = self._stores.accounts.get(account_id)
        connector = self._stores.connectors.get(account.connector) if account else None
        if account is None or connector is None or account.deleted_at is not None:
            raise NotFound(
                "There is no such account.", fix="Check the account's id.", code="account_not_found"
            )
        facts = self._facts_of(connector)
        grant = self._stores.grants.get(account.id)
        reader = reader_of(account, self._stores, self._facts_of)
        known = OfAccount(account, connector, facts, grant, self._now(), reader=reader)
        if grant is not None:
            known = self._tried(known, protocol)
        checks = [*account_findings.of_account(known), *_unseen(_rows_of(account, facts))]
        principal = known.claims.get("oid") if account.auth_mode is AuthMode.CLIENT_CREDENTIALS else None
        known_principal = principal if isinstance(principal, str) else ""
        return _report(checks, instructions.of_account(account, connector, facts, known_principal))

    def _tried(self, known: OfAccount, protocol: str) -> OfAccount:
        """With what a sign-in shows, and what is known afterwards: it may have refreshed the token."""
        verified = self._verify(known.account.id, protocol)
        resource = GRAPH if verified["protocol"] == "graph" else MAIL
        return replace(
            known,
            account=self._stores.accounts.get(known.account.id) or known.account,
            grant=self._stores.grants.get(known.account.id),
            resource=resource,
            claims=self._claims(known.account, resource),
            verified=verified,
        )

    def _claims(self, account: Account, resource: str) -> Mapping[str, Any]:
        if account.auth_mode is AuthMode.PASSWORD:
            return {}
        try:
            return read(self._tokens.fresh(account.id, resource=resource).value.reveal())
        except (Diagnosed, Unavailable):
            return {}


def _report(checks: list[Check], lines: Iterable[Instructions]) -> dict[str, Any]:
    return {
        "ok": not any(one.result is FAIL for one in checks),
        "checks": [one.to_json() for one in checks],
        "instructions": [one.to_json() for one in lines],
    }


def _rows_of(account: Account, facts: ProviderFacts) -> tuple[tuple[str, str, str], ...]:
    if account.auth_mode is AuthMode.CLIENT_CREDENTIALS:
        return OF_APPLICATIONS
    if account.auth_mode is AuthMode.SERVICE_ACCOUNT:
        return OF_DELEGATION
    return UNSEEN[facts.speaks] if account.auth_mode.has_owner else ()


def _unseen(rows: Iterable[tuple[str, str, str]]) -> list[Check]:
    return [Check(name, SKIP, f"Cannot be seen from here: {what}", fix) for name, what, fix in rows]
