"""The version of Mailgrant, as the project's own file has it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parent.parent / "pyproject.toml"


def version() -> str:
    """The number of the release, by Semantic Versioning."""
    return str(tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["version"])
