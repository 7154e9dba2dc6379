"""What a provider's error means: one table from its code to a class, a plain sentence and the exact fix.

Order of the rules: no answer, 5xx and 429 first (`http`), then the code in the table, then the OAuth `error`
(RFC 6749, section 5.2). Microsoft asks applications to react to `error` and says that its AADSTS numbers may
change; here they only refine what `error` says already.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from chalicelib.diagnosis import TEXT_LIMIT, Diagnosis
from chalicelib.providers.meanings import (
    ADMIN,
    ANY,
    BUSY,
    GOOGLE,
    GOOGLE_TEXTS,
    MICROSOFT,
    RETRY,
    UNKNOWN,
    Meaning,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

OF_A_TENANT = frozenset(
    f"AADSTS{number}" for number in (700016, 7000112, 650052, 650056, 650057, 500011, 65005, 50105, 90094)
)
"""Codes by which the tenant of the person who signs in refuses the client, not Microsoft."""

_BY_NUMBER = {number: meaning for numbers, meaning in MICROSOFT for number in numbers}
_OF_CONNECTOR = {
    meaning.message
    for meaning in (*_BY_NUMBER.values(), *GOOGLE.values(), *ANY.values())
    if meaning.of_connector
}
"""A row is known again by its sentence: an unknown number takes the sentence of its `error`."""
_REFUSED_TOKEN = re.compile(
    r"(invalid|expired|revoked|unknown|inactive|bad)[ _-]*(refresh[ _-]*)?(grant|token|code)\b"
    r"|(refresh[ _-]*token|token|grant|code)[ _-]*((is|was|has|been|not|already)[ _-]*)*"
    r"(found|expired|revoked|invalid|unknown|inactive|reused|used|valid)\b"
    r"|decode[ _-]*token",
    re.IGNORECASE,
)
"""How providers that have words of their own say that a refresh token is of no use."""
_AADSTS = re.compile(r"AADSTS(\d{4,8})")


def diagnose(provider: str, answer: Mapping[str, Any]) -> Diagnosis:
    """The diagnosis for an OAuth error: the JSON of a token endpoint, or the parameters of a callback."""
    error, said = _error(answer.get("error"))
    number = _number(answer) if provider == "microsoft" else None
    text = cleaned(answer.get("error_description") or said)
    code, meaning = _meaning(provider, error, _word(answer.get("error_subtype")), number, text)
    return Diagnosis(
        meaning.class_,
        code,
        meaning.message,
        meaning.fix,
        text=text,
        retry_after=meaning.retry_after,
    )


def concerns_connector(diagnosis: Diagnosis, *, is_of_one_tenant: bool = True) -> bool:
    """Whether the provider refused our client itself, and not one mailbox.

    Where a connector serves many tenants, one of them may not know the client, or have disabled it: that is
    the matter of the mailboxes in it.
    """
    if not is_of_one_tenant and diagnosis.code in OF_A_TENANT:
        return False
    return diagnosis.class_ is ADMIN and diagnosis.message in _OF_CONNECTOR


def transient(code: str, message: str, *, text: str = "", retry_after: int | None = None) -> Diagnosis:
    """The diagnosis for an answer that says nothing of the mailbox: none at all, 5xx, 429, not JSON."""
    return Diagnosis(RETRY, code, message, BUSY.fix, text=cleaned(text), retry_after=retry_after)


def cleaned(text: object) -> str:
    """A provider's text made safe to keep: printable, one line, at most TEXT_LIMIT characters."""
    printable = "".join(one if one.isprintable() else " " for one in str(text or "")[: 2 * TEXT_LIMIT])
    return " ".join(printable.split())[:TEXT_LIMIT]


def _meaning(provider: str, error: str, subtype: str, number: int | None, text: str) -> tuple[str, Meaning]:
    if number is not None:
        found = _BY_NUMBER.get(number) or ANY.get(error.lower(), UNKNOWN)
        return f"AADSTS{number}", found
    if provider == "google":
        if subtype in GOOGLE:
            return subtype, GOOGLE[subtype]
        for of_error, part, meaning in GOOGLE_TEXTS:
            if error == of_error and part in text:
                return error, meaning
        if error in GOOGLE:
            return error, GOOGLE[error]
    return _in_own_words(error, text)


def _in_own_words(error: str, text: str) -> tuple[str, Meaning]:
    """The meaning of a provider's words that no table knows."""
    if (word := error.lower()) in ANY:
        return word, ANY[word]
    if _REFUSED_TOKEN.search(f"{error} {text}"):
        return error or "invalid_grant", ANY["invalid_grant"]
    return error or "unknown_error", UNKNOWN


def _error(value: object) -> tuple[str, str]:
    """The OAuth code, and what else was said in its place: some providers write sentences.

    ``invalid_grant: the token has expired`` is the code invalid_grant. An object has its words in `message`.
    """
    if isinstance(value, dict):
        word = _word(value.get("status")) or _word(value.get("code"))
        return word, str(value.get("message") or "")
    text = value.strip() if isinstance(value, str) else ""
    word = _word(re.split(r"[:\s]", text, maxsplit=1)[0])
    return word, "" if word == text else text


def _number(answer: Mapping[str, Any]) -> int | None:
    codes = answer.get("error_codes")
    if isinstance(codes, list) and codes and isinstance(codes[0], int):
        return codes[0]
    found = _AADSTS.search(str(answer.get("error_description") or ""))
    return int(found.group(1)) if found else None


def _word(value: object) -> str:
    """An OAuth error code, or nothing: these come from outside and become part of answers and logs."""
    text = value if isinstance(value, str) else ""
    return text if re.fullmatch(r"[A-Za-z0-9_.\-]{1,64}", text) else ""
