"""What a provider's error means."""

from __future__ import annotations

import re
from typing import Any

import pytest

from chalicelib.diagnosis import TEXT_LIMIT, DiagnosisClass
from chalicelib.providers.catalogue import Catalogue
from chalicelib.providers.meanings import MICROSOFT
from chalicelib.providers.replies import concerns_connector, diagnose

RETRY, RECONNECT, ADMIN = DiagnosisClass.RETRY, DiagnosisClass.RECONNECT, DiagnosisClass.ADMIN


def microsoft(number: int, error: str = "invalid_grant") -> dict[str, Any]:
    return {
        "error": error,
        "error_description": f"AADSTS{number}: A sentence. Trace ID: 0 Correlation ID: 0",
        "error_codes": [number],
        "timestamp": "2026-11-21 10:00:00Z",
        "trace_id": "0",
        "correlation_id": "0",
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }


def google(error: str, description: str = "") -> dict[str, Any]:
    return {"error": error, "error_description": description}


MICROSOFT_ROWS: tuple[tuple[str, DiagnosisClass, bool, str], ...] = (
    ("50173 50132 50133 50089 70000 70008 700082 54005", RECONNECT, False, "invalid_grant"),
    ("700084", ADMIN, True, "invalid_grant"),
    ("70043", RECONNECT, False, "invalid_grant"),
    ("65001 65004 65005 650056 650057", RECONNECT, False, "invalid_grant"),
    ("90094 90095 90008", ADMIN, False, "access_denied"),
    ("50076 50079 50072 50074 50078 50158", RECONNECT, False, "interaction_required"),
    ("53000 53001 53003 530032 530034 530035 50131 50105", ADMIN, False, "access_denied"),
    ("53011 50053 50135", ADMIN, False, "invalid_grant"),
    ("50055 50144 50126 50056", RECONNECT, False, "invalid_grant"),
    ("50057", ADMIN, False, "invalid_grant"),
    ("50034 50020 16000 51004 90072 500208", RECONNECT, False, "invalid_grant"),
    ("7000215 70002", ADMIN, True, "invalid_client"),
    ("7000222", ADMIN, True, "invalid_client"),
    ("7000218 700025", ADMIN, True, "invalid_client"),
    ("700027 50012 700030 50027 50006", ADMIN, True, "invalid_client"),
    ("70021 700211 700212 700213 50013", ADMIN, True, "invalid_client"),
    ("700016 70001 700011 7000112", ADMIN, True, "unauthorized_client"),
    ("90002 50059 50128 900023", ADMIN, True, "invalid_request"),
    ("50194 9001023 90130 9002332", ADMIN, True, "invalid_request"),
    ("90038 900382 900432", ADMIN, True, "invalid_request"),
    ("50011 900971 70004", ADMIN, True, "invalid_request"),
    ("70011 28002 28003 700022 700023 500011 650052", ADMIN, True, "invalid_scope"),
    ("700005 501481 50147", RECONNECT, False, "invalid_grant"),
    ("50196", RETRY, False, "invalid_grant"),
    (
        "90055 90024 90033 90006 90090 50033 50087 50088 70012 90012 50000",
        RETRY,
        False,
        "temporarily_unavailable",
    ),
    # Numbers that nobody knows fall to their `error`; an administrator looks at what has no meaning at all.
    ("123456", RECONNECT, False, "invalid_grant"),
    ("123457", ADMIN, True, "invalid_client"),
    ("123458", RETRY, False, "temporarily_unavailable"),
    ("123459", ADMIN, False, "something_new"),
)
"""The codes, the class, whether our client itself is refused, and the `error` that comes with them."""

MICROSOFT_CODES = [
    (int(number), class_, of_connector, error)
    for numbers, class_, of_connector, error in MICROSOFT_ROWS
    for number in numbers.split()
]


@pytest.mark.parametrize(("number", "class_", "of_connector", "error"), MICROSOFT_CODES)
def test_a_microsoft_error_has_a_class(
    number: int, class_: DiagnosisClass, error: str, *, of_connector: bool
) -> None:
    diagnosis = diagnose("microsoft", microsoft(number, error))

    assert (diagnosis.class_, diagnosis.code) == (class_, f"AADSTS{number}")
    assert concerns_connector(diagnosis) is of_connector
    assert diagnosis.text.startswith(f"AADSTS{number}: ")
    assert diagnosis.message
    assert diagnosis.fix


@pytest.mark.parametrize("error", ["interaction_required", "login_required", "consent_required"])
def test_a_wish_of_microsoft_to_see_the_person_is_one_to_reconnect(error: str) -> None:
    diagnosis = diagnose("microsoft", {"error": error, "error_description": "A sentence."})

    assert (diagnosis.class_, diagnosis.code) == (RECONNECT, error)


def test_no_number_stands_in_two_rows() -> None:
    numbers = [number for row, _ in MICROSOFT for number in row]

    assert len(numbers) == len(set(numbers))
    assert {number for number, *_ in MICROSOFT_CODES if number < 123456 or number > 123459} == set(numbers)


@pytest.mark.parametrize(
    "number", [number for number, class_, *_ in MICROSOFT_CODES if class_ is RETRY and number != 123458]
)
@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client", "interaction_required"])
def test_r6_a_throttle_is_never_taken_for_a_revocation(number: int, error: str) -> None:
    diagnosis = diagnose("microsoft", microsoft(number, error))

    assert diagnosis.class_ is RETRY
    assert diagnosis.retry_after is not None
    assert not concerns_connector(diagnosis)


def test_f23_too_many_equal_requests_are_followed_by_an_hour_of_silence() -> None:
    assert diagnose("microsoft", microsoft(50196)).retry_after == 3600


@pytest.mark.parametrize(
    ("answer", "code", "class_", "of_connector"),
    [
        (google("invalid_grant", "Token has been expired or revoked."), "invalid_grant", RECONNECT, False),
        (google("invalid_grant", "Bad Request"), "invalid_grant", RECONNECT, False),
        ({"error": "invalid_grant", "error_subtype": "invalid_rapt"}, "invalid_rapt", ADMIN, False),
        ({"error": "invalid_grant", "error_subtype": "rapt_required"}, "rapt_required", ADMIN, False),
        (google("invalid_client", "Unauthorized"), "invalid_client", ADMIN, True),
        (google("deleted_client", "The OAuth client was deleted."), "deleted_client", ADMIN, True),
        (google("unauthorized_client", "Unauthorized"), "unauthorized_client", ADMIN, True),
        (google("access_denied"), "access_denied", RECONNECT, False),
        (google("admin_policy_enforced"), "admin_policy_enforced", ADMIN, False),
        (google("access_not_configured"), "access_not_configured", ADMIN, True),
        (google("accessNotConfigured"), "accessNotConfigured", ADMIN, True),
        (google("org_internal"), "org_internal", ADMIN, True),
        (google("redirect_uri_mismatch", "Bad Request"), "redirect_uri_mismatch", ADMIN, True),
        (google("invalid_request"), "invalid_request", ADMIN, True),
        (google("invalid_scope", "Some requested scopes were invalid."), "invalid_scope", ADMIN, True),
        (google("disallowed_useragent"), "disallowed_useragent", ADMIN, True),
        (google("rate_limit_exceeded"), "rate_limit_exceeded", RETRY, False),
        (google("userRateLimitExceeded"), "userRateLimitExceeded", RETRY, False),
        (google("rateLimitExceeded"), "rateLimitExceeded", RETRY, False),
        (google("server_error"), "server_error", RETRY, False),
        (google("temporarily_unavailable"), "temporarily_unavailable", RETRY, False),
        (google("something_new", "A sentence."), "something_new", ADMIN, False),
        ({"error": ["a list"]}, "unknown_error", ADMIN, False),
        ({"error": "<script>"}, "unknown_error", ADMIN, False),
    ],
    ids=str,
)  # fmt: skip
def test_a_google_error_has_a_class(
    answer: dict[str, Any], code: str, class_: DiagnosisClass, *, of_connector: bool
) -> None:
    diagnosis = diagnose("google", answer)

    assert (diagnosis.code, diagnosis.class_) == (code, class_)
    assert concerns_connector(diagnosis) is of_connector
    told = answer.get("error_description", answer["error"] if diagnosis.code == "unknown_error" else "")
    assert diagnosis.text == (told if isinstance(told, str) else "")


@pytest.mark.parametrize(
    ("error", "description", "word"),
    [
        ("invalid_grant", "Token has been expired or revoked.", "7 days"),
        ("invalid_grant", "Bad Request", "again"),
        ("access_denied", "", "test user"),
    ],
)
def test_what_google_means_comes_with_its_fix(error: str, description: str, word: str) -> None:
    assert word in diagnose("google", google(error, description)).fix


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
