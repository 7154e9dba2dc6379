"""What Google's refusal of a service account means: its key, its delegation, or the mailbox is wrong.

Nobody can consent anew there, so that every one of them is for an administrator.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.diagnosis import DiagnosisClass
from chalicelib.providers.meanings import ANY

if TYPE_CHECKING:
    from chalicelib.diagnosis import Diagnosis

UNKNOWN_CLIENT = ANY["unauthorized_client"].message
"""By this sentence a refusal is known to concern the connector, and not one mailbox."""

NOT_DELEGATED = (
    "The Workspace of this mailbox does not let the service account act for its people.",
    (
        "In the Google Admin console (Security, API controls, Domain-wide delegation), authorise the client "
        "id {client_id} for exactly this scope: {scope}. It may take a day until that counts."
    ),
)
NO_MAILBOX = (
    "The Workspace has no person with this address.",
    (
        "Give the primary address of a person of the Workspace. Nobody can act for an alias or a group: "
        "where the mailbox is one, name the person in signs_in_as."
    ),
)
BAD_KEY = (
    UNKNOWN_CLIENT,
    (
        "In Google Cloud (IAM, Service accounts), look whether the service account with the client id "
        "{client_id} is enabled; create a new key for it and save it in the connector."
    ),
)
OTHERWISE = (
    "Google does not let the service account act for this mailbox.",
    (
        "Check in the Google Admin console (Security, API controls, Domain-wide delegation) that the client "
        "id {client_id} is authorised for the scope {scope}, and in Google Cloud that its key still exists."
    ),
)

ROWS: tuple[tuple[str, str, tuple[str, str]], ...] = (
    ("unauthorized_client", "", NOT_DELEGATED),
    ("access_denied", "", NOT_DELEGATED),
    ("invalid_scope", "", NOT_DELEGATED),
    ("invalid_grant", "email or user id", NO_MAILBOX),
    ("invalid_grant", "invalid jwt signature", BAD_KEY),
    ("invalid_grant", "account not found", BAD_KEY),
    ("invalid_client", "", BAD_KEY),
    ("disabled_client", "", BAD_KEY),
    ("deleted_client", "", BAD_KEY),
    ("invalid_grant", "", OTHERWISE),
)
"""Error, words of its description, and what they mean. The first row counts that fits both."""


def delegated(diagnosis: Diagnosis, client_id: str, scope: str) -> Diagnosis:
    """The diagnosis of a token request, as it is of one for a service account."""
    for error, words, (message, fix) in ROWS:
        if diagnosis.code == error and words in diagnosis.text.lower():
            exact = fix.format(client_id=client_id, scope=scope)
            return replace(diagnosis, class_=DiagnosisClass.ADMIN, message=message, fix=exact)
    return diagnosis
