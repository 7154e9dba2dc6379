"""How accounts are shown."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

from cli.output import moment

if TYPE_CHECKING:
    from cli.output import Out

FIELDS = [
    ("id", "id"),
    ("name", "name"),
    ("address", "address"),
    ("display_name", "display name"),
    ("status", "status"),
    ("connector", "connector"),
    ("connected_at", "connected"),
    ("token_expires_at", "token expires"),
    ("refreshed_at", "refreshed"),
    ("paused", "paused"),
    ("disconnected", "disconnected"),
    ("lane", "mail"),
    ("connect_link", "connect link"),
    ("connect_link_expires_at", "link works until"),
]

CONSENT = {
    "revoked": "The consent is withdrawn at the provider.",
    "shared": "The consent stays: another account lives by it.",
    "unsupported": "The provider has no way for us to withdraw the consent; its owner can do that.",
    "failed": "The provider did not withdraw the consent; its owner can do that.",
    "nothing": "There was no consent.",
}
"""What became of the owner's consent, in a sentence."""

LEFT_TO_THE_OWNER: Final = frozenset({"unsupported", "failed"})


def called(account: dict[str, Any]) -> str:
    """What a person calls the account: its name, and its address where that is another."""
    name, address = account["name"], account["address"]
    return address if name == address else f"{name} ({address})"


def quoted(account: dict[str, Any]) -> str:
    """The account's name as a shell takes it."""
    return shlex.quote(account["name"])


def consent(ended: dict[str, Any]) -> str:
    """What became of the consent, and where its owner can withdraw it, if that is left to do."""
    links = ended["withdraw"] if ended["revocation"] in LEFT_TO_THE_OWNER else []
    return "\n  ".join([CONSENT.get(ended["revocation"], ""), *links])


def say_whose_turn_it_is(out: Out, invited: dict[str, Any]) -> None:
    """Says who opens the connect link that was just shown."""
    out.say(f"\nThe owner of {invited['address']} opens the connect link. This shows when it is done:")
    out.say(f"  mailgrant accounts show {quoted(invited)}")


def show_account(out: Out, account: dict[str, Any]) -> None:
    """Shows one account with its problem."""
    if out.as_json:
        return out.record(account, FIELDS)
    told = {
        "paused": _paused(account),
        "disconnected": _disconnected(account),
        "lane": _mail(account["lane"]),
    }
    return out.record({**account, **told}, FIELDS)


def _paused(account: dict[str, Any]) -> str:
    paused = account.get("paused")
    if not paused:
        return ""
    reason = f": {paused['reason']}" if paused["reason"] else ""
    return f"{moment(paused['at'])} by {paused['by']}{reason}"


def _disconnected(account: dict[str, Any]) -> str:
    last = account.get("disconnected")
    if not last or account["status"] != "disconnected":
        return ""
    return f"{moment(last['at'])} by {last['by']}. {CONSENT.get(last['revocation'], '')}"


def _mail(lane: dict[str, Any]) -> str:
    if lane.get("closed"):
        return f"held ({lane['closed']})"
    return f"looked at next {moment(lane['next_due_at'])}" if lane.get("next_due_at") else "nothing waits"
