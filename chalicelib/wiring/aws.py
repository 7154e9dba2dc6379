"""The ground: everything that speaks to AWS."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from chalicelib import clock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.aws.blobs import Bucket
    from chalicelib.aws.clients import Clients
    from chalicelib.aws.events import EventBus
    from chalicelib.aws.functions import Functions
    from chalicelib.aws.identity import WebIdentity
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
    from chalicelib.aws.tables.mailboxes import MailboxTables
    from chalicelib.aws.tables.message_lists import MessageListsTable
    from chalicelib.aws.tables.messages import MessagesTable
    from chalicelib.aws.tables.rates import RatesTable
    from chalicelib.aws.tables.schedules import SchedulesTable
    from chalicelib.aws.vault import Vault
    from chalicelib.aws.wakeups import WakeupQueue
    from chalicelib.settings import Settings


class Aws:
    """What is in AWS: tables, keys, secrets, queues, functions."""

    def __init__(self, settings: Settings, *, clock: clock.Clock = clock.now) -> None:
        self.settings = settings
        self.clock = clock

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
    def rates_table(self) -> RatesTable:
        """The table of rates."""
        from chalicelib.aws.tables.rates import RatesTable

        return RatesTable(self.clients.dynamodb, self.settings.table("rates"))

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
    def mailbox_tables(self) -> MailboxTables:
        """The tables of grants, accounts and connectors, read together."""
        from chalicelib.aws.tables.mailboxes import MailboxTables

        names = {noun: self.settings.table(noun) for noun in ("grants", "accounts", "connectors")}
        return MailboxTables(self.clients.dynamodb, **names)

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
    def message_lists(self) -> MessageListsTable:
        """Lists of the outbox."""
        from chalicelib.aws.tables.message_lists import MessageListsTable

        return MessageListsTable(self.clients.dynamodb, self.settings.table("messages"))

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

    @cached_property
    def events(self) -> EventBus:
        """Where other services of the AWS account hear of us."""
        from chalicelib.aws.events import EventBus

        return EventBus(lambda: self.clients.events, self.settings.stage)

    @cached_property
    def web_identity(self) -> WebIdentity:
        """A token by which others know this AWS account."""
        from chalicelib.aws.identity import WebIdentity

        return WebIdentity(lambda: self.clients.sts)

    @cached_property
    def functions(self) -> Functions:
        """Our own other functions."""
        from chalicelib.aws.functions import Functions

        return Functions(self.clients.lambda_, self.settings.function)

    @cached_property
    def public_url(self) -> PublicUrl:
        """Where people and providers reach this stage."""
        from chalicelib.aws.parameters import PublicUrl

        return PublicUrl(self.clients.ssm, self.settings.public_url_parameter, self.clock)

    def _vault(self, noun: str, key_arn: str) -> Vault:
        from chalicelib.aws.vault import Vault

        return Vault(self.clients.kms, key_arn, self.settings.table(noun), self.settings.stage)

    def _queue(self, url: str) -> Queue:
        from chalicelib.aws.queues import Queue

        return Queue(self.clients.sqs, url)
