"""Who may do what with which mailbox: shared mailboxes, applications, and mailboxes without SMTP."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

SmtpUser = Literal["signed_in", "mailbox"]
"""Whose name a client gives that sends as a shared mailbox: the person's who signed in, or the mailbox's."""


class MailboxError(ValueError):
    """The order for a mailbox cannot be carried out; the text says why."""


@dataclass(frozen=True)
class Holder:
    """Whose access token or password it is: a person's, or an application's own (its client id)."""

    user: str
    application: str = ""


class Mailbox(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The rights on a mailbox.

    ``full_access`` and ``send_as`` are people besides its owner, ``applications`` client ids of those that
    may act by themselves. Without ``smtp_auth`` nobody signs in to it by SMTP.
    """

    address: str
    full_access: tuple[str, ...] = ()
    send_as: tuple[str, ...] = ()
    applications: tuple[str, ...] = ()
    smtp_auth: bool = True

    def may_sign_in(self, holder: Holder, smtp_user: SmtpUser) -> bool:
        """Whether the holder may give this mailbox's name when signing in."""
        if holder.application:
            return holder.application in self.applications
        others = {*self.full_access, *self.send_as} if smtp_user == "mailbox" else ()
        return _is_one_of(holder.user, (self.address, *others))

    def may_send_as(self, holder: Holder, signed_in_as: str) -> bool:
        """Whether the holder, who signed in by that name, may send in this mailbox's name."""
        if holder.application:
            return _is_one_of(signed_in_as, (self.address,))
        own = (self.address,) if _is_one_of(holder.user, (signed_in_as,)) else ()
        return _is_one_of(holder.user, (*own, *self.send_as))


class Mailboxes:
    """The mailboxes with rights of their own; any other address is its owner's alone."""

    def __init__(self) -> None:
        """Begin without any."""
        self._lock = threading.Lock()
        self._known: dict[str, Mailbox] = {}

    def order(self, order: Mapping[str, object]) -> Mailbox:
        """Set the rights on a mailbox. Raises MailboxError."""
        try:
            mailbox = msgspec.convert(order, Mailbox)
        except msgspec.ValidationError as error:
            raise MailboxError(str(error)) from error
        with self._lock:
            self._known[mailbox.address.casefold()] = mailbox
        return mailbox

    def of(self, address: str) -> Mailbox:
        """Return the rights on a mailbox."""
        with self._lock:
            return self._known.get(address.casefold()) or Mailbox(address=address)

    def has(self, address: str) -> bool:
        """Whether rights on the mailbox were set."""
        with self._lock:
            return address.casefold() in self._known

    def reset(self) -> None:
        """Forget all."""
        with self._lock:
            self._known.clear()


def _is_one_of(name: str, names: tuple[str, ...]) -> bool:
    return name.casefold() in {each.casefold() for each in names}
