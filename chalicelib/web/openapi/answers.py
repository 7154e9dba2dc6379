"""An example of everything that is answered, with the ids of the examples that are asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import UNSET
from msgspec.structs import replace

from chalicelib.accounts.models.account import AuthMode, FromPolicy, Revocation, Status
from chalicelib.callers.models import CallerKind, Scope
from chalicelib.mail import records as mail
from chalicelib.mail.models import ClosedReason, OnUnknown, Phase, State
from chalicelib.web.api import (
    accounts,
    callers,
    connectors,
    encryption,
    installation,
    messages,
    providers,
    records,
    status,
)
from chalicelib.web.api import connector_records as offers
from chalicelib.web.api.shown import extended
from chalicelib.web.openapi import parts
from chalicelib.web.openapi.examples import ACCOUNT, ADDRESS, CALLER, CONNECTOR, MESSAGE, ROLE

if TYPE_CHECKING:
    from chalicelib.records import Record
    from chalicelib.web.api.table import ApiView

_TOKEN_ENDS = "2026-11-21T10:41:12.400Z"  # noqa: S105 - a time
_ENDED = "2026-11-21T12:00:00.000Z"
_IN_A_MONTH = "2026-12-21T12:00:00.000Z"

_LANE = records.Lane(closed=None, closed_at=None, next_due_at=None, rests_until=None)
_ACCOUNT = records.Account(
    id=ACCOUNT,
    name="sales",
    address=ADDRESS,
    display_name="Example Sales",
    connector=CONNECTOR,
    auth_mode=AuthMode.AUTHORIZATION_CODE,
    signs_in_as="",
    smtp_user="",
    from_policy=FromPolicy.REJECT,
    from_addresses=[],
    always_name=False,
    reads_with="",
    status=Status.CONNECTED,
    created_at=parts.BEGAN,
    connected_at="2026-11-21T09:41:12.408Z",
    token_expires_at=_TOKEN_ENDS,
    refreshed_at="2026-11-21T09:41:12.408Z",
    problem=None,
    paused=None,
    disconnected=None,
    lane=_LANE,
)
_LINK = records.ConnectLink(
    id=ACCOUNT,
    connect_link="https://mail.example.com/connect/EXAMPLE",
    connect_link_expires_at="2026-11-28T09:30:00.000Z",
)

_CALLER = records.Caller(
    id=CALLER,
    kind=CallerKind.KEY,
    name="shop",
    scopes=[Scope.SEND],
    accounts=[ACCOUNT],
    created_at=parts.BEGAN,
    expires_at="2027-02-19T09:30:00.000Z",
    revoked_at=None,
    from_addresses=[],
    reply_to_domains=[],
    messages_per_minute=None,
)

_MESSAGE = mail.Message(
    id=MESSAGE,
    account=ACCOUNT,
    caller=CALLER,
    state="sent",
    accepted_at=parts.BEGAN,
    expires_at="2026-11-22T09:30:00.000Z",
    next_attempt_at=None,
    envelope=mail.Envelope(mail_from=ADDRESS, recipients=["ada@example.net"]),
    subject="Your order",
    message_id=f"<{MESSAGE}@example.com>",
    request_id="c0a4b7d6-52d4-4f38-9e71-1b6e0c9ae2f5",
    size=412,
    on_unknown=OnUnknown.RESEND,
    may_be_duplicate=False,
    resolved_by=None,
    cancelled_by=None,
    cancelled_at=None,
    recipients=[mail.Recipient(address="ada@example.net", state=State.SENT, reply=None)],
    attempts_left_out=0,
    attempts=[
        mail.Attempt(
            number=1,
            began_at="2026-11-21T09:30:00.213Z",
            ended_at="2026-11-21T09:30:00.840Z",
            transport="smtp",
            phase=Phase.DONE,
            outcome="sent",
            reply=mail.Reply(code=250, enhanced="2.0.0", text="2.0.0 OK"),
            diagnosis=None,
        )
    ],
)


_DISCONNECTED = replace(
    _ACCOUNT,
    status=Status.DISCONNECTED,
    token_expires_at=None,
    disconnected=records.Disconnection(
        by=CALLER, at="2026-11-21T11:00:00.000Z", revocation=Revocation.REVOKED
    ),
)
_NEW_ACCOUNT = replace(
    _ACCOUNT, status=Status.DISCONNECTED, connected_at=None, token_expires_at=None, refreshed_at=None
)
_WITH_LINK = {
    "connect_link": _LINK.connect_link,
    "connect_link_expires_at": _LINK.connect_link_expires_at,
}
_ROLE = replace(
    _CALLER,
    id=f"role:{ROLE}",
    kind=CallerKind.ROLE,
    name="reports",
    scopes=[Scope.READ],
    accounts=["*"],
    expires_at=None,
)
_STEPS = (
    ("token", "a usable one", 3),
    ("connect", "220 smtp.office365.com", 41),
    ("ehlo", "250 smtp.office365.com", 12),
    ("starttls", "220 2.0.0 SMTP server ready", 12),
    ("ehlo again", "250 smtp.office365.com", 13),
    ("auth", "235 2.7.0 Authentication successful", 180),
    ("quit", "221 2.0.0 Service closing transmission channel", 12),
)

_INSTALLATION = installation.Installation(
    status="trouble",
    stage="prod",
    version="9f2c41d07ab3",
    time="2026-11-21T12:00:00.000Z",
    accounts=installation.AccountFigures(
        by_status={"connected": 41, "needs_reconnect": 1},
        refresh_failing=0,
        nearest_expiry=5_184_000,
        nearest_end=None,
        complete=True,
    ),
    troubles=[
        installation.Trouble(
            "accounts_needs_reconnect",
            "1 account in the status needs_reconnect.",
            "Make a new connect link for each, and send it to the mailbox's owner.",
        )
    ],
    schedules={
        "relay_due": installation.ScheduleRun(
            ended_at="2026-11-21T11:59:31.102Z", silent=False, starting=False, oldest_due=0, lanes_due=0
        ),
        "refresh_tokens": installation.ScheduleRun(
            ended_at="2026-11-21T11:57:04.518Z", silent=False, starting=False, need_owner=1
        ),
    },
    rescue_queue=0,
    dead_letters={"refresh": 0, "relay": 0},
    connectors_in_trouble=[],
)

_SIGNED_IN = [records.Step(step=step, ok=True, said=said, ms=ms) for step, said, ms in _STEPS]
_CONNECTION = records.Connection(ok=True, connected=True, steps=_SIGNED_IN[1:])
ANSWERS: Mapping[ApiView, Record] = {
    providers.listed: offers.ProviderList(providers=[parts.GOOGLE]),
    connectors.create: extended(parts.KNOWN, offers.CheckedConnector, check=parts.OK),
    connectors.listed: offers.ConnectorList(connectors=[parts.KNOWN]),
    connectors.show: extended(
        parts.KNOWN,
        offers.ConnectorWithAccounts,
        accounts=[offers.AccountInBrief(id=ACCOUNT, name="sales", address=ADDRESS, status=Status.CONNECTED)],
        cursor=None,
    ),
    connectors.change: replace(parts.KNOWN, name="Our tenant in Europe"),
    connectors.delete: offers.DeletedConnector(
        id=CONNECTOR, deleted=True, secret_recoverable_until=_IN_A_MONTH
    ),
    connectors.replace_secret: extended(
        parts.KNOWN, offers.ReplacedSecret, check=parts.OK, previous_kept=True
    ),
    connectors.doctor: parts.CERTIFICATE_ENDS,
    accounts.create: extended(_NEW_ACCOUNT, records.AccountWithLink, **_WITH_LINK),
    accounts.listed: records.AccountPage(accounts=[replace(_ACCOUNT, lane=UNSET)], cursor=None),
    accounts.show: _ACCOUNT,
    accounts.change: replace(_ACCOUNT, name="sales-europe", display_name="Sales in Europe"),
    accounts.renew_link: _LINK,
    accounts.pause: replace(
        _ACCOUNT,
        status=Status.PAUSED,
        paused=records.Paused(by=CALLER, at=_ENDED, reason="The team is on holiday."),
        lane=replace(_LANE, closed=ClosedReason.PAUSED, closed_at=_ENDED),
    ),
    accounts.resume: _ACCOUNT,
    accounts.connect: extended(
        replace(_ACCOUNT, auth_mode=AuthMode.CLIENT_CREDENTIALS),
        records.ConnectedAccount,
        connection=_CONNECTION,
    ),
    accounts.roll_back: extended(_ACCOUNT, records.ConnectedAccount, connection=_CONNECTION),
    accounts.verify: records.Verification(ok=True, protocol="smtp", smtp_user=ADDRESS, steps=_SIGNED_IN),
    accounts.doctor: parts.SMTP_AUTH_DISABLED,
    accounts.disconnect: extended(
        _DISCONNECTED, records.DisconnectedAccount, revocation=Revocation.REVOKED, withdraw=[]
    ),
    accounts.delete: records.DeletedAccount(
        id=ACCOUNT,
        name="sales",
        deleted=True,
        restorable_until="2026-11-28T12:00:00.000Z",
        revocation=Revocation.REVOKED,
        withdraw=[],
    ),
    accounts.restore: extended(_DISCONNECTED, records.AccountWithLink, **_WITH_LINK),
    messages.accept: mail.Accepted(id=MESSAGE, state=State.QUEUED),
    messages.listed: mail.MessagePage(messages=[_MESSAGE], cursor=None),
    messages.show: _MESSAGE,
    messages.resolve: replace(_MESSAGE, on_unknown=OnUnknown.KEEP, resolved_by=CALLER),
    messages.cancel: replace(
        _MESSAGE,
        state="cancelled",
        cancelled_by=CALLER,
        cancelled_at=_ENDED,
        recipients=[mail.Recipient(address="ada@example.net", state=State.CANCELLED, reply=None)],
        attempts=[],
    ),
    callers.create: extended(
        _CALLER,
        records.CreatedCaller,
        key="mg_3e6g9j2m5p8r1t4w7z0c_EXAMPLE",
    ),
    callers.listed: records.CallerList(callers=[_CALLER, _ROLE]),
    callers.limit: replace(_CALLER, from_addresses=[ADDRESS], messages_per_minute=30),
    callers.revoke_by_query: replace(_ROLE, revoked_at=_ENDED),
    callers.revoke: replace(_CALLER, revoked_at=_ENDED),
    callers.whoami: extended(_CALLER, records.WhoAmI, stage="prod"),
    status.show: _INSTALLATION,
    encryption.rewrap: installation.Rewrapped(rewrapped=200, busy=[], unreadable=[], cursor=ACCOUNT),
}
"""View → what it answers."""
