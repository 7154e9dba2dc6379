"""One form for the mailboxes of other systems' exports: see imports.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Exported:
    """One mailbox. `place` says where in the file it stands; "" is what the file does not say.

    `auth_mode` is "" where neither the file nor what it holds says it. `connector` is a connector's id or
    name; `client_id` and `server` (of outgoing mail) tell it where none is named.
    """

    place: str = field(compare=False)
    address: str
    name: str = ""
    auth_mode: str = ""
    refresh_token: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    signs_in_as: str = ""
    smtp_user: str = ""
    display_name: str = ""
    from_addresses: tuple[str, ...] = ()
    from_policy: str = ""
    reads_with: str = ""
    always_name: bool = False
    connector: str = ""
    client_id: str = ""
    server: str = ""

    @property
    def called(self) -> str:
        """The account's name: its address where no other is given."""
        return self.name or self.address

    @property
    def described(self) -> dict[str, Any]:
        """What the account is called and may do, as the API's fields: only what the file says."""
        names = (
            *("name", "display_name", "signs_in_as", "smtp_user"),
            *("from_policy", "reads_with", "always_name"),
        )
        said = {name: value for name in names if (value := getattr(self, name))}
        return said | ({"from_addresses": list(self.from_addresses)} if self.from_addresses else {})

    @property
    def proof(self) -> dict[str, str]:
        """What the account proves itself with, as the API's fields."""
        held = {"refresh_token": self.refresh_token, "password": self.password, "auth_mode": self.auth_mode}
        return {name: value for name, value in held.items() if value}


class UnreadableExport(ValueError):
    """What a file has that cannot be imported, a line for each; the text is for people, without secrets."""
