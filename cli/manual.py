"""The parts of docs/operations.md that follow from the code: ``make reference`` writes them anew.

A part stands between ``<!-- from the code: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from chalice.package import YAMLTemplateSerializer

from chalicelib import metrics
from chalicelib.clock import DAY, SECOND
from chalicelib.providers.catalogue import CATALOGUE, MEGABYTE
from cli.cost import shown
from cli.costs import Costs, answer
from cli.tables import table

PROJECT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = PROJECT / "docs" / "operations.md"
_PART: Final = re.compile(r"(<!-- from the code: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str) -> str:
    """The page with each part as the code has it now. Raises KeyError for a part that there is not."""
    return _PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n\n{found[3]}", page)


def costs() -> str:
    """What ``./mailgrant cost`` prints."""
    found = answer(Costs.read(), 10_000, 100, 4_000)
    return "\n".join(("```text", *shown(found), "```"))


def functions() -> str:
    """The functions, with what app.py says of each."""
    config = json.loads((PROJECT / ".chalice" / "config.json").read_text())
    does = {
        one.name: (ast.get_docstring(one) or "").partition("\n")[0]
        for one in ast.parse((PROJECT / "app.py").read_text()).body
        if isinstance(one, ast.FunctionDef)
    }
    rows = (
        (
            f"`{_function(name)}`",
            does.get(name, "Answers every request over HTTP: the API, the pages, the callback."),
            f"{facts.get('lambda_memory_size', config['lambda_memory_size'])} MB",
            f"{facts['lambda_timeout']} s",
        )
        for name, facts in config["stages"]["package"]["lambda_functions"].items()
    )
    return table(("function", "what it does", "memory", "at most"), rows)


def settings() -> str:
    """The parameters of the application's stack, and the variable that each becomes."""
    templates = [_template("app-stack.yaml"), *map(_template, _named("health*.yaml"))]
    variables = templates[0]["Resources"]["APIHandler"]["Properties"]["Environment"]["Variables"]
    by_parameter = {value.get("Ref"): name for name, value in variables.items()}
    rows = (
        (
            f"`{name}`",
            f"`{facts['Default']}`" if facts.get("Default") not in (None, "") else "",
            facts["Description"],
            f"`{by_parameter[name]}`" if name in by_parameter else "",
        )
        for template in templates
        for name, facts in template.get("Parameters", {}).items()
    )
    return table(("parameter", "default", "meaning", "variable of the functions"), rows)


def figures() -> str:
    """The metrics, as chalicelib.metrics explains them."""
    lines = (metrics.__doc__ or "").splitlines()
    first, *_, last = (number for number, line in enumerate(lines) if line.startswith("==="))
    rows = (re.split(r"  +", line) for line in lines[first + 3 : last])
    return table(("metric", "unit", "counts or measures", "by"), rows)


def providers() -> str:
    """What each provider allows."""
    rows = (
        (
            one.label,
            str(one.max_connections),
            str(one.messages_per_minute or "not told"),
            str(one.max_recipients),
            f"{one.max_size // MEGABYTE} MB",
            f"{one.keep_alive * SECOND // DAY} days",
        )
        for one in CATALOGUE
        if "/" not in one.name  # Microsoft's other clouds have the limits of the usual one
    )
    headings = (
        "provider",
        "connections",
        "mails a minute",
        "recipients",
        "size",
        "an idle grant is refreshed",
    )
    return table(headings, rows)


PARTS: Final[dict[str, Callable[[], str]]] = {
    part.__name__: part for part in (costs, functions, settings, figures, providers)
}
"""Name → what makes its text."""


def main() -> None:
    """Writes the page."""
    PAGE.write_text(filled(PAGE.read_text()))


def _function(name: str) -> str:
    """The function's name in AWS, without the stage."""
    return "api" if name == "api_handler" else name.replace("_", "-")


def _named(pattern: str) -> list[str]:
    return sorted(path.name for path in (PROJECT / ".chalice").glob(pattern))


def _template(name: str) -> dict[str, Any]:
    found: dict[str, Any] = YAMLTemplateSerializer().load_template((PROJECT / ".chalice" / name).read_text())
    return found


if __name__ == "__main__":
    main()
