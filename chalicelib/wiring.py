"""Builds everything from the settings, each part when it is first used; the only module that knows all.

A function pays at its cold start only for the parts that it touches.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING

from chalicelib import clock
from chalicelib.settings import Settings

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from chalicelib.accounts.access import AccessTokens
    from chalicelib.accounts.connect import Connect
    from chalicelib.accounts.keeping import Keeper
    from chalicelib.accounts.mailboxes import Mailboxes
    from chalicelib.accounts.models import Account, Connector
    from chalicelib.accounts.registry import Registry
    from chalicelib.accounts.stores import Stores
    from chalicelib.accounts.telling import Telling
    from chalicelib.accounts.tokens import Tokens
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
    from chalicelib.aws.vault import Vault
    from chalicelib.aws.wakeups import WakeupQueue
    from chalicelib.callers.registry import Callers
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
    from chalicelib.transports.smtp.session import SmtpSession

MEMORY = 30 * clock.SECOND
"""How long `send` remembers an account: a message more or less after a change does no harm, since the
permission and the account are looked at again when it is relayed."""


@cache
def gateway() -> Gateway:
    """The one Gateway of this execution environment."""
    return Gateway(Settings.from_env())


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

        return ConnectOperations(self.connect)

    @cached_property
    def token_operations(self) -> TokenOperations:
        """What the function `tokens` does."""
        from chalicelib.operations import TokenOperations

        return TokenOperations(self.tokens)

    @cached_property
    def refresh_schedule(self) -> RefreshSchedule:
        """What the functions `refresh_tokens` and `refresh` do."""
        from chalicelib.operations import RefreshSchedule

        return RefreshSchedule(self.tokens, self._queue(self.settings.refresh_queue_url).put)

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

        return RelaySchedule(self.relay, parse)

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

        return Bucket(self.clients.s3, self.settings.bucket)

    @cached_property
    def wakeups(self) -> WakeupQueue:
        """The queue that wakes `relay`."""
        from chalicelib.aws.wakeups import WakeupQueue

        return WakeupQueue(self.clients.sqs, self.settings.relay_queue_url)

    @cached_property
    def rescue_queue(self) -> Queue:
        """Where a refresh token goes that cannot be saved."""
        return self._queue(self.settings.rescue_queue_url)

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

    def _recently_used(self, account: str) -> int | None:
        return self.lane.used_at(account)

    def _limits(self, connector: Connector) -> Limits:
        from chalicelib.mail.ports import Limits

        facts = self.catalogue[connector.provider]
        return Limits(recipients=facts.max_recipients, size=facts.max_size)

    def _slots(self, connector: Connector) -> int:
        return self.catalogue[connector.provider].max_connections

    def _open_session(self, account: Account, connector: Connector) -> SmtpSession:
        from chalicelib.network import resolve
        from chalicelib.transports.smtp.session import Server, SmtpSession

        facts = self.catalogue[connector.provider]
        return SmtpSession(
            Server(facts.smtp_host, facts.smtp_port),
            account.user,
            tls=self._tls,
            resolve=lambda host, port: resolve(host, port, self.settings.allowed_private_networks),
        )

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        from chalicelib.network import tls_context

        return tls_context(self.settings.extra_ca)

    def _vault(self, noun: str, key_arn: str) -> Vault:
        from chalicelib.aws.vault import Vault

        return Vault(self.clients.kms, key_arn, self.settings.table(noun), self.settings.stage)

    def _queue(self, url: str) -> Queue:
        from chalicelib.aws.queues import Queue

        return Queue(self.clients.sqs, url)
