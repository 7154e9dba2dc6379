"""The languages of the pages: one file of texts each, chosen by what the reader's browser asks for.

What a page says has a name here, with ``{placeholders}``. Sentences that come from elsewhere (what a
provider's refusal means, what a scope allows) are looked up by the English sentence itself.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from markupsafe import Markup

FILES = Path(__file__).parent
LANGUAGES = {"en": "en", "de": "de", "zh": "zh"}
"""The first part of a language tag (RFC 5646) → its file. The first one is for everybody else."""
USUAL = next(iter(LANGUAGES))
RANGES = 20
"""How many of the languages that a browser names are looked at."""


@dataclass(frozen=True, slots=True)
class Language:
    """One language. Calling it with a text's name and its values gives the text, made safe for HTML."""

    tag: str
    moment: str
    months: tuple[str, ...]
    texts: Mapping[str, str]
    reasons: Mapping[str, Mapping[str, str]]
    errors: Mapping[str, Mapping[str, str]]
    sentences: Mapping[str, str]

    def __call__(self, name: str, **values: Any) -> Markup:
        """The text of that name, with its values escaped. Raises KeyError."""
        from markupsafe import escape

        return escape(self.texts[name]).format(**values)

    def sentence(self, english: str) -> str:
        """The sentence in this language; in English where it is not known."""
        return self.sentences.get(english, english)

    def diagnosed(self, diagnosis: Mapping[str, Any]) -> Mapping[str, str]:
        """Message and fix of a diagnosis; what is said only in English is said by its class."""
        known = {name: self.sentences.get(diagnosis[name]) for name in ("message", "fix")}
        if self.tag == USUAL:
            return {name: diagnosis[name] for name in known}
        usual = self.reasons[diagnosis["class"]]
        return {name: text or usual[name] for name, text in known.items()}

    def date(self, milliseconds: int) -> Markup:
        """The moment as people write it, also readable by machines."""
        from markupsafe import Markup

        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
        written = self.moment.format(
            day=moment.day, month=self.months[moment.month - 1], year=moment.year, time=f"{moment:%H:%M}"
        )
        return Markup('<time datetime="{}">{}</time>').format(f"{moment:%Y-%m-%dT%H:%MZ}", written)


def choose(accepted: str) -> Language:
    """The language that an Accept-Language header asks for (RFC 9110, section 12.5.4), else the usual one."""
    wanted = sorted(_ranges(accepted), key=lambda one: -one[1])
    for tag, _ in wanted:
        name = LANGUAGES.get(tag.partition("-")[0])
        if name:
            return read(name)
    return read(USUAL)


@functools.cache
def read(name: str) -> Language:
    """The language of that file."""
    known = json.loads((FILES / f"{name}.json").read_text(encoding="utf-8"))
    return Language(**{"sentences": {}, **known, "months": tuple(known["months"])})


def _ranges(accepted: str) -> Iterator[tuple[str, float]]:
    """The languages that are named and wanted at all, with their weights."""
    for one in accepted.lower().split(",")[:RANGES]:
        tag, _, parameter = one.partition(";")
        weight = _weight(parameter.strip())
        if weight > 0:
            yield tag.strip(), weight


def _weight(parameter: str) -> float:
    """The weight that a range's parameter gives it; 0 for what is no weight."""
    if not parameter:
        return 1.0
    name, _, value = parameter.partition("=")
    number = value.strip()
    is_number = name.strip() == "q" and number.replace(".", "", 1).isdecimal() and number.isascii()
    return float(number) if is_number else 0.0
