"""What a provider's error means."""

from __future__ import annotations

import re
from typing import Any

import pytest

from chalicelib.diagnosis import TEXT_LIMIT, DiagnosisClass
from chalicelib.providers.catalogue import Catalogue
from chalicelib.providers.replies import concerns_connector, diagnose

RETRY, RECONNECT, ADMIN = DiagnosisClass.RETRY, DiagnosisClass.RECONNECT, DiagnosisClass.ADMIN


def microsoft(number: int, error: str = "invalid_grant") -> dict[str, Any]:
    return {"error": error, "error_codes": [number], "error_description": f"AADSTS{number}: A sentence."}


@pytest.mark.parametrize(
    ("answer", "class_", "of_connector"),
    [
        (microsoft(700082), RECONNECT, False),
        (microsoft(50173), RECONNECT, False),
        (microsoft(50076), RECONNECT, False),
        (microsoft(65001), RECONNECT, False),
        (microsoft(53003), ADMIN, False),
        (microsoft(50057), ADMIN, False),
        (microsoft(7000215, "invalid_client"), ADMIN, True),
        (microsoft(7000222, "invalid_client"), ADMIN, True),
        (microsoft(700016, "unauthorized_client"), ADMIN, True),
        (microsoft(50196), RETRY, False),
        (microsoft(90055), RETRY, False),
        (microsoft(123456), RECONNECT, False),
        (microsoft(123456, "invalid_client"), ADMIN, True),
        (microsoft(123456, "something_new"), ADMIN, False),
    ],
    ids=lambda value: value["error_description"][:14] if isinstance(value, dict) else "",
)
def test_a_microsoft_error_has_a_class(
    answer: dict[str, Any], class_: DiagnosisClass, *, of_connector: bool
) -> None:
    diagnosis = diagnose("microsoft", answer)

    assert diagnosis.class_ is class_
    assert diagnosis.code == f"AADSTS{answer['error_codes'][0]}"
    assert concerns_connector(diagnosis) is of_connector


@pytest.mark.parametrize(
    ("answer", "code", "class_", "of_connector"),
    [
        ({"error": "invalid_grant"}, "invalid_grant", RECONNECT, False),
        ({"error": "invalid_grant", "error_subtype": "invalid_rapt"}, "invalid_rapt", ADMIN, False),
        ({"error": "invalid_client"}, "invalid_client", ADMIN, True),
        ({"error": "admin_policy_enforced"}, "admin_policy_enforced", ADMIN, False),
        ({"error": "access_denied"}, "access_denied", RECONNECT, False),
        ({"error": "rate_limit_exceeded"}, "rate_limit_exceeded", RETRY, False),
        ({"error": ["a list"]}, "unknown_error", ADMIN, False),
        ({"error": "<script>"}, "unknown_error", ADMIN, False),
    ],
    ids=str,
)
def test_a_google_error_has_a_class(
    answer: dict[str, Any], code: str, class_: DiagnosisClass, *, of_connector: bool
) -> None:
    diagnosis = diagnose("google", answer)

    assert (diagnosis.code, diagnosis.class_) == (code, class_)
    assert concerns_connector(diagnosis) is of_connector


def test_a_number_is_found_in_the_description_of_a_redirect() -> None:
    answer = {"error": "access_denied", "error_description": "AADSTS65004: The user declined."}

    assert diagnose("microsoft", answer).code == "AADSTS65004"


def test_o16_a_providers_text_is_cut_and_cleaned() -> None:
    answer = {"error": "invalid_grant", "error_description": "a\r\nb\x00\u2028c" + "x" * 500}

    text = diagnose("google", answer).text

    assert text.startswith("a b c")
    assert len(text) <= TEXT_LIMIT
    assert re.fullmatch(r"[\x20-\x7e]*", text)


def test_the_catalogue_is_overridden_part_by_part() -> None:
    facts = Catalogue({"google": {"token": "https://127.0.0.1:1/token", "keep_alive": 5}})

    assert facts["google"].token == "https://127.0.0.1:1/token"
    assert facts["google"].keep_alive == 5
    assert facts["google"].smtp_host == "smtp.gmail.com"
    assert facts["microsoft"] == Catalogue()["microsoft"]
