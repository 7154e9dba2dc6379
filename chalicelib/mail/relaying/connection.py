"""The one connection of a worker's visit: made when the first message needs it, kept for the others."""

from __future__ import annotations

from chalicelib.accounts.models.grant import AccessToken
from chalicelib.clock import SECOND, Clock
from chalicelib.logs import logger
from chalicelib.mail.models import Envelope, Phase, Reply
from chalicelib.mail.ports import FreshToken, Mailbox, OpenSession, Session
from chalicelib.transports.refusals import Concern, Refused

SIGN_IN_SECONDS = 90
"""How long connecting and signing in may take together: a server that trickles holds no worker for longer."""

log = logger("connection")


class Connection:
    """Keeps a session that is signed in; its failures are Refused, Diagnosed and Unavailable."""

    def __init__(
        self, mailbox: Mailbox, open_session: OpenSession, fresh_token: FreshToken, clock: Clock
    ) -> None:
        self._mailbox = mailbox
        self._open_session = open_session
        self._fresh_token = fresh_token
        self._clock = clock
        self._session: Session | None = None

    @property
    def ready(self) -> bool:
        """Whether the server has let us in."""
        return self._session is not None

    def transfer(self, envelope: Envelope, body: bytes, *, until: int) -> dict[str, Reply]:
        """Everything but the end of the message, and that by `until` (ms); returns the refused recipients.

        A connection that has carried messages may have been closed by the server meanwhile, which shows
        at the next MAIL: then, and only then, it is made anew once, and no message is blamed.
        """
        session = self._signed_in(until)
        try:
            return session.transfer(envelope, body)
        except Refused as refused:
            if refused.phase is not Phase.MAIL or refused.verdict.concern is not Concern.MESSAGE:
                raise
            if session.sent == 0 or not refused.verdict.passes:
                raise
        self.drop()
        return self._signed_in(until).transfer(envelope, body)

    def commit(self) -> Reply:
        """The end of the message that was handed over, and the server's answer."""
        if self._session is None:
            raise ValueError("no message was handed over")
        return self._session.commit()

    def drop(self) -> None:
        """Cuts the connection: a message without its end is discarded by the server."""
        if self._session is not None:
            self._session.drop()
            self._session = None

    def close(self) -> None:
        """Takes leave of the server."""
        if self._session is not None:
            self._session.quit()
            self._session = None

    def _signed_in(self, until: int) -> Session:
        """The session; a token that is refused is replaced by a fresh one once."""
        if self._session is None:
            account = self._mailbox[0]
            token = self._fresh_token(account.id, ends_at=account.token_expires_at)
            try:
                self._session = self._opened(token, until)
            except Refused as refused:
                if refused.verdict.concern is not Concern.TOKEN:
                    raise
                token = self._fresh_token(account.id, failed_version=token.version)
                self._session = self._opened(token, until)
        self._session.allow((until - self._clock()) / SECOND)
        return self._session

    def _opened(self, token: AccessToken, until: int) -> Session:
        session = self._open_session(*self._mailbox)
        session.allow(min((until - self._clock()) / SECOND, SIGN_IN_SECONDS))
        session.connect()
        session.authenticate(token.secret_for(self._mailbox[0].auth_mode))
        log.info("signed in", extra={"facts": {"token_version": token.version}})
        return session
