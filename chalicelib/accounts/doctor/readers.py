"""Reading with another account: whose consent is used, which mailbox it opens, and what is in the way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chalicelib.accounts.doctor import instructions
from chalicelib.accounts.doctor.findings import FAIL, PASS, SKIP, WARN, Check
from chalicelib.accounts.models.account import AuthMode, GrantState
from chalicelib.addresses import same
from chalicelib.diagnosis import Diagnosis, DiagnosisClass

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.accounts.stores import Stores
    from chalicelib.providers.facts import ProviderFacts

READING = ("imap", "pop")
"""The protocols at which another account's consent may be used."""
GONE = Diagnosis(
    DiagnosisClass.ADMIN,
    "reader_deleted",
    "The account with which it reads is deleted.",
    "Restore that account, or change or empty reads_with.",
)


@dataclass(frozen=True, slots=True)
class Reader:
    """An account by whose consent another one is signed in to where mail is read."""

    account: Account
    connector: Connector
    facts: ProviderFacts

    def opened_as(self, account: Account) -> Account:
        """This account, with the mailbox that is opened for the other one.

        An application has no mailbox of its own, and Exchange takes a person's token for each mailbox that
        the person may use: there it is the other one's (IMAP wants the mailbox that is meant, and not who has
        signed in). Every other token or password opens one mailbox, its own.
        """
        mode, speaks = self.account.auth_mode, self.facts.speaks
        is_person = mode is AuthMode.AUTHORIZATION_CODE and speaks == "microsoft"
        if is_person or mode is AuthMode.CLIENT_CREDENTIALS:
            return replace(self.account, address=account.address)
        return self.account

    def said(self, diagnosis: Diagnosis) -> Diagnosis:
        """What is wrong with this account's consent, for whoever looks at the other one."""
        name, passes = self.account.name, diagnosis.class_ in {DiagnosisClass.RETRY, DiagnosisClass.PAUSE}
        return replace(
            diagnosis,
            message=f"It reads with the account {name}: {diagnosis.message}",
            fix=diagnosis.fix if passes else f"Mend the account {name}: {diagnosis.fix}",
        )


def reader_of(
    account: Account, stores: Stores, facts_of: Callable[[Connector], ProviderFacts]
) -> Reader | None:
    """The other account with which one reads; None where that is deleted, or there is none."""
    found = stores.accounts.get(account.reads_with) if account.reads_with else None
    connector = stores.connectors.get(found.connector) if found else None
    if found is None or connector is None or found.deleted_at is not None:
        return None
    return Reader(found, connector, facts_of(connector))


def reads_with(account: Account, reader: Reader | None) -> Check:
    """Whether the account can read with the other one that it names."""
    name = "reads_with"
    if not account.reads_with:
        return Check(name, SKIP, "It names no other account to read with.")
    if reader is None:
        return Check(name, FAIL, GONE.message, GONE.fix)
    objection = _objection(reader)
    if objection is not None:
        return Check(name, FAIL, *objection)
    other, problem = reader.account, reader.account.problem
    if problem is not None:
        return Check(name, WARN, f"{other.name}: {problem.message}", f"Mend {other.name}: {problem.fix}")
    if not same(other.address, account.address):
        return Check(name, WARN, *_another_mailbox(account, reader))
    return Check(name, PASS, f"IMAP and POP3 are opened by the consent of {other.name}.")


def _objection(reader: Reader) -> tuple[str, str] | None:
    """Why nothing can be read by this consent, and how to mend that."""
    other, facts = reader.account, reader.facts
    is_active = other.grant_state is GrantState.ACTIVE
    problem = reader.connector.problem or (None if is_active else other.problem)
    if problem is not None:
        return f"{other.name}: {problem.code}: {problem.message}", f"Mend {other.name}: {problem.fix}"
    if not is_active:
        return f"{other.name} is not connected.", f"Connect {other.name}."
    if not (facts.imap_host or facts.pop_host):
        fix = "Name imap_host or pop_host in the facts of its connector."
        return f"The connector of {other.name} knows no server of IMAP or POP3.", fix
    offered = [facts.protocol_scopes[one] for one in READING if one in facts.protocol_scopes]
    if offered and other.auth_mode.has_owner and not set(offered) & set(facts.required_scopes):
        fix = f"Add {' or '.join(offered)} to the scopes of its connector, then connect {other.name} again."
        return f"The connector of {other.name} asks for no permission to read.", fix
    return None


def _another_mailbox(account: Account, reader: Reader) -> tuple[str, str]:
    """Which mailbox is opened where the other account is one of another mailbox, and what that needs."""
    other = reader.account
    if reader.opened_as(account).address != account.address:
        fix = "If that is not meant, name an account of the mailbox itself."
        return f"The consent of {other.name} opens {other.address}, and no other mailbox.", fix
    message = f"{account.address} is opened by the consent of {other.name}, which needs a right to it."
    if not other.auth_mode.has_owner:
        return message, f"Let the application use {account.address}: see the doctor of {other.name}."
    return message, instructions.full_access(account.address, other.signs_in_as or other.address)
