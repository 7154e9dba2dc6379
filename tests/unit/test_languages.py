"""The pages' languages: the same texts in each, and the one that the reader's browser asks for."""

from __future__ import annotations

import re
from functools import partial
from string import Formatter
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.connecting import outcomes
from chalicelib.accounts.models.account import Status
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import (
    Conflict,
    Forbidden,
    MailgrantError,
    MalformedRequest,
    NotFound,
    RateLimited,
    Unavailable,
)
from chalicelib.providers import meanings
from chalicelib.providers.catalogue import GOOGLE, MICROSOFT
from chalicelib.providers.id_tokens import invalid
from chalicelib.web.pages import connect
from chalicelib.web.pages.languages import FILES, LANGUAGES, Language, choose, read
from chalicelib.web.pages.pages import TEMPLATES, problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENGLISH = read("en")
OTHERS = [read(name) for name in LANGUAGES if name != "en"]


def flat(language: Language) -> dict[str, str]:
    """Every text of a language, but for the sentences, by where it stands."""
    known: dict[str, str] = {"moment": language.moment}
    for name in ("texts", "reasons", "errors"):
        known |= dict(_flat(name, getattr(language, name)))
    return known


def _flat(place: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
        return
    for name, inner in value.items():
        yield from _flat(f"{place}/{name}", inner)


def placeholders(text: str) -> set[str]:
    """The names in braces."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def sentences() -> Iterator[str]:
    """Every sentence with which a provider's refusal can be explained to an owner."""
    of_microsoft = (meaning for _, meaning in meanings.MICROSOFT)
    by_text = (meaning for *_, meaning in meanings.GOOGLE_TEXTS)
    rows = [*of_microsoft, *by_text, *meanings.GOOGLE.values(), *meanings.ANY.values()]
    for meaning in (*rows, meanings.UNKNOWN):
        yield from (meaning.message, meaning.fix)
    own = (outcomes.WRONG_ISSUER, outcomes.NO_REFRESH_TOKEN, outcomes.MAILBOX_UNPROVEN)
    for diagnosis in (invalid("x"), *own):
        yield from (diagnosis.message, diagnosis.fix)
    for facts in (GOOGLE, MICROSOFT):
        yield from (*facts.scopes_in_words, *facts.protocol_words.values())
    yield from connect.BOXES.values()


def test_there_is_a_file_for_each_language_and_a_language_for_each_file() -> None:
    assert {path.stem for path in FILES.glob("*.json")} == set(LANGUAGES.values())


@pytest.mark.parametrize("language", OTHERS, ids=lambda one: one.tag)
def test_each_language_says_the_same_things(language: Language) -> None:
    english, own = flat(ENGLISH), flat(language)

    assert own.keys() == english.keys()
    assert {name for name in own if placeholders(own[name]) != placeholders(english[name])} == set()
    assert len(language.months) == 12


@pytest.mark.parametrize("language", OTHERS, ids=lambda one: one.tag)
def test_nothing_is_left_in_english(language: Language) -> None:
    """Texts that are the same in both would be forgotten ones; names stay names."""
    english, own = flat(ENGLISH), flat(language)

    assert [name for name in own if own[name] == english[name]] == []
    assert [one for one, text in language.sentences.items() if one == text] == []


@pytest.mark.parametrize("language", OTHERS, ids=lambda one: one.tag)
def test_every_meaning_of_a_refusal_and_every_permission_is_known(language: Language) -> None:
    """And no sentence stands there that nobody says any more."""
    assert set(language.sentences) == set(sentences())


@pytest.mark.parametrize("language", [ENGLISH, *OTHERS], ids=lambda one: one.tag)
def test_every_text_is_used_and_every_used_text_is_there(language: Language) -> None:
    """Names that are put together stand for each status of an account."""
    calls = re.findall(r't\(("[^)]*)', " ".join(path.read_text() for path in TEMPLATES.glob("*.html")))
    used = {name for call in calls for name in re.findall(r'(?<!== )(?<!~ )"([a-z_]+(?:\.[a-z_]+)?)"', call)}
    states = {str(state) for state in Status} - {"disconnected"}
    used |= {f"owner.{state}{end}" for state in states for end in ("", "_text")}

    assert used == set(language.texts)


@pytest.mark.parametrize("language", [ENGLISH, *OTHERS], ids=lambda one: one.tag)
def test_every_class_of_a_diagnosis_has_words(language: Language) -> None:
    """For a refusal that is only worded in English."""
    for kind in DiagnosisClass:
        said = language.diagnosed(Diagnosis(kind, "x", "Only here.", "Only there.").to_json())

        assert (said["message"] == "Only here.") is (language is ENGLISH)
        assert said["message"]
        assert said["fix"]


@pytest.mark.parametrize(
    ("accepted", "tag"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr-CH, fr;q=0.9, de;q=0.7, *;q=0.5", "de"),
        ("en;q=0.5,de;q=0.6", "de"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        ("ZH-Hant-TW", "zh-Hans"),
        ("de;q=0,en;q=0.1", "en"),
        ("de;q=0", "en"),
        ("tlh", "en"),
        ("*", "en"),
        ("de;q=high", "en"),
        ("de;q=1.2.3", "en"),
        ("de;q=²", "en"),
        ("deutsch", "en"),
        (";;;,,,q=1", "en"),
        ("xx," * 30 + "de", "en"),
    ],
)
def test_the_language_is_the_one_that_is_wanted_most(accepted: str, tag: str) -> None:
    """RFC 9110, section 12.5.4; whatever is no such list is no wish."""
    assert choose(accepted).tag == tag


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("en", "31 January 2026, 09:05 UTC"),
        ("de", "31. Januar 2026, 09:05 Uhr (UTC)"),
        ("zh", "2026年1月31日 09:05 UTC"),
    ],
)
def test_dates_are_written_as_people_write_them(name: str, written: str) -> None:
    assert read(name).date(1_769_850_300_000) == f'<time datetime="2026-01-31T09:05Z">{written}</time>'


def test_values_in_a_text_are_escaped() -> None:
    shown = ENGLISH("connected.heading", address="<b>{0}</b>")

    assert shown == "&lt;b&gt;{0}&lt;/b&gt; is connected"


OWNERS_ERRORS: dict[str, tuple[Callable[..., MailgrantError], int]] = {
    "link_not_found": (NotFound, 404),
    "link_used": (NotFound, 410),
    "link_expired": (NotFound, 410),
    "link_exhausted": (NotFound, 410),
    "too_many_visits": (partial(RateLimited, retry_after=600), 429),
    "too_many_sign_ins": (partial(RateLimited, retry_after=600), 429),
    "nothing_connected": (NotFound, 404),
    "unknown_state": (MalformedRequest, 400),
    "malformed_callback": (MalformedRequest, 400),
    "wrong_browser": (Forbidden, 403),
    "cross_site": (Forbidden, 403),
    "connector_without_secret": (Conflict, 409),
    "unavailable": (Unavailable, 503),
}


@pytest.mark.parametrize("language", [ENGLISH, *OTHERS], ids=lambda one: one.tag)
@pytest.mark.parametrize("code", OWNERS_ERRORS)
def test_an_error_is_told_in_the_readers_language(language: Language, code: str) -> None:
    """Heading, message and fix; the code is the same everywhere."""
    kind, status = OWNERS_ERRORS[code]

    response = problem(kind("Only in English.", fix="Only here.", code=code), language)

    assert response.status_code == status
    assert response.headers["Content-Language"] == language.tag
    assert f"<code>{code}</code>" in response.body
    assert "Only" not in response.body
    for text in language.errors[code].values():
        assert text in response.body.replace("&#39;", "'")


def test_an_error_without_words_for_owners_says_its_own_in_english() -> None:
    error = Conflict("It is blue.", fix="Paint it.", code="blue")

    assert "It is blue." in problem(error, ENGLISH).body
    assert "Paint it." in problem(error, ENGLISH).body
    for language in OTHERS:
        shown = problem(error, language).body
        assert "It is blue." not in shown
        assert language.errors["other"]["message"] in shown
        assert "<code>blue</code>" in shown
