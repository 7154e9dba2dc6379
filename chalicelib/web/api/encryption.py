"""The view of the encryption of tokens: parse, ask, answer."""

from __future__ import annotations

import msgspec

from chalicelib.callers.permissions import require_everything
from chalicelib.web.api import bodies
from chalicelib.web.api.calls import Call
from chalicelib.web.api.installation import Rewrapped


def rewrap(call: Call) -> Rewrapped:
    """Wraps the data keys of some mailboxes anew; ask again with the cursor until it is null.

    Needed only after the KMS keys were rotated because of a suspected leak. What is stored can be read all
    the while. Asking twice, or anew from the beginning, does no harm.
    """
    require_everything(call.caller)
    asked = call.body(bodies.Rewrap, optional=True)
    return msgspec.convert(call.services.functions.connect("rewrap", {"cursor": asked.cursor}), Rewrapped)
