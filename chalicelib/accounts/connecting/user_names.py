"""By which name the mail server lets a new consent in: looked for before any mail is sent by it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chalicelib.accounts import trying
from chalicelib.errors import Unavailable
from chalicelib.logs import logger

if TYPE_CHECKING:
    from chalicelib.accounts.models.grant import TokenSet
    from chalicelib.accounts.ports import AccountStore
    from chalicelib.accounts.tokens.refreshing import Mailbox
    from chalicelib.accounts.trying import Probe

SECONDS = 8.0
"""For the mail server: a browser waits, for 29 s at the longest."""

log = logger("user names")


class UserNames:
    """Settles the user name of accounts whose owner signs in by another name than the mailbox's address."""

    def __init__(self, accounts: AccountStore, probe: Probe) -> None:
        self._accounts = accounts
        self._probe = probe

    def settle(self, mailbox: Mailbox, tokens: TokenSet) -> None:
        """Signs in by each name that there is, where there are several, and keeps the one that works.

        Microsoft lets in by the name that signed in (UPN), which need not be an address of the mailbox. Where
        the server refuses all of them, the account says so. Nothing that fails here undoes the consent.
        """
        account, facts = mailbox.account, mailbox.provider.facts
        names = trying.users(account, tokens.identity.addresses if tokens.identity else ())
        if len(names) == 1 or trying.usual_protocol(facts, account.auth_mode) != "smtp":
            return
        tried = trying.by_each_name(
            self._probe,
            "smtp",
            account,
            mailbox.connector,
            tokens.access_token,
            until=time.monotonic() + SECONDS,
            names=names,
        )
        try:
            self._keep(mailbox, tried)
        except Unavailable:
            log.exception("a user name was not kept", extra={"facts": {"account": account.id}})

    def _keep(self, mailbox: Mailbox, tried: trying.Tried) -> None:
        account, stopped = mailbox.account, tried.stopped
        user = tried.smtp_user(account)
        if user != account.smtp_user:
            self._accounts.found_user(account, user)
        if stopped is not None and not stopped.verdict.passes:
            self._accounts.set_transport_block(account.id, stopped.diagnosis)
