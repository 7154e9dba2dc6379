"""Trying Microsoft Graph out: asks for the mailbox's id and whether the token may send. Sends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from chalicelib.diagnosis import DiagnosisClass
from chalicelib.providers.id_tokens import read
from chalicelib.transports import api

if TYPE_CHECKING:
    from chalicelib.secret import Secret
    from chalicelib.transports.api import Site
    from chalicelib.transports.refusals import Refused
    from chalicelib.transports.smtp.probe import Step, Steps

SEND = frozenset({"Mail.Send", "Mail.Send.Shared"})
TAKEN = frozenset({api.OK, api.FORBIDDEN})
"""403 says that the token is taken, though it may not read a profile; it need not."""


def probe(site: Site, address: str, token: Secret, seconds: float) -> tuple[list[Step], Refused | None]:
    """The steps, and why it did not succeed, or None. Ends after `seconds` at the latest."""

    def judge(answer: api.Answer, steps: Steps) -> None:
        if answer.status not in TAKEN:
            message = "Graph does not know this mailbox."
            fix = "Check the account's address, and that its user has a mailbox in Exchange Online."
            code = f"graph_{answer.status}"
            api.refuse(DiagnosisClass.ADMIN, code, message, fix, answer)
        steps.note("auth", f"{answer.status}: the token is taken", ok=True)
        permissions = _permissions(token)
        if permissions is not None and not permissions & SEND:
            message = "The access token may not send mail at Graph."
            fix = (
                "Add Mail.Send to the connector's scopes and to the API permissions in Entra, have an "
                "administrator consent where it is needed, and connect the mailbox again."
            )
            api.refuse(DiagnosisClass.ADMIN, "graph_no_mail_send", message, fix, answer)
        shown = "the token does not show its permissions" if permissions is None else "Mail.Send"
        steps.note("permission", shown, ok=True)

    path = f"/v1.0/users/{quote(address, safe='@')}?$select=id"
    return api.probe(site, path, token, judge, name="graph", seconds=seconds)


def _permissions(token: Secret) -> set[str] | None:
    """What the token says that it may do, of people (`scp`) and applications (`roles`); None if it is opaque.

    Nothing is decided by it but what is shown: Graph itself is asked when a message is sent.
    """
    claims = read(token.reveal())
    if not claims:
        return None
    roles = claims.get("roles")
    return {*str(claims.get("scp", "")).split(), *(roles if isinstance(roles, list) else [])}
