"""Whether a caller's limits allow what a message says of its sender.

The bytes themselves are read, as they leave: when they are accepted, and again before they are relayed, for a
caller may have got other limits since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.callers import permissions

if TYPE_CHECKING:
    from chalicelib.callers.models import Caller


def require_allowed(caller: Caller, body: bytes, *, is_raw: bool) -> None:
    """Returns when the caller may send these bytes; `is_raw` says which fields of the request made them.

    Raises Forbidden, and InvalidInput for a Reply-To that can be read in more than one way.
    """
    limits = caller.limits
    if not limits.from_addresses and not limits.reply_to_domains:
        return
    # Reading addresses takes long to load, and few callers have such limits.
    from chalicelib.mail.composing import addresses, raw

    def named(*names: str) -> set[str]:
        return {addresses.folded(one) for name in names for one in raw.addresses_of(fields, name)}

    fields = raw.header(body.partition(b"\r\n\r\n")[0] + b"\r\n")
    permissions.require_senders(caller, named("from", "sender"), "raw" if is_raw else "from")
    if limits.reply_to_domains:
        permissions.require_reply_to(caller, named("reply-to"), "raw" if is_raw else "reply_to")
