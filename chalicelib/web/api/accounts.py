"""Accounts in the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from chalicelib.accounts.admin import checks, readers
from chalicelib.callers.models import ALL_ACCOUNTS, Scope
from chalicelib.callers.permissions import require, require_everything, require_mailbox_choice
from chalicelib.clock import shown_at
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import MailgrantError, NotFound
from chalicelib.web.api import bodies, records
from chalicelib.web.api.bodies import given
from chalicelib.web.api.calls import Call, decoded
from chalicelib.web.api.cursors import cursor_of, place_of
from chalicelib.web.api.queries import Page, Protocol
from chalicelib.web.api.shown import account_record, extended, lane_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.accounts.models.account import Account

DESCRIBED = ("display_name", "signs_in_as", "smtp_user", "from_policy", "from_addresses", "always_name")
"""Fields of a new account that describe it."""
MAILBOX_FACTS = ("signs_in_as", "smtp_user", "from_addresses")
"""Fields that decide whose mailbox an account is, where that is not what its owner consents to."""
LIST = "accounts"
CONNECT = "The account is there and not connected. Mend this, then POST /v1/accounts/{account}/connect."
VERIFY = (
    "The account is connected. Mend this, then POST /v1/accounts/{account}/verify shows whether mail goes."
)


def create(call: Call) -> records.AccountWithLink:
    """Makes an account: the link by which its owner connects it, or what became of connecting it.

    One whose auth mode needs no owner, or that comes with a refresh token, is connected at once. When that
    does not succeed, the account stays, and can be connected by `POST /accounts/{account}/connect`. With
    `connect` false it is only made: its doctor then says what has to be prepared at the provider.
    """
    require_everything(call.caller)
    asked = call.body(bodies.NewAccount)
    described = {name: getattr(asked, name) for name in DESCRIBED}
    described["reads_with"] = _reader(call, asked.reads_with)
    registry, mode = call.services.registry, asked.named_mode
    account = registry.new_account(asked.connector, asked.address, asked.name, mode, **described)
    consents = account.auth_mode.has_owner and not asked.refresh_token
    checks.held(account.auth_mode, asked.held, needed=asked.connect and not consents)
    registry.add_account(account)
    if not asked.connect:
        return extended(_account(call, account), records.AccountWithLink)
    if consents:
        return _with_link(call, account)
    connection = _connected_at_last(call, account, asked.held)
    return extended(_again(call, account), records.AccountWithLink, connection=connection)


def listed(call: Call) -> records.AccountPage:
    """One page of the caller's accounts and the cursor of the next."""
    require(call.caller, Scope.READ)
    registry, own, page = call.services.registry, call.caller.accounts, call.query(Page)
    after = place_of(call.caller, LIST, page)
    found, place = registry.accounts(page.limit, after, among=None if ALL_ACCOUNTS in own else own)
    connectors = {connector.id: connector for connector in registry.connectors()} if found else {}
    shown = [account_record(account, connectors.get(account.connector)) for account in found]
    return records.AccountPage(accounts=shown, cursor=cursor_of(place, call.caller, LIST, page))


def show(call: Call, account: str) -> records.Account:
    """One account by id or name: status, tokens, last problem, lane."""
    return _account(call, call.account(decoded(account), Scope.READ))


def change(call: Call, account: str) -> records.Account:
    """Gives an account another name or display name."""
    asked = given(call.body(bodies.AccountChange))
    found = call.account(decoded(account), Scope.ADMIN)
    _require_mailbox_choice(call, found, asked)
    if "reads_with" in asked:
        asked["reads_with"] = _reader(call, asked["reads_with"])
    return _account(call, call.services.changing.change_account(found, **asked))


def connect(call: Call, account: str) -> records.ConnectedAccount:
    """Connects an account without its owner's browser, also in another auth mode than before.

    By the connector's application or service account, by a password, or by a refresh token that another
    system has got for the same client. The mail server is asked first; what it does not take is not saved.
    What the account used in another auth mode is kept for 7 days.
    """
    asked = call.body(bodies.DirectConnection)
    found = call.account(decoded(account), Scope.ADMIN)
    mode = asked.named_mode or found.auth_mode
    if mode is not found.auth_mode and mode.chooses_mailbox:
        require_mailbox_choice(call.caller, "auth_mode")
    checks.held(mode, asked.held)
    how = {"account_id": found.id, "auth_mode": mode, **asked.held}
    seen = call.services.functions.connect("connect_directly", how)
    return extended(_again(call, found), records.ConnectedAccount, connection=_connection(found, seen))


def roll_back(call: Call, account: str) -> records.ConnectedAccount:
    """Connects an account as it was before its auth mode was switched, within 7 days of that."""
    found = call.account(decoded(account), Scope.ADMIN)
    chooses_mailbox = ALL_ACCOUNTS in call.caller.accounts
    how = {"account_id": found.id, "chooses_mailbox": chooses_mailbox}
    seen = call.services.functions.connect("roll_back", how)
    return extended(_again(call, found), records.ConnectedAccount, connection=_connection(found, seen))


def renew_link(call: Call, account: str) -> records.ConnectLink:
    """A new connect link for the same account: to connect it at last, or to reconnect it."""
    found = call.account(decoded(account), Scope.ADMIN)
    return _link(call, found)


def pause(call: Call, account: str) -> records.Account:
    """Holds an account's mail, which is accepted and waits, until it is resumed."""
    asked = call.body(bodies.Pause, optional=True)
    found = call.account(decoded(account), Scope.ADMIN)
    return _account(call, call.services.pausing.pause(found, by=call.caller.id, reason=asked.reason))


def resume(call: Call, account: str) -> records.Account:
    """Lets a paused account's mail go on."""
    found = call.account(decoded(account), Scope.ADMIN)
    return _account(call, call.services.pausing.resume(found))


def verify(call: Call, account: str) -> records.Verification:
    """Signs in to the account's mail server, sends nothing, and tells each step.

    Of a shared mailbox it finds out by whose name the server lets in, and keeps that as `smtp_user`. At IMAP
    and POP3 of an account that reads with another one it signs in by that one's consent.
    """
    protocol = call.query(Protocol).protocol or ""
    found = call.account(decoded(account), Scope.ADMIN)
    seen = call.services.functions.connect("verify", {"account_id": found.id, "protocol": protocol})
    return msgspec.convert(seen, records.Verification)


def doctor(call: Call, account: str) -> records.Examination:
    """Looks for what is wrong with an account, and says how to mend each; signs in as `verify` does.

    Where an administrator has something to do elsewhere, the commands are ready to copy.
    """
    protocol = call.query(Protocol).protocol or ""
    found = call.account(decoded(account), Scope.ADMIN)
    seen = call.services.functions.connect("doctor_account", {"account_id": found.id, "protocol": protocol})
    return msgspec.convert(seen, records.Examination)


def disconnect(call: Call, account: str) -> records.DisconnectedAccount:
    """Withdraws the owner's consent and deletes its tokens; mail that waits is held."""
    found = call.account(decoded(account), Scope.ADMIN)
    done = call.services.functions.connect("disconnect", {"account_id": found.id, "by": call.caller.id})
    ended = _again(call, found)
    return msgspec.convert({**ended.to_json(), **done}, records.DisconnectedAccount)


def delete(call: Call, account: str) -> records.DeletedAccount:
    """Disconnects an account and deletes it with its waiting mail; for 7 days it can be restored.

    Not while other accounts read with it.
    """
    require_everything(call.caller)
    found = call.account(decoded(account), Scope.ADMIN)
    call.services.changing.require_not_read_with(found)
    done = call.services.functions.connect("disconnect", {"account_id": found.id, "by": call.caller.id})
    deleted = call.services.changing.delete_account(found, by=call.caller.id)
    return records.DeletedAccount(
        id=found.id,
        name=found.name,
        deleted=True,
        restorable_until=shown_at(deleted.restorable_until),
        revocation=done["revocation"],
        withdraw=done["withdraw"],
    )


def restore(call: Call, account: str) -> records.AccountWithLink:
    """Takes a deletion back. Its consent is gone, so the owner has to connect it again: here is the link.

    One without an owner has no link: `POST /accounts/{account}/connect` connects it again.
    """
    require_everything(call.caller)
    restored = call.services.changing.restore_account(decoded(account))
    if restored.auth_mode.has_owner:
        return _with_link(call, restored)
    return extended(_account(call, restored), records.AccountWithLink)


def _reader(call: Call, named: str | None) -> Account | None:
    """The account that another one shall read with, which the caller must administer, too; None for none."""
    if not named:
        return None
    try:
        return call.account(named, Scope.ADMIN)
    except NotFound as error:
        raise readers.unknown_reader() from error


def _require_mailbox_choice(call: Call, account: Account, asked: Mapping[str, Any]) -> None:
    """Returns when the caller may change what it asks for of an account that no owner consents for."""
    if account.auth_mode.has_owner:
        return
    for field in MAILBOX_FACTS:
        if field in asked and tuple(asked[field]) != tuple(getattr(account, field)):
            require_mailbox_choice(call.caller, field)


def _account(call: Call, account: Account) -> records.Account:
    connector = call.services.registry.connector(account.connector)
    lane = call.services.lane.state(account.id)
    return msgspec.structs.replace(account_record(account, connector), lane=lane_record(lane))


def _again(call: Call, account: Account) -> records.Account:
    """The account as it is now."""
    return _account(call, call.services.registry.account(account.id))


def _connected_at_last(call: Call, account: Account, held: Mapping[str, str]) -> records.Connection:
    """What became of connecting a new account, which stays whatever that is."""
    how = {"account_id": account.id, "auth_mode": account.auth_mode, **held}
    try:
        seen = call.services.functions.connect("connect_directly", how)
    except MailgrantError as error:
        class_ = DiagnosisClass.RETRY if error.retryable else DiagnosisClass.ADMIN
        found = Diagnosis(class_, error.error_code, error.message, error.fix)
        seen = {"ok": False, "connected": False, "steps": [], "diagnosis": found.to_json()}
    return _connection(account, seen)


def _connection(account: Account, seen: Mapping[str, Any]) -> records.Connection:
    found = msgspec.convert(seen, records.Connection)
    if found.ok:
        return found
    word = VERIFY if found.connected else CONNECT
    return msgspec.structs.replace(found, next=word.format(account=account.id))


def _with_link(call: Call, account: Account) -> records.AccountWithLink:
    link = _link(call, account)
    return extended(
        _account(call, account),
        records.AccountWithLink,
        connect_link=link.connect_link,
        connect_link_expires_at=link.connect_link_expires_at,
    )


def _link(call: Call, account: Account) -> records.ConnectLink:
    token, expires_at = call.services.registry.invite(account, call.caller)
    return records.ConnectLink(
        id=account.id,
        connect_link=f"{call.services.public_url()}/connect/{token}",
        connect_link_expires_at=shown_at(expires_at),
    )
