"""The one connection of a worker's visit: made when the first message needs it, kept for the others."""

from __future__ import annotations

from chalicelib.accounts.models import AccessToken
from chalicelib.mail.models import Envelope, Phase, Reply
from chalicelib.mail.ports import FreshToken, Mailbox, OpenSession, Session
from chalicelib.transports.refusals import Concern, Refused


class Connection:
    """Keeps a session that is signed in; its failures are Refused, Diagnosed and Unavailable."""

    def __init__(self, mailbox: Mailbox, open_session: OpenSession, fresh_token: FreshToken) -> None:
        self._mailbox = mailbox
        self._open_session = open_session
        self._fresh_token = fresh_token
        self._session: Session | None = None

    @property
    def ready(self) -> bool:
        """Whether the server has let us in."""
        return self._session is not None

    def transfer(self, envelope: Envelope, body: bytes) -> dict[str, Reply]:
        """Everything but the end of the message; returns the refused recipients.

        A connection that has carried messages may have been closed by the server meanwhile, which shows
        at the next MAIL: then, and only then, it is made anew once, and no message is blamed.
        """
        session = self._signed_in()
        try:
            return session.transfer(envelope, body)
        except Refused as refused:
            if refused.phase is not Phase.MAIL or refused.verdict.concern is not Concern.MESSAGE:
                raise
            if session.sent == 0 or not refused.verdict.passes:
                raise
        self.drop()
        return self._signed_in().transfer(envelope, body)

    def commit(self) -> Reply:
        """The end of the message, and the server's answer."""
        return self._signed_in().commit()

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

    def _signed_in(self) -> Session:
        """The session; a token that is refused is replaced by a fresh one once."""
        if self._session is None:
            account = self._mailbox[0].id
            token = self._fresh_token(account)
            try:
                self._session = self._opened(token)
            except Refused as refused:
                if refused.verdict.concern is not Concern.TOKEN:
                    raise
                self._session = self._opened(self._fresh_token(account, failed_version=token.version))
        return self._session

    def _opened(self, token: AccessToken) -> Session:
        session = self._open_session(*self._mailbox)
        session.connect()
        session.authenticate(token.value)
        return session
