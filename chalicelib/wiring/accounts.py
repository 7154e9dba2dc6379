"""The services of connectors, accounts and their tokens."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from chalicelib.wiring.shared import Shared

if TYPE_CHECKING:
    from chalicelib.accounts.admin.changing import Changing
    from chalicelib.accounts.admin.credentials import Credentials
    from chalicelib.accounts.admin.disconnecting import Disconnecting
    from chalicelib.accounts.admin.pausing import Pausing
    from chalicelib.accounts.admin.registry import Registry
    from chalicelib.accounts.connecting.connect import Connect
    from chalicelib.accounts.connecting.consent import Consents
    from chalicelib.accounts.connecting.direct import Direct
    from chalicelib.accounts.connecting.limits import Limits
    from chalicelib.accounts.connecting.visits import Visits
    from chalicelib.accounts.doctor.doctor import Doctor
    from chalicelib.accounts.doctor.verifying import Verifying
    from chalicelib.accounts.mailboxes import Mailboxes
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.accounts.stores import Stores
    from chalicelib.accounts.tokens.access import AccessTokens
    from chalicelib.accounts.tokens.care import Tokens
    from chalicelib.accounts.tokens.keeping import Keeper
    from chalicelib.accounts.tokens.rescuing import Rescuing
    from chalicelib.accounts.tokens.rewrapping import Rewrapping
    from chalicelib.accounts.tokens.telling import Telling
    from chalicelib.providers import Providers
    from chalicelib.secret import Secret
    from chalicelib.transports.refusals import Refused
    from chalicelib.transports.smtp.probe import Step


class AccountServices(Shared):
    """What concerns accounts and their tokens."""

    @cached_property
    def registry(self) -> Registry:
        """Connectors, accounts and connect links."""
        from chalicelib.accounts.admin.registry import Registry

        tables = (self.connectors_table, self.accounts_table, self.authorizations_table)
        return Registry(*tables, self.catalogue, self.resolve, self.clock)

    @cached_property
    def connect(self) -> Connect:
        """Sign-ins, and the credentials of connectors."""
        from chalicelib.accounts.connecting.connect import Connect
        from chalicelib.accounts.connecting.sign_ins import SignIns
        from chalicelib.accounts.connecting.user_names import UserNames

        kept = (self.authorizations_table, self.limits, self.grants_vault)
        sign_ins = SignIns(*kept, self.public_url, self.clock)
        names = UserNames(self.accounts_table, self._probe)
        return Connect(
            self._stores, self.providers, self.secrets, sign_ins, self._consents, names, self.clock
        )

    @cached_property
    def direct(self) -> Direct:
        """Connecting without a browser."""
        from chalicelib.accounts.connecting.direct import Direct
        from chalicelib.wiring.probes import probes

        asked = (self._consents, probes(self, self._probe))
        return Direct(self._stores, self.providers, self.secrets, *asked, self.clock)

    @cached_property
    def limits(self) -> Limits:
        """How many sign-ins may begin."""
        from chalicelib.accounts.connecting.limits import Limits

        return Limits(self.authorizations_table, self.clock)

    @cached_property
    def visits(self) -> Visits:
        """Visits of mailbox owners."""
        from chalicelib.accounts.connecting.visits import Visits

        return Visits(self.authorizations_table, self.clock)

    @cached_property
    def tokens(self) -> Tokens:
        """The care of tokens."""
        from chalicelib.accounts.tokens.care import Tokens
        from chalicelib.accounts.tokens.refreshing import Refresher

        refresher = Refresher(self.grants_table, self.connectors_table, self.secrets, self.keeper, self.clock)
        return Tokens(
            self._stores,
            self.providers,
            refresher,
            self.rescuing,
            self.telling,
            self._recently_used,
            self.clock,
        )

    @cached_property
    def rescuing(self) -> Rescuing:
        """The rescue queue."""
        from chalicelib.accounts.tokens.rescuing import Rescuing

        return Rescuing(self._stores, self.keeper, self.clock)

    @cached_property
    def telling(self) -> Telling:
        """The news that a mailbox needs its owner."""
        from chalicelib.accounts.tokens.telling import Telling

        return Telling(
            self.grants_table,
            self.authorizations_table,
            self.events,
            self.public_url,
            with_address=self.settings.address_in_events,
            now=self.clock,
        )

    @cached_property
    def changing(self) -> Changing:
        """Changes of connectors and accounts."""
        from chalicelib.accounts.admin.changing import Changing

        tables = (self.connectors_table, self.accounts_table)
        return Changing(*tables, self.catalogue, self.registry.checked, self.clock)

    @cached_property
    def pausing(self) -> Pausing:
        """Accounts that are paused and go on."""
        from chalicelib.accounts.admin.pausing import Pausing

        return Pausing(self.accounts_table, self._hold_paused, self._release_paused, self.clock)

    @cached_property
    def credentials(self) -> Credentials:
        """The credentials of connectors."""
        from chalicelib.accounts.admin.credentials import Credentials

        return Credentials(self.connectors_table, self.providers, self.secrets, self.clock)

    @cached_property
    def disconnecting(self) -> Disconnecting:
        """The end of consents."""
        from chalicelib.accounts.admin.disconnecting import Disconnecting

        hold = self._hold_disconnected
        return Disconnecting(self._stores, self.providers, self.secrets, self.keeper, hold, self.clock)

    @cached_property
    def verifying(self) -> Verifying:
        """Trying an account out."""
        from chalicelib.accounts.doctor.verifying import Verifying
        from chalicelib.wiring.probes import probes

        return Verifying(
            self._stores,
            self._tokens_here,
            probes(self, self._probe),
            self.catalogue.of,
            self._open_lane,
        )

    @cached_property
    def doctor(self) -> Doctor:
        """What is wrong with connectors and accounts."""
        from chalicelib.accounts.doctor.doctor import Doctor

        asked = (self.credentials.check, self.verifying.verify, self._tokens_here)
        return Doctor(self._stores, *asked, self.catalogue.of, self.public_url, now=self.clock)

    @cached_property
    def _tokens_here(self) -> AccessTokens:
        """Access tokens where they are refreshed by the same function: it holds both keys."""
        from chalicelib.accounts.tokens.access import AccessTokens

        opened = self.access_tokens_vault.open
        return AccessTokens(self.access_tokens_table, opened, self._refresh_here, self.clock)

    @cached_property
    def access_tokens(self) -> AccessTokens:
        """How the relay comes to an access token."""
        from chalicelib.accounts.tokens.access import MEMORY, AccessTokens

        opened, ask = self.access_tokens_vault.open, self.functions.tokens
        return AccessTokens(self.access_tokens_table, opened, ask, self.clock, memory=MEMORY)

    @cached_property
    def providers(self) -> Providers:
        """The providers, spoken to by their own libraries."""
        from chalicelib.network import Trust
        from chalicelib.providers import Providers

        return Providers(
            self.catalogue,
            web_identity=self.web_identity,
            trust=Trust(self.settings.extra_ca),
            resolve=self.resolve,
            now=self.clock,
        )

    @cached_property
    def keeper(self) -> Keeper:
        """Seals tokens and sees to it that they are saved."""
        from chalicelib.accounts.tokens.keeping import Keeper

        return Keeper(
            self.grants_table, self.grants_vault, self.access_tokens_vault, self.rescue_queue, self.clock
        )

    @cached_property
    def rewrapping(self) -> Rewrapping:
        """Wraps data keys anew."""
        from chalicelib.accounts.tokens.rewrapping import Rewrapping

        tables = (self.grants_table, self.access_tokens_table)
        return Rewrapping(*tables, self.grants_vault, self.access_tokens_vault, self.clock)

    @cached_property
    def _consents(self) -> Consents:
        from chalicelib.accounts.connecting.consent import Consents

        told = (self._open_lane, self._probe)
        return Consents(self.grants_table, self.connectors_table, self.keeper, *told, self.clock)

    @cached_property
    def _stores(self) -> Stores:
        from chalicelib.accounts.stores import Stores

        return Stores(
            self.accounts_table,
            self.connectors_table,
            self.authorizations_table,
            self.grants_table,
            self.mailbox_tables,
        )

    def _mailboxes(self, memory: int) -> Mailboxes:
        from chalicelib.accounts.mailboxes import Mailboxes

        return Mailboxes(self.registry, memory=memory, now=self.clock)

    def _open_lane(self, account: str) -> None:
        self.lane.open(account)

    def _hold_disconnected(self, account: str) -> None:
        from chalicelib.mail.models import ClosedReason

        self.lane.close(account, ClosedReason.DISCONNECTED)

    def _hold_paused(self, account: str) -> None:
        from chalicelib.mail.models import ClosedReason

        self.lane.close(account, ClosedReason.PAUSED)

    def _release_paused(self, account: str) -> None:
        from chalicelib.mail.models import ClosedReason

        self.lane.release(account, ClosedReason.PAUSED)

    def _refresh_here(self, account: str, failed_version: int | None, resource: str) -> None:
        self.tokens.ensure(account, failed_version=failed_version, resource=resource)

    def _recently_used(self, account: str) -> int | None:
        return self.lane.used_at(account)

    def _probe(
        self, account: Account, connector: Connector, token: Secret, seconds: float
    ) -> tuple[list[Step], Refused | None]:
        from chalicelib.transports.smtp.probe import probe

        return probe(
            lambda heard: self._open_session(account, connector, heard=heard), token, seconds=seconds
        )
