"""The services of messages; they are handed what they need of the accounts."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from chalicelib import clock
from chalicelib.wiring.accounts import AccountServices

if TYPE_CHECKING:
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.health import Health
    from chalicelib.mail.outbox import Outbox
    from chalicelib.mail.ports import Limits
    from chalicelib.mail.relaying.relay import Relay
    from chalicelib.mail.send import Send


MEMORY = 30 * clock.SECOND
"""How long `send` remembers an account: a message more or less after a change does no harm, since the
permission and the account are looked at again when it is relayed."""


class MailServices(AccountServices):
    """What concerns messages."""

    @cached_property
    def send(self) -> Send:
        """The way in for messages."""
        from chalicelib.callers.permissions import require
        from chalicelib.mail.send import Send

        return Send(
            mailbox=self._mailboxes(MEMORY).find,
            require=require,
            rates=self.rates,
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

        return Outbox(self.messages_table, self.message_lists, self.lane, self._mailboxes(0).find, self.clock)

    @cached_property
    def relay(self) -> Relay:
        """The way out."""
        from chalicelib.mail.relaying.delivery import Delivery
        from chalicelib.mail.relaying.relay import Relay

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

    def _limits(self, connector: Connector) -> Limits:
        from chalicelib.mail.ports import Limits

        facts = self.catalogue.of(connector)
        return Limits(recipients=facts.max_recipients, size=facts.max_size)

    def _slots(self, connector: Connector) -> int:
        return self.catalogue.of(connector).max_connections
