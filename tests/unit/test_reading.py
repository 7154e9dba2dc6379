"""What is said of values that do not fit, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib import reading
from chalicelib.errors import MailgrantError
from chalicelib.mail.composing import request
from chalicelib.mail.composing.request import SendRequest
from chalicelib.web.api import bodies

if TYPE_CHECKING:
    from chalicelib.web.api.bodies import Request

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
FIELDS = st.sampled_from([field.encode_name for field in msgspec.structs.fields(SendRequest)])


def refused(body: dict[str, Any]) -> MailgrantError:
    """The error of a message that is refused."""
    with pytest.raises(MailgrantError) as caught:
        request.read({"account": "sales", **body})
    return caught.value


@pytest.mark.parametrize(
    ("body", "field", "message", "fix"),
    [
        ({"to": "a@b.example"}, "to", "to must be a list, not a text.", "Write brackets around it"),
        ({"cc": {"address": "x"}}, "cc", "cc must be a list, not an object.", "Write brackets around it"),
        ({"to": [7]}, "to[0]", "to[0] must be a text or an object, not a whole number.", "quotation marks"),
        (
            {"headers": {"X-A": "1", "X-B": 2}},
            "headers.X-B",
            "headers.X-B must be a text, not a whole number.",
            "",
        ),
        ({"headers": ["X-A: 1"]}, "headers", "headers must be an object, not a list.", ""),
        ({"raw": "%"}, "raw", "raw is no base64 (RFC 4648).", ""),
        (
            {"on_unknown": "retry"},
            "on_unknown",
            "on_unknown is none of the values that it may have.",
            "Use keep or resend.",
        ),
        ({"expires_in": 1.5}, "expires_in", "expires_in must be a whole number, not a number.", ""),
        ({"attachments": [{}]}, "attachments[0].filename", "filename is missing.", ""),
        ({"reply_too": []}, "reply_too", "There is no field reply_too here.", "Did you mean reply_to?"),
    ],
)
def test_ug3_what_does_not_fit_is_told_in_plain_words(
    body: dict[str, Any], field: str, message: str, fix: str
) -> None:
    error = refused(body)

    assert (error.field, error.message) == (field, message)
    assert fix in error.fix


@settings(deadline=None)
@given(field=FIELDS, value=ANYTHING)
def test_ug3_no_word_of_the_validator_reaches_a_caller(field: str, value: Any) -> None:
    told = told_of({"account": "sales", field: value})

    for word in ("Expected", "`", "| null"):
        assert word not in told
    assert "[...]" not in told


def told_of(body: dict[str, Any]) -> str:
    """What is said of a message; nothing of one that can be read."""
    try:
        request.read(body)
    except MailgrantError as error:
        return f"{error.field}: {error.message} {error.fix}"
    return ""


def test_ug3_choices_are_named_wherever_there_are_some() -> None:
    asked: list[tuple[dict[str, Any], type[Request]]] = [
        ({"as": "x"}, bodies.Resolution),
        ({"kind": "x", "name": "x", "scopes": ["send"]}, bodies.NewCaller),
    ]

    fixes = []
    for body, type_ in asked:
        with pytest.raises(MailgrantError) as caught:
            reading.read(body, type_)
        fixes.append(caught.value.fix)

    assert fixes[0].startswith("Use failed or resend or sent. ")
    assert fixes[1].startswith("Use key or role or lambda. ")
