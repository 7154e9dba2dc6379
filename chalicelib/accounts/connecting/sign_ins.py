"""Sign-ins that wait for their callback: begun in one browser, used up once, by the same browser."""

from __future__ import annotations

import json
import re
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

from chalicelib import clock, ids
from chalicelib.accounts.connecting.callback import unknown_state
from chalicelib.accounts.connecting.links import (
    STARTS,
    exhausted,
    hash_cookie,
    is_browser,
    link_id,
    live_link,
)
from chalicelib.accounts.models.authorization import Authorization, Purpose
from chalicelib.errors import Forbidden
from chalicelib.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chalicelib.accounts.connecting.limits import Limits
    from chalicelib.accounts.connecting.outcomes import Outcome
    from chalicelib.accounts.models.authorization import ConnectLink
    from chalicelib.accounts.ports import AuthorizationStore, Vault
    from chalicelib.accounts.tokens.refreshing import Mailbox
    from chalicelib.providers.base import Begun

STATE_LIFE = 10 * clock.MINUTE
FLOW_VERSION = 0
"""A flow is written once, so there is only this version of it."""

_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}")
"""The shape of our cookies: 32 random bytes in URL-safe base 64."""

log = logger("sign_ins")


class SignIns:
    """Keeps what a sign-in needs until it comes back. PKCE verifier and nonce are kept as ciphertext."""

    def __init__(
        self,
        authorizations: AuthorizationStore,
        limits: Limits,
        vault: Vault,
        public_url: Callable[[], str],
        now: clock.Clock = clock.now,
    ) -> None:
        self._authorizations = authorizations
        self._limits = limits
        self._vault = vault
        self._public_url = public_url
        self._now = now

    def link(self, token: str) -> ConnectLink:
        """The connect link with that secret token. Raises NotFound when it has ended."""
        return live_link(self._authorizations.link(link_id(token)), self._now())

    def begin(self, mailbox: Mailbox, link: ConnectLink, cookie: str | None) -> tuple[str, str]:
        """Begins a sign-in: where to send the browser, and its cookie.

        Raises NotFound for an ended link, RateLimited (code ``too_many_sign_ins``), which costs it no start.
        `cookie` is the one that the browser has already. It stays, so that a sign-in of another tab can still
        come back; one that is not of our making is replaced.
        """
        self._limits.sign_in(Purpose.CONNECT)
        if not self._authorizations.start(link.id, now=self._now(), limit=STARTS):
            live_link(self._authorizations.link(link.id), self._now())
            raise exhausted()
        person = mailbox.account.signs_in_as or mailbox.account.address
        ask = partial(mailbox.provider.begin, mailbox.connector, login_hint=person)
        return self._begin(mailbox, ask, cookie, link=link.id, asked_by=link.invited_by)

    def begin_visit(self, mailbox: Mailbox, cookie: str | None) -> tuple[str, str]:
        """As `begin`, for somebody who shall only prove to own the mailbox; nothing names it on the way.

        Raises RateLimited (code ``too_many_visits`` or ``too_many_sign_ins``): anybody can begin one, and
        each leaves a pending state.
        """
        self._limits.visit(mailbox.account.id)
        self._limits.sign_in(Purpose.VISIT)
        ask = partial(mailbox.provider.identify, mailbox.connector)
        return self._begin(mailbox, ask, cookie, link="", purpose=Purpose.VISIT)

    def _begin(
        self, mailbox: Mailbox, ask: Callable[..., Begun], cookie: str | None, **facts: Any
    ) -> tuple[str, str]:
        state = secrets.token_urlsafe(32)
        cookie = cookie if cookie and _COOKIE.fullmatch(cookie) else secrets.token_urlsafe(32)
        redirect_uri = f"{self._public_url()}/oauth/callback/{mailbox.connector.id}"
        begun = ask(redirect_uri=redirect_uri, state=state)
        pending = self._pending(mailbox, begun, state, cookie, facts)
        self._authorizations.add(pending)
        named = {"account": pending.account, "authorization": pending.id, "purpose": pending.purpose}
        log.info("sign-in began", extra={"facts": named})
        return begun.url, cookie

    def take(self, state: str, connector: str, cookie: str | None) -> tuple[Authorization, bool]:
        """Uses a state up: its row as it was, and whether it was this call that used it up.

        Raises MalformedRequest for a state that is unknown, expired or of another connector; Forbidden (code
        ``wrong_browser``) where the cookie is another one: the state stays good for its own browser then.
        """
        stored = self._authorizations.get(ids.authorization_id(state))
        if stored is not None and stored.used_at is not None:
            return stored, False
        if stored is None or not stored.is_open(self._now()) or stored.connector != connector:
            raise unknown_state()
        if not is_browser(stored.cookie_hash, cookie):
            raise _wrong_browser()
        consumed = self._authorizations.consume(stored.id, now=self._now())
        return (stored, False) if consumed is None else (consumed, True)

    def flow(self, authorization: Authorization) -> dict[str, Any]:
        """The secrets of a state that was just used up."""
        field, sealed = _field(authorization.id), authorization.flow or b""
        opened = self._vault.open(authorization.account, field, FLOW_VERSION, sealed)
        return dict(json.loads(opened))

    def conclude(self, authorization: Authorization, outcome: Outcome) -> None:
        """Notes how it ended, for its result page."""
        self._authorizations.conclude(authorization.id, outcome)

    def _pending(
        self, mailbox: Mailbox, begun: Begun, state: str, cookie: str, facts: Mapping[str, Any]
    ) -> Authorization:
        authorization, now = ids.authorization_id(state), self._now()
        flow = json.dumps(dict(begun.flow)).encode()
        sealer = self._vault.sealer(mailbox.account.id)
        return Authorization(
            id=authorization,
            account=mailbox.account.id,
            connector=mailbox.connector.id,
            cookie_hash=hash_cookie(cookie),
            redirect_uri=str(begun.flow["redirect_uri"]),
            created_at=now,
            expires_at=now + STATE_LIFE,
            flow=sealer.seal(_field(authorization), FLOW_VERSION, flow),
            **facts,
        )


def _field(authorization: str) -> str:
    """The name under which the vault binds a flow to its state."""
    return f"flow:{authorization}"


def _wrong_browser() -> Forbidden:
    return Forbidden(
        "This sign-in was begun in another browser.",
        fix="Open your connect link in this browser and sign in from there.",
        code="wrong_browser",
    )
