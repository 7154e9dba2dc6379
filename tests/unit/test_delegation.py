"""What Google's refusals of a service account mean, by the bodies that Google sends."""

from __future__ import annotations

import pytest

from chalicelib.diagnosis import DiagnosisClass
from chalicelib.providers.delegation import delegated
from chalicelib.providers.replies import concerns_connector, diagnose

CLIENT_ID, SCOPE = "112233445566778899001", "https://mail.google.com/"


@pytest.mark.parametrize(
    ("error", "text", "says", "of_connector"),
    [
        (
            "unauthorized_client",
            "Client is unauthorized to retrieve access tokens using this method.",
            "Domain-wide delegation",
            False,
        ),
        ("access_denied", "Requested client not authorized.", "Domain-wide delegation", False),
        ("invalid_scope", "Some requested scopes were invalid.", SCOPE, False),
        ("invalid_grant", "Invalid email or User ID", "primary address", False),
        ("invalid_grant", "Not a valid email or user ID.", "primary address", False),
        ("invalid_grant", "Invalid JWT Signature.", "create a new key", True),
        ("invalid_grant", "Invalid grant: account not found", "create a new key", True),
        ("invalid_client", "The OAuth client was not found.", "create a new key", True),
        ("disabled_client", "The OAuth client was disabled.", "create a new key", True),
        ("invalid_grant", "Something new.", CLIENT_ID, False),
    ],
)
def test_a_refused_service_account_is_for_an_administrator(
    error: str,
    text: str,
    says: str,
    of_connector: bool,  # noqa: FBT001 - a table
) -> None:
    as_usual = diagnose("google", {"error": error, "error_description": text})

    diagnosis = delegated(as_usual, CLIENT_ID, SCOPE)

    assert diagnosis.class_ is DiagnosisClass.ADMIN
    assert says in diagnosis.fix
    assert "{" not in diagnosis.fix
    assert (diagnosis.code, diagnosis.text) == (error, text)
    assert concerns_connector(diagnosis) is of_connector


@pytest.mark.parametrize(
    "error", ["rate_limit_exceeded", "server_error", "admin_policy_enforced", "new_error"]
)
def test_what_says_nothing_of_the_delegation_means_what_it_always_means(error: str) -> None:
    as_usual = diagnose("google", {"error": error})

    assert delegated(as_usual, CLIENT_ID, SCOPE) == as_usual
