"""Which EHLO extensions each listener offers, settable while the server runs."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Literal

import msgspec

from sandbox.mailserver.mailboxes import SmtpUser
from sandbox.mailserver.records import ExtensionsRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandbox.mailserver.temperament import Temperament


Mechanism = Literal["XOAUTH2", "OAUTHBEARER", "PLAIN", "LOGIN"]


class SettingsError(ValueError):
    """The asked-for setting does not exist or has the wrong type."""


@dataclass(frozen=True)
class Extensions:
    """The extensions of one listener.

    ``size`` is the largest message in octets, or None to leave SIZE out. ``auth`` are the mechanisms;
    ``smtp_user`` is whose name opens a shared mailbox. ``starttls`` false plays a server
    (or somebody in the middle) that does not offer TLS; AUTH is then never offered either.
    """

    size: int | None
    auth: tuple[Mechanism, ...] = ("XOAUTH2",)
    smtp_user: SmtpUser = "signed_in"
    eightbitmime: bool = True
    smtputf8: bool = True
    pipelining: bool = True
    enhancedstatuscodes: bool = True
    starttls: bool = True

    def keywords(self, *, tls: bool) -> list[str]:
        """Return the EHLO lines after the greeting; AUTH only under TLS, STARTTLS only before it."""
        offered = {
            f"SIZE {self.size}": self.size is not None,
            "PIPELINING": self.pipelining,
            "ENHANCEDSTATUSCODES": self.enhancedstatuscodes,
            "8BITMIME": self.eightbitmime,
            "SMTPUTF8": self.smtputf8,
            "STARTTLS": self.starttls and not tls,
            f"AUTH {' '.join(self.auth)}": tls and bool(self.auth),
        }
        return [keyword for keyword, is_offered in offered.items() if is_offered]

    def to_record(self) -> ExtensionsRecord:
        """Return the extensions as the control API shows them."""
        return msgspec.convert(asdict(self), ExtensionsRecord)


class Settings:
    """The extensions in force, by listener name; safe to use from several threads."""

    def __init__(self, temperaments: Iterable[Temperament]) -> None:
        """Start from what each temperament offers by itself."""
        self._lock = threading.Lock()
        self._defaults = {
            each.name: msgspec.convert({"size": each.max_size, "auth": each.auth}, Extensions)
            for each in temperaments
        }
        self._current = dict(self._defaults)

    def of(self, listener: str) -> Extensions:
        """Return what the listener offers now."""
        with self._lock:
            return self._current[listener]

    def update(self, changes: Mapping[str, object]) -> None:
        """Change the named extensions of ``changes["listener"]``, or of every listener if it names none.

        Raises SettingsError, and changes nothing, if a name or a type is wrong.
        """
        values = {name: value for name, value in changes.items() if name != "listener"}
        with self._lock:
            chosen = self._chosen(changes.get("listener"))
            self._current.update({name: _changed(self._current[name], values) for name in chosen})

    def reset(self) -> None:
        """Go back to what each temperament offers by itself."""
        with self._lock:
            self._current = dict(self._defaults)

    def to_record(self) -> dict[str, ExtensionsRecord]:
        """Return what every listener offers now."""
        with self._lock:
            return {name: extensions.to_record() for name, extensions in self._current.items()}

    def _chosen(self, listener: object) -> list[str]:
        if listener is None:
            return list(self._current)
        if not isinstance(listener, str) or listener not in self._current:
            message = f"there is no listener {listener!r}"
            raise SettingsError(message)
        return [listener]


def _changed(extensions: Extensions, values: Mapping[str, object]) -> Extensions:
    unknown = set(values) - {each.name for each in fields(Extensions)}
    if unknown:
        message = f"unknown settings: {', '.join(sorted(unknown))}"
        raise SettingsError(message)
    try:
        return msgspec.convert({**asdict(extensions), **values}, Extensions)
    except msgspec.ValidationError as error:
        raise SettingsError(str(error)) from error
