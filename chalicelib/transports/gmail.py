"""Trying the Gmail API out: asks for the mailbox's profile. Sends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.addresses import same
from chalicelib.diagnosis import DiagnosisClass
from chalicelib.mail.models import Phase
from chalicelib.providers.replies import diagnose
from chalicelib.transports import api
from chalicelib.transports.refusals import Concern, Refused, Verdict

if TYPE_CHECKING:
    from chalicelib.secret import Secret
    from chalicelib.transports.api import Site
    from chalicelib.transports.smtp.probe import Step, Steps

PATH = "/gmail/v1/users/me/profile"
MAY_NOT_READ = "insufficientPermissions"
"""A token that may only send is taken, and may not read the profile."""


def probe(site: Site, address: str, token: Secret, seconds: float) -> tuple[list[Step], Refused | None]:
    """The steps, and why it did not succeed, or None. Ends after `seconds` at the latest."""

    def judge(answer: api.Answer, steps: Steps) -> None:
        reason = _reason(answer)
        if answer.status == api.OK:
            steps.note("auth", "200: the token is taken", ok=True)
            _check_mailbox(answer, address, steps)
        elif answer.status == api.FORBIDDEN and reason == MAY_NOT_READ:
            steps.note("auth", f"403 {reason}: the token is taken, and may not read", ok=True)
        else:
            found = diagnose("google", {"error": reason, "error_description": answer.text})
            concern = Concern.LANE if found.class_ is DiagnosisClass.RETRY else Concern.ACCOUNT
            raise Refused(Verdict(concern, found), Phase.AUTH)

    return api.probe(site, PATH, token, judge, name="gmail", seconds=seconds)


def _check_mailbox(answer: api.Answer, address: str, steps: Steps) -> None:
    found = str(answer.values.get("emailAddress", ""))
    if found and not same(found, address):
        message = "The token is of another mailbox."
        fix = "Connect the account again and sign in as its mailbox."
        api.refuse(DiagnosisClass.RECONNECT, "wrong_mailbox", message, fix, answer)
    steps.note("permission", f"the mailbox is {found or 'not named'}"[:200], ok=True)


def _reason(answer: api.Answer) -> str:
    """The reason that Google names first (``rateLimitExceeded``)."""
    errors = answer.error.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else {}
    return str(first.get("reason", "")) if isinstance(first, dict) else ""
