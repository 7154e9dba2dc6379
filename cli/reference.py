"""Writes what is generated from the API's own types: docs/api.md and docs/message.schema.json.

Usage: python -m cli.reference
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from chalicelib.web.api import messages
from chalicelib.web.api.table import ROUTES, STATUSES
from chalicelib.web.openapi import examples, problems, schemas
from chalicelib.web.openapi.answers import ANSWERS
from chalicelib.web.openapi.document import TAGS, noun_of, words_of
from chalicelib.web.openapi.operations import OPERATIONS, Operation, answer_of, parameters_of
from cli.reference_words import COMMANDS, HEAD, HEADINGS, NOT_RUN, OPEN
from cli.tables import choices, fields, table, type_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chalicelib.web.api.table import ApiView

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "api.md"
MESSAGE: Final = ROOT / "docs" / "message.schema.json"
ERRORS: Final = ROOT / "docs" / "errors.md"

WIDTH: Final = 88
"""Characters up to which a value of JSON is written on one line."""

Explained = dict[str, str]
"""Code → what docs/errors.md says of it."""


def main() -> None:
    """Writes both files."""
    PAGE.write_text(page(), encoding="utf-8")
    MESSAGE.write_text(message_schema(), encoding="utf-8")


def message_schema() -> str:
    """docs/message.schema.json."""
    return json.dumps(schemas.message(), indent=2, ensure_ascii=False) + "\n"


def page() -> str:
    """docs/api.md."""
    explained, parts = explanations(), [HEAD]
    for noun, meaning in TAGS.items():
        routes = [route for route in ROUTES if noun_of(route[2]) == noun]
        parts += [f"## {HEADINGS.get(noun, noun.capitalize())}", meaning, _contents(routes)]
        parts += [_operation(*route, explained) for route in routes]
    parts += [OPEN, "## Refusals of every operation", _explained(problems.EVERYWHERE, explained)]
    parts += ["## Types", *_types()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def explanations() -> Explained:
    """What docs/errors.md says of each code, on one line and without its status."""
    sections = re.split(r"^### ", ERRORS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    found = {}
    for section in sections:
        anchor, _, said = section.partition("\n")
        text = " ".join(said.partition("\n## ")[0].split())
        found[anchor.replace("-", "_")] = re.sub(r"^\d+[^.]*\. ", "", text)
    return found


def curl(method: str, path: str, view: ApiView, body: dict[str, Any] | None) -> str:
    """The example of an operation as a command of the shell."""
    query = examples.QUERY.get(view)
    filled = path.format(**{name: quote(value, safe="") for name, value in examples.PATH.items()})
    url = f"$MAILGRANT_URL/v1{filled}" + (f"?{urlencode(query)}" if query else "")
    how = "" if method in {"GET", "POST"} else f"-X {method} "
    how = "-X POST " if method == "POST" and body is None else how
    command = f'curl {how}"{url}" -H "Authorization: Bearer mg_…"'
    if body is None:
        return command
    return f'{command} -H "Content-Type: application/json" -d {shlex.quote(pretty(body))}'


def pretty(value: object, indent: str = "") -> str:
    """JSON for people: what fits a line stands on one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= WIDTH or not isinstance(value, dict | list):
        return line
    inner = f"{indent}  "
    if isinstance(value, list):
        entries, ends = [pretty(one, inner) for one in value], "[]"
    else:
        entries, ends = [f"{json.dumps(name)}: {pretty(one, inner)}" for name, one in value.items()], "{}"
    lines = ",\n".join(f"{inner}{entry}" for entry in entries)
    return f"{ends[0]}\n{lines}\n{indent}{ends[1]}"


def _contents(routes: Iterable[tuple[str, str, ApiView]]) -> str:
    rows = [
        (f"[`{method} /v1{path}`](#{_anchor(method, path)})", words_of(view)[0])
        for method, path, view in routes
    ]
    return table(("operation", "what it does"), rows)


def _anchor(method: str, path: str) -> str:
    """GitHub's: lower case, without punctuation, blanks as hyphens."""
    return re.sub(r"[^\w -]", "", f"{method} /v1{path}".lower()).replace(" ", "-")


def _operation(method: str, path: str, view: ApiView, explained: Explained) -> str:
    known = OPERATIONS[view]
    parts = [f"### {method} /v1{path}", " ".join(words_of(view)).strip(), _needs(view, known)]
    parts += [*_examples(method, path, view), _parameters(path, view), _body(known), _answer(view)]
    parts.append(_refusals(method, known, explained))
    return "\n\n".join(part for part in parts if part)


def _needs(view: ApiView, known: Operation) -> str:
    if view is messages.cancel:
        return "Needs the scope `send` for the caller's own messages, and `admin` for others."
    if known.scope is None:
        return "Needs no scope."
    return f"Needs the scope `{known.scope}`" + (" on all accounts." if known.everything else ".")


def _examples(method: str, path: str, view: ApiView) -> Iterator[str]:
    asked = examples.REQUESTS.get(view, {"": None})
    for name, body in asked.items():
        if len(asked) > 1:
            yield f"{name}:"
        yield f"{NOT_RUN}\n```sh\n{curl(method, path, view, body)}\n```"
    yield f"On the command line:\n\n{NOT_RUN}\n```sh\n./mailgrant {COMMANDS[view]}\n```"


def _parameters(path: str, view: ApiView) -> str:
    given = parameters_of(path, view)
    rows = [
        (f"`{one.name}`", one.where, type_of(one.schema), "yes" if one.required else "", one.meaning)
        for one in given
    ]
    return table(("parameter", "in", "type", "required", "meaning"), rows) if rows else ""


def _body(known: Operation) -> str:
    if known.body is None:
        return ""
    name = known.body.__name__
    head = "The body, which may be left out." if known.optional else "The body."
    return f"{head} {schemas.components()[name]['description']}\n\n{fields(name)}"


def _answer(view: ApiView) -> str:
    name = answer_of(view).__name__
    head = f"Answers {STATUSES.get(view, 200)} with [{name}](#{name.lower()}):"
    return f"{head}\n\n```json\n{pretty(ANSWERS[view].to_json())}\n```"


def _refusals(method: str, known: Operation, explained: Explained) -> str:
    """Its own ones in a table; those that many operations have are explained elsewhere."""
    every = "[one of those of every operation](#refusals-of-every-operation)"
    general = [
        f"{problems.PROBLEMS[code][0]} {_code(code)}"
        for code in problems.own_codes(method, known)
        if code not in known.errors
    ]
    listed = " or ".join([", ".join(general), every] if general else [every])
    also = f"Refused{' also' if known.errors else ''} with {listed}."
    return f"{_explained(known.errors, explained)}\n\n{also}" if known.errors else also


def _explained(codes: Iterable[str], explained: Explained) -> str:
    rows = [
        (str(status), _code(code), explained[code])
        for status, found in problems.by_status(codes).items()
        for code in found
    ]
    return table(("status", "refused with", "what it means, and what to do"), rows)


def _types() -> Iterator[str]:
    """What is answered, and what is inside of bodies."""
    outer = {known.body.__name__ for known in OPERATIONS.values() if known.body is not None}
    for name, schema in sorted(schemas.components().items()):
        if name in {*outer, "Error"}:
            continue
        content = choices(name) if "enum" in schema else fields(name)
        yield f"### {name}\n\n{schema['description']}\n\n{content}"


def _code(code: str) -> str:
    return f"[`{code}`](errors.md#{code.replace('_', '-')})"


if __name__ == "__main__":
    main()
