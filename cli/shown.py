"""How accounts are shown."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

from cli.exits import DONE, FELL_SHORT
from cli.output import moment
from cli.routes import named

if TYPE_CHECKING:
    from cli.output import Out

FIELDS = [
    ("id", "id"),
    ("name", "name"),
    ("address", "address"),
    ("display_name", "display name"),
    ("status", "status"),
    ("connector", "connector"),
    ("auth_mode", "auth mode"),
    ("signs_in_as", "signs in as"),
    ("smtp_user", "SMTP user"),
    ("from_policy", "other From"),
    ("from_addresses", "may be From"),
    ("always_name", "always its name"),
    ("reads_with", "reads with"),
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
    "shared": "The consent stays: another account, of the same person and OAuth client, lives by it.",
    "unsupported": "The provider has no way for us to withdraw the consent; its owner can do that.",
    "failed": "The provider did not withdraw the consent; its owner can do that.",
    "nothing": "There was no consent.",
}
"""What became of the owner's consent, in a sentence."""

USUAL_POLICY: Final = "reject"
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
    who = invited.get("signs_in_as") or f"The owner of {invited['address']}"
    out.say(f"\n{who} opens the connect link. This shows when it is done:")
    out.say(f"  mailgrant accounts show {quoted(invited)}")


def has_owner(account: dict[str, Any]) -> bool:
    """Whether a person consents, who can be sent a connect link."""
    return bool(account["auth_mode"] == "authorization_code")


def how_to_connect(account: dict[str, Any]) -> str:
    """Which command connects an account that is not connected."""
    if has_owner(account):
        return f"`mailgrant connect {quoted(account)}` prints a link by which its owner connects it."
    return f"`mailgrant accounts connect {quoted(account)}` connects it."


def show_steps(out: Out, seen: dict[str, Any]) -> int:
    """Shows what was seen on the way into a mail server, and what is wrong; the exit code."""
    steps = [{**step, "ok": "ok" if step["ok"] else "failed"} for step in seen["steps"]]
    if steps or out.as_json:
        out.table(seen, steps, [("step", "STEP"), ("ok", ""), ("ms", "MS"), ("said", "SAID")])
    out.problem(seen.get("diagnosis"))
    return DONE if seen["ok"] else FELL_SHORT


def show_connection(out: Out, answer: dict[str, Any], *, shown: bool = False) -> int:
    """Shows how an account was connected at once, or why not; the exit code.

    With `shown` the answer itself was shown before.
    """
    found = answer["connection"]
    if out.as_json:
        if not shown:
            out.answer(answer, "")
        return DONE if found["ok"] else FELL_SHORT
    if shown:
        out.say("")
    code = show_steps(out, found)
    usual = "It is connected." if found["connected"] else "It is not connected. What it had before stays."
    out.say(named(found.get("next") or usual))
    return code


def show_account(out: Out, account: dict[str, Any]) -> None:
    """Shows one account with its problem."""
    if out.as_json:
        return out.record(account, FIELDS)
    told = {
        "paused": _paused(account),
        "disconnected": _disconnected(account),
        "lane": _mail(account["lane"]),
        "from_policy": "" if account.get("from_policy") == USUAL_POLICY else account.get("from_policy"),
        "always_name": account.get("always_name") or None,
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
