"""What it takes to relay: the real worker in this process, over TLS, against plain smtplib."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from bench.accept import LARGE, message, timed
from bench.calls import counted
from chalicelib.mail.models import State
from chalicelib.mail.ports import Sought
from chalicelib.transports.smtp import sasl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.calls import Calls
    from bench.world import World
    from chalicelib.accounts.models.account import Account
    from chalicelib.wiring import Gateway

SMALL = 1_000
FEW = 11
"""Messages of the visits whose calls are counted: two times as many are what one look brings."""


@dataclass(frozen=True)
class Relay:
    """Calls to AWS, round trips to the mail server, and messages a second.

    A message costs `per_message` more in a visit that has some already, a session what a visit of one message
    costs besides. `looks` are made once for every 25 messages. `first_session` is that of a process that has
    just started; `operations` are of its visit of one message.
    """

    per_message: float
    per_large_message: float
    per_session: float
    looks: float
    first_session: float
    round_trips: float
    messages_per_s: float
    smtplib_messages_per_s: float
    operations: Mapping[str, int]

    def to_json(self) -> dict[str, object]:
        """As results.json has it."""
        return {
            "aws_calls_per_message": self.per_message,
            "round_trips_per_message": {"lockstep": self.round_trips},
            "messages_per_s": round(self.messages_per_s, 1),
            "smtplib_messages_per_s": round(self.smtplib_messages_per_s, 1),
        }


def measure(world: World, n: int = 200, rounds: int = 3, few: int = FEW) -> Relay:
    """Counts visits of one message and of a few, then times n messages each way, `rounds` times in turn."""
    gateway, account = world.new_gateway(), world.account(world.connector())
    first, one = _visit(world, gateway, account, 1), _visit(world, gateway, account, 1)
    some = _visit(world, gateway, account, few).total
    per_message = (_visit(world, gateway, account, 2 * few).total - some) / few
    large = _visit(world, gateway, account, few, LARGE).total
    per_large = (_visit(world, gateway, account, 2 * few, LARGE).total - large) / few
    ours, plain = [], []
    for _ in range(rounds):
        _accept(world, account, n)
        ours.append(n / timed(lambda: gateway.relay.run(account.id, until=world.until())) * 1000)
        plain.append(n / timed(lambda: _by_smtplib(world, gateway, account, n)) * 1000)
    return Relay(
        per_message,
        per_large,
        one.total - per_message,
        some - one.total - (few - 1) * per_message,
        first.total - per_message,
        _round_trips(world, account),
        median(ours),
        median(plain),
        first.operations,
    )


def _visit(world: World, gateway: Gateway, account: Account, messages: int, size: int = SMALL) -> Calls:
    first = _accept(world, account, messages, size)
    with counted(gateway) as made:
        report = gateway.relay.run(account.id, until=world.until(), named=first)
    if report.outcomes != {"sent": messages}:
        raise RuntimeError(f"not all was sent: {report}")
    return made


def _accept(world: World, account: Account, messages: int, size: int = SMALL) -> str:
    """Hands messages in; returns the id of the first, which is the one that a wake-up names."""
    asked = message(account.id, size)
    ids = [world.gateway.send.accept(world.caller, asked).id for _ in range(messages)]
    return ids[0]


def _by_smtplib(world: World, gateway: Gateway, account: Account, n: int) -> None:
    """The same bytes by the standard library over one connection, as if nothing could go wrong."""
    sought = Sought(frozenset({account.id}), frozenset(State))
    newest = gateway.message_lists.page(sought, 1, None).messages[0]
    stored = gateway.messages_table.get(account.id, newest.id)
    body = (stored.body if stored else None) or b""
    token = gateway.access_tokens.fresh(account.id).value
    with smtplib.SMTP(*world.sandbox.smtp["microsoft"]) as client:
        client.ehlo()
        client.starttls(context=ssl.create_default_context(cadata=world.sandbox.authority.pem))
        client.ehlo()
        login = sasl.Login(account.user).exchange(token, {"XOAUTH2"}, *world.sandbox.smtp["microsoft"])
        client.docmd("AUTH", login.mechanism)
        client.docmd(login.lines[0])
        for _ in range(n):
            client.sendmail(account.address, ["bob@example.net"], body)


def _round_trips(world: World, account: Account) -> float:
    """Of the last visit, as the mail server heard it: each command was answered before the next one came."""
    sessions = [one for one in world.sandbox.mail.sessions() if one["user"] == account.user]
    heard = [command["command"].partition(" ")[0] for command in sessions[-2]["commands"]]
    sent = heard.count("DATA")
    # The end of a body is no command in the record, and is answered too.
    return (sum(heard.count(verb) for verb in ("MAIL", "RCPT", "DATA", "RSET")) + sent) / sent
