"""Checks the bill of materials against CycloneDX's own schema, with the library that checkov brings along."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion  # type: ignore[import-not-found]
from cyclonedx.validation.json import JsonStrictValidator  # type: ignore[import-not-found]


def main() -> str | None:
    """What is wrong with the file that is the only argument; None when nothing is."""
    text = Path(sys.argv[1]).read_text()
    version = SchemaVersion.from_version(json.loads(text)["specVersion"])
    wrong = JsonStrictValidator(version).validate_str(text)
    return f"{sys.argv[1]} is no {version.name}: {wrong.data.message}" if wrong else None


if __name__ == "__main__":
    sys.exit(main())
