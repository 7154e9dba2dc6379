"""The mailbox owner's own page: what is connected, how it is used, and the way to end it.

The page's address proves nothing, so nothing of the account is read before its visitor has signed in at the
account's provider (`accounts.connecting.visits`): every address of the right shape shows the same first page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib import ids
from chalicelib.accounts.connecting.visits import nothing_connected
from chalicelib.accounts.models.account import GrantState, Revocation, status
from chalicelib.errors import NotFound
from chalicelib.web.pages import cookies
from chalicelib.web.pages.pages import ANYTHING, FORM, Reader, named_links, require_own_page, see_other

if TYPE_CHECKING:
    from chalice.app import Response

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.web.pages.pages import Route

MOST_COUNTED = 100
"""As many waiting messages are counted."""

OWNER = "owner"
"""Who disconnected, in the account's record."""


def own_page(reader: Reader, account: str) -> Response:
    """What is connected, for who has proved to own it; for everybody else the way to prove it."""
    found, until = _visited(reader, account)
    if found is None:
        return reader.page("visit", leaves=True)
    connector = reader.services.registry.connector(found.connector)
    known = _known(reader, found, connector)
    if found.grant_state is GrantState.NONE:
        return reader.page("disconnected", **known, **_disconnection(found))
    return reader.page(
        "owner",
        **known,
        state=str(status(found, connector)),
        permissions=reader.services.catalogue.of(connector).scopes_in_words,
        most_counted=MOST_COUNTED,
        asked_by=found.asked_by,
        connected_at=found.connected_at,
        used_at=reader.services.lane.state(found.id).served_at,
        until=until,
    )


def begin_visit(reader: Reader, account: str) -> Response:
    """Begins the sign-in that proves who the visitor is."""
    require_own_page(reader.request)
    payload = {"account_id": _id(account), "cookie": cookies.read(reader.request, cookies.BROWSER)}
    reader.services.limits.request(reader.address)
    begun = reader.services.functions.connect("begin_visit", payload)
    return see_other(begun["authorize_url"], cookies.written(cookies.BROWSER, begun["cookie"]))


def ask(reader: Reader, account: str) -> Response:
    """Says what disconnecting does; does nothing yet."""
    found, _ = _visited(reader, account)
    if found is None or found.grant_state is GrantState.NONE:
        return _to_own_page(reader, account)
    connector = reader.services.registry.connector(found.connector)
    revokes = bool(reader.services.catalogue.of(connector).revoke)
    return reader.page("disconnect", **_known(reader, found, connector), revokes=revokes)


def disconnect(reader: Reader, account: str) -> Response:
    """Ends the connection, and shows the page that says so."""
    require_own_page(reader.request)
    found, _ = _visited(reader, account)
    if found is not None and found.grant_state is not GrantState.NONE:
        reader.services.functions.connect("disconnect", {"account_id": found.id, "by": OWNER})
    return _to_own_page(reader, account)


ROUTES: tuple[Route, ...] = (
    (("GET", "HEAD"), "/mailboxes/{account}", ANYTHING, own_page),
    (("POST",), "/mailboxes/{account}", FORM, begin_visit),
    (("GET", "HEAD"), "/mailboxes/{account}/disconnect", ANYTHING, ask),
    (("POST",), "/mailboxes/{account}/disconnect", FORM, disconnect),
)


def _visited(reader: Reader, account: str) -> tuple[Account | None, int]:
    """The account, where the browser has an open visit to it, and when that ends."""
    identifier, token = _id(account), cookies.read(reader.request, cookies.VISIT)
    if token is None:
        return None, 0
    try:
        found = reader.services.registry.account(identifier)
    except NotFound:
        return None, 0
    until = reader.services.visits.ends_at(token, found)
    return (found, until) if until is not None else (None, 0)


def _known(reader: Reader, account: Account, connector: Connector) -> dict[str, Any]:
    """What all pages of an owner show."""
    return {
        "account": account.id,
        "address": account.address,
        "provider": reader.services.catalogue.called(connector),
        "withdraw": named_links(reader.services.catalogue.of(connector).withdraw),
        "waiting": reader.services.lane.waiting(account.id, MOST_COUNTED),
    }


def _disconnection(account: Account) -> dict[str, Any]:
    last = account.disconnection
    revocation = last.revocation if last else Revocation.UNSUPPORTED
    return {"at": last.at if last else None, "revocation": str(revocation)}


def _to_own_page(reader: Reader, account: str) -> Response:
    return see_other(f"{reader.services.public_url()}/mailboxes/{_id(account)}")


def _id(account: str) -> str:
    """The account's id; a name, an address or anything else belongs to no page, known or not."""
    if not ids.is_id("acc", account):
        raise nothing_connected()
    return account
