"""Builds everything from the settings, each part when it is first used; the only module that knows all.

A function pays at its cold start only for the parts that it touches.
"""

from __future__ import annotations

import gc
from contextlib import suppress
from functools import cache, cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from chalicelib import clock, logs
from chalicelib.errors import ConfigurationError
from chalicelib.settings import Settings

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from chalicelib.accounts.access import AccessTokens
    from chalicelib.accounts.changing import Changing
    from chalicelib.accounts.connect import Connect
    from chalicelib.accounts.credentials import Credentials
    from chalicelib.accounts.disconnecting import Disconnecting
    from chalicelib.accounts.keeping import Keeper
    from chalicelib.accounts.mailboxes import Mailboxes
    from chalicelib.accounts.models import Account, Connector
    from chalicelib.accounts.pausing import Pausing
    from chalicelib.accounts.registry import Registry
    from chalicelib.accounts.stores import Stores
    from chalicelib.accounts.telling import Telling
    from chalicelib.accounts.tokens import Tokens
    from chalicelib.accounts.verifying import Verifying
    from chalicelib.accounts.visits import Visits
    from chalicelib.aws.blobs import Bucket
    from chalicelib.aws.clients import Clients
    from chalicelib.aws.events import EventBus
    from chalicelib.aws.functions import Functions
    from chalicelib.aws.parameters import PublicUrl
    from chalicelib.aws.queues import Queue
    from chalicelib.aws.secrets import ConnectorSecrets
    from chalicelib.aws.tables.access_tokens import AccessTokensTable
    from chalicelib.aws.tables.accounts import AccountsTable
    from chalicelib.aws.tables.authorizations import AuthorizationsTable
    from chalicelib.aws.tables.callers import CallersTable
    from chalicelib.aws.tables.connectors import ConnectorsTable
    from chalicelib.aws.tables.grants import GrantsTable
    from chalicelib.aws.tables.lanes import LanesTable
    from chalicelib.aws.tables.messages import MessagesTable
    from chalicelib.aws.tables.schedules import SchedulesTable
    from chalicelib.aws.vault import Vault
    from chalicelib.aws.wakeups import WakeupQueue
    from chalicelib.callers.registry import Callers
    from chalicelib.health import Health
    from chalicelib.mail.lane import Lane
    from chalicelib.mail.outbox import Outbox
    from chalicelib.mail.ports import Limits
    from chalicelib.mail.relay import Relay
    from chalicelib.mail.send import Send
    from chalicelib.operations import (
        ConnectOperations,
        RefreshSchedule,
        RelaySchedule,
        SendOperations,
        TokenOperations,
    )
    from chalicelib.providers.base import Provider
    from chalicelib.providers.catalogue import ProviderFacts
    from chalicelib.secret import Secret
    from chalicelib.transports.refusals import Refused
    from chalicelib.transports.smtp.probe import Step
    from chalicelib.transports.smtp.session import SmtpSession

MEMORY = 30 * clock.SECOND
"""How long `send` remembers an account: a message more or less after a change does no harm, since the
permission and the account are looked at again when it is relayed."""


@cache
def gateway() -> Gateway:
    """The one Gateway of this execution environment."""
    settings = Settings.from_env()
    logs.identify(settings.stage, personal=settings.log_addresses)
    return Gateway(settings)


ALWAYS_NEEDED: Mapping[str, tuple[str, ...]] = {
    "app": ("callers", "send", "outbox"),
    "connect": ("connect_operations",),
    "tokens": ("token_operations",),
    "refresh_tokens": ("refresh_schedule",),
    "refresh": ("refresh_schedule",),
    "send": ("send_operations", "clients.sqs"),
    "relay": ("relay_schedule", "access_tokens_vault", "tls"),
    "relay_due": ("relay_schedule",),
}
"""Parts that every invocation of a function needs."""


def prepare(function: str | None) -> None:
    """Builds what the function always needs while it starts; nothing where no function is started.

    Until its first invocation an execution environment has more of a processor than its memory pays for.
    What is made here stays, so no garbage is looked for meanwhile, nor later among it. Settings that cannot
    be used are told by the first invocation, in its own way.
    """
    parts = ALWAYS_NEEDED.get(function or "", ())
    if not parts:
        return
    gc.disable()
    with suppress(ConfigurationError):
        for part in parts:
            attrgetter(part)(gateway())
    gc.freeze()
    gc.enable()


class Gateway:
    """Everything that a deployment consists of."""

    def __init__(self, settings: Settings, *, clock: clock.Clock = clock.now) -> None:
        self.settings = settings
        self.clock = clock

    # The functions' bodies.

    @cached_property
    def connect_operations(self) -> ConnectOperations:
        """What the function `connect` does."""
        from chalicelib.operations import ConnectOperations

        return ConnectOperations(self.connect, self.credentials, self.disconnecting, self.verifying)

    @cached_property
    def token_operations(self) -> TokenOperations:
        """What the function `tokens` does."""
        from chalicelib.operations import TokenOperations

        return TokenOperations(self.tokens)

    @cached_property
    def refresh_schedule(self) -> RefreshSchedule:
        """What the functions `refresh_tokens` and `refresh` do."""
        from chalicelib.operations import RefreshSchedule

        enqueue = self._queue(self.settings.refresh_queue_url).put
        return RefreshSchedule(self.tokens, enqueue, self.health.after_refresh_tokens)

    @cached_property
    def send_operations(self) -> SendOperations:
        """What the function `send` does."""
        from chalicelib.operations import SendOperations

        return SendOperations(self.send, self.callers.by_function)

    @cached_property
    def relay_schedule(self) -> RelaySchedule:
        """What the functions `relay` and `relay_due` do."""
        from chalicelib.mail.wakeup import parse
        from chalicelib.operations import RelaySchedule

        return RelaySchedule(self.relay, parse, self.health.after_relay_due)

    # Services.

    @cached_property
    def callers(self) -> Callers:
        """Who may use what."""
        from chalicelib.callers.registry import Callers

        return Callers(self.callers_table, self.clock)

    @cached_property
    def registry(self) -> Registry:
        """Connectors, accounts and connect links."""
        from chalicelib.accounts.registry import Registry

        tables = (self.connectors_table, self.accounts_table, self.authorizations_table)
        return Registry(*tables, self.catalogue, self.clock)

    @cached_property
    def connect(self) -> Connect:
        """Sign-ins, and the credentials of connectors."""
        from chalicelib.accounts.connect import Connect
        from chalicelib.accounts.consent import Consents
        from chalicelib.accounts.sign_ins import SignIns

        consents = Consents(
            self.grants_table, self.connectors_table, self.keeper, self._open_lane, self.clock
        )
        sign_ins = SignIns(self.authorizations_table, self.grants_vault, self.public_url, self.clock)
        return Connect(self._stores, self.providers, self.secrets, sign_ins, consents, self.clock)

    @cached_property
    def visits(self) -> Visits:
        """Visits of mailbox owners."""
        from chalicelib.accounts.visits import Visits

        return Visits(self.authorizations_table, self.clock)

    @cached_property
    def tokens(self) -> Tokens:
        """The care of tokens."""
        from chalicelib.accounts.refreshing import Refresher
        from chalicelib.accounts.tokens import Tokens

        refresher = Refresher(self.grants_table, self.connectors_table, self.secrets, self.keeper, self.clock)
        return Tokens(
            self._stores,
            self.providers,
            refresher,
            self.keeper,
            self.telling,
            self._recently_used,
            self.clock,
        )

    @cached_property
    def telling(self) -> Telling:
        """The news that a mailbox needs its owner."""
        from chalicelib.accounts.telling import Telling

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
        from chalicelib.accounts.changing import Changing

        return Changing(self.connectors_table, self.accounts_table, self.clock)

    @cached_property
    def pausing(self) -> Pausing:
        """Accounts that are paused and go on."""
        from chalicelib.accounts.pausing import Pausing

        return Pausing(self.accounts_table, self._hold_paused, self._release_paused, self.clock)

    @cached_property
    def credentials(self) -> Credentials:
        """The credentials of connectors."""
        from chalicelib.accounts.credentials import Credentials

        return Credentials(self.connectors_table, self.providers, self.secrets, self.clock)

    @cached_property
    def disconnecting(self) -> Disconnecting:
        """The end of consents."""
        from chalicelib.accounts.disconnecting import Disconnecting

        lanes = (self._hold_disconnected, self._open_lane)
        return Disconnecting(self._stores, self.providers, self.keeper, *lanes, self.clock)

    @cached_property
    def verifying(self) -> Verifying:
        """Trying an account out. The function that does it refreshes tokens by itself: it holds both keys."""
        from chalicelib.accounts.access import AccessTokens
        from chalicelib.accounts.verifying import Verifying

        opened = self.access_tokens_vault.open
        tokens = AccessTokens(self.access_tokens_table, opened, self._refresh_here, self.clock)
        return Verifying(self._stores, tokens, self._probe)

    @cached_property
    def access_tokens(self) -> AccessTokens:
        """How the relay comes to an access token."""
        from chalicelib.accounts.access import AccessTokens

        return AccessTokens(
            self.access_tokens_table, self.access_tokens_vault.open, self.functions.tokens, self.clock
        )

    @cached_property
    def send(self) -> Send:
        """The way in for messages."""
        from chalicelib.callers.permissions import require
        from chalicelib.mail.send import Send

        return Send(
            mailbox=self._mailboxes(MEMORY).find,
            require=require,
            messages=self.messages_table,
            blobs=self.blobs,
            lane=self.lane,
            limits=self._limits,
            clock=self.clock,
        )

    @cached_property
    def outbox(self) -> Outbox:
        """The records of messages."""
        from chalicelib.mail.outbox import Outbox

        return Outbox(self.messages_table, self.lane, self._mailboxes(0).find, self.clock)

    @cached_property
    def lane(self) -> Lane:
        """The lanes of the accounts."""
        from chalicelib.mail.lane import Lane

        return Lane(self.lanes_table, self.messages_table, self.wakeups, self.clock)

    @cached_property
    def relay(self) -> Relay:
        """The way out."""
        from chalicelib.mail.delivery import Delivery
        from chalicelib.mail.relay import Relay

        return Relay(
            messages=self.messages_table,
            lane=self.lane,
            delivery=Delivery(self.messages_table, self.blobs, self.callers.permitted, self.clock),
            mailbox=self._mailboxes(0).find,
            fresh_token=self.access_tokens.fresh,
            open_session=self._open_session,
            set_transport_block=self.accounts_table.set_transport_block,
            slots=self._slots,
            clock=self.clock,
        )

    @cached_property
    def health(self) -> Health:
        """What the schedules see of the whole installation."""
        from chalicelib.health import Health

        return Health(
            self.schedules_table,
            self.lanes_table,
            self.messages_table.next_due,
            self.grants_table.needing_owner,
            self.clock,
        )

    # What services are handed.

    @cached_property
    def events(self) -> EventBus:
        """Where other services of the AWS account hear of us."""
        from chalicelib.aws.events import EventBus

        return EventBus(lambda: self.clients.events, self.settings.stage)

    @cached_property
    def catalogue(self) -> Mapping[str, ProviderFacts]:
        """The facts about providers."""
        from chalicelib.providers.catalogue import catalogue

        return catalogue(self.settings.provider_endpoints)

    @cached_property
    def providers(self) -> Mapping[str, Provider]:
        """The providers, spoken to by their own libraries."""
        from chalicelib.providers import providers

        return providers(self.settings, self.clock)

    @cached_property
    def keeper(self) -> Keeper:
        """Seals tokens and sees to it that they are saved."""
        from chalicelib.accounts.keeping import Keeper

        return Keeper(
            self.grants_table, self.grants_vault, self.access_tokens_vault, self.rescue_queue, self.clock
        )

    @cached_property
    def functions(self) -> Functions:
        """Our own other functions."""
        from chalicelib.aws.functions import Functions

        return Functions(self.clients.lambda_, self.settings.function)

    @cached_property
    def public_url(self) -> PublicUrl:
        """Where people and providers reach this stage."""
        from chalicelib.aws.parameters import PublicUrl

        return PublicUrl(self.clients.ssm, self.settings.public_url_parameter)

    @cached_property
    def grants_vault(self) -> Vault:
        """Seals and opens what lives as long as a grant."""
        return self._vault("grants", self.settings.grants_key_arn)

    @cached_property
    def access_tokens_vault(self) -> Vault:
        """Seals and opens access tokens."""
        return self._vault("access-tokens", self.settings.access_tokens_key_arn)

    @cached_property
    def secrets(self) -> ConnectorSecrets:
        """The credentials of connectors."""
        from chalicelib.aws.secrets import ConnectorSecrets

        return ConnectorSecrets(self.clients.secretsmanager, self.settings.secret_name)

    @cached_property
    def blobs(self) -> Bucket:
        """Message bytes that are too long for a row."""
        from chalicelib.aws.blobs import Bucket

        return Bucket(lambda: self.clients.s3, self.settings.bucket)

    @cached_property
    def wakeups(self) -> WakeupQueue:
        """The queue that wakes `relay`."""
        from chalicelib.aws.wakeups import WakeupQueue

        return WakeupQueue(lambda: self.clients.sqs, self.settings.relay_queue_url)

    @cached_property
    def rescue_queue(self) -> Queue:
        """Where a refresh token goes that cannot be saved."""
        return self._queue(self.settings.rescue_queue_url)

    @cached_property
    def dead_letters(self) -> Mapping[str, Queue]:
        """Where messages of the queues go that no function could work off; their names follow from theirs."""
        queues = {"relay": self.settings.relay_queue_url, "refresh": self.settings.refresh_queue_url}
        return {name: self._queue(f"{url}-dlq") for name, url in queues.items()}

    # Tables and clients.

    @cached_property
    def clients(self) -> Clients:
        """The AWS clients."""
        from chalicelib.aws.clients import Clients

        return Clients(self.settings)

    @cached_property
    def connectors_table(self) -> ConnectorsTable:
        """The table of connectors."""
        from chalicelib.aws.tables.connectors import ConnectorsTable

        return ConnectorsTable(self.clients.dynamodb, self.settings.table("connectors"))

    @cached_property
    def accounts_table(self) -> AccountsTable:
        """The table of accounts."""
        from chalicelib.aws.tables.accounts import AccountsTable

        return AccountsTable(self.clients.dynamodb, self.settings.table("accounts"))

    @cached_property
    def callers_table(self) -> CallersTable:
        """The table of callers."""
        from chalicelib.aws.tables.callers import CallersTable

        return CallersTable(self.clients.dynamodb, self.settings.table("callers"))

    @cached_property
    def authorizations_table(self) -> AuthorizationsTable:
        """The table of authorizations and connect links."""
        from chalicelib.aws.tables.authorizations import AuthorizationsTable

        return AuthorizationsTable(self.clients.dynamodb, self.settings.table("authorizations"))

    @cached_property
    def grants_table(self) -> GrantsTable:
        """The table of grants."""
        from chalicelib.aws.tables.grants import GrantsTable

        return GrantsTable(
            self.clients.dynamodb,
            self.settings.table("grants"),
            self.access_tokens_table,
            self.accounts_table,
            self.authorizations_table,
        )

    @cached_property
    def access_tokens_table(self) -> AccessTokensTable:
        """The table of access tokens."""
        from chalicelib.aws.tables.access_tokens import AccessTokensTable

        return AccessTokensTable(self.clients.dynamodb, self.settings.table("access-tokens"))

    @cached_property
    def messages_table(self) -> MessagesTable:
        """The outbox."""
        from chalicelib.aws.tables.messages import MessagesTable

        return MessagesTable(self.clients.dynamodb, self.settings.table("messages"))

    @cached_property
    def schedules_table(self) -> SchedulesTable:
        """The table of schedules."""
        from chalicelib.aws.tables.schedules import SchedulesTable

        return SchedulesTable(self.clients.dynamodb, self.settings.table("schedules"))

    @cached_property
    def lanes_table(self) -> LanesTable:
        """The table of lanes."""
        from chalicelib.aws.tables.lanes import LanesTable

        return LanesTable(self.clients.dynamodb, self.settings.table("lanes"))

    # What one half is handed of the other.

    @cached_property
    def _stores(self) -> Stores:
        from chalicelib.accounts.stores import Stores

        return Stores(
            self.accounts_table, self.connectors_table, self.authorizations_table, self.grants_table
        )

    def _mailboxes(self, memory: int) -> Mailboxes:
        from chalicelib.accounts.mailboxes import Mailboxes

        return Mailboxes(self.registry, memory=memory, now=self.clock)

    def _open_lane(self, account: str) -> None:
        self.lane.open(account)

    def _hold_disconnected(self, account: str) -> None:
        from chalicelib.mail.models import ClosedReason

        self.lane.hold(account, ClosedReason.DISCONNECTED)

    def _hold_paused(self, account: str) -> None:
        from chalicelib.mail.models import ClosedReason

        self.lane.hold(account, ClosedReason.PAUSED)

    def _release_paused(self, account: str) -> None:
        from chalicelib.mail.models import ClosedReason

        self.lane.release(account, ClosedReason.PAUSED)

    def _refresh_here(self, account: str, failed_version: int | None) -> None:
        self.tokens.ensure(account, failed_version=failed_version)

    def _recently_used(self, account: str) -> int | None:
        return self.lane.used_at(account)

    def _limits(self, connector: Connector) -> Limits:
        from chalicelib.mail.ports import Limits

        facts = self.catalogue[connector.provider]
        return Limits(recipients=facts.max_recipients, size=facts.max_size)

    def _slots(self, connector: Connector) -> int:
        return self.catalogue[connector.provider].max_connections

    def _probe(
        self, account: Account, connector: Connector, token: Secret, seconds: float
    ) -> tuple[list[Step], Refused | None]:
        from chalicelib.transports.smtp.probe import probe

        return probe(
            lambda heard: self._open_session(account, connector, heard=heard), token, seconds=seconds
        )

    def _open_session(self, account: Account, connector: Connector, **heard: Any) -> SmtpSession:
        from chalicelib.network import resolve
        from chalicelib.transports.smtp.session import Server, SmtpSession

        facts = self.catalogue[connector.provider]
        return SmtpSession(
            Server(facts.smtp_host, facts.smtp_port),
            account.user,
            tls=self.tls,
            resolve=lambda host, port: resolve(host, port, self.settings.allowed_private_networks),
            **heard,
        )

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """How mail servers are trusted."""
        from chalicelib.network import tls_context

        return tls_context(self.settings.extra_ca)

    def _vault(self, noun: str, key_arn: str) -> Vault:
        from chalicelib.aws.vault import Vault

        return Vault(self.clients.kms, key_arn, self.settings.table(noun), self.settings.stage)

    def _queue(self, url: str) -> Queue:
        from chalicelib.aws.queues import Queue

        return Queue(self.clients.sqs, url)
