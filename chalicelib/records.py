"""What answers are made of: one definition of a record gives its JSON and the schema of that.

A field's type says all that the description of the API tells of it: shape, format and meaning.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from chalicelib import ids
from chalicelib.diagnosis import TEXT_LIMIT, DiagnosisClass
from chalicelib.diagnosis import Diagnosis as Found


class Record(msgspec.Struct, frozen=True):
    """The base of everything that callers are shown. A field that is UNSET is left out."""

    def to_json(self) -> dict[str, Any]:
        """The record, ready for JSON."""
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]


def says(meaning: str) -> Meta:
    """What a field means, for the description of the API."""
    return Meta(description=meaning)


def limits(**schema: Any) -> Meta:
    """What JSON Schema shall tell of a value that is checked elsewhere, where the error can say more."""
    return Meta(extra_json_schema=schema)


def format_of(name: str, example: str) -> Meta:
    """A format of JSON Schema, with an example."""
    return Meta(extra_json_schema={"format": name}, examples=[example])


def shape_of(pattern: str, example: str) -> Meta:
    """The whole of a text by a regular expression, with an example."""
    return Meta(pattern=f"^{pattern}$", examples=[example])


Time = Annotated[str, format_of("date-time", "2026-11-21T09:30:00.000Z")]
"""RFC 3339 in UTC, with milliseconds."""

ConnectorId = Annotated[str, shape_of(ids.shape("con"), "con_4n8q2r7t1v5w9x3y6z0a")]
AccountId = Annotated[str, shape_of(ids.shape("acc"), "acc_7h2k9m4p1r6t3w8y5b0d")]
MessageId = Annotated[str, shape_of(ids.MESSAGE_SHAPE, "msg_7h2k9m4p1r6t3w8y5b0d_2c5f8h1k4n7q0s3v6y9b2e5g8j")]
CallerId = Annotated[str, Meta(examples=["key_3e6g9j2m5p8r1t4w7z0c"])]
"""``key_…``, ``role:`` and an ARN, or ``lambda:`` and the name of an alias."""


class Diagnosis(Record, rename={"class_": "class"}, frozen=True):
    """What a provider or a mail server said when it refused: what that means, and who can mend it."""

    class_: Annotated[DiagnosisClass, says("Who can do something about it.")]
    code: Annotated[
        str, says("The most precise name there is: `AADSTS7000222`, `invalid_grant`, `smtp_535_5.7.139`.")
    ]
    message: Annotated[str, says("What is wrong, in one sentence.")]
    fix: Annotated[str, says("How to mend it.")]
    text: Annotated[str, Meta(description="The provider's own words, cut.", max_length=TEXT_LIMIT)]
    retry_after: Annotated[int | UnsetType, says("Seconds after which it may be tried again.")] = UNSET


def diagnosis(found: Found | None) -> Diagnosis | None:
    """A diagnosis as it is shown."""
    return None if found is None else msgspec.convert(found.to_json(), Diagnosis)
