"""Every error that can be answered is explained, and every answer links to its explanation."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import DOCS, Diagnosed, NotFound, docs_of
from chalicelib.transports.smtp.session import INTERRUPTIONS
from chalicelib.web.pages.languages import read

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / ".chalice" / "app-stack.yaml"

POSITIONS = {"Diagnosis": 1, "transient": 0}
"""Function → the place of its argument that is a code."""


def anchors() -> list[str]:
    """The anchors of the headings in the documentation of errors."""
    return re.findall(r"^### ([a-z0-9-]+)$", (ROOT / DOCS).read_text(), re.MULTILINE)


def codes() -> Iterator[str]:
    """The codes that the source names: of error classes, of single errors, and of diagnoses."""
    for path in sorted((ROOT / "chalicelib").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield from texts([keyword.value for keyword in node.keywords if keyword.arg == "code"])
                place = POSITIONS.get(getattr(node.func, "id", ""))
                yield from texts(node.args[place : place + 1] if place is not None else [])
            elif isinstance(node, ast.AnnAssign | ast.Assign):
                targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
                if any(getattr(target, "id", "") == "code" for target in targets) and node.value:
                    yield from texts([node.value])


def texts(nodes: list[ast.expr]) -> Iterator[str]:
    """The texts among the expressions."""
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def gateway_errors() -> list[dict[str, str]]:
    """What API Gateway answers by itself."""
    bodies = re.findall(r'^ *(\{"error": .*\})$', TEMPLATE.read_text(), re.MULTILINE)
    return [json.loads(body)["error"] for body in bodies]


def test_every_code_has_its_heading() -> None:
    shown = {*read("en").errors, *read("en").reasons} - {"other", *map(str, DiagnosisClass)}
    known = {*codes(), *shown, *(code for _, code, _ in INTERRUPTIONS)} - {"error"}

    missing = sorted(code for code in known if code.replace("_", "-") not in anchors())

    assert len(known) > 50
    assert missing == []


def test_no_heading_stands_twice() -> None:
    assert len(anchors()) == len(set(anchors()))


def test_what_api_gateway_answers_has_the_one_shape_and_links_to_its_heading() -> None:
    found = gateway_errors()

    assert len(found) > 10
    for error in found:
        assert set(error) == {"code", "message", "fix", "docs"}
        assert error["docs"] == docs_of(error["code"])
        assert error["docs"].partition("#")[2] in anchors()


def test_an_error_links_to_its_heading() -> None:
    assert NotFound("No.", fix="Do.").to_json()["error"]["docs"] == "docs/errors.md#not-found"
    assert NotFound("No.", fix="Do.", code="link_used").to_json()["error"]["docs"].endswith("#link-used")


def test_a_refusal_of_the_provider_keeps_its_code_and_links_to_the_heading_of_all_refusals() -> None:
    diagnosis = Diagnosis(DiagnosisClass.ADMIN, "AADSTS7000222", "It has expired.", "Make a new one.")

    error = Diagnosed(diagnosis).to_json()["error"]

    assert error["code"] == "AADSTS7000222"
    assert error["docs"] == "docs/errors.md#refused-by-provider"
