"""The house rules of the code: who may import what, and that importing is free."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "chalicelib"

LAYERS: dict[str, int] = {
    "addresses": 0,
    "errors": 0,
    "diagnosis": 0,
    "settings": 0,
    "ids": 0,
    "clock": 0,
    "secret": 0,
    "logs": 0,
    "metrics": 0,
    "network": 0,
    "https": 0,
    "reading": 0,
    "wording": 0,
    "records": 0,
    "models": 1,
    "providers": 2,
    "transports": 2,
    "callers": 3,
    "accounts": 3,
    "mail": 3,
    "aws": 4,
    "operations": 4,
    "health": 3,
    "wiring": 5,
    "web": 6,
    "app": 7,
}
"""Lower numbers are imported by higher ones, never the other way round."""

ONLY_IN: dict[str, tuple[str, ...]] = {
    "boto3": ("aws",),
    "botocore": ("aws",),
    "chalice": ("web", "app"),
    "msal": ("providers",),
    "google": ("providers",),
    "requests": ("https",),
    "urllib3": ("https",),
}

HEAVY = ("boto3", "botocore", "msal", "google.auth", "requests", "cryptography", "jinja2", "email_validator")


def modules() -> list[Path]:
    """Every Python file of the application."""
    return [ROOT / "app.py", *sorted(PACKAGE.rglob("*.py"))]


def part_of(path: Path) -> str:
    """The part of the house a file belongs to: models of any package are their own layer."""
    relative = path.relative_to(ROOT).with_suffix("")
    if "models" in relative.parts:
        return "models"
    return (
        relative.parts[1]
        if relative.parts[0] == "chalicelib" and len(relative.parts) > 1
        else relative.parts[0]
    )


def part_named(module: str) -> str:
    """The part of the house that a dotted module name under chalicelib belongs to."""
    names = module.split(".")
    return "models" if "models" in names else names[1]


def imports(path: Path) -> Iterator[str]:
    """The dotted names of the modules that a file imports, at any depth of the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (_module(node.module, alias.name) for alias in node.names)


def _module(package: str, name: str) -> str:
    """The module that ``from package import name`` reads: the name itself where it is a module."""
    inside = ROOT.joinpath(*package.split("."), name)
    return f"{package}.{name}" if inside.is_dir() or inside.with_suffix(".py").exists() else package


def house_imports(path: Path) -> set[str]:
    """The parts of the house that a file imports."""
    return {part_named(name) for name in imports(path) if name.startswith("chalicelib.")}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    """No file imports a part of the house that stands above its own."""
    own = part_of(path)
    if path == PACKAGE / "__init__.py":
        assert not list(imports(path)) or list(imports(path)) == ["__future__"]
        return

    above = {part for part in house_imports(path) if LAYERS[part] > LAYERS[own]}

    assert not above, f"{own} imports {above}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_accounts_and_mail_do_not_know_each_other(path: Path) -> None:
    """The two halves meet in the wiring; each is handed what it needs of the other."""
    own = part_of(path)
    parts = {
        name.split(".")[1]
        for name in imports(path)
        if name.startswith("chalicelib.") and part_named(name) != "models"
    }

    if own in {"accounts", "mail"}:
        assert not parts & ({"accounts", "mail"} - {own})


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_wiring_knows_aws(path: Path) -> None:
    """Everything else is handed its stores by its constructor."""
    if part_of(path) not in {"aws", "wiring"}:
        assert "aws" not in house_imports(path)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_libraries_stay_where_they_belong(path: Path) -> None:
    """boto3 is used in aws/, chalice in web/ and app.py, providers' in providers/, HTTP in https.py."""
    own = part_of(path)

    strays = [name for name in imports(path) if own not in ONLY_IN.get(name.split(".")[0], (own,))]

    assert not strays


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_environment_is_read_in_settings_only(path: Path) -> None:
    """A function that read a variable of its own could not be seen in Settings."""
    used = "os.environ" in path.read_text() or "getenv" in path.read_text()

    assert not used or part_of(path) == "settings"


def test_importing_the_application_is_free() -> None:
    """No heavy library is loaded and no environment is needed by importing app."""
    script = f"import sys, app; print([name for name in {HEAVY!r} if name in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip() == "[]", done.stderr
