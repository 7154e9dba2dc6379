"""The guides name what the product knows: codes, permissions, limits and the steps of the wizard."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from chalicelib.diagnosis import DiagnosisClass
from chalicelib.mail.models import Phase
from chalicelib.providers import catalogue as facts_of_providers
from chalicelib.providers import meanings, replies
from chalicelib.providers.catalogue import GOOGLE, MEGABYTE, MICROSOFT
from chalicelib.providers.facts import ProviderFacts
from chalicelib.transports.smtp import replies as smtp
from cli import guide
from tests.docs.pages import ROOT, anchors

GUIDES = {"microsoft": Path("docs/setup-microsoft.md"), "google": Path("docs/setup-google.md")}
EXPLAINING = {**GUIDES, "other": Path("docs/setup-others.md")}
"""Pages with a table of mistakes."""
KNOWN = {
    *(f"AADSTS{number}" for numbers, _ in meanings.MICROSOFT for number in numbers),
    *meanings.GOOGLE,
    *meanings.ANY,
}
QUOTED = re.compile(r'"(.+?)"')


def mistakes(provider: str) -> list[tuple[str, str]]:
    """What one sees, and the fix, by the table of a guide."""
    _, _, table = (ROOT / EXPLAINING[provider]).read_text(encoding="utf-8").partition("\n## Mistakes\n")
    rows = re.findall(r"^\| (.+?) \| .+ \| (.+?) \|$", table.partition("\n## ")[0], re.MULTILINE)
    return [(seen, fix) for seen, fix in rows if seen != "what you see"]


def codes(provider: str) -> set[str]:
    """The codes among what one sees."""
    return {
        code for seen, _ in mistakes(provider) for code in re.findall(r"`([A-Za-z]\w+(?:[.]\d+)*)`", seen)
    }


@pytest.mark.parametrize("provider", EXPLAINING)
def test_a_guide_explains_codes_that_there_are(provider: str) -> None:
    others = {code for code in codes(provider) - KNOWN if not code.startswith("smtp_")}

    assert len(codes(provider)) > 10
    assert {code.replace("_", "-") for code in others} <= set(anchors(Path("docs/errors.md")))


def sentences(code: int, text: str, phases: set[Phase]) -> set[str]:
    """What is said of a reply in these phases."""
    return {smtp.verdict(smtp.reply(code, text.encode()), phase).diagnosis.message for phase in phases}


@pytest.mark.parametrize("provider", GUIDES)
def test_a_guide_explains_replies_that_the_table_knows(provider: str) -> None:
    """In some phase more is said of the reply than of any reply that says no."""
    phases = set(Phase)
    general = sentences(450, "", phases - {Phase.AUTH}) | sentences(550, "", phases - {Phase.AUTH})

    for seen, _ in mistakes(provider):
        for number, enhanced in re.findall(r"`smtp_(\d+)_([\d.]+)`", seen):
            text = " ".join([enhanced, *QUOTED.findall(seen)])

            assert sentences(int(number), text, phases) - general, seen


@pytest.mark.parametrize("provider", EXPLAINING)
def test_what_passes_by_itself_asks_for_nothing(provider: str) -> None:
    """And what does not pass names something to do."""
    for seen, fix in mistakes(provider):
        for code in re.findall(r"`(AADSTS\d+|[a-z_]+)`", seen):
            answer = {"error": code, "error_description": f"{code}: …"}
            passes = replies.diagnose(provider, answer).class_ is DiagnosisClass.RETRY

            assert fix.startswith("Nothing") is passes, seen


@pytest.mark.parametrize("provider", GUIDES)
def test_a_guide_leads_to_the_same_places_as_the_wizard(provider: str) -> None:
    told = [
        texts[provider] for texts in vars(guide).values() if isinstance(texts, dict) and provider in texts
    ]
    places = {place.rstrip(",:") for text in told for place in re.findall(r"https://\S+", text)}
    page = (ROOT / GUIDES[provider]).read_text(encoding="utf-8")

    assert len(places) > 1
    assert sorted(place for place in places if place not in page) == []


@pytest.mark.parametrize("facts", [MICROSOFT, GOOGLE], ids=lambda facts: facts.name)
def test_a_guide_names_the_permission_and_the_limits(facts: ProviderFacts) -> None:
    text = (ROOT / GUIDES[facts.name]).read_text(encoding="utf-8")

    assert all(scope.removeprefix("https://outlook.office.com/") in text for scope in facts.required_scopes)
    assert f"{facts.max_recipients} a message" in text
    assert f"{facts.max_size // MEGABYTE} MB" in text


def test_the_facts_of_the_example_are_facts() -> None:
    text = (ROOT / "docs" / "adding-a-provider.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    named: dict[str, object] = {**vars(facts_of_providers)}

    exec(example, named)  # noqa: S102 - a page of ours

    assert isinstance(named["EXAMPLE"], ProviderFacts)
    explained = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.+?) \|", text, re.MULTILINE))))
    assert {field.name for field in fields(ProviderFacts)} - {"login"} <= explained
